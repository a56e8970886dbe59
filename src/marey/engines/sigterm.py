"""SIGTERM in a process that fills a table: it stops like Ctrl-C, and handlers that libraries set are removed."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def sigterm_restored(handler: Handler | None = None) -> Iterator[None]:
    """A block after which SIGTERM has its earlier handler again, whatever the block set; `handler` is set for the block.

    Only the main thread may set handlers: elsewhere nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def as_ctrl_c(number: int, frame: FrameType | None) -> NoReturn:
    """Handle SIGTERM, which a scheduler sends before it takes a machine back: finished rows are written as after Ctrl-C.

    Further SIGTERMs are ignored, since some schedulers send one to a group of processes and another one to each of them.

    Raises:
        KeyboardInterrupt: always.
    """
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
