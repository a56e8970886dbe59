"""UCF101: 13,320 clips of 101 classes, 25 groups of clips from one source per class, three official splits.

A clip is v_<Class>_g<group>_c<clip>.avi. Split s tests on groups 7 s - 6 to 7 s (1-7, 8-14, 15-21) and trains on the
others: the published ucfTrainTestlist is exactly that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from marey.base.errors import DataError
from marey.data.catalogue.packed import unpack
from marey.data.catalogue.published import Clip, Files, Part, PublishedSet

OFFICIAL = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
"""Training and test clips of each split."""

_FILE_CLASS = {"HandstandPushups": "HandStandPushups"}
"""The one class whose files are spelt unlike its folder."""


@dataclass(frozen=True)
class Ucf101(PublishedSet):
    """The published set."""

    name: str = "ucf101"

    def key(self, path: str) -> str | None:
        stem = path.rpartition("/")[2].partition(".")[0]
        return stem if re.fullmatch(r"v_\w+_g\d+_c\d+", stem) else None

    def parts(self, folder: Path, files: Files, lists: Sequence[Path]) -> list[Part]:
        """The three official splits, as packed.

        Raises:
            DataError: lists are given: there is nothing that they could change.
        """
        if lists:
            raise DataError(f"{lists[0]}: UCF101's official splits come with Marey; leave out --list.")
        return [
            Part(f"ucf101_split{split}", side, split_clips(split, side), official)
            for split, numbers in OFFICIAL.items()
            for side, official in zip(("train", "test"), numbers, strict=True)
        ]


@cache
def clips() -> tuple[tuple[Clip, int], ...]:
    """Every clip with the number of its group, 1 to 25."""
    counts: dict[str, list[int]] = unpack("ucf101_clips")
    return tuple(
        (Clip(f"{stem}_c{number:02d}", label, stem.removeprefix("v_")), group)
        for label, per_group in counts.items()
        for group, count in enumerate(per_group, start=1)
        for stem in [f"v_{_FILE_CLASS.get(label, label)}_g{group:02d}"]
        for number in range(1, count + 1)
    )


def split_clips(split: int, side: str) -> list[Clip]:
    """The clips of one side ("train" or "test") of official split 1, 2 or 3."""
    held_out = range(7 * split - 6, 7 * split + 1)
    return [clip for clip, group in clips() if (group in held_out) == (side == "test")]
