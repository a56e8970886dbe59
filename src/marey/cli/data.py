"""`marey data ...`: lists of videos, and the files behind them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marey.base.errors import DataError, MareyError
from marey.base.jsonable import json_text
from marey.cli.command import AsJson, Device, Root, Seed, command

if TYPE_CHECKING:
    from marey.data.audit import Audit
    from marey.data.convert import Conversion
    from marey.data.prepare import Preparation

data = typer.Typer(
    name="data", help="Make, check, split and convert sets of videos; compute their flow.", no_args_is_help=True
)

List = Annotated[Path, typer.Argument(help="A list, or a folder per class.")]
Processes = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Processes at work; 0 is this one alone.  [default: one per core]"),
]


@command(data, "list")
def list_videos(
    folder: Annotated[Path, typer.Argument(help="A folder with one folder of videos per class.")],
    out: Annotated[Path | None, typer.Option("--out", help="The list to write.  [default: FOLDER.csv]")] = None,
) -> None:
    """Write a list (path, label) of a folder per class."""
    from marey.base.claim import OutputPath
    from marey.data.folders import list_folder

    path = out or folder.resolve().with_suffix(".csv")
    OutputPath.file(path).check()
    manifest = list_folder(folder)
    manifest.write_csv(path)
    print(f"{path}: {len(manifest)} videos of {len(manifest.class_names)} classes.")


@command(data, "split")
def split(
    source: List,
    out: Annotated[Path, typer.Option("--out", help="The list to write, with a split column.")],
    val: Annotated[float, typer.Option("--val", min=0.0, max=1.0, help="Share of the videos to hold out.")] = 0.2,
    root: Root = None,
    seed: Seed = 0,
) -> None:
    """Hold videos out for validation; clips of one source (group) never stand on both sides."""
    from marey.base.claim import OutputPath
    from marey.data.formats import read_manifest
    from marey.data.split import split_manifest

    OutputPath.file(out).check()
    manifest = split_manifest(read_manifest(source, root=root), val=val, seed=seed)
    manifest.write_csv(out)
    parts = ", ".join(f"{len(manifest.split(name))} {name}" for name in ("train", "val"))
    print(f"{out}: {parts}; no group stands on both sides.")


@command(data, "prepare")
def prepare(
    dataset: Annotated[str, typer.Argument(help="kinetics400, kinetics600, kinetics700, ucf101 or hmdb51.")],
    folder: Annotated[Path, typer.Argument(help="Where it lies, as downloaded and unpacked.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where lists and report go.  [default: FOLDER]")] = None,
    lists: Annotated[
        list[Path] | None,
        typer.Option("--list", help="DeepMind's CSV of Kinetics, several times.  [default: those in FOLDER]"),
    ] = None,
    check: Annotated[
        Literal["files", "open", "decode"],
        typer.Option("--check", help="files: there and not empty; open: first frame decodes; decode: all frames do."),
    ] = "open",
    workers: Processes = None,
    as_json: AsJson = False,
) -> None:
    """Lists of a public data set, checked against what was published: missing, extra, unreadable, short, duplicate."""
    from marey.base.claim import OutputPath
    from marey.data.prepare import prepare as prepare_set
    from marey.data.prepare import published_set

    OutputPath.folder(out or folder).check()
    result = prepare_set(published_set(dataset), folder, out=out, lists=lists or (), check=check, workers=workers)
    if as_json:
        print(json_text(result.as_json(), indent=2))
    else:
        _print_preparation(result)


@command(data, "audit")
def audit(
    sources: Annotated[
        list[Path], typer.Argument(help="Lists or folders that are one data set, such as train and val.")
    ],
    root: Root = None,
    check: Annotated[
        Literal["open", "decode"], typer.Option("--check", help="open: first frame decodes; decode: all frames do.")
    ] = "open",
    short: Annotated[int, typer.Option("--short", min=1, help="Videos of fewer frames are too short.")] = 16,
    workers: Processes = None,
    as_json: AsJson = False,
) -> None:
    """What is wrong with a data set: files, duplicates, leaks between splits, balance. Exit code 1: there are faults."""
    from marey.data.audit import audit as audit_lists
    from marey.data.audit import read_together
    from marey.data.probe import probe_cache

    manifests = read_together(sources, root=root)
    cache = probe_cache(manifests[0].root)
    result = audit_lists(manifests, cache=cache, check=check, short_frames=short, workers=workers)
    if as_json:
        print(json_text(result.as_json(), indent=2))
    else:
        _print_audit(result)
    if result.faults:
        raise typer.Exit(1)


@command(data, "resize")
def resize(
    source: List,
    out: Annotated[Path, typer.Option("--out", help="The folder to write; a second call goes on.")],
    short_side: Annotated[
        int, typer.Option("--short-side", min=16, help="Pixels of the shorter side; none is enlarged.")
    ],
    crf: Annotated[int, typer.Option("--crf", min=0, max=51, help="H.264 quality; less is better and larger.")] = 20,
    gop: Annotated[int, typer.Option("--gop", min=1, help="A key frame at least every so many frames.")] = 32,
    preset: Annotated[str, typer.Option("--preset", help="x264's: veryfast ... medium ... slow.")] = "medium",
    root: Root = None,
    workers: Processes = None,
) -> None:
    """Write a set anew as H.264 of a smaller size, the same frames at the same times, without sound."""
    from marey.data.convert import Resize

    if short_side % 2:
        raise MareyError(f"--short-side {short_side}: H.264 in 4:2:0 has even sides.")
    _convert(source, root, out, Resize(short_side, crf, gop, preset), workers)


@command(data, "frames")
def frames(
    source: List,
    out: Annotated[Path, typer.Option("--out", help="The folder to write; a second call goes on.")],
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Stretch to this size; the announcement had 340x256.")
    ] = None,
    short_side: Annotated[
        int | None, typer.Option("--short-side", min=16, help="Pixels of the shorter side, ratio kept.")
    ] = None,
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="Of JPEG.")] = 95,
    template: Annotated[
        str, typer.Option("--template", help="Name of an image; its number starts at 1.")
    ] = "img_{:05d}.jpg",
    root: Root = None,
    workers: Processes = None,
) -> None:
    """Write a set as raw frames: a folder of images per video."""
    from marey.data.convert import Extract

    if size and short_side:
        raise MareyError("--size and --short-side: choose one.")
    how = Extract(_size(size) if size else None, short_side, quality, _template(template))
    _convert(source, root, out, how, workers)


def _convert(source: Path, root: Path | None, out: Path, how: "Conversion", workers: int | None) -> None:
    from marey.data.convert import convert
    from marey.data.formats import read_manifest

    done = convert(read_manifest(source, root=root), out, how, workers=workers)
    path = out / f"{source.resolve().stem}.csv"
    done.manifest.write_csv(path)
    print(f"{path}: {len(done.manifest)} entries; {done.written} videos written, {done.there} were there.")
    if done.broken:
        print(f"{len(done.broken)} could not be read and are left out (why: {out / 'broken.jsonl'}).")


def _size(text: str) -> tuple[int, int]:
    """(height, width) of "340x256", which says width first as everybody does."""
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise MareyError(f"--size {text}: expected WIDTHxHEIGHT in pixels, for example 340x256.")
    return int(height), int(width)


def _template(text: str) -> str:
    try:
        different = text.format(1) != text.format(2)
    except (ValueError, IndexError, KeyError):
        different = False
    if not different or "/" in text:
        raise MareyError(f"--template {text}: expected a file name with a number, for example img_{{:05d}}.jpg.")
    return text


def _print_preparation(result: "Preparation") -> None:
    from rich.table import Table

    columns = ("official", "announced", "listed", "missing", "unreadable", "short", "usable")
    table = Table("list", "split", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    for count in result.counts:
        numbers = [getattr(count, column) for column in columns]
        table.add_row(count.list_name, count.split, *("" if n is None else f"{n:,}" for n in numbers))
    _print(table)
    print()
    _findings(
        {
            "missing": {f"{part}: {name}": None for part, names in result.missing.items() for name in names},
            "unreadable": result.unreadable,
            "too short": result.short,
            "found twice": {key: ", ".join(paths) for key, paths in result.duplicates.items()},
            "in the folder of another class": {path: f"is {label}" for path, label in result.misplaced.items()},
            "no clip of the set": dict.fromkeys(result.extra),
        }
    )
    for path in result.lists:
        print(f"written: {path}")


def _print_audit(result: "Audit") -> None:
    from rich.table import Table

    table = Table("split", box=None, pad_edge=False)
    for column in ("videos", "classes", "fewest", "median", "most", "ratio"):
        table.add_column(column, justify="right")
    for b in result.balance:
        ratio = f"{b.largest / b.smallest:.1f}"
        table.add_row(b.split, *(f"{n:,g}" for n in (b.videos, b.classes, b.smallest, b.median, b.largest)), ratio)
    _print(table)
    if result.seconds:
        s = result.seconds
        print(
            f"\nlength: {s['least']:.2f} to {s['most']:.2f} s, median {s['median']:.2f} s; {s['sum'] / 3600:.2f} hours"
        )
        print(f"frames per second: {_shares(result.rates)}\nsizes: {_shares(result.sizes)}\n")
    _findings(
        {
            "missing": dict.fromkeys(result.missing),
            "unreadable": result.unreadable,
            "begins after the file's end": dict.fromkeys(result.outside),
            "same content, different labels": {" = ".join(paths): None for paths in result.contradictions},
            "same content in several splits": {" = ".join(paths): None for paths in result.leaks},
            "source in several splits": {
                group: ", ".join(f"{n} {split}" for split, n in count.items())
                for group, count in result.leaking_groups.items()
            },
            "class without a training video": dict.fromkeys(result.untrained),
        }
    )
    _findings(
        {
            "too short": {path: f"{n} frames" for path, n in result.short.items()},
            "part longer than its file": result.longer,
            "same content": {" = ".join(paths): None for paths in result.duplicates},
            "variable frame rate": dict.fromkeys(result.variable_rate),
            "odd frame rate": {path: f"{fps:g}" for path, fps in result.odd_rate.items()},
            "odd size": result.odd_size,
        }
    )
    print(f"{result.videos:,} entries, {result.faults} faults")
    print(f"fingerprint of the list {result.fingerprint[:16]}, of the files {result.contents[:16]}")


def _findings(findings: Mapping[str, Mapping[str, object]], shown: int = 5) -> None:
    """Each kind of finding with its number and the first few; --json has all."""
    for kind, found in findings.items():
        if not found:
            continue
        print(f"{kind}: {len(found):,}")
        for name, why in list(found.items())[:shown]:
            print(f"    {name}" if why is None else f"    {name}: {why}")
        if len(found) > shown:
            print(f"    ... and {len(found) - shown:,} more (--json lists all)")


def _shares(counts: Mapping[str, int], shown: int = 6) -> str:
    total = sum(counts.values())
    parts = [f"{value} ({count / total:.0%})" for value, count in list(counts.items())[:shown]]
    return ", ".join([*parts, *([f"{len(counts) - shown} others"] if len(counts) > shown else [])])


def _print(table: object) -> None:
    import sys

    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200).print(table)


@command(data, "flow")
def flow(
    source: Annotated[Path, typer.Argument(metavar="DATA", help="A list of videos, or a folder per class.")],
    out: Annotated[Path, typer.Option("--out", help="The folder for the flow and its list, flow.csv.")],
    method: Annotated[
        Literal["tvl1", "tvl1_opencv", "dis", "farneback"],
        typer.Option(
            "--method", help="tvl1 is what published weights were trained on; dis is a hundred times as fast."
        ),
    ] = "tvl1",
    short_side: Annotated[
        int | None, typer.Option("--short-side", min=16, help="Resize so that the shorter side has so many pixels.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Resize to this, for example 340x256.")
    ] = None,
    bound: Annotated[float, typer.Option("--bound", min=0.1, help="Pixels that level 255 stands for.")] = 20.0,
    storage: Annotated[
        Literal["jpg", "png", "video", "lossless"],
        typer.Option("--storage", help="Image pairs, as the older toolkits read them; or one video file."),
    ] = "jpg",
    template: Annotated[str, typer.Option("--template", help="Names of the images.")] = "flow_{}_{:05d}",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method: preset=fast.")
    ] = None,
    root: Root = None,
    workers: Processes = None,
    device: Device = "auto",
    compiled: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Fuse tvl1 by torch.compile: twice as fast after a minute.")
    ] = True,
) -> None:
    """Compute the optical flow of every video of a list and store it; an interrupted call goes on."""
    from marey.backends.device import pick_device
    from marey.data.extract import LIST, extract_flow
    from marey.data.formats import read_manifest
    from marey.video.flow.methods import flow_method
    from marey.video.flow.rule import FlowRule

    if short_side is not None and size is not None:
        raise DataError("--short-side and --size say two things: leave out one of them.")
    rule = FlowRule(
        method=flow_method(method, settings or ()), short_side=short_side, size=_height_width(size), bound=bound
    )
    # What runs on the CPU alone should not have to be told so.
    where = str(pick_device(device)) if method == "tvl1" or device != "auto" else "cpu"
    found = extract_flow(
        read_manifest(source, root=root), out, rule, storage=storage, template=template, workers=workers, device=where,
        compiled=compiled,
    )  # fmt: skip
    broken = f"; {len(found.broken)} could not be read ({out / 'broken.jsonl'})" if found.broken else ""
    print(f"{out / LIST}: flow of {len(found.manifest)} videos{broken}.")


def _height_width(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, cross, height = size.partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) >= 16 and int(height) >= 16):
        raise DataError(f"--size {size}: expected WIDTHxHEIGHT in pixels, for example 340x256.")
    return int(height), int(width)
