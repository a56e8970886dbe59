"""Train, test and report in one go: a recipe on a list, or a classifier from a folder of clips or a list of them."""

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
from marey.base.reporter import first_line_awaited, notice, understood, warning_once
from marey.base.runs import STATE
from marey.base.shell import marey_line, next_steps
from marey.base.words import about, counted, verb
from marey.data.files.missing import check_present, require_present
from marey.data.lists.manifest import Manifest, classes_beside
from marey.data.lists.split_names import TRAIN, VAL
from marey.data.lists.videos import classes_text, first_of
from marey.data.splits.sides import Sides, class_table, joined, read_sides, with_held_out
from marey.data.splits.split import both_sides, split_again
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
from marey.workflows.pace import training_seconds
from marey.workflows.testing import test_model

_FROM_PICTURES = "--init imagenet for TSM on EfficientNet-Lite0 from ImageNet's weights, which are installed with Marey"
_SHARE = 0.2
"""Of the videos, held out where the data say nothing."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train here and now: nothing of it belongs to a recipe."""

    seed: int = 0
    compute: Compute = Compute()  # noqa: RUF009 - frozen
    resume: bool = False
    init: str | None = None
    root: Path | None = None
    classes: Path | Sequence[str] | None = None
    tensorboard: bool = False
    max_broken: float | None = None
    trust_first_use: bool = False
    """Fetch weights of which no hash was published, too."""
    go_on: str | None = None
    """The command line that would resume the run."""


@dataclass(frozen=True)
class Plan:
    """What a training was understood to be. Nothing is run or written until `train_and_test`."""

    recipe: Recipe
    sides: Sides
    out: Path
    options: TrainOptions
    by_lot: bool = False
    """Whether the held-out videos were drawn here."""
    recipe_chosen: bool = False
    """Whether Marey chose the recipe, for a folder or list."""

    def as_text(self) -> str:
        """The videos by class and side, what is not used, the sources, the recipe, its start and the output folder."""
        train, held_out = self.sides.train, self.sides.held_out
        start = self.options.init or self.recipe.pretraining or "none"
        lines = [
            _counts_text(self.sides, by_lot=self.by_lot),
            *class_table(train, self.sides.tested),
            *self.sides.notes,
            *(() if held_out is None else both_sides(train, held_out).lines),
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
) -> Plan:
    """To train on `data` by a recipe, and to test on the validation videos.

    Without `val` the list's own split column (train, val) decides; a list without one is all for training, and
    then nothing is tested. The network gets as many classes as the list names.

    Raises:
        DataError: the data cannot be read, no row is for training, or too many files are missing.
        RunError: there is no run in `out` to resume.
    """
    _check_machine(options)
    if options.resume:
        require_run(out)
    else:
        check_start(recipe, options.init, trust_first_use=options.trust_first_use)
    sides = read_sides(data, val, root=options.root, classes=options.classes)
    if isinstance(data, Path):
        recipe = _for_stored_flow(recipe, data)
    _check_sides(sides, options)
    if sides.held_out is None:
        notice(f"{sides.train.source or 'the list'}: no video is held out, so nothing is tested: --val LIST_OR_FOLDER.")
    return Plan(_for_classes(recipe, sides.train), sides, out, options)


