"""A pool of processes that work on items under limits of time and memory. A process that hangs or crashes loses one item.

Each process has a separate pipe, so that killing one while it writes does not disturb the others. Processes are always
started by `spawn`, whatever `multiprocessing` is set to: a fork of a process with threads or a GPU may inherit a lock that
is never released, which would look like a video that hangs, and it shares memory that would count towards the limit.
"""

import contextlib
import multiprocessing
import pickle
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import connection as connections
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from types import ModuleType
from typing import Any, Generic, TypeVar

import numpy as np

from marey.base.errors import MareyError, RunError
from marey.base.limited.limits import Limits, WorkAmount
from marey.base.limited.worker import (
    OVER_MEMORY,
    Begun,
    Finished,
    ItemFailure,
    LimitedWork,
    Pipe,
    Ready,
    Refused,
    Started,
    TakesLong,
    WorkerMessage,
    serve,
)
from marey.base.processes import UNGUARDED, is_bootstrapping, reruns_main_script, signals_held_back
from marey.base.reporter import report_collected
from marey.base.words import counted

_TICK = 1.0
"""Longest wait in seconds. If more than twice as much passes, this process did not run: the machine slept, or Ctrl-Z stopped
the program. That time does not count towards a limit."""
_ENDING = 10.0
"""Seconds to wait for a killed process to end."""
_AHEAD = 2
"""Items that a process has at once: the current one and the next."""
_MOST_IN_VAIN = 3
"""Number of processes in a row that end before they begin an item, at which the pool gives up."""
_MOST = 61
"""Most processes at once: Windows can wait for 63 handles, and one of them is the pool's own."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Value = TypeVar("Value")


@dataclass(frozen=True)
class ItemOutcome(Generic[Item, Result]):
    """The result of one item."""

    number: int
    """Index of the item, from 0."""
    item: Item
    """The item itself."""
    result: Result | ItemFailure
    """The result of the work, or why it failed."""
    seconds: float
    """Wall-clock seconds in the worker process, until the end of the work or of the process."""


def each_limited(
    work: LimitedWork[Item, Result], items: Iterable[Item], *, workers: int, limits: Limits, spread: int = sys.maxsize
) -> Generator[ItemOutcome[Item, Result]]:
    """Do `work` on every item under limits, in `workers` processes, and yield the outcomes in the order of completion.

    An item that hangs delays only the item that waits for the same process. `items` is read in this thread, whenever a
    process has room: at most two items per process are unfinished or not yet yielded. Notices and warnings of the processes
    are repeated here with the result that they belong to, equal ones once.

    Args:
        work: What is done on each item.
        items: The items, in order.
        workers: Number of processes. 0: one process, which begins an item only when its outcome is requested.
        limits: Limits for each item.
        spread: Item i is begun only when the outcome of item i - `spread` has been yielded, so that callers that restore
            the order (`in_item_order`) have to keep fewer than `spread` outcomes.

    Raises:
        MareyError: `work` raised it.
        RunError: processes end before they begin an item; or `work` is defined in a main script that starts the processes
            outside of `if __name__ == "__main__":`.
    """
    room, repeated, upcoming = max(_AHEAD * workers, 1), set[str](), 0
    waiting = iter(items)
    pool = _Pool(work, processes=min(max(workers, 1), _MOST), limits=limits)
    given: dict[int, Item] = {}
    try:
        while True:
            oldest = next(iter(given), upcoming)
            for item in islice(waiting, min(room - len(given), oldest + spread - upcoming)):
                given[upcoming] = item
                pool.give(upcoming, item)
                upcoming += 1
            if not given:
                return
            finished = pool.take()
            report_collected(finished.messages, reported=repeated)
            if isinstance(finished.result, MareyError):
                raise finished.result
            yield ItemOutcome(finished.number, given.pop(finished.number), finished.result, finished.seconds)
            del finished  # else it stays in memory beside the next one
    finally:
        pool.close()


def in_item_order(numbered: Iterable[tuple[int, Value]]) -> Iterator[Value]:
    """Values in the order of their numbers 0, 1, 2, ..., each as soon as it and all before it have come."""
    early: dict[int, Value] = {}
    next_number = 0
    for number, value in numbered:
        early[number] = value
        while next_number in early:
            yield early.pop(next_number)
            next_number += 1


@dataclass(eq=False)
class _Process:
    """A worker process and its state, as the pool knows it."""

    process: BaseProcess
    """The process, as the module `multiprocessing` knows it."""
    connection: Pipe
    """The pool's end of the pipe to the process."""
    ready: bool = False
    """Whether it accepts items."""
    items: deque[tuple[int, Any]] = field(default_factory=deque)
    """The items that it was sent and has not finished, in order, each with its number."""
    begun: bool = False
    """Whether it has begun the first of them."""
    spent: float = 0.0
    """Seconds that it has spent on the first of `items` so far."""
    amount: WorkAmount = field(default_factory=WorkAmount)
    """How much work the first of `items` is, as far as is known."""

    def remaining(self, limits: Limits) -> float:
        """Seconds left for the current item."""
        return limits.allowed(self.amount) - self.spent


