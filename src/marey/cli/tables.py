"""Tables on the command line: `marey merge`, and what `predict` and `features` do where --out names a table."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from marey.base.reporter import SilentReporter, notice, reporting
from marey.base.words import counted
from marey.cli.command import AsJson, json_document, output_file
from marey.cli.interrupted import going_on

if TYPE_CHECKING:
    from marey.base.limits import Limits
    from marey.classifier import Classifier
    from marey.data.lists.pieces import ListedPieces
    from marey.engines.fill import Engine
    from marey.engines.shard import Shard
    from marey.engines.table import Row
    from marey.engines.work import Work
    from marey.evaluation.result import EvaluationResult
    from marey.workflows.two_streams import Streams

TABLE = ".parquet"

TableBackend = Annotated[
    BackendName | None,
    typer.Option(
        "--backend",
        help="What runs the network; auto measures which is fastest, if the work is long (default: auto; of a table eager).",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Of a table: the rows of this one of N shards, to be merged later."),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Of a table: try those videos again that failed in an earlier call.")
]
DecodeSeconds = Annotated[
    float | None,
    typer.Option(
        "--decode-seconds",
        min=0.1,
        help="Of a table or several videos: each may take so long to decode, or ten times its duration if that is more "
        "(default: 60).",
    ),
]
DecodeMemory = Annotated[
    float | None,
    typer.Option(
        "--decode-memory",
        min=0.1,
        help="Of a table or several videos: GB of memory for a decoding process (default: 4).",
    ),
]


def default_backend(out: str | Path | None) -> BackendName:
    """What runs the network where none is named: eager for a table, since what is measured could differ from shard to
    shard.
    """
    return "eager" if _is_table(out) else "auto"


EngineOption = Annotated[
    Literal["ray"] | None,
    typer.Option("--engine", help="Of a table: where rows are made: ray, on a cluster (default: on this machine)."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Of Ray: the head of the cluster, or auto for one that runs on this machine (default: this machine alone).",
    ),
]
ActorCores = Annotated[
    int | None,
    typer.Option(
        "--actor-cores",
        min=1,
        help="Of Ray without GPUs: cores for each network (default: those of the smallest node).",
    ),
]
Stall = Annotated[
    float | None,
    typer.Option(
        "--stall",
        min=60,
        help="Of Ray: seconds without progress until an attempt is given up (default: 600, or twice what a video may take).",
    ),
]


@dataclass(frozen=True)
class RayOptions:
    """The options that only Ray has, as they were typed."""

    engine: Literal["ray"] | None = None
    address: str | None = None
    actor_cores: int | None = None
    stall: float | None = None

    def check(self, *, is_table: bool) -> None:
        """Refuse options of Ray without it, and Ray where no table is written.

        Raises:
            RunError: one was given.
            MareyError: Ray is not installed.
        """
        if self.engine is None:
            given = {"--address": self.address, "--actor-cores": self.actor_cores, "--stall": self.stall}
            if named := next((name for name, value in given.items() if value is not None), None):
                raise RunError(f"{named} is for Ray: add --engine ray, or leave it out.")
            return
        if not is_table:
            raise RunError(f"--engine ray writes tables alone: --out NAME{TABLE}.")
        from marey.engines.ray_cluster import check_address, require_ray

        require_ray()
        check_address(self.address)


@dataclass(frozen=True)
class TableOptions:
    """The options of tables, as they were typed. The limits of decoding hold for other answers to several videos, too."""

    shard: str | None
    retry_failed: bool
    decode_seconds: float | None
    decode_memory: float | None
    ray: RayOptions
    float16: bool = False

    def checked(self, out: str | Path | None, *inputs: str | Path) -> "TableOut | None":
        """Where --out names a table, see before any work that it can be written; None where it names none.

        Raises:
            RunError: an option is given and no table is written; the shard is out of range; or the path cannot be written
                or is one of the `inputs`.
            MareyError: pyarrow is not installed.
        """
        self.ray.check(is_table=_is_table(out))
        if out is None or not _is_table(out):
            self._refuse(out)
            return None
        pyarrow(f"{out}: a table")
        if processes().world > 1:
            raise RunError("a table is filled by one process: give each its own --shard I/N and --out.")
        from marey.engines.shard import Shard

        place = OutputPath.file(out)
        place.refuse_inputs(inputs)
        place.check()
        shard = Shard() if self.shard is None else Shard.named(self.shard)
        return TableOut(Path(out), shard, self.limits, self.retry_failed, self.ray)

    @property
    def limits(self) -> "Limits":
        """Of decoding."""
        from marey.base.limits import Limits

        limits = Limits()
        return Limits(
            seconds=self.decode_seconds or limits.seconds,
            memory=int(self.decode_memory * 1e9) if self.decode_memory else limits.memory,
        )

    def refuse_limits(self, out: str | Path | None) -> None:
        """Refuse the limits of decoding where no table is written and nothing else keeps to them.

        Raises:
            RunError: one was given.
        """
        _refuse_given(self._limits_given, out)

    def tell_of_no_limits(self) -> None:
        """Say where limits were given that videos are decoded in this process, which keeps to none."""
        if named := next((name for name, is_given in self._limits_given.items() if is_given), None):
            notice(f"{named}: one video alone, and all with --workers 0, are decoded in this process: no limit is kept")

    @property
    def _limits_given(self) -> dict[str, bool]:
        return {"--decode-seconds": self.decode_seconds is not None, "--decode-memory": self.decode_memory is not None}

    def _refuse(self, out: str | Path | None) -> None:
        given = {
            "--shard": self.shard is not None,
            "--retry-failed": self.retry_failed,
            "--float16": self.float16,
        }
        _refuse_given(given, out)


@dataclass(frozen=True)
class TableOut:
    """A table to fill, or one shard of it."""

    out: Path
    shard: "Shard"
    limits: "Limits"
    retry_failed: bool
    ray: RayOptions

    def fill(
        self, videos: "ListedPieces", work: "Callable[[int, Compute], Work[Row]]", compute: Compute, *, as_json: bool
    ) -> None:
        """Do the `work` on its rows of the list, and print what came of it; `work` is given their number and how to compute.

        Raises:
            MareyError: not one video could be read, so that the exit code is 1; or as `marey.engines.fill.fill`.
        """
        from marey.engines.fill import fill
        from marey.engines.job import Job

        count = len(self.shard.rows(videos.rows))
        with going_on(self._kept, "--out", self.out), self._engine(partial(work, count, compute), compute) as engine:
            job = Job(work(count, self._here(compute)), videos, self.out, self.shard, engine.device)
            summary = fill(job, engine, retry_failed=self.retry_failed)
        print(json_document(summary.as_json()) if as_json else summary.as_text())
        if summary.all_failed:
            raise MareyError(f"{self.out}: none of {counted(summary.rows, 'video')} could be read (column reason).")

    @contextlib.contextmanager
    def _engine(self, make: "Callable[[], Work[Row]]", compute: Compute) -> "Iterator[Engine[Row]]":
        """What makes the rows; `make` opens the network where they are made."""
        if self.ray.engine is None:
            from marey.engines.fill import Here

            yield Here(compute, self.limits)
            return
        from marey.engines.on_ray import OnRay
        from marey.engines.ray_cluster import joined

        with joined(
            self.ray.address, device=compute.device, cores=self.ray.actor_cores, decoding=compute.workers
        ) as cluster:
            yield OnRay(cluster, make, self.limits, self.ray.stall)

    def _here(self, compute: Compute) -> Compute:
        """How this process opens the network: beside Ray, where it never runs it, on the CPU, so that it takes no GPU."""
        may_be_cpu = self.ray.engine is not None and compute.device == "auto" and compute.precision != "tf32"
        return replace(compute, device="cpu") if may_be_cpu else compute

    def _kept(self) -> str:
        from marey.engines.row_groups import Index, RowGroups

        groups, count = RowGroups(self.out), 0
        with contextlib.suppress(MareyError):  # the same command will say what is wrong with them
            count = len(Index.of(groups.files).rows)
        where = groups.folder if groups.folder.exists() else self.out
        return f"{counted(count, 'finished row')} {'is' if count == 1 else 'are'} kept in {where}" if count else ""


def merge(
    tables: Annotated[list[Path], typer.Argument(help="The tables of all shards of a list, in any order.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="PATH", parser=output_file, help="The table to write: NAME.parquet.")
    ],
    as_json: AsJson = False,
) -> None:
    """Merge the tables of all shards of a list to one: no row may be missing or there twice."""
    if not _is_table(out):
        raise RunError(f"--out {out}: a table is written, whose name ends with {TABLE}.")
    pyarrow(f"{out}: a table")
    from marey.engines.merge import merge as merge_tables

    summary = merge_tables(tables, out)
    print(json_document(summary.as_json()) if as_json else summary.as_text())


def write_scores_table(
    result: "EvaluationResult",
    model: "Classifier | Streams",
    data: Path,
    folder: Path,
    *,
    root: Path | None,
    classes: Sequence[str] | None,
    split: str | None,
) -> None:
    """Write the scores of a test as a table beside scores.npz; `model` to `split` are as the test was asked for."""
    from marey.engines.scores import TABLE as SCORES
    from marey.engines.scores import write_scores
    from marey.evaluation.run import read_labelled
    from marey.workflows.two_streams import Streams

    first = model.classifiers[0] if isinstance(model, Streams) else model
    with reporting(SilentReporter()):  # all that is to be said of the list was said when it was tested
        listed = read_labelled(data, first, root=root, classes=classes, split=split)
    write_scores(result, listed, folder / SCORES)
    notice(f"table: {folder / SCORES}")


def _refuse_given(given: Mapping[str, bool], out: str | Path | None) -> None:
    """Refuse options of tables, by name whether each is given, where `out` is none."""
    if named := next((name for name, is_given in given.items() if is_given), None):
        found = "no --out is given" if out is None else f"--out {out} is none"
        raise RunError(f"{named} is for tables, and {found}: --out NAME{TABLE}, or leave it out.")


def _is_table(out: str | Path | None) -> bool:
    return out is not None and Path(out).suffix.lower() == TABLE
