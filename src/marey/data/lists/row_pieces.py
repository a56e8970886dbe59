"""The rows of a list in pieces, by the rules of `marey.data.lists.formats`, where each row can be read by itself.

How a list is read is decided on its beginning, or, where a rule counts all lines (a table without a header), by a pass over
it. These are read as a whole: JSON of one document; Kinetics' and Charades' tables; the lists of UCF101; lines with numbers
behind folders of frames, and tables with numbers of frames of folders (the whole list tells what they mean); texts in UTF-16
and UTF-32.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from marey.data.lists.json_lists import JsonLines
from marey.data.lists.lines import VideoLines
from marey.data.lists.numbered_lines import Line, PassedOver, numbered
from marey.data.lists.parquet_lists import ParquetList
from marey.data.lists.public_lists import is_charades, is_kinetics, refuse_boxes
from marey.data.lists.rows import FilesIn, NeedsWholeError, Rows
from marey.data.lists.sources import ucf_group
from marey.data.lists.tables import (
    UNNEEDED,
    Table,
    columns_of,
    find_dialect,
    has_frames,
    rows_of,
    tell_of_columns,
    tell_of_frames,
)
from marey.data.lists.text import file_lines, is_of_wide_letters, is_parquet

_JSON = (".json", ".jsonl", ".ndjson")


class RowPieces(Protocol):
    """A list whose rows are read in pieces, any number of times."""

    def rows(self, size: int) -> Iterator[Rows]:
        """All rows from the first on, at most `size` at a time.

        Raises:
            NeedsWholeError: a rule needs the whole list.
            DataError: with file and line: what is not understood.
        """
        ...

    def tell(self) -> None:
        """Say what was passed over in all rows, once they were read."""


def open_rows(path: Path, there: FilesIn) -> RowPieces:
    """A list by the form that it has; `there` is what lies in the folder of its paths.

    Raises:
        NeedsWholeError: it is one that is read as a whole.
        DataError: it is none, or of another kind.
    """
    if is_parquet(path):
        table = ParquetList.opened(path)
        return _Tables(table.source, table.words, table.tables, unread=UNNEEDED)
    if is_of_wide_letters(path):
        raise NeedsWholeError
    source = str(path)
    first = next((line for line in file_lines(path) if line.strip()), "")
    refuse_boxes(source, first)
    if _may_be_json(source, first):
        found = JsonLines.found(source, lambda: file_lines(path))
        return _Tables(source, found.words, lambda _, size: found.tables(size))
    text = _Text(path, there)
    dialect = find_dialect(source, text.lines, there)
    if dialect is None:
        return _Lines(VideoLines(source, text.lines, there), text)
    return _Tables(source, dialect.words, lambda _, size: dialect.tables(source, text.lines(), size, text.passed), text)


def _may_be_json(source: str, first: str) -> bool:
    """Whether a list is JSON, or its first line begins as if it were.

    Raises:
        NeedsWholeError: the first line does not show it.
    """
    if not first.lstrip().startswith(("{", "[")):
        return False
    if not source.lower().endswith(_JSON):
        try:
            json.JSONDecoder().raw_decode(first.lstrip())
        except ValueError:
            raise NeedsWholeError from None
    return True


class _Text:
    """The numbered lines of a text, and how many of them the last pass left out."""

    def __init__(self, path: Path, there: FilesIn) -> None:
        self._path, self._there = path, there
        self.passed = PassedOver()

    def lines(self) -> Iterator[Line]:
        """A pass over them."""
        self.passed = PassedOver()
        return numbered(file_lines(self._path), self._there, self.passed)


class _Tables:
    """A table, read as several of some rows each; columns that are `unread` are left out where the file allows that."""

    def __init__(
        self,
        source: str,
        words: Sequence[str],
        tables: Callable[[Sequence[str], int], Iterator[Table]],
        text: _Text | None = None,
        *,
        unread: Sequence[str] = (),
    ) -> None:
        if is_kinetics(words) or is_charades(words):
            raise NeedsWholeError
        self._source, self._words, self._tables, self._text = source, words, tables, text
        self._named = columns_of(source, words)
        self._read = {name: word for name, word in self._named.items() if name not in unread}
        self._has_frames = False

    def rows(self, size: int) -> Iterator[Rows]:
        for table in self._tables(list(self._read.values()), size):
            rows = rows_of(table, self._read)
            self._has_frames = self._has_frames or has_frames(rows)
            yield rows

    def tell(self) -> None:
        if self._text is not None:
            self._text.passed.tell(self._source)
        tell_of_columns(self._source, self._words, self._named)
        if self._has_frames:
            tell_of_frames(self._source)


class _Lines:
    """A text with a video on each line."""

    def __init__(self, lines: VideoLines, text: _Text) -> None:
        self._lines, self._text = lines, text

    def rows(self, size: int) -> Iterator[Rows]:
        for at, rows in enumerate(self._lines.rows(size)):
            if at == 0 and ucf_group(rows.paths[0]):
                raise NeedsWholeError
            yield rows

    def tell(self) -> None:
        self._text.passed.tell(self._lines.source)
        self._lines.tell()
