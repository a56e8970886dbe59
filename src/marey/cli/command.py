"""What all commands share: errors in one line, exit codes, common options."""

import codecs
import contextlib
import functools
import inspect
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from marey.backends.compute import BackendName
from marey.base.claim import OutputPath
from marey.base.errors import MareyError
from marey.base.jsonable import json_text
from marey.base.precision import Precision
from marey.base.processes import MOST_DECODING, processes
from marey.base.shell import typed_line
from marey.cli.interrupted import Interrupted
from marey.cli.program import CLOSED_PIPE, INTERRUPTED, is_closed_pipe

Device = Annotated[
    str, typer.Option("--device", help="auto (CUDA where there is one, else the CPU), cpu, cuda, cuda:1, mps, xpu.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        help=f"Processes that decode ahead; 0 decodes in this one (default: one per core, at most {MOST_DECODING}).",
    ),
]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Views in one forward pass.")]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="Arithmetic of the network: auto is the recipe's in training, float32 elsewhere."),
]
BackendOption = Annotated[
    BackendName,
    typer.Option("--backend", help="What runs the network; auto measures which is fastest, if the work is long."),
]


def output_path(text: str) -> str:
    """What --out was given: refused where it names nothing, or standard output, which answers and lists have by themselves.

    Raises:
        BadParameter: it is one of these.
    """
    if not text.strip():
        raise typer.BadParameter("it is empty: name a file or a folder.")
    if text == "-":
        raise typer.BadParameter("- is no file: name one, or leave out --out where the command prints its results.")
    return text


def output_file(text: str) -> Path:
    """As `output_path`, for commands to which a "/" at the end says nothing."""
    return Path(output_path(text))


Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="PATH", parser=output_file, help="Output folder (default: runs/<name>-<n>)."),
]
ResultsOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="PATH",
        parser=output_file,
        help="Output folder (default: <command>-<split or list>-<n> inside the run whose checkpoint is given, else "
        "runs/<name>-<command>-<n>).",
    ),
]
NameOrFile = Annotated[
    str, typer.Argument(help="A recipe's name, or a checkpoint: the folder that training left, or a file.")
]
Fuse = Annotated[str | None, typer.Option("--fuse", help="A second model for the same videos; the logits are added.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Random weights: to try the path or time it.")]
WeightsFile = Annotated[
    str | None, typer.Option("--weights", help="A checkpoint, ours or an older toolkit's: a file or an address.")
]
FuseWeights = Annotated[str | None, typer.Option("--fuse-weights", help="The second model's checkpoint.")]
ModelClasses = Annotated[
    Path | None,
    typer.Option("--classes", help="A file of class names, one a line, for a checkpoint that does not name its own."),
]
Root = Annotated[Path | None, typer.Option("--root", help="Folder, or address, that the list's paths are relative to.")]
Classes = Annotated[
    Path | None, typer.Option("--classes", help="File of class names in order, for a list that labels by number.")
]
MaxBroken = Annotated[
    float | None,
    typer.Option(
        "--max-broken",
        min=0,
        max=1,
        help="Share of unreadable videos that is tolerated (default: 0.01, or 3 files if that is more).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output, nothing else.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe.")]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="How many epochs: --set train.epochs=N in short.")]
LearningRate = Annotated[
    float | None,
    typer.Option("--lr", help="Learning rate of --set train.base_batch: --set train.optimizer.lr=X in short."),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[WORD]...", help="Only rows with all these words: in name, title, publisher, pretraining."),
]
OnlyNetwork = Annotated[str | None, typer.Option("--network", help="Only this network: slowonly, r2plus1d, csn.")]
OnlyDataset = Annotated[str | None, typer.Option("--dataset", help="Only this data set: kinetics400, ucf101.")]
OnlyAvailable = Annotated[bool, typer.Option("--available", help="Only rows whose weights one can get.")]
TrustFirstUse = Annotated[
    bool,
    typer.Option("--trust-first-use", help="Fetch weights of which no hash was published, too; record what came."),
]

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
    """Register a function as a command of `app`, which has the group's name, or that of the program.

    A MareyError becomes one line on standard error and exit code 1; so does an error of the operating system, such as a full
    disk. `--debug` shows where it came from. Ctrl-C and a pipe that closes end a command without a traceback, too. With
    `--quiet` nothing else comes on standard error. With `--offline` neither the command nor its worker processes use the
    network.
    """
    whole = f"marey {name}" if app.info.name == "marey" else f"marey {app.info.name} {name}"

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*, debug: bool, quiet: bool, offline: bool, **options: Any) -> None:
            try:
                with (
                    _nothing_said() if quiet else contextlib.nullcontext(),
                    _without_network() if offline else contextlib.nullcontext(),
                ):
                    function(**options)
                    sys.stdout.flush()
            except KeyboardInterrupt as stop:
                if debug:
                    raise
                if processes().first:
                    kept = f"; {stop.kept}" if isinstance(stop, Interrupted) else "."
                    print(f"{whole}: interrupted{kept}", file=sys.stderr)
                raise typer.Exit(INTERRUPTED) from None
            except (MareyError, OSError, UnicodeEncodeError) as error:
                if is_closed_pipe(error):
                    raise typer.Exit(CLOSED_PIPE) from None
                of_a_path = sys.getfilesystemencoding() != "utf-8"
                if debug or (isinstance(error, UnicodeEncodeError) and not of_a_path):
                    raise
                print(f"{whole}: {' '.join(_line(error).split())}", file=sys.stderr)
                raise typer.Exit(1) from None

        signature = inspect.signature(function)
        common = (_OFFLINE, _QUIET, _DEBUG)
        run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *common])  # type: ignore[attr-defined]
        run.__annotations__ = function.__annotations__ | {option.name: option.annotation for option in common}
        app.command(name)(run)
        return function

    return register


