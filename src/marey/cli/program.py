"""The `marey` program around its commands: standard streams that never fail for a letter, closed pipes, interruption."""

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
"""The exit code after Ctrl-C, as shells give it: 128 and the number of SIGINT."""
CLOSED_PIPE = 141
"""The exit code where the reader of a pipe has gone, as shells give it to other programs: 128 and the number of SIGPIPE."""
_ESCAPED = "marey.escaped"
"""The name under which Python knows `_escaped`."""
_WINDOWS = (
    "answers for windows of a long video come later. Until then a list of them works: a CSV file with the header "
    "path,start,end and a row of seconds for each window, then marey predict MODEL windows.csv"
)
_LATER = {
    "export": (
        'networks are not exported yet. A network is a torch module: torch.export.export(marey.load_model("FILE").network, '
        "(clip,)) and torch.onnx.export(..., dynamo=True) take it as it is"
    ),
    "explain": (
        "heat-maps of what a network looked at come later. Until then marey.load_model(...).network.trunk(clip) gives the "
        "maps for Grad-CAM"
    ),
    "serve": (
        "there is no server yet. In your own, call marey.load_model once and marey.predict(model, path) for each video"
    ),
    "bench": "there is no benchmark command yet. marey predict NAME VIDEO --untrained times the whole path on a network",
    "rerun": "runs are not repeated by name yet. marey train RUN/recipe.yaml --data LIST trains by the same recipe again",
}
"""Commands that will come, and what to do until then."""


_NO_VALUE = re.compile(r"--[\w-]+=\s*")


class Program(TyperGroup):
    """The group of all commands, which ends quietly where a pipe closes and says of some words what to do instead."""

    def main(self, *words: Any, **options: Any) -> Any:
        """Run a command and end the process with its exit code.

        What waits in standard output is written before Python ends, which could only complain of a pipe that closed or a
        disk that is full, with another exit code.
        """
        _prepare_streams()
        given = options.get("args") or (words[0] if words else None)
        options["obj"] = tuple(sys.argv[1:] if given is None else given)  # as typed, for `go_on_with`
        if not options.get("standalone_mode", True):  # for callers in Python, whose process goes on
            return super().main(*words, **options)
        code: Any = 0
        standard = _file_of(sys.stdout)
        try:
            super().main(*words, **options)
        except SystemExit as ending:
            code = ending.code
        except KeyboardInterrupt:
            code = INTERRUPTED
        except OSError as error:  # commands let none pass but with --debug, so that it is of the text of --help
            if "--debug" in (options.get("args") or sys.argv):
                raise
            code = 1
            print(f"marey: standard output: {error.strerror}", file=sys.stderr)
        replaced = _file_of(sys.stdout) != standard  # by Rich, where a pipe closed while it wrote --help
        lost = _written_out(sys.stdout), _written_out(sys.stderr)
        if replaced or any(map(is_closed_pipe, lost)):
            code = CLOSED_PIPE
        elif lost[0] is not None and not code:
            code = 1
            print(f"marey: standard output: {lost[0].strerror}", file=sys.stderr)
        # Python remembers an interruption of code that runs from a string, such as the import of a dataclass, and
        # `python -m marey` would end by SIGINT in place of this exit code. Running any string makes it forget.
        exec("")
        sys.exit(code)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names; of one that will come, what to do until then.

        An empty word is refused in every command: `Path` would take it for the working folder.

        Raises:
            BadParameter: there is one, or no such command.
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
    """Let standard output and error take every text: what their encoding lacks is escaped.

    A stream that is closed (`>&-`) takes everything and keeps nothing; a file that is opened later must not get its number.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - as long as the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    codecs.register_error(_ESCAPED, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written for a character that an encoding lacks, and where to go on.

    Bytes of a file's name that are no UTF-8 are written as they are where the encoding is UTF-8 or ASCII, so that the name
    can be used. Everything else is escaped as in a Python string.
    """
    if not isinstance(error, UnicodeEncodeError):  # a stream that is read as well, such as what a test captures
        return codecs.replace_errors(error)
    character, following = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff" and error.encoding in ("utf-8", "ascii"):
        return bytes([ord(character) - 0xDC00]), following
    one = UnicodeEncodeError(error.encoding, error.object, error.start, following, error.reason)
    return codecs.backslashreplace_errors(one)


def _file_of(stream: Any) -> tuple[int, int] | None:
    """What identifies the file, pipe or device behind a stream, if there is one."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def is_closed_pipe(error: Exception | None) -> bool:
    """Whether the reader of a pipe has gone. Windows calls that an invalid argument, without the name of a file."""
    if sys.platform == "win32" and isinstance(error, OSError) and error.filename is None:
        return error.errno in (errno.EPIPE, errno.EINVAL)
    return isinstance(error, BrokenPipeError)


def _written_out(stream: Any) -> OSError | None:
    """Write out what waits in a stream. Where that fails, what is left goes nowhere, and the reason is returned."""
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error
    return None
