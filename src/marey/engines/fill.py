"""A table filled on one machine: the network in this process, decoding in others, finished rows in small whole files."""

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

import marey
from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.base.claim import Claim, OutputPath, read_note
from marey.base.errors import RunError
from marey.base.jsonable import Json
from marey.base.reporter import notice, progress, understood
from marey.base.words import counted, verb
from marey.data.limited import Limits, decode_limited
from marey.data.missing import require_files
from marey.data.pieces import ListedPieces
from marey.data.videos import VideoEntry
from marey.engines.row_groups import Index, RowGroups
from marey.engines.shard import Shard
from marey.engines.summary import TableSummary
from marey.engines.table import Row, Table, TableNote
from marey.engines.work import Work

_ROWS, _BYTES, _SECONDS = 1024, 1 << 26, 60.0
"""Rows are written when there are so many, when they take about so many bytes, or so long after the first of them: a
process that is killed loses no more."""


@dataclass(frozen=True)
class Job(Generic[Row]):
    """One shard of the work on a list, and where its table goes."""

    work: Work[Row]
    videos: ListedPieces
    out: Path
    shard: Shard = Shard()  # noqa: RUF009 - frozen

    @property
    def rows(self) -> range:
        """Of the list."""
        return self.shard.rows(self.videos.rows)

    @property
    def note(self) -> TableNote:
        """What the table says of itself."""
        own: dict[str, Json] = {
            "command": self.work.command.words,
            "list": self.videos.fingerprint,
            "rows": self.videos.rows,
        }
        return TableNote(
            dict(self.work.settings) | own,
            self.rows.start,
            self.rows.stop,
            str(self.shard),
            {"marey": marey.__version__},
        )

    @property
    def schema(self) -> pa.Schema:
        """Columns and metadata."""
        return self.work.table.schema.with_metadata(self.note.metadata())

    @contextlib.contextmanager
    def held(self) -> Iterator[RowGroups]:
        """Hold the table while the work lasts; yields its finished rows.

        Raises:
            RunError: it has other rows or was made by other settings, or another process works there, or it cannot be
                written.
        """
        groups = RowGroups(self.out)
        where = OutputPath.folder(groups.folder)
        settings = {**self.note.settings, "shard": str(self.shard)}
        OutputPath.file(self.out).check()

        def recorded() -> dict[str, Json] | None:
            """Of a table that is whole the folder is gone, and the file itself says it."""
            noted = read_note(where.note(self.work.command))
            there = None if noted is not None or not self.out.exists() else TableNote.of(self.out)
            return noted if there is None else dict(there.settings) | {"shard": there.shard}

        claim = Claim(where, self.work.command, settings, facts={"out": self.out.name}, recorded=recorded)
        with claim.held():
            for left in groups.folder.glob(".rows-*.parquet"):
                left.unlink()  # what a killed process was writing
            yield groups

    def rows_to_do(self, groups: RowGroups, *, retry_failed: bool) -> NDArray[np.int64]:
        """The rows that are not there yet; those that failed too, where they are to be tried again."""
        index = Index.of(groups.files)
        there = index.rows[~index.failed] if retry_failed else index.rows
        missing = np.ones(len(self.rows), np.bool_)
        missing[there - self.rows.start] = False
        todo = np.flatnonzero(missing) + self.rows.start
        again = int(np.isin(index.rows[index.failed], todo).sum())
        if again:
            notice(f"{counted(again, 'video')} that failed before: tried again")
        if left := len(self.rows) - len(todo):
            notice(f"going on: {left:,} of {counted(len(self.rows), 'video')} {verb(left, 'is', 'are')} there already")
        return todo

    def entries(self, todo: NDArray[np.int64]) -> Iterator[tuple[int, VideoEntry]]:
        """The videos of these rows, ascending, read from the list in pieces.

        Raises:
            DataError: of the list's first piece not one file is there.
        """
        begin = 0
        for piece in self.videos.pieces():
            end = begin + len(piece)
            if not begin:
                require_files(piece)  # of the list, since all videos of a small shard may be missing
            own = todo[np.searchsorted(todo, begin) : np.searchsorted(todo, end)]
            yield from ((row, piece[row - begin]) for row in own.tolist())
            begin = end


