"""Train a network by its recipe: `marey.fit`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch
from torch import nn

from marey.backends.compute import Compute, ComputeOptions
from marey.backends.device import notice_spare_accelerator, pick_training_device
from marey.backends.precision import pick_precision, resumed_precision
from marey.base.errors import DataError, RecipeError, RunError, StoppedError, in_python_words
from marey.base.options import Precision
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.base.runs import BEST, LAST
from marey.base.words import counted, percent
from marey.classifier import Classifier, require_logits, user_module_config
from marey.data.files.missing import check_present, warn_of_lost_classes
from marey.data.lists.labels import are_indices
from marey.data.lists.manifest import Manifest, in_class_order
from marey.data.lists.videos import short_path
from marey.data.splits.leakage import report_leakage
from marey.data.splits.read_splits import read_train_val
from marey.models.network import Network
from marey.recipe import Recipe
from marey.tasks.choose import task_of
from marey.training.batches import RunBatches
from marey.training.distributed import start_fabric
from marey.training.folder import RunFolder, facts_of_run, precision_of_run
from marey.training.logs import require_tensorboard
from marey.training.loop import TrainingLoop
from marey.training.prepare import prepared
from marey.training.state import Progress
from marey.training.step import micro_batch_size
from marey.weights.pretraining import check_start, start


@dataclass(frozen=True, repr=False)
class FitResult:
    """The files and numbers of a training run.

    The validation score is top-1, or mean average precision with several labels per video.
    """

    out: Path
    """The run's folder."""
    last: Path
    """The file with the weights after the last epoch."""
    best: Path | None
    """The file with the weights of the epoch with the highest validation score; None without validation."""
    epochs: int
    """Planned number of epochs; early stopping (`train.stop_after`) may have ended the run before."""
    steps: int
    """Number of optimiser steps of the run."""
    best_score: float | None
    """The highest validation score, 0 to 1; None without validation."""
    finished: bool
    """Always True, because a run that is stopped raises a RunError instead; `resume=True` continues such a run."""

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
        recipe: All settings that decide accuracy. An optimiser step is over `train.base_batch` videos, whatever the
            micro-batch and the number of processes. Or a classifier: its network is trained by its recipe, from its
            current weights and for its classes.
        train: The training videos: a manifest, of which all videos are used; or the path of a list or folder. If the
            list has a split column, its rows for training are used.
        val: The validation videos, as for `train`, scored after each epoch. None: the rows that the split column of `train`
            marks for validation (as val, or if there are none, as test); without such rows there is no validation.
        out: The run's folder, for recipe.yaml, log.csv, log.jsonl, last.safetensors, best.safetensors, last.ckpt, and
            README.txt, which describes each of them.
        model: Your own module from clips [B, C, T, H, W] to logits [B, K], which is trained from its current weights.
            The saved recipe then has the name of its class in place of `recipe.model`.
        init: The initial weights: "none", "imagenet", "ig65m", a recipe's name, or the path or address of a checkpoint
            of Marey or another toolkit (`marey.weights.pretraining.start`). None: those of the recipe's `pretraining`.
            Not together with `model`.
        seed: Seed of all random numbers: initial weights, order of videos, clips, crops, dropout and mixing.
        resume: Continue the run in `out`. The weights become, bit for bit, those of a run that was never stopped.
        root: Folder to which the paths in the lists are relative; None: the folder of each list.
        tensorboard: Whether to write the numbers of each epoch for TensorBoard, too, to the folder tensorboard/ in `out`.
        checkpoint_minutes: Longest time between two writes of last.ckpt, in minutes: a crash loses at most this much work.
        max_broken: Broken files that are tolerated, as a share of all videos in `train` and `val`, 0 to 1. If more are
            broken, the run stops. None: 1 % of the videos, or three files if that is more.
        trust_first_use: Whether initial weights may also be fetched if no hash of them was published.
        go_on: The command line that resumes this run, to be named in README.txt; None: README.txt says to repeat the call
            with resume=True.
        compute: Device ("auto", "cpu", "cuda", "cuda:1" or "mps"), precision, `batch` (clips per micro-batch of one
            process), and decoding processes. Precision "auto" is the recipe's, or float32 if the device lacks it; a
            resumed run keeps the precision that it began with.
        options: Fields of `compute` by name: device="cuda", precision="bfloat16", batch=8, workers=4.

    Several processes: `torchrun --nproc-per-node N -m marey train ...`; only the first writes files and notices.

    Raises:
        RunError: `out` holds another run, the loss is not finite, too many files are broken, a signal asked the run to
            stop, this machine lacks the device, or the device lacks the precision.
        RecipeError: the recipe starts from weights that Marey cannot find by itself and `init` does not name, or
            settings contradict each other.
        WeightsError: the weights that `init` names cannot be found or read, or do not fit the network.
        DataError: the list has several labels per video but the recipe's task has one; with class weights, a class has
            no video; no row is for training; or more files are missing than `max_broken` allows.
    """
    compute = compute.changed(**options)
    device = _training_device(compute)
    given = next((one for one in (recipe, model) if isinstance(one, Classifier)), None)
    recipe, model, classes = _unpacked(recipe, model, init)
    if model is None and not resume:
        check_start(recipe, init, trust_first_use=trust_first_use)
    recipe = _with_precision(recipe, compute.precision, device, resumed=Path(out) if resume else None)
    task = task_of(recipe.task)
    train, val = _manifests(train, val, root, classes)
    both = (train,) if val is None else (train, val)
    for manifest in both:
        task.require_labels(manifest, recipe.name)
    missing = check_present(max_broken, *both)
    if val is not None and not resume and processes().first:
        report_leakage(train, val)
    own = None if model is None else _own_classifier(model, recipe, train, classes, given)
    if tensorboard:
        require_tensorboard()
    batches = RunBatches(recipe, train, val, seed=seed, workers=compute.workers)
    loss = task.training_loss(recipe.train, train)
    micro_batch = _micro_batch(recipe, compute)
    folder = RunFolder(
        Path(out), recipe if own is None else own.recipe, train.class_names, _identity(recipe, train, val, seed),
        writes=processes().first,
    )  # fmt: skip
    with folder.claimed(resume, facts_of_run(Path(out), train, val, go_on)):
        notice_spare_accelerator(compute.device)
        torch.manual_seed(seed)
        classifier = own or _start(recipe, train, init, resume, trust_first_use)
        if own is None and classifier.load_report is not None:
            folder.record_start(classifier.load_report)
        with prepared(classifier.network, recipe.train):
            fabric = start_fabric(device, recipe.train.precision)
            loop = TrainingLoop(
                fabric, classifier, batches, loss, folder, micro_batch=micro_batch,
                max_broken=max_broken, checkpoint_minutes=checkpoint_minutes, tensorboard=tensorboard, missing=missing,
            )  # fmt: skip
            try:
                at = loop.run(resume=resume)
            finally:
                warn_of_lost_classes(train, [broken.id for broken in loop.broken.files])
            if given is not None:
                given.trained_on = classifier.trained_on
    fabric.barrier()  # every process waits here until the first one has written all files and released the folder
    if at.epoch < batches.epochs:
        raise StoppedError(
            f"stopped after step {at.step}; continue with --resume --out {out} (resume=True in Python)",
            interrupted=loop.interrupted,
        )
    return _fit_result(Path(out), at)


def _manifests(
    train: Manifest | str | Path,
    val: Manifest | str | Path | None,
    root: str | Path | None,
    classes: Sequence[str] | None,
) -> tuple[Manifest, Manifest | None]:
    """The manifests for training and validation, with the same classes: those that are given, or read from lists."""
    if not isinstance(train, Manifest) or not (val is None or isinstance(val, Manifest)):
        sides = read_train_val(train, val, root=root, classes=classes)
        for note in sides.notes:
            notice(note)
        train, val = sides.train, sides.held_out
    return train, None if val is None else in_class_order(val, train.class_names, of="the training list")


def _training_device(compute: Compute) -> torch.device:
    """The device to train on.

    Raises:
        RunError: this machine lacks it, or `compute` asks for a backend that cannot train.
    """
    if compute.backend not in ("auto", "eager"):
        raise RunError(
            f"--backend {compute.backend}: training runs by eager alone; other backends test, predict and give features."
        )
    return pick_training_device(compute.device)


def _unpacked(
    recipe: Recipe | Classifier, model: nn.Module | None, init: str | Path | None
) -> tuple[Recipe, nn.Module | None, tuple[str, ...] | None]:
    """The recipe; the given module, if any; and the class names in the order of its logits, if it has names.

    Raises:
        RecipeError: two modules are given, or both a module and `init`.
    """
    given = model if isinstance(model, Classifier) else recipe
    if isinstance(recipe, Classifier) and model is not None:
        raise RecipeError("fit: a classifier has a network already: leave out model=.")
    if init is not None and (model is not None or isinstance(given, Classifier)):
        raise RecipeError("fit: a module is trained from its current weights: leave out init=.")
    if not isinstance(given, Classifier):
        return given, model, None
    return recipe if isinstance(recipe, Recipe) else given.recipe, given.network, given.class_names


def _own_classifier(
    model: nn.Module, recipe: Recipe, train: Manifest, classes: tuple[str, ...] | None, given: Classifier | None
) -> Classifier:
    """The classifier of the user's module, with the classes of the training list; `given` is the user's own classifier,
    or None.

    Raises:
        DataError: the list has other classes than the classifier.
        RecipeError: the module is not ready to be trained.
    """
    if classes is not None and classes != train.class_names:
        raise DataError(
            f"{train.source or 'the training list'}: its classes are not those of the classifier, in this order: read it "
            "with classes=, marey.read_manifest(LIST, classes=classifier.class_names)."
        )
    if classes is None and not are_indices(train.class_names):
        names = ", ".join(train.class_names[:4]) + (", ..." if len(train.class_names) > 4 else "")
        notice(
            f"the module names no classes: its outputs are assumed to be those of the training list, in its order ({names})"
        )
    if not isinstance(model, Network):
        recipe = recipe.variant(model=user_module_config(model, recipe, num_classes=len(train.class_names)))
    trained_on = None if given is None else given.trained_on
    classifier = Classifier(model, recipe, classes=train.class_names, trained_on=trained_on).train()

    def check(module: nn.Module, _: object, output: object) -> None:
        first.remove()
        require_logits(output, classifier.num_classes, module)

    first = model.register_forward_hook(check)
    return classifier


def _identity(recipe: Recipe, train: Manifest, val: Manifest | None, seed: int) -> dict[str, str | int]:
    """What identifies the run: recipe, fingerprints of the lists, and seed."""
    return {
        "recipe": recipe.model_dump_json(),
        "data": train.fingerprint,
        "validation": val.fingerprint if val is not None else "",
        "seed": seed,
    }


def _micro_batch(recipe: Recipe, compute: Compute) -> int:
    """Clips per micro-batch. If the user gives a number, a notice says that the batch and the learning rate do not change.

    Raises:
        RecipeError: as `micro_batch_size`.
    """
    batch, size = compute.batch, micro_batch_size(recipe.train, compute.batch, processes().world)
    if batch is None:
        return size
    clips, lr = recipe.train.base_batch * recipe.train.repeats, recipe.train.optimizer.lr
    base = "" if recipe.train.repeats == 1 else f" times {recipe.train.repeats} repeats"
    notice(
        f"--batch {batch}: at most {counted(batch, 'clip')} per forward pass; a step stays {counted(clips, 'clip')} "
        f"(train.base_batch{base}), for which the learning rate {lr:g} is chosen: "
        f"--set train.base_batch={batch} changes the step, --lr the rate"
    )
    return size


def _fit_result(out: Path, at: Progress) -> FitResult:
    validated = at.best_epoch >= 0
    return FitResult(
        out=out, last=out / LAST, best=out / BEST if validated else None,
        epochs=at.epoch, steps=at.step, best_score=at.best_score if validated else None, finished=True,
    )  # fmt: skip


def _with_precision(recipe: Recipe, precision: Precision, device: torch.device, *, resumed: Path | None) -> Recipe:
    """The recipe with the precision of this run. In a resumed run, "auto" is the precision that the run began with; in
    a new run it is the recipe's, or float32 if that is slow or not available on the device.
    """
    declared = recipe.train.precision
    begun = precision_of_run(resumed) if resumed is not None and precision == "auto" else None
    found = (
        pick_precision(precision, device, declared=declared)
        if begun is None
        else resumed_precision(begun, device, declared=declared)
    )
    return recipe if found == declared else recipe.variant(train={"precision": found})


def _start(recipe: Recipe, train: Manifest, init: str | Path | None, resume: bool, trust_first_use: bool) -> Classifier:
    """The classifier before training: with the weights of `init`, or else those that the recipe starts from."""
    if recipe.model.num_classes != len(train.class_names):
        raise RecipeError(
            f"{recipe.name} has {counted(recipe.model.num_classes, 'class')}, the training list {len(train.class_names)}: "
            f"--set model.num_classes={len(train.class_names)}."
        )
    # A resumed run reads its weights from last.ckpt in its own folder.
    initial = "none" if resume else init or recipe.pretraining or "none"
    started = start(recipe, initial, train.class_names, trust_first_use=trust_first_use)
    if started.load_report is not None:
        notice(str(started.load_report.unsaid()))
    return started
