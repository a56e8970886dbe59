"""How often the interval for new clips contains their accuracy: with held-out recordings of lists, and with drawn numbers.

python benchmarks/new_clips_interval.py [SPLITS] [FOLDER_OR_LIST ...]

From each list, two thirds of the recordings are drawn 30 times (SPLITS). Out-of-fold predictions for them, by heads of one
strength, give the interval. A head that is fitted on all of them predicts the other third, and the accuracy there should lie
inside the interval. Two intervals are computed: for as many new clips as the third has, and for 100. For comparison,
`share_interval` is that for infinitely many clips.

Then groups are drawn whose accuracies follow a beta distribution, and half as many new groups.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.data.lists.read_manifest import read_manifest
from marey.data.splits.folds import make_folds
from marey.inference.cells import compute_cells
from marey.models.probe.config import Halves, Moments
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import Classify
from marey.tasks.intervals import Interval, new_videos_interval, share_interval
from marey.training.heads.directions import Directions
from marey.training.heads.logistic import solve
from marey.training.heads.selection import USUAL_STRENGTH
from marey.workflows.classifier.backbones import find_backbone

DRAWS = 300
SIZES = {
    "one clip each": (1,),
    "two clips each": (2,),
    "3, 5, 10 or 20 clips": (3, 5, 10, 20),
    "as skate2's": (1,) * 51 + (2,) * 10 + (4, 4, 5, 6, 11, 36, 52),
}


@dataclass(frozen=True)
class Trial:
    """An interval, and the accuracy on new clips that came out."""

    interval: Interval | None
    accuracy: float

    @property
    def holds(self) -> bool:
        return self.interval is not None and self.interval.low <= self.accuracy <= self.interval.high


def summary(trials: list[Trial]) -> str:
    """How often the intervals that exist contain the accuracy, and their mean width."""
    given = [one for one in trials if one.interval is not None]
    if not given:
        return "no interval"
    wide = np.mean([one.interval.high - one.interval.low for one in given if one.interval is not None])
    none = f" ({len(trials) - len(given)} without one)" if len(given) < len(trials) else ""
    return f"{np.mean([one.holds for one in given]):.0%} width {wide:.2f}{none}"


def predicted_correctly(
    pooled: PooledFeatures, labels: NDArray[np.int64], rows: NDArray[np.int64], new: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of the clips `new` are predicted correctly by a head that is fitted on the clips `rows`."""
    directions = Directions.of(pooled, rows)
    head = solve(directions, labels[rows], classes=int(labels.max()) + 1, strength=USUAL_STRENGTH, task=Classify())
    right: NDArray[np.bool_] = head.logits(directions.coordinates_of(new)).argmax(dim=1).numpy() == labels[new]
    return right


def split_again(
    pooled: PooledFeatures, labels: NDArray[np.int64], units: NDArray[np.int64], folds: NDArray[np.int64], seed: int
):
    """Which out-of-fold predictions for two thirds of the recordings are correct, the recordings of these clips, and which
    predictions for the other third are correct.
    """
    names = np.random.default_rng(seed).permutation(np.unique(units))
    held = np.isin(units, names[: len(names) // 3])
    known, new = np.flatnonzero(~held), np.flatnonzero(held)
    right = np.zeros(len(known), np.bool_)
    for fold in np.unique(folds[known]):
        own = folds[known] == fold
        right[own] = predicted_correctly(pooled, labels, known[~own], known[own])
    return right, units[known].astype(np.str_), predicted_correctly(pooled, labels, known, new)


def measure(path: Path, splits: int) -> None:
    manifest = read_manifest(path)
    backbone = find_backbone(None, budget=600, videos=len(manifest))
    cells = compute_cells(backbone.model, manifest)
    folds = make_folds(manifest)
    kept = np.flatnonzero(folds.of_row[cells.rows] >= 0)
    rows = cells.rows[kept]
    for pooling in (Moments(), Halves()):
        pooled, trials = cells.pooled(pooling).rows(kept), {"new clips": [], "100": [], "share": []}
        gaps = []
        for seed in range(splits):
            right, groups, new = split_again(
                pooled, manifest.labels[rows], folds.groups[rows], folds.of_row[rows], seed
            )
            came = float(new.mean())
            gaps.append(came - right.mean())
            trials["new clips"].append(Trial(new_videos_interval(right, groups, len(new)), came))
            trials["100"].append(Trial(new_videos_interval(right, groups, 100), came))
            trials["share"].append(Trial(share_interval(right, groups), came))
        print(f"{path} {pooling.kind}: new less out of fold {np.mean(gaps):+.3f}, deviation {np.std(gaps):.3f}")
        for name, found in trials.items():
            print(f"    {name:>10}: {summary(found)}")


def draw() -> None:
    random = np.random.default_rng(0)

    def drawn(
        groups: int, sizes: tuple[int, ...], share: float, alike: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
        of_group = random.choice(sizes, groups)
        more = 1 / alike - 1 if alike else 0
        own = random.beta(share * more, (1 - share) * more, groups) if alike else np.full(groups, share)
        return random.random(of_group.sum()) < np.repeat(own, of_group), np.repeat(
            np.arange(groups).astype(str), of_group
        )

    for name, sizes in SIZES.items():
        for groups in (15, 45):
            for share in (0.5, 0.75, 0.92):
                line = []
                for alike in (0.0, 0.2, 0.6):
                    trials = []
                    for _ in range(DRAWS):
                        right, of = drawn(groups, sizes, share, alike)
                        new, _ = drawn(groups // 2, sizes, share, alike)
                        trials.append(Trial(new_videos_interval(right, of, len(new)), float(new.mean())))
                    line.append(f"{alike}: {summary(trials)}")
                print(f"{groups} groups, {name}, share {share}; alike " + "; ".join(line), flush=True)


def main() -> None:
    splits = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    for path in sys.argv[2:]:
        measure(Path(path), splits)
    draw()


if __name__ == "__main__":
    main()
