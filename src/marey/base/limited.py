"""Work on items under limits, in processes that may die: a process that hangs or crashes costs the item that it was at.

Each process has a pipe of its own, so that one that is killed while it writes spoils nothing of the others. They are always
started anew (spawn), whatever `multiprocessing` is set to: a fork of a process with threads or a GPU may begin with a lock
that is never freed, which would look like a video that hangs, and its memory would not be its own.
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
from marey.base.limited_process import (
    OVER_MEMORY,
    Begun,
    Failure,
    Finished,
    Here,
    Pipe,
    Ready,
    Refused,
    Said,
    TakesLong,
    Work,
    serve,
)
from marey.base.limits import Amount, Limits
from marey.base.processes import UNGUARDED, is_bootstrapping, runs_script_anew, signals_held_back
from marey.base.reporter import say_again
from marey.base.words import counted

_TICK = 1.0
"""Seconds that are waited at a time, at most. Of time that passes beyond twice that, here nothing ran: the machine slept, or
Ctrl-Z stopped the program. It counts for no limit."""
_ENDING = 10.0
"""Seconds that a process that was killed has to be gone."""
_AHEAD = 2
"""Items that a process has at a time: one at work, and one to go on with."""
_VAIN = 3
"""Processes in a row that may end without having begun an item."""
_MOST = 61
"""Processes at a time: Windows waits for 63 things at once, and one is the pool's own."""

