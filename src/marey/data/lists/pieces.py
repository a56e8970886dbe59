"""Lists of videos that are read in pieces, with a memory that does not grow with the videos but for 16 bytes of each.

    listed = read_in_pieces(["corpus.parquet"])      one pass over the whole list: its faults, its videos, its fingerprint
    for videos in listed.pieces(): ...               a second pass: 10,000 videos at a time

Together the pieces are what `marey.data.lists.listing.read_videos` gives, by the same rules. Parquet, tables of text,
lines of videos and lines of JSON are read in pieces; what `marey.data.lists.row_pieces` names is read as a whole and then
divided, and so are folders.

During the first pass are held: 16 bytes for each video, and the names of the files in the folders that the list names, as
far as these are there. Between the passes: the places of videos that are named more than once (8 bytes each), and how paths
were completed by what lies on the disk (2 bytes for each path of a piece where some were).
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

from marey.base.address import Place, address_in, is_address
from marey.base.errors import DataError
from marey.base.jsonable import BYTES
from marey.base.reporter import KeepingReporter, reporting, say_again
from marey.data.lists.listing import is_listed, joined, listed_videos, paths_given, tell_of_repeated, videos_at
from marey.data.lists.row_pieces import open_rows
from marey.data.lists.rows import (
    ODD,
    WHOLE,
    FilesIn,
    Lying,
    NeedsWholeError,
    Rows,
    changed,
    frame_ranges_of,
    has_video_suffix,
    in_folder,
    no_text,
    on_server,
    refuse_odd_paths,
    times_of,
)
from marey.data.lists.videos import VideoList, shown_names

PIECE = 10_000
"""Videos of a piece."""
_DIGEST = 16
"""Bytes by which a video is known again: of a thousand million videos two have the same by a chance of 1 in 10**21."""
_NAMED = 3
"""Rows without a path that a message names."""


@dataclass(frozen=True, eq=False)
class ListedPieces:
    """A list of videos that was read once and is read again in pieces."""

    rows: int
    """Its videos, each once."""
    fingerprint: str
    """SHA-256, 64 hex digits, over the paths of the videos, as the list resolves them, and their parts, in order; of
    addresses without login and signature. It does not depend on how large the pieces are."""
    source: str
    """The list, for messages; "" of several."""
    size: int
    """Videos of each piece but the last."""
    _parts: Sequence["_Part"] = field(repr=False)
    _columns: "_Columns" = field(repr=False)
    _repeated: NDArray[np.int64] = field(repr=False)
    """The places of those that an earlier one repeats, among all."""

    def pieces(self) -> Iterator[VideoList]:
        """The videos in order, `size` at a time, the last time those that are left.

        Raises:
            DataError: the list is not what it was in the first pass.
        """
        digest = hashlib.sha256()
        for videos in _cut(self._kept(), self.size):
            digest.update(b"".join(_shown(videos, _named(videos))))
            yield videos
        if digest.hexdigest() != self.fingerprint:
            raise changed(self.source or "the lists")

    def _kept(self) -> Iterator[VideoList]:
        """The videos of all parts but the repeated ones."""
        begun = 0
        for part in self._parts:
            for videos in part.again(self.size):
                first, last = np.searchsorted(self._repeated, (begun, begun + len(videos)))
                kept = np.delete(np.arange(len(videos)), self._repeated[first:last] - begun)
                begun += len(videos)
                yield self._columns.of(videos[kept] if first < last else videos, self.source)


def read_in_pieces(
    paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None, size: int = PIECE
) -> ListedPieces:
    """Go once through all that `marey.data.lists.listing.read_videos` reads, so that every fault is found before any
    work begins.

    Args:
        paths: Files, folders and lists.
        root: The folder of the relative paths of lists, or the address below which they lie; else each list's own folder.
        size: Videos of a piece, from 1.

    Raises:
        DataError: as `read_videos`; or a piece would hold no video.
    """
    _check_size(size)
    parts = _parts(paths_given(paths), root)
    while True:
        kept = KeepingReporter()
        try:
            with reporting(kept):
                return _planned(parts, size)
        except _WholeError as error:
            kept.take()  # the list says it all again
            parts[parts.index(error.stream)] = _Held(error.stream.whole())
        finally:
            say_again(kept.take(), said=set())


def as_pieces(videos: VideoList, size: int = PIECE) -> ListedPieces:
    """A list in memory as one that is read in pieces: its videos as they are, also those that are there twice.

    Raises:
        DataError: a piece would hold no video.
    """
    _check_size(size)
    digest = hashlib.sha256()
    for piece in _cut([videos], size):
        digest.update(b"".join(_shown(piece, _named(piece))))
    columns = _Columns(times=videos.times is not None, frame_ranges=videos.frame_ranges is not None)
    none = np.empty(0, np.int64)
    return ListedPieces(len(videos), digest.hexdigest(), videos.source, size, [_Held(videos)], columns, none)


def _check_size(size: int) -> None:
    if size < 1:
        raise DataError(f"size={size}: a piece holds at least 1 video.")


# -- the first pass


def _parts(paths: Sequence[Place], root: str | Path | None) -> list["_Part"]:
    """What the paths name: lists, each by itself, and all that lies between two of them."""
    parts: list[_Part] = []
    for listed, several in groupby(paths, key=is_listed):
        if listed:
            parts += [_Stream(path, root) for path in several if isinstance(path, Path)]
        else:
            parts.append(_Held(joined([videos_at(path, root) for path in several])))
    return parts


def _planned(parts: Sequence["_Part"], size: int) -> ListedPieces:
    """The first pass over all parts.

    Raises:
        _WholeError: one of them is to be read as a whole.
        DataError: as `read_in_pieces`.
    """
    digest, seen, begun = hashlib.sha256(), _Seen(), 0
    repeated: list[NDArray[np.int64]] = []
    columns = _Columns()
    for part in parts:
        for videos in part.first(size):
            names = _named(videos)
            new = seen.add(names)
            digest.update(b"".join(compress(_shown(videos, names), new)))
            repeated.append(begun + np.flatnonzero(~new))
            begun += len(videos)
            columns = columns.and_of(videos)
    left_out = np.concatenate([np.empty(0, np.int64), *repeated])
    source = parts[0].source if len(parts) == 1 else ""
    if len(left_out):
        tell_of_repeated(source, len(left_out))
    return ListedPieces(
        begun - len(left_out), digest.hexdigest(), source, size, parts, columns, left_out
    )  # fmt: skip


@dataclass(frozen=True)
class _Columns:
    """Which columns a list has that says something in them."""

    times: bool = False
    frame_ranges: bool = False

    def and_of(self, videos: VideoList) -> "_Columns":
        """With those that some more videos have."""
        times = self.times or not np.isnan(times_of(videos)).all()
        return _Columns(times, self.frame_ranges or bool((frame_ranges_of(videos) != WHOLE).any()))

    def of(self, videos: VideoList, source: str) -> VideoList:
        """Some videos with these columns."""
        return VideoList(
            videos.ids,
            videos.root,
            times_of(videos) if self.times else None,
            source,
            frame_ranges_of(videos) if self.frame_ranges else None,
        )


class _Seen:
    """Knows again the videos that came before, by digests in sorted runs, each at most half as long as the one before."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.bytes_]] = []

    def add(self, names: Sequence[bytes]) -> NDArray[np.bool_]:
        """Whether each of some more videos is new [N]."""
        digests = np.array([hashlib.blake2b(name, digest_size=_DIGEST).digest() for name in names], f"S{_DIGEST}")
        values, first = np.unique(digests, return_index=True)
        fresh = np.ones(len(values), bool)
        for run in self._runs:
            places = np.minimum(np.searchsorted(run, values), len(run) - 1)
            fresh &= run[places] != values
        new = np.zeros(len(names), bool)
        new[first[fresh]] = True
        self._hold(values[fresh])
        return new

    def _hold(self, values: NDArray[np.bytes_]) -> None:
        if not len(values):
            return
        self._runs.append(values)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) > len(self._runs[-2]):
            two = np.concatenate([self._runs.pop(), self._runs.pop()])
            two.sort(kind="stable")  # which merges runs
            self._runs.append(two)


