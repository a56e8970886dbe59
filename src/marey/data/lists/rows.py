"""What a list says, row by row, in whatever format: before labels become numbers, and as its files lie on the disk."""

import os
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, at_server, is_address, path_in, written
from marey.base.errors import DataError
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.lists.manifest import Manifest
from marey.data.lists.text import no_utf8, place, unit_of, way_to_utf8
from marey.data.lists.videos import VideoList, first_of
from marey.video.reading.frames import count_frames
from marey.video.reading.suffixes import VIDEO_SUFFIXES

Span = tuple[float, float]
"""Start and end of a part in seconds, NaN where there is none."""
FrameSpan = tuple[int, int]
"""The first frame of a part, from 0, and the first one after it; -1 where it goes to the end."""
WHOLE: FrameSpan = (0, -1)

_VIDEOS = tuple(VIDEO_SUFFIXES)
_QUERIED = re.compile(r"https?://[^?#]*[?#]\S*", re.IGNORECASE)
"""A web address with something behind the path. Blanks, which a path may have, are between a query and a label."""
_MOST_FOLDERS = 10_000
"""Up to so many folders are looked into, whatever a list needs to know of them; of longer lists, so many of its rows."""
ODD = 1000
"""Of so many paths with bytes that are no UTF-8, one must be that of a file."""


_MOST_MISSING = 100_000
"""Folders that are remembered not to be there: to ask again takes no time, and a list may name a million."""
_NOTHING: Set[str] = frozenset()


class NeedsWholeError(Exception):
    """A rule needs the whole list at once: it cannot be read in pieces."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of a list, column by column; None for a column that the list has not."""

    source: str
    """The list, for messages."""
    paths: list[str]
    lines: list[int]
    """Each row's line in the file, from 1; the number of its record where the file has no lines."""
    labels: list[str] | None = None
    """Class names, or numbers as text; several of a video have "|" between them."""
    splits: list[str] | None = None
    groups: list[str] | None = None
    times: list[Span] | None = None
    frame_ranges: list[FrameSpan] | None = None
    frame_counts: list[int] | None = None
    """How many images the list says that each folder of frames has; -1 where it does not say."""
    class_names: Sequence[str] | None = None
    """Names of the classes in order, where files beside the list give them."""
    unclear: DataError | None = None
    """Why it is not known which labels, splits or groups are meant, for callers that need them; the first are taken here."""

    def refuse_blank(self) -> None:
        """Check that each row has a path, and a label where the list has labels.

        Raises:
            DataError: some have none; the first lines are named, and how many there are.
        """
        for column, name in ((self.paths, "path"), (self.labels, "label")):
            if blank := self.blank(column):
                raise no_text(self.source, name, blank, len(blank))

    def blank(self, column: Sequence[str] | None) -> list[int]:
        """The lines on which a column says nothing."""
        empty = {text for text in set(column or ()) if is_blank(text)}
        return [line for line, text in zip(self.lines, column or (), strict=True) if text in empty] if empty else []

    def refuse_other_encodings(self, root: Path) -> None:
        """Check that only names of files hold bytes that are no UTF-8, and that such files are there.

        Raises:
            DataError: other words hold such bytes, or no file has such a name: the list is of another encoding.
        """
        self.refuse_odd_words()
        refuse_odd_paths(self.source, self.odd_paths(), root)

    def refuse_odd_words(self) -> None:
        """Check that no labels, splits and groups hold bytes that are no UTF-8.

        Raises:
            DataError: some do: the list is of another encoding.
        """
        for names, kind in ((self.labels, "class"), (self.splits, "split"), (self.groups, "group")):
            for word in dict.fromkeys(names or ()):
                if no_utf8(word):
                    line = self.lines[(names or []).index(word)]
                    raise DataError(
                        f"{self.source}: the {kind} name {word!r} is no text in UTF-8 (line {line}): "
                        f"{way_to_utf8(self.source, word)}"
                    )

    def odd_paths(self) -> list[tuple[int, str]]:
        """The paths with bytes that are no UTF-8, with their lines."""
        if "".join(self.paths).isascii():
            return []
        return [(line, path) for path, line in zip(self.paths, self.lines, strict=True) if no_utf8(path)]


