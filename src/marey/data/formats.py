"""Readers of every way in which the field writes down which video shows what."""

import csv
import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from marey.base.errors import DataError
from marey.base.nearest import did_you_mean
from marey.data.class_files import read_classes
from marey.data.folders import list_folder
from marey.data.manifest import Manifest, classes_beside, make_manifest
from marey.data.sources import ucf_group
from marey.data.text import read_text
from marey.data.videos import VideoList, seconds_text

_COLUMNS = ("path", "label", "split", "start", "end", "group")
_KINETICS = ("label", "youtube_id", "time_start", "time_end")


def read_manifest(
    path: str | Path,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
    split: str | None = None,
) -> Manifest:
    """Read a list of videos and labels; its format is inferred from its content.

    - a folder with a folder per class, divided into train, val and test or not (`list_folder`);
    - CSV with a header `path,label[,split,start,end,group]`; several labels of a video are separated by `|`;
    - Kinetics CSV (`label,youtube_id,time_start,time_end,split`; files ID_start_end.mp4, flat or in class folders);
    - MMAction lists: `path label` or `path frames label` on a line, split from the right, so that paths may hold spaces;
    - UCF101 split files (`Class/v_Class_g01_c01.avi [1]`).

    `root` is the folder of relative paths (else the list's own), `classes` the class names in order, or a file with one
    on a line (`name`, or `number name`), `split` keeps one split. Without `classes`, the names that `Manifest.write_csv`
    left beside a list are taken (list.csv.classes.json).

    Raises:
        DataError: with file and line: a format that is none of these, a missing column, a label outside `classes`.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such list or folder.")
    check_root(root, path)
    names = read_classes(classes) if isinstance(classes, str | Path) else classes
    if path.is_dir():
        manifest = list_folder(path, classes=names)
    elif (own := _own_classes(path)) is not None:
        manifest = _read_file(path, Path(root) if root else path.parent, own)
        manifest = manifest if names is None else manifest.with_classes(names)
    else:
        manifest = _read_file(path, Path(root) if root else path.parent, names)
    return manifest.split(split) if split else manifest


def check_root(root: str | Path | None, *sources: str | Path) -> None:
    """Refuse a folder for relative paths where no list is among the sources that has any.

    Raises:
        DataError: `root` can have no effect.
    """
    if root is not None and all(Path(source).is_dir() for source in sources):
        raise DataError(
            f"--root {root}: is for the relative paths of a list, and {' and '.join(map(str, sources))} "
            f"{'is a folder' if len(sources) == 1 else 'are folders'}: leave it out."
        )


def _own_classes(path: Path) -> list[str] | None:
    """The names of classes that `Manifest.write_csv` wrote beside a list, if it did."""
    file = classes_beside(path)
    if not file.is_file():
        return None
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{file}: expected a JSON array of the class names of {path.name}; write the list anew.")
    return names


def columns_of(text: str) -> list[str]:
    """The words between commas on the first line that is not blank: the column names, where the text is a CSV."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return [column.strip() for column in first.split(",")]


def is_unlabelled_table(text: str) -> bool:
    """Whether a text is a CSV with a column `path`, others that are known, and no labels."""
    columns = set(columns_of(text))
    return "path" in columns and "label" not in columns and columns <= set(_COLUMNS)


def read_unlabelled_table(path: Path, text: str, root: Path) -> VideoList:
    """A CSV with the header `path[,start,end]`; its other columns are of no account.

    Raises:
        DataError: with file and line: no rows, a missing value, times that are none.
    """
    table = _Table.read(path, text, needed=("path",))
    paths = table.columns["path"]
    if not paths:
        raise DataError(f"{path}: names no videos.")
    times = table.times()
    return VideoList(np.array(paths), root, None if times is None else np.array(times, np.float64), str(path))


def _read_file(path: Path, root: Path, classes: Sequence[str] | None) -> Manifest:
    text = read_text(path)
    header = columns_of(text)
    if set(_KINETICS) <= set(header):
        return _kinetics(path, text, root, classes)
    if len(header) > 1 and path.suffix.lower() == ".csv":
        return _csv(path, text, root, classes)
    return _lines(path, text, root, classes)


