"""HMDB51: 6,766 clips of 51 classes, three official splits of 70 training and 30 test clips per class.

A clip is <source>_<class>_<visible part>_<camera>_np<people>_<view>_<quality>_<number>.avi. The source is what
a clip was cut from, such as a movie. Training and test clips of an official split never share one, so it is the group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from marey.data.catalogue.class_names import unpack
from marey.data.catalogue.published import PackedSet, PublishedClip


@dataclass(frozen=True)
class Hmdb51(PackedSet):
    """The clips of HMDB51 and its official splits."""

    name: str = "hmdb51"
    """The catalogue's name of the data set."""

    @property
    def official(self) -> Mapping[int, Mapping[str, int]]:
        """The counts of each split, which does not use the other 1,666 clips."""
        return {number: {"train": 3570, "test": 1530} for number in (1, 2, 3)}

    def clips(self) -> Sequence[tuple[PublishedClip, str]]:
        return _clips()

    def key(self, path: str) -> str | None:
        """The file's name without suffix, if it is the name of a published clip; else None. Names have no fixed form, so
        they are compared with those of all clips.
        """
        name = path.rpartition("/")[2]
        stem = next((name[: -len(s)] for s in (".avi", ".mp4", ".mkv", ".webm") if name.lower().endswith(s)), name)
        return stem if stem in _clip_keys() else None


@cache
def _clips() -> tuple[tuple[PublishedClip, str], ...]:
    packed: dict[str, tuple[list[str], list[str]]] = unpack("hmdb51_clips")
    return tuple(
        (PublishedClip(name, label, name.rpartition(f"_{label}_")[0]), uses)
        for label, columns in packed.items()
        for name, uses in zip(*columns, strict=True)
    )


@cache
def _clip_keys() -> frozenset[str]:
    return frozenset(clip.key for clip, _ in _clips())


HMDB51 = Hmdb51()
