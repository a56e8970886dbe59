"""Lists in the formats of public data sets: Kinetics' and Charades' CSV, Something-Something's templates, and the split
files of UCF101 and HMDB51. AVA's lists are refused.
"""

import csv
import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from marey.base.address import redacted_text
from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.lists.class_files import read_classes
from marey.data.lists.columns import ListTable
from marey.data.lists.files_in import FilesIn
from marey.data.lists.rows import Rows
from marey.data.lists.text_files import read_text, row_location, text_lines

KINETICS = ("youtube_id", "time_start", "time_end")
CHARADES = ("id", "actions")
_ACTION = re.compile(r"(c\d{3}) [\d.]+ [\d.]+")
_HMDB51 = re.compile(r"(.+)_test_split([123])\.txt")
_UCF101 = re.compile(r"(train|test)list0([123])\.txt")
_UCF101_CLIP = re.compile(r"v_(\w+_g\d+)_c\d+")
_HMDB51_USES = {"1": "train", "2": "test", "0": ""}


# -- Kinetics


def is_kinetics(words: Collection[str]) -> bool:
    """Whether the header of a table is that of Kinetics: youtube_id, time_start, time_end (test lists lack label)."""
    return all(column in words for column in KINETICS)


def kinetics_rows(table: ListTable, existing: FilesIn) -> Rows:
    """The rows of Kinetics' CSV, with the path of the file of each segment, which was cut out of its video.

    Raises:
        DataError: with file and line: times that are no seconds.
    """
    paths = []
    labels = table.columns.get("label")
    columns = (labels or [""] * len(table.lines), *(table.columns[name] for name in KINETICS), table.lines)
    for label, name, start, end, line in zip(*columns, strict=True):
        try:
            paths.append(kinetics_path(existing, name, label, float(start), float(end)))
        except ValueError:
            raise DataError(f"{row_location(table.source, line)}: time_start and time_end must be seconds.") from None
    splits = table.columns.get("split", [])
    return Rows(
        source=table.source, paths=paths, lines=table.lines, labels=labels, splits=splits if any(splits) else None
    )  # fmt: skip


def kinetics_path(existing: FilesIn, name: str, label: str, start: float, end: float) -> str:
    """The path of a file of Kinetics, flat or in a folder of its class; if none exists, the first possible one with .mp4.

    Its name is ID_START_END with the times in six digits or as plain numbers, or the id alone.
    """
    timed = (
        []
        if math.isnan(start + end)
        else [f"{name}_{int(start):06d}_{int(end):06d}", f"{name}_{int(start)}_{int(end)}"]
    )
    folders = dict.fromkeys((label, label.replace(" ", "_"), ""))
    for stem in (*timed, name):
        for folder in folders:
            if found := existing.completed(f"{folder}/{stem}" if folder else stem):
                return found[0]
    return f"{label}/{[*timed, name][0]}.mp4" if label else f"{[*timed, name][0]}.mp4"


# -- Charades


def is_charades(words: Collection[str]) -> bool:
    """Whether the header of a table is that of Charades: an id, and actions such as `c092 11.90 21.20;c147 0.00 12.60`."""
    return all(column in words for column in CHARADES)


def charades_rows(table: ListTable, classes: Sequence[str] | None) -> Rows:
    """The rows of Charades' CSV: each video with all its actions as labels, without their times, as is usual.

    Videos without actions are left out, with a notice. Labels are the codes of the actions (c000 to c156), or the names in
    `classes` that begin with the code (`c000 Holding some clothes`).

    Raises:
        DataError: with file and line: actions of another form.
    """
    names = {match[1]: name for name in classes or () if (match := re.match(r"(c\d{3})\s", name))}
    paths, lines, labels = [], [], []
    for name, actions, line in zip(table.columns["id"], table.columns["actions"], table.lines, strict=True):
        codes = [match[1] for one in filter(None, actions.split(";")) if (match := _ACTION.fullmatch(one.strip()))]
        if len(codes) != len(list(filter(None, actions.split(";")))):
            raise DataError(
                f"{row_location(table.source, line)}: expected actions such as `c092 11.90 21.20;...`, got "
                f"{redacted_text(repr(actions)):.60}."
            )
        if codes:
            paths.append(name)
            lines.append(line)
            labels.append("|".join(names.get(code, code) for code in dict.fromkeys(codes)))
    without = len(table.lines) - len(paths)
    left = f"; {counted(without, 'video')} without actions left out" if without else ""
    notice(f"{table.source}: Charades, all actions of a video are its labels, without their times{left}.")
    return Rows(source=table.source, paths=paths, lines=lines, labels=labels)


# -- Something-Something


