"""What Marey says beside its results: notices, warnings and progress, all through one reporter that may be replaced.

    marey.set_reporter(marey.LoggingReporter())      from here on
    with marey.reporting(marey.SilentReporter()):    within the block
        marey.predict(model, "kick.mp4")

Inside Marey `notice`, `warning`, `warning_once`, `warning_of_file` and `progress` call the current reporter. A notice tells
the expected course of work: what was chosen, how far it is, where files lie. A warning tells what makes a result or its time
another one than the user may expect: something was left out, guessed, replaced, is slow or broken. Errors are exceptions and
do not come here.

Of several processes (torchrun) the first gives notices and shows progress, for all. Each gives its own warnings, because
they are about what it met itself: a broken file, a connection. What every process would say is a `warning_once`; what is
true of a file that is opened in each epoch is a `warning_of_file`.
"""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from marey.base.processes import processes
from marey.base.words import counted, lasting

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_LINE_EVERY = 15.0
"""Seconds between lines where no bar can be drawn."""

_FILES = 20
"""Files with a `warning_of_file` each: a million of them would hide everything else."""


class Bar:
    """Counts the steps of long work and shows nothing: the base of those that do.

    with progress("Testing", total=504, unit="videos") as bar:
        bar.advance(1, note="top-1 81.2 %")

    Args:
        title: What is done.
        total: Steps in all; 0 where it is not known.
        unit: What a step is, in the plural.
    """

    def __init__(self, title: str, *, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done, self.note = 0, ""
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        """Count `steps` more as done; `note` stands at the end of the line until the next one."""
        self.done += steps
        self.note = self.note if note is None else note

    @property
    def seconds(self) -> float:
        """Since the start."""
        return max(time.monotonic() - self._start, 1e-9)

    @property
    def rate(self) -> float:
        """Steps per second since the start."""
        return self.done / self.seconds

    @property
    def rate_text(self) -> str:
        """The rate; of slow work the time that a step takes: "12.1 videos/s", "47 s per video"."""
        if self.rate >= 0.1 or not self.done:
            return f"{self.rate:.1f} {self.unit}/s"
        return f"{lasting(1 / self.rate)} per {self.unit.removesuffix('s')}"

    def line(self) -> str:
        """How far it is, with rate and time left."""
        left = lasting((self.total - self.done) / max(self.rate, 1e-9))
        return f"{self.title}: {self.done}/{self.total}, {self.rate_text}, {left} left {self.note}".rstrip()

    def summary(self) -> str:
        """What was done, in how long."""
        done = counted(self.done, self.unit.removesuffix("s"), self.unit)
        rate = self.rate_text.replace(f" {self.unit}", "")
        return f"{self.title}: {done} in {lasting(self.seconds)} ({rate}) {self.note}".rstrip()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class Reporter(Protocol):
    """Receives notices, warnings and progress. To write one, extend `SilentReporter` and replace what is of interest."""

    def notice(self, message: str) -> None:
        """Tell of the expected course of work."""

    def warning(self, message: str) -> None:
        """Tell of what was left out, guessed, replaced, is slow or broken."""

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Give a bar that shows how far `total` steps have come, once it is entered."""
        ...


class SilentReporter:
    """Says nothing."""

    def notice(self, message: str) -> None:
        """Say nothing."""

    def warning(self, message: str) -> None:
        """Say nothing."""

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Give a bar that only counts."""
        return Bar(title, total=total, unit=unit)


class KeepingReporter(SilentReporter):
    """Keeps notices and warnings of this process, which are then said by another one with `say_again`."""

    def __init__(self) -> None:
        self._kept: list[Message] = []

    def notice(self, message: str) -> None:
        """Keep it."""
        self._kept.append((notice, message))

    def warning(self, message: str) -> None:
        """Keep it, and by which function it was said."""
        self._kept.append((_CURRENT.warned.get(message, warning), message))

    def take(self) -> "list[Message]":
        """What was said since the last call; can be pickled."""
        kept, self._kept = self._kept, []
        return kept


class LoggingReporter:
    """Hands everything to the standard library's `logging`: notices as INFO, warnings as WARNING, progress as lines of INFO.

    Args:
        logger: Where to; None is the logger "marey".
        every: Seconds between two lines of progress; another one comes at the end.
    """

    def __init__(self, logger: logging.Logger | None = None, *, every: float = _LINE_EVERY) -> None:
        self.logger = logging.getLogger("marey") if logger is None else logger
        self.every = every

    def notice(self, message: str) -> None:
        """Log as INFO, without the empty lines that set a message apart on a terminal."""
        self.logger.info("%s", message.strip())

    def warning(self, message: str) -> None:
        """Log as WARNING."""
        self.logger.warning("%s", message.strip())

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Log as INFO how far it is, every so often and at the end."""
        return _Lines(self.notice, title, total=total, unit=unit, every=self.every)


class TerminalReporter:
    """Writes to standard error: on a terminal with a bar, and warnings marked in colour; elsewhere in plain lines.

    Args:
        console: Where to draw, in place of standard error.
        every: Seconds between two lines of progress where there is no terminal.
    """

    def __init__(self, console: "Console | None" = None, *, every: float = _LINE_EVERY) -> None:
        self._given, self.every = console, every

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return self._given or Console(stderr=True)

    @cached_property
    def _screen(self) -> "_Screen":
        return _Screen(self._console)

    def notice(self, message: str) -> None:
        """Write a line, above the bar if there is one."""
        self._write(message)

    def warning(self, message: str) -> None:
        """Write a line; on a terminal it begins with a coloured "warning:"."""
        self._write(message, mark="warning: ")

    def _write(self, message: str, mark: str = "") -> None:
        if not self._console.is_terminal:
            print(message, file=self._console.file, flush=True)
            return
        from rich.text import Text

        # As it is: brackets are no markup here, and the terminal breaks long lines, so that paths can be copied.
        self._console.print(Text.assemble((mark, "bold yellow"), message), soft_wrap=True)

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Draw a bar with rate and time left; where there is no terminal, write a line every so often and at the end."""
        if self._console.is_terminal:
            return _Drawn(self._screen, self.notice, title, total=total, unit=unit)
        return _Lines(self.notice, title, total=total, unit=unit, every=self.every)


class _Screen:
    """The bars on a terminal: one drawing holds them all, however many there are at once and in whatever threads."""

    def __init__(self, console: "Console") -> None:
        self._console, self._lock, self._count = console, threading.Lock(), 0
        self._bars: Progress | None = None

    def add(self, title: str, *, total: int) -> "tuple[Progress, TaskID]":
        """Draw one more bar."""
        with self._lock:
            if self._bars is None:
                self._bars = self._begin()
            self._count += 1
            return self._bars, self._bars.add_task(title, total=total, rate="", note="")

    def remove(self, task: "TaskID") -> None:
        """Take a bar away."""
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
            # Rich writes what it redirects to this console: results belong there only where they go to a terminal too,
            # above the bar. In a pipe or a file they stay.
            redirect_stdout=sys.stdout.isatty(),
        )
        bars.start()
        return bars


