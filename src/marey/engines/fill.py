"""A table filled: rows that are not there yet are made by an engine, and written as they come."""

import contextlib
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Generic, NoReturn

import numpy as np
from numpy.typing import NDArray

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.base.reporter import progress, understood
from marey.base.words import counted
from marey.data.loading.limited import Limits, decode_limited
from marey.engines.job import Job
from marey.engines.row_groups import RowWriter
from marey.engines.summary import TableSummary
from marey.engines.table import Row
from marey.engines.work import Results


class Engine(ABC, Generic[Row]):
    """Where and how the rows of a table are made."""

    @property
    @abstractmethod
    def title(self) -> str:
        """In the first line of the output: "on cpu (2 threads)"."""

    @property
    def device(self) -> str | None:
        """Where networks compute: "cuda"; None: where that of the job's own work does."""
        return None

    @abstractmethod
    def results(self, job: Job[Row], rows: NDArray[np.int64]) -> Generator[tuple[int, Row]]:
        """The results of these rows of a job, ascending, in any order, each with the number of its row."""


@dataclass(frozen=True)
class Here(Engine[Row]):
    """In this process and those that decode for it."""

    compute: Compute
    limits: Limits = Limits()  # noqa: RUF009 - frozen

    @property
    def title(self) -> str:
        backend = "" if self.compute.backend == "eager" else f", {self.compute.backend}"
        return f"on {device_text(pick_device(self.compute.device))}{backend}"

    def results(self, job: Job[Row], rows: NDArray[np.int64]) -> Generator[tuple[int, Row]]:
        """In the order in which they come, so that a video that hangs holds up few others."""
        videos = (video for _, video in job.entries(rows))
        results = Results(job.work)
        found = decode_limited(job.work.decoders, videos, workers=self.compute.workers, limits=self.limits)
        with contextlib.closing(found):
            for number, video, decoded in found:
                yield int(rows[number]), results.of(video, decoded)


def fill(job: Job[Row], engine: Engine[Row], *, retry_failed: bool = False) -> TableSummary:
    """Do the rows of a job that are not there yet, and write its table.

    Finished rows go as small whole files into the folder `out` + ".parts", and are joined at the end: a process that is
    killed is started again with the same job, and loses the rows of a minute or of as long as the next video takes.

    Args:
        job: Which rows, and where they go.
        engine: What makes them.
        retry_failed: Do those rows again that failed in an earlier call.

    Raises:
        RunError: the table has other rows or settings, another process works there, the disk is full, or the engine gives
            up: what is finished stays.
        DataError: not one file of the list is there.
    """
    began, failed = time.monotonic(), 0
    with job.held() as groups:
        todo = job.rows_to_do(groups, retry_failed=retry_failed)
        if len(todo) == len(job.rows) > 0:
            job.require_files()
        rows, shard = job.rows, job.shard
        of = f"shard {shard}: rows {rows.start:,} to {rows.stop - 1:,}: " if shard.count > 1 and len(rows) else ""
        understood(f"{of}{counted(len(todo), 'video')}: {job.work.title}, {engine.title}")
        job.work.introduce()
        with stopped_by_sigterm():
            with (
                RowWriter(groups, job.work.table, job.schema) as writer,
                progress("Videos", total=len(todo), unit="videos") as bar,
                contextlib.closing(engine.results(job, todo)) as results,
            ):
                for row, result in results:
                    writer.add(row, result)
                    failed += result.error is not None
                    bar.advance(note=f"{failed:,} failed" if failed else None)
            groups.join(job.schema)
    job.work.tell()
    return TableSummary.of(job.out, computed=len(todo), seconds=time.monotonic() - began)


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Within the block SIGTERM, by which a scheduler takes a machine back, is as Ctrl-C: finished rows are written. A second
    one, as some send it to a group of processes and to each of them, does not disturb that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Of SIGTERM.

    Raises:
        KeyboardInterrupt: always.
    """
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