class _Pool:
    """The worker processes, and a thread that sends them items, receives results and ends processes that exceed a limit.

    The thread keeps the processes busy, and measures their time, while the caller runs a network.
    """

    def __init__(self, work: LimitedWork[Any, Any], *, processes: int, limits: Limits) -> None:
        self._packed, self._limits, self._most = pickle.dumps(work), limits, processes
        self._context = multiprocessing.get_context("spawn")
        self._waiting: deque[tuple[int, Any]] = deque()
        self._results: queue.SimpleQueue[Finished | BaseException] = queue.SimpleQueue()
        self._processes: list[_Process] = []
        self._in_vain, self._any_started, self._closing = 0, False, False
        self._woken, self._wake = self._context.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, name="decoding under limits", daemon=True)
        self._thread.start()
        # Runs before `multiprocessing` sends SIGTERM to its children and waits: these processes ignore SIGTERM.
        self._at_exit = Finalize(None, self.close, exitpriority=10)

    # -- in the thread of the caller

    def give(self, number: int, item: object) -> None:
        """Add an item to the queue."""
        self._waiting.append((number, item))
        with contextlib.suppress(OSError):  # the thread ended by an error, which `take` raises
            self._wake.send_bytes(b"!")

    def take(self) -> Finished:
        """Wait for the next result and return it."""
        while True:
            with contextlib.suppress(queue.Empty):
                result = self._results.get(timeout=_TICK)  # on Windows Ctrl-C is handled between two calls
                if isinstance(result, BaseException):
                    raise _translated(result) from None
                return result

    def close(self) -> None:
        """End all processes at once."""
        self._at_exit.cancel()
        if not self._closing:
            self._closing = True
            with contextlib.suppress(OSError):
                self._wake.send_bytes(b"!")
            for one in list(self._processes):
                one.process.kill()
        self._thread.join(_ENDING)

    # -- in the pool's thread

    def _run(self) -> None:
        last = time.monotonic()
        try:
            while not self._closing:
                self._hand_out()
                senders = self._wait()
                now = time.monotonic()
                self._count(min(now - last, 2 * _TICK))
                last = now
                for one in senders:
                    self._receive_from(one)
                self._end_late()
        except BaseException as error:
            self._results.put(error)
        finally:
            for one in list(self._processes):
                self._remove(one)
            self._woken.close()

    def _hand_out(self) -> None:
        """Send waiting items to processes with room, idle ones first; start further processes if items are left."""
        for room in range(1, _AHEAD + 1):
            for one in self._processes:
                if self._waiting and one.ready and len(one.items) < room:
                    self._send_item(one)
        starting = sum(not one.ready for one in self._processes)
        for _ in range(min(self._most - len(self._processes), len(self._waiting) - starting)):
            self._start()

    def _send_item(self, one: _Process) -> None:
        one.items.append(self._waiting.popleft())
        with contextlib.suppress(OSError):  # it has ended: the closed pipe reports it, and its items are queued again
            one.connection.send(one.items[-1])

    def _start(self) -> None:
        own, other = self._context.Pipe()
        process = self._context.Process(target=serve, args=(other, self._packed, self._limits), daemon=True)
        if sys.platform != "win32":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # starting it later would unblock the signals
        with signals_held_back(), _main_script_left_out(unless=b"__main__" in self._packed):
            process.start()
        other.close()
        self._processes.append(_Process(process, own))

    def _wait(self) -> list[_Process]:
        """Wait until processes have sent a message or ended, at most `_TICK` or until a time limit, and return them."""
        left = [one.remaining(self._limits) for one in self._processes if one.begun]
        by_pipe = {one.connection: one for one in self._processes}
        readable = connections.wait([self._woken, *by_pipe], max(0.0, min([_TICK, *left])))
        if self._woken in readable:
            self._woken.recv_bytes()
        return [one for pipe, one in by_pipe.items() if pipe in readable]

    def _count(self, seconds: float) -> None:
        """Add `seconds` to the time that processes spent on their current items."""
        for one in self._processes:
            if one.begun:
                one.spent += seconds

    def _receive_from(self, one: _Process) -> None:
        try:
            message = _receive(one.connection)
        except (EOFError, OSError):
            self._ended(one)
            return
        match message:
            case Started():
                self._any_started = True
            case Ready():
                one.ready = True
            case Refused(reason):
                raise RunError(f"a worker process cannot begin: {reason}")
            case Begun():
                one.begun, one.spent, one.amount = True, 0.0, WorkAmount()
                self._in_vain = 0
            case TakesLong(number, amount):
                if one.begun and one.items[0][0] == number:
                    one.amount = amount
            case Finished():
                one.begun = False
                one.items.popleft()
                self._results.put(message)
                if message.last:
                    self._return(one)
                    self._remove(one)

    def _end_late(self) -> None:
        for one in list(self._processes):
            # A pipe that a fork of this process inherited stays open when the worker ends: check the process itself.
            ended = one.process.exitcode is not None
            late = one.begun and one.remaining(self._limits) <= 0
            if (ended or late) and not one.connection.poll():
                self._ended(one, "" if ended else self._limits.too_long(one.amount))

    def _ended(self, one: _Process, reason: str = "") -> None:
        """Handle a process that ended, or end it for this reason: its current item has failed, the next is queued again."""
        code = self._remove(one, kill=bool(reason))
        if one.begun:
            number, _ = one.items.popleft()
            self._results.put(Finished(number, ItemFailure(reason or self._why(code)), one.spent))
        else:
            self._count_in_vain(code)
        self._return(one)

    def _return(self, one: _Process) -> None:
        """Queue the items again that a process was sent and has not begun."""
        self._waiting.extendleft(reversed(one.items))
        one.items.clear()

    def _remove(self, one: _Process, *, kill: bool = True) -> int | None:
        """Remove a process from the pool, killing it unless it ends by itself; returns its exit code, None if it has
        none yet.
        """
        self._processes.remove(one)
        if not kill:
            one.process.join(_ENDING)
        one.process.kill()
        one.process.join(_ENDING)
        one.connection.close()
        return one.process.exitcode

    def _why(self, code: int | None) -> str:
        """Why a process ended during an item, as the end of a sentence."""
        if code == OVER_MEMORY:
            return self._limits.too_large()
        return f"crashed: its process ended {_by(code)}"

    def _count_in_vain(self, code: int | None) -> None:
        """Count a process that ended before it began an item.

        Raises:
            RunError: it happened repeatedly, or has a known cause.
        """
        self._in_vain += 1
        if not self._any_started and code is not None and code > 0 and reruns_main_script("spawn"):
            raise RunError(UNGUARDED)  # the process itself has printed its error before
        if self._in_vain >= _MOST_IN_VAIN:
            raise RunError(
                f"{counted(self._in_vain, 'process')} that should decode videos ended before they began one, the last "
                f"{_by(code)}: the machine may lack memory; try fewer --workers."
            )


