"""`marey train`: a recipe on a list, or a classifier on frozen features from a folder or list of videos."""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marey.backends.compute import Compute
from marey.base.errors import MareyError, RecipeError
from marey.base.options import Finetune
from marey.base.processes import processes
from marey.base.runs import next_run, run_name
from marey.cli.common.command import check_folder, resume_command
from marey.cli.common.interrupted import interruptible, kept_training
from marey.cli.common.named_models import declared_recipe, trust_after_check, trust_without_hash
from marey.cli.common.options import (
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
)

if TYPE_CHECKING:
    from marey.recipe import Recipe

_WRITTEN = ("split.csv", "labels.csv", "recipe.yaml", "last.safetensors", "best.safetensors")
"""Files that a run writes and that could also be an input."""


class _Logger(StrEnum):
    CSV = "csv"
    TENSORBOARD = "tensorboard"


@dataclass(frozen=True)
class VideoOptions:
    """The videos to train, validate and test on."""

    data: Annotated[Path | None, typer.Option("--data", help="Training videos: a list, or a folder per class.")] = None
    val: Annotated[
        Path | None,
        typer.Option("--val", help="Validation videos: a list or folder; else by the split column, or val/."),
    ] = None
    test: Annotated[
        Path | None,
        typer.Option("--test", help="Videos to test a classifier on, too: a list or folder; else by the split column."),
    ] = None
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Corrections of a classifier's videos: a CSV with path and label, group or leave_out. No file is changed.",
        ),
    ] = None
    root: Annotated[
        Path | None,
        typer.Option(
            "--root",
            help="Folder that the list's paths are relative to; for a run, the folder that has its videos now.",
        ),
    ] = None
    classes: Classes = None


@dataclass(frozen=True)
class MethodOptions:
    """What is trained, and what it starts from."""

    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone",
            metavar="NAME_OR_FILE",
            help="Network whose features are used: a recipe's name, a checkpoint, or auto: the best that this machine can "
            "afford (default: EfficientNet-Lite0, which comes with Marey).",
        ),
    ] = None
    finetune: Annotated[
        Finetune | None,
        typer.Option(
            "--finetune", help="Fine-tune the entire network from the classifier; auto: if --minutes allow it."
        ),
    ] = None
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0.1,
            help="Time for --backbone auto and fine-tuning (default: 600 core-seconds, or seconds of a GPU).",
        ),
    ] = None
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            help="Train an entire network from none, imagenet or ig65m; a recipe's name or a checkpoint: the backbone, or "
            "what a recipe starts from.",
        ),
    ] = None
    trust_first_use: TrustFirstUse = False
    epochs: Epochs = None
    lr: LearningRate = None
    settings: Set = None


@dataclass(frozen=True)
class RunOptions:
    """The run's folder, where it computes, and what it writes."""

    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False
    out: Out = None
    seed: Seed = 0
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch",
            min=1,
            help="Clips in one pass of a process. Each step still takes train.base_batch clips, for which --lr is; "
            "--set train.base_batch=N changes it.",
        ),
    ] = None
    workers: Workers = None
    device: Device = "auto"
    precision: PrecisionOption = "auto"
    max_broken: MaxBroken = None
    logger: Annotated[
        list[_Logger] | None,
        typer.Option(
            "--logger", help="csv: log.csv, which is always written; tensorboard: its files too. May be repeated."
        ),
    ] = None
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Short for --logger tensorboard.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan; train nothing, write nothing.")] = False

    @property
    def compute(self) -> Compute:
        """Where the run computes."""
        return Compute(device=self.device, precision=self.precision, batch=self.batch, workers=self.workers)


