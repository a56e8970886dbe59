"""The rows of a table made on a Ray cluster: decoding on every node, a network in an actor for each GPU or group of cores.

Ray Data carries rows from the list through two steps, decoding and the network, back to this process, which alone writes
the table. So every row is written once, whatever became of the nodes: work of a node that is lost is done again by another
one.

What the numbers below are for was found by trying Ray Data 2.60 (`docs/decisions/0022-ray.md`).
"""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
import ray.data
import torch
from numpy.typing import NDArray
from ray.data import ActorPoolStrategy, TaskPoolStrategy

from marey.base.errors import MareyError, RunError
from marey.base.reporter import warning
from marey.base.words import counted, verb
from marey.data.limited import Limits
from marey.data.videos import VideoEntry
from marey.data.views import ViewDecoder
from marey.engines.fill import Engine
from marey.engines.job import Job
from marey.engines.ray_cluster import Cluster
from marey.engines.ray_videos import Decoding, blocks, packed, singly
from marey.engines.table import Row
from marey.engines.work import Results, Work

_DECODING_CPUS = 0.001
"""CPUs that an actor asks for that decodes: it waits for a process of its own; how many there are is bounded by number. No
task, whose process Ray ends as soon as it has nothing to do for a second."""
_ACTOR_SHARE = 0.97
"""Of its cores, what an actor asks for. On a node full of actors decoding must still find room: after another node was lost,
actors would else wait for videos that are decoded nowhere."""
_AHEAD = 2
"""Decoded videos that each actor has, at work or waiting. With one the pool of actors would not grow."""
_NEVER = -1.0
"""Use below which a pool of actors ends one of them. By its default, 0.5, Ray Data ended an actor that decodes and started
another one every 12 seconds, which took a quarter of a core. Where a node was lost, and at the end, it ends them without
regard to this."""
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
    stall: float = 600.0
    """Seconds without a row after which the job is given up."""

    @property
    def title(self) -> str:
        return self.cluster.title

    def results(self, job: Job[Row], rows: NDArray[np.int64]) -> Iterator[tuple[int, Row]]:
        """In the order in which they come.

        Raises:
            RunError: no row came for `stall` seconds, in several attempts, or the cluster is lost.
        """
        wanted, vain = np.zeros(int(rows.max(initial=-1)) + 1, np.bool_), 0
        wanted[rows] = True
        while before := np.count_nonzero(wanted):
            try:
                for row, result in self._attempt(job.work.decoders, job.entries(np.flatnonzero(wanted))):
                    if wanted[row]:  # Ray gives each row once; a table must not depend on it
                        wanted[row] = False
                        yield row, result
            except _LostError as lost:
                left = int(np.count_nonzero(wanted))
                vain = 0 if left < before else vain + 1
                missing = f"{counted(left, 'row')} of {len(rows):,}"
                if vain >= _VAIN:
                    raise RunError(f"Ray: {lost}; {missing} {verb(left, 'is', 'are')} left.") from None
                warning(f"Ray: {lost}; going on with what is left: {missing}")
                self.cluster.join_again()  # what hangs on a node would keep its place there

    def _attempt(
        self, decoders: tuple[ViewDecoder, ...], videos: Iterator[tuple[int, VideoEntry]]
    ) -> Iterator[tuple[int, Row]]:
        """Rows as they come, until all are there.

        Raises:
            _LostError: Ray gave up, or gave no row for long.
            MareyError: as the work raised it.
        """
        _configure(self.stall)
        data = self._data(decoders, videos)
        try:
            for bundle in data.iter_internal_ref_bundles():
                for reference in bundle.block_refs:
                    for found in ray.get(reference, timeout=self.stall).column("result").to_pylist():
                        row, result = pickle.loads(found)
                        if isinstance(result, MareyError):
                            raise result
                        yield row, result
        except (ray.data.exceptions.ExecutionTimeoutError, ray.exceptions.GetTimeoutError):
            raise _LostError(f"no row for {self.stall:g} s, {self.cluster.state()}") from None
        except ray.exceptions.RayError as error:
            raise _LostError(f"{_last_line(error)}, {self.cluster.state()}") from None

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
                Decoding, fn_constructor_args=(decoders, self.limits), batch_size=1, batch_format="pyarrow",
                num_cpus=_DECODING_CPUS, compute=_pool(self.cluster.decoding),
            )
            .map_batches(
                _Network, fn_constructor_args=([ray.put(self.make)], self.cluster.cores), batch_size=1,
                batch_format="pyarrow", compute=_pool(self.cluster.actors), **place,
            )
        )  # fmt: skip


def _pool(most: int) -> ActorPoolStrategy:
    """At most so many actors, fewer where a node was lost."""
    return ActorPoolStrategy(min_size=1, max_size=most, max_tasks_in_flight_per_actor=_AHEAD)


class _LostError(Exception):
    """An attempt ended before all rows were there."""


class _Network:
    """An actor: holds the network."""

    def __init__(self, make: list[Any], cores: int) -> None:
        torch.set_num_threads(cores)  # Ray sets it to the whole CPUs that the actor asks for, which are less
        self._results = Results(ray.get(make[0])())

    def __call__(self, decoded: pa.Table) -> pa.Table:
        row, video, items = pickle.loads(decoded.column("decoded")[0].as_buffer())
        try:
            result = self._results.of(video, items)
        except MareyError as error:  # an exception would end in Ray's words
            result = error
        return packed("result", (row, result))


def _configure(stall: float) -> None:
    """Of Ray Data in this process."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.issue_detectors_config.detectors = []
    context.target_max_block_size = 1  # each row is a block of its own, so that few decoded videos wait
    context.execution_no_progress_timeout_s = stall
    context.max_consecutive_actor_init_deaths = 3
    context.autoscaling_config.actor_pool_util_downscaling_threshold = _NEVER


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
