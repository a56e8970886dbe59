"""`VideoList`: a list of videos without labels, its entries, and the interface that lists with and without labels share."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, Location, as_listed, location_in, redacted
from marey.base.errors import DataError, DecodeError
from marey.base.jsonable import BYTES
from marey.base.notebook import html_table, keep_end
from marey.base.words import counted
from marey.video.source import FrameSource

_SHOWN = 10
"""The most videos of a list that a notebook shows."""
_LONGEST_PATH = 40
"""The most characters of a path in a `repr`."""

TimeSpan: TypeAlias = tuple[float, float]
"""Start and end of a segment in seconds, NaN for the beginning or the end of the video."""
FrameSpan: TypeAlias = tuple[int, int]
"""The first frame of a segment, from 0, and the first frame after it, -1 for the end of the video."""
ALL_FRAMES: FrameSpan = (0, -1)
"""The span of an entry that names no segment by frames."""
Target: TypeAlias = int | NDArray[np.float32]
"""The index of a video's class; with several labels per video, 1 for each of them and 0 for the other classes, [K]."""


@dataclass(frozen=True, repr=False)
class VideoEntry:
    """One entry of a list: a video, or a segment of it by seconds or by frames."""

    id: str
    """The path as its list has it, or an address without login and signature (of a signed URL). The id of a segment ends in
    "@START-END" in seconds, or in "@fSTART-END" in frames.
    """
    path: Location
    """The file, folder of frames or address."""
    start: float | None = None
    """Start of the segment in seconds; None: the beginning of the video."""
    end: float | None = None
    """End of the segment in seconds; None: the end of the video."""
    start_frame: int | None = None
    """The first frame of the segment, from 0; None: the first frame of the video."""
    end_frame: int | None = None
    """The first frame after the segment; None: the segment reaches the end of the video."""

    @classmethod
    def named(
        cls,
        name: str,
        path: Location,
        start: float | None = None,
        end: float | None = None,
        start_frame: int | None = None,
        end_frame: int | None = None,
    ) -> "VideoEntry":
        """An entry whose id is made from its name in the list and its segment."""
        segment = ""
        if start is not None or end is not None:
            segment = f"@{seconds_text(start) or 0}-{seconds_text(end)}"
        if start_frame is not None or end_frame is not None:
            segment += f"@f{start_frame or 0}-{'' if end_frame is None else end_frame}"
        return cls(redacted(name) + segment, path, start, end, start_frame, end_frame)

    @property
    def file(self) -> Path:
        """The path, for work that needs a file on this machine.

        Raises:
            DataError: the path is an address.
        """
        if isinstance(self.path, Address):
            raise DataError(
                f"{self.path}: is on a server, and only files on this machine can be used here: fetch it first."
            )
        return self.path

    @property
    def part_text(self) -> str:
        """The segment as " 2 s to 4.5 s" or " frames 10 to 49"; "" for an entire video."""
        if self.start_frame is not None or self.end_frame is not None:
            return f" frames {self.start_frame or 0} to {'the end' if self.end_frame is None else self.end_frame - 1}"
        if self.start is None and self.end is None:
            return ""
        end = "the end" if self.end is None else f"{seconds_text(self.end)} s"
        return f" {seconds_text(self.start or 0)} s to {end}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({short_path(self.path)!r}{self.part_text})"


