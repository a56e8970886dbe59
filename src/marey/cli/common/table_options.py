"""Options that `predict` and `features` share: where networks compute, and how a table named by --out is filled."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marey.backends.compute import BackendName, Compute
from marey.base.claim import OutputPath
from marey.base.errors import MareyError, RunError
from marey.base.parquet import pyarrow
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.base.words import counted
from marey.cli.common.command import json_document
from marey.cli.common.interrupted import interruptible
from marey.cli.common.options import BatchOption, Device, PrecisionOption, Workers

if TYPE_CHECKING:
    from marey.base.limited.limits import Limits
    from marey.data.lists.pieces import ListedPieces
    from marey.engines.fill_table import Engine
    from marey.engines.row_makers import RowMaker
    from marey.engines.shard import Shard
    from marey.engines.table_format import Row

TABLE = ".parquet"
"""The suffix of --out that asks for a table."""


def is_table(out: str | Path | None) -> bool:
    """Whether --out names a table."""
    return out is not None and Path(out).suffix.lower() == TABLE


@dataclass(frozen=True)
class NetworkOptions:
    """Where and how the network computes."""

    batch: BatchOption = 8
    workers: Workers = None
    device: Device = "auto"
    precision: PrecisionOption = "auto"
    backend: Annotated[
        BackendName | None,
        typer.Option(
            "--backend",
            help="What runs the network; auto measures which is fastest, if the work is long (default: auto; for a table "
            "eager).",
        ),
    ] = None

    def checked(self, out: str | Path | None) -> Compute:
        """The options as a `Compute`. The default backend of a table is eager: "auto" chooses by a measurement, which could
        differ from shard to shard.

        Raises:
            MareyError: the backend is not installed.
        """
        from marey.backends.choose import check_backend

        compute = Compute(
            device=self.device, precision=self.precision, batch=self.batch, workers=self.workers,
            backend=self.backend or ("eager" if is_table(out) else "auto"),
        )  # fmt: skip
        check_backend(compute)
        return compute


@dataclass(frozen=True)
class RayOptions:
    """The options that only Ray has."""

    engine: Annotated[
        Literal["ray"] | None,
        typer.Option(
            "--engine", help="For a table: where rows are computed: ray, on a cluster (default: on this machine)."
        ),
    ] = None
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="On Ray: the head of the cluster, or auto for one that runs on this machine (default: this machine alone).",
        ),
    ] = None
    actor_cores: Annotated[
        int | None,
        typer.Option(
            "--actor-cores",
            min=1,
            help="On Ray without GPUs: cores for each network (default: those of the smallest node).",
        ),
    ] = None
    stall: Annotated[
        float | None,
        typer.Option(
            "--stall",
            min=60,
            help="On Ray: seconds without progress until an attempt is given up (default: 600, or twice what a video may "
            "take).",
        ),
    ] = None

    def check(self, *, is_table: bool) -> None:
        """Refuse options of Ray without --engine ray, and --engine ray where --out names no table.

        Raises:
            RunError: such an option was given, or nothing answers at --address.
            MareyError: Ray is not installed.
        """
        if self.engine is None:
            given = {"--address": self.address, "--actor-cores": self.actor_cores, "--stall": self.stall}
            if option := next((option for option, value in given.items() if value is not None), None):
                raise RunError(f"{option} is for Ray: add --engine ray, or leave it out.")
            return
        if not is_table:
            raise RunError(f"--engine ray writes tables alone: --out NAME{TABLE}.")
        from marey.engines.ray_cluster import check_address, require_ray

        require_ray()
        check_address(self.address)


@dataclass(frozen=True)
class TableOptions:
    """The options of tables, and the limits of decoding, which also hold for predictions that go elsewhere."""

    shard: Annotated[
        str | None,
        typer.Option(
            "--shard", metavar="I/N", help="For a table: the rows of this one of N shards, to be merged later."
        ),
    ] = None
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="For a table: try those videos again that failed in an earlier call.")
    ] = False
    decode_seconds: Annotated[
        float | None,
        typer.Option(
            "--decode-seconds",
            min=0.1,
            help="For a table or several videos: seconds that each may take to decode, or ten times its duration if that is "
            "more (default: 60).",
        ),
    ] = None
    decode_memory: Annotated[
        float | None,
        typer.Option(
            "--decode-memory",
            min=0.1,
            help="For a table or several videos: GB of memory for a decoding process (default: 4).",
        ),
    ] = None

    def checked(
        self, out: str | Path | None, ray: RayOptions, *inputs: str | Path, float16: bool = False
    ) -> "TableOutput | None":
        """Check before any work that the table can be written; None where --out names no table.

        Raises:
            RunError: an option of tables was given without one; the shard is out of range; or the path cannot be written or
                is one of the `inputs`.
            MareyError: pyarrow is not installed.
        """
        ray.check(is_table=is_table(out))
        if out is None or not is_table(out):
            given = {"--shard": self.shard is not None, "--retry-failed": self.retry_failed, "--float16": float16}
            _refuse_given(given, out)
            return None
        pyarrow(f"{out}: a table")
        if processes().world > 1:
            raise RunError("a table is filled by one process: give each its own --shard I/N and --out.")
        from marey.engines.shard import Shard

        output = OutputPath.file(out)
        output.refuse_inputs(inputs)
        output.check()
        shard = Shard() if self.shard is None else Shard.named(self.shard)
        return TableOutput(Path(out), shard, self.limits, self.retry_failed, ray)

    @property
    def limits(self) -> "Limits":
        """The limits of decoding."""
        from marey.base.limited.limits import Limits

        limits = Limits()
        return Limits(
            seconds=self.decode_seconds or limits.seconds,
            memory=int(self.decode_memory * 1e9) if self.decode_memory else limits.memory,
        )

    def refuse_limits(self, out: str | Path | None) -> None:
        """Refuse the limits of decoding in a command that applies them to tables only.

        Raises:
            RunError: one was given, and `out` is no table.
        """
        _refuse_given(self._limits_given, out)

    def warn_of_no_limits(self) -> None:
        """Print a notice, where limits were given, that videos decoded in this process have none."""
        if option := next((option for option, is_given in self._limits_given.items() if is_given), None):
            notice(f"{option}: one video alone, and all with --workers 0, are decoded in this process, without limits")

    @property
    def _limits_given(self) -> dict[str, bool]:
        return {"--decode-seconds": self.decode_seconds is not None, "--decode-memory": self.decode_memory is not None}


@dataclass(frozen=True)
class TableOutput:
    """A table to fill, or one shard of it."""

    out: Path
    """The path of the table, a Parquet file."""
    shard: "Shard"
    """The shard of the list that the table holds."""
    limits: "Limits"
    """Limits of time and memory for decoding one video."""
    retry_failed: bool
    """Whether to compute again the rows that failed in an earlier call."""
    ray: RayOptions
    """Whether a Ray cluster computes the rows, and which."""

    def fill(
        self,
        videos: "ListedPieces",
        make: "Callable[[int, Compute], RowMaker[Row]]",
        compute: Compute,
        *,
        as_json: bool,
    ) -> None:
        """Compute the rows of this shard that are missing, and print a summary.

        Args:
            make: Opens the network, given the number of rows and where to compute.

        Raises:
            MareyError: not one video could be read, so that the exit code is 1; or as `fill_table`.
        """
        from marey.engines.fill_table import fill_table
        from marey.engines.table_job import TableJob

        count = len(self.shard.rows(videos.rows))
        with (
            interruptible(self._kept, "--out", self.out),
            self._engine(partial(make, count, compute), compute) as engine,
        ):
            own = make(count, self._compute_here(compute))
            job = TableJob(own, videos, self.out, self.shard, engine.device)
            summary = fill_table(job, engine, retry_failed=self.retry_failed)
        print(json_document(summary.as_json()) if as_json else summary.as_text())
        if summary.all_failed:
            raise MareyError(f"{self.out}: none of {counted(summary.rows, 'video')} could be read (column reason).")

    @contextlib.contextmanager
    def _engine(self, make: "Callable[[], RowMaker[Row]]", compute: Compute) -> "Iterator[Engine[Row]]":
        """The engine that computes rows; on Ray, `make` opens the network in each actor."""
        if self.ray.engine is None:
            from marey.engines.fill_table import LocalEngine

            yield LocalEngine(compute, self.limits)
            return
        from marey.engines.ray_cluster import join_cluster
        from marey.engines.ray_engine import RayEngine

        with join_cluster(
            self.ray.address, device=compute.device, cores=self.ray.actor_cores, decoding=compute.workers
        ) as cluster:
            yield RayEngine(cluster, make, self.limits, self.ray.stall)

    def _compute_here(self, compute: Compute) -> Compute:
        """How this process opens the network. With Ray it runs nothing, so the CPU is chosen and no GPU memory is taken."""
        may_be_cpu = self.ray.engine is not None and compute.device == "auto" and compute.precision != "tf32"
        return replace(compute, device="cpu") if may_be_cpu else compute

    def _kept(self) -> str:
        """For the message after Ctrl-C: how many rows are finished, and where they are; "" for none."""
        from marey.engines.finished_rows import FinishedRows, RowIndex

        finished, count = FinishedRows(self.out), 0
        with contextlib.suppress(MareyError):  # files that cannot be read: the same command reports them
            count = len(RowIndex.of(finished.files).rows)
        where = finished.folder if finished.folder.exists() else self.out
        return f"{counted(count, 'finished row')} {'is' if count == 1 else 'are'} kept in {where}" if count else ""


def _refuse_given(given: Mapping[str, bool], out: str | Path | None) -> None:
    """Refuse options of tables where `out` is none; `given` maps each option to whether it was given.

    Raises:
        RunError: one was given.
    """
    if option := next((option for option, is_given in given.items() if is_given), None):
        reason = "no --out is given" if out is None else f"--out {out} is none"
        raise RunError(f"{option} is for tables, and {reason}: --out NAME{TABLE}, or leave it out.")
