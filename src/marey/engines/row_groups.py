"""Finished rows of a table that is being written: small whole Parquet files beside it, joined at the end.

A file of rows takes its name when it is whole. So a process that is killed loses what it had in memory and nothing else,
and one that is started again knows by these files what is done.
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
from marey.engines.table import FAILED, Row, Table, TableNote, opened

_ROWS, _SECONDS = 1024, 60.0
"""Rows are written when there are so many, or so long after the first of them, in seconds: a process that is killed loses no
more."""
_JOINED = 8192
"""Rows of a row group in a joined table."""
_BYTES = 1 << 26
"""Bytes, about, that are written sooner, and of a row group in a joined table."""
_OPEN = 4
"""Row groups that a join keeps in memory: neighbours in the order of rows mostly come from the same one."""
_FILE, _WHOLE = re.compile(r"rows-(\d+)\.parquet"), "joined.parquet"
_OWN = re.compile(r"rows-\d+\.parquet|joined\.parquet|\.(rows-\d+|joined)-.*\.parquet")
"""Names in the folder: finished rows, the table before it takes its place, and both while they are written."""


@dataclass(frozen=True)
class RowGroups:
    """The finished rows of the table `out`: those of the table itself, where it is there already, and of the files in the
    folder `out` + ".parts", of which a later one replaces rows of an earlier one.
    """

    out: Path

    @property
    def folder(self) -> Path:
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def files(self) -> list[Path]:
        """The files of finished rows, the oldest first."""
        table = [self.out] if self.out.exists() else []
        if not self.folder.is_dir():
            return table
        numbered = [(int(found[1]), path) for path in self.folder.iterdir() if (found := _FILE.fullmatch(path.name))]
        return table + [path for _, path in sorted(numbered)]

    def refuse_others(self) -> None:
        """Refuse a folder of finished rows that holds files of another kind: a user's, of that name.

        Raises:
            RunError: it does.
        """
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if _OWN.fullmatch(path.name) is None:
                raise RunError(
                    f"{path} is in the way: until all are there, the rows of {self.out.name} are kept in a folder of that "
                    "name. Rename it, or choose another --out."
                )

    def note_of(self, path: Path) -> TableNote:
        """What one of the files says of itself.

        Raises:
            RunError: it cannot be read.
        """
        try:
            return TableNote.of(path)
        except RunError as error:
            way_out = "choose another --out" if path == self.out else "remove it, and its rows are made again"
            raise RunError(f"{str(error).rstrip('.')}; {way_out}.") from None

    def sweep(self) -> None:
        """Remove what a killed process was writing."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if _OWN.fullmatch(path.name) and not _FILE.fullmatch(path.name):
                path.unlink()

    def add(self, rows: pa.Table) -> None:
        """Write rows as one file more.

        Raises:
            RunError: it cannot be written; then there is no such file.
        """
        last = self.files[-1:]
        found = _FILE.fullmatch(last[0].name) if last else None
        with self._written():
            write_table(
                self.folder / f"rows-{int(found[1]) + 1 if found else 0:08d}.parquet", rows.schema, iter([rows])
            )

    def join(self, schema: pa.Schema) -> None:
        """Write all finished rows, in the order of the list, as the table itself, and remove their files.

        Raises:
            RunError: the table cannot be written; then the files are all there.
        """
        files = self.files
        if files != [self.out]:
            self.publish(schema, in_order(files, schema))
        self.remove()

    def remove(self) -> None:
        """Remove the folder and all that is its own."""
        for path in self.files:
            if path != self.out:
                path.unlink()
        with contextlib.suppress(OSError):  # it is not there, or a user has put a file into it
            self.folder.rmdir()

    def publish(self, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
        """Write the table itself, whole or not at all. What a kill leaves of it lies in the folder, not beside the table.

        Raises:
            RunError: it cannot be written.
        """
        joined = self.folder / _WHOLE
        with self._written():
            try:
                write_table(joined, schema, tables)
                rename(joined, self.out)
            finally:
                joined.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        """Say of a disk that is full, or of a folder that was taken away, what is kept."""
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise RunError(
                f"{self.out} cannot be written ({why}). Rows that are finished are kept in {self.folder}: make room, and "
                "start the same command again."
            ) from None


@dataclass(frozen=True)
class Index:
    """Where each row of several files lies: every row once, in the order of the list."""

    rows: NDArray[np.int64]
    """[N], ascending."""
    failed: NDArray[np.bool_]
    """[N]: the video could not be read."""
    groups: NDArray[np.int64]
    """[N]: which of `units` has the row."""
    offsets: NDArray[np.int64]
    """[N]: where in it."""
    units: tuple[tuple[Path, int], ...]
    """File and row group."""
    repeated: NDArray[np.int64]
    """Rows that are in more than one file, ascending."""

    @classmethod
    def of(cls, files: Sequence[Path]) -> "Index":
        """Of equal rows the one in the last of the files.

        Raises:
            RunError: a file cannot be read.
        """
        units: list[tuple[Path, int]] = []
        found: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
        for path in files:
            with opened(path) as file:
                for group in range(file.num_row_groups):
                    table = _read(file, path, group, ["row", "status"])
                    found.append((table["row"].to_numpy(), pc.equal(table["status"], FAILED).to_numpy()))
                    units.append((path, group))
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
        failed = np.concatenate([np.empty(0, np.bool_), *(failed for _, failed in found)])
        sizes = [len(rows) for rows, _ in found]
        groups = np.repeat(np.arange(len(sizes)), sizes)
        offsets = np.concatenate([np.empty(0, np.int64), *(np.arange(size) for size in sizes)])
        order = np.argsort(rows, kind="stable")
        is_last = np.append(rows[order][1:] != rows[order][:-1], True)[: len(order)]
        repeated = np.unique(rows[order][~is_last])
        kept = order[is_last]
        return cls(rows[kept], failed[kept], groups[kept], offsets[kept], tuple(units), repeated)


def in_order(files: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """All rows of the files in the order of the list, a few thousand at a time: memory holds these and a few row groups.

    Raises:
        RunError: a file cannot be read.
    """
    index = Index.of(files)

    @lru_cache(maxsize=_OPEN)
    def group_of(unit: int) -> pa.Table:
        path, group = index.units[unit]
        with opened(path) as file:
            return _read(file, path, group, schema.names).cast(schema.remove_metadata())

    first = group_of(0) if index.units else schema.empty_table()
    size = min(_JOINED, max(1, _BYTES * len(first) // max(1, first.nbytes)))
    for begin in range(0, len(index.rows), size):
        groups, offsets = index.groups[begin : begin + size], index.offsets[begin : begin + size]
        ends = np.flatnonzero(np.append(groups[1:] != groups[:-1], True)) + 1  # runs of rows of the same group
        runs = zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True)
        yield pa.concat_tables([group_of(int(groups[first])).take(pa.array(offsets[first:end])) for first, end in runs])


def _read(file: pq.ParquetFile, path: Path, group: int, columns: list[str]) -> pa.Table:
    try:
        return file.read_row_group(group, columns=columns)
    except (OSError, pa.ArrowException, KeyError) as error:
        why = str(error).splitlines()[0]
        raise RunError(f"{path}: cannot be read ({why}): remove it, and its rows are made again.") from None


def write_table(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write a Parquet file, whole or not at all, each table as a row group.

    Raises:
        OSError: it cannot be written, as on a full disk.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, len(table)))
        file.flush()
        os.fsync(file.fileno())  # a machine that stops must not leave an empty file under the name of a whole one


def read_columns(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    """Some columns of a table, a row group at a time.

    Raises:
        RunError: it cannot be read.
    """
    with opened(path) as file:
        for group in range(file.num_row_groups):
            yield _read(file, path, group, columns)


def opened_schema(path: Path) -> pa.Schema:
    """The columns of a table.

    Raises:
        RunError: it cannot be read.
    """
    with opened(path) as file:
        return file.schema_arrow.remove_metadata()


class RowWriter(Generic[Row]):
    """Gathers rows, and writes them as a file when there are enough of them, or when one comes a minute after the first; at
    the end of its `with` block what is left, also where an error ends the block.
    """

    def __init__(self, groups: RowGroups, table: Table[Row], schema: pa.Schema) -> None:
        self._groups, self._table, self._schema = groups, table, schema
        self._most = max(1, min(_ROWS, _BYTES // table.row_bytes))
        self._rows: list[tuple[int, Row]] = []
        self._first, self._refused = 0.0, False

    def __enter__(self) -> "RowWriter[Row]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self._refused:  # a disk that is full is still full
            self.flush()

    def add(self, number: int, result: Row) -> None:
        """A row of the list.

        Raises:
            RunError: rows cannot be written.
        """
        if not self._rows:
            self._first = time.monotonic()
        self._rows.append((number, result))
        if len(self._rows) >= self._most or time.monotonic() - self._first >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered.

        Raises:
            RunError: it cannot be written.
        """
        if self._rows:
            self._refused = True
            numbers, results = zip(*sorted(self._rows, key=lambda one: one[0]), strict=True)
            rows = self._table.rows(numbers, results)
            self._groups.add(rows.replace_schema_metadata(self._schema.metadata))
            self._rows, self._refused = [], False