class Videos(Protocol):
    """What `VideoList` and `Manifest` have in common for the data sets that loaders read: entries and targets, by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> VideoEntry: ...

    def target(self, index: int, /) -> Target | None:
        """The target of a video for training and testing; None where the list has no labels."""


@dataclass(frozen=True, eq=False, repr=False)
class VideoList:
    """N videos without labels.

    It holds columns, not a list of objects, so that a million rows stay small and forked workers share them.
    """

    ids: NDArray[np.str_]
    """[N]: the paths as the list has them, relative to `root`, or addresses."""
    root: Path = Path()
    """The folder of relative paths; by default the working folder."""
    times: NDArray[np.float64] | None = None
    """[N, 2]: start and end of each segment in seconds, NaN for the beginning or end of the video; None: no segments by
    time."""
    source: str = field(default="")
    """The list or folder that names the videos, for messages."""
    frame_ranges: NDArray[np.int64] | None = None
    """[N, 2]: the first frame of each segment, from 0, and the first frame after it, -1 for the end of the video; None: no
    segments by frames."""

    @classmethod
    def from_paths(cls, paths: str | Path | Address | Iterable[str | Path | Address]) -> "VideoList":
        """Entire videos by path or address, in the given order; relative paths are relative to the working folder."""
        several = [paths] if isinstance(paths, str | Path | Address) else paths
        return cls(np.array([as_listed(path) for path in several], np.str_))

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
        return VideoEntry.named(name, location_in(self.root, name), start, end, *frames)

    def __iter__(self) -> Iterator[VideoEntry]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"VideoList({source_text(self.source)}{counted(len(self), 'video')})"

    def _repr_html_(self) -> str:
        """The first videos, as a notebook shows them."""
        first = [(str(video.path), video.part_text.strip()) for video in self[:_SHOWN]]
        more = f"and {len(self) - _SHOWN:,} more" if len(self) > _SHOWN else ""
        has_segments = any(segment for _, segment in first)
        rows = first if has_segments else [(path,) for path, _ in first]
        return html_table(repr(self), ["video", "segment"] if has_segments else ["video"], rows, note=more)

    def target(self, index: int) -> None:
        """No video of this list has a label."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, times and ranges of frames: results with the same fingerprint are of the same list.

        Logins and signatures in addresses do not count: those of signed URLs change every day.
        """
        return fingerprint(shown_names(self.ids), self.times, *given(self.frame_ranges))


def frame_range(video: VideoEntry, source: FrameSource) -> tuple[int, int]:
    """The first frame and the number of frames of an entry's segment. A segment that ends after the video ends with it.

    Raises:
        DecodeError: the segment has no frame.
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
        segment = _between(video.start, video.end)
        raise DecodeError(video.path, f"no frame lies between {segment} (the last one is shown at {times[-1]:.2f} s)")
    return first, last - first


def _between(start: float | None, end: float | None) -> str:
    """Start and end of a segment in seconds, in words."""
    return f"{seconds_text(start or 0)} s and {'the end' if end is None else f'{seconds_text(end)} s'}"


def fingerprint(*columns: NDArray[Any] | None, words: Iterable[Iterable[str]] = ()) -> str:
    """SHA-256, as 64 hex digits, of the shapes and values of columns, then of lists of words."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(b"-" if column is None else str(column.shape).encode())
        digest.update(b"" if column is None else "\0".join(map(str, column.ravel().tolist())).encode("utf-8", BYTES))
    for some in words:
        digest.update("\0".join(some).encode("utf-8", BYTES))
    return digest.hexdigest()


def given(column: NDArray[Any] | None) -> list[NDArray[Any]]:
    """The column to pass to `fingerprint`, in a list; an empty list for None, so that a list without this column keeps the
    fingerprint that it had before the column existed.
    """
    return [] if column is None else [column]


def seconds_text(seconds: float | None) -> str:
    """Seconds with all their digits (3661.125, 10); "" for None and NaN."""
    return "" if seconds is None or np.isnan(seconds) else repr(float(seconds)).removesuffix(".0")


def source_text(source: str) -> str:
    """The beginning of the `repr` of a list: the path that it was read from."""
    return f"{short_path(source)!r}: " if source else ""


def shown_names(ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """The names of videos as results contain them: addresses without logins and signatures."""
    secret = np.char.find(ids, "://") > 0
    if not secret.any():
        return ids
    return np.array([redacted(name) for name in ids.tolist()])


def short_path(path: str | Location) -> str:
    """A path as a `repr` of one line shows it: of a long path, the end."""
    return keep_end(str(path), _LONGEST_PATH)


def classes_text(names: Sequence[str]) -> str:
    """The number of classes and the first names: "3 classes (left, right, up)"."""
    return f"{counted(len(names), 'class')} ({first_of(names, 4)})"


def first_of(names: Iterable[object], most: int) -> str:
    """The first `most` names, "a, b, ..." where there are more; addresses without logins and signatures."""
    listed = [redacted(str(name)) for name in islice(names, most + 1)]
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _second(value: float) -> float | None:
    return None if np.isnan(value) else value


def _frames(start: int, end: int) -> tuple[int | None, int | None]:
    """A row of `frame_ranges` as the fields of an entry."""
    return (None, None) if (start, end) == ALL_FRAMES else (start, None if end < 0 else end)
