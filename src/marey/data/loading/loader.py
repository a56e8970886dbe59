"""A loader that can resume at any batch, and whose batches do not depend on the number of workers."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from marey.base.errors import DataError, MareyError
from marey.base.processes import decoding_workers
from marey.base.words import counted
from marey.data.loading.datasets import ClipBatch, ClipDataset, ClipItem, ClipKey, collate
from marey.data.loading.epoch_order import ByClass, EachOnce
from marey.data.loading.workers import AheadLoader, checked_batches, first_error

Draw = EachOnce | ByClass
"""Which videos an epoch has, and in which order."""
Cycle = Callable[[int], Sequence[tuple[int, int]]]
"""A function from an epoch to the sequence of batches that is repeated until the epoch's end; each batch is given as
(number of videos, index of the clips' shape in the data set)."""


@dataclass(frozen=True)
class BatchIndex:
    """The index of a batch in training."""

    epoch: int
    """The number of the epoch, from 0."""
    number: int
    """The number of the batch within its epoch, from 0."""
    last: bool
    """Whether it is the last batch of its epoch."""

    @property
    def next(self) -> tuple[int, int]:
        """Epoch and number of the batch that follows."""
        return (self.epoch + 1, 0) if self.last else (self.epoch, self.number + 1)


class Batch(ClipBatch):
    """The share that one process has of a batch."""

    index: BatchIndex
    """Which batch of the training it is."""
    size: int
    """Number of clips in the batch, over all processes."""


class ClipLoader:
    """Batches of clips over several epochs as one stream, so that no epoch waits for its first batch.

    Each process gets its share of each batch, the videos rank, rank + world, ...: all shares together are the batch that a
    single process would get, with no video twice and none left out.

    Args:
        dataset: The data set of the clips.
        global_batch: Videos per batch over all processes.
        epochs: The number of epochs, after which the stream ends.
        seed: The seed that, with the epoch, determines the order of the videos.
        draw: Which videos form an epoch, and in which order; None: all videos in the order of the list.
        repeats: Clips of each video in a batch, next to each other, each sampled independently.
        cycle: A function from an epoch to the sequence of (videos, shape) that its batches repeat: the number of videos in a
            batch over all processes, and the index of its clips' shape in the data set's `shapes`. None: all batches are
            (global_batch, 0).
        workers: Decoding processes; None: one per core, at most eight; 0: this process decodes. Their number does not change
            the batches.
        rank: The number of this process, from 0.
        world: The number of processes.

    `waited` is the time, in seconds, that the caller has waited for batches.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        *,
        global_batch: int,
        epochs: int,
        seed: int = 0,
        workers: int | None = 0,
        rank: int = 0,
        world: int = 1,
        draw: Draw | None = EachOnce(),  # noqa: B008 - frozen
        repeats: int = 1,
        cycle: Cycle | None = None,
    ) -> None:
        if len(dataset) < world:
            raise DataError(f"too few videos: {len(dataset)} for {counted(world, 'process')}.")
        self.epochs, self.waited = epochs, 0.0
        labels = dataset.manifest.labels
        self._sampler = _BatchSampler(
            labels, global_batch, epochs, seed=seed, rank=rank, world=world, draw=draw, repeats=repeats, cycle=cycle,
        )  # fmt: skip
        self._loader = AheadLoader(
            dataset, workers=decoding_workers(workers), batch_sampler=self._sampler, collate_fn=_collate
        )
        self._next = (0, 0)

    def epoch_batches(self, epoch: int) -> int:
        """The number of batches in the epoch with index `epoch`."""
        return len(self._sampler.batches(epoch))

    def __len__(self) -> int:
        """The number of batches from the next one to the end of the last epoch."""
        epoch, number = self._next
        return max(sum(self.epoch_batches(e) for e in range(epoch, self.epochs)) - number, 0)

    def __iter__(self) -> Iterator[Batch]:
        self._sampler.start = self._next
        batches = checked_batches(self._loader)
        for index in self._sampler.indices():
            begun = time.monotonic()
            batch: ClipBatch = next(batches)
            self.waited += time.monotonic() - begun
            self._next = index.next
            yield {**batch, "index": index, "size": self._sampler.size(index)}

    def state_dict(self) -> dict[str, int]:
        """Epoch and number of the next batch; batches that workers decoded ahead do not count."""
        return {"epoch": self._next[0], "batch": self._next[1]}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue from the batch in `state` at the next `iter`."""
        self._next = (state["epoch"], state["batch"])


def _collate(items: list[ClipItem | MareyError]) -> ClipBatch | MareyError:
    return first_error(items) or collate(cast("list[ClipItem]", items))


@dataclass(frozen=True)
class _BatchSlice:
    """A slice `begin:end` of an epoch's order of videos, and the index of its clips' shape."""

    begin: int
    """First index in the epoch's order of videos."""
    end: int
    """Index after the last one."""
    shape: int
    """Index of the clips' shape in the data set's `shapes`."""


class _BatchSampler(Sampler[list[ClipKey]]):
    """The keys of the clips in each batch, for one process."""

    def __init__(
        self, labels: NDArray[np.int64], global_batch: int, epochs: int,
        *, seed: int, rank: int, world: int, draw: Draw | None, repeats: int = 1, cycle: Cycle | None = None,
    ) -> None:  # fmt: skip
        self.labels, self.epochs, self.seed = labels, epochs, seed
        self.rank, self.world, self.draw, self.repeats = rank, world, draw, repeats
        self.cycle = cycle or (lambda epoch: ((global_batch, 0),))
        self.count = len(labels)
        self.start = (0, 0)
        self._of_cycle: dict[tuple[tuple[int, int], ...], list[_BatchSlice]] = {}

    def batches(self, epoch: int) -> list[_BatchSlice]:
        """All batches of an epoch; a last batch with fewer videos than processes is joined with the one before it."""
        cycle = tuple(self.cycle(epoch))
        if cycle not in self._of_cycle:
            self._of_cycle[cycle] = self._divided(cycle)
        return self._of_cycle[cycle]

    def _divided(self, cycle: tuple[tuple[int, int], ...]) -> list[_BatchSlice]:
        found: list[_BatchSlice] = []
        begin = 0
        for size, shape in itertools.cycle(cycle):
            end = min(begin + size, self.count)
            if end - begin < self.world and found:
                found[-1] = replace(found[-1], end=end)
            else:
                found.append(_BatchSlice(begin, end, shape))
            begin = end
            if begin == self.count:
                return found
        raise AssertionError("a cycle has at least one batch")

    def size(self, index: BatchIndex) -> int:
        """The number of clips in a batch, over all processes."""
        batch = self.batches(index.epoch)[index.number]
        return (batch.end - batch.begin) * self.repeats

    def indices(self) -> Iterator[BatchIndex]:
        """The batches from `start` to the end of the last epoch."""
        first_epoch, first_batch = self.start
        for epoch in range(first_epoch, self.epochs):
            count = len(self.batches(epoch))
            for number in range(first_batch if epoch == first_epoch else 0, count):
                yield BatchIndex(epoch, number, number == count - 1)

    def __iter__(self) -> Iterator[list[ClipKey]]:
        epoch, keys = -1, np.empty((0, 2), np.int64)
        for index in self.indices():
            if index.epoch != epoch:
                epoch, keys = index.epoch, self._keys(index.epoch)
            batch = self.batches(epoch)[index.number]
            mine = keys[batch.begin + self.rank : batch.end : self.world]
            yield [ClipKey(epoch, i, first + r, batch.shape) for i, first in mine.tolist() for r in range(self.repeats)]

    def _keys(self, epoch: int) -> NDArray[np.int64]:
        """[N, 2]: the epoch's rows in order, and the number of clips of the same row earlier in the epoch."""
        rows = np.arange(self.count) if self.draw is None else self.draw.order(self.labels, self.seed, epoch)
        return np.stack([rows, _seen_before(rows) * self.repeats], axis=1)


def _seen_before(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each element, the number of equal elements before it."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    firsts = np.searchsorted(ordered, ordered)
    before = np.empty_like(rows)
    before[order] = np.arange(len(rows)) - firsts
    return before
