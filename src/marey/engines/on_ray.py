"""The rows of a table made on a Ray cluster: decoding on every node, a network in an actor for each GPU or group of cores.

Ray Data carries rows from the list through two steps, decoding and the network, back to this process, which alone writes
the table. So every row is written once, whatever became of the nodes: work of a node that is lost is done again by another
one.

What the numbers below are for was found by trying Ray Data 2.60 (`docs/decisions/0022-ray.md`).
"""

import pickle
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Generic

import numpy as np
import pyarrow as pa
import ray
import ray.data
import torch
from numpy.typing import NDArray
from ray.data import ActorPoolStrategy, TaskPoolStrategy

import marey
from marey.base.errors import MareyError, RunError
from marey.base.limits import Amount
from marey.base.reporter import KeepingReporter, Message, say_again, set_reporter, warning
from marey.base.words import counted, verb
from marey.data.lists.videos import VideoEntry
from marey.data.loading.limited import Limits
from marey.data.loading.views import ViewDecoder
from marey.engines.fill import Engine
from marey.engines.job import Job
from marey.engines.ray_cluster import Cluster, last_line
from marey.engines.ray_videos import DecodedRow, Decoding, blocks, packed, require_version, singly
from marey.engines.table import Row
from marey.engines.work import Results, Work
from marey.evaluation.long_videos import Counts

_DECODING_CPUS = 0.001
"""CPUs that a decoding actor asks for. It only waits for a process of its own, and the number of such actors is bounded
otherwise. Tasks would do as well, but Ray ends their processes as soon as they have nothing to do for a second."""
_ACTOR_SHARE = 0.97
"""Share of its cores that an actor with a network asks for. Decoding must still find room on a node that is full of such
actors: after another node was lost, they would otherwise wait for videos that are decoded nowhere."""
_AHEAD = 2
"""Decoded videos that each actor has, at work or waiting. With one the pool of actors would not grow."""
_NEVER = -1.0
"""Utilisation below which a pool of actors ends one of them. By its default, 0.5, Ray Data ended a decoding actor and
started another one every 12 seconds, which took a quarter of a core. Where a node was lost, and at the end, it ends
them without regard to this."""
_STALL = 600.0
_VAIN = 3
"""Attempts in a row that may end without a row."""

MakeWork = Callable[[], Work[Row]]
"""Opens the network and what is done with it, in the process that calls it."""


