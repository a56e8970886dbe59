"""Corrections of a list, given as a table: changed labels and groups, and videos to leave out.

They are applied in memory; no file of the data is changed. The table has a header, and a row for each video:

- `path` names the video as its list does (`name@1-2` for a segment of a file), or by its absolute path, or by a path
  relative to the folder of the list or of the table. `start` and `end` (or `start_frame` and `end_frame`) may give the
  segment, as in a list. A path without a segment means all videos of that file.
- `label`: the new label; several labels, in a list that allows them, are joined by "|". Empty: unchanged.
- `group`: the recording that the video is from. Empty: unchanged.
- `leave_out`: x, yes, 1 or true leaves it out; no, 0, false or an empty cell does not.

All columns but the last may have the names that lists use (`marey.data.lists.columns.COLUMNS`); where one has the name
above, other columns of the same meaning are ignored. All other columns are ignored, too, so that a table with remarks
can be edited and given back, such as the table of suspects that Marey writes. Several rows of one video are merged, and
must not contradict each other.
"""

import difflib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from marey.base.absent import absent_message
from marey.base.errors import DataError
from marey.base.names import did_you_mean
from marey.base.words import counted
from marey.data.lists.columns import COLUMNS as OF_LISTS
from marey.data.lists.columns import (
    ListTable,
    has_frame_ranges,
    refuse_ambiguous_labels,
    report_frame_counting,
    table_rows,
)
from marey.data.lists.csv_lists import find_table
from marey.data.lists.files_in import FilesIn
from marey.data.lists.manifest import Manifest
from marey.data.lists.resolve_paths import resolve_paths
from marey.data.lists.rows import Rows, is_blank
from marey.data.lists.split_names import TRAIN
from marey.data.lists.text_files import numbered_lines, read_text
from marey.data.lists.videos import VideoList, first_of
from marey.data.splits.corrected_data import COLUMNS, CorrectedData, Correction, VideoRow
from marey.data.splits.read_splits import TrainValTest

_LEAVE_OUT = "leave_out"
_SEGMENT_COLUMNS = ("start", "end", "start_frame", "end_frame")
_CORRECTING = ("label", "group", _LEAVE_OUT)
_YES_NO = {**dict.fromkeys(("x", "yes", "1", "true"), True), **dict.fromkeys(("no", "0", "false"), False)}
_HEADER = f"the first line names the columns: {COLUMNS[0]}, and one or more of {', '.join(COLUMNS[1:])}"
_NAMED = 3
"""How many rows an error names."""
_COMPARED = 5_000
"""Number of names up to which an error message suggests the most similar one. More would take long to compare."""
_PATH_AND_SEGMENT = re.compile(r"(.+)(@f?[\d.e+-]+-[\d.e+-]*)")


@dataclass(frozen=True, eq=False)
class Corrections:
    """The rows of a table of corrections. What its paths and labels mean is decided when it is applied to a list."""

    rows: Rows
    """The rows of the table; paths, labels and groups are as written."""
    leave_out: tuple[bool | None, ...]
    """For each row, whether its videos are left out; None where the cell is empty."""

    @classmethod
    def read(cls, path: str | Path) -> "Corrections":
        """Read a table, in any dialect that spreadsheets write (`marey.data.lists.columns`).

        Raises:
            DataError: with file and line: no such file, no header, no column `path` or none that corrects, a row without a
                path, or an unknown word in `leave_out`.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(absent_message(path, "no such file of corrections"))
        text = read_text(path, what="a table of corrections", advice=f"write a CSV with the header {','.join(COLUMNS)}")
        source, there = str(path), FilesIn(path.parent)
        lines = numbered_lines(source, text, there)
        table = find_table(source, lines, there)
        if table is None or table.lines[:1] == [lines[0][0]]:  # the first line became a row: no header
            raise DataError(f"{source}:1: no header of a table of corrections: {_HEADER}.")
        rows = replace(table_rows(table, _columns(table)), ambiguous=None)  # `_columns` has chosen the column
        refuse_ambiguous_labels(rows)
        if has_frame_ranges(rows):
            report_frame_counting(source)
        replace(rows, labels=None).refuse_blank()
        return cls(rows, tuple(_left_out(table)))

    def applied(self, given: TrainValTest) -> CorrectedData:
        """The videos to train and to test on after the corrections.

        Raises:
            DataError: with file and line: a row that names none of the videos, or files in several folders; a label that is
                no class; several labels in a list that has one for each video; rows that contradict each other.
        """
        lists = {TRAIN: given.train, **given.tested}
        source = self.rows.source
        self.rows.refuse_other_encodings(given.train.root)
        labels = _ClassesByWord(given.train)
        labels.refuse_unknown(self.rows)
        rows = resolve_paths(self.rows, FilesIn(given.train.root))
        videos = _ListedVideos(lists, Path(source).parent).of_rows(rows)
        corrections = [
            dict.fromkeys(of_row, Correction(label, group, leave_out))
            for of_row, label, group, leave_out in zip(
                videos, labels.of_rows(rows), _groups_of_rows(rows), self.leave_out, strict=True
            )
        ]
        _refuse_contradictions(rows, corrections)
        return CorrectedData.of(source, len(rows.paths), given, corrections)


# -- the table


def _columns(table: ListTable) -> dict[str, str]:
    """For each column of lists that the table has, its name in the table's header."""
    named: dict[str, str] = {}
    for name in ("path", "label", "group", *_SEGMENT_COLUMNS):
        words = [name] if name in table.columns else [word for word in OF_LISTS[name] if word in table.columns]
        if len(words) > 1:
            raise DataError(
                f"{table.source}:1: the columns {words[0]!r} and {words[1]!r} may both be the {name}: call one {name}."
            )
        named |= dict.fromkeys((name,) if words else (), words[0] if words else "")
    if "path" not in named:
        raise DataError(f"{table.source}:1: the column 'path' is missing, which names the videos: {_HEADER}.")
    present = {*named, *table.columns}
    known = (*named.values(), *_SEGMENT_COLUMNS, _LEAVE_OUT)
    missing = [name for name in _CORRECTING if name not in present]
    for word in [word for word in table.columns if word not in known]:
        if near := difflib.get_close_matches(word, missing, n=1, cutoff=0.8):
            raise DataError(
                f"{table.source}:1: unknown column {word!r}, and none is named {near[0]}.{did_you_mean(word, near)}"
            )
    if len(missing) == len(_CORRECTING):
        raise DataError(f"{table.source}:1: no column corrects anything: {_HEADER}.")
    return named


