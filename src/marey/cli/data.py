"""`marey data ...`: lists of videos, and the files behind them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marey.base.errors import MareyError, RunError
from marey.base.processes import usable_cores
from marey.base.reporter import notice, understood, warning
from marey.base.shell import marey_line, next_steps, typed_line
from marey.base.words import counted, verb
from marey.cli.command import AsJson, Classes, Root, Seed, check_folder, command, json_document, output_file
from marey.cli.findings import print_audit, print_preparation
from marey.cli.interrupted import going_on, kept_files, long_command

if TYPE_CHECKING:
    from marey.data.convert import Conversion
    from marey.data.lists.manifest import Manifest

data = typer.Typer(
    name="data", help="Make, check, split and convert sets of videos; compute their flow.", no_args_is_help=True
)

List = Annotated[Path, typer.Argument(help="A list, or a folder per class.")]
OutFolder = Annotated[
    Path,
    typer.Option(
        "--out", metavar="PATH", parser=output_file, help="The folder to write, with its list; a second call goes on."
    ),
]
_LOOKED_AT = "what was looked at so far is kept"
Processes = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Processes at work; 0 is this one alone (default: one per core)."),
]


@command(data, "list")
def list_videos(
    folder: Annotated[Path, typer.Argument(help="A folder with one folder of videos per class.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="PATH", parser=output_file, help="The list to write, a .csv (default: FOLDER.csv)."
        ),
    ] = None,
    classes: Classes = None,
) -> None:
    """Write a list (path, label) of a folder per class; with a split column, if it is divided into train, val and test."""
    from marey.data.lists.folders import list_folder
    from marey.data.splits.sides import split_counts

    path = out or folder.resolve().parent / f"{folder.resolve().name}.csv"
    _check_list(path, classes)
    manifest = list_folder(folder, classes=classes)
    manifest.write_csv(path)
    splits = f" ({split_counts(manifest)})" if manifest.splits is not None else ""
    print(f"{path}: {counted(len(manifest), 'video')} of {counted(len(manifest.class_names), 'class')}{splits}.")
    next_steps(_use_of(manifest, path))


def _use_of(manifest: "Manifest", path: Path) -> str:
    """What a list is good for: to train on, or where it has one class alone to be looked through."""
    return marey_line("train", path) if len(manifest.class_names) > 1 else marey_line("data", "audit", path)


def _check_list(path: Path, *inputs: Path | None) -> None:
    """See before any work that a list can be written, and say where it takes the place of a file.

    Raises:
        RunError: it cannot, its name does not end as a list's, or it is one of the inputs.
    """
    if path.suffix.lower() != ".csv":
        raise RunError(f"--out {path}: a list is written as .csv.")
    _check_file(path, *inputs)


def _check_file(path: Path, *inputs: Path | None) -> None:
    """`_check_list` of a file of any name."""
    from marey.base.claim import OutputPath

    OutputPath.file(path).refuse_inputs(one for one in inputs if one is not None)
    OutputPath.file(path).check()
    if path.exists():
        notice(f"{path}: takes the place of the file that was there")


@command(data, "split")
@long_command
def split(
    source: List,
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="PATH", parser=output_file, help="The list to write, a .csv with a split column."
        ),
    ],
    val: Annotated[float, typer.Option("--val", min=0.0, max=1.0, help="Share of the videos to hold out.")] = 0.2,
    root: Root = None,
    classes: Classes = None,
    seed: Seed = 0,
) -> None:
    """Hold videos out for validation; clips of one source (column group, or by file names) stay on one side.

    Where a split column or a folder val/ names validation videos already, that split is kept; test videos stay as they are.
    """
    from marey.data.lists.formats import read_manifest
    from marey.data.lists.sources import find_sources
    from marey.data.lists.split_names import VAL, split_name
    from marey.data.splits.sides import divide
    from marey.data.splits.split import copies_across

    _check_list(out, source, classes)
    given = read_manifest(source, root=root, classes=classes)
    manifest = divide(given, share=val, seed=seed)
    manifest.write_csv(out)
    assert manifest.splits is not None
    parts = ", ".join(f"{len(manifest.split(name))} {name}" for name in manifest.split_names)
    kept = f"{source} is divided already, and its split is kept; " if VAL in map(split_name, given.split_names) else ""
    print(f"{out}: {parts}; {kept}{find_sources(manifest).describe(manifest.splits)}.")
    if given.split_names and (copies := copies_across(manifest)) is not None:
        warning(copies)
    next_steps(_use_of(manifest, out))


@command(data, "prepare")
@long_command
def prepare(
    dataset: Annotated[str, typer.Argument(help="kinetics400, kinetics600, kinetics700, ucf101 or hmdb51.")],
    folder: Annotated[Path, typer.Argument(help="Where it lies, as downloaded and unpacked.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", parser=output_file, help="Where lists and report go (default: FOLDER)."),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="DeepMind's CSV of Kinetics, several times (default: those in FOLDER)."),
    ] = None,
    check: Annotated[
        Literal["files", "open", "decode"],
        typer.Option("--check", help="files: there and not empty; open: first frame decodes; decode: all frames do."),
    ] = "open",
    workers: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Lists of a public data set, checked against what was published: missing, extra, unreadable, short, duplicate."""
    from marey.data.prepare import prepare as prepare_set
    from marey.data.prepare import published_set

    check_folder(out or folder)
    with going_on(lambda: _LOOKED_AT):
        result = prepare_set(published_set(dataset), folder, out=out, lists=lists or (), check=check, workers=workers)
    if as_json:
        print(json_document(result.as_json()))
    else:
        print_preparation(result)
    next_steps(*(marey_line("data", "audit", Path(path)) for path in result.lists[:1]))


