"""Videos without labels: a list of them, its entries, and what a data set of views needs of any list."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, Place, located, shown, written
from marey.base.errors import DataError, DecodeError
from marey.base.jsonable import BYTES
from marey.base.notebook import ending, table
from marey.base.words import counted
from marey.video.source import FrameSource

_SHOWN = 10
"""Videos that a notebook shows of a list."""
_LONGEST_PATH = 40
"""Characters of a path in a `repr`."""

Target: TypeAlias = int | NDArray[np.float32]
"""The index of a video's class; or, with several labels per video, 1 for each of them and 0 for the others, [K]."""


@dataclass(frozen=True, repr=False)
class VideoEntry:
    """One video, or a part of it: from `start` to `end` in seconds, or from frame `start_frame` up to the one before
    `end_frame`, counted from 0 (half-open); None: from its beginning, to its end.
    """

    id: str
    """The path as its list has it, an address without login and signature; for a part of the video with "@start-end" behind
    it, by frames "@fSTART-END".
    """
    path: Place
    start: float | None = None
    end: float | None = None
    start_frame: int | None = None
    end_frame: int | None = None

    @classmethod
    def named(
        cls,
        name: str,
        path: Place,
        start: float | None = None,
        end: float | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> "VideoEntry":
        """An entry whose id is made of its name in the list and of its part."""
        part = ""
        if start is not None or end is not None:
            part = f"@{seconds_text(start) or 0}-{seconds_text(end)}"
        if start_frame is not None or end_frame is not None:
            part += f"@f{start_frame or 0}-{'' if end_frame is None else end_frame}"
        return cls(shown(name) + part, path, start, end, start_frame, end_frame)

    @property
    def file(self) -> Path:
        """The path, for what works on files of this machine.

        Raises:
            DataError: it is an address.
        """
        if isinstance(self.path, Address):
            raise DataError(
                f"{self.path}: lies on a server, and files of this machine are worked on here: fetch it first."
            )
        return self.path

    @property
    def part_text(self) -> str:
        """The part that is meant, as " 2 s to 4.5 s"; nothing where that is the whole video."""
        if self.start_frame is not None or self.end_frame is not None:
            return f" frames {self.start_frame or 0} to {'the end' if self.end_frame is None else self.end_frame - 1}"
        if self.start is None and self.end is None:
            return ""
        end = "the end" if self.end is None else f"{seconds_text(self.end)} s"
        return f" {seconds_text(self.start or 0)} s to {end}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({short_path(self.path)!r}{self.part_text})"


class Videos(Protocol):
    """Videos by row: what a data set of views needs of a `VideoList` or of a `Manifest`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> VideoEntry: ...

    def target(self, index: int, /) -> Target | None:
        """What a network should answer for a video; None where the list has no labels."""


@dataclass(frozen=True, eq=False, repr=False)
class VideoList:
    """Videos without labels. Columns, not a list of objects: a million rows stay small, and forked workers share them.

    `ids` are the paths as the list has them, relative to `root`, or addresses; `times` are seconds or NaN.
    """

    ids: NDArray[np.str_]
    root: Path = Path()
    times: NDArray[np.float64] | None = None
    """[N, 2]: start and end."""
    source: str = field(default="")
    """The list or folder that names them, for messages."""
    frame_ranges: NDArray[np.int64] | None = None
    """[N, 2]: the first frame of each part, from 0, and the first one after it, -1 where it goes to the end; None where
    the list names no parts by frames."""

    @classmethod
    def from_paths(cls, paths: str | Path | Address | Iterable[str | Path | Address]) -> "VideoList":
        """Whole videos, in the given order, by path or address; relative paths are relative to the working folder. One path
        is one video.
        """
        several = [paths] if isinstance(paths, str | Path | Address) else paths
        return cls(np.array([written(path) for path in several], np.str_))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> VideoEntry: ...
    @overload
    def __getitem__(self, index: NDArray[Any] | slice) -> "VideoList": ...
    def __getitem__(self, index: int | NDArray[Any] | slice) -> "VideoEntry | VideoList":
        if isinstance(index, np.ndarray | slice):
            times = None if self.times is None else self.times[index]
            ranges = None if self.frame_ranges is None else self.frame_ranges[index]
            return VideoList(self.ids[index], self.root, times, self.source, ranges)
        start, end = (None, None) if self.times is None else map(_second, self.times[index].tolist())
        frames = (None, None) if self.frame_ranges is None else _frames(*self.frame_ranges[index].tolist())
        name = str(self.ids[index])
        return VideoEntry.named(name, located(self.root, name), start, end, *frames)

    def __iter__(self) -> Iterator[VideoEntry]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"VideoList({source_text(self.source)}{counted(len(self), 'video')})"

    def _repr_html_(self) -> str:
        """The first videos, as a notebook shows them."""
        first = [(str(video.path), video.part_text.strip()) for video in self[:_SHOWN]]
        more = f"and {len(self) - _SHOWN:,} more" if len(self) > _SHOWN else ""
        parts = any(part for _, part in first)
        rows = first if parts else [(path,) for path, _ in first]
        return table(repr(self), ["video", "part"] if parts else ["video"], rows, note=more)

    def target(self, index: int) -> None:
        """No video of this list has a label."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, times and ranges of frames: two results with the same one saw the same list. Signatures of
        addresses do not count: they are other ones every day.
        """
        return fingerprint(shown_names(self.ids), self.times, *given(self.frame_ranges))


def frame_range(video: VideoEntry, source: FrameSource) -> tuple[int, int]:
    """The first frame and the number of frames between an entry's start and end, given in seconds or in frames; an end
    after that of the video is the video's.

    Raises:
        DecodeError: no frame lies there.
    """
    if video.start_frame is not None or video.end_frame is not None:
        begin = video.start_frame or 0
        last = len(source) if video.end_frame is None else min(video.end_frame, len(source))
        if last <= begin:
            raise DecodeError(video.path, f"has no frame {begin} (counted from 0): it has {len(source)}")
        return begin, last - begin
    times = source.timestamps - source.timestamps[0]
    first = 0 if video.start is None else int(np.searchsorted(times, video.start - 1e-6))
    last = len(source) if video.end is None else int(np.searchsorted(times, video.end - 1e-6))
    if last <= first:
        lie = _between(video.start, video.end)
        raise DecodeError(video.path, f"no frame lies between {lie} (the last one is shown at {times[-1]:.2f} s)")
    return first, last - first


def _between(start: float | None, end: float | None) -> str:
    """The two ends of a part in seconds, in words."""
    return f"{seconds_text(start or 0)} s and {'the end' if end is None else f'{seconds_text(end)} s'}"


def fingerprint(*columns: NDArray[Any] | None, words: Iterable[Iterable[str]] = ()) -> str:
    """SHA-256, as 64 hex digits, over the shapes and values of columns, then over lists of words."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(b"-" if column is None else str(column.shape).encode())
        digest.update(b"" if column is None else "\0".join(map(str, column.ravel().tolist())).encode("utf-8", BYTES))
    for several in words:
        digest.update("\0".join(several).encode("utf-8", BYTES))
    return digest.hexdigest()


def given(column: NDArray[Any] | None) -> list[NDArray[Any]]:
    """A column for a fingerprint, or nothing: lists without it keep the fingerprint that they had before there was one."""
    return [] if column is None else [column]


def seconds_text(seconds: float | None) -> str:
    """Seconds with every digit that they have (3661.125, 10), "" for None and NaN."""
    return "" if seconds is None or np.isnan(seconds) else repr(float(seconds)).removesuffix(".0")


def source_text(source: str) -> str:
    """The beginning of a list's `repr`: where it was read from."""
    return f"{short_path(source)!r}: " if source else ""


def shown_names(ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """The names of videos as results have them: addresses without logins and signatures."""
    secret = np.char.find(ids, "://") > 0
    if not secret.any():
        return ids
    return np.array([shown(name) for name in ids.tolist()])


def short_path(path: str | Place) -> str:
    """A path as a `repr` of one line has it: of a long one its end."""
    return ending(str(path), _LONGEST_PATH)


def classes_text(names: Sequence[str]) -> str:
    """How many classes, and the names of the first: "3 classes (left, right, up)"."""
    return f"{counted(len(names), 'class')} ({first_of(names, 4)})"


def first_of(names: Iterable[object], most: int) -> str:
    """The first `most` names in words, "a, b, ..." where there are more; addresses as they are shown."""
    listed = [shown(str(name)) for name in islice(names, most + 1)]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _second(value: float) -> float | None:
    return None if np.isnan(value) else value


def _frames(start: int, end: int) -> tuple[int | None, int | None]:
    """A row of `frame_ranges` as an entry has it."""
    return (None, None) if (start, end) == (0, -1) else (start, None if end < 0 else end)