def no_text(source: str, name: str, lines: Sequence[int], count: int) -> DataError:
    """The error that `count` rows of a list have no path or no label; the first `lines` of them are named."""
    where = place(source, lines[0])
    one = f"{where}: this row has no {name}"
    several = f"{where}: {counted(count, 'row')} have no {name} ({unit_of(source)}s {first_of(lines, 3)})"
    return DataError(f"{one if count == 1 else several}: fill it in, or leave the row out.")


def refuse_odd_paths(source: str, odd: Sequence[tuple[int, str]], root: Path) -> None:
    """Check that of a list's paths with bytes that are no UTF-8, with their lines, one of the first is that of a file.

    Raises:
        DataError: none is, and there are some.
    """
    if odd and not any(os.path.lexists(os.path.join(root, path)) for _, path in odd[:ODD]):  # noqa: PTH118
        line, path = odd[0]
        raise DataError(
            f"{source}:{line}: no file has the name {path!r}, and the list is no text in UTF-8; "
            f"{way_to_utf8(source, ' '.join(path for _, path in odd[:100]))}"
        )


def times_of(videos: VideoList | Manifest) -> NDArray[np.float64]:
    """Start and end of each video in seconds [N, 2], NaN where there is none."""
    return np.full((len(videos), 2), np.nan) if videos.times is None else videos.times


def frame_ranges_of(videos: VideoList | Manifest) -> NDArray[np.int64]:
    """The range of frames of each video [N, 2], `WHOLE` where the list gives none."""
    return np.tile(WHOLE, (len(videos), 1)) if videos.frame_ranges is None else videos.frame_ranges


def joined_videos(parts: Sequence[VideoList | Manifest]) -> VideoList:
    """The videos of several lists as one list, first all of the first, by their whole paths where the lists have different
    folders.
    """
    one_root = len({part.root for part in parts}) == 1
    root = parts[0].root if one_root else Path()
    names = [
        part.ids if one_root else np.array([path_in(part.root, name) for name in part.ids.tolist()]) for part in parts
    ]
    times, ranges = (np.concatenate([column(part) for part in parts]) for column in (times_of, frame_ranges_of))
    return VideoList(np.concatenate(names), root, times, frame_ranges=ranges)


def is_blank(text: str) -> bool:
    """Whether a cell says nothing; pandas writes "nan" for one without a value."""
    return not text or text.lower() in ("nan", "<na>")


class FilesIn:
    """What lies below a root. Each folder is listed once: a million questions to the disk, some of them over a network,
    would take minutes.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, set[str]] = {}
        self._missing: set[str] = set()
        self._suffixes: dict[str, list[str]] = {}
        """Of each folder those of its video files, as they are written there."""

    def names(self, folder: str) -> Set[str]:
        """The names of what lies in a folder, given relative to the root; none where there is no such folder."""
        if (found := self._names.get(folder)) is not None:
            return found
        if folder in self._missing:
            return _NOTHING
        inside = os.path.join(self._root, folder)  # noqa: PTH118 - a Path per folder takes most of the time
        try:
            self._names[folder] = set(os.listdir(inside))  # noqa: PTH208
        except (OSError, ValueError):
            if len(self._missing) == _MOST_MISSING:
                self._missing.clear()
            self._missing.add(folder)
            return _NOTHING
        return self._names[folder]

    def __contains__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")  # not os.path.split: a million times it takes seconds
        if name not in ("", ".", "..") and (folder or path[0] != "/"):
            return name in (self._names.get(folder) or self.names(folder))
        return bool(path) and Path(self._root, path).exists()

    def forget(self) -> None:
        """Give back the memory; what is asked later is looked up anew."""
        self._names.clear()
        self._missing.clear()
        self._suffixes.clear()

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of several paths that is there."""
        return next((path for path in paths if path in self), None)

    def completed(self, path: str) -> list[str]:
        """The video files whose path is the given one and a suffix behind it, in order."""
        folder, slash, name = path.rpartition("/")
        before, folder = folder + slash, folder or slash
        if not self.names(folder):
            return []
        if folder not in self._suffixes:
            found = {os.path.splitext(file)[1] for file in self.names(folder)}  # noqa: PTH122
            self._suffixes[folder] = sorted(suffix for suffix in found if suffix.lower() in VIDEO_SUFFIXES)
        files = [name + suffix for suffix in self._suffixes[folder] if name + suffix in self.names(folder)]
        return [before + file for file in files if os.path.splitext(file)[0] == name]  # noqa: PTH122 - not all is stem


