"""`marey data motions`: videos for somebody who has none."""

from pathlib import Path
from typing import Annotated

import typer

from marey.base.claim import OutputPath
from marey.base.errors import MareyError
from marey.base.words import counted
from marey.cli.command import Seed


def motions(
    folder: Annotated[Path, typer.Argument(help="The folder to write; a second call goes on.")],
    train: Annotated[int, typer.Option("--train", min=12, help="Videos to train on, a multiple of 12.")] = 120,
    test: Annotated[int, typer.Option("--test", min=12, help="Videos to test on, a multiple of 12.")] = 36,
    size: Annotated[int, typer.Option("--size", min=32, help="Pixels of a side.")] = 128,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames of a video.")] = 20,
    seed: Seed = 0,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes at work; 0 is this one alone (default: one per core)."),
    ] = None,
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
    OutputPath.folder(folder, way_out=other).check()
    parts = write_motions(
        folder, train=train, test=test, size=size, frames=frames, seed=seed, workers=workers, way_out=other
    )
    print(
        f"{folder}: {counted(len(parts[0]), 'video')} to train on and {len(parts[1]):,} to test on, of "
        f"{counted(len(CLASS_NAMES), 'class')}."
    )
