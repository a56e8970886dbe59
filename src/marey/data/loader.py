"""A loader that knows where it is: the same batches on every run, for any number of workers, from any place."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from marey.base.errors import DataError
from marey.data.clips import ClipDataset, collate
from marey.data.draw import ByClass, EachOnce

Draw = EachOnce | ByClass


@dataclass(frozen=True)
class Place:
    """Where a batch stands: the epoch, its number in it, and whether it is the epoch's last."""

    epoch: int
    number: int
    last: bool


def batches_of(count: int, global_batch: int, world: int) -> int:
    """How many batches an epoch of `count` samples has; a tail smaller than `world` joins the batch before it."""
    full, tail = divmod(count, global_batch)
    return full + (1 if tail and (tail >= world or not full) else 0)


class ClipLoader:
    """Batches of clips over several epochs as one stream, so that no epoch waits for its first batch.

    Every process of `world` gets its share of each global batch (rank, rank + world, ...): together they are the batch
    that one process would get, no sample twice, none left out.

    Args:
        dataset: Where clips come from.
        global_batch: Videos per batch over all processes.
        epochs: The stream ends after so many.
        seed: With the epoch, decides the order.
        draw: Which videos make an epoch, in which order; None is the list as it stands.
        repeats: Clips of each video in a batch, next to each other, each with randomness of its own.
        workers: Processes that decode ahead; how many changes no batch.
        rank, world: This process among how many.

    Each batch is {"clip": uint8 [b, T, H, W, C], "target": int64 [b], "id", "broken", "size": clips in the global
    batch, "place": Place}. `waited` counts the seconds that the caller waited for batches.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        *,
        global_batch: int,
        epochs: int,
        seed: int = 0,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
        draw: Draw | None = EachOnce(),  # noqa: B008 - frozen
        repeats: int = 1,
    ) -> None:
        if len(dataset) < world:
            raise DataError(f"{len(dataset)} videos are too few for {world} processes.")
        self.epochs, self.waited = epochs, 0.0
        labels = dataset.manifest.labels
        self._plan = _Plan(
            labels, global_batch, epochs, seed=seed, rank=rank, world=world, draw=draw, repeats=repeats,
        )  # fmt: skip
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=self._plan,
            num_workers=workers,
            collate_fn=collate,
            prefetch_factor=2 if workers else None,
            worker_init_fn=settle if workers else None,
        )
        self._next = (0, 0)

    @property
    def epoch_batches(self) -> int:
        """Batches in one epoch."""
        return self._plan.epoch_batches

    def __len__(self) -> int:
        """Batches from here to the end of the last epoch."""
        epoch, number = self._next
        return max((self.epochs - epoch) * self.epoch_batches - number, 0)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self._plan.start = self._next
        places = self._plan.places()
        batches = iter(self._loader)
        for place in places:
            begun = time.monotonic()
            batch = next(batches)
            self.waited += time.monotonic() - begun
            self._next = (place.epoch + 1, 0) if place.last else (place.epoch, place.number + 1)
            yield batch | {"place": place, "size": self._plan.size(place.number)}

    def state_dict(self) -> dict[str, int]:
        """Where the next batch stands. Counts what was delivered, not what workers fetched ahead."""
        return {"epoch": self._next[0], "batch": self._next[1]}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there, at the next `iter`."""
        self._next = (state["epoch"], state["batch"])


class _Plan(Sampler[list[tuple[int, int, int]]]):
    """Which samples stand in which batch: lists of (epoch, index, repeat) for one process."""

    def __init__(
        self, labels: NDArray[np.int64], global_batch: int, epochs: int,
        *, seed: int, rank: int, world: int, draw: Draw | None, repeats: int = 1,
    ) -> None:  # fmt: skip
        self.labels, self.global_batch, self.epochs, self.seed = labels, global_batch, epochs, seed
        self.rank, self.world, self.draw, self.repeats = rank, world, draw, repeats
        self.count = len(labels)
        self.epoch_batches = batches_of(self.count, global_batch, world)
        self.start = (0, 0)

    def places(self) -> Iterator[Place]:
        first_epoch, first_batch = self.start
        for epoch in range(first_epoch, self.epochs):
            for number in range(first_batch if epoch == first_epoch else 0, self.epoch_batches):
                yield Place(epoch, number, number == self.epoch_batches - 1)

    def bounds(self, number: int) -> tuple[int, int]:
        """The part of an epoch's order that batch `number` is."""
        end = self.count if number == self.epoch_batches - 1 else (number + 1) * self.global_batch
        return number * self.global_batch, end

    def size(self, number: int) -> int:
        begin, end = self.bounds(number)
        return (end - begin) * self.repeats

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        epoch, keys = -1, np.empty((0, 2), np.int64)
        for place in self.places():
            if place.epoch != epoch:
                epoch, keys = place.epoch, self._keys(place.epoch)
            begin, end = self.bounds(place.number)
            mine = keys[begin + self.rank : end : self.world]
            yield [(epoch, i, first + repeat) for i, first in mine.tolist() for repeat in range(self.repeats)]

    def _keys(self, epoch: int) -> NDArray[np.int64]:
        """[N, 2]: the epoch's rows in order, and how many clips of the same row came before in this epoch."""
        rows = np.arange(self.count) if self.draw is None else self.draw.order(self.labels, self.seed, epoch)
        return np.stack([rows, _seen_before(rows) * self.repeats], axis=1)


def _seen_before(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each element stands further ahead."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    firsts = np.searchsorted(ordered, ordered)
    before = np.empty_like(rows)
    before[order] = np.arange(len(rows)) - firsts
    return before


def settle(worker: int) -> None:
    """Workers leave signals to the main process, which saves and then ends them, and start no threads of their own."""
    import cv2

    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
