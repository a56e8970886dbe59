"""Lists of videos that are read in pieces, so that each video takes only 16 bytes of memory.

    listed = read_in_pieces(["corpus.parquet"])      one pass over the entire list: its faults, its length, its fingerprint
    for videos in listed.pieces(): ...               a second pass: 10,000 videos at a time

The pieces together are what `marey.data.lists.read_videos.read_videos` returns, by the same rules. Parquet, tables of text,
lines of videos and lines of JSON are read in pieces. Folders, and the lists that the docstring of
`marey.data.lists.list_streams` excludes, are read as a whole and then divided.

The first pass holds 16 bytes for each video, and the names of all files in the existing folders that the list names. Later
passes hold the index of each video that repeats an earlier one (8 bytes each), and how paths were completed to existing
files (2 bytes for each path of a piece in which some were).
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Location
from marey.base.errors import DataError
from marey.base.jsonable import BYTES
from marey.base.reporter import CollectingReporter, report_collected, reporting
from marey.data.lists.list_streams import CannotStreamError, ListStream
from marey.data.lists.manifest import frame_ranges_of, joined_videos, times_of
from marey.data.lists.read_videos import as_paths, is_listed, report_repeated, videos_at
from marey.data.lists.resolve_paths import changed_error, join_folder
from marey.data.lists.videos import ALL_FRAMES, VideoList, shown_names

PIECE = 10_000
"""Videos in a piece, unless another number is asked for."""
_DIGEST = 16
"""Bytes of the digest that identifies a video. Among 10**9 videos, the chance that two have the same is 1 in 10**21."""


@dataclass(frozen=True, eq=False)
class ListedPieces:
    """A list of videos that was read once, and can be read again in pieces."""

    rows: int
    """The number of videos, without repeated ones."""
    fingerprint: str
    """SHA-256, 64 hex digits, over the resolved paths of the videos and their segments, in order; addresses count without
    login and signature. It does not depend on the size of the pieces."""
    source: str
    """The list, for messages; "" for several lists."""
    size: int
    """The number of videos in each piece; the last may have fewer."""
    _streams: Sequence["_VideoStream"] = field(repr=False)
    """The lists, files and folders, each as a stream of videos that can be read again."""
    _columns: "_Columns" = field(repr=False)
    """The columns of segments that every piece gets, because some video of the list has them."""
    _repeated: NDArray[np.int64] = field(repr=False)
    """The indices, ascending, of the videos that repeat an earlier one, in the sequence of all videos of all streams."""

    def pieces(self) -> Iterator[VideoList]:
        """The videos in order, `size` at a time; the last time the remaining ones.

        Raises:
            DataError: the list has changed since the first pass.
        """
        digest = hashlib.sha256()
        for videos in _divided(self._without_repeated(), self.size):
            digest.update(b"".join(_shown_keys(videos, _video_keys(videos))))
            yield videos
        if digest.hexdigest() != self.fingerprint:
            raise changed_error(self.source or "the lists")

    def _without_repeated(self) -> Iterator[VideoList]:
        """The videos of all streams without the repeated ones."""
        offset = 0
        for stream in self._streams:
            for videos in stream.again(self.size):
                first, last = np.searchsorted(self._repeated, (offset, offset + len(videos)))
                kept = np.delete(np.arange(len(videos)), self._repeated[first:last] - offset)
                offset += len(videos)
                yield self._columns.of(videos[kept] if first < last else videos, self.source)


def read_in_pieces(
    paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None, size: int = PIECE
) -> ListedPieces:
    """Read completely what `marey.data.lists.read_videos.read_videos` reads, so that faults are found before work begins.

    Args:
        paths: Files, folders and lists.
        root: The folder of the relative paths of lists, or the address below which they are; None: each list's own folder.
        size: The number of videos in a piece, at least 1.

    Raises:
        DataError: as `read_videos`, or `size` is less than 1.
    """
    _check_size(size)
    streams = _streams_of_paths(as_paths(paths), root)
    while True:
        kept = CollectingReporter()
        try:
            with reporting(kept):
                return _first_pass(streams, size)
        except CannotStreamError as error:
            kept.take()  # reading the list as a whole gives the same notices again
            streams[streams.index(error.stream)] = _HeldVideos(error.stream.read_at_once())
        finally:
            report_collected(kept.take(), reported=set())


def as_pieces(videos: VideoList, size: int = PIECE) -> ListedPieces:
    """A list in memory, to be read in pieces; repeated videos stay.

    Raises:
        DataError: `size` is less than 1.
    """
    _check_size(size)
    digest = hashlib.sha256()
    for piece in _divided([videos], size):
        digest.update(b"".join(_shown_keys(piece, _video_keys(piece))))
    columns = _Columns(times=videos.times is not None, frame_ranges=videos.frame_ranges is not None)
    none = np.empty(0, np.int64)
    return ListedPieces(len(videos), digest.hexdigest(), videos.source, size, [_HeldVideos(videos)], columns, none)


def _check_size(size: int) -> None:
    if size < 1:
        raise DataError(f"size={size}: a piece must hold at least 1 video.")


def _streams_of_paths(paths: Sequence[Location], root: str | Path | None) -> list["_VideoStream"]:
    """The streams of some paths, in order: one for each list, and one for all other paths between two lists or at an end."""
    streams: list[_VideoStream] = []
    for listed, some in groupby(paths, key=is_listed):
        if listed:
            streams += [ListStream(path, root) for path in some if isinstance(path, Path)]
        else:
            streams.append(_HeldVideos(joined_videos([videos_at(path, root) for path in some])))
    return streams


def _first_pass(streams: Sequence["_VideoStream"], size: int) -> ListedPieces:
    """Read all streams once.

    Raises:
        CannotStreamError: one of them can only be read as a whole.
        DataError: as `read_in_pieces`.
    """
    digest, seen, count = hashlib.sha256(), _Seen(), 0
    repeated: list[NDArray[np.int64]] = []
    columns = _Columns()
    for stream in streams:
        for videos in stream.first(size):
            keys = _video_keys(videos)
            new = seen.add(keys)
            digest.update(b"".join(compress(_shown_keys(videos, keys), new)))
            repeated.append(count + np.flatnonzero(~new))
            count += len(videos)
            columns = columns.and_of(videos)
    left_out = np.concatenate([np.empty(0, np.int64), *repeated])
    source = streams[0].source if len(streams) == 1 else ""
    if len(left_out):
        report_repeated(source, len(left_out))
    return ListedPieces(count - len(left_out), digest.hexdigest(), source, size, streams, columns, left_out)


@dataclass(frozen=True)
class _Columns:
    """Which columns of segments a list has: those with a value in at least one row."""

    times: bool = False
    """Whether some row names a segment by seconds."""
    frame_ranges: bool = False
    """Whether some row names a segment by frames."""

    def and_of(self, videos: VideoList) -> "_Columns":
        """These columns, and those that further videos have."""
        times = self.times or not np.isnan(times_of(videos)).all()
        return _Columns(times, self.frame_ranges or bool((frame_ranges_of(videos) != ALL_FRAMES).any()))

    def of(self, videos: VideoList, source: str) -> VideoList:
        """Some of the list's videos, with exactly these columns."""
        return VideoList(
            videos.ids,
            videos.root,
            times_of(videos) if self.times else None,
            source,
            frame_ranges_of(videos) if self.frame_ranges else None,
        )


