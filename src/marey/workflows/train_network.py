"""Train an entire network, test it and write the report: by a recipe, or by one that Marey chooses for a folder or list."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from marey.backends.compute import Compute
from marey.backends.device import device_text, pick_training_device
from marey.backends.precision import check_machine
from marey.base.address import Address
from marey.base.claim import Command, OutputPath
from marey.base.errors import DataError, MareyError
from marey.base.processes import processes
from marey.base.readme import write_readme
from marey.base.reporter import notice, warning_once, work_summary, work_summary_pending
from marey.base.runs import STATE
from marey.base.shell import marey_line, next_steps
from marey.base.words import about, counted, verb
from marey.data.files.missing import check_present, require_present
from marey.data.lists.manifest import Manifest, classes_beside
from marey.data.lists.split_names import TRAIN, VAL
from marey.data.lists.videos import classes_text, first_of
from marey.data.splits.hold_out import resumed_split
from marey.data.splits.leakage import find_leakage
from marey.data.splits.read_splits import TrainVal, class_table, join_splits, read_train_val, with_held_out
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.recipe import Recipe
from marey.recipes.folder import FOLDER, FOLDER_TSM, folder_recipe
from marey.training.fit import FitResult, fit
from marey.training.folder import has_begun, refuse_other_run, require_run
from marey.training.logs import finished_epochs, require_tensorboard
from marey.training.state import read_run
from marey.video.flow.rule import FlowRule
from marey.weights.load import load_model
from marey.weights.pretraining import check_start
from marey.workflows.evaluate_model import evaluate_and_report
from marey.workflows.training_time import training_seconds

_FROM_IMAGENET = "--init imagenet for TSM on EfficientNet-Lite0 from ImageNet's weights, which are installed with Marey"
_SHARE = 0.2
"""Share of the videos that is held out where the data have no split, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train on this machine: options that do not belong to a recipe."""

    seed: int = 0
    """The seed of everything random, including the choice of held-out videos; 0 by default."""
    compute: Compute = Compute()  # noqa: RUF009 - frozen
    """Device, precision, clips per pass and decoding processes; by default chosen for this machine."""
    resume: bool = False
    """Whether to resume the run in the output folder."""
    init: str | None = None
    """What training starts from: "none", "imagenet", "ig65m", a recipe's name or a checkpoint; None: what the recipe
    says."""
    root: Path | None = None
    """The folder that a list's paths are relative to; None: the list's own."""
    classes: Path | Sequence[str] | None = None
    """The class names in order, or a file of them; None: those of the list or folder."""
    tensorboard: bool = False
    """Whether to write files for TensorBoard besides log.csv."""
    max_broken: float | None = None
    """Tolerated share of broken files, 0 to 1; None: 0.01, or three files if that is more."""
    trust_first_use: bool = False
    """Whether to download weights even if no hash of them was published."""
    resume_command: str | None = None
    """The command line that would resume the run, for README.txt; None: it is not named."""


@dataclass(frozen=True)
class NetworkPlan:
    """A training that was planned. Nothing is computed or written until `train_and_test`."""

    recipe: Recipe
    """The recipe to train by, with as many classes as the data have."""
    sides: TrainVal
    """The videos to train on and those that are held out."""
    out: Path
    """The folder of the run."""
    options: TrainOptions
    """How to train on this machine."""
    chosen_at_random: bool = False
    """Whether the held-out videos were chosen at random here."""
    recipe_chosen: bool = False
    """Whether Marey chose the recipe, for a folder or list."""

    def as_text(self) -> str:
        """The text of --dry-run: videos by class and split, unused videos, groups, recipe, initial weights, and folder."""
        train, held_out = self.sides.train, self.sides.held_out
        start = self.options.init or self.recipe.pretraining or "none"
        lines = [
            _counts_text(self.sides, chosen_at_random=self.chosen_at_random),
            *class_table(train, self.sides.tested),
            *self.sides.notes,
            *(() if held_out is None else find_leakage(train, held_out).lines),
            f"recipe: {self.recipe.name}, {self.recipe.title}, {counted(self.recipe.train.epochs, 'epoch')}",
            f"starts from: {f'the run in {self.out}' if self.options.resume else start}",
            f"output: {self.out}",
            "Nothing was trained or written (--dry-run).",
        ]
        return "\n".join(lines)


def plan_recipe(
    recipe: Recipe,
    data: Path | Manifest,
    *,
    val: Path | Manifest | None = None,
    out: Path,
    options: TrainOptions,
) -> NetworkPlan:
    """Plan to train by a recipe, and to test on the validation videos. The network gets as many classes as the list names.

    Args:
        val: The validation videos; None: those that the split column names. If it names none, nothing is tested.

    Raises:
        DataError: the data cannot be read, no video is for training, or too many files are missing.
        RunError: there is no run in `out` to resume.
    """
    _check_machine(options)
    if options.resume:
        require_run(out)
    else:
        check_start(recipe, options.init, trust_first_use=options.trust_first_use)
    sides = read_train_val(data, val, root=options.root, classes=options.classes)
    if isinstance(data, Path):
        recipe = _for_stored_flow(recipe, data)
    _check_sides(sides, options)
    if sides.held_out is None:
        notice(f"{sides.train.source or 'the list'}: no video is held out, so nothing is tested: --val LIST_OR_FOLDER.")
    return NetworkPlan(_for_classes(recipe, sides.train), sides, out, options)


def plan_folder(
    data: Path | Manifest, *, val: Path | Manifest | None = None, settings: Sequence[str] = (), out: Path,
    options: TrainOptions,
) -> NetworkPlan:  # fmt: skip
    """Plan a network for the classes of a folder or list: choose the recipe, and the videos to hold out.

    The recipe is TSM on EfficientNet-Lite0 from ImageNet's weights, or a small SlowOnly if `options.init` is neither None
    nor "imagenet".

    Args:
        val: The validation videos; None: those that the split column names, else a fifth of the videos.

    Raises:
        DataError: no videos, fewer than two classes, a class whose videos are all of one group, or too many missing
            files.
        RunError: another run is in `out`, or none to resume, or a list that is read is the split.csv of it.
    """
    _check_machine(options)
    base = FOLDER_TSM if options.init in (None, "imagenet") else FOLDER
    split = out / "split.csv"
    if options.resume:
        require_run(out)
    else:
        check_start(base, options.init, trust_first_use=options.trust_first_use)
        OutputPath.file(split).refuse_inputs([path for path in (data, val) if isinstance(path, Path)])
    given = read_train_val(data, val, root=options.root, classes=options.classes)
    if len(given.train.class_names) < 2:
        raise DataError(f"{data}: only one class, {given.train.class_names[0]}; a classifier needs at least two.")
    if given.held_out is None and options.resume and split.exists():
        again = resumed_split(given.train, split)
        sides = replace(
            given, train=again.split(TRAIN), held_out=again.split(VAL) if VAL in again.split_names else None
        )
    else:
        sides = with_held_out(given, share=_SHARE, seed=options.seed)
    _check_sides(sides, options)
    recipe = folder_recipe(sides.train.class_names, len(sides.train), base=base).with_settings(settings)
    if options.resume:
        recipe = with_epochs_of_run(recipe, settings, out)
    if not options.resume:
        refuse_other_run(out)  # before any of its files is overwritten
    return NetworkPlan(recipe, sides, out, options, chosen_at_random=given.held_out is None, recipe_chosen=True)


def with_epochs_of_run(recipe: Recipe, settings: Sequence[str], run: Path) -> Recipe:
    """The recipe with the number of epochs of the run in a folder, unless `settings` change it.

    For recipes that Marey chose, or that were given by name: resuming needs no repeated --epochs.
    """
    if any(setting.partition("=")[0] == "train.epochs" for setting in settings):
        return recipe
    begun = json.loads(read_run(run / STATE)["recipe"])["train"]["epochs"]
    return recipe if begun == recipe.train.epochs else recipe.with_settings([f"train.epochs={begun}"])


def _check_machine(options: TrainOptions) -> None:
    """Check that this machine has what training and logging need.

    Raises:
        RunError: it lacks the device, the precision or the extra for TensorBoard.
    """
    check_machine(options.compute, training=True)
    if options.tensorboard:
        require_tensorboard()


def train_folder(plan: NetworkPlan) -> EvaluationResult | None:
    """Run what `plan_folder` planned: write the split, print what was chosen, train, test, report.

    If training is refused before its first step, the split is removed again.
    """
    recipe, out = plan.recipe, plan.out
    writes = processes().first and not (plan.options.resume and (out / "split.csv").exists())
    if writes:
        join_splits(plan.sides.train, plan.sides.tested).write_csv(out / "split.csv")
    notice(f"the split is {out / 'split.csv'}")
    if not plan.options.resume:
        alternative = "--init none for a small SlowOnly from scratch" if recipe.pretraining else _FROM_IMAGENET
        notice(
            f"{recipe.title}: {recipe.notes}\n"
            f"Another network: {alternative}.\n"
            f"To change any of it: copy {out / 'recipe.yaml'} to mine.yaml, edit that, then "
            f"{marey_line('train', 'mine.yaml', '--data', out / 'split.csv')}"
        )
    try:
        return train_and_test(plan)
    except (MareyError, KeyboardInterrupt):
        if writes and not has_begun(out):
            for written in (out / "split.csv", classes_beside(out / "split.csv")):
                written.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # the folder has other files
                out.rmdir()
        raise


def train_and_test(plan: NetworkPlan) -> EvaluationResult | None:
    """Run a plan: train, test the last checkpoint on the held-out videos if there are any, write the report."""
    recipe, val, out, options = plan.recipe, plan.sides.held_out, plan.out, plan.options
    announce_training(
        _counts_text(plan.sides, chosen_at_random=plan.chosen_at_random), recipe, plan.sides.train, val, options.compute,
        resumed=out if options.resume else None,
    )  # fmt: skip
    for note in plan.sides.notes:
        notice(note)
    fitted = fit(
        recipe,
        train=plan.sides.train,
        val=val,
        out=out,
        init=options.init,
        seed=options.seed,
        resume=options.resume,
        tensorboard=options.tensorboard,
        max_broken=options.max_broken,
        compute=options.compute,
        trust_first_use=options.trust_first_use,
        go_on=options.resume_command,
    )
    if val is None:
        if processes().first:
            notice(f"report: {write_report(out)}")
            write_readme(out)
            next_steps(marey_line("predict", out, _existing(plan.sides.train)))
        return None
    result = evaluate_last_checkpoint(fitted, val, out=out, options=options)
    if processes().first:
        print(result.summary(), flush=True)
        next_steps(marey_line("predict", out, _existing(val)))
    return result


def _existing(manifest: Manifest) -> str:
    """The first of the first hundred videos that exists, for a command to try next; addresses are assumed to exist."""
    paths = [manifest[row].path for row in range(min(100, len(manifest)))]
    return str(next((path for path in paths if isinstance(path, Address) or path.exists()), paths[0]))


def evaluate_last_checkpoint(fitted: FitResult, val: Manifest, *, out: Path, options: TrainOptions) -> EvaluationResult:
    """Test the last checkpoint of a run. Not the best one: the epoch would have been chosen on these very videos."""
    compute = Compute(device=options.compute.device, workers=options.compute.workers)
    return evaluate_and_report(load_model(fitted.last), val, out=out, max_broken=options.max_broken, compute=compute)


def announce_training(
    counts: str, recipe: Recipe, train: Manifest, held_out: Manifest | None, compute: Compute, *, resumed: Path | None
) -> None:
    """Print the first line of a training: videos, device and expected time. Only the first process measures and prints.

    Args:
        counts: The number of videos and classes, in words.
        resumed: The folder of the run that is resumed, whose remaining epochs count; None: a new run.
    """
    if not processes().first:
        return
    left = max(0, recipe.train.epochs - (0 if resumed is None else finished_epochs(resumed)))
    seconds = training_seconds(recipe, train, held_out, compute, epochs=left) if work_summary_pending() else None
    expected = "" if seconds is None else f"; {about(seconds)}"
    work_summary(f"{counts}; on {device_text(pick_training_device(compute.device))}{expected}")


def _counts_text(sides: TrainVal, *, chosen_at_random: bool) -> str:
    """How many videos are trained on and held out, and what chose them."""
    train, held_out = sides.train, sides.held_out
    held = 0 if held_out is None else len(held_out)
    classes = classes_text(train.class_names)
    text = f"{counted(len(train) + held, 'video')}, {classes}: {len(train)} to train on, {held} held out"
    if held_out is None or chosen_at_random:
        return text
    chosen_by = "the split" if held_out.source == train.source else f"those of {held_out.source}, split"
    return f"{text} ({chosen_by} {sides.held_out_as!r})"


def _check_sides(sides: TrainVal, options: TrainOptions) -> None:
    """Warn of classes without a training video, and refuse videos of which too many files are missing.

    Raises:
        DataError: too many files are missing.
    """
    train = sides.train
    counts = train.multi_hot().sum(0)
    empty = [name for name, count in zip(train.class_names, counts.tolist(), strict=True) if not count]
    if empty:
        names = first_of(empty, 5)
        count = f"{len(empty)} of {counted(len(train.class_names), 'class')}"
        warning_once(
            f"{train.source or 'the list'}: {count} {verb(len(empty), 'has', 'have')} no video to train on: {names}."
        )
    if sides.held_out is None:
        check_present(options.max_broken, train)
        return
    require_present(options.max_broken, sides.held_out)  # checked here, since it is tested only after the training
    check_present(options.max_broken, train, sides.held_out)


def _for_stored_flow(recipe: Recipe, data: Path) -> Recipe:
    """The recipe with the flow method by which `marey data flow` stored the flow of a list, so that later flow is equal."""
    note = OutputPath.folder(data.parent).note(Command.FLOW)
    if recipe.flow is None or not note.exists():
        return recipe
    stored = FlowRule.model_validate(json.loads(note.read_text(encoding="utf-8"))["flow"])
    if (stored.short_side, stored.size) != (recipe.flow.short_side, recipe.flow.size):
        warning_once(
            f"{data}: this flow was computed on frames of another size than {recipe.name} uses: test with stored flow too "
            "(--fuse-data)."
        )
    if stored.method == recipe.flow.method:
        return recipe
    notice(f"{data}: flow by {stored.method.method}; from now on the recipe computes flow by it, too.")
    return recipe.variant(flow_method=stored.method)


def _for_classes(recipe: Recipe, manifest: Manifest) -> Recipe:
    """The recipe with as many classes as the list."""
    if recipe.model.num_classes == len(manifest.class_names):
        return recipe
    notice(
        f"{recipe.name}: a head for the list's {counted(len(manifest.class_names), 'class')} in place of "
        f"{recipe.model.num_classes}."
    )
    return recipe.variant(model={"num_classes": len(manifest.class_names)})