def train(
    context: typer.Context,
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="DATA_OR_RECIPE",
            help="A folder per class or a list; a recipe's name or YAML file, with --data; or a run, to fine-tune it.",
        ),
    ],
    videos: VideoOptions = VideoOptions(),
    method: MethodOptions = MethodOptions(),
    run: RunOptions = RunOptions(),
) -> None:
    """Train: `marey train FOLDER_OR_LIST` for your own videos, or `marey train NAME --data LIST` for a recipe."""
    from marey.workflows.train import TrainRequest, is_yaml, run_plan
    from marey.workflows.train_network import TrainOptions

    if run.resume and run.out is None:
        raise MareyError("--resume: name the run to resume, for example --out runs/mine-1.")
    data, declared = _data_and_recipe(recipe, videos.data)
    tunes_run = declared is None and _will_be_tuned(data, run.out)
    folder = data if tunes_run else run.out or next_run(run_name(data) if declared is None else declared.name)
    inputs = (videos.val, videos.test, videos.labels, videos.classes, method.init, method.backbone)
    _check_folder(folder, *([] if tunes_run else [data]), *inputs, resume=run.resume)
    trust = method.trust_first_use
    if not run.resume and not run.dry_run:
        trust = _trust(declared, method.init or method.backbone, method.trust_first_use)
    options = TrainOptions(
        seed=run.seed, resume=run.resume, init=method.init, root=videos.root, classes=videos.classes,
        max_broken=run.max_broken, tensorboard=run.tensorboard or _Logger.TENSORBOARD in (run.logger or ()),
        trust_first_use=trust, compute=run.compute, resume_command=resume_command(context, folder, "--resume"),
    )  # fmt: skip
    request = TrainRequest(
        data=data, out=folder, recipe=declared, by_name=declared is not None and not is_yaml(recipe), val=videos.val,
        test=videos.test, labels=videos.labels, settings=method.settings or (), epochs=method.epochs, lr=method.lr,
        backbone=method.backbone, finetune=method.finetune, minutes=method.minutes, options=options,
    )  # fmt: skip
    # The command that resumes the fine-tuning of a run is the one that was typed.
    more = () if tunes_run else ("--resume", "--out", folder)
    with interruptible(partial(kept_training, folder), *more):
        plan = request.plan()
        if not run.dry_run:
            run_plan(plan)
        elif processes().first:
            print(plan.as_text())


def _data_and_recipe(word: str, data: Path | None) -> "tuple[Path, Recipe | None]":
    """The training videos, and the recipe if one was named, from the first word and --data.

    Raises:
        RecipeError: the word names videos, and --data was given; or there is no such recipe.
        MareyError: the word names a recipe, and --data was not given.
    """
    names_videos = Path(word).is_dir() or (Path(word).is_file() and not word.endswith((".yaml", ".yml")))
    if names_videos and data is not None:
        raise RecipeError(
            f"{word} is a folder or a list; with --data the first word is a recipe's name or YAML file: "
            f"marey train {word}, or marey train RECIPE --data {data}."
        )
    if names_videos:
        return Path(word), None
    declared = _recipe_to_train(word)
    if data is None:
        raise MareyError(f"marey train {word}: name the videos with --data LIST_OR_FOLDER.")
    return data, declared


def _recipe_to_train(word: str) -> "Recipe":
    """As `declared_recipe`; its error adds that no folder or list has this name, which the user may have meant.

    Raises:
        RecipeError: there is no such recipe.
    """
    try:
        return declared_recipe(word, None)
    except RecipeError as error:
        if Path(word).exists() or word.endswith((".yaml", ".yml")):
            raise
        raise RecipeError(f"{word}: there is no folder or list of this name, and {error}") from None


def _will_be_tuned(data: Path, out: Path | None) -> bool:
    """Whether `data` is a run on frozen features that is to be fine-tuned: in its own folder, so `out` names no other."""
    from marey.workflows.classifier.finetuning.saved_start import can_be_tuned

    return can_be_tuned(data) and (out is None or out.resolve() == data.resolve())


def _trust(recipe: "Recipe | None", start: str | None, given: bool) -> bool:
    """Whether initial weights without a published hash may be downloaded."""
    from marey.weights.pretraining import check_start, start_names

    if recipe is not None:
        return trust_after_check(start_names(recipe, start), given, partial(check_start, recipe, start))
    return given if start is None else trust_without_hash([start], given)


def _check_folder(folder: Path, *inputs: str | Path | None, resume: bool) -> None:
    """`check_folder` in the first process only: it writes for all, and one that starts later would find its files."""
    if processes().first:
        check_folder(folder, *inputs, writes=() if resume else _WRITTEN)