class _Seen:
    """The videos of earlier pieces: digests in sorted arrays ("runs"), each at most half as long as the one before."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.bytes_]] = []

    def add(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Add videos by their keys; returns whether each is new [N]."""
        digests = np.array([hashlib.blake2b(key, digest_size=_DIGEST).digest() for key in keys], f"S{_DIGEST}")
        values, first = np.unique(digests, return_index=True)
        fresh = np.ones(len(values), bool)
        for run in self._runs:
            nearest = np.minimum(np.searchsorted(run, values), len(run) - 1)
            fresh &= run[nearest] != values
        new = np.zeros(len(keys), bool)
        new[first[fresh]] = True
        self._hold(values[fresh])
        return new

    def _hold(self, values: NDArray[np.bytes_]) -> None:
        if not len(values):
            return
        self._runs.append(values)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) > len(self._runs[-2]):
            two = np.concatenate([self._runs.pop(), self._runs.pop()])
            two.sort(kind="stable")  # this sort merges sorted parts, which is fast
            self._runs.append(two)


def _video_keys(videos: VideoList) -> list[bytes]:
    """The key that identifies each video: its path and segment.

    Addresses are complete here, with parameters that are not shown: one of these may identify the video, and it is better to
    process a video twice than to lose one.
    """
    paths = videos.ids.tolist() if videos.root == Path() else join_folder(videos.root, videos.ids.tolist())
    if videos.times is None and videos.frame_ranges is None:
        return [f"{path}\0\0".encode("utf-8", BYTES) for path in paths]
    segments = zip(times_of(videos).tolist(), frame_ranges_of(videos).tolist(), strict=True)
    return [
        f"{path}\0{_segment_text(*span, *frames)}\0".encode("utf-8", BYTES)
        for path, (span, frames) in zip(paths, segments, strict=True)
    ]


