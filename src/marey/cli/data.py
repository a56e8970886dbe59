"""`marey data ...`: commands on lists of videos: make, split, check, and find recordings. `cli/videos.py` has those that
write video files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marey.base.errors import RunError
from marey.base.processes import usable_cores
from marey.base.reporter import notice, warning, work_summary
from marey.base.shell import marey_line, next_steps, typed_command
from marey.base.words import counted
from marey.cli.common.command import check_folder, command, json_document
from marey.cli.common.interrupted import interruptible, long_command
from marey.cli.common.options import AsJson, Classes, Root, Seed, output_file

if TYPE_CHECKING:
    from marey.data.lists.manifest import Manifest

data = typer.Typer(
    name="data", help="Make, check, split and convert sets of videos; compute their flow.", no_args_is_help=True
)

List = Annotated[Path, typer.Argument(help="A list, or a folder per class.")]
ProcessesOption = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Number of processes; 0: only this one (default: one per core)."),
]


def _kept_checks() -> str:
    """What Ctrl-C leaves of commands that check videos: each result is cached as it comes."""
    return "the results so far are kept in the cache"


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
    from marey.data.lists.class_folders import list_folder
    from marey.data.splits.read_splits import split_counts

    path = out or folder.resolve().parent / f"{folder.resolve().name}.csv"
    _check_list(path, classes)
    manifest = list_folder(folder, classes=classes)
    manifest.write_csv(path)
    splits = f" ({split_counts(manifest)})" if manifest.splits is not None else ""
    print(f"{path}: {counted(len(manifest), 'video')} of {counted(len(manifest.class_names), 'class')}{splits}.")
    next_steps(command_for(manifest, path))


def command_for(manifest: "Manifest", path: Path) -> str:
    """The likely next command for a list: `marey train`, or with a single class `marey data audit`."""
    return marey_line("train", path) if len(manifest.class_names) > 1 else marey_line("data", "audit", path)


def _check_list(path: Path, *inputs: Path | None) -> None:
    """Check before any work that a list can be written; a notice if a file is replaced.

    Raises:
        RunError: it cannot, its suffix is not .csv, or it is one of the inputs.
    """
    if path.suffix.lower() != ".csv":
        raise RunError(f"--out {path}: a list is written as .csv.")
    _check_file(path, *inputs)


def _check_file(path: Path, *inputs: Path | None) -> None:
    """`_check_list` for a file with any suffix."""
    from marey.base.claim import OutputPath

    OutputPath.file(path).refuse_inputs(given for given in inputs if given is not None)
    OutputPath.file(path).check()
    if path.exists():
        notice(f"{path}: replaces the file that was there")


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
    """Hold videos out for validation; videos of one recording (column group, or by file names) stay in one split.

    Where a split column or a folder val/ names validation videos already, that split is kept; test videos stay as they are.
    """
    from marey.data.lists.read_manifest import read_manifest
    from marey.data.lists.split_names import VAL, split_name
    from marey.data.recordings.names import find_recording_names
    from marey.data.splits.leakage import copies_across_splits
    from marey.data.splits.read_splits import mark_val_share

    _check_list(out, source, classes)
    given = read_manifest(source, root=root, classes=classes)
    manifest = mark_val_share(given, share=val, seed=seed)
    manifest.write_csv(out)
    assert manifest.splits is not None
    counts = ", ".join(f"{len(manifest.split(name))} {name}" for name in manifest.split_names)
    kept = f"{source} is divided already, and its split is kept; " if VAL in map(split_name, given.split_names) else ""
    print(f"{out}: {counts}; {kept}{find_recording_names(manifest).describe(manifest.splits)}.")
    if given.split_names and (copies := copies_across_splits(manifest)) is not None:
        warning(copies)
    next_steps(command_for(manifest, out))


@command(data, "prepare")
@long_command
def prepare(
    dataset: Annotated[str, typer.Argument(help="kinetics400, kinetics600, kinetics700, ucf101 or hmdb51.")],
    folder: Annotated[Path, typer.Argument(help="Where it is, as downloaded and unpacked.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="PATH", parser=output_file, help="Where lists and report go (default: FOLDER)."),
    ] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="One of DeepMind's CSV files of Kinetics (default: those in FOLDER)."),
    ] = None,
    check: Annotated[
        Literal["files", "open", "decode"],
        typer.Option("--check", help="files: there and not empty; open: first frame decodes; decode: all frames do."),
    ] = "open",
    workers: ProcessesOption = None,
    as_json: AsJson = False,
) -> None:
    """Lists of a public data set, checked against what was published: missing, extra, unreadable, short, duplicate."""
    from marey.data.findings import preparation_text
    from marey.data.prepare import prepare as prepare_set
    from marey.data.prepare import published_set

    check_folder(out or folder)
    with interruptible(_kept_checks):
        result = prepare_set(published_set(dataset), folder, out=out, lists=lists or (), check=check, workers=workers)
    print(json_document(result.as_json()) if as_json else preparation_text(result))
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
            help="Compare frames, to find copies and videos of one recording (default: of up to 20,000 videos)."
        ),
    ] = None,
    workers: ProcessesOption = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong with a data set: files, duplicates, leaks between splits, balance. Exit code 1: there are faults."""
    from marey.data.audit import audit as audit_lists
    from marey.data.audit import read_together
    from marey.data.files.video_info import video_info_cache
    from marey.data.findings import audit_text

    manifests = read_together(sources, root=root, classes=classes)
    cache = video_info_cache(manifests[0].root)
    for manifest in manifests:
        work = "every frame is decoded" if check == "decode" else "the first frame of each is decoded"
        announce_videos(manifest, work, workers)
    compared = _are_compared(manifests) if pictures is None else pictures
    with interruptible(_kept_checks):
        result = audit_lists(
            manifests, cache=cache, check=check, short_frames=short, pictures=compared, workers=workers
        )
    if as_json:
        print(json_document(result.as_json()))
    else:
        print(audit_text(result))
        has_sheets = compared and len(manifests) == 1 and manifests[0].groups is None
        sheets = [marey_line("data", "sources", sources[0])] if has_sheets else []
        if result.faults:
            next_steps(typed_command("--json"), *sheets)
        elif check == "open":
            next_steps(typed_command("--check", "decode"), *sheets)
        else:
            next_steps(command_for(manifests[0], sources[0]), *sheets)
    if result.faults:
        raise typer.Exit(1)


