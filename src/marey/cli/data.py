"""`marey data ...`: lists of videos."""

from pathlib import Path
from typing import Annotated

import typer

from marey.cli.command import Root, Seed, command

data = typer.Typer(help="Make and split lists of videos.", no_args_is_help=True)


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
