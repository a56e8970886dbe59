"""All steps of a published row, from the data set as it was downloaded to the number beside the published one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np

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
from marey.data.lists.formats import read_manifest
from marey.data.lists.videos import classes_text
from marey.data.prepare import PUBLISHED_SETS, prepare, published_set
from marey.evaluation.result import EvaluationResult
from marey.recipe import Recipe, TwoStream
from marey.recipes import RECIPES, find_two_stream, get_recipe
from marey.training.fit import fit
from marey.weights.fetching.obtain import check_named, check_obtainable, check_row
from marey.weights.load import load_model
from marey.weights.pretraining import check_start, start_names
from marey.workflows.models import own_classes
from marey.workflows.testing import test_model
from marey.workflows.train import TrainOptions, say_what_was_understood
from marey.workflows.two_streams import Streams, test_streams

_WITH_SPLITS = ("ucf101", "hmdb51")
"""Data sets with several official splits."""
_HELD_OUT = ("val", "test")
"""What the other side of a training split is called."""


@dataclass(frozen=True, kw_only=True)
class How:
    """How to go about it here and now.

    `weights` are checkpoints and `init` weights to start training from, one per stream. `splits` are the official ones of
    UCF101 and HMDB51. `settings` are `--set` words: the row is then another experiment, without a published number.
    """

    weights: Sequence[str | Path | None] = (None, None)
    train: bool = False
    init: Sequence[str | None] = (None, None)
    splits: Sequence[int] = (1,)
    settings: Sequence[str] = ()
    root: Path | None = None
    test: Compute = Compute()  # noqa: RUF009 - frozen
    """How to test; `options` say how to train."""
    options: TrainOptions = TrainOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Lists:
    """The videos of one split: the list to train on, and the list and split to test on."""

    name: str
    train: Path
    test: Path
    split: str | None
    """What the tested rows are called; None where the list has no split column."""


@dataclass(frozen=True)
class Reproduction:
    """What came of a row: a result for each official split."""

    row: str
    lists: tuple[Lists, ...]
    results: tuple[EvaluationResult, ...]

    @property
    def top1(self) -> float:
        """The mean over the splits."""
        return fmean(result.top1 for result in self.results)

    def as_json(self) -> dict[str, Any]:
        parts = {part.name: result.as_json() for part, result in zip(self.lists, self.results, strict=True)}
        return {"row": self.row, "top1": self.top1, "splits": parts}

    def summary(self) -> str:
        """The table that a reproduction ends with."""
        lines = [self.row]
        for part, result in zip(self.lists, self.results, strict=True):
            lines += [f"  {part.name}: {result.verdict}", f"    {result.numbers_text()}"]
            lines += [f"    {comparison}" for comparison in result.comparisons]
        if len(self.results) > 1:
            lines.append(f"  mean of {counted(len(self.results), 'split')}: top-1 {percent(self.top1)}")
        return "\n".join(lines)


def reproduce(name: str, data: Path, *, out: Path, how: How) -> Reproduction:
    """Prepare, train where asked, test by the row's protocol, fuse where it has two streams, compare.

    `data` is a list of videos, or the folder of a public data set as it was downloaded. A second call goes on where the
    first one was interrupted.

    Raises:
        RecipeError, WeightsError, DataError: no such row, no weights and no training, data of another set.
        RunError: `out` or a folder in it holds another run, another process works there, or it cannot be written.
    """
    check_machine(how.test, training=how.train)
    OutputPath.folder(out).check()
    row = find_two_stream(name)
    recipes = [get_recipe(stream) for stream in ((row.rgb, row.flow) if row else (name,))]
    recipes = [recipe.with_settings(how.settings) if how.settings else recipe for recipe in recipes]
    _check_weights(row, recipes, how)
    lists = find_lists(recipes[0].dataset, data, out=out / "lists", splits=how.splits)
    results = []
    for part in lists:
        folder = out / part.name if len(lists) > 1 else out
        results.append(_tested(row, recipes, part, out=folder, how=how))
    if processes().first:
        write_readme(out, always=True)
    return Reproduction(name, tuple(lists), tuple(results))


def _check_weights(row: TwoStream | None, recipes: Sequence[Recipe], how: How) -> None:
    """See before any data is prepared that there are weights to test, or to start training from.

    Raises:
        WeightsError: there are none to be had.
    """
    trust = how.options.trust_first_use
    if how.train:
        for recipe, init in zip(recipes, how.init, strict=False):
            check_start(recipe, init or _base_of(recipe), trust_first_use=trust)
    elif row is not None and not any(how.weights):
        check_row(row, trust_first_use=trust, command="marey reproduce")
    else:
        for recipe, weights in zip(recipes, how.weights, strict=False):
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
    """Refuse what was asked for and could have no effect on the reproduction of a row, or on an ablation (`row` None).

    Raises:
        RecipeError: one of them, or no such row.
    """
    declared = None if row is None else find_two_stream(row)
    streams = 1 if declared is None else 2
    dataset = "kinetics400" if row is None else get_recipe(row if declared is None else declared.rgb).dataset
    whose = "an ablation" if row is None else f"{row}, which has one network"
    for idle, words in (
        (
            train and any(weights),
            "--weights and --fuse-weights: what is trained has weights of its own: leave them out.",
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
        if idle:
            raise RecipeError(words)


def names_to_fetch(row: str, *, train: bool, weights: Sequence[str | None], init: Sequence[str | None]) -> list[str]:
    """What a reproduction would fetch: rows, starts, or the addresses that are given as weights.

    Raises:
        RecipeError: no such row.
        WeightsError: a start that the row's network does not have.
    """
    declared = find_two_stream(row)
    names = (declared.rgb, declared.flow) if declared is not None else (row,)
    if not train:
        return [given or name for name, given in zip(names, weights, strict=False)]
    recipes = [get_recipe(name) for name in names]
    starts = (start_names(recipe, given or _base_of(recipe)) for recipe, given in zip(recipes, init, strict=False))
    return [word for words in starts for word in words]


def find_lists(dataset: str, data: Path, *, out: Path, splits: Sequence[int]) -> list[Lists]:
    """The lists to work on: `data` itself, or those that preparing the folder writes, one per official split.

    Raises:
        DataError: a folder of a data set that Marey cannot prepare, or without the clips that are wanted.
    """
    if data.is_file():
        return [Lists(data.stem, data, data, _held_out(data))]
    if dataset not in [known.name for known in PUBLISHED_SETS]:
        raise DataError(f"{data}: {dataset} is no set that Marey prepares: name a list of its videos with --data.")
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
        Lists(test, written.get(train, written[test]), written[test], _held_out(written[test]))
        for train, test in wanted
    ]


def _tested(row: TwoStream | None, recipes: Sequence[Recipe], part: Lists, *, out: Path, how: How) -> EvaluationResult:
    """One split: every stream trained or loaded, then tested."""
    classifiers = []
    for recipe, weights, init in zip(recipes, how.weights, how.init, strict=False):
        if how.train:
            classifiers.append(load_model(_trained(recipe, part, init, out=out / f"train-{recipe.name}", how=how)))
        else:
            with own_classes():
                classifiers.append(load_model(recipe, weights=weights, trust_first_use=how.options.trust_first_use))
    out, max_broken = out / "test", how.options.max_broken
    if row is None:
        return test_model(
            classifiers[0], part.test, out=out, root=how.root, split=part.split, max_broken=max_broken, compute=how.test
        )
    declared = row if not how.settings else row.model_copy(update={"published": None})
    streams = Streams(tuple(classifiers), row.fusion, row.weights, declared)
    return test_streams(
        streams, part.test, out=out, root=how.root, split=part.split, max_broken=max_broken, compute=how.test
    )


def _trained(recipe: Recipe, part: Lists, init: str | None, *, out: Path, how: How) -> Path:
    """The checkpoint of a training that is begun, resumed, or over."""
    # All classes of a public set, also where a copy of it lacks some.
    whole = read_manifest(part.train, root=how.root, classes=class_names_of(recipe.dataset))
    train = whole.split("train") if whole.split_names else whole
    val = read_manifest(part.test, root=how.root, classes=train.class_names, split=part.split)
    options, resume = how.options, (out / STATE).exists()
    counts = (
        f"{recipe.name}, {counted(len(train) + len(val), 'video')}, {classes_text(train.class_names)}: {len(train)} to "
    )
    counts += f"train on, {len(val)} held out (split {part.name})"
    say_what_was_understood(counts, recipe, train, val, options.compute, begun=out if resume else None)
    fitted = fit(
        recipe,
        train=train,
        val=val,
        out=out,
        init=init or _base_of(recipe),
        seed=options.seed,
        resume=resume,
        max_broken=options.max_broken,
        compute=options.compute,
        trust_first_use=options.trust_first_use,
        go_on=options.go_on,
    )
    return fitted.last


def _base_of(recipe: Recipe) -> str | None:
    """The Kinetics row of the same network, where a transfer row starts from it; None: as the recipe itself says."""
    base = recipe.name.replace(f"_{recipe.dataset}", "_k400")
    known = any(other.name == base for other in RECIPES)
    return base if recipe.pretraining == "kinetics400" and known else None


def _held_out(path: Path) -> str | None:
    """The split of a list that is tested on; None where it has no split column."""
    names = read_manifest(path).split_names
    found = next((name for name in _HELD_OUT if name in names), None)
    if names and found is None:
        raise DataError(
            f"{path}: the split column names {', '.join(names)}, but no row is to be tested on (val, test)."
        )
    return found


# The announcement's two findings --------------------------------------------------------------------------------------

Ablation = Literal["imagenet", "segments"]


@dataclass(frozen=True)
class _Pair:
    """A claim of the announcement, and the two trainings whose difference it is."""

    claim: str
    with_it: tuple[str, str | None]
    """(recipe, init)."""
    without: tuple[str, str | None]


_PAIRS: dict[Ablation, _Pair] = {
    "imagenet": _Pair(
        "ImageNet pretraining brings about 2 points",
        ("tsn_r50_3seg_k400", "imagenet"),
        ("tsn_r50_3seg_k400", "none"),
    ),
    "segments": _Pair(
        "8 segments bring 1.0 points over 3 (71.6 and 70.6)",
        ("tsn_r50_8seg_k400", None),
        ("tsn_r50_3seg_k400", None),
    ),
}


def ablate(which: Ablation, data: Path, *, out: Path, how: How) -> str:
    """Train both sides of one of the announcement's findings on the same videos; what the difference is.

    It raises what `reproduce` raises.
    """
    check_machine(how.test, training=True)
    pair = _PAIRS[which]
    if how.splits != (1,):
        raise RecipeError("--ablation: Kinetics-400 has one split; leave out --splits.")
    found = []
    for side, (name, init) in {"with": pair.with_it, "without": pair.without}.items():
        notice(f"{side}: {name}{f', --init {init}' if init else ''}")
        arm = replace(how, train=True, init=(init or how.init[0], None))
        found.append(reproduce(name, data, out=out / side, how=arm).results[0])
    difference, half = paired_difference(*found)
    return (
        f"{pair.claim}.\nHere: {100 * found[0].top1:.1f} with, {100 * found[1].top1:.1f} without, a difference of "
        f"{100 * difference:+.1f} points (95 % interval {100 * (difference - half):+.1f} to "
        f"{100 * (difference + half):+.1f}, {counted(found[0].num_videos, 'video')}, one seed each)."
    )


def paired_difference(one: EvaluationResult, other: EvaluationResult) -> tuple[float, float]:
    """The difference of two top-1 on the same videos, and half of its 95 % interval.

    Videos that both judge alike say nothing about it: the variance is that of the ones on which they differ.
    """
    if one.scores.ids != other.scores.ids:
        common = set(one.scores.keys) & set(other.scores.keys)
        one, other = (EvaluationResult(r.scores.keep(common)) for r in (one, other))
    right = [result.scores.probabilities.argmax(axis=1) == result.scores.labels for result in (one, other)]
    apart = right[0].astype(float) - right[1].astype(float)
    return float(apart.mean()), float(1.96 * apart.std() / np.sqrt(len(apart)))
