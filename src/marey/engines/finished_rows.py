"""The finished rows of a table that is being filled: small Parquet files in a folder beside it, joined at the end.

Each file is written atomically. So a process that is killed loses only the rows in its memory, and a later one sees in these
files which rows are finished.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Generic

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from marey.base.errors import RunError
from marey.base.files import atomic_path, rename
from marey.engines.table_format import FAILED, Row, TableColumns, TableMetadata, open_parquet

_ROWS, _SECONDS = 1024, 60.0
"""A file is written when `_ROWS` rows are in memory, or when a row comes `_SECONDS` after the oldest row in memory."""
_JOINED = 8192
"""Rows of a row group in the joined table."""
_BYTES = 1 << 26
"""Approximate bytes of rows in memory: a file is written when it reaches them before `_ROWS`, and a row group of the joined
table has at most so many."""
_OPEN = 4
"""Row groups that a join keeps in memory; rows that follow each other are mostly in the same one."""
_FILE, _WHOLE = re.compile(r"rows-(\d+)\.parquet"), "joined.parquet"
_OWN = re.compile(r"rows-\d+\.parquet|joined\.parquet|\.(rows-\d+|joined)-.*\.parquet")
"""Names in the folder: finished rows, the joined table before it is renamed, and temporary files of both."""


@dataclass(frozen=True)
class FinishedRows:
    """The finished rows of the table `out`: those in the table itself, if it exists, and in the files of the folder
    `out` + ".parts". A row in a later file replaces the same row in an earlier one.
    """

    out: Path
    """The path of the table, a Parquet file."""

    @property
    def folder(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def files(self) -> list[Path]:
        """The files of finished rows, the oldest first."""
        table = [self.out] if self.out.exists() else []
        if not self.folder.is_dir():
            return table
        numbered = [(int(match[1]), path) for path in self.folder.iterdir() if (match := _FILE.fullmatch(path.name))]
        return table + [path for _, path in sorted(numbered)]

    def refuse_others(self) -> None:
        """Refuse a folder of this name that holds other files, which are the user's.

        Raises:
            RunError: it does.
        """
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if _OWN.fullmatch(path.name) is None:
                raise RunError(
                    f"{path} is in the way: until all rows are finished, those of {self.out.name} are kept in a folder of "
                    "that name. Rename it, or choose another --out."
                )

    def metadata_of(self, path: Path) -> TableMetadata:
        """The metadata of one of the files.

        Raises:
            RunError: it cannot be read.
        """
        try:
            return TableMetadata.of(path)
        except RunError as error:
            advice = "choose another --out" if path == self.out else "remove it, and its rows are computed again"
            raise RunError(f"{str(error).rstrip('.')}; {advice}.") from None

    def remove_unfinished(self) -> None:
        """Remove temporary files of a process that was killed."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if _OWN.fullmatch(path.name) and not _FILE.fullmatch(path.name):
                path.unlink()

    def add(self, rows: pa.Table) -> None:
        """Write rows as another file.

        Raises:
            RunError: it cannot be written; then no such file exists.
        """
        last = self.files[-1:]
        match = _FILE.fullmatch(last[0].name) if last else None
        number = int(match[1]) + 1 if match else 0
        with self._explain_failure():
            write_table(self.folder / f"rows-{number:08d}.parquet", rows.schema, iter([rows]))

    def join(self, schema: pa.Schema) -> None:
        """Write all finished rows, in the order of the list, as the table itself, and remove their files.

        Raises:
            RunError: the table cannot be written; then all files stay.
        """
        files = self.files
        if files != [self.out]:
            self.publish(schema, in_order(files, schema))
        self.remove()

    def remove(self) -> None:
        """Remove the files of finished rows, and their folder."""
        for path in self.files:
            if path != self.out:
                path.unlink()
        with contextlib.suppress(OSError):  # it does not exist, or holds a file of the user
            self.folder.rmdir()

    def publish(self, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
        """Write the table itself, atomically. Its temporary file is in the folder, not beside the table.

        Raises:
            RunError: it cannot be written.
        """
        joined = self.folder / _WHOLE
        with self._explain_failure():
            try:
                write_table(joined, schema, tables)
                rename(joined, self.out)
            finally:
                joined.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explain_failure(self) -> Iterator[None]:
        """A block in which an OSError of writing becomes a RunError that says where the finished rows are kept.

        Raises:
            RunError: for example the disk is full.
        """
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise RunError(
                f"{self.out} cannot be written ({why}). Finished rows are kept in {self.folder}: make room, and start the "
                "same command again."
            ) from None


@dataclass(frozen=True)
class RowIndex:
    """Which file and row group holds each of the N rows in several files: every row once, in the order of the list."""

    rows: NDArray[np.int64]
    """Rows of the list [N], ascending."""
    failed: NDArray[np.bool_]
    """Whether the video could not be read [N]."""
    groups: NDArray[np.int64]
    """The index in `row_groups` of the row group that holds each row [N]."""
    offsets: NDArray[np.int64]
    """The index of each row inside its row group [N]."""
    row_groups: tuple[tuple[Path, int], ...]
    """Each row group: its file, and its index in that file."""
    repeated: NDArray[np.int64]
    """Rows that are in more than one file, ascending."""

    @classmethod
    def of(cls, files: Sequence[Path]) -> "RowIndex":
        """The index of these files; for a row that several files hold, the last one counts.

        Raises:
            RunError: a file cannot be read.
        """
        row_groups: list[tuple[Path, int]] = []
        columns: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        for path in files:
            with open_parquet(path) as file:
                for group in range(file.num_row_groups):
                    table = _read_columns(file, path, group, ["row", "status"])
                    columns.append((table["row"].to_numpy(), pc.equal(table["status"], FAILED).to_numpy()))
                    row_groups.append((path, group))
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in columns)])
        failed = np.concatenate([np.empty(0, np.bool_), *(failed for _, failed in columns)])
        sizes = [len(rows) for rows, _ in columns]
        groups = np.repeat(np.arange(len(sizes)), sizes)
        offsets = np.concatenate([np.empty(0, np.int64), *(np.arange(size) for size in sizes)])
        order = np.argsort(rows, kind="stable")
        is_last = np.append(rows[order][1:] != rows[order][:-1], True)[: len(order)]
        repeated = np.unique(rows[order][~is_last])
        kept = order[is_last]
        return cls(rows[kept], failed[kept], groups[kept], offsets[kept], tuple(row_groups), repeated)