@contextlib.contextmanager
def _main_script_left_out(*, unless: bool) -> Iterator[None]:
    """Within the block, `spawn` starts processes that do not run the main script again; with `unless` they do, as usual.

    The script's calls would begin again in each process if it lacks `if __name__ == "__main__":`, and all of its imports
    would be loaded. It has to be run if it defines the work itself.
    """
    main = sys.modules["__main__"]
    if not unless:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _receive(connection: Pipe) -> WorkerMessage:
    """Receive a message of `send`. Arrays are received without a further copy.

    Raises:
        EOFError, OSError: the process has ended, perhaps in the middle of a message.
    """
    text, sizes = pickle.loads(connection.recv_bytes())
    arrays = [np.empty(size, np.uint8) for size in sizes]
    for array in arrays:
        begin = 0
        while begin < array.nbytes:
            begin += connection.recv_bytes_into(array, begin)
    message: WorkerMessage = pickle.loads(text, buffers=arrays)
    return message


def _by(code: int | None) -> str:
    """How a process ended, as the end of a sentence."""
    if code is None:
        return "without an exit code"
    if code >= 0:
        return f"with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"by {name}{', as when memory runs out' if name == 'SIGKILL' else ''}"


def _translated(error: BaseException) -> BaseException:
    """The error of the pool's thread; Python's refusal to start a process becomes a RunError that explains it."""
    return RunError(UNGUARDED) if isinstance(error, RuntimeError) and is_bootstrapping(error) else error
