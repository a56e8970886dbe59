"""The files in which public data sets come: Kinetics' CSV, Charades' CSV, the split files of UCF101 and HMDB51, templates
of Something-Something; and AVA's, which name no whole clips.
"""

import csv
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from marey.base.address import shown_in
from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.lists.class_files import read_classes
from marey.data.lists.rows import FilesIn, Rows
from marey.data.lists.tables import Table
from marey.data.lists.text import place, read_text, text_lines

KINETICS = ("youtube_id", "time_start", "time_end")
CHARADES = ("id", "actions")
_HMDB51 = re.compile(r"(.+)_test_split([123])\.txt")
_UCF101 = re.compile(r"(train|test)list0([123])\.txt")
_HMDB51_USES = {"1": "train", "2": "test", "0": ""}


# -- Kinetics


def is_kinetics(words: Collection[str]) -> bool:
    """Whether the header of a table is that of a list of Kinetics: youtube_id, time_start, time_end, and label but in the
    list for testing.
    """
    return all(column in words for column in KINETICS)


def kinetics_rows(table: Table, there: FilesIn) -> Rows:
    """Kinetics' own CSV, by the files of the clips that were cut out of the videos.

    Raises:
        DataError: with file and line: times that are no seconds.
    """
    paths = []
    labels = table.columns.get("label")
    columns = (labels or [""] * len(table.lines), *(table.columns[name] for name in KINETICS), table.lines)
    for label, name, begun, ended, line in zip(*columns, strict=True):
        try:
            paths.append(kinetics_place(there, name, label, float(begun), float(ended)))
        except ValueError:
            raise DataError(f"{place(table.source, line)}: time_start and time_end must be seconds.") from None
    splits = table.columns.get("split", [])
    return Rows(
        source=table.source, paths=paths, lines=table.lines, labels=labels, splits=splits if any(splits) else None
    )  # fmt: skip


def kinetics_place(there: FilesIn, name: str, label: str, start: float, end: float) -> str:
    """Where the file of a clip of Kinetics lies: its name may carry the times with six digits, as they are, or not, flat or
    in a folder of its class; where there is none, the first of these as .mp4.
    """
    timed = (
        []
        if math.isnan(start + end)
        else [f"{name}_{int(start):06d}_{int(end):06d}", f"{name}_{int(start)}_{int(end)}"]
    )
    folders = dict.fromkeys((label, label.replace(" ", "_"), ""))
    for stem in (*timed, name):
        for folder in folders:
            if found := there.completed(f"{folder}/{stem}" if folder else stem):
                return found[0]
    return f"{label}/{[*timed, name][0]}.mp4" if label else f"{[*timed, name][0]}.mp4"


# -- Charades


def is_charades(words: Collection[str]) -> bool:
    """Whether the header of a table is that of a list of Charades: an id and actions such as
    `c092 11.90 21.20;c147 0.00 12.60`.
    """
    return all(column in words for column in CHARADES)


def charades_rows(table: Table, classes: Sequence[str] | None) -> Rows:
    """Charades' CSV: each video with all of its actions, whatever their times, as the field classifies it.

    Videos without actions are left out, with a word. Labels are the actions' codes (c000 to c156), or the names of
    `classes` that begin with them (`c000 Holding some clothes`).

    Raises:
        DataError: with file and line: actions of another form.
    """
    names = {found[1]: name for name in classes or () if (found := re.match(r"(c\d{3})\s", name))}
    paths, lines, labels = [], [], []
    for name, actions, line in zip(table.columns["id"], table.columns["actions"], table.lines, strict=True):
        codes = [found[1] for one in filter(None, actions.split(";")) if (found := _ACTION.fullmatch(one.strip()))]
        if len(codes) != len(list(filter(None, actions.split(";")))):
            raise DataError(
                f"{place(table.source, line)}: expected actions such as `c092 11.90 21.20;...`, got "
                f"{shown_in(repr(actions)):.60}."
            )
        if codes:
            paths.append(name)
            lines.append(line)
            labels.append("|".join(names.get(code, code) for code in dict.fromkeys(codes)))
    without = len(table.lines) - len(paths)
    left = f"; {counted(without, 'video')} without actions left out" if without else ""
    notice(f"{table.source}: Charades, all actions of a video are its labels, without their times{left}.")
    return Rows(source=table.source, paths=paths, lines=lines, labels=labels)


_ACTION = re.compile(r"(c\d{3}) [\d.]+ [\d.]+")


# -- Something-Something


def something_label(record: Mapping[str, Json], where: str) -> dict[str, Json]:
    """A record of Something-Something with the label that its template is, as labels.json has it: without brackets.

    Raises:
        DataError: no template.
    """
    template = record.get("template")
    if not isinstance(template, str) or not template:
        raise DataError(f"{where}: expected a template, as the other records of the list have.")
    kept = {word: value for word, value in record.items() if word not in ("label", "template", "placeholders")}
    return kept | {"label": re.sub(r"\[(.*?)\]", r"\1", template)}