def plan_classifier(
    data: Path | Manifest, *, val: Path | Manifest | None = None, settings: Sequence[str] = (), out: Path,
    options: TrainOptions,
) -> Plan:  # fmt: skip
    """A classifier of the classes of a folder or list: which recipe, and which videos are held out.

    Where `options.init` names nothing else, that is TSM on EfficientNet-Lite0 from ImageNet's weights; else a small
    SlowOnly. Without `val` and without a split column that says so, a fifth of the videos is held out.

    Raises:
        DataError: no videos, fewer than two classes, a class with a single source of clips, or too many missing files.
        RunError: another run lives in `out`, or none to resume, or a list that is read is the split.csv of it.
    """
    _check_machine(options)
    pictures = options.init == "imagenet" or (options.init is None)
    base = FOLDER_TSM if pictures else FOLDER
    split = out / "split.csv"
    if options.resume:
        require_run(out)
    else:
        check_start(base, options.init, trust_first_use=options.trust_first_use)
        OutputPath.file(split).refuse_inputs([path for path in (data, val) if isinstance(path, Path)])
    given = read_sides(data, val, root=options.root, classes=options.classes)
    if len(given.train.class_names) < 2:
        raise DataError(f"{data}: only one class, {given.train.class_names[0]}; telling apart takes at least two.")
    if given.held_out is None and options.resume and split.exists():
        again = split_again(given.train, split)
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
        refuse_other_run(out)  # before anything of it is written over
    return Plan(recipe, sides, out, options, by_lot=given.held_out is None, recipe_chosen=True)


def with_epochs_of_run(recipe: Recipe, settings: Sequence[str], run: Path) -> Recipe:
    """The recipe with the number of epochs that the run in a folder was begun with, unless `settings` name one.

    For recipes that Marey chose or that were named: what a user does not write again is what was said before.
    """
    if any(setting.partition("=")[0] == "train.epochs" for setting in settings):
        return recipe
    begun = json.loads(read_run(run / STATE)["recipe"])["train"]["epochs"]
    return recipe if begun == recipe.train.epochs else recipe.with_settings([f"train.epochs={begun}"])


def _check_machine(options: TrainOptions) -> None:
    """See that this machine can train so, and log so.

    Raises:
        RunError: it lacks the device, the precision or the extra for TensorBoard.
    """
    check_machine(options.compute, training=True)
    if options.tensorboard:
        require_tensorboard()


def train_classifier(plan: Plan) -> EvaluationResult | None:
    """Do what `plan_classifier` planned: write the split, say what was chosen, train, test, report.

    Where training is refused before its first step, no split stays behind.
    """
    recipe, out = plan.recipe, plan.out
    writes = processes().first and not (plan.options.resume and (out / "split.csv").exists())
    if writes:
        joined(plan.sides.train, plan.sides.tested).write_csv(out / "split.csv")
    notice(f"the split is {out / 'split.csv'}")
    if not plan.options.resume:
        other = "--init none for a small SlowOnly from scratch" if recipe.pretraining else _FROM_PICTURES
        notice(
            f"{recipe.title}: {recipe.notes}\n"
            f"Another network: {other}.\n"
            f"To change any of it: copy {out / 'recipe.yaml'} to mine.yaml, edit that, then "
            f"{marey_line('train', 'mine.yaml', '--data', out / 'split.csv')}"
        )
    try:
        return train_and_test(plan)
    except (MareyError, KeyboardInterrupt):
        if writes and not has_begun(out):
            for written in (out / "split.csv", classes_beside(out / "split.csv")):
                written.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # other files lie there
                out.rmdir()
        raise


def train_and_test(plan: Plan) -> EvaluationResult | None:
    """Do what was planned: train, test the last checkpoint on the held-out videos if there are any, write the report."""
    recipe, val, out, options = plan.recipe, plan.sides.held_out, plan.out, plan.options
    say_what_was_understood(
        _counts_text(plan.sides, by_lot=plan.by_lot), recipe, plan.sides.train, val, options.compute,
        begun=out if options.resume else None,
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
        go_on=options.go_on,
    )
    if val is None:
        if processes().first:
            notice(f"report: {write_report(out)}")
            write_readme(out)
            next_steps(marey_line("predict", out, _present(plan.sides.train)))
        return None
    result = test_last(fitted, val, out=out, options=options)
    if processes().first:
        print(result.summary(), flush=True)
        next_steps(marey_line("predict", out, _present(val)))
    return result


