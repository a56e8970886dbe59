"""Rows of a table computed on a Ray cluster: decoding on every node, a network in an actor per GPU or group of cores.

Ray Data passes rows of the list through two steps, decoding and the network, and returns results to this process, which
alone writes the table. So every row is written once: work of a node that is lost is repeated by another node.

The constants below were found by experiments with Ray Data 2.60 (`docs/decisions/0022-ray.md`).
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
from marey.base.limited.limits import WorkAmount
from marey.base.reporter import CollectingReporter, Message, report_collected, set_reporter, warning
from marey.base.words import counted, verb
from marey.data.lists.videos import VideoEntry
from marey.data.loading.limited_decoding import Limits
from marey.data.loading.view_decoder import ViewDecoder
from marey.engines.fill_table import Engine
from marey.engines.ray_cluster import Cluster, last_line
from marey.engines.ray_decoding import DecodedRow, DecodingActor, packed, require_version, singly, video_blocks
from marey.engines.row_makers import RowMaker, TolerantRowMaker
from marey.engines.table_format import Row
from marey.engines.table_job import TableJob
from marey.evaluation.long_videos import LongVideoCounts

_DECODING_CPUS = 0.001
"""CPUs that a decoding actor requests. It only waits for its child process, and the size of the pool limits the number of
such actors. Tasks would do as well, but Ray ends their processes after a second without work."""
_ACTOR_SHARE = 0.97
"""Share of its cores that an actor with a network requests, so that a decoding actor fits on a node full of networks.
Otherwise, after another node is lost, its networks could fill this node and wait for videos that no actor decodes."""
_AHEAD = 2
"""Videos that each actor processes or has waiting. With one, the pool of actors would not grow."""
_NEVER = -1.0
"""Utilisation below which Ray Data ends an actor of a pool: never. By its default, 0.5, it ended a decoding actor and
started another one every 12 seconds, which took a quarter of a core. After a lost node, and at the end, actors end
regardless."""
_STALL = 600.0
"""By default an attempt is given up after so many seconds without progress; later if videos may take longer to decode."""
_MOST_FUTILE = 3
"""Number of consecutive attempts without a new row after which the engine gives up."""

MakeRowMaker = Callable[[], RowMaker[Row]]
"""Opens the network in the process that calls it."""


@dataclass(frozen=True)
class RayEngine(Engine[Row]):
    """Rows computed on the nodes of a Ray cluster."""

    cluster: Cluster
    """The cluster that this process has joined."""
    make: MakeRowMaker[Row]
    """Called in each actor; what it refers to is sent there through Ray's object store."""
    limits: Limits = Limits()  # noqa: RUF009 - frozen
    """Limits of time and memory for decoding one video; by default those of `Limits`."""
    stall: float | None = None
    """Seconds without progress after which an attempt is given up; None: 600, or if that is more, twice the time that a
    video may take to decode, including its flow."""

    @property
    def title(self) -> str:
        return self.cluster.title

    @property
    def device(self) -> str:
        return "cuda" if self.cluster.gpus else "cpu"

    def results(self, job: TableJob[Row], rows: NDArray[np.int64]) -> Generator[tuple[int, Row]]:
        """The results in the order in which they are computed.

        Raises:
            RunError: there was no progress for `stall` seconds in several attempts, or the cluster is lost; or `stall` is
                less than a video may take.
        """
        stall, printed = self._stall_seconds(job.maker.decoders), set[str]()
        missing, futile = np.zeros(int(rows.max(initial=-1)) + 1, np.bool_), 0
        missing[rows] = True
        while before := np.count_nonzero(missing):
            try:
                for computed in self._attempt(job.maker.decoders, job.entries(np.flatnonzero(missing)), stall):
                    if missing[computed.row]:  # Ray returns each row once, but a table must not depend on it
                        missing[computed.row] = False
                        report_collected(computed.messages, reported=printed)
                        job.maker.add_counts(computed.counts)
                        yield computed.row, computed.result
            except _LostError as lost:
                left = int(np.count_nonzero(missing))
                futile = 0 if left < before else futile + 1
                reason = f"Ray: {lost}; {counted(left, 'row')} of {len(rows):,} {verb(left, 'is', 'are')} left"
                if futile >= _MOST_FUTILE:
                    raise RunError(f"{reason}.") from None
                warning(f"{reason}, and tried again")
                try:
                    self.cluster.join_again()  # otherwise work that hangs on a node would keep its resources
                except RunError as error:
                    raise RunError(f"{reason}, and {error}") from None

    def _stall_seconds(self, decoders: tuple[ViewDecoder, ...]) -> float:
        """Seconds without progress after which an attempt is given up.

        Raises:
            RunError: a video may take longer to decode.
        """
        longest = self.limits.allowed(WorkAmount(flow_fields=sum(decoder.most_fields for decoder in decoders)))
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
    ) -> Iterator["_ComputedRow[Row]"]:
        """Rows in the order in which they are computed, until all are done.

        Raises:
            _LostError: Ray failed, or made no progress for `stall` seconds.
            MareyError: an error of decoding or of the network, which another attempt would repeat.
        """
        _configure(stall)
        data = self._data(decoders, videos)
        try:
            for bundle in data.iter_internal_ref_bundles():
                for reference in bundle.block_refs:
                    for pickled in ray.get(reference, timeout=stall).column("result").to_pylist():
                        computed: _ComputedRow[Row] | MareyError = pickle.loads(pickled)
                        if isinstance(computed, MareyError):
                            raise computed
                        yield computed
        except (ray.data.exceptions.ExecutionTimeoutError, ray.exceptions.GetTimeoutError):
            raise _LostError(f"no progress for {stall:g} s, {self.cluster.state()}") from None
        except ray.exceptions.RayError as error:
            if isinstance(error, ray.exceptions.RayTaskError) and not isinstance(error.cause, ray.exceptions.RayError):
                raise  # an error of the program: another attempt would fail as well
            raise _LostError(f"{last_line(error)}, {self.cluster.state()}") from None

    def _data(self, decoders: tuple[ViewDecoder, ...], videos: Iterator[tuple[int, VideoEntry]]) -> Any:
        """The Ray data set whose blocks are the results."""
        gpu = {"num_gpus": 1, "num_cpus": 0}
        resources = gpu if self.cluster.gpus else {"num_cpus": self.cluster.cores * _ACTOR_SHARE}
        return (
            ray.data.from_blocks(list(video_blocks(videos)))
            # Single rows, so that a lost node only costs those in flight. The CPUs differ from those of decoding, because
            # Ray would otherwise fuse both steps into one.
            .map_batches(
                singly, batch_size=None, batch_format="pyarrow", num_cpus=2 * _DECODING_CPUS, compute=TaskPoolStrategy(1)
            )
            .map_batches(
                DecodingActor, fn_constructor_args=(marey.__version__, decoders, self.limits), batch_size=1,
                batch_format="pyarrow", num_cpus=_DECODING_CPUS, compute=_pool(self.cluster.decoding),
            )
            .map_batches(
                _NetworkActor, fn_constructor_args=(marey.__version__, [ray.put(self.make)], self.cluster.cores),
                batch_size=1, batch_format="pyarrow", compute=_pool(self.cluster.actors), **resources,
            )
        )  # fmt: skip


