"""UCF101: 13,320 clips of 101 classes, 25 groups per class with the clips of one recording each, three official splits.

A clip is v_<Class>_g<group>_c<clip>.avi. Split 1 tests on the groups 1-7, split 2 on 8-14 and split 3 on 15-21; each
trains on the other groups. The published ucfTrainTestlist is exactly that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from marey.data.catalogue.class_names import unpack
from marey.data.catalogue.published import PackedSet, PublishedClip

_FILE_CLASS = {"HandstandPushups": "HandStandPushups"}
"""The only class whose files are spelt differently from its folder."""


@dataclass(frozen=True)
class Ucf101(PackedSet):
    """The clips of UCF101 and its official splits."""

    name: str = "ucf101"
    """The catalogue's name of the data set."""

    @property
    def official(self) -> Mapping[int, Mapping[str, int]]:
        return {
            1: {"train": 9537, "test": 3783},
            2: {"train": 9586, "test": 3734},
            3: {"train": 9624, "test": 3696},
        }

    def clips(self) -> Sequence[tuple[PublishedClip, str]]:
        return _clips()

    def key(self, path: str) -> str | None:
        stem = path.rpartition("/")[2].partition(".")[0]
        return stem if re.fullmatch(r"v_\w+_g\d+_c\d+", stem) else None


@cache
def _clips() -> tuple[tuple[PublishedClip, str], ...]:
    counts: dict[str, list[int]] = unpack("ucf101_clips")
    return tuple(
        (PublishedClip(f"{stem}_c{number:02d}", label, stem.removeprefix("v_")), _uses(group))
        for label, per_group in counts.items()
        for group, count in enumerate(per_group, start=1)
        for stem in [f"v_{_FILE_CLASS.get(label, label)}_g{group:02d}"]
        for number in range(1, count + 1)
    )


def _uses(group: int) -> str:
    """What the clips of a group are used for in splits 1, 2 and 3, as `PackedSet.clips` has it."""
    return "".join("2" if group in range(7 * split - 6, 7 * split + 1) else "1" for split in (1, 2, 3))


UCF101 = Ucf101()