def fill(job: Job[Row], *, compute: Compute, limits: Limits, retry_failed: bool = False) -> TableSummary:
    """Do the rows of a job that are not there yet, and write its table.

    Finished rows go as small whole files into the folder `out` + ".parts", and are joined at the end: a process that is
    killed is started again with the same job and loses a minute at most.

    Raises:
        RunError: the table has other rows or settings, another process works there, or the disk is full: what is finished
            stays.
        DataError: not one file of the list is there.
    """
    began = time.monotonic()
    with job.held() as groups:
        todo = job.rows_to_do(groups, retry_failed=retry_failed)
        _say_what(job, compute, len(todo))
        with _written(job.out), _stopped_by_sigterm():
            _work_through(job, groups, todo, compute, limits)
            groups.join(job.schema)
    job.work.tell()
    return TableSummary.of(job.out, computed=len(todo), seconds=time.monotonic() - began)


def _say_what(job: Job[Row], compute: Compute, todo: int) -> None:
    rows, shard = job.rows, job.shard
    of = f"shard {shard}: rows {rows.start:,} to {rows.stop - 1:,}: " if shard.count > 1 and len(rows) else ""
    device = device_text(pick_device(compute.device))
    backend = f", {compute.backend}" if compute.backend != "eager" else ""
    understood(f"{of}{counted(todo, 'video')}: {job.work.title}, on {device}{backend}")


def _work_through(job: Job[Row], groups: RowGroups, todo: NDArray[np.int64], compute: Compute, limits: Limits) -> None:
    waiting: deque[tuple[int, VideoEntry]] = deque()

    def videos() -> Iterator[VideoEntry]:
        for row, video in job.entries(todo):
            waiting.append((row, video))
            yield video

    failed = 0
    with (
        RowWriter(groups, job.work.table, job.schema) as writer,
        progress("Videos", total=len(todo), unit="videos") as bar,
    ):
        for items in decode_limited(job.work.decoders, videos(), workers=compute.workers, limits=limits):
            row, video = waiting.popleft()
            result = job.work.result(video, items)
            writer.add(row, result)
            failed += result.error is not None
            bar.advance(note=f"{failed:,} failed" if failed else None)


class RowWriter(Generic[Row]):
    """Gathers rows, and writes them as a file when there are enough of them or the first one is a minute old; at the end of
    its `with` block what is left, also where an error ends the block.
    """

    def __init__(self, groups: RowGroups, table: Table[Row], schema: pa.Schema) -> None:
        self._groups, self._table, self._schema = groups, table, schema
        self._most = max(1, min(_ROWS, _BYTES // table.row_bytes))
        self._rows: list[tuple[int, Row]] = []
        self._first = 0.0

    def __enter__(self) -> "RowWriter[Row]":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            return  # a disk that is full is still full
        self.flush()

    def add(self, number: int, result: Row) -> None:
        """A row of the list.

        Raises:
            OSError: rows cannot be written.
        """
        if not self._rows:
            self._first = time.monotonic()
        self._rows.append((number, result))
        if len(self._rows) >= self._most or time.monotonic() - self._first >= _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered.

        Raises:
            OSError: it cannot be written.
        """
        if self._rows:
            numbers, results = zip(*sorted(self._rows, key=lambda one: one[0]), strict=True)
            rows = self._table.rows(numbers, results)
            self._groups.add(rows.replace_schema_metadata(self._schema.metadata))
            self._rows = []


@contextlib.contextmanager
def _written(out: Path) -> Iterator[None]:
    """Say of a disk that is full, or of a folder that was taken away, what is kept."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise RunError(
            f"{out}: cannot be written ({error.filename or RowGroups(out).folder}: {why}). The rows that are finished are "
            f"kept in {RowGroups(out).folder}: make room, and start the same command again."
        ) from None


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM, by which a scheduler takes a machine back, is as Ctrl-C: finished rows are written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