Item = TypeVar("Item")
Result = TypeVar("Result")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of an item."""

    number: int
    """Which of the items it is, from 0."""
    item: Item
    result: Result | Failure
    seconds: float
    """By the clock, in the process that did it; of one that was ended, until then."""


def each_limited(
    work: Work[Item, Result], items: Iterable[Item], *, workers: int, limits: Limits, spread: int = sys.maxsize
) -> Generator[Outcome[Item, Result]]:
    """`work` on every item under limits, in `workers` processes; outcomes as they come, so that one item that hangs holds up
    none but the one that waits for the same process.

    Items are taken from `items`, in this thread, when there is room: each process has two of them, done or not, that wait to
    be asked for. 0 workers are one process, which begins an item only when that is asked for. What the processes say is said
    here when their result is, each thing once.

    Args:
        work: What is done for each item.
        items: What it is done for.
        workers: Processes.
        limits: What each item may take.
        spread: An item is taken only when the one so many places before it has its outcome. So no more outcomes than that
            come before their turn, for callers that put them in order (`in_turn`).

    Raises:
        MareyError: as `work` raised it.
        RunError: processes end before they begin an item; or `work` is defined in the main script, which starts them outside
            of `if __name__ == "__main__":`.
    """
    room, said, following = max(_AHEAD * workers, 1), set[str](), 0
    waiting = iter(items)
    pool = _Pool(work, processes=min(max(workers, 1), _MOST), limits=limits)
    given: dict[int, Item] = {}
    try:
        while True:
            oldest = next(iter(given), following)
            for item in islice(waiting, min(room - len(given), oldest + spread - following)):
                given[following] = item
                pool.give(following, item)
                following += 1
            if not given:
                return
            finished = pool.take()
            say_again(finished.messages, said=said)
            if isinstance(finished.result, MareyError):
                raise finished.result
            yield Outcome(finished.number, given.pop(finished.number), finished.result, finished.seconds)
            del finished  # it would be in memory beside what comes next
    finally:
        pool.close()


def in_turn(numbered: Iterable[tuple[int, Value]]) -> Iterator[Value]:
    """Values in the order of their numbers, 0, 1, 2 and so on, each as soon as those before it are there."""
    early: dict[int, Value] = {}
    turn = 0
    for number, value in numbered:
        early[number] = value
        while turn in early:
            yield early.pop(turn)
            turn += 1


@dataclass(eq=False)
class _Process:
    """One of the processes, as the pool sees it."""

    process: BaseProcess
    connection: Pipe
    ready: bool = False
    items: deque[tuple[int, Any]] = field(default_factory=deque)
    """Those that it was given and that have no result: number and item."""
    begun: bool = False
    """Whether it works on the first of them."""
    spent: float = 0.0
    """Seconds on that one so far."""
    amount: Amount = field(default_factory=Amount)
    """How much work that one is, as far as it is known."""

    def remaining(self, limits: Limits) -> float:
        """Seconds that are left to it."""
        return limits.allowed(self.amount) - self.spent


class _Pool:
    """The processes, and a thread of this one that gives them items, reads results as they come and ends what is too late.

    By a thread, so that the processes go on, and their time counts, while the caller is busy with a network.
    """

    def __init__(self, work: Work[Any, Any], *, processes: int, limits: Limits) -> None:
        self._packed, self._limits, self._most = pickle.dumps(work), limits, processes
        self._context = multiprocessing.get_context("spawn")
        self._waiting: deque[tuple[int, Any]] = deque()
        self._results: queue.SimpleQueue[Finished | BaseException] = queue.SimpleQueue()
        self._processes: list[_Process] = []
        self._vain, self._any_here, self._closing = 0, False, False
        self._woken, self._wake = self._context.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, name="decoding under limits", daemon=True)
        self._thread.start()
        # Before `multiprocessing` ends what is left by SIGTERM, which the processes ignore, and waits for it.
        self._at_exit = Finalize(None, self.close, exitpriority=10)

    # -- in the thread of the caller

    def give(self, number: int, item: object) -> None:
        """One more item to do."""
        self._waiting.append((number, item))
        with contextlib.suppress(OSError):  # the thread ended, by an error that `take` raises
            self._wake.send_bytes(b"!")

    def take(self) -> Finished:
        """The next result, as soon as it is there."""
        while True:
            with contextlib.suppress(queue.Empty):
                found = self._results.get(timeout=_TICK)  # on Windows Ctrl-C comes through between two of them
                if isinstance(found, BaseException):
                    raise _understood(found) from None
                return found

    def close(self) -> None:
        """End all processes, whatever they do."""
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
                heard = self._wait()
                now = time.monotonic()
                self._count(min(now - last, 2 * _TICK))
                last = now
                for one in heard:
                    self._hear(one)
                self._end_late_ones()
        except BaseException as error:
            self._results.put(error)
        finally:
            for one in list(self._processes):
                self._remove(one)
            self._woken.close()

    def _hand_out(self) -> None:
        """Give waiting items to processes that have room, first to those without any; start processes where they lack."""
        for room in range(1, _AHEAD + 1):
            for one in self._processes:
                if self._waiting and one.ready and len(one.items) < room:
                    self._give_to(one)
        starting = sum(not one.ready for one in self._processes)
        for _ in range(min(self._most - len(self._processes), len(self._waiting) - starting)):
            self._start()

    def _give_to(self, one: _Process) -> None:
        one.items.append(self._waiting.popleft())
        with contextlib.suppress(OSError):  # it is gone: the end of its pipe says so, and its items come back
            one.connection.send(one.items[-1])

    def _start(self) -> None:
        own, other = self._context.Pipe()
        process = self._context.Process(target=serve, args=(other, self._packed, self._limits), daemon=True)
        if sys.platform != "win32":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # it would let through the signals that are held back
        with signals_held_back(), _main_script_left_out(unless=b"__main__" in self._packed):
            process.start()
        other.close()
        self._processes.append(_Process(process, own))

    def _wait(self) -> list[_Process]:
        """The processes that say something, or are gone, as soon as there are any; none after a while."""
        left = [one.remaining(self._limits) for one in self._processes if one.begun]
        by_pipe = {one.connection: one for one in self._processes}
        heard = connections.wait([self._woken, *by_pipe], max(0.0, min([_TICK, *left])))
        if self._woken in heard:
            self._woken.recv_bytes()
        return [one for pipe, one in by_pipe.items() if pipe in heard]

    def _count(self, seconds: float) -> None:
        """So much time went by."""
        for one in self._processes:
            if one.begun:
                one.spent += seconds

    def _hear(self, one: _Process) -> None:
        try:
            said = _receive(one.connection)
        except (EOFError, OSError):
            self._ended(one)
            return
        match said:
            case Here():
                self._any_here = True
            case Ready():
                one.ready = True
            case Refused(reason):
                raise RunError(f"a process that decodes videos cannot begin: {reason}")
            case Begun():
                one.begun, one.spent, one.amount = True, 0.0, Amount()
                self._vain = 0
            case TakesLong(number, amount):
                if one.begun and one.items[0][0] == number:
                    one.amount = amount
            case Finished():
                one.begun = False
                one.items.popleft()
                self._results.put(said)
                if said.last:
                    self._return(one)
                    self._remove(one)

    def _end_late_ones(self) -> None:
        for one in list(self._processes):
            # Where a fork of this process has the pipe, too, its end does not show: so the process is looked at.
            gone = one.process.exitcode is not None
            late = one.begun and one.remaining(self._limits) <= 0
            if (gone or late) and not one.connection.poll():
                self._ended(one, "" if gone else self._limits.too_long(one.amount))

    def _ended(self, one: _Process, reason: str = "") -> None:
        """A process is gone, or is ended for this reason: the item that it was at has failed, others are done by another."""
        code = self._remove(one, kill=bool(reason))
        if one.begun:
            number, _ = one.items.popleft()
            self._results.put(Finished(number, Failure(reason or self._why(code)), one.spent))
        else:
            self._count_in_vain(code)
        self._return(one)

    def _return(self, one: _Process) -> None:
        """The items that a process was given and has not begun are to be given again."""
        self._waiting.extendleft(reversed(one.items))
        one.items.clear()

    def _remove(self, one: _Process, *, kill: bool = True) -> int | None:
        """Forget a process, ended by force or gone by itself; its exit code, if it is gone."""
        self._processes.remove(one)
        if not kill:
            one.process.join(_ENDING)
        one.process.kill()
        one.process.join(_ENDING)
        one.connection.close()
        return one.process.exitcode

    def _why(self, code: int | None) -> str:
        """Why a process ended in the middle of an item, as the end of a sentence."""
        if code == OVER_MEMORY:
            return self._limits.too_large()
        return f"crashed: its process ended {_by(code)}"

    def _count_in_vain(self, code: int | None) -> None:
        """A process ended and had begun nothing.

        Raises:
            RunError: that is no accident.
        """
        self._vain += 1
        if not self._any_here and code is not None and code > 0 and runs_script_anew("spawn"):
            raise RunError(UNGUARDED)  # what the process printed of it came first
        if self._vain >= _VAIN:
            raise RunError(
                f"{counted(self._vain, 'process')} that should decode videos ended before they began one, the last "
                f"{_by(code)}: the machine may lack memory; try fewer --workers."
            )


@contextlib.contextmanager
def _main_script_left_out(*, unless: bool) -> Iterator[None]:
    """Within the block a process that starts does not run the main script, as `spawn` would have it: the calls of a script
    without `if __name__ == "__main__":` would begin again in it, and all that the script imports be loaded there. `unless`
    the work itself is defined in the script.
    """
    main = sys.modules["__main__"]
    if not unless:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _receive(connection: Pipe) -> Said:
    """Receive what `send` sent; arrays are read to where they stay.

    Raises:
        EOFError, OSError: the process is gone, perhaps in the middle of a message.
    """
    text, sizes = pickle.loads(connection.recv_bytes())
    arrays = [np.empty(size, np.uint8) for size in sizes]
    for array in arrays:
        begin = 0
        while begin < array.nbytes:
            begin += connection.recv_bytes_into(array, begin)
    said: Said = pickle.loads(text, buffers=arrays)
    return said


def _by(code: int | None) -> str:
    """How a process ended, as the end of a sentence."""
    if code is None:
        return "without saying how"
    if code >= 0:
        return f"with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"by {name}{', as where memory runs out' if name == 'SIGKILL' else ''}"


def _understood(error: BaseException) -> BaseException:
    """What an error of the pool's thread means."""
    return RunError(UNGUARDED) if isinstance(error, RuntimeError) and is_bootstrapping(error) else error
