"""Lists of videos in JSON, and in lines of JSON (JSONL, one record on each).

- `[{"path": ..., "label": ...}, ...]`: records with the words of a table's columns (`marey.data.lists.tables.COLUMNS`),
  such as MMAction2's (frame_dir or filename, total_frames, label) and Diving48's (vid_name, label, start_frame, end_frame).
  `label` may be a list.
- `[{"id": ..., "template": ...}, ...]`: Something-Something. The label is the template without its brackets, as in
  labels.json; the lists for testing have the id alone.
- `{"annotations": [records]}`: records in an object, also "videos", "data_list" and "data"; with MMAction2's
  `{"split": {name: [frame_dir, ...]}}` beside them, and class names in "classes" (MMEngine: in "metainfo").
- `{"train": [records], "val": [records]}`: by split; in place of records `{path: label}` or `{label: [path, ...]}`.
- `{id: {"annotations": ..., "subset": ...}}`: Kinetics (one annotation: a clip that was cut out of the video) and
  ActivityNet (a list of them: a row each, with its times), also within `{"database": ...}`.
- `{id: {"label": ..., ...}}` and `{path: label}`: by name; `{label: [path, ...]}`: by class.
- `[path, ...]` and `[[path, label], ...]`: paths alone, and pairs.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

from marey.base.address import is_address, shown_in
from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.public_lists import kinetics_place, something_label
from marey.data.lists.rows import FilesIn, NeedsWholeError, Rows, has_video_suffix
from marey.data.lists.split_names import is_split_name
from marey.data.lists.tables import COLUMN_OF, COLUMNS, IDS, Table, checked_times, column_word, table_rows
from marey.data.lists.text import parse_json, text_lines

_INSIDE = ("annotations", "videos", "data_list", "data", "database")
_NAMES = ("classes", "CLASSES", "class_names", "labels")
Record = Mapping[str, Json]


def is_json(source: str, text: str) -> bool:
    """Whether a list is JSON, or lines of JSON: it begins as JSON does and its file's name or its first line says so."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return False
    if source.lower().endswith((".json", ".jsonl", ".ndjson")):
        return True
    try:
        json.JSONDecoder().raw_decode(text.lstrip())
    except ValueError:
        return False
    return True


def json_rows(source: str, text: str, there: FilesIn) -> Rows:
    """The rows of a list in JSON.

    Raises:
        DataError: with file and line: no JSON, or none of the forms of this module.
    """
    return _rows(source, _value(source, text), _Lines(text), there)


def _value(source: str, text: str) -> Json:
    """The value of a JSON text; of several lines with one each, all of them as a list."""
    lines = [(n, line) for n, line in enumerate(text_lines(text), start=1) if line.strip()]
    if len(lines) > 1 and all(
        line.lstrip().startswith(("{", "[")) and line.rstrip().endswith(("}", "]")) for _, line in lines
    ):
        return [_line(source, n, line) for n, line in lines]
    return parse_json(source, text)


@dataclass(frozen=True)
class JsonLines:
    """A list of which each line is a record, or a pair of path and label."""

    source: str
    lines: Callable[[], Iterable[str]]
    """Gives its lines from the first on."""
    keys: tuple[str, ...]
    """The words of all records."""

    @classmethod
    def found(cls, source: str, lines: Callable[[], Iterable[str]]) -> Self:
        """Look at all lines.

        Raises:
            NeedsWholeError: there are other lines, or records whose columns the whole list tells.
            DataError: with file and line: a line is no JSON.
        """
        keys: dict[str, None] = {}
        kinds: set[bool] = set()
        count = 0
        for _, record in _json_lines(source, lines()):
            kinds.add(isinstance(record, list))
            as_mapping = _record(record)
            if any(isinstance(one, Mapping) and column_word(key) in COLUMN_OF for key, one in as_mapping.items()):
                raise NeedsWholeError
            keys.update(dict.fromkeys(as_mapping))
            count += 1
        words = {column_word(key) for key in keys}
        if count < 2 or len(kinds) > 1 or "template" in keys or words.isdisjoint((*COLUMNS["path"], *IDS)):
            raise NeedsWholeError
        return cls(source, lines, tuple(keys))

    @property
    def words(self) -> tuple[str, ...]:
        """The columns, as `Table` has them."""
        return tuple(dict.fromkeys(map(column_word, self.keys)))

    def tables(self, size: int) -> Iterator[Table]:
        """The records in tables of `size` rows, the last with those that are left."""
        records = ((number, _record(record)) for number, record in _json_lines(self.source, self.lines()))
        while some := list(islice(records, size)):
            columns = {column_word(key): [_text(record.get(key)) for _, record in some] for key in self.keys}
            yield Table(self.source, columns, [number for number, _ in some])


