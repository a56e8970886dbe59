"""Processes that decode ahead: how they behave, how their errors arrive, and that they end."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.util import Finalize
from typing import Any

from torch.utils.data import DataLoader, Dataset

from marey.base.errors import MareyError
from marey.base.processes import HELD_BACK, signals_held_back
from marey.base.reporter import KeepingReporter, Message, say_again, set_reporter


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


class Manners:
    """What each worker does first: a loader's `worker_init_fn`.

    Workers write nothing, because the main process draws the progress: what they say goes to `reporter`. They leave signals
    to the main process, which saves and then ends them, and start no threads of their own. When Python exits it ends what
    is left of them by SIGTERM, and waits: that one they heed.
    """

    def __init__(self, reporter: KeepingReporter) -> None:
        self._reporter = reporter
        self._exiting = multiprocessing.Event()
        Finalize(None, self._exiting.set, exitpriority=10)

    def __call__(self, worker: int) -> None:
        import cv2

        set_reporter(self._reporter)
        cv2.setNumThreads(0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    """

    def __init__(self, dataset: Dataset[Any], *, workers: int, **sampling: Any) -> None:
        reporter = KeepingReporter()  # of a worker: each gets a copy, which its two users share
        super().__init__(
            Guarded(dataset),
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            worker_init_fn=Manners(reporter) if workers else None,
            **sampling,
        )
        if workers:
            self.collate_fn = _WithMessages(self.collate_fn, reporter)
        self._said: set[str] = set()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        if not self.num_workers:
            yield from super().__iter__()
            return
        with signals_held_back():
            batches = super().__iter__()
        for batch, messages in batches:
            say_again(messages, said=self._said)
            yield batch

    def check_worker_number_rationality(self) -> None:
        """Does not warn of more workers than cores: by default there are not, and videos on a network may want them."""