def _are_compared(manifests: "Sequence[Manifest]") -> bool:
    """Whether frames of the videos are compared by default; a notice if there are too many."""
    from marey.data.recordings.find import MOST_COMPARED

    total = sum(map(len, manifests))
    if total > MOST_COMPARED:
        notice(
            f"{counted(total, 'video')}: frames are compared by default for at most {MOST_COMPARED:,} (--pictures does it)"
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
    workers: ProcessesOption = None,
    as_json: AsJson = False,
) -> None:
    """Find videos of one recording, and copies, by names, files and frames; write them as the column `group` of a list.

    Contact sheets show what was found, a row for each recording: correct the column where it is wrong, then train on the
    list.
    """
    from marey.data.lists.read_manifest import read_manifest
    from marey.workflows.recordings import list_of_recordings, sheets_beside, write_recordings

    path = out or list_of_recordings(source)
    _check_list(path, source, classes)
    _check_file(sheets_beside(path), source, classes)
    manifest = read_manifest(source, root=root, classes=classes)
    announce_videos(manifest, "frames are compared", workers)
    with interruptible(_kept_checks):
        sheets = write_recordings(manifest, path, workers=workers)
    if as_json:
        print(json_document(sheets.as_json()))
    else:
        print("\n".join(sheets.lines()))
        print(f"{path}: the list, with a column `group`; {sheets_beside(path)} shows the recordings.")
    next_steps(command_for(manifest, path))


def announce_videos(manifest: "Manifest", work: str, workers: int | None, *, device: str = "") -> None:
    """Print the first line of a command: videos, classes, `work` (a clause), device and processes."""
    from marey.data.lists.videos import classes_text

    count = max(1, usable_cores() if workers is None else workers)
    classes = classes_text(manifest.class_names)
    where = f"on {device or 'cpu'} in {counted(count, 'process')}"
    work_summary(f"{counted(len(manifest), 'video')}, {classes}: {work}, {where}")