def _present(manifest: Manifest) -> str:
    """The first video that is there, of the first hundred; an address is not asked for."""
    paths = [manifest[row].path for row in range(min(100, len(manifest)))]
    return str(next((path for path in paths if isinstance(path, Address) or path.exists()), paths[0]))


def test_last(fitted: FitResult, val: Manifest, *, out: Path, options: TrainOptions) -> EvaluationResult:
    """Test the last checkpoint of a run, not the best: an epoch chosen by these very videos would flatter the number."""
    here = options.compute
    compute = Compute(device=here.device, workers=here.workers)
    return test_model(load_model(fitted.last), val, out=out, max_broken=options.max_broken, compute=compute)


def say_what_was_understood(
    counts: str, recipe: Recipe, train: Manifest, held_out: Manifest | None, compute: Compute, *, begun: Path | None
) -> None:
    """The first line of a training: its videos, in `counts`, the device and the expected time, of the epochs that are left
    where a run was `begun` in a folder. The first process measures and says it.
    """
    if not processes().first:
        return
    left = max(0, recipe.train.epochs - (0 if begun is None else finished_epochs(begun)))
    seconds = training_seconds(recipe, train, held_out, compute, epochs=left) if first_line_awaited() else None
    expected = "" if seconds is None else f"; {about(seconds)}"
    understood(f"{counts}; on {device_text(pick_training_device(compute.device))}{expected}")


def _counts_text(sides: Sides, *, by_lot: bool) -> str:
    """How many videos are trained on and held out, and on whose word."""
    train, held_out = sides.train, sides.held_out
    held = 0 if held_out is None else len(held_out)
    classes = classes_text(train.class_names)
    text = f"{counted(len(train) + held, 'video')}, {classes}: {len(train)} to train on, {held} held out"
    if held_out is None:
        return text
    if by_lot:
        return text
    by = "the split" if held_out.source == train.source else f"those of {held_out.source}, split"
    return f"{text} ({by} {sides.held_out_as!r})"


def _check_sides(sides: Sides, options: TrainOptions) -> None:
    """Name the classes without a training video, and refuse sides of which too many files are missing."""
    train = sides.train
    counts = train.multi_hot().sum(0)
    empty = [name for name, count in zip(train.class_names, counts.tolist(), strict=True) if not count]
    if empty:
        some = first_of(empty, 5)
        of = f"{len(empty)} of {counted(len(train.class_names), 'class')}"
        warning_once(
            f"{train.source or 'the list'}: {of} {verb(len(empty), 'has', 'have')} no video to train on: {some}."
        )
    if sides.held_out is None:
        check_present(options.max_broken, train)
        return
    require_present(options.max_broken, sides.held_out)  # tested alone, after a training with both
    check_present(options.max_broken, train, sides.held_out)


def _for_stored_flow(recipe: Recipe, data: Path) -> Recipe:
    """The recipe with the flow that `marey data flow` stored beside a list, so that flow computed later is the same."""
    note = OutputPath.folder(data.parent).note(Command.FLOW)
    if recipe.flow is None or not note.exists():
        return recipe
    stored = FlowRule.model_validate(json.loads(note.read_text(encoding="utf-8"))["flow"])
    if (stored.short_side, stored.size) != (recipe.flow.short_side, recipe.flow.size):
        warning_once(
            f"{data}: flow of pictures of another size than {recipe.name} computes it on: test with stored flow too "
            "(--fuse-data)."
        )
    if stored.method == recipe.flow.method:
        return recipe
    notice(f"{data}: flow by {stored.method.method}; the recipe computes it so from now on.")
    return recipe.variant(flow_method=stored.method)


def _for_classes(recipe: Recipe, manifest: Manifest) -> Recipe:
    if recipe.model.num_classes == len(manifest.class_names):
        return recipe
    notice(
        f"{recipe.name}: a head for the list's {counted(len(manifest.class_names), 'class')} in place of "
        f"{recipe.model.num_classes}."
    )
    return recipe.variant(model={"num_classes": len(manifest.class_names)})
