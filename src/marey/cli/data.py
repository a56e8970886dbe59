"""`marey data ...`: lists of videos."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from marey.base.errors import DataError
from marey.cli.command import Device, Root, Seed, Workers, command

data = typer.Typer(help="Make and split lists of videos; compute their flow.", no_args_is_help=True)


@command(data, "list")
def list_videos(
    folder: Annotated[Path, typer.Argument(help="A folder with one folder of videos per class.")],
    out: Annotated[Path | None, typer.Option("--out", help="The list to write.  [default: FOLDER.csv]")] = None,
) -> None:
    """Write a list (path, label) of a folder per class."""
    from marey.data.formats import list_folder

    manifest = list_folder(folder)
    path = out or folder.resolve().with_suffix(".csv")
    manifest.write_csv(path)
    print(f"{path}: {len(manifest)} videos of {len(manifest.class_names)} classes.")


@command(data, "split")
def split(
    source: Annotated[Path, typer.Argument(help="A list, or a folder per class.")],
    out: Annotated[Path, typer.Option("--out", help="The list to write, with a split column.")],
    val: Annotated[float, typer.Option("--val", min=0.0, max=1.0, help="Share of the videos to hold out.")] = 0.2,
    root: Root = None,
    seed: Seed = 0,
) -> None:
    """Hold videos out for validation; clips of one source (group) never stand on both sides."""
    from marey.data.formats import read_manifest
    from marey.data.split import split_manifest

    manifest = split_manifest(read_manifest(source, root=root), val=val, seed=seed)
    manifest.write_csv(out)
    parts = ", ".join(f"{len(manifest.split(name))} {name}" for name in ("train", "val"))
    print(f"{out}: {parts}; no group stands on both sides.")


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
    workers: Workers = 2,
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
    broken = f"; {len(found.broken)} could not be read ({out / 'quarantine.jsonl'})" if found.broken else ""
    print(f"{out / LIST}: flow of {len(found.manifest)} videos{broken}.")


def _height_width(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, cross, height = size.partition("x")
    if not (cross and width.isdigit() and height.isdigit() and int(width) >= 16 and int(height) >= 16):
        raise DataError(f"--size {size}: expected WIDTHxHEIGHT in pixels, for example 340x256.")
    return int(height), int(width)
