"""Videos without labels: a list of them, its entries, and what a data set of views needs of any list."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.jsonable import BYTES

Target: TypeAlias = int | NDArray[np.float32]
"""The index of a video's class; or, with several labels per video, 1 for each of them and 0 for the others, [K]."""


@dataclass(frozen=True)
class VideoEntry:
    """One video, or the part of it from `start` to `end` seconds; None: from its beginning, to its end."""

    id: str
    """The path as its list has it, with "@start-end" behind it for a part of the video."""
    path: Path
    start: float | None = None
    end: float | None = None

    @classmethod
    def named(cls, name: str, path: Path, start: float | None = None, end: float | None = None) -> "VideoEntry":
        """An entry whose id is made of its name in the list and its times."""
        whole = start is None and end is None
        return cls(name if whole else f"{name}@{seconds_text(start) or 0}-{seconds_text(end)}", path, start, end)


class Videos(Protocol):
    """Videos by row: what a data set of views needs of a `VideoList` or of a `Manifest`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> VideoEntry: ...

    def target(self, index: int, /) -> Target | None:
        """What a network should answer for a video; None where the list has no labels."""


@dataclass(frozen=True, eq=False, repr=False)
class VideoList:
    """Videos without labels. Columns, not a list of objects: a million rows stay small, and forked workers share them.

    `ids` are the paths as the list has them, relative to `root`; `times` are seconds, NaN where none are given.
    """

    ids: NDArray[np.str_]
    root: Path = Path()
    times: NDArray[np.float64] | None = None
    """[N, 2]: start and end."""
    source: str = field(default="")
    """The list or folder that names them, for messages."""

    @classmethod
    def from_paths(cls, paths: str | Path | Iterable[str | Path]) -> "VideoList":
        """Whole videos, in the given order; relative paths are relative to the working folder. One path is one video."""
        several = [paths] if isinstance(paths, str | Path) else paths
        return cls(np.array([str(path) for path in several], np.str_))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> VideoEntry: ...
    @overload
    def __getitem__(self, index: NDArray[Any] | slice) -> "VideoList": ...
    def __getitem__(self, index: int | NDArray[Any] | slice) -> "VideoEntry | VideoList":
        if isinstance(index, np.ndarray | slice):
            times = None if self.times is None else self.times[index]
            return VideoList(self.ids[index], self.root, times, self.source)
        start, end = (None, None) if self.times is None else map(_second, self.times[index].tolist())
        name = str(self.ids[index])
        return VideoEntry.named(name, self.root / name, start, end)

    def __iter__(self) -> Iterator[VideoEntry]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"VideoList({source_text(self.source)}{counted(len(self), 'video')})"

    def target(self, index: int) -> None:
        """No video of this list has a label."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids and times: two results with the same one saw the same list."""
        return fingerprint(self.ids, self.times)


def fingerprint(*columns: NDArray[Any] | None, words: Iterable[Iterable[str]] = ()) -> str:
    """SHA-256, as 64 hex digits, over the shapes and values of columns, then over lists of words."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(b"-" if column is None else str(column.shape).encode())
        digest.update(b"" if column is None else "\0".join(map(str, column.ravel().tolist())).encode("utf-8", BYTES))
    for several in words:
        digest.update("\0".join(several).encode("utf-8", BYTES))
    return digest.hexdigest()


def seconds_text(seconds: float | None) -> str:
    """Seconds with every digit that they have (3661.125, 10), "" for None and NaN."""
    return "" if seconds is None or np.isnan(seconds) else repr(float(seconds)).removesuffix(".0")


def source_text(source: str) -> str:
    """The beginning of a list's `repr`: where it was read from."""
    return f"{source!r}: " if source else ""


def counted(count: int, one: str, several: str = "") -> str:
    """A count in words: "1 video", "1,000 videos"; `several` where more than one is not the word and an s."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _second(value: float) -> float | None:
    return None if np.isnan(value) else value
