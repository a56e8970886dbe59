"""The `marey` program around its commands: standard streams that accept every character, closed pipes, exit codes."""

import codecs
import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

INTERRUPTED = 130
"""The exit code after Ctrl-C, as in shells: 128 plus the number of SIGINT."""
CLOSED_PIPE = 141
"""The exit code when the reader of a pipe has closed it, as shells report it: 128 plus the number of SIGPIPE."""
_ESCAPED = "marey.escaped"
"""The name under which `_escaped` is registered as an error handler of encodings."""
_WINDOWS = (
    "predictions for windows of a long video come later. Until then a list of them works: a CSV file with the header "
    "path,start,end and a row of seconds for each window, then marey predict MODEL windows.csv"
)
_LATER = {
    "export": (
        'networks are not exported yet. A network is a torch module: torch.export.export(marey.load_model("FILE").network, '
        "(clip,)) and torch.onnx.export(..., dynamo=True) take it as it is"
    ),
    "explain": (
        "heat maps such as Grad-CAM come later. Until then marey.load_model(...).network.trunk(clip) gives the feature maps "
        "for them"
    ),
    "serve": (
        "there is no server yet. In your own, call marey.load_model once and marey.predict(model, path) for each video"
    ),
    "bench": "there is no benchmark command yet. marey predict NAME VIDEO --untrained times the whole path on a network",
    "rerun": "runs are not repeated by name yet. marey train RUN/recipe.yaml --data LIST trains by the same recipe again",
}
"""Planned commands, and what to do until they exist."""


_NO_VALUE = re.compile(r"--[\w-]+=\s*")


class Program(TyperGroup):
    """The group of all commands. It ends quietly when a pipe closes, and explains planned commands."""

    def main(self, *words: Any, **options: Any) -> Any:
        """Run a command and end the process with its exit code.

        Standard output is flushed here: if Python flushed it at exit, a closed pipe or a full disk would lead to a traceback
        and another exit code.
        """
        _prepare_streams()
        given = options.get("args") or (words[0] if words else None)
        options["obj"] = tuple(sys.argv[1:] if given is None else given)  # as typed, for `resume_command`
        if not options.get("standalone_mode", True):  # for callers in Python: the process must not end
            return super().main(*words, **options)
        code: Any = 0
        standard = _file_of(sys.stdout)
        try:
            super().main(*words, **options)
        except SystemExit as ending:
            code = ending.code
        except KeyboardInterrupt:
            code = INTERRUPTED
        except OSError as error:  # commands handle their own, so it comes from printing --help
            if "--debug" in (options.get("args") or sys.argv):
                raise
            code = 1
            print(f"marey: standard output: {error.strerror}", file=sys.stderr)
        replaced = _file_of(sys.stdout) != standard  # Rich does that when a pipe closes while it writes --help
        errors = _flush(sys.stdout), _flush(sys.stderr)
        if replaced or any(map(is_closed_pipe, errors)):
            code = CLOSED_PIPE
        elif errors[0] is not None and not code:
            code = 1
            print(f"marey: standard output: {errors[0].strerror}", file=sys.stderr)
        # Python records that code run from a string (as in the definition of a dataclass) was interrupted, and
        # `python -m marey` would then end by SIGINT instead of this exit code. Running any string resets that record.
        exec("")
        sys.exit(code)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names; for a planned one, print what to do until it exists and exit with 2.

        An empty word is refused in every command, because `Path("")` is the working folder.

        Raises:
            BadParameter: a word is empty, or there is no such command.
        """
        empty = next((word for word in args if not word.strip() or _NO_VALUE.fullmatch(word)), None)
        if empty is not None:
            what = empty if empty.strip() else f"argument {args.index(empty) + 1}"
            raise typer.BadParameter(f"{what} is empty: is it a variable of the shell that has no value?")
        name = args[0]
        later = _WINDOWS if name == "predict" and _names_windows(args[1:]) else _LATER.get(name)
        if later is not None and (name == "predict" or name not in self.commands):
            print(f"marey {name}: {later}.", file=sys.stderr)
            raise typer.Exit(2)
        return super().resolve_command(ctx, args)


def _names_windows(words: Sequence[str]) -> bool:
    return any(word.partition("=")[0] in ("--window", "--windows", "--sliding-window") for word in words)


def _prepare_streams() -> None:
    """Make standard output and error accept every text: characters that their encoding lacks are escaped.

    A stream that the shell closed (`>&-`) is replaced by the null device, so that no file opened later gets its number.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open until the process ends
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """The replacement for a character that an encoding lacks, and the position after it.

    Bytes of a file's name that are not UTF-8 are written unchanged where the encoding is UTF-8 or ASCII, so that the name
    can be used. Other characters are escaped as in a Python string.
    """
    if not isinstance(error, UnicodeEncodeError):  # a stream that is also read, such as one that a test captures
        return codecs.replace_errors(error)
    character, following = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff" and error.encoding in ("utf-8", "ascii"):
        return bytes([ord(character) - 0xDC00]), following
    one = UnicodeEncodeError(error.encoding, error.object, error.start, following, error.reason)
    return codecs.backslashreplace_errors(one)


def _file_of(stream: Any) -> tuple[int, int] | None:
    """Device and inode of the file, pipe or device behind a stream; None if there is none."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def is_closed_pipe(error: Exception | None) -> bool:
    """Whether the error means that the reader of a pipe has closed it. Windows reports that as an invalid argument without
    the name of a file.
    """
    if sys.platform == "win32" and isinstance(error, OSError) and error.filename is None:
        return error.errno in (errno.EPIPE, errno.EINVAL)
    return isinstance(error, BrokenPipeError)


def _flush(stream: Any) -> OSError | None:
    """Flush a stream. If that fails, its remaining content is discarded and the error is returned."""
    try:
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        return error
    return None