def _pool(most: int) -> ActorPoolStrategy:
    """A pool of at most `most` actors, and fewer after a node is lost."""
    return ActorPoolStrategy(min_size=1, max_size=most, max_tasks_in_flight_per_actor=_AHEAD)


class _LostError(Exception):
    """An attempt ended before all rows were computed."""


@dataclass(frozen=True)
class _ComputedRow(Generic[Row]):
    """A computed row, with the messages and counts of its computation."""

    row: int
    """The row of the video in the list, from 0."""
    result: Row
    """What the table holds for the video, such as a prediction."""
    messages: list[Message]
    """Messages of decoding and computing, for the process that fills the table."""
    counts: tuple[LongVideoCounts, ...]
    """Counts of long videos since the actor's last row, one for each network."""


class _NetworkActor:
    """A Ray actor that holds the network."""

    def __init__(self, version: str, make: list[Any], cores: int) -> None:
        require_version(version)
        set_reporter(reporter := CollectingReporter())
        torch.set_num_threads(cores)  # Ray sets it to the requested CPUs, rounded down
        self._maker: RowMaker[Any] = ray.get(make[0])()
        self._tolerant, self._reporter = TolerantRowMaker(self._maker), reporter

    def __call__(self, decoded: pa.Table) -> pa.Table:
        one: DecodedRow = pickle.loads(decoded.column("decoded")[0].as_buffer())
        try:
            return packed("result", self._computed(one))
        except MareyError as error:  # a raised exception would be wrapped by Ray
            return packed("result", error)

    def _computed(self, one: DecodedRow) -> _ComputedRow[Any]:
        if isinstance(one.decoded, MareyError):
            raise one.decoded
        result = self._tolerant.row(one.video, one.decoded)
        return _ComputedRow(one.row, result, one.messages + self._reporter.take(), self._maker.take_counts())


def _configure(stall: float) -> None:
    """Set the options of Ray Data in this process."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.issue_detectors_config.detectors = []
    context.target_max_block_size = 1  # each row is one block, so that few decoded videos wait
    context.execution_no_progress_timeout_s = stall
    context.max_consecutive_actor_init_deaths = 3
    context.raise_original_map_exception = True
    context.autoscaling_config.actor_pool_util_downscaling_threshold = _NEVER