def _named(videos: VideoList) -> list[bytes]:
    """Path and part of each video: what tells it from others. Addresses are whole here: a parameter that is not shown may
    be the one that names the video, and a video that is done twice is better than one that is lost.
    """
    paths = videos.ids.tolist() if videos.root == Path() else in_folder(videos.root, videos.ids.tolist())
    if videos.times is None and videos.frame_ranges is None:
        return [f"{path}\0\0".encode("utf-8", BYTES) for path in paths]
    parts = zip(times_of(videos).tolist(), frame_ranges_of(videos).tolist(), strict=True)
    return [
        f"{path}\0{_part_text(*span, *frames)}\0".encode("utf-8", BYTES)
        for path, (span, frames) in zip(paths, parts, strict=True)
    ]


def _shown(videos: VideoList, names: list[bytes]) -> list[bytes]:
    """The `names` that `_named` gives, with addresses as they are shown: a list that was signed anew is the same list."""
    ids = shown_names(videos.ids)
    return names if ids is videos.ids else _named(replace(videos, ids=ids))


def _part_text(start: float, end: float, first: int, last: int) -> str:
    """A part, as it is the same for equal ones; "" for the whole video."""
    if (first, last) == WHOLE and math.isnan(start) and math.isnan(end):
        return ""
    return f"{start + 0.0!r} {end!r} {first} {last}"  # + 0.0: there is a zero below zero