def _csv(path: Path, text: str, root: Path, classes: Sequence[str] | None) -> Manifest:
    table = _Table.read(path, text, needed=("path", "label"))
    columns = table.columns
    return make_manifest(
        list(zip(columns["path"], columns["label"], strict=True)), root=root, source=str(path), classes=classes,
        lines=table.lines, times=table.times(), splits=columns.get("split"), groups=columns.get("group"),
    )  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """A CSV with a header, column by column."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int]
    """For each row, its line in the file."""

    @classmethod
    def read(cls, path: Path, text: str, *, needed: Sequence[str]) -> "_Table":
        header = columns_of(text)
        for column in header:
            if column not in _COLUMNS:
                raise DataError(
                    f"{path}:1: unknown column {column!r}; known are {', '.join(_COLUMNS)}."
                    f"{did_you_mean(column, _COLUMNS)}"
                )
        for column in needed:
            if column not in header:
                raise DataError(
                    f"{path}:1: the column {column!r} is missing; the first line must name path,label[,split,...]."
                )
        cells: list[list[str]] = [[] for _ in header]
        lines = []
        reader = csv.reader(text.splitlines())
        next(reader)
        for values in reader:
            if not values:
                continue
            if len(values) != len(header):
                raise DataError(
                    f"{path}:{reader.line_num}: expected {len(header)} values ({', '.join(header)}), got {len(values)}."
                )
            lines.append(reader.line_num)
            for column_cells, value in zip(cells, values, strict=True):
                column_cells.append(value.strip())
        return cls(path, dict(zip(header, cells, strict=True)), lines)

    def times(self) -> list[tuple[float, float]] | None:
        """Start and end of each row in seconds, NaN where there is none; None without these columns."""
        if "start" not in self.columns and "end" not in self.columns:
            return None
        blank = [""] * len(self.lines)
        pairs = zip(self.columns.get("start", blank), self.columns.get("end", blank), self.lines, strict=True)
        times = [(_time(start, self.path, n), _time(end, self.path, n)) for start, end, n in pairs]
        for (start, end), n in zip(times, self.lines, strict=True):
            if start >= end or start < 0:
                raise DataError(
                    f"{self.path}:{n}: start must lie before end, both in seconds from 0, got {seconds_text(start)} and "
                    f"{seconds_text(end)}."
                )
        return times


def _time(text: str, path: Path, line: int) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise DataError(f"{path}:{line}: {text!r} is no time in seconds.") from None


def _kinetics(path: Path, text: str, root: Path, classes: Sequence[str] | None) -> Manifest:
    """Kinetics' own CSV; a file may carry its times with six digits or none, flat or in a folder of its class."""
    rows, splits, lines = [], [], []
    there = _FilesIn(root)
    reader = csv.DictReader(text.splitlines())
    for row in reader:
        try:
            start, end = (int(float(row[name])) for name in ("time_start", "time_end"))
        except (TypeError, ValueError):
            raise DataError(f"{path}:{reader.line_num}: time_start and time_end must be seconds.") from None
        label, name = row["label"], row["youtube_id"]
        timed = f"{name}_{start:06d}_{end:06d}.mp4"
        places = ((label, timed), (label.replace(" ", "_"), timed), ("", timed), ("", f"{name}.mp4"))
        folder, file = next((place for place in places if place in there), places[0])
        rows.append((f"{folder}/{file}" if folder else file, label))
        splits.append(row.get("split") or "")
        lines.append(reader.line_num)
    return make_manifest(
        rows,
        root=root,
        source=str(path),
        classes=classes,
        lines=lines,
        splits=splits if any(splits) else None,
    )


class _FilesIn:
    """Which (folder, file) there are below a root. Each folder is listed once: a million questions to the disk, some of
    them over a network, would take minutes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: dict[str, set[str]] = {}

    def __contains__(self, place: tuple[str, str]) -> bool:
        folder, file = place
        if folder not in self._names:
            inside = self._root / folder
            self._names[folder] = {entry.name for entry in os.scandir(inside)} if inside.is_dir() else set()
        return file in self._names[folder]


def _lines(path: Path, text: str, root: Path, classes: Sequence[str] | None) -> Manifest:
    """`path label`, `path frames label` or a bare UCF101 path, split from the right."""
    rows, groups, lines = [], [], []
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if not line:
            continue
        rows.append(_line(line, path, number))
        groups.append(ucf_group(rows[-1][0]))
        lines.append(number)
    return make_manifest(
        rows,
        root=root,
        source=str(path),
        classes=classes,
        lines=lines,
        groups=groups if all(groups) else None,
    )


def _line(line: str, path: Path, number: int) -> tuple[str, str]:
    ucf = re.fullmatch(r"((\w+)/v_\w+_g\d+_c\d+\.avi)(?: \d+)?", line)
    if ucf:
        return ucf.group(1), ucf.group(2)
    words = line.rsplit(maxsplit=2)
    if len(words) == 3 and words[1].isdigit() and words[2].isdigit():
        return words[0], words[2]
    words = line.rsplit(maxsplit=1)
    if len(words) != 2 or "," in words[1]:
        raise DataError(f"{path}:{number}: expected `path label` or `path frames label`, got {line!r}.")
    return words[0], words[1]


def hmdb51_split(folder: str | Path, split: int, *, root: str | Path) -> Manifest:
    """One of HMDB51's three official splits from its folder of `CLASS_test_splitN.txt` files (1 train, 2 test, 0 unused).

    Raises:
        DataError: the folder does not hold 51 files of that split.
    """
    files = sorted(Path(folder).glob(f"*_test_split{split}.txt"))
    if len(files) != 51:
        raise DataError(f"{folder}: expected 51 files *_test_split{split}.txt, found {len(files)}.")
    rows, splits = [], []
    for file in files:
        label = file.name.removesuffix(f"_test_split{split}.txt")
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, use = line.strip().rpartition(" ")
            if use in ("1", "2"):
                rows.append((f"{label}/{name}", label))
                splits.append("train" if use == "1" else "test")
    return make_manifest(rows, root=Path(root), source=str(folder), splits=np.array(splits).tolist())
