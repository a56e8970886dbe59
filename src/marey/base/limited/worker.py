"""A worker process of a pool with limits (`marey.base.limited.pool`), and the messages that it sends.

The worker watches its memory itself; the pool ends it when it takes too long. NumPy must not be imported here: the process
sets the number of its threads before the work imports it.
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
from marey.base.limited.limits import Limits, WorkAmount
from marey.base.limited.memory import limit_memory
from marey.base.processes import HELD_BACK, STOP_SIGNALS
from marey.base.reporter import CollectingReporter, Message, set_reporter

if sys.platform == "win32":
    from multiprocessing.connection import PipeConnection

    Pipe: TypeAlias = PipeConnection
else:
    from multiprocessing.connection import Connection

    Pipe: TypeAlias = Connection

OVER_MEMORY = 77
"""Exit code of a process that exceeded its memory limit. (FFmpeg, OpenCV and Python use other codes.)"""
_CHECK_EVERY = 0.25
"""Seconds between two checks of memory and time."""
_PIECE = 1 << 20
"""Bytes of an array that are sent at once; Python would copy larger pieces."""

Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class LimitedWork(Protocol[Item_contra, Result_co]):
    """Interface of the work that a pool does on each item. It is pickled to the worker processes."""

    def begin(self) -> None:
        """Prepare the process; called once, before the first item."""

    def __call__(self, item: Item_contra) -> Result_co:
        """The result of one item. A MareyError is raised again by the pool; any other exception becomes an `ItemFailure`.

        Raises:
            MemoryError: an allocation failed.
        """
        ...

    def amount(self, item: Item_contra) -> WorkAmount:
        """How much work the item is. Called in a second thread, and only for items that take long."""
        ...


@dataclass(frozen=True)
class ItemFailure:
    """Work that failed."""

    reason: str
    """Why the work failed, as the end of a sentence without full stop: "took longer than 60 s ..."."""


@dataclass(frozen=True)
class Started:
    """The process has started. If `spawn` ran the main script again, it ran to its end."""


@dataclass(frozen=True)
class Ready:
    """The process waits for items."""


@dataclass(frozen=True)
class Refused:
    """The process cannot begin."""

    reason: str
    """One line: the error and where it was raised."""


@dataclass(frozen=True)
class Begun:
    """Work on item `number` has begun."""

    number: int
    """Index of the item, from 0."""


@dataclass(frozen=True)
class TakesLong:
    """Item `number` takes long; `amount` is how much work it is."""

    number: int
    """Index of the item, from 0."""
    amount: WorkAmount
    """How much work the item is, by which the pool chooses its limit of time."""


@dataclass(frozen=True)
class Finished:
    """Work on item `number` has ended."""

    number: int
    """Index of the item, from 0."""
    result: Any
    """The result of the work, an `ItemFailure` or a MareyError."""
    seconds: float
    """Wall-clock seconds that the work took."""
    messages: list[Message] = field(default_factory=list)
    """Notices and warnings of the work."""
    last: bool = False
    """Whether the process exits now."""


WorkerMessage: TypeAlias = Started | Ready | Refused | Begun | TakesLong | Finished


def send(connection: Pipe, message: WorkerMessage) -> None:
    """Send a message. Large arrays in it are sent without a copy."""
    buffers: list[pickle.PickleBuffer] = []
    text = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    connection.send_bytes(pickle.dumps((text, [array.nbytes for array in raw])))
    for array in raw:
        for begin in range(0, array.nbytes, _PIECE):
            connection.send_bytes(array, begin, min(_PIECE, array.nbytes - begin))


def serve(connection: Pipe, packed: bytes, limits: Limits) -> None:
    """Do the pickled work `packed` on every item that the pool sends, until it closes the connection.

    The process ends with its parent and ignores signals, which the parent handles. It prints nothing: its notices and
    warnings are sent with the results.
    """
    end_with_parent()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    send(connection, Started())
    compute_in_one_thread()
    set_reporter(reporter := CollectingReporter())
    try:
        work: LimitedWork[Any, Any] = pickle.loads(packed)
        work.begin()
        watch = _Watch(connection, work.amount, limits)
    except Exception as error:
        send(connection, Refused(_error_in_words(error)))
        return
    with contextlib.suppress(EOFError, ConnectionError):  # the pool has closed the connection
        watch.send(Ready())
        _serve(connection, work, watch, reporter, limits)


def _serve(
    connection: Pipe, work: LimitedWork[Any, Any], watch: "_Watch", reporter: CollectingReporter, limits: Limits
) -> None:
    last = False
    while not last:
        number, item = connection.recv()
        watch.begin(number, item)
        finished = _finished(work, number, item, limits, watch.over_memory)
        finished.messages.extend(reporter.take())
        watch.end(finished)
        last = finished.last
        del finished, item  # else they stay in memory beside the next result


def _finished(
    work: LimitedWork[Any, Any], number: int, item: object, limits: Limits, over_memory: Callable[[], bool]
) -> Finished:
    """Do one item. When memory ran out, the process exits afterwards, because decoders may be in an undefined state."""
    start, last = time.perf_counter(), False
    try:
        result = work(item)
    except MareyError as error:
        result = error
    except MemoryError:
        last = True
    except Exception as error:
        result = ItemFailure(f"failed: {_error_in_words(error)}")
    if last or over_memory():
        result, last = ItemFailure(limits.too_large()), True
    return Finished(number, result, time.perf_counter() - start, last=last)


def _error_in_words(error: Exception) -> str:
    """An unexpected error in one line, with the file and line that raised it."""
    raised = traceback.extract_tb(error.__traceback__)[-1]
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{f': {message}' if message else ''} ({Path(raised.filename).name}, line {raised.lineno})"


class _Watch:
    """Sends the messages of a worker. A second thread of the process watches its memory and reports items that take long."""

    def __init__(self, connection: Pipe, amount: Callable[[Any], WorkAmount], limits: Limits) -> None:
        self._connection, self._amount = connection, amount
        self._sending = threading.Lock()
        self._at_work: tuple[int, object, float] | None = None
        """The current item: its number, the item, and the time at which `TakesLong` is sent."""
        self._patience = None if limits.seconds is None else min(1.0, limits.seconds / 4)
        """Seconds after which an item counts as taking long; None: never."""
        self.over_memory: Callable[[], bool] = lambda: False
        """Returns whether the process exceeded its memory limit."""
        self._pause = _CHECK_EVERY if self._patience is None else min(_CHECK_EVERY, self._patience)
        threading.Thread(target=self._watch, daemon=True).start()
        if limits.memory is not None:  # after the thread started, whose stack counts
            self.over_memory = limit_memory(limits.memory)

    def send(self, message: WorkerMessage) -> None:
        """Send a message; called by two threads."""
        with self._sending:
            send(self._connection, message)

    def begin(self, number: int, item: object) -> None:
        """Report that work on an item begins."""
        self.send(Begun(number))
        if self._patience is not None:
            self._at_work = number, item, time.monotonic() + self._patience

    def end(self, finished: Finished) -> None:
        """Report that work on an item has ended."""
        self._at_work = None
        self.send(finished)

    def _watch(self) -> None:
        reported = -1
        while True:
            time.sleep(self._pause)
            if self.over_memory():
                os._exit(OVER_MEMORY)
            at_work = self._at_work
            if at_work is not None and at_work[0] != reported and time.monotonic() > at_work[2]:
                reported = at_work[0]
                self._send_amount(*at_work[:2])

    def _send_amount(self, number: int, item: object) -> None:
        try:
            amount = self._amount(item)
        except Exception:  # the work reads the same file and reports what is wrong with it
            return
        self.send(TakesLong(number, amount))
