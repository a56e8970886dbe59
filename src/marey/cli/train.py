"""`marey train`: a recipe on a list, or a classifier from a folder of clips or a list of them."""

from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError, RecipeError
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
    Root,
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

_WRITTEN = ("split.csv", "recipe.yaml", "last.safetensors", "best.safetensors")
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
            help="A folder per class or a list; or a recipe's name or YAML file, with --data.",
        ),
    ],
    data: Annotated[Path | None, typer.Option("--data", help="Training videos: a list, or a folder per class.")] = None,
    val: Annotated[
        Path | None,
        typer.Option("--val", help="Validation videos: a list or folder; else by the split column, or val/."),
    ] = None,
    root: Root = None,
    classes: Classes = None,
    init: Annotated[
        str | None,
        typer.Option("--init", help="Start from none, imagenet, ig65m, a recipe's name or a checkpoint file."),
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
    from marey.recipe.short import with_short_forms
    from marey.weights.pretraining import check_start, start_names
    from marey.workflows.train import (
        TrainOptions,
        is_yaml,
        plan_classifier,
        plan_recipe,
        train_and_test,
        train_classifier,
        with_epochs_of_run,
    )

    if resume and out is None:
        raise MareyError("--resume: name the run to go on with, for example --out runs/mine-1.")
    settings = with_short_forms(settings or [], epochs=epochs, lr=lr)
    options = TrainOptions(
        seed=seed, resume=resume, init=init, root=root, classes=classes, max_broken=max_broken,
        tensorboard=tensorboard or _Logger.TENSORBOARD in (logger or ()), trust_first_use=trust_first_use,
        compute=Compute(device=device, precision=precision, batch=batch, workers=workers),
    )  # fmt: skip
    if _is_data(recipe):
        if data is not None:
            raise RecipeError(
                f"{recipe} is a folder or a list; with --data the first word is a recipe's name or YAML file: "
                f"marey train {recipe}, or marey train RECIPE --data {data}."
            )
        folder = out or next_run(run_name(Path(recipe)))
        options = replace(options, go_on=go_on_with(context, folder, "--resume"))
        _check_folder(folder, recipe, val, classes, init, resume=resume)
        if init is not None and not resume and not dry_run:
            options = replace(options, trust_first_use=trusted([init], trust_first_use))
        plan = plan_classifier(Path(recipe), val=val, settings=settings, out=folder, options=options)
    else:
        found = _recipe_to_train(recipe, settings)
        if data is None:
            raise MareyError(f"marey train {recipe}: name the videos with --data LIST_OR_FOLDER.")
        folder = out or next_run(found.name)
        options = replace(options, go_on=go_on_with(context, folder, "--resume"))
        _check_folder(folder, recipe, data, val, classes, init, resume=resume)
        if resume and not is_yaml(recipe):
            found = with_epochs_of_run(found, settings, folder)
        if not resume and not dry_run:
            trust = trusted_after(start_names(found, init), trust_first_use, partial(check_start, found, init))
            options = replace(options, trust_first_use=trust)
        plan = plan_recipe(found, data, val=val, out=folder, options=options)
    if dry_run:
        if processes().first:
            print(plan.as_text())
        return
    with going_on(partial(kept_training, folder), "--resume", "--out", folder):
        if _is_data(recipe):
            train_classifier(plan)
        else:
            train_and_test(plan)


def _check_folder(folder: Path, *inputs: str | Path | None, resume: bool) -> None:
    """`check_folder`, asked by the first process alone: it writes for all, and may have begun while another one starts."""
    if processes().first:
        check_folder(folder, *inputs, writes=() if resume else _WRITTEN)


def _recipe_to_train(word: str, settings: list[str]) -> "Recipe":
    """`declared_recipe`, where the word might have been meant as a folder or list, too."""
    try:
        return declared_recipe(word, settings)
    except RecipeError as error:
        if Path(word).exists() or word.endswith((".yaml", ".yml")):
            raise
        raise RecipeError(f"{word}: no folder or list of this name is there, and {error}") from None


def _is_data(word: str) -> bool:
    """Whether the first word of `marey train` names videos: a folder, or a file that is no YAML."""
    return Path(word).is_dir() or (Path(word).is_file() and not word.endswith((".yaml", ".yml")))