@command(data, "audit")
@long_command
def audit(
    sources: Annotated[
        list[Path], typer.Argument(help="Lists or folders that are one data set, such as train and val.")
    ],
    root: Root = None,
    classes: Classes = None,
    check: Annotated[
        Literal["open", "decode"], typer.Option("--check", help="open: first frame decodes; decode: all frames do.")
    ] = "open",
    short: Annotated[int, typer.Option("--short", min=1, help="Videos of fewer frames are too short.")] = 16,
    pictures: Annotated[
        bool | None,
        typer.Option(
            help="Compare pictures, to find copies and clips of one recording (default: of up to 20,000 videos)."
        ),
    ] = None,
    workers: Processes = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong with a data set: files, duplicates, leaks between splits, balance. Exit code 1: there are faults."""
    from marey.data.audit import audit as audit_lists
    from marey.data.audit import read_together
    from marey.data.files.probe import probe_cache

    manifests = read_together(sources, root=root, classes=classes)
    cache = probe_cache(manifests[0].root)
    for manifest in manifests:
        what = "every frame is decoded" if check == "decode" else "the first frame of each is decoded"
        say_what_was_understood(manifest, what, workers)
    compared = _are_compared(manifests) if pictures is None else pictures
    with going_on(lambda: _LOOKED_AT):
        result = audit_lists(
            manifests, cache=cache, check=check, short_frames=short, pictures=compared, workers=workers
        )
    if as_json:
        print(json_document(result.as_json()))
    else:
        print_audit(result)
        shown = compared and len(manifests) == 1 and manifests[0].groups is None
        sheets = [marey_line("data", "sources", sources[0])] if shown else []
        if result.faults:
            next_steps(typed_line("--json"), *sheets)
        elif check == "open":
            next_steps(typed_line("--check", "decode"), *sheets)
        else:
            next_steps(_use_of(manifests[0], sources[0]), *sheets)
    if result.faults:
        raise typer.Exit(1)


def _are_compared(manifests: "Sequence[Manifest]") -> bool:
    """Whether pictures of the lists' videos are compared without being asked for, which a notice says where they are not."""
    from marey.data.recordings.evidence import MOST_COMPARED

    total = sum(map(len, manifests))
    if total > MOST_COMPARED:
        notice(
            f"{counted(total, 'video')}: pictures are compared by themselves up to {MOST_COMPARED:,} (--pictures does it)"
        )
    return total <= MOST_COMPARED


@command(data, "sources")
@long_command
def sources(
    source: List,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            parser=output_file,
            help="The list to write, a .csv; its contact sheets go beside it (default: DATA-sources.csv beside DATA).",
        ),
    ] = None,
    root: Root = None,
    classes: Classes = None,
    workers: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Find clips of one recording, and copies, by names, files and pictures; write them as the column `group` of a list.

    Contact sheets show what was found, a row for each recording: correct the column where it is wrong, then train on the
    list.
    """
    from marey.data.lists.formats import read_manifest
    from marey.workflows.recordings import list_of_recordings, sheets_beside, write_recordings

    path = out or list_of_recordings(source)
    _check_list(path, source, classes)
    _check_file(sheets_beside(path), source, classes)
    manifest = read_manifest(source, root=root, classes=classes)
    say_what_was_understood(manifest, "pictures are compared", workers)
    with going_on(lambda: _LOOKED_AT):
        sheets = write_recordings(manifest, path, workers=workers)
    if as_json:
        print(json_document(sheets.as_json()))
    else:
        print("\n".join(sheets.lines()))
        print(f"{path}: the list, with a column `group`; {sheets_beside(path)} shows the recordings.")
    next_steps(_use_of(manifest, path))


@command(data, "resize")
@long_command
def resize(
    source: List,
    out: OutFolder,
    short_side: Annotated[
        int, typer.Option("--short-side", min=16, help="Pixels of the shorter side; none is enlarged.")
    ],
    crf: Annotated[int, typer.Option("--crf", min=0, max=51, help="H.264 quality; less is better and larger.")] = 20,
    gop: Annotated[int, typer.Option("--gop", min=1, help="A key frame at least every so many frames.")] = 32,
    preset: Annotated[str, typer.Option("--preset", help="x264's: veryfast ... medium ... slow.")] = "medium",
    root: Root = None,
    classes: Classes = None,
    workers: Processes = None,
) -> None:
    """Write a set anew as H.264 of a smaller size, the same frames at the same times, without sound."""
    from marey.data.convert import Resize

    if short_side % 2:
        raise MareyError(f"--short-side {short_side}: H.264 in 4:2:0 has even sides.")
    _convert(source, root, classes, out, Resize(short_side, crf, gop, preset), workers, "resized", ".mp4")


@command(data, "frames")
@long_command
def frames(
    source: List,
    out: OutFolder,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Stretch to this size; the announcement had 340x256.")
    ] = None,
    short_side: Annotated[
        int | None, typer.Option("--short-side", min=16, help="Pixels of the shorter side, ratio kept.")
    ] = None,
    quality: Annotated[int | None, typer.Option("--quality", min=1, max=100, help="Of JPEG (default: 95).")] = None,
    template: Annotated[
        str, typer.Option("--template", help="Name of an image; its number starts at 1.")
    ] = "img_{:05d}.jpg",
    root: Root = None,
    classes: Classes = None,
    workers: Processes = None,
) -> None:
    """Write a set as raw frames: a folder of images per video."""
    from marey.data.convert import Extract

    if size and short_side:
        raise MareyError("--size and --short-side: choose one.")
    if quality is not None and not template.lower().endswith((".jpg", ".jpeg")):
        raise MareyError(
            f"--quality {quality}: is of JPEG, and --template {template} names other images: leave it out."
        )
    how = Extract(_size(size) if size else None, short_side, 95 if quality is None else quality, _template(template))
    _convert(source, root, classes, out, how, workers, "as images", Path(template).suffix)


def _convert(
    source: Path,
    root: Path | None,
    classes: Path | None,
    out: Path,
    how: "Conversion",
    workers: int | None,
    what: str,
    suffix: str,
) -> None:
    from marey.data.convert import convert
    from marey.data.lists.formats import read_manifest

    path = out / f"{source.resolve().name if source.is_dir() else source.stem}.csv"
    check_apart(out, source, classes, writes=path.name)
    manifest = read_manifest(source, root=root, classes=classes)
    say_what_was_understood(manifest, f"{what} into {out}", workers)
    with going_on(partial(kept_files, out, suffix)):
        done = convert(manifest, out, how, workers=workers)
    done.write_list(path)
    print(
        f"{path}: {counted(len(done.manifest), 'entry', 'entries')}; {counted(done.written, 'video')} written, "
        f"{done.there} {verb(done.there, 'was', 'were')} there."
    )
    if done.broken:
        are = verb(len(done.broken), "is", "are")
        print(f"{len(done.broken)} could not be read and {are} left out (why: {out / 'broken.jsonl'}).")
    next_steps(_use_of(done.manifest, path))


def say_what_was_understood(manifest: "Manifest", what: str, workers: int | None, *, device: str = "") -> None:
    """The first line: videos, classes, work, device and processes. How long it takes, the progress says."""
    from marey.data.lists.videos import classes_text

    count = max(1, usable_cores() if workers is None else workers)
    known = f", {classes_text(manifest.class_names)}"
    understood(f"{counted(len(manifest), 'video')}{known}: {what}, on {device or 'cpu'} in {counted(count, 'process')}")


def check_apart(out: Path, source: Path, classes: Path | None, *, writes: str) -> None:
    """See before any work that a folder can be written, that its list takes no input's place, and that it is not among the
    videos, which the next call would find there.

    Raises:
        RunError: it is, or cannot.
    """
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise RunError(
            f"{out} is in the folder of the videos, {source}, where its files would be found as such: choose "
            "another --out."
        )
    check_folder(out, source, classes, writes=(writes,))


def _size(text: str) -> tuple[int, int]:
    """(height, width) of "340x256", which says width first as everybody does."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise MareyError(f"--size {text}: expected WIDTHxHEIGHT in pixels, for example 340x256.")
    return int(height), int(width)


def _template(text: str) -> str:
    from marey.video.reading.suffixes import IMAGE_SUFFIXES

    try:
        different = text.format(1) != text.format(2)
    except (ValueError, IndexError, KeyError):
        different = False
    if not different or "/" in text or not text.lower().endswith(tuple(IMAGE_SUFFIXES)):
        raise MareyError(
            f"--template {text}: expected a file name with a number and an image's suffix, for example img_{{:05d}}.jpg."
        )
    return text
