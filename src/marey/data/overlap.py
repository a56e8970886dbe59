"""Copies of a public data set differ between people: scoring on the videos that somebody else had, too."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.base.errors import DataError
from marey.data.manifest import Manifest
from marey.data.text import read_text

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
        return (
            f"{len(self.manifest)} videos in common, {self.left_out} of ours left out, {self.missing} of theirs missing"
        )


def only(manifest: Manifest, path: str | Path) -> Overlap:
    """Keep the videos whose names stand in a list, in our order.

    The list has a video a line (an id or a path, more words are passed over), or is a CSV with a column `path`,
    `youtube_id` or `id`. Names are compared without folder and suffix; Kinetics clips by YouTube's id.

    Raises:
        DataError: no such list, or not one video in common.
    """
    path = Path(path)
    theirs = {video_key(name) for name in _names(path)}
    ours = [video_key(name) for name in manifest.ids.tolist()]
    rows = np.array([row for row, key in enumerate(ours) if key in theirs], dtype=np.int64)
    if not len(rows):
        raise DataError(
            f"{path}: names none of the {len(manifest)} videos ({ours[0]} stands first among ours, "
            f"{min(theirs, default='nothing')} among theirs)."
        )
    return Overlap(manifest[rows], len(ours) - len(rows), len(theirs - set(ours)))


def video_key(name: str) -> str:
    """What names a video whatever folder, file type or cut it lies in."""
    stem = Path(name).stem if Path(name).suffix else Path(name).name
    cut = _KINETICS.match(stem)
    return cut[1] if cut else stem


def _names(path: Path) -> list[str]:
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    header = [word.strip() for word in lines[0].split(",")] if lines else []
    column = next((name for name in ("path", "youtube_id", "id") if name in header), None)
    if column is not None:
        return [row[column] for row in csv.DictReader(lines, fieldnames=header)][1:]
    return [_first(line) for line in lines]


def _first(line: str) -> str:
    """The name on a line of words: what stands before numbers at its end, since a path may hold spaces."""
    return re.sub(r"(?:[ ,\t]+\d+)+$", "", line)
