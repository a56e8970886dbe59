"""`marey reproduce`: all steps of a published row, from the downloaded data set to a number beside the published one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from marey.backends.compute import Compute
from marey.backends.precision import check_machine
from marey.base.claim import OutputPath
from marey.base.errors import DataError, RecipeError
from marey.base.processes import processes
from marey.base.readme import write_readme
from marey.base.reporter import notice
from marey.base.runs import STATE
from marey.base.words import counted, percent
from marey.data.catalogue import class_names_of
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.videos import classes_text
from marey.data.prepare import PUBLISHED_SETS, prepare, published_set
from marey.evaluation.result import EvaluationResult
from marey.recipe import Recipe, TwoStream
from marey.recipes import RECIPES, find_two_stream, get_recipe
from marey.training.fit import fit
from marey.weights.fetching.obtain import check_named, check_obtainable, check_row
from marey.weights.load import load_model
from marey.weights.pretraining import check_start, start_names
from marey.workflows.evaluate_model import evaluate_and_report
from marey.workflows.open_model import explain_other_classes
from marey.workflows.train_network import TrainOptions, announce_training
from marey.workflows.two_streams import Streams, evaluate_streams

_WITH_SPLITS = ("ucf101", "hmdb51")
"""Data sets with several official splits."""
_HELD_OUT = ("val", "test")
"""The names of the split that is tested on, in order of preference."""


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions:
    """How to reproduce a row. Sequences have an entry for each stream."""

    weights: Sequence[str | Path | None] = (None, None)
    """The checkpoint to test of each stream; None: the published weights."""
    train: bool = False
    """Whether to train every stream instead of loading its weights."""
    init: Sequence[str | None] = (None, None)
    """What the training of each stream starts from, as `TrainOptions.init`; None: what the recipe says."""
    splits: Sequence[int] = (1,)
    """Official splits of UCF101 and HMDB51 to test, 1 to 3; by default the first."""
    settings: Sequence[str] = ()
    """Changed fields of the recipes ("test.clips=1"), none by default. With any, the row is another experiment and has
    no published number."""
    root: Path | None = None
    """The folder that a list's paths are relative to; None: the list's own."""
    test: Compute = Compute()  # noqa: RUF009 - frozen
    """Device, precision, batch and backend of the test; by default chosen for this machine."""
    training: TrainOptions = TrainOptions()  # noqa: RUF009 - frozen
    """How to train on this machine. Its `max_broken` and `trust_first_use` also hold for tests."""


@dataclass(frozen=True)
class SplitLists:
    """The lists of one official split."""

    name: str
    """The name of the list to test on, without its suffix, which names the split in results."""
    train: Path
    """The list to train on."""
    test: Path
    """The list to test on."""
    split: str | None
    """The split of the tested rows; None: the list has no split column, and all rows are tested."""


@dataclass(frozen=True)
class Reproduction:
    """The results of a row, one for each official split."""

    row: str
    """The name of the row: a recipe, or a row of two streams."""
    lists: tuple[SplitLists, ...]
    """The lists of the splits that were tested."""
    results: tuple[EvaluationResult, ...]
    """The result on each split, in the order of `lists`."""

    @property
    def top1(self) -> float:
        """The mean over the splits, 0 to 1."""
        return fmean(result.top1 for result in self.results)

    def as_json(self) -> dict[str, Any]:
        splits = {lists.name: result.as_json() for lists, result in zip(self.lists, self.results, strict=True)}
        return {"row": self.row, "top1": self.top1, "splits": splits}

    def summary(self) -> str:
        """The table that a reproduction ends with."""
        lines = [self.row]
        for lists, result in zip(self.lists, self.results, strict=True):
            lines += [f"  {lists.name}: {result.verdict}", f"    {result.numbers_text()}"]
            lines += [f"    {comparison}" for comparison in result.comparisons]
        if len(self.results) > 1:
            lines.append(f"  mean of {counted(len(self.results), 'split')}: top-1 {percent(self.top1)}")
        return "\n".join(lines)


def reproduce(name: str, data: Path, *, out: Path, options: ReproduceOptions) -> Reproduction:
    """Prepare the data, train if asked, test by the row's protocol, fuse two streams, and compare with what was published.

    A second call with the same arguments resumes where the first one was interrupted.

    Args:
        name: A recipe, or a row of two streams.
        data: A list of videos, or the folder of a public data set as it was downloaded.

    Raises:
        RecipeError, WeightsError, DataError: no such row, no weights and no training, data of another set.
        RunError: `out` or a folder in it holds another run, another process works there, or it cannot be written.
    """
    check_machine(options.test, training=options.train)
    OutputPath.folder(out).check()
    row = find_two_stream(name)
    recipes = [get_recipe(stream) for stream in ((row.rgb, row.flow) if row else (name,))]
    recipes = [recipe.with_settings(options.settings) if options.settings else recipe for recipe in recipes]
    _check_weights(row, recipes, options)
    splits = find_lists(recipes[0].dataset, data, out=out / "lists", splits=options.splits)
    results = []
    for lists in splits:
        folder = out / lists.name if len(splits) > 1 else out
        results.append(_tested(row, recipes, lists, out=folder, options=options))
    if processes().first:
        write_readme(out, always=True)
    return Reproduction(name, tuple(splits), tuple(results))


def _check_weights(row: TwoStream | None, recipes: Sequence[Recipe], options: ReproduceOptions) -> None:
    """Check before any data is prepared that there are weights to test, or to start training from.

    Raises:
        WeightsError: none can be obtained.
    """
    trust = options.training.trust_first_use
    if options.train:
        for recipe, init in zip(recipes, options.init, strict=False):
            check_start(recipe, init or _base_of(recipe), trust_first_use=trust)
    elif row is not None and not any(options.weights):
        check_row(row, trust_first_use=trust, command="marey reproduce")
    else:
        for recipe, weights in zip(recipes, options.weights, strict=False):
            if weights is None:
                check_obtainable(recipe, trust_first_use=trust, command="marey reproduce")
            else:
                check_named(weights, trust_first_use=trust)


def check_used(
    row: str | None,
    data: Path,
    *,
    train: bool,
    weights: Sequence[str | None],
    init: Sequence[str],
    seed: int | None,
    splits: str | None,
    root: Path | None,
) -> None:
    """Refuse options that have no effect on the reproduction of a row, or on an ablation (`row` None).

    Raises:
        RecipeError: such an option was given, or there is no such row.
    """
    declared = None if row is None else find_two_stream(row)
    streams = 1 if declared is None else 2
    dataset = "kinetics400" if row is None else get_recipe(row if declared is None else declared.rgb).dataset
    whose = "an ablation" if row is None else f"{row}, which has one network"
    for is_unused, message in (
        (
            train and any(weights),
            "--weights and --fuse-weights: a network that is trained takes no other weights: leave them out.",
        ),
        (not train and init, "--init: is for training, and nothing is trained: leave it out, or add --train."),
        (
            not train and seed is not None,
            "--seed: is for training, and nothing is trained: leave it out, or add --train.",
        ),
        (streams == 1 and weights[1], f"--fuse-weights {weights[1]}: is for a second network, not for {whose}."),
        (
            len(init) > streams,
            f"--init: was given {len(init)} times, and {streams} {'is' if streams == 1 else 'are'} trained.",
        ),
        (
            splits is not None and (data.is_file() or dataset not in _WITH_SPLITS),
            f"--splits {splits}: is for the folder of UCF101 or HMDB51 as it was downloaded; {data} has one list.",
        ),
        (
            root is not None and data.is_dir(),
            f"--root {root}: is for the relative paths of a list, and {data} is a folder: leave it out.",
        ),
    ):
        if is_unused:
            raise RecipeError(message)


def names_to_fetch(row: str, *, train: bool, weights: Sequence[str | None], init: Sequence[str | None]) -> list[str]:
    """What a reproduction would download: names of recipes or initial weights, or the addresses given as weights.

    Raises:
        RecipeError: no such row.
        WeightsError: initial weights that the row's network does not have.
    """
    declared = find_two_stream(row)
    names = (declared.rgb, declared.flow) if declared is not None else (row,)
    if not train:
        return [given or name for name, given in zip(names, weights, strict=False)]
    recipes = [get_recipe(name) for name in names]
    starts = (start_names(recipe, given or _base_of(recipe)) for recipe, given in zip(recipes, init, strict=False))
    return [word for words in starts for word in words]


def find_lists(dataset: str, data: Path, *, out: Path, splits: Sequence[int]) -> list[SplitLists]:
    """The lists to train and test on: `data` itself, or for a folder those that preparing it writes, one per official split.

    Raises:
        DataError: a folder of a data set that Marey cannot prepare, or one that lacks the videos of a split.
    """
    if data.is_file():
        return [SplitLists(data.stem, data, data, _held_out(data))]
    if dataset not in [known.name for known in PUBLISHED_SETS]:
        raise DataError(f"{data}: {dataset} is no data set that Marey prepares: name a list of its videos with --data.")
    notice(f"preparing {dataset} in {data}")
    written = {Path(path).stem: Path(path) for path in prepare(published_set(dataset), data, out=out).lists}
    if dataset in _WITH_SPLITS:
        wanted = [(f"{dataset}_split{number}",) * 2 for number in splits]
    else:
        wanted = [(f"{dataset}_train", f"{dataset}_val")]
    missing = [test for _, test in wanted if test not in written]
    if missing:
        there = ", ".join(written) or "none"
        raise DataError(f"{data}: preparing wrote no list {', '.join(missing)} (lists: {there}).")
    return [
        SplitLists(test, written.get(train, written[test]), written[test], _held_out(written[test]))
        for train, test in wanted
    ]


def _tested(
    row: TwoStream | None, recipes: Sequence[Recipe], lists: SplitLists, *, out: Path, options: ReproduceOptions
) -> EvaluationResult:
    """The result for one split: train or load every stream, then test."""
    classifiers, training = [], options.training
    for recipe, weights, init in zip(recipes, options.weights, options.init, strict=False):
        if options.train:
            checkpoint = _trained(recipe, lists, init, out=out / f"train-{recipe.name}", options=options)
            classifiers.append(load_model(checkpoint))
        else:
            with explain_other_classes():
                classifiers.append(load_model(recipe, weights=weights, trust_first_use=training.trust_first_use))
    out = out / "test"
    if row is None:
        return evaluate_and_report(
            classifiers[0], lists.test, out=out, root=options.root, split=lists.split, max_broken=training.max_broken,
            compute=options.test,
        )  # fmt: skip
    declared = row if not options.settings else row.model_copy(update={"published": None})
    streams = Streams(tuple(classifiers), row.fusion, row.weights, declared)
    return evaluate_streams(
        streams, lists.test, out=out, root=options.root, split=lists.split, max_broken=training.max_broken,
        compute=options.test,
    )  # fmt: skip


def _trained(recipe: Recipe, lists: SplitLists, init: str | None, *, out: Path, options: ReproduceOptions) -> Path:
    """The last checkpoint of a training that is started, resumed, or already complete."""
    # The classes are those of the public set, also where a copy of it lacks some.
    listed = read_manifest(lists.train, root=options.root, classes=class_names_of(recipe.dataset))
    train = listed.split("train") if listed.split_names else listed
    val = read_manifest(lists.test, root=options.root, classes=train.class_names, split=lists.split)
    training, resume = options.training, (out / STATE).exists()
    counts = (
        f"{recipe.name}, {counted(len(train) + len(val), 'video')}, {classes_text(train.class_names)}: {len(train)} to "
        f"train on, {len(val)} held out (split {lists.name})"
    )
    announce_training(counts, recipe, train, val, training.compute, resumed=out if resume else None)
    fitted = fit(
        recipe,
        train=train,
        val=val,
        out=out,
        init=init or _base_of(recipe),
        seed=training.seed,
        resume=resume,
        max_broken=training.max_broken,
        compute=training.compute,
        trust_first_use=training.trust_first_use,
        go_on=training.resume_command,
    )
    return fitted.last


def _base_of(recipe: Recipe) -> str | None:
    """The Kinetics row of the same network that a transfer row starts from; None: the recipe's own start."""
    base = recipe.name.replace(f"_{recipe.dataset}", "_k400")
    known = any(other.name == base for other in RECIPES)
    return base if recipe.pretraining == "kinetics400" and known else None


def _held_out(path: Path) -> str | None:
    """The split of a list that is tested on; None: the list has no split column.

    Raises:
        DataError: the split column has no such split.
    """
    names = read_manifest(path).split_names
    held_out = next((name for name in _HELD_OUT if name in names), None)
    if names and held_out is None:
        raise DataError(f"{path}: the split column names {', '.join(names)}, but no split to test on (val, test).")
    return held_out
