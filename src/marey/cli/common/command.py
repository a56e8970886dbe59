"""How a function becomes a command: groups of options, options that every command has, errors in one line, exit codes."""

import codecs
import contextlib
import functools
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from marey.base.claim import OutputPath
from marey.base.errors import MareyError
from marey.base.jsonable import json_text
from marey.base.processes import processes
from marey.base.shell import typed_command
from marey.cli.common.interrupted import Interrupted
from marey.cli.common.program import CLOSED_PIPE, INTERRUPTED, is_closed_pipe

_DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
)
_QUIET = inspect.Parameter(
    "quiet",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool, typer.Option("--quiet", help="Print results alone: no progress, notices or warnings; errors are printed.")
    ],
)
_OFFLINE = inspect.Parameter(
    "offline",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option("--offline", help="Never use the network; name the file that is missing. As MAREY_OFFLINE=1."),
    ],
)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function as the command `name` of `app`: the program, or a group such as `data`.

    Each parameter of the function is an argument or option. A parameter whose annotation is a dataclass is a group of
    options: each field is an option, and the function gets an instance.

    A MareyError becomes one line on standard error and exit code 1; so does an error of the operating system, such as a full
    disk. `--debug` shows the traceback instead. Ctrl-C and a closed pipe end a command without a traceback. With `--quiet`
    nothing but errors is written to standard error. With `--offline` neither the command nor its worker processes use the
    network.
    """
    full_name = f"marey {name}" if app.info.name == "marey" else f"marey {app.info.name} {name}"

    def register(function: Callable[..., None]) -> Callable[..., None]:
        declared = inspect.signature(function).parameters.values()
        groups = {parameter.name: parameter.annotation for parameter in declared if _is_group(parameter.annotation)}

        @functools.wraps(function)
        def run(*, debug: bool, quiet: bool, offline: bool, **options: Any) -> None:
            for parameter, group in groups.items():
                names = inspect.signature(group).parameters
                options[parameter] = group(**{option: options.pop(option) for option in names})
            try:
                with (
                    _silent() if quiet else contextlib.nullcontext(),
                    _offline() if offline else contextlib.nullcontext(),
                ):
                    function(**options)
                    sys.stdout.flush()
            except KeyboardInterrupt as stop:
                if debug:
                    raise
                if processes().first:
                    kept = f"; {stop.kept}" if isinstance(stop, Interrupted) else "."
                    print(f"{full_name}: interrupted{kept}", file=sys.stderr)
                raise typer.Exit(INTERRUPTED) from None
            except (MareyError, OSError, UnicodeEncodeError) as error:
                if is_closed_pipe(error):
                    raise typer.Exit(CLOSED_PIPE) from None
                may_be_path = sys.getfilesystemencoding() != "utf-8"
                if debug or (isinstance(error, UnicodeEncodeError) and not may_be_path):
                    raise
                print(f"{full_name}: {' '.join(_message(error).split())}", file=sys.stderr)
                raise typer.Exit(1) from None

        parameters = [*_ungrouped(declared), _OFFLINE, _QUIET, _DEBUG]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name)(run)
        return function

    return register


def _ungrouped(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """The parameters with each group replaced by its fields, all by keyword, as Typer calls a command."""
    for parameter in parameters:
        is_group = _is_group(parameter.annotation)
        several = inspect.signature(parameter.annotation).parameters.values() if is_group else [parameter]
        yield from (one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in several)


def _is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and is_dataclass(annotation)


def _message(error: MareyError | OSError | UnicodeEncodeError) -> str:
    """The message of an error; for one of the operating system, the file and the reason."""
    if isinstance(error, MareyError):
        return str(error)
    if isinstance(error, UnicodeEncodeError):  # a path that this system's locale cannot encode
        return f"{error.object!r} is no path in this locale ({error.encoding}): set LC_ALL=C.UTF-8 or PYTHONUTF8=1."
    names = " or ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names}: {error.strerror}" if names else error.strerror or str(error)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within the block: no message of Marey's, and no warning of Python's `warnings` module unless `python -W` or
    PYTHONWARNINGS sets how warnings are treated.
    """
    from marey.base.reporter import SilentReporter, reporting

    with reporting(SilentReporter()), warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Set MAREY_OFFLINE=1 in the environment, which worker processes inherit; afterwards restore the earlier value."""
    before = os.environ.get("MAREY_OFFLINE")
    os.environ["MAREY_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MAREY_OFFLINE"]
        else:
            os.environ["MAREY_OFFLINE"] = before


def print_version(wanted: bool) -> None:
    """The callback of `marey --version`: print the versions of Marey and of its dependencies, and exit."""
    if not wanted:
        return
    from marey.base.versions import installation

    try:
        print("\n".join(f"{name} {version}" for name, version in installation().items()), flush=True)
    except BrokenPipeError:
        raise typer.Exit(CLOSED_PIPE) from None
    raise typer.Exit


def json_document(value: Any) -> str:
    """One JSON document for standard output; where its encoding is not UTF-8, all characters are ASCII."""
    text = json_text(value, indent=2)
    is_utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    return text if is_utf8 else json.dumps(json.loads(text), indent=2)


def resume_command(context: typer.Context, out: Path, *more: str) -> str:
    """The command line that resumes this command, to be copied: what was typed, the options `more`, and --out."""
    return typed_command(*more, "--out", out, given=context.obj)


def check_folder(folder: Path, *inputs: str | Path | None, writes: Iterable[str] = (), named: bool = True) -> None:
    """Check, before a network is built, that the command can use its output folder: it can be written, is none of the
    folders that are read, and no other process works in it.

    Args:
        inputs: Files and folders that the command reads; None is ignored.
        writes: Names of files that will be written into the folder: an input of that name would be overwritten.
        named: Whether the user named the folder; False: the command chose it.

    Raises:
        RunError: the folder cannot be used.
    """
    read = [path for path in inputs if path is not None]
    output = OutputPath.folder(folder)
    if not named:
        output = replace(output, advice="results go there unless another folder is named: --out FOLDER")
    output.refuse_inputs(read)
    for name in writes:
        OutputPath.file(folder / name).refuse_inputs(read)
    output.check(share=processes().rank if processes().world > 1 else None)
