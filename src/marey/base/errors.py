"""Errors that a user can correct. Each message is one line: the name or value, the rule, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marey.base.address import Address, redacted_text

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
"""Options of commands, with the parameters of the Python functions that they stand for."""


class MareyError(Exception):
    """The base class of every error that Marey raises on purpose. The command line prints it in one line, with exit code 1.

    Addresses in a message lose their logins and signatures.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted_text(message))


@contextmanager
def in_python_words() -> Iterator[None]:
    """Add the names of Python's parameters to errors that name options of a command.

    This decorates functions that both commands and users of Python call. The names are a note of the exception, printed
    after its traceback. A message that names the parameter itself gets no note.
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
    """A video, or a requested frame of it, cannot be read.

    `path` names the file. `reason` states what FFmpeg or Marey's reader reported ("frame 28 of 50: Invalid data ...").
    """

    def __init__(self, path: str | Path | Address, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type["DecodeError"], tuple[str, str]]:
        """Pickle with both arguments, since loader processes send errors; by default an exception is pickled with its
        message.
        """
        return type(self), (self.path, self.reason)


class DataError(MareyError):
    """A manifest, list, folder or label breaks a rule of its format."""


class RecipeError(MareyError):
    """A recipe, a name or a `--set` value is wrong."""


class WeightsError(MareyError):
    """A checkpoint cannot be read, or does not fit the network."""


class RunError(MareyError):
    """A run folder or a run's state does not permit the request (the folder holds another run; too many broken files)."""


class StoppedError(RunError):
    """A signal stopped a run after it had saved everything. `interrupted` is true for Ctrl-C."""

    def __init__(self, message: str, *, interrupted: bool) -> None:
        super().__init__(message)
        self.interrupted = interrupted