def _json_lines(source: str, lines: Iterable[str]) -> Iterator[tuple[int, Json]]:
    """The records of lines that are not blank, with their numbers."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if not (text.startswith(("{", "[")) and text.endswith(("}", "]"))):
            raise NeedsWholeError
        record = _line(source, number, line)
        if isinstance(record, list) and not (len(record) == 2 and isinstance(record[0], str)):
            raise NeedsWholeError
        yield number, record


def _line(source: str, number: int, line: str) -> Json:
    try:
        return parse_json(source, line)
    except DataError as error:
        raise DataError(f"{source}:{number}: {str(error).partition(': ')[2]}") from None


class _Lines:
    """Finds the lines of records in a text, which must be asked for in their order."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1

    def of(self, record: Json, key: str | None = None) -> int:
        """The line of a record's name, else of its first text value; where it cannot be found, that of the one before."""
        values = record.values() if isinstance(record, Mapping) else record if isinstance(record, list) else [record]
        words = [key] if key is not None else [value for value in values if isinstance(value, str)]
        for word in words[:1]:
            for written in (json.dumps(word), json.dumps(word, ensure_ascii=False)):
                found = self._text.find(written, self._at)
                if found >= 0:
                    self._line += self._text.count("\n", self._at, found)
                    self._at = found + len(written)
                    return self._line
        return self._line


def _rows(source: str, value: Json, lines: _Lines, there: FilesIn) -> Rows:
    if isinstance(value, Mapping):
        return _of_object(source, value, lines, there)
    items = list(value) if isinstance(value, list) else []
    if not items:
        raise DataError(f"{source}: names no videos.")
    numbers = [lines.of(item) for item in items]
    if all(isinstance(item, str) for item in items):
        return Rows(source=source, paths=list(map(str, items)), lines=numbers)
    if all(isinstance(item, list) and len(item) == 2 and isinstance(item[0], str) for item in items):
        items = [{"path": item[0], "label": item[1]} for item in items if isinstance(item, list)]
    for item, line in zip(items, numbers, strict=True):
        if not isinstance(item, Mapping):
            raise DataError(
                f'{source}:{line}: expected an object such as {{"path": ..., "label": ...}}, got {shown_in(repr(item)):.60}.'
            )
    return _of_records(source, [item for item in items if isinstance(item, Mapping)], numbers)


def _of_object(source: str, value: Record, lines: _Lines, there: FilesIn) -> Rows:
    if _path_key(value) and not any(isinstance(one, Mapping) for one in value.values()):
        return _of_records(source, [value], [lines.of(value)])  # a single line of JSON
    named_lists = {key: value[key] for key in _INSIDE if isinstance(value.get(key), list | Mapping)}
    inside = next(
        (one for one in named_lists.values() if isinstance(one, list)), next(iter(named_lists.values()), None)
    )
    if inside is not None:
        rows, split = _rows(source, inside, lines, there), value.get("split")
        rows = replace(rows, class_names=_class_names(source, value))
        return _with_splits(rows, split) if isinstance(split, Mapping) else rows
    if value and all(is_split_name(key) and isinstance(part, list | Mapping) for key, part in value.items()):
        parts: list[Json] = [
            {**record, "split": key} for key, part in value.items() for record in _records(source, part, there)
        ]
        return _rows(source, parts, lines, there)
    if value and all(isinstance(one, Mapping) for one in value.values()):
        named = {key: one for key, one in value.items() if isinstance(one, Mapping)}
        if any("annotations" in one for one in named.values()):
            return _annotated(source, named, lines, there)
        records: list[Record] = [one if _path_key(one) else {"path": key, **one} for key, one in named.items()]
        return _of_records(source, records, [lines.of(None, key) for key in named])
    return _by_key(source, value, lines, there)


def _class_names(source: str, value: Record) -> list[str] | None:
    """The class names that an object has beside its records, or in its "metainfo" (MMEngine)."""
    meta = value.get("metainfo")
    for record in (value, meta if isinstance(meta, Mapping) else {}):
        for key in _NAMES:
            names = record.get(key)
            if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
                notice(f"{source}: {key!r} in it names {counted(len(names), 'class')}.")
                return list(map(str, names))
    return None


def _records(source: str, part: Json, there: FilesIn) -> list[Record]:
    """The records of one split: a list of them, or an object by path or by label."""
    if isinstance(part, Mapping):
        found = _keyed(part, there)
        if found is not None:
            return [record for _, record in found]
        raise DataError(f"{source}: expected a list of records, {{path: label}} or {{label: [paths]}} for each split.")
    return [_record(item) for item in part] if isinstance(part, list) else []


def _keyed(value: Record, there: FilesIn) -> list[tuple[str, Record]] | None:
    """The records of an object with labels or records by path, or paths by label, each with its key; None of another."""
    if any(_is_path(key, there) for key in list(value)[:100]):
        return [
            (key, {"path": key, **one} if isinstance(one, Mapping) else {"path": key, "label": one})
            for key, one in value.items()
        ]
    listed = [(path, key) for key, one in value.items() if isinstance(one, list) for path in one]
    if listed and all(_is_path(path, there) for path, _ in listed[:100]):
        return [(str(path), {"path": path, "label": key}) for path, key in listed]
    return None


