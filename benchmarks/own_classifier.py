"""Measure `marey train` on small labelled sets, beside guessing, single frames and a plain probe.

    python benchmarks/own_classifier.py table LIST... [--motions] [--draws 5]
    python benchmarks/own_classifier.py goals LIST...
    python benchmarks/own_classifier.py intervals LIST...
    python benchmarks/own_classifier.py cost LIST... [--motions]

LIST is a list with a column `group` (a recording, a scene), such as skate2.csv. `--motions` adds the generated set in
its old look. Marey's predictions are those of the command `marey train list.csv --out RUN` without any further option;
the other classifiers are in plain_probe.py. Results are stored in --work, so that a second call computes only those that
are missing. `--quick` computes a small part of each table.

- table: 5, 20 and 50 clips a class are drawn by groups, at most a third of a class from one group. The clips of groups
  that were not drawn are the test, about 120 clips at most. Mean and standard deviation over the draws.
- goals: five stratified folds of complete groups, three seeds. The accuracy of Marey minus that of the probe, for each set
  and for all clips together, with quantiles of a bootstrap over groups.
- intervals: two thirds of the groups are drawn thirty times; how often the interval that `marey train` states for them
  contains the accuracy on the last third.
- cost: core-seconds, minutes and peak memory of the command, with an empty cache, on 300 generated clips of 256x256
  pixels and 3 seconds, and on each list.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backends import cpu
from marey.data.catalogue.class_names import CLASS_NAMES, REVERSED_PAIRS
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.motions import NOISE, write_motions
from marey.evaluation.result import EvaluationResult
from measured import Spent, measured
from plain_probe import FrameFeatures, class_scores, frame_features, probe, single_frames

Rows = NDArray[np.int64]
Right = NDArray[np.bool_]

SIZES, FOLDS, SEEDS, SPLITS = (5, 20, 50), 5, 3, 30
MOST_TESTED = 120
COST_CLIPS = 300


# Sets and how they are divided -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Labelled:
    """A set of clips, each of one class and of one group; `work` is the folder for its results."""

    name: str
    clips: Manifest
    work: Path

    @property
    def labels(self) -> Rows:
        return self.clips.labels

    @property
    def classes(self) -> int:
        return len(self.clips.class_names)

    @cached_property
    def groups(self) -> Rows:
        """[N]: the index of each clip's group. A clip without one is a group by itself."""
        given = self.clips.groups
        assert given is not None
        names = [
            group or f"a clip: {clip}" for group, clip in zip(given.tolist(), self.clips.ids.tolist(), strict=True)
        ]
        return np.unique(names, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def features(self) -> FrameFeatures:
        return frame_features(self.clips, self.work / "features.npz")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of classes that are each other reversed in time, if these are the classes of `motions`."""
        names = self.clips.class_names
        return [(names.index(one), names.index(other)) for one, other in REVERSED_PAIRS if names == CLASS_NAMES]


def read_set(path: Path, work: Path) -> Labelled:
    """A list with groups."""
    clips = read_manifest(path)
    if clips.groups is None:
        raise SystemExit(f"{path}: a column `group` says which clips belong together")
    return _labelled(path.stem, clips, work)


def motions(work: Path, *, scenes: int) -> Labelled:
    """`motions` in its old look, with `scenes` scenes for each pair of classes: one clip of each class per scene."""
    folder = work / "motions-old-look"
    train = write_motions(folder / "clips", train=12 * scenes, test=12, size=128, frames=20, look=NOISE)[0]
    return _labelled("motions, old look", train, work)


def _labelled(name: str, clips: Manifest, work: Path) -> Labelled:
    folder = work / name.replace(", ", "-").replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    return Labelled(name, clips, folder)


def drawn(of: Labelled, count: int, seed: int) -> tuple[Rows, Rows]:
    """Choose at random `count` clips of each class to train on, and clips to test: complete groups of which no clip is
    trained on, until they have MOST_TESTED clips or more.
    """
    random = np.random.default_rng(seed)
    most = -(-count // 3)
    taken: list[int] = []
    left = np.full(of.classes, count)
    for group in random.permutation(of.groups.max() + 1):
        members = random.permutation(np.flatnonzero(of.groups == group))
        for label in np.unique(of.labels[members]):
            some = members[of.labels[members] == label][: min(most, left[label])]
            taken += some.tolist()
            left[label] -= len(some)
    if left.any():
        raise SystemExit(f"{of.name}: too few clips or groups for {count} clips a class")
    train = np.sort(np.array(taken))
    others = random.permutation(np.setdiff1d(of.groups, of.groups[train]))
    before = np.cumsum([0, *(int((of.groups == group).sum()) for group in others[:-1])])
    return train, np.flatnonzero(np.isin(of.groups, others[before < MOST_TESTED]))


def thirds(of: Labelled, seed: int) -> tuple[Rows, Rows]:
    """The clips of two thirds of the groups, chosen at random, and those of the other groups. The former have each class in
    at least two groups, the latter in at least one.
    """
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(of.groups.max() + 1)
        held_out = np.isin(of.groups, order[: len(order) // 3])
        sources = [len(np.unique(of.groups[~held_out & (of.labels == label)])) for label in range(of.classes)]
        if min(sources) > 1 and len(np.unique(of.labels[held_out])) == of.classes:
            return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def grouped_folds(of: Labelled, count: int, seed: int) -> Rows:
    """[N]: the fold of each clip, as by scikit-learn's StratifiedGroupKFold: groups with the most uneven classes first
    (equal ones in random order), each in the fold that makes the shares of the classes most even.
    """
    random = np.random.default_rng(seed)
    members = np.zeros((of.groups.max() + 1, of.classes))
    np.add.at(members, (of.groups, of.labels), 1)
    shuffled = random.permutation(len(members))
    order = shuffled[np.argsort(-members[shuffled].std(axis=1), kind="stable")]
    held, of_class, fold_of = np.zeros((count, of.classes)), members.sum(axis=0), np.zeros(len(members), np.int64)
    for group in order:
        uneven = []
        for fold in range(count):
            held[fold] += members[group]
            uneven.append((round(float((held / of_class).std(axis=0).mean()), 12), held[fold].sum()))
            held[fold] -= members[group]
        fold_of[group] = min(range(count), key=uneven.__getitem__)
        held[fold_of[group]] += members[group]
    return fold_of[of.groups]


# Marey's command ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """The results of one training."""

    right: list[bool]
    """Whether each tested clip was predicted correctly."""
    in_pairs: float | None
    """The accuracy between a class and its reversed class, if the set has such pairs."""
    stated: tuple[float, float] | None
    """The interval for new clips that the run states."""
    spent: Spent


def marey_on(of: Labelled, train: Rows, test: Rows, key: str) -> Outcome:
    """Train on some clips and test on others with the command, or read the stored result; cached features are used."""
    kept = of.work / f"{key}.json"
    if not kept.exists():
        folder = of.work / key
        shutil.rmtree(folder, ignore_errors=True)
        run, spent = _train(of, train, test, folder, cache=of.work / "cache")
        tested = EvaluationResult.load(run / "test")
        if len(tested.scores.ids) != len(test):
            raise SystemExit(f"{run}: {len(tested.scores.ids)} of {len(test)} clips were tested")
        right = tested.scores.probabilities.argmax(axis=1) == tested.scores.labels
        stated = EvaluationResult.load(run).interval
        found = {
            "right": right.tolist(),
            "in_pairs": tested.pairs(of.pairs) if of.pairs else None,
            "stated": None if stated is None else (stated.low, stated.high),
            "spent": asdict(spent),
        }
        shutil.rmtree(folder)
        kept.write_text(json.dumps(found), encoding="utf-8")
    found = json.loads(kept.read_text(encoding="utf-8"))
    return Outcome(**{**found, "spent": Spent(**found["spent"])})


def cost_of(of: Labelled, rows: Rows, key: str) -> Spent:
    """Time and memory of the command on some clips, without cached features."""
    kept = of.work / f"{key}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            _, spent = _train(of, rows, rows[:0], Path(folder) / "run", cache=Path(folder) / "cache")
        kept.write_text(json.dumps(asdict(spent)), encoding="utf-8")
    return Spent(**json.loads(kept.read_text(encoding="utf-8")))


def _train(of: Labelled, train: Rows, test: Rows, folder: Path, *, cache: Path) -> tuple[Path, Spent]:
    """Run `marey train list.csv --out run`, with `train` and `test` as the list's splits; return the run's folder."""
    folder.mkdir(parents=True)
    sides = np.repeat(["train", "test"], [len(train), len(test)])
    listing = folder / "list.csv"
    of.clips[np.concatenate([train, test])].with_splits(sides).write_csv(listing)
    words = [sys.executable, "-m", "marey", "train", str(listing), "--out", str(folder / "run")]
    print(f"{of.name}: {folder.name}", file=sys.stderr, flush=True)
    return folder / "run", measured(words, {"MAREY_CACHE": str(cache)})


# The table ---------------------------------------------------------------------------------------------------------------


@dataclass
class Column:
    """One classifier: its accuracy in each draw, over all classes and inside pairs."""

    name: str
    shares: list[float] = field(default_factory=list)
    in_pairs: list[float] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Mean and standard deviation, in per cent."""
        inside = f"; {_spread(self.in_pairs)}" if self.in_pairs else ""
        return f"{_spread(self.shares)}{inside}"


def _spread(shares: Sequence[float]) -> str:
    return (
        f"{100 * np.mean(shares):.0f} ± {100 * np.std(shares, ddof=1):.0f}" if shares[1:] else f"{100 * shares[0]:.0f}"
    )


def table(sets: Sequence[Labelled], options: argparse.Namespace) -> None:
    head = ("set", "clips a class", "guessing", "single frames", "probe", "Marey", "probe, core-seconds", "Marey")
    print(f"\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for of in sets:
        for count in SIZES[:1] if options.quick else SIZES:
            columns = _columns(of, count, options.draws)
            train, _ = drawn(of, count, 0)
            spent = cost_of(of, train, f"cost-{count}")
            plain = of.features.core_seconds * len(train)
            cells = [of.name, str(count), *(column.text for column in columns), f"{plain:.0f}", spent.text]
            print(f"| {' | '.join(cells)} |", flush=True)
    print("\nper cent right; after a semicolon inside mirrored pairs, where guessing gives 50")


def _columns(of: Labelled, count: int, draws: int) -> tuple[Column, ...]:
    guessing, frames, plain, ours = columns = tuple(map(Column, ("guessing", "single frames", "probe", "Marey")))
    features = of.features.frames
    for seed in range(draws):
        train, test = drawn(of, count, seed)
        most = np.bincount(of.labels[train], minlength=of.classes).argmax()
        guessing.shares.append(float((of.labels[test] == most).mean()))
        for column, pooling in ((frames, single_frames), (plain, probe)):
            scores = class_scores(pooling(features), of.labels, train, of.classes)[test]
            column.shares.append(float((scores.argmax(axis=1) == of.labels[test]).mean()))
            if of.pairs:
                column.in_pairs.append(inside_pairs(scores, of.labels[test], of.pairs))
        outcome = marey_on(of, train, test, f"draw-{count}-{seed}")
        ours.shares.append(float(np.mean(outcome.right)))
        if outcome.in_pairs is not None:
            ours.in_pairs.append(outcome.in_pairs)
    return columns


def inside_pairs(scores: NDArray[np.floating], labels: Rows, pairs: Sequence[tuple[int, int]]) -> float:
    """The share of clips with a higher score for their class than for its reversed class."""
    other = dict([*pairs, *((two, one) for one, two in pairs)])
    mirrored = np.array([other[label] for label in labels.tolist()])
    rows = np.arange(len(labels))
    return float((scores[rows, labels] > scores[rows, mirrored]).mean())


# Goals -------------------------------------------------------------------------------------------------------------------


def goals(sets: Sequence[Labelled], options: argparse.Namespace) -> None:
    """Print accuracies over folds, and the difference of Marey's to the probe's."""
    seeds, count = (1, 2) if options.quick else (SEEDS, FOLDS)
    found = [_compared(of, seeds, count) for of in sets]
    print("\n| set | clips | probe | Marey | difference | 5 % | 95 % |\n|---|---|---|---|---|---|---|")
    for of, (plain, ours) in zip(sets, found, strict=True):
        _print_difference(of.name, [(of.groups, plain, ours)])
    if sets[1:]:
        _print_difference("together", [(of.groups, *both) for of, both in zip(sets, found, strict=True)])
    print("\npoints; each clip by its mean over the seeds, quantiles of 10,000 draws of groups with replacement")


def _compared(of: Labelled, seeds: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For the probe and for Marey, [N]: the share of seeds with which each clip is predicted correctly."""
    right = np.zeros((2, seeds, len(of.labels)))
    for seed in range(seeds):
        folds = grouped_folds(of, count, seed)
        for fold in range(count):
            train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            scores = class_scores(probe(of.features.frames), of.labels, train, of.classes)[test]
            right[0, seed, test] = scores.argmax(axis=1) == of.labels[test]
            right[1, seed, test] = marey_on(of, train, test, f"fold-{count}-{seed}-{fold}").right
    plain, ours = right.mean(axis=1)
    return plain, ours


def _print_difference(name: str, sets: Sequence[tuple[Rows, NDArray[np.float64], NDArray[np.float64]]]) -> None:
    plain, ours = (np.concatenate([one[column] for one in sets]) for column in (1, 2))
    drawn_differences = bootstrap([(groups, after - before) for groups, before, after in sets])
    low, high = np.quantile(drawn_differences, [0.05, 0.95])
    numbers = (plain.mean(), ours.mean(), (ours - plain).mean(), low, high)
    print(f"| {name} | {len(plain)} | {' | '.join(f'{100 * number:.1f}' for number in numbers)} |", flush=True)


def bootstrap(sets: Sequence[tuple[Rows, NDArray[np.float64]]], draws: int = 10_000) -> NDArray[np.float64]:
    """[draws]: the mean of the values of all clips, where the groups of each set are drawn with replacement."""
    random = np.random.default_rng(0)
    total, clips = np.zeros(draws), np.zeros(draws)
    for groups, values in sets:
        sums, sizes = np.bincount(groups, values), np.bincount(groups)
        picked = random.integers(len(sizes), size=(draws, len(sizes)))
        total += sums[picked].sum(axis=1)
        clips += sizes[picked].sum(axis=1)
    return total / clips


def intervals(sets: Sequence[Labelled], options: argparse.Namespace) -> None:
    """Print how often the stated interval contains the accuracy on the last third of the groups."""
    splits = 2 if options.quick else SPLITS
    print("\n| set | splits | no interval | held the accuracy | mean width |\n|---|---|---|---|---|")
    for of in sets:
        held, widths = [], []
        for seed in range(splits):
            outcome = marey_on(of, *thirds(of, seed), f"third-{seed}")
            if outcome.stated is not None:
                low, high = outcome.stated
                held.append(low <= np.mean(outcome.right) <= high)
                widths.append(high - low)
        share, width = (f"{100 * np.mean(values):.0f} %" if values else "" for values in (held, widths))
        print(f"| {of.name} | {splits} | {splits - len(held)} | {share} | {width} |", flush=True)


def cost(sets: Sequence[Labelled], options: argparse.Namespace) -> None:
    print("\n| set | clips | core-seconds; minutes; peak memory |\n|---|---|---|")
    scenes = (24 if options.quick else COST_CLIPS) // 12
    folder = options.work / "cost"
    clips = write_motions(folder / "clips", train=12 * scenes, test=12, size=256, frames=45)[0]
    generated = _labelled("motions, 256x256, 3 s", clips, folder)
    for of in (generated, *sets):
        spent = cost_of(of, np.arange(len(of.labels)), "cost-all")
        print(f"| {of.name} | {len(of.labels)} | {spent.text} |", flush=True)


PARTS: dict[str, Callable[[Sequence[Labelled], argparse.Namespace], None]] = {
    "table": table,
    "goals": goals,
    "intervals": intervals,
    "cost": cost,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("lists", nargs="*", type=Path, metavar="LIST", help="a list of clips with groups")
    parser.add_argument("--motions", action="store_true", help="the generated set in its old look, too")
    parser.add_argument("--draws", type=int, default=5, help="draws for each number of clips in the table")
    parser.add_argument("--work", type=Path, default=Path("runs/own-classifier"), help="folder of the results so far")
    parser.add_argument("--quick", action="store_true", help="a small part of everything: does it run?")
    options = parser.parse_args()
    if options.quick:
        options.draws, options.work = 1, options.work / "quick"
    print(f"{cpu()}, torch {torch.__version__} with {torch.get_num_threads()} threads, {date.today()}")
    sets = [read_set(path, options.work) for path in options.lists]
    if options.motions:
        sets.append(motions(options.work, scenes=8 if options.quick else 60))
    PARTS[options.part](sets, options)


if __name__ == "__main__":
    main()
