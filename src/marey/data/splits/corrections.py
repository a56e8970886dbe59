"""Corrections of a list: changed labels and groups, and clips to leave out, as a table names them.

They are applied in memory; no file of the data is touched. The table has a header, and a row for each clip:

- `path` names the clip as its list does (`name@1-2` a part of a file), or by its absolute path, or by one relative to the
  folder of the list or to that of the table. `start` and `end` (or `start_frame` and `end_frame`) may say the part, as in a
  list. A path without a part means all clips of that file.
- `label`: the label that it is to have; several with "|" between, where the list has several. Empty: as it is.
- `group`: the recording that it is from. Empty: as it is.
- `leave_out`: x, yes, 1 or true leaves it out; no, 0, false or nothing does not.

These columns but the last may be called as in lists (`marey.data.lists.tables.COLUMNS`); where one has the name above,
others of that meaning are no matter. All other columns are ignored, so that a table with remarks is corrected in place,
such as the one of suspects that Marey writes. Rows of one clip are taken together, and may not contradict each other.
"""

import difflib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from marey.base.absent import nothing_at
from marey.base.errors import DataError
from marey.base.nearest import did_you_mean
from marey.base.words import counted
from marey.data.lists.manifest import Manifest
from marey.data.lists.numbered_lines import numbered_lines
from marey.data.lists.rows import FilesIn, Rows, as_they_lie, is_blank
from marey.data.lists.split_names import TRAIN
from marey.data.lists.tables import COLUMNS as OF_LISTS
from marey.data.lists.tables import Table, find_table, has_frames, refuse_unclear_labels, rows_of, tell_of_frames
from marey.data.lists.text import read_text
from marey.data.lists.videos import VideoList, first_of
from marey.data.splits.corrected import COLUMNS, Asked, Clip, Corrected
from marey.data.splits.sides import Given

_LEAVE_OUT = "leave_out"
_PARTS = ("start", "end", "start_frame", "end_frame")
_CORRECTING = ("label", "group", _LEAVE_OUT)
_SAID = {**dict.fromkeys(("x", "yes", "1", "true"), True), **dict.fromkeys(("no", "0", "false"), False)}
_HEADER = f"the first line names the columns: {COLUMNS[0]}, and one or more of {', '.join(COLUMNS[1:])}"
_NAMED = 3
"""Rows that a refusal names."""
_COMPARED = 5_000
"""Of at most so many names the nearest ones are looked for: each is compared letter by letter."""
_PART = re.compile(r"(.+)(@f?[\d.e+-]+-[\d.e+-]*)")


@dataclass(frozen=True, eq=False)
class Corrections:
    """The rows of a table of corrections. What its paths and labels mean, the list that it corrects tells."""

    rows: Rows
    leave_out: tuple[bool | None, ...]
    """Of each row; None where the cell is empty."""

    @classmethod
    def read(cls, path: str | Path) -> "Corrections":
        """Read a table. It may be one of the dialects that spreadsheets write (`marey.data.lists.tables`).

        Raises:
            DataError: with file and line: no such file, no header, no column that names clips, none that corrects, a row
                without a path, or a word in leave_out that is none of those above.
        """
        path = Path(path)
        if not path.is_file():
            raise DataError(nothing_at(path, "no such file of corrections"))
        text = read_text(
            path, what="a table of corrections", way_out=f"write a CSV with the header {','.join(COLUMNS)}"
        )
        source, there = str(path), FilesIn(path.parent)
        lines = numbered_lines(source, text, there)
        table = find_table(source, lines, there)
        if table is None or table.lines[:1] == [lines[0][0]]:  # the second: two columns without a header
            raise DataError(f"{source}:1: no header of a table of corrections: {_HEADER}.")
        rows = replace(rows_of(table, _columns(table)), unclear=None)  # `_columns` says which of two is meant
        refuse_unclear_labels(rows)
        if has_frames(rows):
            tell_of_frames(source)
        replace(rows, labels=None).refuse_blank()
        return cls(rows, tuple(_left_out(table)))

    def applied(self, given: Given) -> Corrected:
        """The videos to train and to test on after the corrections.

        Raises:
            DataError: with file and line: a row that names none of them, or files of several folders; a label that is none
                of the classes; several labels of a clip in a list that has one of each; rows that contradict each other.
        """
        lists = {TRAIN: given.train, **given.tested}
        source = self.rows.source
        self.rows.refuse_other_encodings(given.train.root)
        labels = _Labels(given.train)
        labels.refuse_unknown(self.rows)
        rows = as_they_lie(self.rows, FilesIn(given.train.root))
        found = _Clips(lists, Path(source).parent).of_rows(rows)
        asked = [
            dict.fromkeys(clips, Asked(label, group, leave_out))
            for clips, label, group, leave_out in zip(
                found, labels.of_rows(rows), _groups(rows), self.leave_out, strict=True
            )
        ]
        _refuse_contradictions(rows, asked)
        return Corrected.of(source, len(rows.paths), given, asked)