class _Lines(Bar):
    """A line every so often, and one at the end."""

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


class _Drawn(Bar):
    """A bar on a terminal; at the end a line takes its place."""

    def __init__(self, screen: _Screen, write: Callable[[str], None], title: str, *, total: int, unit: str) -> None:
        super().__init__(title, total=total, unit=unit)
        self._screen, self._write = screen, write
        self._drawn: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        self._drawn = self._screen.add(self.title, total=self.total)
        return self

    def advance(self, steps: int = 1, *, note: str | None = None) -> None:
        super().advance(steps, note=note)
        if self._drawn is not None:
            bars, task = self._drawn
            bars.update(task, advance=steps, rate=self.rate_text, note=self.note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn is not None:
            self._screen.remove(self._drawn[1])
        if kind is None and self.total:
            self._write(self.summary())


class _Waiting(SilentReporter):
    """Keeps messages until the line of what was understood has been printed, so that it is the first one."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._kept: list[tuple[Callable[[str], None], str]] | None = []
        self._begun = False
        """Whether the line came."""

    @property
    def awaited(self) -> bool:
        """Whether the line is still to come, if behind the bar of a preparation, and anybody will see it."""
        return not self._begun and not isinstance(self._reporter, SilentReporter)

    def notice(self, message: str) -> None:
        self._say(self._reporter.notice, message)

    def warning(self, message: str) -> None:
        self._say(self._reporter.warning, message)

    def _say(self, tell: Callable[[str], None], message: str) -> None:
        if self._kept is None:
            tell(message)
        else:
            self._kept.append((tell, message))

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Long work is shown at once, and what was said before it."""
        self.release()
        return self._reporter.progress(title, total=total, unit=unit)

    def begin(self, message: str) -> None:
        """Say this first, then the rest."""
        self._begun = True
        self._reporter.notice(message)
        self.release()

    def release(self) -> None:
        """Say what was kept, and keep nothing any more."""
        kept, self._kept = self._kept or [], None
        for tell, message in kept:
            tell(message)


# The current one ------------------------------------------------------------------------------------------------------


class _Current:
    """The current reporter, and by which functions it had warnings that are printed once. One for a process (ADR 12)."""

    def __init__(self) -> None:
        self.reporter: Reporter = TerminalReporter()
        self.warned: dict[str, Callable[[str], None]] = {}


_CURRENT = _Current()


def set_reporter(reporter: Reporter) -> None:
    """Give everything to `reporter` from here on, in all threads of this process. At first it is a `TerminalReporter`."""
    _CURRENT.reporter, _CURRENT.warned = reporter, {}


@contextlib.contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Give everything to `reporter` within the block, in all threads of this process; after it to the one before."""
    before = _CURRENT.reporter, _CURRENT.warned
    set_reporter(reporter)
    try:
        yield
    finally:
        _CURRENT.reporter, _CURRENT.warned = before


def notice(message: str) -> None:
    """Tell of the expected course of work; of several processes the first one does."""
    if processes().first:
        _CURRENT.reporter.notice(message)


def understood(message: str) -> None:
    """As `notice`, of what the work was understood to be: videos, classes, device, time. Within `understood_first` it comes
    before what was said until then.
    """
    if not processes().first:
        return
    if isinstance(_CURRENT.reporter, _Waiting):
        _CURRENT.reporter.begin(message)
    else:
        _CURRENT.reporter.notice(message)


def first_line_awaited() -> bool:
    """Whether `understood` would print the first line of a command here, so that a short measurement for it is worth its
    time.
    """
    return processes().first and isinstance(_CURRENT.reporter, _Waiting) and _CURRENT.reporter.awaited


def say_what_waits() -> None:
    """Say at once what waits for the line of `understood`: this process will be waiting, and that is why."""
    if isinstance(_CURRENT.reporter, _Waiting):
        _CURRENT.reporter.release()


@contextlib.contextmanager
def understood_first() -> Iterator[None]:
    """Within the block messages wait for the line of `understood`, for a bar of long work, or for the block's end."""
    before = _CURRENT.reporter
    waiting = _CURRENT.reporter = _Waiting(before)
    try:
        yield
    finally:
        waiting.release()
        _CURRENT.reporter = before


def warning(message: str) -> None:
    """Tell of what was left out, guessed, replaced, is slow or broken, as this process met it."""
    _CURRENT.reporter.warning(message)


def warning_once(message: str) -> None:
    """As `warning`, where every process and every call would say the same: the first process does, once to a reporter."""
    if processes().first and message not in _CURRENT.warned:
        _CURRENT.warned[message] = warning_once
        warning(message)


def warning_of_file(message: str) -> None:
    """As `warning`, of a file that is opened again and again: each process that meets it says it once to a reporter.

    After some files it says once that there are more, and where they are listed.
    """
    said = sum(tell is warning_of_file for tell in _CURRENT.warned.values())
    if message in _CURRENT.warned or said > _FILES:
        return
    if said == _FILES:
        message = "more files are not read whole: `marey data audit` counts and lists all of them"
    _CURRENT.warned[message] = warning_of_file
    warning(message)


Message = tuple[Callable[[str], None], str]
"""What a process said, by which of the functions above."""


def say_again(messages: Iterable[Message], *, said: set[str]) -> None:
    """Say what worker processes said, each thing once: several meet what is true of the machine or of a file.

    `said` has what was said before, and is added to.
    """
    for tell, message in messages:
        if message not in said:
            said.add(message)
            tell(message)


def progress(title: str, *, total: int, unit: str = "steps") -> Bar:
    """Show how far `total` steps have come, with rate and time left; of several processes the first one does.

    with progress("Testing", total=504, unit="videos") as bar:
        bar.advance(1, note="top-1 81.2 %")
    """
    return (_CURRENT.reporter if processes().first else SilentReporter()).progress(title, total=total, unit=unit)