def _by_key(source: str, value: Record, lines: _Lines, there: FilesIn) -> Rows:
    """Labels by path, or paths by label."""
    if (found := _keyed(value, there)) is not None:
        return _of_records(source, [record for _, record in found], [lines.of(None, key) for key, _ in found])
    if value and all(isinstance(one, str | int) for one in value.values()):
        raise DataError(f"{source}: names no videos; if it names classes, it is for --classes (classes= in Python).")
    raise DataError(
        f"{source}: this JSON is no list of videos that Marey knows: expected records such as "
        '[{"path": "a.mp4", "label": "run"}, ...].'
    )


def _is_path(value: Json, there: FilesIn) -> bool:
    if not isinstance(value, str):
        return False
    return has_video_suffix(value) or is_address(value) or value in there or bool(there.completed(value))


def _record(item: Json) -> Record:
    if isinstance(item, Mapping):
        return item
    return {"path": item[0], "label": item[1]} if isinstance(item, list) and len(item) == 2 else {"path": item}


def _path_key(record: Record) -> bool:
    return any(column_word(word) in COLUMNS["path"] for word in record)


def _of_records(source: str, records: Sequence[Record], lines: list[int]) -> Rows:
    """Records as the rows of a table."""
    words = dict.fromkeys(word for record in records for word in record)
    if "template" in words:
        records = [something_label(record, f"{source}:{n}") for record, n in zip(records, lines, strict=True)]
        words = dict.fromkeys(word for record in records for word in record)
    if not any(column_word(word) in (*COLUMNS["path"], *IDS) for word in words):
        raise DataError(
            f'{source}:{lines[0]}: expected records such as {{"path": "a.mp4", "label": "run"}}, got one with '
            f"{', '.join(map(repr, words)) or 'nothing'}."
        )
    columns = {column_word(word): [_text(record.get(word)) for record in records] for word in words}
    for word in words:
        for record, line in zip(records, lines, strict=True):
            if isinstance(record.get(word), Mapping) and column_word(word) in COLUMN_OF:
                raise DataError(
                    f"{source}:{line}: expected a text or a number for {word!r}, got {shown_in(repr(record[word])):.60}."
                )
    return table_rows(Table(source, columns, lines))


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "|".join(map(_text, value))
    return str(value).strip()


def _with_splits(rows: Rows, splits: Record) -> Rows:
    """MMAction2's splits: names of videos by split."""
    named: dict[str, list[str]] = {}
    for split, names in splits.items():
        for name in names if isinstance(names, list) else ():
            named.setdefault(str(name), []).append(split)
    several = next((name for name in rows.paths if len(named.get(name, ())) > 1), None)
    if several is not None:
        raise DataError(
            f"{rows.source}: {several} is of several splits ({', '.join(named[several])}): write a list for each of them."
        )
    return replace(rows, splits=[(named.get(path) or [""])[0] for path in rows.paths])


def _annotated(source: str, videos: Mapping[str, Record], lines: _Lines, there: FilesIn) -> Rows:
    """Kinetics' and ActivityNet's JSON: annotations by the video's id."""
    paths, numbers, labels, splits, times, none = [], [], [], [], [], 0
    for name, video in videos.items():
        line = lines.of(None, name)
        where = f"{source}:{line}"
        annotations = video.get("annotations")
        cut = isinstance(annotations, Mapping)
        found = [annotations] if cut else annotations if isinstance(annotations, list) else []
        none += not found
        for one in found:
            if not isinstance(one, Mapping) or "label" not in one:
                raise DataError(f"{where}: expected an annotation with a label, got {shown_in(repr(one)):.60}.")
            start, end = _segment(one.get("segment"), where)
            label = _text(one["label"])
            paths.append(kinetics_place(there, name, label, start, end) if cut else _whole(there, name))
            times.append((float("nan"), float("nan")) if cut else checked_times(start, end, where))
            numbers.append(line)
            labels.append(label)
            splits.append(_text(video.get("subset", video.get("split"))))
    if none and paths:
        notice(f"{source}: {counted(none, 'video')} without annotations left out.")
    if not paths:
        paths, numbers = [_whole(there, name) for name in videos], [lines.of(None, name) for name in videos]
        return Rows(source=source, paths=paths, lines=numbers)
    parts = times if not all(math.isnan(start) and math.isnan(end) for start, end in times) else None
    return Rows(
        source=source, paths=paths, lines=numbers, labels=labels, splits=splits if any(splits) else None, times=parts
    )  # fmt: skip


def _segment(value: Json, where: str) -> tuple[float, float]:
    """Start and end in seconds, NaN where there are none."""
    if value is None:
        return float("nan"), float("nan")
    if isinstance(value, list) and len(value) == 2 and all(isinstance(n, int | float) for n in value):
        return float(value[0]), float(value[1])
    raise DataError(f"{where}: expected a segment of two times in seconds, got {shown_in(repr(value)):.60}.")


def _whole(there: FilesIn, name: str) -> str:
    """The file of an untrimmed video: ActivityNet's are often named v_ID."""
    found = [*there.completed(f"v_{name}"), *there.completed(name)]
    return found[0] if found else name