def _shown_keys(videos: VideoList, keys: list[bytes]) -> list[bytes]:
    """As `_video_keys`, but with addresses without logins and signatures: a list whose URLs were signed again is equal."""
    ids = shown_names(videos.ids)
    return keys if ids is videos.ids else _video_keys(replace(videos, ids=ids))


def _segment_text(start: float, end: float, first: int, last: int) -> str:
    """A segment as text, the same for equal segments; "" for an entire video."""
    if (first, last) == ALL_FRAMES and math.isnan(start) and math.isnan(end):
        return ""
    return f"{start + 0.0!r} {end!r} {first} {last}"  # + 0.0 makes 0.0 of -0.0


def _divided(lists: Iterable[VideoList], size: int) -> Iterator[VideoList]:
    """The videos of lists with the same columns and root, `size` at a time."""
    held: list[VideoList] = []
    count = 0
    for videos in lists:
        begin = 0
        while begin < len(videos):
            held.append(videos[begin : begin + size - count])
            count, begin = count + len(held[-1]), begin + len(held[-1])
            if count == size:
                yield _concatenated(held)
                held, count = [], 0
    if held:
        yield _concatenated(held)


def _concatenated(lists: Sequence[VideoList]) -> VideoList:
    """Lists with the same columns and root as one list, with these columns even if they are empty."""
    first = lists[0]
    if len(lists) == 1:
        return first
    return VideoList(
        np.concatenate([one.ids for one in lists]),
        first.root,
        None if first.times is None else np.concatenate([times_of(one) for one in lists]),
        first.source,
        None if first.frame_ranges is None else np.concatenate([frame_ranges_of(one) for one in lists]),
    )


class _VideoStream(Protocol):
    """Videos that are read once with checks, and then again any number of times."""

    source: str
    """The list, for messages; "" for none or several."""

    def first(self, size: int) -> Iterator[VideoList]:
        """The first pass, at most `size` videos at a time; it checks all rows and ends with the notices of the list.

        Raises:
            CannotStreamError: the list can only be read as a whole.
            DataError: with file and line: a row that cannot be read.
        """
        ...

    def again(self, size: int) -> Iterator[VideoList]:
        """Another pass over the same videos.

        Raises:
            DataError: the videos have changed since the first pass.
        """
        ...


class _HeldVideos:
    """Videos in memory."""

    def __init__(self, videos: VideoList) -> None:
        self._videos, self.source = videos, videos.source

    def first(self, size: int) -> Iterator[VideoList]:
        return _divided([self._videos], size)

    def again(self, size: int) -> Iterator[VideoList]:
        return _divided([self._videos], size)