def _cut(lists: Iterable[VideoList], size: int) -> Iterator[VideoList]:
    """The videos of lists with the same columns, `size` at a time."""
    held: list[VideoList] = []
    count = 0
    for videos in lists:
        begin = 0
        while begin < len(videos):
            held.append(videos[begin : begin + size - count])
            count, begin = count + len(held[-1]), begin + len(held[-1])
            if count == size:
                yield _one(held)
                held, count = [], 0
    if held:
        yield _one(held)


def _one(lists: Sequence[VideoList]) -> VideoList:
    """Lists with the same columns and root as one."""
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


# -- what is read


class _Part(Protocol):
    """Videos that are gone through twice, and by the second pass any number of times."""

    source: str

    def first(self, size: int) -> Iterator[VideoList]:
        """The first pass, about `size` videos at a time. At its end it says what a list has to say.

        Raises:
            _WholeError: the list can only be read as a whole.
            DataError: with file and line: what is not understood.
        """
        ...

    def again(self, size: int) -> Iterator[VideoList]:
        """Another pass over the same videos.

        Raises:
            DataError: they are not the same.
        """
        ...


class _Held:
    """Videos in memory."""

    def __init__(self, videos: VideoList) -> None:
        self._videos, self.source = videos, videos.source

    def first(self, size: int) -> Iterator[VideoList]:
        return _cut([self._videos], size)

    def again(self, size: int) -> Iterator[VideoList]:
        return _cut([self._videos], size)


class _Stream:
    """A list on the disk."""

    def __init__(self, path: Path, root: str | Path | None) -> None:
        self.source = str(path)
        self._path, self._root = path, root
        self._server = None if root is None else address_in(root)
        self._folder = path.parent if root is None or self._server is not None else Path(root)
        self._there = FilesIn(self._folder)

    def first(self, size: int) -> Iterator[VideoList]:
        self._stamp = _stamp(self._path)
        try:
            self._rows = open_rows(self._path, self._there)
            yield from self._checked(size)
        except NeedsWholeError:
            raise _WholeError(self) from None

    def _checked(self, size: int) -> Iterator[VideoList]:
        self._lying, faults = Lying(self._there), _Faults()
        for rows in self._rows.rows(size):
            faults.add(rows)
            found = self._lying.rows(rows) if self._server is None else on_server(rows, self._server)
            yield listed_videos(found, self._folder)
        faults.refuse(self.source, self._folder)
        self._rows.tell()
        self._lying.tell(self.source)
        self._there.forget()

    def again(self, size: int) -> Iterator[VideoList]:
        self._refuse_other()
        try:
            for at, rows in enumerate(self._rows.rows(size)):
                self._refuse_other()
                found = self._lying.again(rows, at) if self._server is None else on_server(rows, self._server)
                yield listed_videos(found, self._folder)
        except NeedsWholeError:
            raise changed(self.source) from None

    def whole(self) -> VideoList:
        """The list as it is read at once.

        Raises:
            DataError: as `marey.data.lists.listing.read_videos`.
        """
        return videos_at(self._path, self._root)

    def _refuse_other(self) -> None:
        if _stamp(self._path) != self._stamp:
            raise changed(self.source)


class _WholeError(Exception):
    """A list is to be read as a whole."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__(stream.source)
        self.stream = stream


class _Faults:
    """What is wrong with rows of a list, as far as that is said of all of them at once."""

    def __init__(self) -> None:
        self._count = self._blank = 0
        self._blank_lines: list[int] = []
        self._odd: list[tuple[int, str]] = []

    def add(self, rows: Rows) -> None:
        """Look at the next rows.

        Raises:
            NeedsWholeError: a rule needs the whole list.
            DataError: with file and line: words with bytes that are no UTF-8.
        """
        rows.refuse_odd_words()
        counts = zip(rows.frame_counts or (), rows.paths, strict=rows.frame_counts is not None)
        if any(count >= 0 and not (has_video_suffix(path) or is_address(path)) for count, path in counts):
            raise NeedsWholeError
        blank = rows.blank(rows.paths)
        self._count += len(rows.paths)
        self._blank += len(blank)
        self._blank_lines += blank[: _NAMED + 1 - len(self._blank_lines)]
        self._odd += rows.odd_paths()[: ODD - len(self._odd)]

    def refuse(self, source: str, folder: Path) -> None:
        """Say what is wrong with all rows.

        Raises:
            DataError: with file and line: there are none, rows without a path, or names in another encoding.
        """
        if not self._count:
            raise DataError(f"{source}: names no videos.")
        refuse_odd_paths(source, self._odd, folder)
        if self._blank:
            raise no_text(source, "path", self._blank_lines, self._blank)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
