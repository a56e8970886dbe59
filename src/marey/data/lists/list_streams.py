"""`ListStream`: a list on the disk whose videos are read in pieces, by the rules of `marey.data.lists.read_manifest`.

The beginning of a list decides how it is read. For a table without header, the cells of all its lines are counted first.
These lists cannot be read in pieces: a single JSON document; Kinetics' and Charades' tables; the lists of UCF101; lists
and tables with numbers after folders of frames, since only the entire list shows their meaning; texts in UTF-16 and UTF-32.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from marey.base.address import address_in, is_address
from marey.base.errors import DataError
from marey.data.lists.columns import (
    OPTIONAL,
    ListTable,
    find_columns,
    has_frame_ranges,
    report_frame_counting,
    report_ignored_columns,
    table_rows,
)
from marey.data.lists.csv_lists import find_dialect
from marey.data.lists.files_in import FilesIn, has_video_suffix
from marey.data.lists.json_lists import JsonLines
from marey.data.lists.line_lists import VideoLines
from marey.data.lists.parquet_lists import ParquetList
from marey.data.lists.public_lists import is_charades, is_kinetics, refuse_boxes, ucf101_group
from marey.data.lists.read_videos import listed_videos, videos_at
from marey.data.lists.resolve_paths import PathResolver, changed_error, with_addresses
from marey.data.lists.rows import (
    CHECKED_UNDECODABLE,
    NeedsAllRowsError,
    Rows,
    missing_text_error,
    refuse_undecodable_paths,
)
from marey.data.lists.text_files import (
    NumberedLine,
    SkippedLines,
    file_lines,
    is_parquet,
    is_utf16_or_utf32,
    iter_numbered,
)
from marey.data.lists.videos import VideoList

_JSON = (".json", ".jsonl", ".ndjson")
_NAMED_LINES = 3
"""How many rows without a path a message names, by their lines."""


class CannotStreamError(Exception):
    """A list cannot be read in pieces, and must be read as a whole."""

    def __init__(self, stream: "ListStream") -> None:
        super().__init__(stream.source)
        self.stream = stream


class ListStream:
    """A list on the disk: its videos can be read in pieces any number of times, as long as it does not change."""

    def __init__(self, path: Path, root: str | Path | None) -> None:
        self.source = str(path)
        self._path, self._root = path, root
        self._server = None if root is None else address_in(root)
        self._folder = path.parent if root is None or self._server is not None else Path(root)
        self._existing = FilesIn(self._folder)

    def first(self, size: int) -> Iterator[VideoList]:
        """The first pass, at most `size` videos at a time; it checks all rows and ends with the notices of the list.

        Raises:
            CannotStreamError: the list can only be read as a whole.
            DataError: with file and line: a row that cannot be read.
        """
        self._stamp = _stamp(self._path)
        try:
            self._rows = open_rows(self._path, self._existing)
            yield from self._checked(size)
        except NeedsAllRowsError:
            raise CannotStreamError(self) from None

    def _checked(self, size: int) -> Iterator[VideoList]:
        self._resolver, faults = PathResolver(self._existing), _RowFaults()
        for rows in self._rows.rows(size):
            faults.add(rows)
            resolved = self._resolver.resolve(rows) if self._server is None else with_addresses(rows, self._server)
            yield listed_videos(resolved, self._folder)
        faults.refuse(self.source, self._folder)
        self._rows.report()
        self._resolver.report(self.source)
        self._existing.forget()

    def again(self, size: int) -> Iterator[VideoList]:
        """Another pass over the same videos, after the first one.

        Raises:
            DataError: the list has changed since the first pass.
        """
        self._refuse_change()
        try:
            for piece, rows in enumerate(self._rows.rows(size)):
                self._refuse_change()
                if self._server is None:
                    resolved = self._resolver.resolve_again(rows, piece)
                else:
                    resolved = with_addresses(rows, self._server)
                yield listed_videos(resolved, self._folder)
        except NeedsAllRowsError:
            raise changed_error(self.source) from None

    def read_at_once(self) -> VideoList:
        """All videos of the list.

        Raises:
            DataError: as `marey.data.lists.read_videos.read_videos`.
        """
        return videos_at(self._path, self._root)

    def _refuse_change(self) -> None:
        if _stamp(self._path) != self._stamp:
            raise changed_error(self.source)


class _RowFaults:
    """Collects faults of rows, so that one message names them for the entire list."""

    def __init__(self) -> None:
        self._count = self._blank = 0
        self._blank_lines: list[int] = []
        self._undecodable: list[tuple[int, str]] = []

    def add(self, rows: Rows) -> None:
        """Check the next rows.

        Raises:
            NeedsAllRowsError: the rows can only be read together with all others.
            DataError: with file and line: labels, splits or groups with bytes that are not UTF-8.
        """
        rows.refuse_undecodable_words()
        counts = zip(rows.frame_counts or (), rows.paths, strict=rows.frame_counts is not None)
        if any(count >= 0 and not (has_video_suffix(path) or is_address(path)) for count, path in counts):
            raise NeedsAllRowsError
        blank = rows.blank(rows.paths)
        self._count += len(rows.paths)
        self._blank += len(blank)
        self._blank_lines += blank[: _NAMED_LINES + 1 - len(self._blank_lines)]
        self._undecodable += rows.undecodable_paths()[: CHECKED_UNDECODABLE - len(self._undecodable)]

    def refuse(self, source: str, folder: Path) -> None:
        """Refuse the list if there were faults in its rows.

        Raises:
            DataError: with file and line: there are no rows, rows without a path, or names in another encoding.
        """
        if not self._count:
            raise DataError(f"{source}: names no videos.")
        refuse_undecodable_paths(source, self._undecodable, folder)
        if self._blank:
            raise missing_text_error(source, "path", self._blank_lines, self._blank)


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and modification time of a file; None if it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


class RowStream(Protocol):
    """The rows of a list, read in pieces any number of times."""

    def rows(self, size: int) -> Iterator[Rows]:
        """All rows from the first on, at most `size` at a time.

        Raises:
            NeedsAllRowsError: the rows can only be read together.
            DataError: with file and line: a row that cannot be read.
        """
        ...

    def report(self) -> None:
        """Give notice of what was skipped, once all rows were read."""


def open_rows(path: Path, existing: FilesIn) -> RowStream:
    """The rows of a list of any format; `existing` are the files below the folder of its paths.

    Raises:
        NeedsAllRowsError: the list can only be read as a whole.
        DataError: the file is no list of videos.
    """
    if is_parquet(path):
        table = ParquetList.opened(path)
        return _TableStream(table.source, table.words, table.tables, unread=OPTIONAL)
    if is_utf16_or_utf32(path):
        raise NeedsAllRowsError
    source = str(path)
    first = next((line for line in file_lines(path) if line.strip()), "")
    refuse_boxes(source, first)
    if _may_be_json(source, first):
        records = JsonLines.found(source, lambda: file_lines(path))
        return _TableStream(source, records.words, lambda _, size: records.tables(size))
    text = _Text(path, existing)
    dialect = find_dialect(source, text.lines, existing)
    if dialect is None:
        return _LineStream(VideoLines(source, text.lines, existing), text)
    return _TableStream(
        source, dialect.words, lambda _, size: dialect.tables(source, text.lines(), size, text.skipped), text
    )


def _may_be_json(source: str, first: str) -> bool:
    """Whether a list is JSON, or has JSON's suffix and begins like it.

    Raises:
        NeedsAllRowsError: the first line alone does not show whether it is.
    """
    if not first.lstrip().startswith(("{", "[")):
        return False
    if not source.lower().endswith(_JSON):
        try:
            json.JSONDecoder().raw_decode(first.lstrip())
        except ValueError:
            raise NeedsAllRowsError from None
    return True


class _Text:
    """The numbered lines of a text; `skipped` counts the comments of the last pass."""

    def __init__(self, path: Path, existing: FilesIn) -> None:
        self._path, self._existing = path, existing
        self.skipped = SkippedLines()

    def lines(self) -> Iterator[NumberedLine]:
        """A new pass over the lines."""
        self.skipped = SkippedLines()
        return iter_numbered(file_lines(self._path), self._existing, self.skipped)


class _TableStream:
    """The rows of a table, read as a sequence of small tables; the columns `unread` are not read from the file."""

    def __init__(
        self,
        source: str,
        words: Sequence[str],
        tables: Callable[[Sequence[str], int], Iterator[ListTable]],
        text: _Text | None = None,
        *,
        unread: Sequence[str] = (),
    ) -> None:
        if is_kinetics(words) or is_charades(words):
            raise NeedsAllRowsError
        self._source, self._words, self._tables, self._text = source, words, tables, text
        self._named = find_columns(source, words)
        self._read = {name: word for name, word in self._named.items() if name not in unread}
        self._has_frames = False

    def rows(self, size: int) -> Iterator[Rows]:
        for table in self._tables(list(self._read.values()), size):
            rows = table_rows(table, self._read)
            self._has_frames = self._has_frames or has_frame_ranges(rows)
            yield rows

    def report(self) -> None:
        if self._text is not None:
            self._text.skipped.report(self._source)
        report_ignored_columns(self._source, self._words, self._named)
        if self._has_frames:
            report_frame_counting(self._source)


class _LineStream:
    """The rows of a text with a video on each line."""

    def __init__(self, lines: VideoLines, text: _Text) -> None:
        self._lines, self._text = lines, text

    def rows(self, size: int) -> Iterator[Rows]:
        for piece, rows in enumerate(self._lines.rows(size)):
            if piece == 0 and ucf101_group(rows.paths[0]):
                raise NeedsAllRowsError
            yield rows

    def report(self) -> None:
        self._text.skipped.report(self._lines.source)
        self._lines.report()