def in_order(files: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows of the files in the order of the list, a few thousand at a time, with a few row groups in memory.

    Raises:
        RunError: a file cannot be read.
    """
    index = RowIndex.of(files)

    @lru_cache(maxsize=_OPEN)
    def table_of(group: int) -> pa.Table:
        path, number = index.row_groups[group]
        with open_parquet(path) as file:
            return _read_columns(file, path, number, schema.names).cast(schema.remove_metadata())

    first = table_of(0) if index.row_groups else schema.empty_table()
    size = min(_JOINED, max(1, _BYTES * len(first) // max(1, first.nbytes)))
    for begin in range(0, len(index.rows), size):
        groups, offsets = index.groups[begin : begin + size], index.offsets[begin : begin + size]
        ends = np.flatnonzero(np.append(groups[1:] != groups[:-1], True)) + 1  # runs of rows of the same group
        runs = zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True)
        yield pa.concat_tables([table_of(int(groups[first])).take(pa.array(offsets[first:end])) for first, end in runs])


def _read_columns(file: pq.ParquetFile, path: Path, group: int, columns: list[str]) -> pa.Table:
    try:
        return file.read_row_group(group, columns=columns)
    except (OSError, pa.ArrowException, KeyError) as error:
        why = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be read ({why}): remove it, and its rows are computed again.") from None


def write_table(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write a Parquet file atomically, each table as a row group.

    Raises:
        OSError: it cannot be written, as on a full disk.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, len(table)))
        file.flush()
        os.fsync(file.fileno())  # after a power failure no file of this name may be empty


def read_columns(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """Some columns of a table, a row group at a time.

    Raises:
        RunError: it cannot be read.
    """
    with open_parquet(path) as file:
        for group in range(file.num_row_groups):
            yield _read_columns(file, path, group, columns)


def opened_schema(path: Path) -> pa.Schema:
    """The columns of a table.

    Raises:
        RunError: it cannot be read.
    """
    with open_parquet(path) as file:
        return file.schema_arrow.remove_metadata()


class RowWriter(Generic[Row]):
    """Collects rows and writes them as a file: when `_ROWS` or `_BYTES` is reached, when a row comes `_SECONDS` after the
    first, and at the end of its `with` block, also if an error ends the block.
    """

    def __init__(self, finished: FinishedRows, columns: TableColumns[Row], schema: pa.Schema) -> None:
        self._finished, self._columns, self._schema = finished, columns, schema
        self._most = max(1, min(_ROWS, _BYTES // columns.row_bytes))
        self._rows: list[tuple[int, Row]] = []
        self._first_added, self._write_failed = 0.0, False

    def __enter__(self) -> "RowWriter[Row]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self._write_failed:  # a second attempt would fail as well
            self.flush()

    def add(self, number: int, result: Row) -> None:
        """Add the result of a row of the list.

        Raises:
            RunError: rows cannot be written.
        """
        if not self._rows:
            self._first_added = time.monotonic()
        self._rows.append((number, result))
        if len(self._rows) >= self._most or time.monotonic() - self._first_added >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the collected rows.

        Raises:
            RunError: it cannot be written.
        """
        if self._rows:
            self._write_failed = True
            numbers, results = zip(*sorted(self._rows, key=lambda one: one[0]), strict=True)
            rows = self._columns.rows(numbers, results)
            self._finished.add(rows.replace_schema_metadata(self._schema.metadata))
            self._rows, self._write_failed = [], False