def _left_out(table: ListTable) -> Iterator[bool | None]:
    words = table.columns.get(_LEAVE_OUT, [""] * len(table.lines))
    _refuse(
        table.source,
        [
            (line, word)
            for line, word in zip(table.lines, words, strict=True)
            if not is_blank(word) and word.lower() not in _YES_NO
        ],
        "in leave_out is neither yes nor no",
        "in leave_out are neither yes nor no",
        f": {first_of(_YES_NO, len(_YES_NO))}, or nothing.",
    )
    return (None if is_blank(word) else _YES_NO[word.lower()] for word in words)


def _groups_of_rows(rows: Rows) -> Iterator[str | None]:
    groups = rows.groups or [""] * len(rows.paths)
    return (None if is_blank(group) else group for group in groups)


# -- labels


class _ClassesByWord:
    """The classes of a list by the words that a table may use: names, and indices unless some class has the index of another
    one as its name.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._names = manifest.class_names
        self._several = manifest.label_sets is not None
        twice = {name for i, name in enumerate(self._names) if name in self._names[:i]}
        self._indices = {name: index for index, name in enumerate(self._names) if name not in twice}
        if not any(name.isdecimal() and int(name) != index for index, name in enumerate(self._names)):
            self._indices = {str(index): index for index in range(len(self._names))} | self._indices

    def refuse_unknown(self, rows: Rows) -> None:
        """Check that all labels are classes of the list, and are one for each video where the list has one.

        Raises:
            DataError: some are not; it names the first lines and counts all.
        """
        labels = list(zip(rows.lines, rows.labels or (), strict=rows.labels is not None))
        unknown = [(line, word) for line, label in labels for word in self._words(label) if word not in self._indices]
        classes = f"none of the {counted(len(self._names), 'class')} ({first_of(self._names, 4)})"
        near = did_you_mean(unknown[0][1], self._names) if unknown and len(self._names) <= _COMPARED else ""
        _refuse(
            rows.source, unknown, f"is {classes}", f"are {classes}", f".{near} Classes are matched letter by letter."
        )
        several = [] if self._several else [(line, label) for line, label in labels if len(self._words(label)) > 1]
        one = "more than one label, and each video of the list has one"
        _refuse(rows.source, several, f"is {one}", f"are {one}", ": write the one that it is to have.")

    def of_rows(self, rows: Rows) -> Iterator[tuple[int, ...] | None]:
        """The indices of each row's classes, ascending; None where it has no label."""
        for label in rows.labels or [""] * len(rows.paths):
            yield tuple(sorted({self._indices[word] for word in self._words(label)})) or None

    def _words(self, label: str) -> list[str]:
        if is_blank(label):
            return []
        return [label] if label in self._indices else [word.strip() for word in label.split("|")]


# -- videos


