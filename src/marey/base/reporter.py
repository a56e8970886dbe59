"""Notices, warnings and progress: all go through one reporter, which can be replaced.

    marey.set_reporter(marey.LoggingReporter())      from here on
    with marey.reporting(marey.SilentReporter()):    within the block
        marey.predict(model, "kick.mp4")

Inside Marey, `notice`, `warning`, `warning_once`, `warning_of_file` and `progress` call the current reporter. A notice is
about the expected course of work: what was chosen, how far it is, where files are written. A warning is about something that
changes a result or its duration unexpectedly: something was left out, assumed, replaced, is slow or broken. Errors are
exceptions and do not pass through a reporter.

With several processes (torchrun), rank 0 prints notices and progress for all. Every process prints its own warnings, which
are about its own files and connections. A warning that all processes would print is a `warning_once`; one about a file
that is opened in every epoch is a `warning_of_file`.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from marey.base.bars import Bar, LineBar, Screen, TerminalBar
from marey.base.processes import processes

if TYPE_CHECKING:
    from rich.console import Console

_LINE_EVERY = 15.0
"""Seconds between two lines of progress where no bar can be drawn."""

_MOST_FILES = 20
"""Most files with a `warning_of_file` each; more would hide all other messages."""


class Reporter(Protocol):
    """Interface that receives notices, warnings and progress. To write one, extend `SilentReporter`."""

    def notice(self, message: str) -> None:
        """Handle a message about the expected course of work."""

    def warning(self, message: str) -> None:
        """Handle a message about something that was left out, assumed, replaced, is slow or broken."""

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Return a progress bar over `total` steps, which is shown once its `with` block is entered."""
        ...


class SilentReporter:
    """Ignores all messages and shows no progress."""

    def notice(self, message: str) -> None:
        """Ignore the message."""

    def warning(self, message: str) -> None:
        """Ignore the message."""

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Return a bar that only counts."""
        return Bar(title, total=total, unit=unit)


class CollectingReporter(SilentReporter):
    """Collects notices and warnings, which another process can then report with `report_collected`."""

    def __init__(self) -> None:
        self._collected: list[Message] = []

    def notice(self, message: str) -> None:
        """Collect the message."""
        self._collected.append((notice, message))

    def warning(self, message: str) -> None:
        """Collect the message, with the function that it was passed to."""
        self._collected.append((_CURRENT.warned.get(message, warning), message))

    def take(self) -> "list[Message]":
        """Return the messages since the last call, which can be pickled."""
        taken, self._collected = self._collected, []
        return taken


class LoggingReporter:
    """Passes everything to the standard library's `logging`: notices and lines of progress as INFO, warnings as WARNING.

    Args:
        logger: The logger that receives the messages; None: the logger "marey".
        every: Seconds between two lines of progress. One more line is logged at the end.
    """

    def __init__(self, logger: logging.Logger | None = None, *, every: float = _LINE_EVERY) -> None:
        self.logger = logging.getLogger("marey") if logger is None else logger
        self.every = every

    def notice(self, message: str) -> None:
        """Log as INFO, without the blank lines that separate messages on a terminal."""
        self.logger.info("%s", message.strip())

    def warning(self, message: str) -> None:
        """Log as WARNING."""
        self.logger.warning("%s", message.strip())

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Log progress as INFO, every `every` seconds and at the end."""
        return LineBar(self.notice, title, total=total, unit=unit, every=self.every)


class TerminalReporter:
    """Writes to standard error: on a terminal with progress bars and coloured warnings, elsewhere in plain lines.

    Args:
        console: Rich console to write to; None: standard error.
        every: Seconds between two lines of progress when there is no terminal.
    """

    def __init__(self, console: "Console | None" = None, *, every: float = _LINE_EVERY) -> None:
        self._given, self.every = console, every

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return self._given or Console(stderr=True)

    @cached_property
    def _screen(self) -> Screen:
        return Screen(self._console)

    def notice(self, message: str) -> None:
        """Write a line, above the progress bars if there are any."""
        self._write(message)

    def warning(self, message: str) -> None:
        """Write a line; on a terminal, with a coloured "warning:" in front."""
        self._write(message, mark="warning: ")

    def _write(self, message: str, mark: str = "") -> None:
        if not self._console.is_terminal:
            print(message, file=self._console.file, flush=True)
            return
        from rich.text import Text

        # Without markup, since messages may contain brackets; the terminal breaks long lines, so that paths can be copied.
        self._console.print(Text.assemble((mark, "bold yellow"), message), soft_wrap=True)

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Draw a bar with rate and time left; without a terminal, write a line every `every` seconds and at the end."""
        if self._console.is_terminal:
            return TerminalBar(self._screen, self.notice, title, total=total, unit=unit)
        return LineBar(self.notice, title, total=total, unit=unit, every=self.every)


class _SummaryFirst(SilentReporter):
    """Delays messages until the work summary has been printed, so that the summary comes first."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._delayed: list[tuple[Callable[[str], None], str]] | None = []
        """Messages with the functions that print them; None: messages are no longer delayed."""
        self._summarised = False

    @property
    def pending(self) -> bool:
        """Whether the summary has yet to be printed, to a reporter that is no `SilentReporter` or subclass of it."""
        return not self._summarised and not isinstance(self._reporter, SilentReporter)

    def notice(self, message: str) -> None:
        self._print_or_delay(self._reporter.notice, message)

    def warning(self, message: str) -> None:
        self._print_or_delay(self._reporter.warning, message)

    def _print_or_delay(self, function: Callable[[str], None], message: str) -> None:
        if self._delayed is None:
            function(message)
        else:
            self._delayed.append((function, message))

    def progress(self, title: str, *, total: int, unit: str) -> Bar:
        """Print the delayed messages, and show the bar at once."""
        self.release()
        return self._reporter.progress(title, total=total, unit=unit)

    def summarise(self, message: str) -> None:
        """Print the summary, then the delayed messages."""
        self._summarised = True
        self._reporter.notice(message)
        self.release()

    def release(self) -> None:
        """Print the delayed messages, and delay none from now on."""
        delayed, self._delayed = self._delayed or [], None
        for function, message in delayed:
            function(message)


