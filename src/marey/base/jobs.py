"""The same function on many items, in several processes, in order."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Generic, TypeVar, cast

from marey.base.errors import RunError
from marey.base.processes import (
    HELD_BACK,
    UNGUARDED,
    is_bootstrapping,
    runs_script_anew,
    signals_held_back,
    usable_cores,
)
from marey.base.reporter import KeepingReporter, Message, progress, reporting, say_again

_MOST_ON_WINDOWS = 61
"""`ProcessPoolExecutor` refuses more there: the system waits for 63 things at once, and two are its own."""
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
    """`function` of every item, results in the items' order, with progress.

    `workers` processes do the work: None is one per core, 0 is this process. What they say is said here, each thing once.

    `function` and the items must be picklable. An exception in one item stops the rest and is raised here.

    Raises:
        RunError: a process died; or the main script starts them outside of `if __name__ == "__main__":`.
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
    """As `run_jobs`, but each result as soon as it and those before it are there: for results that are kept at once.

    `chunk` items go to a process at a time: 1 for long work, else the time left is shown in leaps.
    """
    processes = _pool_size(workers, len(items))
    with progress(title, total=len(items), unit=unit) as bar:
        if processes < 1:
            for item in items:
                yield function(item)
                bar.advance()
            return
        # Not fork: torch, OpenCV and FFmpeg may have threads running that a fork would lose.
        context = multiprocessing.get_context("spawn")
        begun = context.Event()
        others = multiprocessing.active_children()
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin_work, initargs=(begun,)) as pool:
            try:
                size = chunk or max(1, min(32, len(items) // (4 * processes)))
                said: set[str] = set()
                with signals_held_back():
                    results = pool.map(_WithMessages(function), items, chunksize=size)
                for result, messages in results:
                    say_again(messages, said=said)
                    yield result
                    bar.advance()
            except BrokenProcessPool as error:
                if not begun.is_set() and runs_script_anew("spawn"):
                    raise RunError(UNGUARDED) from None
                raise RunError(
                    f"a process at work died ({error}), by a lack of memory or in a decoder: try fewer --workers."
                ) from None
            except BaseException as error:
                _interrupt([one for one in multiprocessing.active_children() if one not in others])
                pool.shutdown(cancel_futures=True)
                if isinstance(error, RuntimeError) and is_bootstrapping(error):
                    raise RunError(UNGUARDED) from None
                raise


def _interrupt(workers: Sequence[BaseProcess]) -> None:
    """End the work of these processes as Ctrl-C does.

    Ctrl-C itself reaches no process that starts after it, and the pool would wait until such a worker has done its items.
    (On Windows there is no signal for one process that it could answer.)
    """
    if sys.platform != "win32":
        for worker in workers:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(cast("int", worker.pid), signal.SIGINT)


def _pool_size(workers: int | None, items: int) -> int:
    """Processes for so many items: as many as asked for, else one per core; Windows can wait for no more than 61."""
    wanted = min(usable_cores() if workers is None else workers, items)
    return min(wanted, _MOST_ON_WINDOWS) if sys.platform == "win32" else wanted


class _WithMessages(Generic[Item, Result]):
    """A function at work in another process: what it says comes back with its result."""

    def __init__(self, function: Callable[[Item], Result]) -> None:
        self._function = function

    def __call__(self, item: Item) -> tuple[Result, list[Message]]:
        with _WORKER.working(), reporting(reporter := KeepingReporter()):
            return self._function(item), reporter.take()


class _Worker:
    """A process that works for a pool: SIGINT ends the item at work and those that the pool still gives it.

    The signal may come twice, from the terminal and from the parent: an item is interrupted once, so that it can clean up.
    A worker without work goes on waiting, as the pool would take its end for a failure and kill the others.
    """

    def __init__(self) -> None:
        self._at_work = False
        self._interrupted = False

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """What SIGINT does."""
        again, self._interrupted = self._interrupted, True
        if self._at_work and not again:
            sys.exit(128 + number)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The block is an item at work."""
        self._at_work = True
        try:
            if sys.platform != "win32":  # not before: the pool would report an exit while it prepares a process
                signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
            if self._interrupted:
                sys.exit(128 + signal.SIGINT)
            yield
        finally:
            self._at_work = False


_WORKER = _Worker()


def end_with_parent() -> None:
    """End this process, which `multiprocessing` started, as soon as the one that started it is gone, even by SIGKILL."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def compute_in_one_thread() -> None:
    """Let NumPy compute in one thread in this process, of which there is one for each core.

    It reads these variables when it is loaded: after this, unless the main script imports it. Values of the user's own stay.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


def _begin_work(begun: Event) -> None:
    """What each worker does first: it says that it is there, by `begun`.

    SIGINT ends its work without a message (`_Worker`): the parent prints what happened. A worker whose parent was killed
    would wait for work for ever.
    """
    begun.set()
    compute_in_one_thread()
    end_with_parent()
    signal.signal(signal.SIGINT, _WORKER.interrupt)