def has_video_suffix(path: str) -> bool:
    """Whether a path ends in the suffix of a kind of video file; of a web address, the path in it without the query."""
    if "://" in path and _QUERIED.fullmatch(path):
        return Address(path).suffix.lower() in VIDEO_SUFFIXES
    return path.lower().endswith(_VIDEOS)


def as_they_lie(rows: Rows, there: FilesIn) -> Rows:
    """The rows by the paths that their files have on the disk, where the list's own lead nowhere.

    A path without a suffix is the one video file of that name; backslashes are taken for slashes where a file lies there.
    Paths that lead nowhere in any way stay as they are. What was changed is printed once, with a count. Where every
    path lies as it is written, no more than 10,000 folders are looked into.

    Raises:
        DataError: two files have a name that the list gives without suffix.
    """
    lying = Lying(there)
    found = lying.rows(rows)
    lying.tell(rows.source)
    return found


class Lying:
    """Finds the paths of the rows of a list as `as_they_lie` does, piece by piece, in the order of the list."""

    def __init__(self, there: FilesIn) -> None:
        self._there = there
        self._folders: set[str] = set()
        self._as_written = True
        """Whether every path so far lies there as it is written."""
        self._enough = False
        """Whether that was so in as many folders as are looked into."""
        self._slashes = self._suffixes = 0
        self._kinds: list[tuple[bool, str]] = []
        """The changes that were made to paths: whether slashes replace backslashes, and the suffix that was added."""
        self._made: list[NDArray[np.uint16] | None] = []
        """For each piece the change of each path, by its place in `_kinds` from 1, 0 for none; None where there are none."""

    def tell(self, source: str) -> None:
        """Say what was changed in the rows so far."""
        if self._slashes:
            paths = counted(self._slashes, "path")
            notice(f"{source}: {paths} with backslashes read with slashes: so the files lie there.")
        if self._suffixes:
            names = counted(self._suffixes, "name")
            notice(f"{source}: {names} without a suffix completed by the video files that lie there.")

    def rows(self, rows: Rows) -> Rows:
        """The next rows of the list.

        Raises:
            DataError: two files have a name that the list gives without suffix.
        """
        made = np.zeros(len(rows.paths), np.uint16)
        for row, path in enumerate(rows.paths):
            if self._seen_enough(path):
                break
            if not is_address(path) and path not in self._there:
                self._as_written = False
                if (kind := self._found(rows, row, path)) is not None:
                    if kind not in self._kinds:
                        self._kinds.append(kind)
                    made[row] = self._kinds.index(kind) + 1
        self._made.append(made if made.any() else None)
        return self.again(rows, len(self._made) - 1)

    def again(self, rows: Rows, piece: int) -> Rows:
        """A piece once more, as it was found, whatever lies there now; pieces count from 0.

        Raises:
            DataError: it is another one.
        """
        if piece >= len(self._made):
            raise changed(rows.source)
        made = self._made[piece]
        if made is None:
            return rows
        if len(made) != len(rows.paths):
            raise changed(rows.source)
        paths = list(rows.paths)
        for row in np.flatnonzero(made).tolist():
            slashed, suffix = self._kinds[int(made[row]) - 1]
            paths[row] = (paths[row].replace("\\", "/") if slashed else paths[row]) + suffix
        return replace(rows, paths=paths)

    def _seen_enough(self, path: str) -> bool:
        if self._as_written and not self._enough:
            folder = path.rpartition("/")[0]
            if folder not in self._folders:
                self._enough = len(self._folders) == _MOST_FOLDERS
                self._folders.add(folder)
        return self._enough

    def _found(self, rows: Rows, row: int, path: str) -> tuple[bool, str] | None:
        """How the file of a path is found that is not there as it is written; None where it is not."""
        slashed = path.replace("\\", "/")
        if slashed != path and slashed in self._there:
            self._slashes += 1
            return True, ""
        found = [] if has_video_suffix(path) else self._there.completed(slashed)
        if len(found) > 1:
            raise DataError(
                f"{place(rows.source, rows.lines[row])}: {path} may be {found[0]} or {found[1]}: write the suffix into the "
                "list."
            )
        if not found:
            return None
        self._suffixes += 1
        self._slashes += slashed != path
        return slashed != path, found[0].removeprefix(slashed)


