"""When the videos of a list were recorded: by creation times in their files, or by dates and times in their names."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.creation import time_in_name
from marey.data.recordings.groups import Pairs, chain_most_videos, rows_by_key, without
from marey.data.recordings.signature_cache import Signatures

_PAUSE = 600.0
"""Least number of seconds between the times of two consecutive videos of a fixed camera that are of two recordings."""
_OVERLAPPING = 0.1
"""Largest share, 0 to 1, of consecutive creation times that may be closer to each other than the earlier video is long: two
cameras may record at the same time. With a larger share, the times are those of a conversion."""


@dataclass(frozen=True)
class Sessions:
    """Videos of a fixed camera, divided where there are pauses between their times."""

    rows: NDArray[np.int64]
    """The rows of the videos that have a time."""
    pairs: Pairs
    """Pairs of consecutive videos without a pause between them."""


@dataclass(frozen=True, eq=False)
class RecordingTimes:
    """The times at which N videos were recorded, as far as they are known."""

    created: NDArray[np.float64]
    """[N]: creation time in seconds since 1970; NaN where there is none. All NaN where they are times of conversion."""
    named: NDArray[np.float64]
    """[N]: date and time in the file's name, in seconds since 1970; NaN where there are none."""
    stamps: NDArray[np.str_]
    """[N]: creation time, encoder and frame size as one key; "" where there is no creation time."""

    @classmethod
    def of(cls, signatures: Signatures, ids: NDArray[np.str_]) -> Self:
        """The times of the videos that have these signatures and these names [N]."""
        count = len(signatures)
        created, seconds = np.full(count, np.nan), np.zeros(count)
        stamps = np.full(count, "", object)
        for row, key in enumerate(signatures.keys):
            if key:
                one = signatures[row]
                created[row], seconds[row] = one.creation.created, one.seconds
                stamps[row] = f"{one.creation.created} {one.creation.encoder} {one.size}"
        if _are_conversions(created, seconds):
            created[:] = np.nan
        stamps[np.isnan(created)] = ""
        named = np.array([time_in_name(name.rpartition("/")[2]) for name in ids.tolist()])
        return cls(created, named, stamps.astype(np.str_))

    def equal_stamps(self, as_one: NDArray[np.int64]) -> Pairs:
        """Pairs of videos with equal stamps, which were cut from one recording; without those that would connect more than
        half of all videos. `as_one` [N] is that of `chain_most_videos`.
        """
        pairs = [pair for rows in rows_by_key(self.stamps) for pair in pairwise(rows)]
        return without(chain_most_videos(as_one, pairs), pairs)

    def sessions(self, rows: NDArray[np.int64]) -> Sessions | None:
        """Divides some videos where their times have pauses; None where there is no pause. Uses creation times, or the times
        in names where more of these videos have one.
        """
        times = max(self.created, self.named, key=lambda of_all: int((~np.isnan(of_all[rows])).sum()))
        timed = rows[~np.isnan(times[rows])]
        order = timed[np.argsort(times[timed], kind="stable")]
        pairs = list(pairwise(order.tolist()))
        within = [(one, other) for one, other in pairs if times[other] - times[one] < _PAUSE]
        return Sessions(timed, within) if len(within) < len(pairs) else None


def _are_conversions(created: NDArray[np.float64], seconds: NDArray[np.float64]) -> bool:
    """Whether creation times [N] are times of a conversion: too many videos begin before the previous one has ended, so that
    one camera could not have recorded both. `seconds` [N] are the lengths of the videos.
    """
    longest: dict[float, float] = {}
    for time, length in zip(created.tolist(), seconds.tolist(), strict=True):
        if not np.isnan(time):
            longest[time] = max(longest.get(time, 0.0), length)
    times = sorted(longest)
    closer = sum(later - time < longest[time] for time, later in pairwise(times))
    return closer > _OVERLAPPING * max(len(times) - 1, 0)