# -- the table


def _columns(table: Table) -> dict[str, str]:
    """Which word of the header names which column of a list."""
    named: dict[str, str] = {}
    for name in ("path", "label", "group", *_PARTS):
        words = [name] if name in table.columns else [word for word in OF_LISTS[name] if word in table.columns]
        if len(words) > 1:
            raise DataError(
                f"{table.source}:1: the columns {words[0]!r} and {words[1]!r} may both be the {name}: call one {name}."
            )
        named |= dict.fromkeys((name,) if words else (), words[0] if words else "")
    if "path" not in named:
        raise DataError(f"{table.source}:1: the column 'path' is missing, which names the clips: {_HEADER}.")
    there = {*named, *table.columns}
    others = [word for word in table.columns if word not in named.values() and word not in (*_PARTS, _LEAVE_OUT)]
    missing = [name for name in _CORRECTING if name not in there]
    for word in others:
        if near := difflib.get_close_matches(word, missing, n=1, cutoff=0.8):
            raise DataError(
                f"{table.source}:1: unknown column {word!r}, and none is named {near[0]}.{did_you_mean(word, near)}"
            )
    if len(missing) == len(_CORRECTING):
        raise DataError(f"{table.source}:1: no column corrects anything: {_HEADER}.")
    return named


def _left_out(table: Table) -> Iterator[bool | None]:
    words = table.columns.get(_LEAVE_OUT, [""] * len(table.lines))
    _refuse(
        table.source,
        [
            (line, word)
            for line, word in zip(table.lines, words, strict=True)
            if not is_blank(word) and word.lower() not in _SAID
        ],
        "in leave_out says neither yes nor no",
        "in leave_out say neither yes nor no",
        f": {first_of(_SAID, len(_SAID))}, or nothing.",
    )
    return (None if is_blank(word) else _SAID[word.lower()] for word in words)


def _groups(rows: Rows) -> Iterator[str | None]:
    groups = rows.groups or [""] * len(rows.paths)
    return (None if is_blank(group) else group for group in groups)


# -- labels


class _Labels:
    """What the labels of a table mean in a list."""

    def __init__(self, manifest: Manifest) -> None:
        self._names = manifest.class_names
        self._several = manifest.label_sets is not None
        twice = {name for i, name in enumerate(self._names) if name in self._names[:i]}
        self._places = {name: place for place, name in enumerate(self._names) if name not in twice}
        if not any(name.isdecimal() and int(name) != place for place, name in enumerate(self._names)):
            self._places = {str(place): place for place in range(len(self._names))} | self._places

    def refuse_unknown(self, rows: Rows) -> None:
        """Check that all labels are classes of the list, and no more of a clip than it has.

        Raises:
            DataError: some are not; the first lines are named, and how many there are.
        """
        labels = list(zip(rows.lines, rows.labels or (), strict=rows.labels is not None))
        unknown = [(line, word) for line, label in labels for word in self._words(label) if word not in self._places]
        classes = f"none of the {counted(len(self._names), 'class')} ({first_of(self._names, 4)})"
        near = did_you_mean(unknown[0][1], self._names) if unknown and len(self._names) <= _COMPARED else ""
        _refuse(
            rows.source, unknown, f"is {classes}", f"are {classes}", f".{near} Classes are matched letter by letter."
        )
        several = [] if self._several else [(line, label) for line, label in labels if len(self._words(label)) > 1]
        one = "more than one label, and each clip of the list has one"
        _refuse(rows.source, several, f"is {one}", f"are {one}", ": write the one that it is to have.")

    def of_rows(self, rows: Rows) -> Iterator[tuple[int, ...] | None]:
        """The classes of each row, ascending; None where it says nothing."""
        for label in rows.labels or [""] * len(rows.paths):
            yield tuple(sorted({self._places[word] for word in self._words(label)})) or None

    def _words(self, label: str) -> list[str]:
        if is_blank(label):
            return []
        return [label] if label in self._places else [word.strip() for word in label.split("|")]


# -- clips


