"""Options that several commands have, as annotated types: a parameter `seed: Seed = 0` is the option --seed."""

from pathlib import Path
from typing import Annotated

import typer

from marey.backends.compute import BackendName
from marey.base.options import Precision
from marey.base.processes import MOST_DECODING


def output_path(text: str) -> str:
    """The value of --out. Results already go to standard output without --out, so "-" is refused.

    Raises:
        BadParameter: the text is empty or "-".
    """
    if not text.strip():
        raise typer.BadParameter("it is empty: name a file or a folder.")
    if text == "-":
        raise typer.BadParameter("- is no file: name one, or leave out --out where the command prints its results.")
    return text


def output_file(text: str) -> Path:
    """`output_path` as a Path, for commands to which a "/" at the end makes no difference."""
    return Path(output_path(text))


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
BatchOption = Annotated[int, typer.Option("--batch", min=1, help="Views in one forward pass.")]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="Arithmetic of the network: auto is the recipe's in training, float32 elsewhere."),
]
BackendOption = Annotated[
    BackendName,
    typer.Option("--backend", help="What runs the network; auto measures which is fastest, if the work is long."),
]
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
Data = Annotated[Path, typer.Option("--data", help="A list of videos and labels, or a folder per class.")]
NameOrFile = Annotated[str, typer.Argument(help="A recipe's name, or a checkpoint: the folder of a run, or a file.")]
Fuse = Annotated[str | None, typer.Option("--fuse", help="A second model for the same videos; the logits are added.")]
Untrained = Annotated[bool, typer.Option("--untrained", help="Random weights: to try a command or time it.")]
WeightsFile = Annotated[
    str | None, typer.Option("--weights", help="A checkpoint of Marey or an older toolkit: a file or an address.")
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
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, help="How many epochs: short for --set train.epochs=N.")]
LearningRate = Annotated[
    float | None,
    typer.Option("--lr", help="Learning rate at the batch train.base_batch: short for --set train.optimizer.lr=X."),
]
WordsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[WORD]...", help="Only rows with all these words: in name, title, publisher, pretraining."),
]
OnlyNetwork = Annotated[str | None, typer.Option("--network", help="Only this network: slowonly, r2plus1d, csn.")]
OnlyDataset = Annotated[str | None, typer.Option("--dataset", help="Only this data set: kinetics400, ucf101.")]
OnlyAvailable = Annotated[bool, typer.Option("--available", help="Only rows whose weights one can get.")]
TrustFirstUse = Annotated[
    bool,
    typer.Option(
        "--trust-first-use", help="Fetch weights even if no hash of them was published; record their SHA-256."
    ),
]
