"""Lists of videos in JSON, and in lines of JSON (JSONL, one record a line).

- `[{"path": ..., "label": ...}, ...]`: records whose keys are names of columns (`marey.data.lists.columns.COLUMNS`), such as
  MMAction2's (frame_dir or filename, total_frames, label) and Diving48's (vid_name, label, start_frame, end_frame).
  `label` may be a list.
- `[{"id": ..., "template": ...}, ...]`: Something-Something. The label is the template without its brackets, as in
  labels.json; the lists for testing have the id alone.
- `{"annotations": [records]}`: records in an object, also under "videos", "data_list" and "data"; the object may also have
  MMAction2's `{"split": {name: [frame_dir, ...]}}`, and class names in "classes" (MMEngine: in "metainfo").
- `{"train": [records], "val": [records]}`: the records of each split; instead of a list also `{path: label}` or
  `{label: [path, ...]}`.
- `{id: {"annotations": ..., "subset": ...}}`: Kinetics (one annotation: a clip that was cut out of the video) and
  ActivityNet (a list of them, each a row with its times), also under `{"database": ...}`.
- `{id: {"label": ..., ...}}` and `{path: label}`: an object whose keys are the videos; `{label: [path, ...]}`: the classes.
- `[path, ...]` and `[[path, label], ...]`: paths alone, and pairs.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

from marey.base.address import is_address, redacted_text
from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.columns import COLUMN_OF, COLUMNS, IDS, ListTable, check_times, column_word, read_table
from marey.data.lists.files_in import FilesIn, has_video_suffix
from marey.data.lists.public_lists import kinetics_path, something_label
from marey.data.lists.rows import NeedsAllRowsError, Rows
from marey.data.lists.split_names import is_split_name
from marey.data.lists.text_files import parse_json, text_lines

_RECORD_KEYS = ("annotations", "videos", "data_list", "data", "database")
_CLASS_KEYS = ("classes", "CLASSES", "class_names", "labels")
JsonRecord = Mapping[str, Json]


def is_json(source: str, text: str) -> bool:
    """Whether a list is JSON or lines of JSON: it begins with { or [, and has JSON's suffix or begins with a JSON value."""
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


def json_rows(source: str, text: str, existing: FilesIn) -> Rows:
    """The rows of a list in JSON, by the forms that this module lists.

    Raises:
        DataError: with file and line: no JSON, or JSON of another form.
    """
    return _rows_of_json(source, _value(source, text), _LineFinder(text), existing)


def _value(source: str, text: str) -> Json:
    """The value of a JSON text; if each line holds an object or array of its own, the list of these."""
    lines = [(n, line) for n, line in enumerate(text_lines(text), start=1) if line.strip()]
    if len(lines) > 1 and all(
        line.lstrip().startswith(("{", "[")) and line.rstrip().endswith(("}", "]")) for _, line in lines
    ):
        return [_line_of_json(source, n, line) for n, line in lines]
    return parse_json(source, text)


@dataclass(frozen=True)
class JsonLines:
    """A list whose lines are records, or pairs of path and label, and can be read one by one."""

    source: str
    """The list, for messages."""
    lines: Callable[[], Iterable[str]]
    """Returns its lines from the first on."""
    keys: tuple[str, ...]
    """The keys of all records."""

    @classmethod
    def found(cls, source: str, lines: Callable[[], Iterable[str]]) -> Self:
        """The list, after a pass over all its lines that checks them and collects their keys.

        Raises:
            NeedsAllRowsError: a line holds something else, or the records can only be read together.
            DataError: with file and line: a line is no JSON.
        """
        keys: dict[str, None] = {}
        kinds: set[bool] = set()
        count = 0
        for _, record in _json_lines(source, lines()):
            kinds.add(isinstance(record, list))
            as_mapping = _record(record)
            if any(isinstance(one, Mapping) and column_word(key) in COLUMN_OF for key, one in as_mapping.items()):
                raise NeedsAllRowsError
            keys.update(dict.fromkeys(as_mapping))
            count += 1
        words = {column_word(key) for key in keys}
        if count < 2 or len(kinds) > 1 or "template" in keys or words.isdisjoint((*COLUMNS["path"], *IDS)):
            raise NeedsAllRowsError
        return cls(source, lines, tuple(keys))

    @property
    def words(self) -> tuple[str, ...]:
        """The names of the columns in the spelling of `COLUMNS`."""
        return tuple(dict.fromkeys(map(column_word, self.keys)))

    def tables(self, size: int) -> Iterator[ListTable]:
        """The records in tables of `size` rows; the last table has the remaining ones."""
        records = ((number, _record(record)) for number, record in _json_lines(self.source, self.lines()))
        while chunk := list(islice(records, size)):
            columns = {column_word(key): [_text(record.get(key)) for _, record in chunk] for key in self.keys}
            yield ListTable(self.source, columns, [number for number, _ in chunk])


def _json_lines(source: str, lines: Iterable[str]) -> Iterator[tuple[int, Json]]:
    """The records of the lines that are not blank, with the numbers of the lines."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if not (text.startswith(("{", "[")) and text.endswith(("}", "]"))):
            raise NeedsAllRowsError
        record = _line_of_json(source, number, line)
        if isinstance(record, list) and not (len(record) == 2 and isinstance(record[0], str)):
            raise NeedsAllRowsError
        yield number, record


def _line_of_json(source: str, number: int, line: str) -> Json:
    try:
        return parse_json(source, line)
    except DataError as error:
        raise DataError(f"{source}:{number}: {str(error).partition(': ')[2]}") from None


class _LineFinder:
    """Finds the lines of records in a text; `of` must be called in the order of the records."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1

    def of(self, record: Json, key: str | None = None) -> int:
        """The line of a record: the one with its `key`, or, if `key` is None, with its first text value. If that is not
        found, the line of the record before.
        """
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


def _rows_of_json(source: str, value: Json, lines: _LineFinder, existing: FilesIn) -> Rows:
    if isinstance(value, Mapping):
        return _of_object(source, value, lines, existing)
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
                f'{source}:{line}: expected an object such as {{"path": ..., "label": ...}}, '
                f"got {redacted_text(repr(item)):.60}."
            )
    return _of_records(source, [item for item in items if isinstance(item, Mapping)], numbers)


def _of_object(source: str, value: JsonRecord, lines: _LineFinder, existing: FilesIn) -> Rows:
    if _path_key(value) and not any(isinstance(one, Mapping) for one in value.values()):
        return _of_records(source, [value], [lines.of(value)])  # a single line of JSON
    named_lists = {key: value[key] for key in _RECORD_KEYS if isinstance(value.get(key), list | Mapping)}
    records = next(
        (one for one in named_lists.values() if isinstance(one, list)), next(iter(named_lists.values()), None)
    )
    if records is not None:
        rows, split = _rows_of_json(source, records, lines, existing), value.get("split")
        rows = replace(rows, class_names=_listed_class_names(source, value))
        return _with_splits(rows, split) if isinstance(split, Mapping) else rows
    if value and all(is_split_name(key) and isinstance(one, list | Mapping) for key, one in value.items()):
        with_split: list[Json] = [
            {**record, "split": key} for key, one in value.items() for record in _records(source, one, existing)
        ]
        return _rows_of_json(source, with_split, lines, existing)
    if value and all(isinstance(one, Mapping) for one in value.values()):
        named = {key: one for key, one in value.items() if isinstance(one, Mapping)}
        if any("annotations" in one for one in named.values()):
            return _annotated(source, named, lines, existing)
        by_name: list[JsonRecord] = [one if _path_key(one) else {"path": key, **one} for key, one in named.items()]
        return _of_records(source, by_name, [lines.of(None, key) for key in named])
    return _by_key(source, value, lines, existing)


def _listed_class_names(source: str, value: JsonRecord) -> list[str] | None:
    """The class names that an object has besides its records, or in its "metainfo" (MMEngine)."""
    meta = value.get("metainfo")
    for record in (value, meta if isinstance(meta, Mapping) else {}):
        for key in _CLASS_KEYS:
            names = record.get(key)
            if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
                notice(f"{source}: its {key!r} names {counted(len(names), 'class')}.")
                return list(map(str, names))
    return None


def _records(source: str, value: Json, existing: FilesIn) -> list[JsonRecord]:
    """The records of one split, from a list of records, {path: label} or {label: [paths]}."""
    if isinstance(value, Mapping):
        keyed = _keyed(value, existing)
        if keyed is not None:
            return [record for _, record in keyed]
        raise DataError(f"{source}: expected a list of records, {{path: label}} or {{label: [paths]}} for each split.")
    return [_record(item) for item in value] if isinstance(value, list) else []


def _keyed(value: JsonRecord, existing: FilesIn) -> list[tuple[str, JsonRecord]] | None:
    """The records of an object {path: label or record} or {label: [paths]}, each with its key; None for other objects."""
    if any(_is_path(key, existing) for key in list(value)[:100]):
        return [
            (key, {"path": key, **one} if isinstance(one, Mapping) else {"path": key, "label": one})
            for key, one in value.items()
        ]
    listed = [(path, key) for key, one in value.items() if isinstance(one, list) for path in one]
    if listed and all(_is_path(path, existing) for path, _ in listed[:100]):
        return [(str(path), {"path": path, "label": key}) for path, key in listed]
    return None


def _by_key(source: str, value: JsonRecord, lines: _LineFinder, existing: FilesIn) -> Rows:
    """The rows of an object {path: label or record} or {label: [paths]}."""
    if (keyed := _keyed(value, existing)) is not None:
        return _of_records(source, [record for _, record in keyed], [lines.of(None, key) for key, _ in keyed])
    if value and all(isinstance(one, str | int) for one in value.values()):
        raise DataError(f"{source}: names no videos; give a file of class names with --classes (classes= in Python).")
    raise DataError(
        f"{source}: this JSON is no list of videos that Marey knows: expected records such as "
        '[{"path": "a.mp4", "label": "run"}, ...].'
    )


def _is_path(value: Json, existing: FilesIn) -> bool:
    if not isinstance(value, str):
        return False
    return has_video_suffix(value) or is_address(value) or value in existing or bool(existing.completed(value))


def _record(item: Json) -> JsonRecord:
    if isinstance(item, Mapping):
        return item
    return {"path": item[0], "label": item[1]} if isinstance(item, list) and len(item) == 2 else {"path": item}


def _path_key(record: JsonRecord) -> bool:
    return any(column_word(word) in COLUMNS["path"] for word in record)


def _of_records(source: str, records: Sequence[JsonRecord], lines: list[int]) -> Rows:
    """Records as rows, read as a table whose columns are their keys."""
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
                    f"{source}:{line}: expected a text or a number for {word!r}, "
                    f"got {redacted_text(repr(record[word])):.60}."
                )
    return read_table(ListTable(source, columns, lines))


