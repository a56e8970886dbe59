"""Common videos: the videos of a list that another list names as well, since most copies of a public data set lack some."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.base.errors import DataError
from marey.base.words import counted
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_rows

_KINETICS = re.compile(r"^(.{11})_\d{6}_\d{6}$")
"""The name of a Kinetics video: YouTube's id, first and last second."""


@dataclass(frozen=True)
class CommonVideos:
    """The videos of a manifest (ours) that another list (theirs) names as well."""

    manifest: Manifest
    """The videos in common."""
    left_out: int
    """How many videos of the manifest the other list does not name."""
    missing: int
    """How many videos of the other list the manifest does not have."""

    def __str__(self) -> str:
        shared = counted(len(self.manifest), "video")
        return f"{shared} in common, {self.left_out} of ours left out, {self.missing} of theirs missing"


def keep_common(manifest: Manifest, path: str | Path) -> CommonVideos:
    """The videos of a manifest that a list names, in the manifest's order.

    The list may have any format that `read_manifest` reads, or an id or a path on each line. Names are compared without
    folder and suffix; videos of Kinetics by YouTube's id.

    Raises:
        DataError: no such list, or no video in common.
    """
    path = Path(path)
    theirs = {video_key(name) for name in read_rows(path, bare=True, labelled=False)[0].paths}
    ours = [video_key(name) for name in manifest.ids.tolist()]
    rows = np.array([row for row, key in enumerate(ours) if key in theirs], dtype=np.int64)
    if not len(rows):
        raise DataError(
            f"{path}: names none of the {counted(len(manifest), 'video')} ({ours[0]} is the first of ours, "
            f"{min(theirs, default='nothing')} the first of theirs)."
        )
    return CommonVideos(manifest[rows], len(ours) - len(rows), len(theirs - set(ours)))


def video_key(name: str) -> str:
    """What identifies a video by its name, whatever its folder, file type or segment."""
    stem = Path(name).stem if Path(name).suffix else Path(name).name
    kinetics = _KINETICS.match(stem)
    return kinetics[1] if kinetics else stem
