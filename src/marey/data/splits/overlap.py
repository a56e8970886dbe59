"""Copies of a public data set differ between people: scoring on the videos that somebody else had, too."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.base.errors import DataError
from marey.base.words import counted
from marey.data.lists.formats import read_rows
from marey.data.lists.manifest import Manifest

_KINETICS = re.compile(r"^(.{11})_\d{6}_\d{6}$")
"""The name of a cut clip: YouTube's id, first and last second."""


@dataclass(frozen=True)
class Overlap:
    """The videos of a manifest that another list names as well."""

    manifest: Manifest
    left_out: int
    """Videos of ours that the list does not name."""
    missing: int
    """Videos of the list that we do not have."""

    def __str__(self) -> str:
        shared = counted(len(self.manifest), "video")
        return f"{shared} in common, {self.left_out} of ours left out, {self.missing} of theirs missing"


def only(manifest: Manifest, path: str | Path) -> Overlap:
    """Keep the videos whose names stand in a list, in our order.

    The list is any that `read_manifest` reads, or has an id or a path on each line. Names are compared without
    folder and suffix; Kinetics clips by YouTube's id.

    Raises:
        DataError: no such list, or not one video in common.
    """
    path = Path(path)
    theirs = {video_key(name) for name in read_rows(path, bare=True, labelled=False)[0].paths}
    ours = [video_key(name) for name in manifest.ids.tolist()]
    rows = np.array([row for row, key in enumerate(ours) if key in theirs], dtype=np.int64)
    if not len(rows):
        raise DataError(
            f"{path}: names none of the {counted(len(manifest), 'video')} ({ours[0]} stands first among ours, "
            f"{min(theirs, default='nothing')} among theirs)."
        )
    return Overlap(manifest[rows], len(ours) - len(rows), len(theirs - set(ours)))


def video_key(name: str) -> str:
    """What names a video whatever folder, file type or cut it lies in."""
    stem = Path(name).stem if Path(name).suffix else Path(name).name
    cut = _KINETICS.match(stem)
    return cut[1] if cut else stem