# The current reporter ------------------------------------------------------------------------------------------------------


class _Current:
    """The current reporter, and its warnings that are printed once. There is one per process
    (docs/decisions/0012-reporter.md).
    """

    def __init__(self) -> None:
        self.reporter: Reporter = TerminalReporter()
        self.warned: dict[str, Callable[[str], None]] = {}
        """Warnings that are not repeated, each with the function that it was passed to."""


_CURRENT = _Current()


def set_reporter(reporter: Reporter) -> None:
    """Make `reporter` the current one in all threads of this process. The default is a `TerminalReporter`."""
    _CURRENT.reporter, _CURRENT.warned = reporter, {}


@contextlib.contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Make `reporter` the current one within the block, in all threads of this process."""
    before = _CURRENT.reporter, _CURRENT.warned
    set_reporter(reporter)
    try:
        yield
    finally:
        _CURRENT.reporter, _CURRENT.warned = before


def notice(message: str) -> None:
    """Report something about the expected course of work; of several processes, only rank 0 reports it."""
    if processes().first:
        _CURRENT.reporter.notice(message)


def work_summary(message: str) -> None:
    """Print what the work is: videos, classes, device, expected time. Within `work_summary_first` it is printed before the
    messages that came earlier.
    """
    if not processes().first:
        return
    if isinstance(_CURRENT.reporter, _SummaryFirst):
        _CURRENT.reporter.summarise(message)
    else:
        _CURRENT.reporter.notice(message)


def work_summary_pending() -> bool:
    """Whether the work summary is still to be printed and will be seen, so that measuring the speed for it is
    worthwhile.
    """
    return processes().first and isinstance(_CURRENT.reporter, _SummaryFirst) and _CURRENT.reporter.pending


def release_waiting_messages() -> None:
    """Print the messages that are delayed until `work_summary` now, because this process is about to wait."""
    if isinstance(_CURRENT.reporter, _SummaryFirst):
        _CURRENT.reporter.release()


@contextlib.contextmanager
def work_summary_first() -> Iterator[None]:
    """Delay messages within the block until `work_summary`, the first progress bar or the end of the block."""
    before = _CURRENT.reporter
    delaying = _CURRENT.reporter = _SummaryFirst(before)
    try:
        yield
    finally:
        delaying.release()
        _CURRENT.reporter = before


def warning(message: str) -> None:
    """Report something that was left out, assumed, replaced, is slow or broken, in any process."""
    _CURRENT.reporter.warning(message)


def warning_once(message: str) -> None:
    """As `warning`, for what every process and every call would report: only rank 0 reports it, once per reporter."""
    if processes().first and message not in _CURRENT.warned:
        _CURRENT.warned[message] = warning_once
        warning(message)


def warning_of_file(message: str) -> None:
    """As `warning`, about a file that is opened repeatedly: each process reports it once per reporter.

    After 20 files one last message refers to a list of all of them.
    """
    count = sum(function is warning_of_file for function in _CURRENT.warned.values())
    if message in _CURRENT.warned or count > _MOST_FILES:
        return
    if count == _MOST_FILES:
        message = "more files are not read whole: `marey data audit` counts and lists all of them"
    _CURRENT.warned[message] = warning_of_file
    warning(message)


Message = tuple[Callable[[str], None], str]
"""A message, and the function above that it was passed to."""


def report_collected(messages: Iterable[Message], *, reported: set[str]) -> None:
    """Report messages of worker processes, equal ones once: several workers may report the same machine or file.

    `reported` holds the messages that were reported before; new ones are added to it.
    """
    for function, message in messages:
        if message not in reported:
            reported.add(message)
            function(message)


def progress(title: str, *, total: int, unit: str = "steps") -> Bar:
    """A progress bar over `total` steps, with rate and time left; with several processes, rank 0 shows it.

    with progress("Testing", total=504, unit="videos") as bar:
        bar.advance(1, note="top-1 81.2 %")
    """
    return (_CURRENT.reporter if processes().first else SilentReporter()).progress(title, total=total, unit=unit)
