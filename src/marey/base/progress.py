"""Progress of long work: a bar with rate and time left on a terminal, plain lines in a log. All on standard error."""

import functools
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_EVERY = 15.0
"""Seconds between lines where there is no terminal."""


def say(message: str) -> None:
    """One message to the user, beside the results on standard output."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


@functools.cache
def say_once(message: str) -> None:
    """As `say`, once in this process: for what is true of the machine, and found again by every call."""
    say(message)


class progress:  # noqa: N801 - reads as a word: `with progress("Testing", total=n) as bar`
    """Shows how far `total` steps have come, with rate and time left.

    with progress("Testing", total=504, unit="videos") as bar:
        bar.advance(1, note="top-1 81.2 %")
    """

    def __init__(self, title: str, *, total: int, unit: str = "steps") -> None:
        self.title, self.total, self.unit = title, total, unit
        self._done, self._note = 0, ""
        self._start = self._last_line = time.monotonic()
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                transient=True,
                refresh_per_second=4,
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, rate="", note="")
        return self

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        """Count `steps` more as done; `note` stands at the end of the line until the next one."""
        self._done += steps
        self._note = self._note if note is None else note
        if self._bar is not None:
            self._bar.update(self._task, advance=steps, rate=f"{self.rate:.1f} {self.unit}/s", note=self._note)
        elif time.monotonic() - self._last_line > _LINE_EVERY and self._done < self.total:
            self._last_line = time.monotonic()
            left = (self.total - self._done) / max(self.rate, 1e-9)
            say(
                f"{self.title}: {self._done}/{self.total}, {self.rate:.1f} {self.unit}/s, {left:.0f} s left {self._note}"
            )

    @property
    def rate(self) -> float:
        """Steps per second since the start."""
        return self._done / max(time.monotonic() - self._start, 1e-9)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is None and self.total:
            seconds = time.monotonic() - self._start
            say(f"{self.title}: {self._done} {self.unit} in {seconds:.0f} s ({self.rate:.1f}/s) {self._note}".rstrip())
