"""Worker processes that decode ahead: their setup, how their errors and messages arrive, and how they end."""

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
    reruns_main_script,
    signals_held_back,
)
from marey.base.reporter import CollectingReporter, Message, report_collected, set_reporter

_PATIENCE = 10.0
"""Seconds to wait until a worker that cannot start has printed the reason."""


class ErrorsAsItems(Dataset[Any]):
    """A data set that returns a MareyError in place of an item instead of raising it.

    An error raised in a worker would reach the user with another type, as a traceback within a traceback.
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
    """The first error among the items of a batch; None if there is none."""
    return next((item for item in items if isinstance(item, MareyError)), None)


def checked_batches(loader: Iterable[Any]) -> Iterator[Any]:
    """The batches of a loader over `ErrorsAsItems`.

    Raises:
        MareyError: the error that a worker returned.
    """
    for batch in loader:
        if isinstance(batch, MareyError):
            raise batch
        yield batch


def timed_items(
    dataset: Dataset[Any], keys: Sequence[Any], *, workers: int | None, clock: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[Any, float]]:
    """The items of a data set one by one, each with the time in seconds that it took in the process that made it.

    Where processes are forked, which takes no time, one worker computes the items, so that a file that crashes its decoder
    does not end the command. The iteration ends at such a file, and at an item whose computation raises a MareyError.

    Args:
        dataset: The data set.
        keys: The keys of the items.
        workers: 0: this process makes the items; else one worker, where processes are forked.
        clock: Returns the time in seconds.
    """
    no_worker = workers == 0 or multiprocessing.get_start_method() != "fork"
    loader = AheadLoader(
        _Timed(dataset, clock), workers=0 if no_worker else 1, sampler=keys, batch_size=None, collate_fn=same_item
    )
    with contextlib.suppress(MareyError):
        yield from checked_batches(loader)


class _Timed(Dataset[Any]):
    """A data set whose items come with the seconds that they took."""

    def __init__(self, items: Dataset[Any], clock: Callable[[], float]) -> None:
        self._items, self._clock = items, clock

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]

    def __getitem__(self, key: Any) -> tuple[Any, float]:
        start = self._clock()
        return self._items[key], self._clock() - start


def same_item(item: Any) -> Any:
    """The collate function of a loader without batches."""
    return item


class WorkerSetup:
    """The setup of a worker at its start: a loader's `worker_init_fn`.

    - The worker ends when the main process ends, even if that was killed. Torch's own check would wait forever for the
      decoded batches to be read.
    - Its messages go to `reporter`; it prints nothing, since the main process draws the progress bar.
    - It ignores the signals that stop a run: the main process saves first, then ends its workers. SIGTERM ends it only
      while the interpreter of the main process exits, which sends SIGTERM to all remaining workers and waits for them.
    - OpenCV starts no threads.
    """

    def __init__(self, reporter: CollectingReporter) -> None:
        self._reporter = reporter
        self._exiting = multiprocessing.Event()
        self.begun = multiprocessing.Event()
        """Set when the first worker starts its work. If workers run the main script again, it has then run that without an
        error."""
        Finalize(None, self._exiting.set, exitpriority=10)

    def __call__(self, worker: int) -> None:
        import cv2

        self.begun.set()
        end_with_parent()
        set_reporter(self._reporter)
        cv2.setNumThreads(0)
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._end_at_exit)
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)

    def _end_at_exit(self, number: int, frame: object) -> None:
        if self._exiting.is_set():
            os._exit(0)


class _WithMessages:
    """A collate function that returns each batch with the messages of the worker since its last batch."""

    def __init__(self, collate: Callable[[Any], Any], reporter: CollectingReporter) -> None:
        self._collate, self._reporter = collate, reporter

    def __call__(self, items: Any) -> tuple[Any, list[Message]]:
        return self._collate(items), self._reporter.take()


class AheadLoader(DataLoader[Any]):
    """A loader whose worker processes decode ahead; each has at most two batches waiting.

    Messages of the workers are reported in this process when their batch arrives, each message once.

    Args:
        dataset: The data set. Where an item raises a MareyError, the error takes the place of the item (`ErrorsAsItems`).
        workers: Number of worker processes; 0: this process decodes.
        sampling: The arguments of torch's `DataLoader` for sampling and collating.

    Raises (while it is iterated over):
        RunError: a process died, by a lack of memory or in a decoder, or because the main script starts processes outside of
            `if __name__ == "__main__":`.
    """

    def __init__(self, dataset: Dataset[Any], *, workers: int, **sampling: Any) -> None:
        reporter = CollectingReporter()  # each worker gets a copy, which its setup and its collate function share
        setup = WorkerSetup(reporter) if workers else None
        super().__init__(
            ErrorsAsItems(dataset),
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            worker_init_fn=setup,
            **sampling,
        )
        self._setup = setup
        if workers:
            self.collate_fn = _WithMessages(self.collate_fn, reporter)
        self._reported: set[str] = set()

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
                report_collected(messages, reported=self._reported)
                yield batch
        except (RuntimeError, OSError, EOFError) as error:
            raise self._explained(error, set(multiprocessing.active_children()) - others) from None

    def _explained(self, error: Exception, own: Collection[multiprocessing.process.BaseProcess]) -> Exception:
        """The error to raise in place of `error`, which occurred while workers were started or waited for; `own` are the
        workers that are alive.
        """
        assert self._setup is not None
        method = multiprocessing.get_start_method()
        if isinstance(error, RuntimeError) and is_bootstrapping(error):
            return RunError(UNGUARDED)
        died = "DataLoader worker" in str(error)
        begun, killed = self._setup.begun.is_set(), "killed by signal" in str(error)
        # If a worker ended before it received its task, the pipe to it is broken.
        broken = isinstance(error, BrokenPipeError | ConnectionError | EOFError)
        if (died or broken) and not begun and not killed and reruns_main_script(method):
            for process in own:  # wait until they have printed the same error
                process.join(_PATIENCE)
            return RunError(UNGUARDED)
        if not died:
            return error
        return RunError(f"a process that decodes videos died ({str(error).splitlines()[0]}): try fewer --workers.")

    def check_worker_number_rationality(self) -> None:
        """Do not warn of more workers than cores: there are no more by default, and network storage may need them."""
