"""What can go wrong in a way that a user can mend. One clear line each: the name or value, the rule, the way out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marey.base.address import Address, shown_in

_PARAMETERS = {
    "--set": 'settings=["KEY=VALUE"]',
    **{
        f"--{name.replace('_', '-')}": f"{name}="
        for name in (
            "backend", "batch", "classes", "device", "epochs", "init", "labels", "lr", "max_broken", "only", "out",
            "per_clip", "precision", "resume", "root", "seed", "split", "trust_first_use", "val", "weights", "workers",
        )
    },
}  # fmt: skip
"""The options of commands that are parameters of the functions of the same names."""


class MareyError(Exception):
    """The parent of every error that Marey raises on purpose. The command line prints it as one line, exit code 1.

    Whatever a message quotes of a list or a command, it has no login and no signature of an address.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(shown_in(message))


@contextmanager
def in_python_words() -> Iterator[None]:
    """Around a function that a command calls, too: where a message names an option of the command, a note, which shows
    behind a traceback, names the parameter of the function. A message that does so itself has no note.
    """
    try:
        yield
    except MareyError as error:
        options = dict.fromkeys(re.findall(r"(?<![^\s(])--[a-z-]*[a-z]", str(error)))
        named = [f"{option} is {_PARAMETERS[option]}" for option in options if option in _PARAMETERS]
        note = f"In Python {', '.join(named)}"
        if named and "in Python)" not in str(error) and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


class DecodeError(MareyError):
    """A video cannot be read, or not at the place that was asked for.

    `path` names the file; `reason` says what FFmpeg or the scan met ("frame 28 of 50: Invalid data ...").
    """

    def __init__(self, path: str | Path | Address, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type["DecodeError"], tuple[str, str]]:
        """Exceptions travel between loader processes by pickle, which would call the class with one argument."""
        return type(self), (self.path, self.reason)


class DataError(MareyError):
    """A manifest, list, folder or label breaks a rule of its format."""


class RecipeError(MareyError):
    """A recipe, a name or a `--set` value is wrong."""


class WeightsError(MareyError):
    """A checkpoint cannot be read, or does not fit the network."""


class RunError(MareyError):
    """A run folder or a run's state forbids what was asked for (another run lives there, too many broken files)."""


class StoppedError(RunError):
    """A signal asked a run to stop, and all of it is saved; `interrupted` says whether it was Ctrl-C."""

    def __init__(self, message: str, *, interrupted: bool) -> None:
        super().__init__(message)
        self.interrupted = interrupted
