"""`marey train`: a recipe on a list, or a classifier from a folder of clips or a list of them."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError, RecipeError
from marey.base.finetune import Finetune
from marey.base.processes import processes
from marey.base.runs import next_run, run_name
from marey.cli.command import (
    Classes,
    Device,
    Epochs,
    LearningRate,
    MaxBroken,
    Out,
    PrecisionOption,
    Seed,
    Set,
    TrustFirstUse,
    Workers,
    check_folder,
    go_on_with,
    trusted,
)  # fmt: skip
from marey.cli.given import declared_recipe, trusted_after
from marey.cli.interrupted import going_on, kept_training

if TYPE_CHECKING:
    from marey.recipe import Recipe

_WRITTEN = ("split.csv", "labels.csv", "recipe.yaml", "last.safetensors", "best.safetensors")
"""Files of a run that could also be what it is made from."""


class _Logger(StrEnum):
    CSV = "csv"
    TENSORBOARD = "tensorboard"


def train(
    context: typer.Context,
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="DATA_OR_RECIPE",
            help="A folder per class or a list; a recipe's name or YAML file, with --data; or a run, to fine-tune it.",
        ),
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Training videos: a list, or a folder per class.")] = None,
    val: Annotated[
        Path | None,
        typer.Option("--val", help="Validation videos: a list or folder; else by the split column, or val/."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", help="Videos to test a classifier on, too: a list or folder; else by the split column."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Corrections of a classifier's videos: a CSV with path and label, group or leave_out. No file is changed.",
        ),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            "--root", help="Folder that the list's paths are relative to; of a run, the one that now has its clips."
        ),
    ] = None,
    classes: Classes = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="NAME_OR_FILE",
            help="Network whose features are used: a recipe's name, a checkpoint, or auto: the best that this machine can "
            "afford (default: EfficientNet-Lite0, which comes with Marey).",
        ),
    ] = None,
    finetune: Annotated[
        Finetune | None,
        typer.Option("--finetune", help="Tune the whole network from the classifier; auto: where --minutes allow it."),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0.1,
            help="Time for --backbone auto and fine-tuning (default: 600 core-seconds, or seconds of a GPU).",
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            help="Train a whole network from none, imagenet or ig65m; a recipe's name or a checkpoint is the backbone, or "
            "what a recipe starts from.",
        ),
    ] = None,
    trust_first_use: TrustFirstUse = False,
    epochs: Epochs = None,
    lr: LearningRate = None,
    settings: Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    out: Out = None,
    seed: Seed = 0,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=1,
            help="Clips in one pass of a process. A step keeps train.base_batch clips, which --lr is for; "
            "--set train.base_batch=N changes it.",
        ),
    ] = None,
    workers: Workers = None,
    device: Device = "auto",
    precision: PrecisionOption = "auto",
    max_broken: MaxBroken = None,
    logger: Annotated[
        list[_Logger] | None,
        typer.Option(
            "--logger", help="csv: log.csv, which is always written; tensorboard: its files too. May be repeated."
        ),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="--logger tensorboard in short.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what was understood; train nothing, write nothing.")
    ] = False,
) -> None:
    """Train: `marey train FOLDER_OR_LIST` for your own clips, or `marey train NAME --data LIST` for a recipe."""
    from marey.workflows.classifier.tuning_start import can_be_tuned
    from marey.workflows.train import TrainOptions
    from marey.workflows.training import Asked, is_yaml, run_plan

    if resume and out is None:
        raise MareyError("--resume: name the run to go on with, for example --out runs/mine-1.")
    of_run = False
    if of_data := _is_data(recipe):
        if data is not None:
            raise RecipeError(
                f"{recipe} is a folder or a list; with --data the first word is a recipe's name or YAML file: "
                f"marey train {recipe}, or marey train RECIPE --data {data}."
            )
        data, declared = Path(recipe), None
        of_run = can_be_tuned(data) and (out is None or out.resolve() == data.resolve())
        folder = data if of_run else out or next_run(run_name(data))
    else:
        declared = _recipe_to_train(recipe)
        if data is None:
            raise MareyError(f"marey train {recipe}: name the videos with --data LIST_OR_FOLDER.")
        folder = out or next_run(declared.name)
    _check_folder(folder, *([] if of_run else [data]), val, test, labels, classes, init, backbone, resume=resume)
    if not resume and not dry_run:
        trust_first_use = _trusted(declared, init or backbone, trust_first_use)
    options = TrainOptions(
        seed=seed, resume=resume, init=init, root=root, classes=classes, max_broken=max_broken,
        tensorboard=tensorboard or _Logger.TENSORBOARD in (logger or ()), trust_first_use=trust_first_use,
        compute=Compute(device=device, precision=precision, batch=batch, workers=workers),
        go_on=go_on_with(context, folder, "--resume"),
    )  # fmt: skip
    asked = Asked(
        data=data, out=folder, recipe=declared, by_name=not (of_data or is_yaml(recipe)), val=val, test=test,
        labels=labels, settings=settings or (), epochs=epochs, lr=lr, backbone=backbone, finetune=finetune, minutes=minutes,
        options=options,
    )  # fmt: skip
    # Of a run that is tuned, what was typed goes on.
    more = () if of_run else ("--resume", "--out", folder)
    with going_on(partial(kept_training, folder), *more):
        plan = asked.plan()
        if not dry_run:
            run_plan(plan)
        elif processes().first:
            print(plan.as_text())


def _trusted(recipe: "Recipe | None", start: str | None, given: bool) -> bool:
    """Whether weights to start from without a published hash may be fetched."""
    from marey.weights.pretraining import check_start, start_names

    if recipe is not None:
        return trusted_after(start_names(recipe, start), given, partial(check_start, recipe, start))
    return given if start is None else trusted([start], given)


def _check_folder(folder: Path, *inputs: str | Path | None, resume: bool) -> None:
    """`check_folder`, asked by the first process alone: it writes for all, and may have begun while another one starts."""
    if processes().first:
        check_folder(folder, *inputs, writes=() if resume else _WRITTEN)


def _recipe_to_train(word: str) -> "Recipe":
    """`declared_recipe`, where the word might have been meant as a folder or list, too."""
    try:
        return declared_recipe(word, None)
    except RecipeError as error:
        if Path(word).exists() or word.endswith((".yaml", ".yml")):
            raise
        raise RecipeError(f"{word}: no folder or list of this name is there, and {error}") from None


def _is_data(word: str) -> bool:
    """Whether the first word of `marey train` names videos: a folder, or a file that is no YAML."""
    return Path(word).is_dir() or (Path(word).is_file() and not word.endswith((".yaml", ".yml")))
