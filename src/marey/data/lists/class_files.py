"""Files with the class names of a data set."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.lists.files_in import has_video_suffix
from marey.data.lists.text_files import not_utf8, parse_json, read_text, text_lines, utf8_advice

_NUMBER_WORDS = ("id", "index", "idx", "number", "no", "num", "class_id", "class_index", "label_id", "label_index")
_NAME_WORDS = ("name", "label", "class", "class_name", "label_name", "category", "action", "action_name", "title")
_ALL_WORDS = {*_NUMBER_WORDS, *_NAME_WORDS}
_KEYS = ("names", "classes", "labels", "categories", "id2label", "class_to_idx")
_LISTS_VIDEOS = "this is a list of videos; --classes (classes= in Python) takes a file of class names, one on each line"


def read_classes(path: str | Path) -> list[str]:
    """Class names from a file, in order.

    These formats are read:

    - a name on each line; lines that begin with # are comments;
    - `number name` or `name number` on each line, with a blank, tab, comma or semicolon between: UCF101's classInd.txt;
    - a CSV whose header has a column of numbers (id, index, ...) and one of names (name, label, ...) in either order, as
      X-CLIP's `id,name`, or of names alone;
    - JSON or YAML: a list of names, {name: number}, {number: name}, or a list of records such as {"id": 0, "name": "run"};
      also as the value of "names", "classes", "labels", "categories", "id2label" (Hugging Face) or "class_to_idx"
      (torchvision) in an object; Diving48's lists of words, which are joined by "+" as in MMAction2.

    Numbers begin at 0 or 1 and have no gaps. A name that occurs twice gives a warning.

    Raises:
        DataError: the file does not exist, is empty, is not UTF-8 text, is a list of videos or has another format; or a
            number is missing or occurs twice.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file of class names.")
    text = read_text(path, what="class names", advice="write one class name on each line of a text file")
    if not_utf8(text):
        raise DataError(f"{path}: is not UTF-8 text; {utf8_advice(str(path), text)}")
    if path.suffix.lower() in (".yaml", ".yml"):
        names = _of_value(path, _yaml(path, text))
    elif text.lstrip().startswith(("{", "[")) and (
        path.suffix.lower() == ".json" or text.rstrip().endswith(("}", "]"))
    ):
        names = _of_value(path, parse_json(str(path), text))
    else:
        names = _of_lines(path, [(n, line.strip()) for n, line in enumerate(text_lines(text), start=1) if line.strip()])
    if not names:
        raise DataError(f"{path}: names no classes.")
    blank = next((index for index, name in enumerate(names) if not name), None)
    if blank is not None:
        raise DataError(f"{path}: class {blank} has no name.")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        warning(f"{path}: the class {twice!r} is there twice: rows labelled by this name are refused, numbers are not.")
    return names


def _of_lines(path: Path, lines: Sequence[tuple[int, str]]) -> list[str]:
    lines = [(n, line) for n, line in lines if not line.startswith("#")]
    if not lines:
        return []
    table = _header(path, lines)
    if table is not None:
        return table
    texts = [line for _, line in lines]
    numbers = [n for n, _ in lines]
    _refuse_other_formats(path, lines)
    if all(re.match(r"\d+[\s,;:]+\S", text) for text in texts):
        pairs = [re.split(r"[\s,;:]+", text, maxsplit=1) for text in texts]
        return _in_order(path, [(int(k), _unquoted(name), n) for (k, name), n in zip(pairs, numbers, strict=True)])
    if all(re.search(r"\S[\s,;:]+\d+$", text) for text in texts):
        ends = [re.sub(r".*[\s,;:]", "", text) for text in texts]
        starts = [re.sub(r"[\s,;:]+\d+$", "", text) for text in texts]
        # "level 1", "level 2" are names. Class numbers are 0, 1, 2, ... over all lines, and the names before them differ.
        from_0_or_1 = (list(range(len(ends))), list(range(1, len(ends) + 1)))
        if sorted(map(int, ends)) in from_0_or_1 and len(set(starts)) == len(starts):
            return _in_order(path, [(int(k), _unquoted(s), n) for k, s, n in zip(ends, starts, numbers, strict=True)])
    return list(map(_unquoted, texts))


