"""When the videos of a list were recorded: by their files, or by dates and times in their names."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signatures import Signatures
from marey.data.recordings.stamp import time_in_name
from marey.data.recordings.units import Pairs, hold_most, rows_of, without

_PAUSE = 600.0
"""Seconds between the times of two videos from which on another recording begins before a fixed camera."""
_OVERLAPPING = 0.1
"""Share of the distances between times of creation, 0 to 1, that may be shorter than the videos: two cameras may run at the
same time."""


@dataclass(frozen=True)
class Sessions:
    """Videos of a fixed camera, by the pauses between their times of creation."""

    rows: NDArray[np.int64]
    """Those that have a time."""
    pairs: Pairs
    """Those between which there is no pause."""


@dataclass(frozen=True, eq=False)
class Clock:
    """The times of creation of the N files of a list, as far as they are those of recording."""

    created: NDArray[np.float64]
    """[N]: in seconds since 1970; NaN where there is none. All NaN where they are times of conversion."""
    named: NDArray[np.float64]
    """[N]: the same by dates and times in their names."""
    stamps: NDArray[np.str_]
    """[N]: time, encoder and size in one key; "" where there is no time."""

    @classmethod
    def of(cls, signatures: Signatures, ids: NDArray[np.str_]) -> Self:
        count = len(signatures)
        created, seconds = np.full(count, np.nan), np.zeros(count)
        stamps = np.full(count, "", object)
        for row, key in enumerate(signatures.keys):
            if key:
                one = signatures[row]
                created[row], seconds[row] = one.stamp.created, one.seconds
                stamps[row] = f"{one.stamp.created} {one.stamp.encoder} {one.size}"
        if _are_conversions(created, seconds):
            created[:] = np.nan
        stamps[np.isnan(created)] = ""
        named = np.array([time_in_name(name.rpartition("/")[2]) for name in ids.tolist()])
        return cls(created, named, stamps.astype(np.str_))

    def equal_stamps(self, as_one: NDArray[np.int64]) -> Pairs:
        """Videos whose files were made of one recording; none where that would be more than half of all videos, as
        `hold_most` counts them.
        """
        pairs = [pair for rows in rows_of(self.stamps) for pair in pairwise(rows)]
        return without(hold_most(as_one, pairs), pairs)

    def sessions(self, rows: NDArray[np.int64]) -> Sessions | None:
        """Those of some videos that have a time; None where there is no pause between any two of these. The times are those
        of creation, or those in their names where more of them have one.
        """
        times = max(self.created, self.named, key=lambda of_all: int((~np.isnan(of_all[rows])).sum()))
        timed = rows[~np.isnan(times[rows])]
        order = timed[np.argsort(times[timed], kind="stable")]
        pairs = list(pairwise(order.tolist()))
        within = [(one, other) for one, other in pairs if times[other] - times[one] < _PAUSE]
        return Sessions(timed, within) if len(within) < len(pairs) else None


def _are_conversions(created: NDArray[np.float64], seconds: NDArray[np.float64]) -> bool:
    """Whether times of creation [N] of videos of such lengths [N] are those of a conversion: too many lie nearer to each
    other than a camera could have recorded the videos.
    """
    longest: dict[float, float] = {}
    for time, length in zip(created.tolist(), seconds.tolist(), strict=True):
        if not np.isnan(time):
            longest[time] = max(longest.get(time, 0.0), length)
    times = sorted(longest)
    nearer = sum(later - time < longest[time] for time, later in pairwise(times))
    return nearer > _OVERLAPPING * max(len(times) - 1, 0)