# -- the official splits of UCF101 and HMDB51


def official_files(path: Path) -> list[Path]:
    """The split files of UCF101 or HMDB51 that a path names: a folder of nothing else, or a pattern such as
    `splits/*_test_split1.txt` or `ucfTrainTestlist/*list01.txt`; none where it is something else.

    Raises:
        DataError: files of several official splits; or the file of one class of HMDB51.
    """
    if path.is_file():
        if _HMDB51.fullmatch(path.name):
            _choose(path.parent, _HMDB51, f"{path}: one class of HMDB51, whose splits are 51 files each")
        return []
    if path.is_dir():
        names = [name for name in os.listdir(path) if _HMDB51.fullmatch(name) or _UCF101.fullmatch(name)]  # noqa: PTH208
        if not names or any(entry.is_dir() and not entry.name.startswith(".") for entry in path.iterdir()):
            return []
        files = [path / name for name in sorted(names)]
    else:
        files = sorted(path.parent.glob(path.name)) if "*" in path.name and path.parent.is_dir() else []
    for pattern in (_HMDB51, _UCF101):
        splits = {found[2]: file for file in files if (found := pattern.fullmatch(file.name))}
        if len(splits) > 1:
            _choose(path if path.is_dir() else path.parent, pattern, f"{path}: files of {len(splits)} official splits")
        if splits:
            return [file for file in files if pattern.fullmatch(file.name)]
    return []


def _choose(folder: Path, pattern: re.Pattern[str], what: str) -> None:
    name, example = ("hmdb51", "*_test_split1.txt") if pattern is _HMDB51 else ("ucf101", "*list01.txt")
    raise DataError(
        f"{what}: name those of one split as '{folder / example}' (with the quotes), or `marey data prepare {name} FOLDER` "
        "writes a list of each split."
    )


def official_rows(files: Sequence[Path], there: FilesIn) -> Rows:
    """The rows of one official split, with the sides as splits (train, test).

    Raises:
        DataError: with file and line: a line of another form.
    """
    ucf = _UCF101.fullmatch(files[0].name) is not None
    paths, lines, labels, splits, unused = [], [], [], [], 0
    for file in files:
        named = (_UCF101 if ucf else _HMDB51).fullmatch(file.name)
        for number, line in enumerate(map(str.strip, text_lines(read_text(file))), start=1):
            found = re.fullmatch(r"(\w+)/(\S+)(?: \d+)?" if ucf else r"(.+?)\s+([012])", line)
            if not line or named is None:
                continue
            if found is None:
                expected = "CLASS/CLIP.avi [number]" if ucf else "CLIP.avi 0, 1 or 2"
                raise DataError(f"{file}:{number}: expected `{expected}`, got {line!r}.")
            label, clip, side = (found[1], found[2], named[1]) if ucf else (named[1], found[1], _HMDB51_USES[found[2]])
            if not side:
                unused += 1
                continue
            places = [f"{label}/{clip}", f"{label}/{label}/{clip}", clip]
            paths.append(there.first(places) or places[0])
            lines.append(number)
            labels.append(label)
            splits.append(side)
    source = str(files[0] if len(files) == 1 else files[0].parent)
    if unused:
        notice(f"{source}: {counted(unused, 'clip')} that this split of HMDB51 does not use (0 in its files).")
    if not ucf and len(files) < 51:
        warning(f"{source}: {counted(len(files), 'file')} of HMDB51's 51: its other classes are not there.")
    return Rows(
        source=source, paths=paths, lines=lines, labels=labels, splits=splits,
        class_names=ucf101_classes(files[0].parent) if ucf else None,
    )  # fmt: skip


def ucf101_classes(folder: Path) -> list[str] | None:
    """The classes of UCF101's own classInd.txt, where it lies beside the split files."""
    path = folder / "classInd.txt"
    if not path.is_file():
        return None
    notice(f"{path}: the order of classes.")
    return read_classes(path)


# -- what names no whole clips


def refuse_boxes(source: str, text: str) -> None:
    """Check that a list is none of boxes of persons at moments of films.

    Raises:
        DataError: it is one of AVA's.
    """
    first = next((line for line in text_lines(text) if line.strip()), "")
    cells = next(csv.reader([first]), [])
    if len(cells) < 6 or not all(re.fullmatch(r"\d+(\.\d+)?", cell.strip()) for cell in cells[1:6]):
        return
    if all(0 <= float(cell) <= 1 for cell in cells[2:6]):
        raise DataError(
            f"{source}:1: a list of AVA's kind: a video, a second, a box and what the person in it does. Marey recognises "
            "what whole clips show: write a CSV with the header path,label,start,end."
        )
