"""Leakage between splits: recordings, and files of equal content, that are in more than one split."""

from dataclasses import dataclass

import numpy as np

from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.files.identity import equal_contents
from marey.data.lists.manifest import Manifest, frame_ranges_of, times_of, video_paths
from marey.data.lists.videos import first_of
from marey.data.recordings.groups import NAMED
from marey.data.recordings.names import joined_recording_names


@dataclass(frozen=True)
class Leakage:
    """Recordings and file contents that the training and validation splits have in common, in words."""

    recordings: str
    """A line on the recordings that both splits have: which, that there are none, or that they are not known."""
    recordings_shared: bool
    """Whether there are shared recordings."""
    contents: str | None
    """A line on the files of equal content; None where there are none."""

    @property
    def lines(self) -> tuple[str, ...]:
        recordings = f"training and validation: {self.recordings}"
        return (recordings,) if self.contents is None else (recordings, self.contents)


def find_leakage(train: Manifest, val: Manifest) -> Leakage:
    """The recordings and file contents that both splits have."""
    names = np.repeat(["train", "val"], [len(train), len(val)])
    recordings = joined_recording_names([train, val])
    contents = equal_contents([*video_paths(train), *video_paths(val)]).tolist()
    # Another segment of the same file is of the same recording, but it is not the same video.
    keys = list(zip(contents, [*_segments(train), *_segments(val)], strict=True))
    seen = set(keys[: len(train)])
    rows = [row for row, key in enumerate(keys[len(train) :]) if key in seen and key[0] >= 0]
    common = (
        f"{counted(len(rows), 'file')} of the {len(val)} for validation {'is' if len(rows) == 1 else 'are'} in the training "
        f"list too, by content: {first_of(val.ids[rows].tolist(), NAMED)}"
    )
    shared = bool(recordings.in_several_splits(names))
    return Leakage(recordings.describe(names), shared, common if rows else None)


def report_leakage(train: Manifest, val: Manifest) -> None:
    """Report what both splits have in common: as warnings, or as a notice that there is nothing."""
    leakage = find_leakage(train, val)
    report = warning if leakage.recordings_shared else notice
    report(leakage.lines[0])
    if leakage.contents is not None:
        warning(leakage.contents)


def copies_across_splits(manifest: Manifest) -> str | None:
    """The files of equal content with different splits, in words; None where there are none."""
    assert manifest.splits is not None
    splits_of: dict[tuple[int, tuple[float, ...]], set[str]] = {}
    keys = list(zip(equal_contents(video_paths(manifest)).tolist(), _segments(manifest), strict=True))
    for key, split in zip(keys, manifest.splits.tolist(), strict=True):
        splits_of.setdefault(key, set()).add(split)
    rows = [row for row, key in enumerate(keys) if key[0] >= 0 and len(splits_of[key]) > 1]
    if not rows:
        return None
    names = first_of(manifest.ids[rows].tolist(), NAMED)
    return f"{counted(len(rows), 'file')} have copies in another split, by content: {names}"


def _segments(manifest: Manifest) -> list[tuple[float, ...]]:
    """[N]: the segment of each video: start and end in seconds (-1 for NaN, which is not equal to NaN), and frame range."""
    columns = np.nan_to_num(times_of(manifest), nan=-1.0), frame_ranges_of(manifest)
    return list(map(tuple, np.hstack(columns).tolist()))
