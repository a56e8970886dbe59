"""Processes that decode ahead: how they behave, how their errors arrive, and that they end."""

import contextlib
import multiprocessing
import multiprocessing.process
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from multiprocessing.util import Finalize
from typing import Any

from torch.utils.data import DataLoader, Dataset

from marey.base.errors import MareyError, RunError
from marey.base.jobs import end_with_parent
from marey.base.processes import (
    HELD_BACK,
    STOP_SIGNALS,
    UNGUARDED,
    is_bootstrapping,
    runs_script_anew,
    signals_held_back,
)
from marey.base.reporter import KeepingReporter, Message, say_again, set_reporter

_PATIENCE = 10.0
"""Seconds that a worker which cannot begin has to say why."""


class Guarded(Dataset[Any]):
    """A data set that hands a MareyError over in place of an item.

    Raised in a worker, it would reach the user as a traceback within a traceback, of another type.
    """

    def __init__(self, items: Dataset[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.items[key]
        except MareyError as error:
            return error


def first_error(items: Iterable[object]) -> MareyError | None:
    """The first error among the items of a batch."""
    return next((item for item in items if isinstance(item, MareyError)), None)


def delivered(loader: Iterable[Any]) -> Iterator[Any]:
    """What a loader over a guarded data set brings.

    Raises:
        MareyError: as it was raised in the worker.
    """
    for batch in loader:
        if isinstance(batch, MareyError):
            raise batch
        yield batch


def timed(
    dataset: Dataset[Any], keys: Sequence[Any], *, workers: int | None, clock: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[Any, float]]:
    """Items one by one, each with the seconds that it took by `clock`, in the process that made it.

    Where processes decode ahead and are forked, which takes no time, one of them does it: a file that ends its decoder does
    not end the command then. Nothing comes of such a file, and of one with a MareyError.
    """
    alone = workers == 0 or multiprocessing.get_start_method() != "fork"
    loader = AheadLoader(
        _Timed(dataset, clock), workers=0 if alone else 1, sampler=keys, batch_size=None, collate_fn=as_it_is
    )
    with contextlib.suppress(MareyError):
        yield from delivered(loader)


class _Timed(Dataset[Any]):
    def __init__(self, items: Dataset[Any], clock: Callable[[], float]) -> None:
        self._items, self._clock = items, clock

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> tuple[Any, float]:
        start = self._clock()
        return self._items[key], self._clock() - start


def as_it_is(item: Any) -> Any:
    """What a loader does with a batch of one item."""
    return item


class Manners:
    """What each worker does first: a loader's `worker_init_fn`.

    A worker ends with the main process, even where that was killed. Torch's own check would then wait for ever: until
    somebody reads what the worker has decoded.

    Workers write nothing, because the main process draws the progress: what they say goes to `reporter`. They leave signals
    to the main process, which saves and then ends them, and start no threads that compute. When Python exits it ends what
    is left of them by SIGTERM, and waits: that one they heed.
    """

    def __init__(self, reporter: KeepingReporter) -> None:
        self._reporter = reporter
        self._exiting = multiprocessing.Event()
        self.begun = multiprocessing.Event()
        """Set by the first worker that is ready: by then it has run the main script anew, where it does so."""
        Finalize(None, self._exiting.set, exitpriority=10)

    def __call__(self, worker: int) -> None:
        import cv2

        self.begun.set()
        end_with_parent()
        set_reporter(self._reporter)
        cv2.setNumThreads(0)
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._leave_at_exit)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def _leave_at_exit(self, number: int, frame: object) -> None:
        if self._exiting.is_set():
            os._exit(0)


class _WithMessages:
    """A function that makes a batch in a worker: what the worker said since the batch before comes with it."""

    def __init__(self, collate: Callable[[Any], Any], reporter: KeepingReporter) -> None:
        self._collate, self._reporter = collate, reporter

    def __call__(self, items: Any) -> tuple[Any, list[Message]]:
        return self._collate(items), self._reporter.take()


class AheadLoader(DataLoader[Any]):
    """A loader over a data set, guarded, that `workers` processes decode ahead; each has two batches waiting at most.

    0 decodes in this process. What the processes say is said here when their batch arrives, each thing once. `sampling` is
    how torch's `DataLoader` draws and collates.

    Raises (while it is iterated over):
        RunError: a process died, by a lack of memory or in a decoder, or because the main script starts processes outside of
            `if __name__ == "__main__":`.
    """

    def __init__(self, dataset: Dataset[Any], *, workers: int, **sampling: Any) -> None:
        reporter = KeepingReporter()  # of a worker: each gets a copy, which its two users share
        manners = Manners(reporter) if workers else None
        super().__init__(
            Guarded(dataset),
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            worker_init_fn=manners,
            **sampling,
        )
        self._manners = manners
        if workers:
            self.collate_fn = _WithMessages(self.collate_fn, reporter)
        self._said: set[str] = set()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        if not self.num_workers:
            yield from super().__iter__()
            return
        others = set(multiprocessing.active_children())
        try:
            with signals_held_back():
                batches = super().__iter__()
            while (item := next(batches, None)) is not None:
                batch, messages = item
                say_again(messages, said=self._said)
                yield batch
        except (RuntimeError, OSError, EOFError) as error:
            raise self._understood(error, set(multiprocessing.active_children()) - others) from None

    def _understood(self, error: Exception, own: Collection[multiprocessing.process.BaseProcess]) -> Exception:
        """What an error of starting or waiting for the workers, which are those in `own` that live, means."""
        assert self._manners is not None
        method = multiprocessing.get_start_method()
        if isinstance(error, RuntimeError) and is_bootstrapping(error):
            return RunError(UNGUARDED)
        died = "DataLoader worker" in str(error)
        begun, killed = self._manners.begun.is_set(), "killed by signal" in str(error)
        # Where a worker is gone before its script is asked for, its pipe is broken.
        broken = isinstance(error, BrokenPipeError | ConnectionError | EOFError)
        if (died or broken) and not begun and not killed and runs_script_anew(method):
            for process in own:  # what they print of the same error comes first
                process.join(_PATIENCE)
            return RunError(UNGUARDED)
        if not died:
            return error
        return RunError(f"a process that decodes videos died ({str(error).splitlines()[0]}): try fewer --workers.")

    def check_worker_number_rationality(self) -> None:
        """Does not warn of more workers than cores: by default there are not, and videos on a network may want them."""
