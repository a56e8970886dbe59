"""HMDB51: 6,766 clips of 51 classes, three official splits of 70 training and 30 test clips per class.

A clip is <source>_<class>_<visible part>_<camera>_np<people>_<view>_<quality>_<number>.avi; clips of one source never
stand on both sides of an official split, so the source is the group.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from marey.base.errors import DataError
from marey.data.catalogue.packed import unpack
from marey.data.catalogue.published import Clip, Files, Part, PublishedSet

OFFICIAL = {"train": 3570, "test": 1530}
"""Clips of each of the three splits; the other 1,666 are in none of it."""

_USES = {"train": "1", "test": "2"}


@dataclass(frozen=True)
class Hmdb51(PublishedSet):
    """The published set."""

    name: str = "hmdb51"

    def key(self, path: str) -> str | None:
        """Names are free text with every sign in it: a file is a clip if its name is one."""
        name = path.rpartition("/")[2]
        stem = next((name[: -len(s)] for s in (".avi", ".mp4", ".mkv", ".webm") if name.lower().endswith(s)), name)
        return stem if stem in _labels() else None

    def parts(self, folder: Path, files: Files, lists: Sequence[Path]) -> list[Part]:
        """The three official splits, as packed.

        Raises:
            DataError: lists are given: there is nothing that they could change.
        """
        if lists:
            raise DataError(f"{lists[0]}: HMDB51's official splits come with Marey; leave out --list.")
        return [
            Part(f"hmdb51_split{split}", side, split_clips(split, side), official)
            for split in (1, 2, 3)
            for side, official in OFFICIAL.items()
        ]


@cache
def clips() -> tuple[tuple[Clip, str], ...]:
    """Every clip with its use in splits 1, 2 and 3: "1" for training, "2" for testing, "0" for none; as in "120"."""
    packed: dict[str, tuple[list[str], list[str]]] = unpack("hmdb51_clips")
    return tuple(
        (Clip(name, label, name.rpartition(f"_{label}_")[0]), uses)
        for label, columns in packed.items()
        for name, uses in zip(*columns, strict=True)
    )


@cache
def _labels() -> dict[str, str]:
    return {clip.key: clip.label for clip, _ in clips()}


def split_clips(split: int, side: str) -> list[Clip]:
    """The clips of one side ("train" or "test") of official split 1, 2 or 3."""
    return [clip for clip, uses in clips() if uses[split - 1] == _USES[side]]