def changed(source: str) -> DataError:
    """The error that a list is not what it was."""
    return DataError(
        f"{source}: changed while it was in use: its videos are not those of the first look at it. Start again, and leave "
        "it as it is until the end."
    )


def in_folder(folder: Path, paths: Sequence[str]) -> list[str]:
    """Each path as `str(folder / path)` writes it, and addresses as they are: to make a `Path` of each of a million would
    take most of the time.
    """
    before = str(folder / "x").removesuffix("x")
    if os.sep == "/" and not _is_odd("\0".join(["", *paths, ""])):
        return [before + path for path in paths]
    return [written(path) if is_address(path) else _in(folder, before, path) for path in paths]


def _in(folder: Path, before: str, path: str) -> str:
    return str(folder / path) if os.sep != "/" or _is_odd(f"\0{path}\0") else before + path


def on_server(rows: Rows, server: Address) -> Rows:
    """The rows by their addresses, where their relative paths lie below one; whether they are there is not looked at."""
    return replace(rows, paths=[name if is_blank(name) else at_server(server, name) for name in rows.paths])


def _is_odd(paths: str) -> bool:
    """Whether a `Path` may write one of some paths, with a zero before and behind each, in another way: an absolute one, an
    empty one, or one with parts that say nothing.
    """
    return any(sign in paths for sign in ("//", "/.", "\0/", "\0.", "/\0", ".\0", "\0\0"))


def with_frame_ranges(rows: Rows, root: Path) -> Rows:
    """The rows with a range of frames where a list gives fewer images than a folder of frames holds.

    Where the numbers are those of the images that lie there, folders are used whole, as a list without numbers has them.
    Up to 10,000 folders are all looked into; of more, as many, evenly, and all where any of these holds more.
    """
    if rows.frame_counts is None:
        return rows
    counts = rows.frame_counts
    given = [
        row for row, count in enumerate(counts)
        if count >= 0 and not has_video_suffix(rows.paths[row]) and not is_address(rows.paths[row])
    ]  # fmt: skip
    looked = given[:: max(1, len(given) // _MOST_FOLDERS)]
    held = _images(rows, looked, root)
    if len(looked) < len(given) and any(counts[row] not in there for row, there in held.items()):
        held = _images(rows, given, root)
    fewer = {row for row, there in held.items() if counts[row] not in there and counts[row] < max(there)}
    more = [row for row, there in held.items() if counts[row] > max(there)]
    if more:
        first = more[0]
        warning(
            f"{rows.source}: {counted(len(more), 'folder')} with fewer images than the list says; the first, "
            f"{rows.paths[first]} ({unit_of(rows.source)} {rows.lines[first]}), has {max(held[first])} of {counts[first]}."
        )
    if not fewer:
        return rows
    notice(
        f"{rows.source}: of {counted(len(fewer), 'folder')} with more images than the list says, the first ones are used."
    )
    old = rows.frame_ranges or [WHOLE] * len(rows.paths)
    ranges = [(0, counts[row]) if row in fewer else old[row] for row in range(len(rows.paths))]
    return replace(rows, frame_ranges=ranges)


def _images(rows: Rows, which: Sequence[int], root: Path) -> dict[int, tuple[int, ...]]:
    """The numbers of frames and of flow fields in the folders of some rows, of those that are there and hold any."""
    found = {row: count_frames(os.path.join(root, rows.paths[row])) for row in which}  # noqa: PTH118
    return {row: tuple(n for n in counts if n) for row, counts in found.items() if any(counts)}