def something_label(record: Mapping[str, Json], where: str) -> dict[str, Json]:
    """A record of Something-Something whose label is its template without brackets, as in labels.json.

    Raises:
        DataError: the record has no template.
    """
    template = record.get("template")
    if not isinstance(template, str) or not template:
        raise DataError(f"{where}: expected a template, which other records of the list have.")
    others = {word: value for word, value in record.items() if word not in ("label", "template", "placeholders")}
    return others | {"label": re.sub(r"\[(.*?)\]", r"\1", template)}


# -- the official splits of UCF101 and HMDB51


def official_files(path: Path) -> list[Path]:
    """The split files of UCF101 or HMDB51 that a path stands for; none where it is something else.

    The path is a folder with such files and without folders, or a pattern such as `splits/*_test_split1.txt` or
    `ucfTrainTestlist/*list01.txt`.

    Raises:
        DataError: the files are of several official splits, or the path is the file of one class of HMDB51.
    """
    if path.is_file():
        if _HMDB51.fullmatch(path.name):
            raise _several_splits(path.parent, _HMDB51, f"{path}: one class of HMDB51, whose splits are 51 files each")
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
            folder = path if path.is_dir() else path.parent
            raise _several_splits(folder, pattern, f"{path}: files of {len(splits)} official splits")
        if splits:
            return [file for file in files if pattern.fullmatch(file.name)]
    return []


def _several_splits(folder: Path, pattern: re.Pattern[str], what: str) -> DataError:
    """The error for a path that does not stand for one official split; `what` is the beginning of the message."""
    name, example = ("hmdb51", "*_test_split1.txt") if pattern is _HMDB51 else ("ucf101", "*list01.txt")
    return DataError(
        f"{what}: give those of one split as '{folder / example}' (with the quotes), or `marey data prepare {name} FOLDER` "
        "writes a list of each split."
    )


def official_rows(files: Sequence[Path], existing: FilesIn) -> Rows:
    """The rows of one official split of UCF101 or HMDB51, with a column `split` (train, test).

    Raises:
        DataError: with file and line: a line of another form.
    """
    is_ucf101 = _UCF101.fullmatch(files[0].name) is not None
    paths, lines, labels, splits, unused = [], [], [], [], 0
    for file in files:
        file_name = (_UCF101 if is_ucf101 else _HMDB51).fullmatch(file.name)
        for number, line in enumerate(map(str.strip, text_lines(read_text(file))), start=1):
            match = re.fullmatch(r"(\w+)/(\S+)(?: \d+)?" if is_ucf101 else r"(.+?)\s+([012])", line)
            if not line or file_name is None:
                continue
            if match is None:
                expected = "CLASS/CLIP.avi [number]" if is_ucf101 else "CLIP.avi 0, 1 or 2"
                raise DataError(f"{file}:{number}: expected `{expected}`, got {line!r}.")
            if is_ucf101:
                label, clip, split = match[1], match[2], file_name[1]
            else:
                label, clip, split = file_name[1], match[1], _HMDB51_USES[match[2]]
            if not split:
                unused += 1
                continue
            candidates = [f"{label}/{clip}", f"{label}/{label}/{clip}", clip]
            paths.append(existing.first(candidates) or candidates[0])
            lines.append(number)
            labels.append(label)
            splits.append(split)
    source = str(files[0] if len(files) == 1 else files[0].parent)
    if unused:
        notice(f"{source}: {counted(unused, 'video')} that this split of HMDB51 does not use (0 in its files).")
    if not is_ucf101 and len(files) < 51:
        warning(f"{source}: {counted(len(files), 'file')} of HMDB51's 51: the other classes are missing.")
    return Rows(
        source=source, paths=paths, lines=lines, labels=labels, splits=splits,
        class_names=ucf101_classes(files[0].parent) if is_ucf101 else None,
    )  # fmt: skip


def ucf101_classes(folder: Path) -> list[str] | None:
    """The classes in UCF101's classInd.txt, if that is in the folder of the split files."""
    path = folder / "classInd.txt"
    if not path.is_file():
        return None
    notice(f"{path}: gives the order of classes.")
    return read_classes(path)


def ucf101_group(path: str) -> str:
    """The group of a UCF101 clip (v_Archery_g07_c03 is of group Archery_g07); "" for other names."""
    found = _UCF101_CLIP.search(path)
    return found.group(1) if found else ""


# -- AVA


def refuse_boxes(source: str, text: str) -> None:
    """Check that a list is none of AVA's kind: boxes around persons at single seconds of films.

    Raises:
        DataError: the list is of that kind.
    """
    first = next((line for line in text_lines(text) if line.strip()), "")
    cells = next(csv.reader([first]), [])
    if len(cells) < 6 or not all(re.fullmatch(r"\d+(\.\d+)?", cell.strip()) for cell in cells[1:6]):
        return
    if all(0 <= float(cell) <= 1 for cell in cells[2:6]):
        raise DataError(
            f"{source}:1: a list of AVA's kind: a video, a second, a box and what the person in it does. Marey recognises "
            "what entire clips show: write a CSV with the header path,label,start,end."
        )
