"""One function on many items in several processes, with results in order; and how worker processes start and end."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Generic, TypeVar, cast

from marey.base.errors import RunError
from marey.base.processes import (
    HELD_BACK,
    UNGUARDED,
    is_bootstrapping,
    reruns_main_script,
    signals_held_back,
    usable_cores,
)
from marey.base.reporter import CollectingReporter, Message, progress, report_collected, reporting

_MOST_ON_WINDOWS = 61
"""Most workers of a `ProcessPoolExecutor` on Windows, which can wait for 63 handles; two are the executor's."""
_REPEAT_AFTER = 1.0
"""Seconds until SIGINT is sent again to a worker that has not ended."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    title: str,
    unit: str = "items",
) -> list[Result]:
    """Call `function` on every item and return the results in the items' order, with a progress bar.

    `function` and the items must be picklable. An exception in one item stops the rest and is raised here. Notices and
    warnings of the processes are repeated here, equal ones once.

    Args:
        function: Called with one item, in a worker process.
        items: The items, in order.
        workers: Number of processes. None: one per core. 0: this process.
        title: What is done, for the progress bar.
        unit: What an item is, in the plural.

    Raises:
        RunError: a process died; or the main script makes this call outside of `if __name__ == "__main__":`.
    """
    return list(each_job(function, items, workers=workers, title=title, unit=unit))


def each_job(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int | None,
    title: str,
    unit: str = "items",
    chunk: int | None = None,
) -> Iterator[Result]:
    """As `run_jobs`, but yield each result as soon as it and all before it are available.

    `chunk` items are sent to a process at once (None: up to 32). For long work use 1, so that the progress bar moves evenly.
    """
    processes = _pool_size(workers, len(items))
    with progress(title, total=len(items), unit=unit) as bar:
        if processes < 1:
            for item in items:
                yield function(item)
                bar.advance()
            return
        # Not fork: torch, OpenCV and FFmpeg may have running threads, which a fork does not inherit.
        context = multiprocessing.get_context("spawn")
        begun = context.Event()
        started: list[BaseProcess] = []
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin_work, initargs=(begun,)) as pool:
            try:
                size = chunk or max(1, min(32, len(items) // (4 * processes)))
                repeated: set[str] = set()
                with signals_held_back(), _children_added_to(started):
                    results = pool.map(_ReturnsMessages(function), items, chunksize=size)
                for result, messages in results:
                    report_collected(messages, reported=repeated)
                    yield result
                    bar.advance()
            except BrokenProcessPool as error:
                if not begun.is_set() and reruns_main_script("spawn"):
                    raise RunError(UNGUARDED) from None
                raise RunError(
                    f"a worker process died ({error}), for lack of memory or in a decoder: try fewer --workers."
                ) from None
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                _interrupt(started)
                if isinstance(error, RuntimeError) and is_bootstrapping(error):
                    raise RunError(UNGUARDED) from None
                raise


@contextmanager
def _children_added_to(started: list[BaseProcess]) -> Iterator[None]:
    """Append the child processes that start within the block to `started`, also if it raises an error."""
    before = multiprocessing.active_children()
    try:
        yield
    finally:
        started += [child for child in multiprocessing.active_children() if child not in before]


def _interrupt(workers: Sequence[BaseProcess]) -> None:
    """Send SIGINT to these processes, as Ctrl-C does, and wait until they have ended.

    Ctrl-C does not reach processes that start after it, and the pool would wait until they finish their items. The signal
    is repeated: Python runs no handler if it arrives just before a blocking system call, until that call returns.
    (Windows has no such signal for a single process: there a worker finishes its item.)
    """
    running = {worker.sentinel: worker for worker in workers}
    while running:
        if sys.platform != "win32":
            for worker in running.values():
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(cast("int", worker.pid), signal.SIGINT)
        for ended in wait(list(running), timeout=_REPEAT_AFTER):
            del running[cast("int", ended)]


def _pool_size(workers: int | None, items: int) -> int:
    """Number of processes for so many items: `workers`, or one per core if None; at most 61 on Windows."""
    count = min(usable_cores() if workers is None else workers, items)
    return min(count, _MOST_ON_WINDOWS) if sys.platform == "win32" else count


class _ReturnsMessages(Generic[Item, Result]):
    """A function that is called in a worker process, and returns its result with the notices and warnings of the call."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._function = function

    def __call__(self, item: Item) -> tuple[Result, list[Message]]:
        with _WORKER.working(), reporting(reporter := CollectingReporter()):
            return self._function(item), reporter.take()


class _Worker:
    """How a worker process of `ProcessPoolExecutor` handles SIGINT: it interrupts the current item and all later ones.

    The signal may arrive twice, from the terminal and from the parent; the item is interrupted once, so that it can clean
    up. An idle worker does not exit, because the pool would take that for a failure and kill the others.
    """

    def __init__(self) -> None:
        self._at_work = False
        self._interrupted = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handler of SIGINT."""
        again, self._interrupted = self._interrupted, True
        if self._at_work and not again:
            sys.exit(128 + number)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Mark the block as work on an item, which SIGINT interrupts."""
        self._at_work = True
        try:
            if sys.platform != "win32":  # not earlier: the pool takes an exit during a worker's start for a failure
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
            if self._interrupted:
                sys.exit(128 + signal.SIGINT)
            yield
        finally:
            self._at_work = False


_WORKER = _Worker()


def end_with_parent() -> None:
    """Exit this process as soon as its parent has ended, even by SIGKILL. `multiprocessing` must have started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def exit_after_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_after_parent, daemon=True).start()


def compute_in_one_thread() -> None:
    """Limit NumPy to one thread in this process, as there is one process per core. Values that the user set stay.

    NumPy reads these variables when it is imported, so this has no effect if the main script has imported NumPy before.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


def _begin_work(begun: Event) -> None:
    """Set up a worker process, and report its start by `begun`.

    SIGINT interrupts its work without a message (`_Worker`), since the parent prints one. The worker ends with its parent,
    even if that is killed; otherwise it would wait for work for ever.
    """
    begun.set()
    compute_in_one_thread()
    end_with_parent()
    signal.signal(signal.SIGINT, _WORKER.interrupt)
