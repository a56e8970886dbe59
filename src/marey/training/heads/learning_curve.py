"""The learning curve: the task's metric, out of fold, of heads that were fitted on a share of the videos."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from marey.data.splits.folds import Folds
from marey.evaluation.out_of_fold.learning_curve import CurvePoint
from marey.evaluation.paired_difference import paired_difference
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import TaskConfig
from marey.tasks.choose import task_of
from marey.tasks.task import Task
from marey.training.heads.directions import Directions
from marey.training.heads.logistic import Targets, solve

Number = TypeVar("Number", np.float64, np.int64)

SHARES = (0.25, 0.5, 0.75)
"""Shares, 0 to 1, of the recordings that are not held out, on which heads are fitted, besides all of them."""
_DRAWS, _MANY = 3, 600
"""Number of draws of each share. For more than `_MANY` videos it is 1, since fits take longer and draws differ less."""


def learning_curve(
    pooled: PooledFeatures, targets: Targets, folds: Folds, *, classes: int, task: TaskConfig, strength: float
) -> tuple[CurvePoint, ...]:
    """The task's first metric (top-1, or mean average precision) out of fold, for different numbers of training videos.

    For each fold a head is fitted on 1/4, 1/2, 3/4 and all of the recordings that are not held out. A share has at
    least one video of each class that these recordings have, and about the same proportions of classes. Each share is
    drawn `_DRAWS` times, or once if there are more than `_MANY` videos; the point is the mean of the metric over the
    draws. `low` and `high` are this mean minus and plus an error: half the length of the 90 % interval of the metric's
    difference to the last point on the same videos (`marey.evaluation.paired_difference`; the mean over the draws).
    They are 0 and 1 if there are too few recordings for an interval. In the last point both are the metric itself.

    If a share has no fewer videos than the next larger one, it gives no point. The same videos in the same order give
    the same curve.

    Args:
        pooled: The features of N videos.
        targets: One class per video [N], or which video has which label [N, K].
        folds: The folds. Shares are drawn from the videos of the other folds and from those that are never held out.
        classes: The number of classes, K.
        task: Softmax or sigmoids.
        strength: The strength of all heads (C of scikit-learn).
    """
    curve = _Curve(pooled, targets, folds, classes, task, strength)
    videos, full = curve.predict(1.0, 0)
    last = curve.score(full)
    points = [CurvePoint(videos, last, last, last)]
    for share in reversed(SHARES):
        drawn = [curve.predict(share, draw) for draw in range(_DRAWS if len(pooled) <= _MANY else 1)]
        videos = round(sum(videos for videos, _ in drawn) / len(drawn))
        if videos < points[-1].videos:
            logits_of_draws = [logits for _, logits in drawn]
            metric = float(np.mean([curve.score(logits) for logits in logits_of_draws]))
            error = curve.error(full, logits_of_draws)
            points.append(CurvePoint(videos, metric, max(metric - error, 0.0), min(metric + error, 1.0)))
    return tuple(reversed(points))


class _Curve:
    """Fits heads on shares of the videos and measures their out-of-fold predictions."""

    def __init__(
        self, pooled: PooledFeatures, targets: Targets, folds: Folds, classes: int, config: TaskConfig, strength: float
    ) -> None:
        self.pooled, self.targets, self.folds, self.classes, self.config = pooled, targets, folds, classes, config
        self.strength = strength
        self.task: Task = task_of(config)
        self.labels = targets.astype(np.int64)
        self.held = np.flatnonzero(folds.of_row >= 0)
        """The rows of the videos that a fold holds out."""

    def predict(self, share: float, draw: int) -> tuple[int, NDArray[np.float64]]:
        """Out-of-fold predictions of heads on a share: the mean number of training videos, and logits [N, K].

        Rows of videos that are never held out are 0.
        """
        logits, videos = np.zeros((len(self.pooled), self.classes)), 0
        for fold in range(self.folds.count):
            own = np.flatnonzero(self.folds.of_row == fold)
            rows = np.flatnonzero(self.folds.of_row != fold)
            if share < 1:
                rows = self._drawn(rows, share, np.random.default_rng([draw, fold]))
            directions = Directions.of(self.pooled, rows)
            solution = solve(
                directions, self.targets[rows], classes=self.classes, strength=self.strength, task=self.config
            )
            logits[own] = solution.logits(directions.coordinates_of(own)).numpy()
            videos += len(rows)
        return round(videos / self.folds.count), logits

    def _drawn(self, rows: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
        """Draw a share of the recordings of the videos in `rows`, stratified by class; return the rows of their videos.

        A recording belongs to the stratum of its rarest class. In each stratum the recordings, in random order, get evenly
        spaced values from 0 to 1; the recordings with the lowest values are taken, but first one recording of each class.
        """
        _, group_of = np.unique(self.folds.groups[rows], return_inverse=True)
        has_NK = self.task.positives(self.labels[rows], self.classes)
        has_GK = np.zeros((int(group_of.max()) + 1, self.classes), bool)
        np.logical_or.at(has_GK, group_of, has_NK)
        rarity = np.where(has_GK, has_GK.sum(axis=0), len(rows) + 1)
        stratum = np.where(has_GK.any(axis=1), rarity.argmin(axis=1), self.classes)
        order = np.empty(len(has_GK))
        for number in np.unique(stratum):
            members = random.permutation(np.flatnonzero(stratum == number))
            order[members] = (np.arange(len(members)) + random.random()) / len(members)
        first: list[int] = []
        later: list[int] = []
        seen = np.zeros(self.classes, bool)
        for group in np.argsort(order, kind="stable").tolist():
            new = has_GK[group] & ~seen
            (first if new.any() else later).append(group)
            seen |= has_GK[group]
        taken = (first + later)[: max(math.ceil(share * len(has_GK)), len(first))]
        return rows[np.isin(group_of, taken)]

    def score(self, logits: NDArray[np.float64]) -> float:
        """The task's first metric on the videos that are held out."""
        return self.task.score(self._judged(logits[self.held]), self._judged(self.labels[self.held]))

    def error(self, full: NDArray[np.float64], drawn: Sequence[NDArray[np.float64]]) -> float:
        """Half the length of the 90 % interval of the metric's difference between `full` and one of `drawn` (logits).

        It is the mean over `drawn`, with 1 for each interval that cannot be computed.
        """
        logits, labels = self._judged(full[self.held]), self._judged(self.labels[self.held])
        groups = self.folds.groups[self.held].astype(np.str_)
        found = [paired_difference(self.task, logits, self._judged(one[self.held]), labels, groups) for one in drawn]
        return float(np.mean([1.0 if one is None else (one.high - one.low) / 2 for one in found]))

    def _judged(self, of_videos: NDArray[Number]) -> NDArray[Number]:
        """With several labels per video, only the columns (of logits or labels [N, K]) of classes that can be judged;
        else all of them.
        """
        return of_videos[:, self.folds.judged] if self.labels.ndim == 2 else of_videos
