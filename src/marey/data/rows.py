"""What a list says, row by row, in whatever format: before labels become numbers, and as its files lie on the disk."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.manifest import Manifest
from marey.data.text import no_utf8, way_to_utf8
from marey.data.videos import VideoList, first_of
from marey.video.frames import count_frames
from marey.video.suffixes import VIDEO_SUFFIXES

Span = tuple[float, float]
"""Start and end of a part in seconds, NaN where there is none."""
FrameSpan = tuple[int, int]
"""The first frame of a part, from 0, and the first one after it; -1 where it goes to the end."""
WHOLE: FrameSpan = (0, -1)

_VIDEOS = tuple(VIDEO_SUFFIXES)
_MOST_FOLDERS = 10_000
"""Up to so many folders are looked into, whatever a list needs to know of them; of longer lists, so many of its rows."""


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

    def refuse_blank(self) -> None:
        """Check that each row has a path, and a label where the list has labels.

        Raises:
            DataError: some have none; the first lines are named, and how many there are.
        """
        for column, name in ((self.paths, "path"), (self.labels, "label")):
            empty = {text for text in set(column or ()) if is_blank(text)}
            if empty:
                blank = [line for line, text in zip(self.lines, column or (), strict=True) if text in empty]
                first = first_of(blank, 3)
                where = f"{self.source}:{blank[0]}"
                one = f"{where}: this row has no {name}"
                several = f"{where}: {counted(len(blank), 'row')} have no {name} (lines {first})"
                raise DataError(f"{one if len(blank) == 1 else several}: fill it in, or leave the row out.")

    def refuse_other_encodings(self, root: Path) -> None:
        """Check that only names of files hold bytes that are no UTF-8, and that such files are there.

        Raises:
            DataError: other words hold such bytes, or no file has such a name: the list is of another encoding.
        """
        for names, kind in ((self.labels, "class"), (self.splits, "split"), (self.groups, "group")):
            for word in dict.fromkeys(names or ()):
                if no_utf8(word):
                    line = self.lines[(names or []).index(word)]
                    raise DataError(
                        f"{self.source}: the {kind} name {word!r} is no text in UTF-8 (line {line}): "
                        f"{way_to_utf8(self.source, word)}"
                    )
        odd = [(path, line) for path, line in zip(self.paths, self.lines, strict=True) if no_utf8(path)]
        if odd and not any(os.path.lexists(os.path.join(root, path)) for path, _ in odd[:1000]):  # noqa: PTH118
            path, line = odd[0]
            raise DataError(
                f"{self.source}:{line}: no file has the name {path!r}, and the list is no text in UTF-8; "
                f"{way_to_utf8(self.source, ' '.join(path for path, _ in odd[:100]))}"
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
        part.ids if one_root else np.array([str(part.root / name) for name in part.ids.tolist()]) for part in parts
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
        self._stems: dict[str, dict[str, list[str]]] = {}

    def names(self, folder: str) -> set[str]:
        """The names of what lies in a folder, given relative to the root; none where there is no such folder."""
        if folder not in self._names:
            inside = os.path.join(self._root, folder)  # noqa: PTH118 - a Path per folder takes most of the time
            try:
                self._names[folder] = set(os.listdir(inside))  # noqa: PTH208
            except (OSError, ValueError):
                self._names[folder] = set()
        return self._names[folder]

    def __contains__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")  # not os.path.split: a million times it takes seconds
        if name not in ("", ".", "..") and (folder or path[0] != "/"):
            return name in (self._names.get(folder) or self.names(folder))
        return bool(path) and Path(self._root, path).exists()

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of several paths that is there."""
        return next((path for path in paths if path in self), None)

    def completed(self, path: str) -> list[str]:
        """The video files whose path is the given one and a suffix behind it, in order."""
        folder, _, name = path.rpartition("/")
        if not self.names(folder):
            return []
        if folder not in self._stems:
            stems: dict[str, list[str]] = {}
            for file in sorted(self.names(folder)):
                stem, suffix = os.path.splitext(file)  # noqa: PTH122
                if suffix.lower() in VIDEO_SUFFIXES:
                    stems.setdefault(stem, []).append(file)
            self._stems[folder] = stems
        return [f"{folder}/{file}" if folder else file for file in self._stems[folder].get(name, ())]


def has_video_suffix(path: str) -> bool:
    """Whether a path ends in the suffix of a kind of video file."""
    return path.lower().endswith(_VIDEOS)


def as_they_lie(rows: Rows, there: FilesIn) -> Rows:
    """The rows by the paths that their files have on the disk, where the list's own lead nowhere.

    A path without a suffix is the one video file of that name; backslashes are taken for slashes where a file lies there.
    Paths that lead nowhere in any way stay as they are. What was changed is printed once, with a count.

    Raises:
        DataError: two files have a name that the list gives without suffix.
    """
    sample = rows.paths[:: max(1, len(rows.paths) // 1000)]
    many = len({path.rpartition("/")[0] for path in rows.paths}) > _MOST_FOLDERS
    if many and all(path in there for path in sample):
        return rows
    paths, slashes, suffixes = list(rows.paths), 0, 0
    for row, path in enumerate(rows.paths):
        if path in there:
            continue
        slashed = path.replace("\\", "/")
        if slashed != path and slashed in there:
            paths[row], slashes = slashed, slashes + 1
            continue
        found = [] if has_video_suffix(path) else there.completed(slashed)
        if len(found) > 1:
            raise DataError(
                f"{rows.source}:{rows.lines[row]}: {path} may be {found[0]} or {found[1]}: write the suffix into the list."
            )
        if found:
            paths[row], suffixes, slashes = found[0], suffixes + 1, slashes + (slashed != path)
    if slashes:
        notice(f"{rows.source}: {counted(slashes, 'path')} with backslashes read with slashes: so the files lie there.")
    if suffixes:
        notice(
            f"{rows.source}: {counted(suffixes, 'name')} without a suffix completed by the video files that lie there."
        )
    return replace(rows, paths=paths) if slashes or suffixes else rows


def with_frame_ranges(rows: Rows, root: Path) -> Rows:
    """The rows with a range of frames where a list gives fewer images than a folder of frames holds.

    Where the numbers are those of the images that lie there, folders are used whole, as a list without numbers has them.
    Up to 10,000 folders are all looked into; of more, as many, evenly, and all where any of these holds more.
    """
    if rows.frame_counts is None:
        return rows
    counts = rows.frame_counts
    given = [row for row, count in enumerate(counts) if count >= 0 and not has_video_suffix(rows.paths[row])]
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
            f"{rows.paths[first]} (line {rows.lines[first]}), has {max(held[first])} of {counts[first]}."
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
