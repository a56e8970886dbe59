"""What a process does that works under limits for another one, which ends it where it takes too long (`base.limited`).

No NumPy here: the process says in how many threads that computes before the work loads it.
"""

import contextlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from marey.base.errors import MareyError
from marey.base.jobs import compute_in_one_thread, end_with_parent
from marey.base.limits import Amount, Limits, limit_memory
from marey.base.processes import HELD_BACK, STOP_SIGNALS
from marey.base.reporter import KeepingReporter, Message, set_reporter

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection

    Pipe: TypeAlias = PipeConnection
else:
    from multiprocessing.connection import Connection

    Pipe: TypeAlias = Connection

OVER_MEMORY = 77
"""Exit code of a process that found itself over its limit of memory. (FFmpeg, OpenCV and Python use others.)"""
_LOOK = 0.25
"""Seconds between two looks at the memory and at the time."""
_PIECE = 1 << 20
"""Bytes of an array that go through the pipe at a time: of larger pieces Python makes copies."""

Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Work(Protocol[Item_contra, Result_co]):
    """What is done for each item; it travels to the processes by pickle."""

    def begin(self) -> None:
        """Called once in each process, before it is given any item."""

    def __call__(self, item: Item_contra) -> Result_co:
        """The result. A MareyError is raised again in the process that asked; any other exception is a `Failure`.

        Raises:
            MemoryError: there was not enough memory.
        """
        ...

    def amount(self, item: Item_contra) -> Amount:
        """How much work the item is. Asked in another thread than the work, and only of items that take long."""
        ...


@dataclass(frozen=True)
class Failure:
    """Work that came to no result, and why, as the end of a sentence: "took longer than 60 s ..."."""

    reason: str


@dataclass(frozen=True)
class Here:
    """The process is there: the main script, where it was run anew, did not keep it."""


@dataclass(frozen=True)
class Ready:
    """The process waits for items."""


@dataclass(frozen=True)
class Refused:
    """The process cannot begin, and why."""

    reason: str


@dataclass(frozen=True)
class Begun:
    """Work on an item began."""

    number: int


@dataclass(frozen=True)
class TakesLong:
    """The item takes long, and how much work it is."""

    number: int
    amount: Amount


@dataclass(frozen=True)
class Finished:
    """Work on an item ended. What the process said meanwhile comes with it; `last`: the process leaves now."""

    number: int
    result: Any
    """The work's own, a `Failure` or a MareyError."""
    seconds: float
    messages: list[Message] = field(default_factory=list)
    last: bool = False


Said: TypeAlias = Here | Ready | Refused | Begun | TakesLong | Finished


def send(connection: Pipe, said: Said) -> None:
    """Send a message. Large arrays in it go through the pipe from where they are, without a copy."""
    arrays: list[pickle.PickleBuffer] = []
    text = pickle.dumps(said, protocol=5, buffer_callback=arrays.append)
    raw = [array.raw() for array in arrays]
    connection.send_bytes(pickle.dumps((text, [part.nbytes for part in raw])))
    for part in raw:
        for begin in range(0, part.nbytes, _PIECE):
            connection.send_bytes(part, begin, min(_PIECE, part.nbytes - begin))


def serve(connection: Pipe, packed: bytes, limits: Limits) -> None:
    """Do the work that `packed` is by pickle, for every item that comes, until no more are asked for.

    The process ends with the one that started it, leaves signals to it, and writes nothing: what it says goes with results.
    """
    end_with_parent()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    send(connection, Here())
    compute_in_one_thread()
    set_reporter(reporter := KeepingReporter())
    try:
        work: Work[Any, Any] = pickle.loads(packed)
        work.begin()
        watch = _Watch(connection, work.amount, limits)
    except Exception as error:
        send(connection, Refused(_in_words(error)))
        return
    with contextlib.suppress(EOFError, ConnectionError):  # no more are asked for
        watch.say(Ready())
        _serve(connection, work, watch, reporter, limits)


def _serve(connection: Pipe, work: Work[Any, Any], watch: "_Watch", reporter: KeepingReporter, limits: Limits) -> None:
    last = False
    while not last:
        number, item = connection.recv()
        watch.begin(number, item)
        finished = _finished(work, number, item, limits, watch.over_memory)
        finished.messages.extend(reporter.take())
        watch.end(finished)
        last = finished.last
        del finished, item  # they would be in memory beside the next result


def _finished(
    work: Work[Any, Any], number: int, item: object, limits: Limits, over_memory: Callable[[], bool]
) -> Finished:
    """Do one item. After a lack of memory the process leaves: what a decoder makes of it is not known."""
    start, last = time.perf_counter(), False
    try:
        result = work(item)
    except MareyError as error:
        result = error
    except MemoryError:
        last = True
    except Exception as error:
        result = Failure(f"failed: {_in_words(error)}")
    if last or over_memory():
        result, last = Failure(limits.too_large()), True
    return Finished(number, result, time.perf_counter() - start, last=last)


def _in_words(error: Exception) -> str:
    """An unexpected error in one line, with the place that raised it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(str(error).split())
    return (
        f"{type(error).__name__}{f': {message}' if message else ''} ({Path(place.filename).name}, line {place.lineno})"
    )


class _Watch:
    """Sends what the process says; a thread of it sends how much work an item is that takes long, and watches memory."""

    def __init__(self, connection: Pipe, amount: Callable[[Any], Amount], limits: Limits) -> None:
        self._connection, self._amount = connection, amount
        self._sending = threading.Lock()
        self._at_work: tuple[int, object, float] | None = None
        """Number, item and when to ask how much work it is."""
        self._patience = None if limits.seconds is None else min(1.0, limits.seconds / 4)
        """Seconds after which an item takes long."""
        self.over_memory: Callable[[], bool] = lambda: False
        """Whether the process took more than it may."""
        self._pause = _LOOK if self._patience is None else min(_LOOK, self._patience)
        threading.Thread(target=self._look, daemon=True).start()
        if limits.memory is not None:  # now: the stacks of threads count
            self.over_memory = limit_memory(limits.memory)

    def say(self, said: Said) -> None:
        with self._sending:
            send(self._connection, said)

    def begin(self, number: int, item: object) -> None:
        """Work on an item begins."""
        self.say(Begun(number))
        if self._patience is not None:
            self._at_work = number, item, time.monotonic() + self._patience

    def end(self, finished: Finished) -> None:
        """It ended."""
        self._at_work = None
        self.say(finished)

    def _look(self) -> None:
        asked = -1
        while True:
            time.sleep(self._pause)
            if self.over_memory():
                os._exit(OVER_MEMORY)
            at_work = self._at_work
            if at_work is not None and at_work[0] != asked and time.monotonic() > at_work[2]:
                asked = at_work[0]
                self._tell_amount(*at_work[:2])

    def _tell_amount(self, number: int, item: object) -> None:
        try:
            amount = self._amount(item)
        except Exception:  # the work meets the same file, and says what is wrong with it
            return
        self.say(TakesLong(number, amount))