def print_version(asked: bool) -> None:
    """What `marey --version` does: print the versions of Marey and of what it needs, and end."""
    if not asked:
        return
    from marey.base.versions import installation

    try:
        print("\n".join(f"{name} {version}" for name, version in installation().items()), flush=True)
    except BrokenPipeError:
        raise typer.Exit(CLOSED_PIPE) from None
    raise typer.Exit


def _line(error: MareyError | OSError | UnicodeEncodeError) -> str:
    """An error in a line: what the operating system says of which file."""
    if isinstance(error, MareyError):
        return str(error)
    if isinstance(error, UnicodeEncodeError):  # a path that this system's locale cannot name
        return f"{error.object!r} is no path in this locale ({error.encoding}): set LC_ALL=C.UTF-8 or PYTHONUTF8=1."
    names = " or ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names}: {error.strerror}" if names else error.strerror or str(error)


def json_document(value: Any) -> str:
    """One JSON document for standard output, valid whatever that one's encoding: where it is not UTF-8, all in ASCII."""
    text = json_text(value, indent=2)
    is_utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    return text if is_utf8 else json.dumps(json.loads(text), indent=2)


@contextlib.contextmanager
def _nothing_said() -> Iterator[None]:
    """No word from Marey, and none by Python's `warnings` from the libraries below it, unless `python -W` or
    PYTHONWARNINGS sets how those are treated.
    """
    from marey.base.reporter import SilentReporter, reporting

    with reporting(SilentReporter()), warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _without_network() -> Iterator[None]:
    """MAREY_OFFLINE=1 in the environment, which worker processes inherit; afterwards what was there before."""
    before = os.environ.get("MAREY_OFFLINE")
    os.environ["MAREY_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["MAREY_OFFLINE"]
        else:
            os.environ["MAREY_OFFLINE"] = before


def trusted(names: Sequence[str], given: bool) -> bool:
    """Whether weights of which no hash was published may be fetched: `--trust-first-use` was given, or the user says yes.

    The question is asked on a terminal alone, of a single process, and only where one of `names` needs it: names of
    recipes, rows of two streams or starts, or addresses; other words (files, "none") need none.
    """
    if given or processes().world > 1 or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return given
    from marey.weights.fetching.obtain import without_hash
    from marey.weights.fetching.sizes import size_text

    sources = without_hash(names)
    if not sources:
        return False
    print("No hash was published of:", file=sys.stderr)
    for source in sources:
        print(f"  {source.address} (by {source.by}, {size_text(source)}, licence {source.licence})", file=sys.stderr)
    print(
        "So nothing can show whether what comes is what its authors trained. No code in it is run, and its SHA-256 is "
        "recorded, so that a later change is refused. --trust-first-use says yes beforehand.",
        file=sys.stderr,
    )
    return typer.confirm("Fetch and trust it from now on?", err=True)


def go_on_with(context: typer.Context, out: Path, *more: str) -> str:
    """The command line that was typed, with `more` options and the folder in which to go on, to be copied."""
    return typed_line(*more, "--out", out, given=context.obj)


def check_folder(folder: Path, *inputs: str | Path | None, writes: Iterable[str] = (), named: bool = True) -> None:
    """See before any network is built that a folder can be written, is none of the folders that the command reads, and that
    no other process works there. `writes` are names of files in it that would take the place of an input of that name.
    `named`: whether the user named it, and it was not chosen here.

    Raises:
        RunError: it cannot be used.
    """
    read = [path for path in inputs if path is not None]
    place = OutputPath.folder(folder)
    if not named:
        place = replace(place, way_out="results go there unless another folder is named: --out FOLDER")
    place.refuse_inputs(read)
    for name in writes:
        OutputPath.file(folder / name).refuse_inputs(read)
    place.check(share=processes().rank if processes().world > 1 else None)
