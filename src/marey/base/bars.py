"""Progress bars: the base class, which only counts; bars as lines of text; and bars drawn on a terminal."""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from marey.base.words import counted, lasting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Bar:
    """Counts the steps of long work and shows nothing; the base class of the bars that are shown.

    with progress("Testing", total=504, unit="videos") as bar:
        bar.advance(1, note="top-1 81.2 %")

    Args:
        title: What is done, in one or two words.
        total: Number of steps; 0 if unknown.
        unit: What a step is, in the plural.
    """

    def __init__(self, title: str, *, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.note = 0, ""
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        """Count `steps` more as done. `note` is shown at the end of the line until the next note."""
        self.done += steps
        self.note = self.note if note is None else note

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(time.monotonic() - self._start, 1e-9)

    @property
    def rate(self) -> float:
        """Steps per second since the start."""
        return self.done / self.seconds

    @property
    def rate_text(self) -> str:
        """The rate, or for slow work the time per step: "12.1 videos/s", "47 s per video"."""
        if self.rate >= 0.1 or not self.done:
            return f"{self.rate:.1f} {self.unit}/s"
        return f"{lasting(1 / self.rate)} per {self.unit.removesuffix('s')}"

    def line(self) -> str:
        """One line of progress, with rate and time left."""
        left = lasting((self.total - self.done) / max(self.rate, 1e-9))
        return f"{self.title}: {self.done}/{self.total}, {self.rate_text}, {left} left {self.note}".rstrip()

    def summary(self) -> str:
        """One line at the end: the number of steps, the time and the rate."""
        done = counted(self.done, self.unit.removesuffix("s"), self.unit)
        rate = self.rate_text.replace(f" {self.unit}", "")
        return f"{self.title}: {done} in {lasting(self.seconds)} ({rate}) {self.note}".rstrip()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Screen:
    """Draws all bars of a terminal together; bars may be added by several threads."""

    def __init__(self, console: "Console") -> None:
        self._console, self._lock, self._count = console, threading.Lock(), 0
        self._bars: Progress | None = None

    def add(self, title: str, *, total: int) -> "tuple[Progress, TaskID]":
        """Add a bar."""
        with self._lock:
            if self._bars is None:
                self._bars = self._begin()
            self._count += 1
            return self._bars, self._bars.add_task(title, total=total, rate="", note="")

    def remove(self, task: "TaskID") -> None:
        """Remove a bar."""
        with self._lock:
            assert self._bars is not None
            self._count -= 1
            if self._count:
                self._bars.remove_task(task)
            else:
                self._bars.stop()
                self._bars = None

    def _begin(self) -> "Progress":
        from rich import progress as rich

        bars = rich.Progress(
            rich.TextColumn("{task.description}", markup=False),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[rate]}", markup=False),
            rich.TimeElapsedColumn(),
            rich.TimeRemainingColumn(),
            rich.TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=4,
            # Rich redirects standard output to this console, so that results are printed above the bar. They must not be
            # redirected when standard output is a pipe or a file.
            redirect_stdout=sys.stdout.isatty(),
        )
        bars.start()
        return bars


class LineBar(Bar):
    """A bar as lines of text: one every `every` seconds, and one at the end."""

    def __init__(self, write: Callable[[str], None], title: str, *, total: int, unit: str, every: float) -> None:
        super().__init__(title, total=total, unit=unit)
        self._write, self._every, self._last = write, every, time.monotonic()

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        super().advance(steps, note=note)
        if self.done < self.total and time.monotonic() - self._last > self._every:
            self._last = time.monotonic()
            self._write(self.line())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.total:
            self._write(self.summary())


class TerminalBar(Bar):
    """A bar drawn on a terminal, and replaced by one line at the end."""

    def __init__(self, screen: Screen, write: Callable[[str], None], title: str, *, total: int, unit: str) -> None:
        super().__init__(title, total=total, unit=unit)
        self._screen, self._write = screen, write
        self._task: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        self._task = self._screen.add(self.title, total=self.total)
        return self

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        super().advance(steps, note=note)
        if self._task is not None:
            bars, task = self._task
            bars.update(task, advance=steps, rate=self.rate_text, note=self.note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._screen.remove(self._task[1])
        if kind is None and self.total:
            self._write(self.summary())
