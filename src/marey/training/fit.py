"""Train a network by its recipe: `marey.fit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch
from torch import nn

from marey.backends.compute import Compute, ComputeOptions
from marey.backends.device import pick_training_device, tell_of_spare
from marey.backends.precision import keep_precision, pick_precision
from marey.base.errors import DataError, RecipeError, RunError, StoppedError, in_python_words
from marey.base.jsonable import Json
from marey.base.precision import Precision
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.base.runs import BEST, LAST
from marey.base.words import counted, percent
from marey.classifier import Classifier, require_logits, user_module_config
from marey.data.files.missing import check_present, tell_of_lost_classes
from marey.data.lists.class_order import in_class_order
from marey.data.lists.manifest import Manifest, are_places
from marey.data.lists.videos import short_path
from marey.data.splits.sides import read_sides
from marey.data.splits.split import check_sides
from marey.models.layers.freeze import freeze
from marey.models.network import Network
from marey.recipe import Recipe
from marey.tasks.all import task_of
from marey.training.batches import RunBatches
from marey.training.distributed import start_fabric
from marey.training.folder import RunFolder, facts_for_readme, precision_of_run
from marey.training.logs import require_tensorboard
from marey.training.loop import TrainingLoop
from marey.training.prepare import prepared
from marey.training.state import Progress
from marey.training.step import micro_batch_size
from marey.weights.pretraining import check_start, start


@dataclass(frozen=True, repr=False)
class FitResult:
    """Where a run left its files. `best` holds the weights of the epoch with the highest validation score, which is top-1,
    or mean average precision with several labels per video; it is None without validation, and so is `best_score`.
    """

    out: Path
    last: Path
    best: Path | None
    epochs: int
    steps: int
    best_score: float | None
    finished: bool
    """Always True: a run that is asked to stop raises a RunError, and `resume=True` continues it."""

    def __repr__(self) -> str:
        best = "" if self.best_score is None else f", best validation score {percent(self.best_score)}"
        return (
            f"FitResult({short_path(self.out)!r}: {counted(self.epochs, 'epoch')}, {counted(self.steps, 'step')}{best})"
        )


@in_python_words()
def fit(
    recipe: Recipe | Classifier,
    *,
    train: Manifest | str | Path,
    val: Manifest | str | Path | None = None,
    out: str | Path,
    model: nn.Module | None = None,
    init: str | Path | None = None,
    seed: int = 0,
    resume: bool = False,
    root: str | Path | None = None,
    tensorboard: bool = False,
    checkpoint_minutes: float = 10.0,
    max_broken: float | None = None,
    trust_first_use: bool = False,
    go_on: str | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> FitResult:
    """Train `recipe.model` (or your own module) on `train`, validate on `val`, and write all files to `out`.

    Args:
        recipe: All settings that decide accuracy. Gradients accumulate to its base batch for any `batch` and world size.
            Or a classifier: its network is trained, from the weights that it has, by its recipe and for its classes.
        train: The training videos: a manifest, all of it; or the path of a list or folder, of which a split column says
            which rows are for training.
        val: The validation videos, given likewise and scored after each epoch; None: those that the split column of `train`
            names (val, or in their absence test), else no validation.
        out: The run's folder, for recipe.yaml, log.csv, log.jsonl, last.safetensors, best.safetensors, last.ckpt, and
            README.txt, which says what each of them is.
        model: Your own module from a clip [B, C, T, H, W] to logits [B, K], which is trained from the weights that it has;
            `recipe.model` then gives way to the name of its class.
        init: The initial weights: "none", "imagenet", "ig65m", a recipe's name, or a checkpoint file of Marey or another
            toolkit (`marey.weights.pretraining.start`). None: those that the recipe names. Not for `model`.
        resume: Continue the run in `out`; its weights are, bit for bit, those of a run that never stopped.
        checkpoint_minutes: Longest time between two writes of last.ckpt, and so the most work that a crash can lose.
        max_broken: Broken files that are tolerated, as a share of the videos in `train`, 0 to 1; with more the run stops.
            None: 1 % of them, or three files if that is more.
        trust_first_use: Fetch initial weights of which no hash was published, too.
        go_on: The command line that would resume this run, for README.txt; None: README.txt names this call.
        compute: Device ("auto", "cpu", "cuda", "cuda:1" or "mps"), precision, clips per micro-batch and process, and
            decoding processes. Precision "auto" is the recipe's, or float32 where the device lacks it; a resumed run keeps
            the precision that it began with.
        options: Fields of `compute` by name: device="cuda", precision="bfloat16", batch=8, workers=4.

    Several processes: `torchrun --nproc-per-node N -m marey train ...`; only the first writes files and notices.

    Raises:
        RunError: `out` holds another run, the loss is not finite, too many files are broken, a signal asked the run to
            stop, this machine lacks the device, or the device lacks the precision.
        RecipeError: the recipe starts from weights that were not given, or its parts do not fit each other.
        WeightsError: the weights that `init` names cannot be found or read, or do not fit the network.
        DataError: the list has several labels per video but the recipe's task has one, a weighted class has no video, no row
            is for training, or more files than `max_broken` allows are missing.
    """
    compute = compute.changed(**options)
    chosen = _training_device(compute)
    given = next((one for one in (recipe, model) if isinstance(one, Classifier)), None)
    recipe, model, classes = _parts(recipe, model, init)
    if model is None and not resume:
        check_start(recipe, init, trust_first_use=trust_first_use)
    recipe = _computed(recipe, compute.precision, chosen, resumed=Path(out) if resume else None)
    train, val = _sides(train, val, root, classes)
    if val is not None:
        val = in_class_order(val, train.class_names, of="the training list")
    task = task_of(recipe.task)
    both = (train,) if val is None else (train, val)
    for manifest in both:
        task.require_labels(manifest, recipe.name)
    missing = check_present(max_broken, *both)
    if val is not None and not resume and processes().first:
        check_sides(train, val)
    own = None if model is None else _own_classifier(model, recipe, train, classes)
    if own is not None and given is not None:
        own.trained_on = given.trained_on
    if tensorboard:
        require_tensorboard()
    batches = RunBatches(recipe, train, val, seed=seed, workers=compute.workers)
    loss = task.training_loss(recipe.train, train)
    size = micro_batch_size(recipe.train, compute.batch, processes().world)
    if compute.batch is not None:
        _tell_of_batch(recipe, compute.batch)
    folder = RunFolder(
        Path(out), recipe if own is None else own.recipe, train.class_names, _identity(recipe, train, val, seed),
        writes=processes().first,
    )  # fmt: skip
    facts: dict[str, Json] = {
        "videos": len(train), "validation_videos": 0 if val is None else len(val), "processes": processes().world,
        **facts_for_readme(Path(out), train if val is None else val, go_on),
    }  # fmt: skip
    with folder.claimed(resume, facts):
        tell_of_spare(compute.device)
        torch.manual_seed(seed)
        classifier = own or _start(recipe, train, init, resume, trust_first_use)
        if own is None and classifier.load_report is not None:
            folder.record_start(classifier.load_report)
        _freeze(classifier.network, recipe)
        with prepared(classifier.network, recipe.train):
            fabric = start_fabric(chosen, recipe.train.precision)
            loop = TrainingLoop(
                fabric, classifier, batches, loss, folder, micro_batch=size,
                max_broken=max_broken, checkpoint_minutes=checkpoint_minutes, tensorboard=tensorboard, missing=missing,
            )  # fmt: skip
            try:
                at = loop.run(resume=resume)
            finally:
                tell_of_lost_classes(train, [broken.id for broken in loop.broken.files])
            if given is not None:
                given.trained_on = classifier.trained_on
    fabric.barrier()  # no process reads the files, or works in the folder, before the first one has left it
    if at.epoch < batches.epochs:
        raise StoppedError(
            f"stopped after step {at.step}; go on with --resume --out {out} (resume=True in Python)",
            interrupted=loop.interrupted,
        )
    return _result(Path(out), at)


def _sides(
    train: Manifest | str | Path,
    val: Manifest | str | Path | None,
    root: str | Path | None,
    classes: Sequence[str] | None,
) -> tuple[Manifest, Manifest | None]:
    """Both manifests: those that are given as they are, lists and folders by their split columns."""
    if isinstance(train, Manifest) and (val is None or isinstance(val, Manifest)):
        return train, val
    sides = read_sides(train, val, root=root, classes=classes)
    for note in sides.notes:
        notice(note)
    return sides.train, sides.held_out


def _training_device(compute: Compute) -> torch.device:
    """The device to train on.

    Raises:
        RunError: this machine lacks it, or a backend is asked for that cannot train.
    """
    if compute.backend not in ("auto", "eager"):
        raise RunError(
            f"--backend {compute.backend}: training runs by eager alone; others serve testing, prediction and features."
        )
    return pick_training_device(compute.device)


def _parts(
    recipe: Recipe | Classifier, model: nn.Module | None, init: str | Path | None
) -> tuple[Recipe, nn.Module | None, tuple[str, ...] | None]:
    """The recipe, the module that is given, if any, and the class names in the order of its logits, if it has them.

    Raises:
        RecipeError: two modules are given, or one and `init`.
    """
    given = model if isinstance(model, Classifier) else recipe
    if isinstance(recipe, Classifier) and model is not None:
        raise RecipeError("fit: a classifier has a network already: leave out model=.")
    if init is not None and (model is not None or isinstance(given, Classifier)):
        raise RecipeError("fit: a module is trained from the weights that it has: leave out init=.")
    if not isinstance(given, Classifier):
        return given, model, None
    return recipe if isinstance(recipe, Recipe) else given.recipe, given.network, given.class_names


def _own_classifier(model: nn.Module, recipe: Recipe, train: Manifest, classes: tuple[str, ...] | None) -> Classifier:
    """The classifier around a module that is given, for the classes of the training list.

    Raises:
        DataError: the list has other classes than the classifier.
        RecipeError: the module is not ready to be trained.
    """
    if classes is not None and classes != train.class_names:
        raise DataError(
            f"{train.source or 'the training list'}: its classes are not those of the classifier, in this order: read it "
            "with classes=, marey.read_manifest(LIST, classes=classifier.class_names)."
        )
    if classes is None and not are_places(train.class_names):
        names = ", ".join(train.class_names[:4]) + (", ..." if len(train.class_names) > 4 else "")
        notice(
            f"the module names no classes: its outputs are taken for those of the training list, in its order ({names})"
        )
    if not isinstance(model, Network):
        recipe = recipe.variant(model=user_module_config(model, recipe, num_classes=len(train.class_names)))
    made = Classifier(model, recipe, classes=train.class_names).train()

    def check(module: nn.Module, _: object, output: object) -> None:
        first.remove()
        require_logits(output, made.num_classes, module)

    first = model.register_forward_hook(check)
    return made


def _identity(recipe: Recipe, train: Manifest, val: Manifest | None, seed: int) -> dict[str, str | int]:
    """What distinguishes this run from others."""
    return {
        "recipe": recipe.model_dump_json(),
        "data": train.fingerprint,
        "validation": val.fingerprint if val is not None else "",
        "seed": seed,
    }


def _tell_of_batch(recipe: Recipe, batch: int) -> None:
    """Say that clips in one pass change neither the step nor what the learning rate is for."""
    clips, lr = recipe.train.base_batch * recipe.train.repeats, recipe.train.optimizer.lr
    base = "" if recipe.train.repeats == 1 else f" times {recipe.train.repeats} repeats"
    notice(
        f"--batch {batch}: at most {counted(batch, 'clip')} in one pass; a step stays {counted(clips, 'clip')} "
        f"(train.base_batch{base}), which the learning rate {lr:g} is for: --set train.base_batch={batch} changes the step, "
        "and leaves the rate to --lr"
    )


def _result(out: Path, at: Progress) -> FitResult:
    judged = at.best_epoch >= 0
    return FitResult(
        out=out, last=out / LAST, best=out / BEST if judged else None,
        epochs=at.epoch, steps=at.step, best_score=at.best_score if judged else None, finished=True,
    )  # fmt: skip


def _computed(recipe: Recipe, precision: Precision, device: torch.device, *, resumed: Path | None) -> Recipe:
    """The recipe with the precision that this run uses."""
    declared = recipe.train.precision
    begun = precision_of_run(resumed) if resumed is not None and precision == "auto" else None
    found = (
        pick_precision(precision, device, declared=declared)
        if begun is None
        else keep_precision(begun, device, declared=declared)
    )
    return recipe if found == declared else recipe.variant(train={"precision": found})


def _start(recipe: Recipe, train: Manifest, init: str | Path | None, resume: bool, trust_first_use: bool) -> Classifier:
    """The classifier before training: initialised as the recipe says, or with weights from `init`."""
    if recipe.model.num_classes != len(train.class_names):
        raise RecipeError(
            f"{recipe.name} has {counted(recipe.model.num_classes, 'class')}, the training list {len(train.class_names)}: "
            f"--set model.num_classes={len(train.class_names)}."
        )
    # A resumed run reads its weights from last.ckpt in its own folder.
    word = "none" if resume else init or recipe.pretraining or "none"
    started = start(recipe, word, train.class_names, trust_first_use=trust_first_use)
    if started.load_report is not None:
        notice(str(started.load_report.unsaid()))
    return started


def _freeze(network: nn.Module, recipe: Recipe) -> None:
    if recipe.train.frozen_stages >= 0 and not isinstance(network, Network):
        raise RecipeError(
            f"train.frozen_stages={recipe.train.frozen_stages}: {type(network).__name__} is not a marey Network and has "
            "no stages: freeze its parameters yourself (requires_grad_(False))."
        )
    freeze(network, stages=recipe.train.frozen_stages, norms=recipe.train.frozen_norms)