class _ListedVideos:
    """The videos of several lists by the paths that a table may use for them."""

    def __init__(self, lists: Mapping[str, Manifest], folder: Path) -> None:
        """Index the videos of `lists`, which are given by the names of their splits; `folder` is that of the table."""
        self._lists = lists
        roots = {split: os.path.abspath(one.root) for split, one in lists.items()}  # noqa: PTH100 - links stay as they are
        self._folders = dict.fromkeys([*roots.values(), os.path.abspath(folder)])  # noqa: PTH100
        self._files_of: dict[str, dict[str, None]] = defaultdict(dict)
        """For each name in the lists, the paths of the files that have it."""
        self._videos_of: dict[str, list[VideoRow]] = defaultdict(list)
        """The videos of each file, by the path of the file."""
        for split, manifest in lists.items():
            for row, name in enumerate(manifest.ids.tolist()):
                path = _path_in(roots[split], name)
                self._files_of[name][path] = None
                self._videos_of[path].append(VideoRow(split, row))

    def of_rows(self, rows: Rows) -> list[list[VideoRow]]:
        """The videos that each row names.

        Raises:
            DataError: a row names no video, or its path may mean files in several folders.
        """
        segments = _segments_of_rows(rows)
        found = [self._by_file(path, segment) for path, segment in zip(rows.paths, segments, strict=True)]
        named = [(line, path + segment) for line, path, segment in zip(rows.lines, rows.paths, segments, strict=True)]
        none = [name for name, files in zip(named, found, strict=True) if not files]
        count = counted(sum(map(len, self._lists.values())), "video")
        rule = f"none of the {count} that are trained or tested on"
        near = did_you_mean(none[0][1], self._files_of) if none and len(self._files_of) <= _COMPARED else ""
        advice = f".{near} Paths are those of the list, or relative to its folder or to that of the table."
        _refuse(rows.source, none, f"is {rule}", f"are {rule}", advice)
        several = [name for name, files in zip(named, found, strict=True) if len(files) > 1]
        rule = "may be files in several folders"
        _refuse(rows.source, several, rule, rule, ": write absolute paths.")
        return [files[0] for files in found]

    def _by_file(self, path: str, segment: str) -> list[list[VideoRow]]:
        """The videos that a row names, one list for each file that its path may mean."""
        match = _PATH_AND_SEGMENT.fullmatch(path)
        readings = [(path, segment), *([(match[1], match[2])] if match and segment in ("", match[2]) else [])]
        for name, of_file in readings:
            files = self._files_of.get(name) or dict.fromkeys(_path_in(folder, name) for folder in self._folders)
            found = [videos for file in files if (videos := self._videos(file, of_file))]
            if found:
                return found
        return []

    def _videos(self, file: str, segment: str) -> list[VideoRow]:
        """The videos of a file that are this segment; for "", all videos of the file."""
        videos = self._videos_of.get(file, [])
        return [video for video in videos if segment in ("", self._segment(video))]

    def _segment(self, video: VideoRow) -> str:
        """The end of a video's id that gives its segment, such as "@1-2"; "" for a complete file."""
        manifest = self._lists[video.split]
        return manifest[video.row].id.removeprefix(str(manifest.ids[video.row]))


def _segments_of_rows(rows: Rows) -> list[str]:
    """For each row, the segment that its columns give, as the end of an id ("@1-2"); "" for a complete file."""
    nameless = VideoList(
        np.full(len(rows.paths), ""),
        times=None if rows.times is None else np.array(rows.times, np.float64),
        frame_ranges=None if rows.frame_ranges is None else np.array(rows.frame_ranges, np.int64),
    )
    return [segment.id for segment in nameless]


def _path_in(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - a Path per row takes seconds


# -- refusals


def _refuse_contradictions(rows: Rows, corrections: Sequence[Mapping[VideoRow, Correction]]) -> None:
    """Check that no two rows correct a video differently.

    Raises:
        DataError: some do.
    """
    merged: dict[VideoRow, Correction] = {}
    faults = []
    for line, path, of_row in zip(rows.lines, rows.paths, corrections, strict=True):
        before = {video: merged.get(video, Correction()) for video in of_row}
        if any(before[video] | one != one | before[video] for video, one in of_row.items()):
            faults.append((line, path))
        merged |= {video: before[video] | one for video, one in of_row.items()}
    rule = "corrected in another way in a row above"
    _refuse(rows.source, faults, f"is {rule}", f"are {rule}", ": leave one of these rows out.")


def _refuse(source: str, faults: Sequence[tuple[int, str]], one: str, several: str, advice: str) -> None:
    """Refuse a table with faulty rows.

    Args:
        source: The path of the table.
        faults: Line and faulty word of each such row.
        one: The fault of one row, in words.
        several: The fault of several rows, in words.
        advice: The end of the message: what to do.

    Raises:
        DataError: there are faulty rows; the first of them are named.
    """
    if not faults:
        return
    line, word = faults[0]
    if len(faults) == 1:
        raise DataError(f"{source}:{line}: {word!r} {one}{advice}")
    named = first_of((f"{word!r} on line {line}" for line, word in faults), _NAMED)
    raise DataError(f"{source}:{line}: {counted(len(faults), 'row')} ({named}) {several}{advice}")