def _text(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "|".join(map(_text, value))
    return str(value).strip()


def _with_splits(rows: Rows, splits: JsonRecord) -> Rows:
    """The rows with MMAction2's splits, which are lists of videos by split."""
    named: dict[str, list[str]] = {}
    for split, names in splits.items():
        for name in names if isinstance(names, list) else ():
            named.setdefault(str(name), []).append(split)
    several = next((name for name in rows.paths if len(named.get(name, ())) > 1), None)
    if several is not None:
        raise DataError(
            f"{rows.source}: {several} is in several splits ({', '.join(named[several])}): write a list for each of them."
        )
    return replace(rows, splits=[(named.get(path) or [""])[0] for path in rows.paths])


def _annotated(source: str, videos: Mapping[str, JsonRecord], lines: _LineFinder, existing: FilesIn) -> Rows:
    """The rows of Kinetics' and ActivityNet's JSON, which has annotations by the id of the video."""
    paths, numbers, labels, splits, times, without = [], [], [], [], [], 0
    for name, video in videos.items():
        line = lines.of(None, name)
        where = f"{source}:{line}"
        annotations = video.get("annotations")
        is_trimmed = isinstance(annotations, Mapping)  # Kinetics: a file of the segment alone
        of_video = [annotations] if is_trimmed else annotations if isinstance(annotations, list) else []
        without += not of_video
        for one in of_video:
            if not isinstance(one, Mapping) or "label" not in one:
                raise DataError(f"{where}: expected an annotation with a label, got {redacted_text(repr(one)):.60}.")
            start, end = _segment(one.get("segment"), where)
            label = _text(one["label"])
            paths.append(kinetics_path(existing, name, label, start, end) if is_trimmed else _untrimmed(existing, name))
            times.append((float("nan"), float("nan")) if is_trimmed else check_times(start, end, where))
            numbers.append(line)
            labels.append(label)
            splits.append(_text(video.get("subset", video.get("split"))))
    if without and paths:
        notice(f"{source}: {counted(without, 'video')} without annotations left out.")
    if not paths:
        paths, numbers = [_untrimmed(existing, name) for name in videos], [lines.of(None, name) for name in videos]
        return Rows(source=source, paths=paths, lines=numbers)
    segments = times if not all(math.isnan(start) and math.isnan(end) for start, end in times) else None
    return Rows(
        source=source, paths=paths, lines=numbers, labels=labels, splits=splits if any(splits) else None, times=segments
    )  # fmt: skip


def _segment(value: Json, where: str) -> tuple[float, float]:
    """Start and end of an annotation in seconds, NaN where it has no segment."""
    if value is None:
        return float("nan"), float("nan")
    if isinstance(value, list) and len(value) == 2 and all(isinstance(n, int | float) for n in value):
        return float(value[0]), float(value[1])
    raise DataError(f"{where}: expected a segment of two times in seconds, got {redacted_text(repr(value)):.60}.")


def _untrimmed(existing: FilesIn, name: str) -> str:
    """The path of an untrimmed video by its id: ActivityNet's files are often named v_ID."""
    files = [*existing.completed(f"v_{name}"), *existing.completed(name)]
    return files[0] if files else name