def _refuse_other_formats(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Check that the lines are no list of videos, no source code, and no numbers of which some have no name.

    Raises:
        DataError: with file and line: they are one of these.
    """
    for number, line in lines:
        if any(map(has_video_suffix, re.split(r"[\s,;]+", line))):
            raise DataError(f"{path}:{number}: {line!r}: {_LISTS_VIDEOS}.")
        if line.endswith(("{", "[")) or re.match(r"\w+\s*=\s*[\[{(]", line):
            raise DataError(
                f"{path}:{number}: {line!r} begins no class name: write one name on each line, or JSON such as "
                '["run", "walk"].'
            )
    numbered = [re.fullmatch(r"\d+([\s,;:]+\S.*)?", line) for _, line in lines]
    if all(numbered) and any(found and found[1] for found in numbered):
        for (number, line), found in zip(lines, numbered, strict=True):
            if found and not found[1]:
                raise DataError(f"{path}:{number}: class {line} has no name.")


def _unquoted(name: str) -> str:
    """A name without the quotes that a CSV puts around it."""
    return name[1:-1].replace('""', '"') if len(name) > 1 and name[0] == name[-1] == '"' else name


def _header(path: Path, lines: Sequence[tuple[int, str]]) -> list[str] | None:
    """The class names of a file whose first line is a header; None for other files.

    The first line is a header if one of its cells is in `_NUMBER_WORDS` or `_NAME_WORDS`. If blanks separate the
    cells, all of them must be such words, and all other lines must begin with a number.

    Raises:
        DataError: with file and line: too many or too few cells, no column of names or several, or a list of videos.
    """
    for separator in (",", ";", "\t", " "):
        cells = next(csv.reader([lines[0][1]], delimiter=separator, skipinitialspace=True))
        header = [re.sub(r"[\s-]+", "_", cell.strip().lower()) for cell in cells]
        blanks = separator == " " and len(header) > 1
        if not set(header) & _ALL_WORDS or len(lines) == 1:
            continue
        if blanks and not (set(header) <= _ALL_WORDS and all(re.match(r"\d+\s+\S", line) for _, line in lines[1:])):
            continue
        if {"path", "video", "video_path", "filename", "youtube_id", "video_id"} & set(header):
            raise DataError(f"{path}:{lines[0][0]}: {lines[0][1]!r}: {_LISTS_VIDEOS}.")
        rows = (
            [line.split(maxsplit=len(header) - 1) for _, line in lines[1:]]
            if blanks
            else list(csv.reader((line for _, line in lines[1:]), delimiter=separator, skipinitialspace=True))
        )
        wrong = next((n for row, (n, _) in zip(rows, lines[1:], strict=False) if len(row) != len(header)), None)
        if wrong is not None or len(rows) != len(lines) - 1:
            raise DataError(f"{path}:{wrong or lines[1][0]}: expected {len(header)} values, as the first line has.")
        columns = {
            index: [row[index].strip() for row in rows]
            for index, word in enumerate(header)
            if word in {*_ALL_WORDS, ""}
        }
        numbers = [index for index, column in columns.items() if all(re.fullmatch(r"\d+", cell) for cell in column)]
        for index in set(columns) - set(numbers):
            if header[index] in _NUMBER_WORDS and any(re.fullmatch(r"-?[\d.]*\d", cell) for cell in columns[index]):
                raise DataError(
                    f"{path}:1: the column {cells[index]!r} must have whole numbers from 0 or 1 in all rows."
                )
        names = [index for index in columns if header[index] in _NAME_WORDS and index not in numbers[:1]]
        if len(names) != 1:
            raise DataError(f"{path}:1: which column has the names? Write a number and a name: id,name.")
        notice(f"{path}: the first line, {lines[0][1]!r}, read as a header.")
        if ignored := [word for index, word in enumerate(header) if index not in (*numbers[:1], *names) and word]:
            notice(f"{path}: {counted(len(ignored), 'column')} ignored: {', '.join(ignored)}.")
        if not numbers:
            return columns[names[0]]
        numbered = zip(map(int, columns[numbers[0]]), columns[names[0]], (n for n, _ in lines[1:]), strict=True)
        return _in_order(path, list(numbered))
    return None


def _in_order(path: Path, numbered: Sequence[tuple[int, str, int | None]]) -> list[str]:
    """The names sorted by their numbers, which begin at 0 or 1 and have no gaps; each comes with its line, if it has one.

    Raises:
        DataError: a number occurs twice or is missing.
    """
    seen: set[int] = set()
    for number, name, line in numbered:
        if number in seen:
            raise DataError(f"{path}{f':{line}' if line else ''}: class {number} ({name}) is there twice.")
        seen.add(number)
    first = min(seen, default=0)
    missing = sorted(set(range(min(first, 1), max(seen, default=0) + 1)) - seen)
    if missing:
        raise DataError(
            f"{path}: {counted(len(seen), 'class')} with numbers up to {max(seen)}, but {missing[0]} is missing; they must "
            "begin at 0 or 1 and have no gaps. Where numbers belong to the names, write JSON: "
            '["3 point shot", ...].'
        )
    return [name for _, name, _ in sorted(numbered, key=lambda one: one[0])]


def _yaml(path: Path, text: str) -> Json:
    try:
        value: Json = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DataError(f"{path}: this is no YAML ({str(error).splitlines()[0]}).") from None
    return value


def _of_value(path: Path, value: Json) -> list[str]:
    """Class names from a value of JSON or YAML.

    Raises:
        DataError: the value has none of the forms that `read_classes` lists.
    """
    if isinstance(value, Mapping):
        value = next((value[word] for word in _KEYS if isinstance(value.get(word), list | Mapping)), value)
    if isinstance(value, list):
        if all(isinstance(one, str) for one in value):
            return [str(one).strip() for one in value]
        if all(isinstance(one, list) and one and all(isinstance(word, str) for word in one) for one in value):
            return ["+".join(map(str, one)) for one in value if isinstance(one, list)]
        if all(isinstance(one, Mapping) for one in value):
            pairs = [_index_and_name(path, one) for one in value if isinstance(one, Mapping)]
            return _in_order(path, [(number, name, None) for number, name in pairs])
    if isinstance(value, Mapping) and value:
        if all(_is_number(number) for number in value) and all(isinstance(name, str) for name in value.values()):
            return _in_order(path, [(int(number), str(name).strip(), None) for number, name in value.items()])
        if all(_is_number(number) for number in value.values()) and all(isinstance(name, str) for name in value):
            return _in_order(path, [(int(str(number)), name.strip(), None) for name, number in value.items()])
    raise DataError(
        f"{path}: expected the names of classes as a list, as {{name: number}} or as {{number: name}} (names as text: in "
        "YAML, yes, no, on and off need quotes)."
    )


def _index_and_name(path: Path, record: Mapping[str, Json]) -> tuple[int, str]:
    numbers = [value for word, value in record.items() if word.lower() in _NUMBER_WORDS and _is_number(value)]
    names = [value for word, value in record.items() if word.lower() in _NAME_WORDS and isinstance(value, str)]
    if len(numbers) != 1 or len(names) != 1:
        raise DataError(f'{path}: expected records such as {{"id": 0, "name": "run"}}, got {dict(record)!r:.60}.')
    return int(str(numbers[0])), str(names[0]).strip()


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and re.fullmatch(r"\d+", str(value)) is not None
