"""`marey data flow`: optical flow of a set of videos."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from marey.base.errors import DataError
from marey.base.shell import marey_line, next_steps
from marey.base.words import counted
from marey.cli.command import Classes, Device, Root
from marey.cli.data import OutFolder, Processes, check_apart, say_what_was_understood
from marey.cli.interrupted import going_on, kept_files, long_command


@long_command
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
    template: Annotated[
        str | None, typer.Option("--template", help="Names of the images (default: flow_{}_{:05d}).")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method: preset=fast.")
    ] = None,
    root: Root = None,
    classes: Classes = None,
    workers: Processes = None,
    device: Device = "auto",
    compiled: Annotated[
        bool | None,
        typer.Option(
            "--compile/--no-compile",
            help="Fuse tvl1 by torch.compile: twice as fast after a minute (default: compile).",
        ),
    ] = None,
) -> None:
    """Compute the optical flow of every video of a list and store it; an interrupted call goes on."""
    from marey.backends.device import pick_device
    from marey.data.extract import LIST, extract_flow
    from marey.data.lists.formats import read_manifest
    from marey.video.flow.files import TEMPLATE
    from marey.video.flow.methods import flow_method
    from marey.video.flow.rule import FlowRule

    if short_side is not None and size is not None:
        raise DataError("--short-side and --size say two things: leave out one of them.")
    if template is not None and storage in ("video", "lossless"):
        raise DataError(f"--template {template}: names images, and --storage {storage} writes files: leave it out.")
    if compiled is not None and method != "tvl1":
        raise DataError(f"--compile and --no-compile are for tvl1, not for {method}: leave it out.")
    check_apart(out, source, classes, writes=LIST)
    rule = FlowRule(
        method=flow_method(method, settings or ()), short_side=short_side, size=_height_width(size), bound=bound
    )
    # What runs on the CPU alone does not need --device cpu.
    where = str(pick_device(device)) if method == "tvl1" or device != "auto" else "cpu"
    manifest = read_manifest(source, root=root, classes=classes)
    say_what_was_understood(manifest, f"optical flow by {method} into {out}", workers, device=where)
    with going_on(partial(kept_files, out, f".{storage}" if storage in ("jpg", "png") else ".mkv")):
        found = extract_flow(
            manifest, out, rule, storage=storage, template=template or TEMPLATE,
            workers=workers, device=where, compiled=compiled is not False,
        )  # fmt: skip
    broken = f"; {len(found.broken)} could not be read ({out / 'broken.jsonl'})" if found.broken else ""
    print(f"{out / LIST}: flow of {counted(len(found.manifest), 'video')}{broken}.")
    next_steps(marey_line("data", "audit", out / LIST))


def _height_width(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, cross, height = size.partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) >= 16 and int(height) >= 16):
        raise DataError(f"--size {size}: expected WIDTHxHEIGHT in pixels, for example 340x256.")
    return int(height), int(width)