@dataclass(frozen=True)
class OnRay(Engine[Row]):
    """On the nodes of a Ray cluster."""

    cluster: Cluster
    make: MakeWork[Row]
    """Called in each actor, with whatever it holds: it travels there through Ray's object store."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    stall: float | None = None
    """Seconds without progress after which an attempt is given up; None: ten minutes, or twice what a video may take to
    decode, its flow included, if that is more."""

    @property
    def title(self) -> str:
        return self.cluster.title

    @property
    def device(self) -> str:
        return "cuda" if self.cluster.gpus else "cpu"

    def results(self, job: Job[Row], rows: NDArray[np.int64]) -> Generator[tuple[int, Row]]:
        """In the order in which they come.

        Raises:
            RunError: there was no progress for `stall` seconds, in several attempts, or the cluster is lost; or `stall` is
                less than a video may take.
        """
        stall, said = self._patience(job.work.decoders), set[str]()
        wanted, vain = np.zeros(int(rows.max(initial=-1)) + 1, np.bool_), 0
        wanted[rows] = True
        while before := np.count_nonzero(wanted):
            try:
                for one in self._attempt(job.work.decoders, job.entries(np.flatnonzero(wanted)), stall):
                    if wanted[one.row]:  # Ray gives each row once; a table must not depend on it
                        wanted[one.row] = False
                        say_again(one.messages, said=said)
                        job.work.add_counts(one.counts)
                        yield one.row, one.result
            except _LostError as lost:
                left = int(np.count_nonzero(wanted))
                vain = 0 if left < before else vain + 1
                reason = f"Ray: {lost}; {counted(left, 'row')} of {len(rows):,} {verb(left, 'is', 'are')} left"
                if vain >= _VAIN:
                    raise RunError(f"{reason}.") from None
                warning(f"{reason}, for another attempt")
                try:
                    self.cluster.join_again()  # what hangs on a node would keep its place there
                except RunError as error:
                    raise RunError(f"{reason}, and {error}") from None

    def _patience(self, decoders: tuple[ViewDecoder, ...]) -> float:
        """Seconds without progress after which an attempt is given up.

        Raises:
            RunError: a video may take longer to decode.
        """
        longest = self.limits.allowed(Amount(fields=sum(decoder.most_fields for decoder in decoders)))
        if self.stall is None:
            return max(_STALL, 2 * longest)
        if self.stall < longest:
            raise RunError(
                f"--stall {self.stall:g}: a video may take {longest:g} s to decode here: give more than that, or lower "
                "--decode-seconds."
            )
        return self.stall

    def _attempt(
        self, decoders: tuple[ViewDecoder, ...], videos: Iterator[tuple[int, VideoEntry]], stall: float
    ) -> Iterator["_Made[Row]"]:
        """Rows as they come, until all are there.

        Raises:
            _LostError: Ray gave up, or made no progress for long.
            MareyError: as the work raised it; or any other error that was not foreseen, with Ray's traceback.
        """
        _configure(stall)
        data = self._data(decoders, videos)
        try:
            for bundle in data.iter_internal_ref_bundles():
                for reference in bundle.block_refs:
                    for found in ray.get(reference, timeout=stall).column("result").to_pylist():
                        made: _Made[Row] | MareyError = pickle.loads(found)
                        if isinstance(made, MareyError):
                            raise made
                        yield made
        except (ray.data.exceptions.ExecutionTimeoutError, ray.exceptions.GetTimeoutError):
            raise _LostError(f"no progress for {stall:g} s, {self.cluster.state()}") from None
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error.cause, ray.exceptions.RayError):
                raise  # no machine is at fault, and another attempt would end as this one
            raise _LostError(f"{last_line(error)}, {self.cluster.state()}") from None

    def _data(self, decoders: tuple[ViewDecoder, ...], videos: Iterator[tuple[int, VideoEntry]]) -> Any:
        """The data set of results."""
        place = {"num_gpus": 1, "num_cpus": 0} if self.cluster.gpus else {"num_cpus": self.cluster.cores * _ACTOR_SHARE}
        return (
            ray.data.from_blocks(list(blocks(videos)))
            # To single rows, so that a node that is lost costs those in flight. Ray would make one step of this and of
            # decoding, if both asked for the same CPUs.
            .map_batches(
                singly, batch_size=None, batch_format="pyarrow", num_cpus=2 * _DECODING_CPUS, compute=TaskPoolStrategy(1)
            )
            .map_batches(
                Decoding, fn_constructor_args=(marey.__version__, decoders, self.limits), batch_size=1,
                batch_format="pyarrow", num_cpus=_DECODING_CPUS, compute=_pool(self.cluster.decoding),
            )
            .map_batches(
                _Network, fn_constructor_args=(marey.__version__, [ray.put(self.make)], self.cluster.cores), batch_size=1,
                batch_format="pyarrow", compute=_pool(self.cluster.actors), **place,
            )
        )  # fmt: skip


def _pool(most: int) -> ActorPoolStrategy:
    """At most so many actors, fewer where a node was lost."""
    return ActorPoolStrategy(min_size=1, max_size=most, max_tasks_in_flight_per_actor=_AHEAD)


class _LostError(Exception):
    """An attempt ended before all rows were there."""


@dataclass(frozen=True)
class _Made(Generic[Row]):
    """A row, and what was said and counted while it was made."""

    row: int
    result: Row
    messages: list[Message]
    counts: tuple[Counts, ...]


class _Network:
    """An actor: holds the network."""

    def __init__(self, version: str, make: list[Any], cores: int) -> None:
        require_version(version)
        set_reporter(reporter := KeepingReporter())
        torch.set_num_threads(cores)  # Ray sets it to the whole CPUs that the actor asks for, which are less
        self._work: Work[Any] = ray.get(make[0])()
        self._results, self._reporter = Results(self._work), reporter

    def __call__(self, decoded: pa.Table) -> pa.Table:
        one: DecodedRow = pickle.loads(decoded.column("decoded")[0].as_buffer())
        try:
            return packed("result", self._made(one))
        except MareyError as error:  # an exception would end in Ray's words
            return packed("result", error)

    def _made(self, one: DecodedRow) -> _Made[Any]:
        if isinstance(one.decoded, MareyError):
            raise one.decoded
        result = self._results.of(one.video, one.decoded)
        return _Made(one.row, result, one.messages + self._reporter.take(), self._work.take_counts())


def _configure(stall: float) -> None:
    """Of Ray Data in this process."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.issue_detectors_config.detectors = []
    context.target_max_block_size = 1  # each row is a block of its own, so that few decoded videos wait
    context.execution_no_progress_timeout_s = stall
    context.max_consecutive_actor_init_deaths = 3
    context.raise_original_map_exception = True
    context.autoscaling_config.actor_pool_util_downscaling_threshold = _NEVER