class _Clips:
    """The clips of several lists, by what a table calls them."""

    def __init__(self, lists: Mapping[str, Manifest], folder: Path) -> None:
        self._lists = lists
        roots = {side: os.path.abspath(part.root) for side, part in lists.items()}  # noqa: PTH100 - links stay as they are
        self._folders = dict.fromkeys([*roots.values(), os.path.abspath(folder)])  # noqa: PTH100
        self._files_of: dict[str, dict[str, None]] = defaultdict(dict)
        """The files that a list has by a name."""
        self._clips_of: dict[str, list[Clip]] = defaultdict(list)
        """By the path of their file."""
        for side, part in lists.items():
            for row, name in enumerate(part.ids.tolist()):
                path = _joined(roots[side], name)
                self._files_of[name][path] = None
                self._clips_of[path].append(Clip(side, row))

    def of_rows(self, rows: Rows) -> list[list[Clip]]:
        """The clips that each row names.

        Raises:
            DataError: a row names none, or files in several folders.
        """
        parts = _parts(rows)
        found = [self._named(path, part) for path, part in zip(rows.paths, parts, strict=True)]
        named = [(line, path + part) for line, path, part in zip(rows.lines, rows.paths, parts, strict=True)]
        none = [name for name, files in zip(named, found, strict=True) if not files]
        count = counted(sum(map(len, self._lists.values())), "clip")
        rule = f"none of the {count} that are trained or tested on"
        near = did_you_mean(none[0][1], self._files_of) if none and len(self._files_of) <= _COMPARED else ""
        way_out = f".{near} Paths are those of the list, or seen from its folder or from that of the table."
        _refuse(rows.source, none, f"is {rule}", f"are {rule}", way_out)
        several = [name for name, files in zip(named, found, strict=True) if len(files) > 1]
        rule = "may be files in several folders"
        _refuse(rows.source, several, rule, rule, ": write whole paths.")
        return [files[0] for files in found]

    def _named(self, path: str, part: str) -> list[list[Clip]]:
        """The clips of each file that is meant; several files: it is not clear which."""
        own = _PART.fullmatch(path)
        readings = [(path, part), *([(own[1], own[2])] if own and part in ("", own[2]) else [])]
        for name, of_file in readings:
            files = self._files_of.get(name) or dict.fromkeys(_joined(folder, name) for folder in self._folders)
            found = [clips for file in files if (clips := self._clips(file, of_file))]
            if found:
                return found
        return []

    def _clips(self, file: str, part: str) -> list[Clip]:
        clips = self._clips_of.get(file, [])
        return [clip for clip in clips if part in ("", self._part(clip))]

    def _part(self, clip: Clip) -> str:
        """The end of the clip's id that says its part."""
        manifest = self._lists[clip.side]
        return manifest[clip.row].id.removeprefix(str(manifest.ids[clip.row]))


def _parts(rows: Rows) -> list[str]:
    """What the columns of each row say of the part, as the end of an id; "" for the whole file."""
    nameless = VideoList(
        np.full(len(rows.paths), ""),
        times=None if rows.times is None else np.array(rows.times, np.float64),
        frame_ranges=None if rows.frame_ranges is None else np.array(rows.frame_ranges, np.int64),
    )
    return [part.id for part in nameless]


def _joined(folder: str, name: str) -> str:
    return os.path.normpath(os.path.join(folder, name))  # noqa: PTH118 - a Path per row takes seconds


# -- refusals


def _refuse_contradictions(rows: Rows, asked: Sequence[Mapping[Clip, Asked]]) -> None:
    """Check that no clip is corrected in two ways.

    Raises:
        DataError: some are.
    """
    whole: dict[Clip, Asked] = {}
    faults = []
    for line, path, of_row in zip(rows.lines, rows.paths, asked, strict=True):
        if any(whole.get(clip, Asked()) | one != one | whole.get(clip, Asked()) for clip, one in of_row.items()):
            faults.append((line, path))
        whole |= {clip: whole.get(clip, Asked()) | one for clip, one in of_row.items()}
    rule = "corrected in another way in a row above"
    _refuse(rows.source, faults, f"is {rule}", f"are {rule}", ": leave one of these rows out.")


def _refuse(source: str, faults: Sequence[tuple[int, str]], one: str, several: str, way_out: str) -> None:
    """Refuse a table where rows are at fault: their lines, and the words that are wrong.

    Raises:
        DataError: there are any; the first of them are named.
    """
    if not faults:
        return
    line, word = faults[0]
    if len(faults) == 1:
        raise DataError(f"{source}:{line}: {word!r} {one}{way_out}")
    named = first_of((f"{word!r} on line {line}" for line, word in faults), _NAMED)
    raise DataError(f"{source}:{line}: {counted(len(faults), 'row')} ({named}) {several}{way_out}")
