"""Fill a table: an engine computes the missing rows, which are written as they come."""

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_device
from marey.base.reporter import progress, work_summary
from marey.base.words import counted
from marey.data.loading.limited_decoding import Limits, decode_limited
from marey.engines.finished_rows import RowWriter
from marey.engines.row_makers import TolerantRowMaker
from marey.engines.sigterm import as_ctrl_c, sigterm_restored
from marey.engines.summary import TableSummary
from marey.engines.table_format import Row
from marey.engines.table_job import TableJob


class Engine(ABC, Generic[Row]):
    """Where and how the rows of a table are computed."""

    @property
    @abstractmethod
    def title(self) -> str:
        """A clause for the first line of the output: "on cpu (2 threads)"."""

    @property
    def device(self) -> str | None:
        """Where networks compute, such as "cuda"; None: on the device of the job's `maker`."""
        return None

    @abstractmethod
    def results(self, job: TableJob[Row], rows: NDArray[np.int64]) -> Generator[tuple[int, Row]]:
        """The results of some rows of a job (ascending), each with its row, in any order."""


@dataclass(frozen=True)
class LocalEngine(Engine[Row]):
    """Rows computed in this process, from videos that other processes decode."""

    compute: Compute
    """Device, backend and decoding processes of this machine."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    """Limits of time and memory for decoding one video; by default those of `Limits`."""

    @property
    def title(self) -> str:
        backend = "" if self.compute.backend == "eager" else f", {self.compute.backend}"
        return f"on {device_text(pick_device(self.compute.device))}{backend}"

    def results(self, job: TableJob[Row], rows: NDArray[np.int64]) -> Generator[tuple[int, Row]]:
        """The results in the order in which videos are decoded, so that a video that hangs delays few others."""
        videos = (video for _, video in job.entries(rows))
        maker = TolerantRowMaker(job.maker)
        decoded_videos = decode_limited(job.maker.decoders, videos, workers=self.compute.workers, limits=self.limits)
        with contextlib.closing(decoded_videos):
            for index, video, decoded in decoded_videos:
                yield int(rows[index]), maker.row(video, decoded)


def fill_table(job: TableJob[Row], engine: Engine[Row], *, retry_failed: bool = False) -> TableSummary:
    """Compute the missing rows of a job, and write its table.

    Finished rows are written as small complete files into the folder `out` + ".parts", and joined at the end. If the process
    is killed, the same job resumes. Only rows that were not yet written are computed again: those of the last minute, or of
    a longer time if one video took longer.

    Args:
        job: The rows, and the table.
        engine: What computes the rows.
        retry_failed: Compute again the rows that failed in an earlier call.

    Raises:
        RunError: the table has other rows or settings, another process works there, the disk is full, or the engine gives
            up; finished rows stay.
        DataError: not one file of the list exists.
    """
    began, failed = time.monotonic(), 0
    with job.held() as finished:
        todo = job.rows_to_do(finished, retry_failed=retry_failed)
        if len(todo) == len(job.rows) > 0:
            job.require_files()
        rows, shard = job.rows, job.shard
        which = f"shard {shard}: rows {rows.start:,} to {rows.stop - 1:,}: " if shard.count > 1 and len(rows) else ""
        work_summary(f"{which}{counted(len(todo), 'video')}: {job.maker.title}, {engine.title}")
        job.maker.announce()
        with sigterm_restored(as_ctrl_c):
            with (
                RowWriter(finished, job.maker.columns, job.schema) as writer,
                progress("Videos", total=len(todo), unit="videos") as bar,
                contextlib.closing(engine.results(job, todo)) as results,
            ):
                for row, result in results:
                    writer.add(row, result)
                    failed += result.error is not None
                    bar.advance(note=f"{failed:,} failed" if failed else None)
            finished.join(job.schema)
    job.maker.report_counts()
    return TableSummary.of(job.out, computed=len(todo), seconds=time.monotonic() - began)
