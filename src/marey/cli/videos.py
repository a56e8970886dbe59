"""The commands of `marey data` that write video files or images: resize, frames, flow and motions."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from marey.base.claim import OutputPath
from marey.base.errors import DataError, MareyError, RunError
from marey.base.shell import marey_line, next_steps
from marey.base.words import counted, verb
from marey.cli.common.command import check_folder
from marey.cli.common.interrupted import interruptible, kept_files
from marey.cli.common.options import Classes, Device, Root, Seed, output_file
from marey.cli.data import List, ProcessesOption, announce_videos, command_for

if TYPE_CHECKING:
    from marey.data.convert import VideoConversion

OutFolder = Annotated[
    Path,
    typer.Option(
        "--out", metavar="PATH", parser=output_file, help="The folder to write, with its list; a second call resumes."
    ),
]


def resize(
    source: List,
    out: OutFolder,
    short_side: Annotated[
        int, typer.Option("--short-side", min=16, help="Pixels of the shorter side; none is enlarged.")
    ],
    crf: Annotated[int, typer.Option("--crf", min=0, max=51, help="H.264 quality; less is better and larger.")] = 20,
    gop: Annotated[int, typer.Option("--gop", min=1, help="Most frames from one key frame to the next.")] = 32,
    preset: Annotated[str, typer.Option("--preset", help="x264's: veryfast ... medium ... slow.")] = "medium",
    root: Root = None,
    classes: Classes = None,
    workers: ProcessesOption = None,
) -> None:
    """Encode a set again as H.264 of a smaller size, the same frames at the same times, without sound."""
    from marey.data.convert import Resize

    if short_side % 2:
        raise MareyError(f"--short-side {short_side}: H.264 in 4:2:0 has even sides.")
    _convert_list(source, root, classes, out, Resize(short_side, crf, gop, preset), workers, "resized", ".mp4")


def frames(
    source: List,
    out: OutFolder,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Stretch to this size, for example 340x256.")
    ] = None,
    short_side: Annotated[
        int | None, typer.Option("--short-side", min=16, help="Pixels of the shorter side, ratio kept.")
    ] = None,
    quality: Annotated[
        int | None, typer.Option("--quality", min=1, max=100, help="JPEG quality (default: 95).")
    ] = None,
    template: Annotated[
        str, typer.Option("--template", help="Name of an image; its number starts at 1.")
    ] = "img_{:05d}.jpg",
    root: Root = None,
    classes: Classes = None,
    workers: ProcessesOption = None,
) -> None:
    """Write a set as raw frames: a folder of images per video."""
    from marey.data.convert import Extract

    if size and short_side:
        raise MareyError("--size and --short-side: choose one.")
    if quality is not None and not template.lower().endswith((".jpg", ".jpeg")):
        raise MareyError(
            f"--quality {quality}: is for JPEG, and --template {template} names other images: leave it out."
        )
    height_width = _height_width(size, least=1) if size else None
    how = Extract(height_width, short_side, 95 if quality is None else quality, _checked_template(template))
    _convert_list(source, root, classes, out, how, workers, "as images", Path(template).suffix)


def _convert_list(
    source: Path,
    root: Path | None,
    classes: Path | None,
    out: Path,
    how: "VideoConversion",
    workers: int | None,
    work: str,
    suffix: str,
) -> None:
    """Convert each video of a list or folder, write the list of the results, and print what was done."""
    from marey.data.convert import convert
    from marey.data.lists.read_manifest import read_manifest

    path = out / f"{source.resolve().name if source.is_dir() else source.stem}.csv"
    _check_output(out, source, classes, writes=path.name)
    manifest = read_manifest(source, root=root, classes=classes)
    announce_videos(manifest, f"{work} into {out}", workers)
    with interruptible(partial(kept_files, out, suffix)):
        converted = convert(manifest, out, how, workers=workers)
    converted.write_list(path)
    print(
        f"{path}: {counted(len(converted.manifest), 'entry', 'entries')}; {counted(converted.written, 'video')} written, "
        f"{converted.there} {verb(converted.there, 'was', 'were')} there."
    )
    if converted.broken:
        are = verb(len(converted.broken), "is", "are")
        print(f"{len(converted.broken)} could not be read and {are} left out (why: {out / 'broken.jsonl'}).")
    next_steps(command_for(converted.manifest, path))


def flow(
    source: Annotated[Path, typer.Argument(metavar="DATA", help="A list of videos, or a folder per class.")],
    out: OutFolder,
    method: Annotated[
        Literal["tvl1", "tvl1_opencv", "dis", "farneback"],
        typer.Option(
            "--method", help="tvl1 is what published weights were trained on; dis is a hundred times as fast."
        ),
    ] = "tvl1",
    short_side: Annotated[
        int | None, typer.Option("--short-side", min=16, help="Resize so that the shorter side has this many pixels.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Resize to this, for example 340x256.")
    ] = None,
    bound: Annotated[
        float, typer.Option("--bound", min=0.1, help="Displacement in pixels that level 255 stands for.")
    ] = 20.0,
    storage: Annotated[
        Literal["jpg", "png", "video", "lossless"],
        typer.Option("--storage", help="Image pairs, as the older toolkits read them; or one video file."),
    ] = "jpg",
    template: Annotated[
        str | None, typer.Option("--template", help="Names of the images (default: flow_{}_{:05d}).")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method: preset=fast.")
    ] = None,
    root: Root = None,
    classes: Classes = None,
    workers: ProcessesOption = None,
    device: Device = "auto",
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Fuse tvl1 by torch.compile: twice as fast after a minute (default: compile).",
        ),
    ] = None,
) -> None:
    """Compute the optical flow of every video of a list and store it; a second call resumes."""
    from marey.backends.device import pick_device
    from marey.data.extract_flow import LIST, extract_flow
    from marey.data.lists.read_manifest import read_manifest
    from marey.video.flow.files import TEMPLATE
    from marey.video.flow.methods import flow_method
    from marey.video.flow.rule import FlowRule

    if short_side is not None and size is not None:
        raise DataError("--short-side and --size both set the size: leave out one of them.")
    if template is not None and storage in ("video", "lossless"):
        raise DataError(f"--template {template}: names images, and --storage {storage} writes files: leave it out.")
    if compiled is not None and method != "tvl1":
        raise DataError(f"--compile and --no-compile are for tvl1, not for {method}: leave it out.")
    _check_output(out, source, classes, writes=LIST)
    height_width = None if size is None else _height_width(size, least=16)
    rule = FlowRule(method=flow_method(method, settings or ()), short_side=short_side, size=height_width, bound=bound)
    # Methods other than tvl1 run on the CPU only, so the default of --device, auto, is not looked up for them.
    where = str(pick_device(device)) if method == "tvl1" or device != "auto" else "cpu"
    manifest = read_manifest(source, root=root, classes=classes)
    announce_videos(manifest, f"optical flow by {method} into {out}", workers, device=where)
    with interruptible(partial(kept_files, out, f".{storage}" if storage in ("jpg", "png") else ".mkv")):
        extracted = extract_flow(
            manifest, out, rule, storage=storage, template=template or TEMPLATE,
            workers=workers, device=where, compiled=compiled is not False,
        )  # fmt: skip
    broken = f"; {len(extracted.broken)} could not be read ({out / 'broken.jsonl'})" if extracted.broken else ""
    print(f"{out / LIST}: flow of {counted(len(extracted.manifest), 'video')}{broken}.")
    next_steps(marey_line("data", "audit", out / LIST))


def motions(
    folder: Annotated[Path, typer.Argument(help="The folder to write; a second call resumes.")],
    train: Annotated[int, typer.Option("--train", min=12, help="Videos to train on, a multiple of 12.")] = 120,
    test: Annotated[int, typer.Option("--test", min=12, help="Videos to test on, a multiple of 12.")] = 36,
    size: Annotated[int, typer.Option("--size", min=32, help="Pixels of a side.")] = 128,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames of a video.")] = 20,
    seed: Seed = 0,
    workers: ProcessesOption = None,
) -> None:
    """Write video files to try Marey on: twelve motions through drawn scenes, in a folder for each class."""
    from marey.data.motions import CLASS_NAMES, write_motions

    for option, count in (("--train", train), ("--test", test)):
        if count % len(CLASS_NAMES):
            raise MareyError(
                f"{option} {count}: expected a multiple of {len(CLASS_NAMES)}, as many as there are classes."
            )
    if size % 2:
        raise MareyError(f"--size {size}: H.264 in 4:2:0 has even sides.")
    other = "choose another folder"
    OutputPath.folder(folder, advice=other).check()
    trained_on, tested_on = write_motions(
        folder, train=train, test=test, size=size, frames=frames, seed=seed, workers=workers, way_out=other
    )
    print(
        f"{folder}: {counted(len(trained_on), 'video')} to train on and {len(tested_on):,} to test on, of "
        f"{counted(len(CLASS_NAMES), 'class')}."
    )


def _check_output(out: Path, source: Path, classes: Path | None, *, writes: str) -> None:
    """Check before any work that an output folder can be written, that its list replaces no input, and that it is not
    inside the folder of the videos, where the next call would find its files.

    Raises:
        RunError: one of these.
    """
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise RunError(
            f"{out} is in the folder of the videos, {source}, where its files would be found as such: choose "
            "another --out."
        )
    check_folder(out, source, classes, writes=(writes,))


def _height_width(size: str, *, least: int) -> tuple[int, int]:
    """(height, width) from WIDTHxHEIGHT, each at least `least` pixels.

    Raises:
        DataError: the text has another form.
    """
    width, _, height = size.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) >= least and int(height) >= least):
        raise DataError(f"--size {size}: expected WIDTHxHEIGHT in pixels, for example 340x256.")
    return int(height), int(width)


def _checked_template(text: str) -> str:
    """A template of file names of images.

    Raises:
        MareyError: it has no number, a "/", or no suffix of an image.
    """
    from marey.video.reading.suffixes import IMAGE_SUFFIXES

    try:
        has_number = text.format(1) != text.format(2)
    except (ValueError, IndexError, KeyError):
        has_number = False
    if not has_number or "/" in text or not text.lower().endswith(tuple(IMAGE_SUFFIXES)):
        raise MareyError(
            f"--template {text}: expected a file name with a number and an image's suffix, for example img_{{:05d}}.jpg."
        )
    return text
