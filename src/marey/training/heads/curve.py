"""A learning curve: how well heads answer out of fold that were fitted on fewer and fewer of the clips."""

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from marey.data.splits.folds import Folds
from marey.evaluation.out_of_fold.curve import CurvePoint
from marey.evaluation.paired import paired_difference
from marey.models.probe.pooled import Pooled
from marey.recipe import TaskConfig
from marey.tasks.all import task_of
from marey.tasks.task import Task
from marey.training.heads.directions import Directions
from marey.training.heads.logistic import Targets, solve

Number = TypeVar("Number", np.float64, np.int64)

SHARES = (0.25, 0.5, 0.75)
"""Of the recordings that are not held out, besides all of them."""
_DRAWS, _MANY = 3, 600
"""Times that each share is drawn; of more clips than `_MANY` once, since each fit takes longer and draws differ less."""


def learning_curve(
    pooled: Pooled, targets: Targets, folds: Folds, *, classes: int, task: TaskConfig, strength: float
) -> tuple[CurvePoint, ...]:
    """The task's first number out of fold (top-1, or mean average precision) by the number of training clips.

    For each fold a head is fitted on 1/4, 1/2, 3/4 and all of the recordings that are not held out, with at least one clip
    of each class that they have, and in about the proportions of the classes. A share is drawn three times, and the mean of
    the numbers taken. `low` and `high` bound what the point lies apart from the last one: a 90 % interval of the difference
    of both numbers, which have the same clips, around the point (`marey.evaluation.paired`; the mean over the draws; 0 to 1
    where there are too few recordings for one). Those of the last point are its number.

    Shares that come to the same number of clips are one point. The same clips in the same order give the same curve.

    Args:
        pooled: Of N clips.
        targets: One class a clip [N], or which clip has which label [N, K].
        folds: Clips that no fold holds out are always among those to draw from.
        classes: K.
        task: Softmax or sigmoids.
        strength: Of all heads.
    """
    curve = _Curve(pooled, targets, folds, classes, task, strength)
    clips, full = curve.answers(1.0, 0)
    last = curve.score(full)
    points = [CurvePoint(clips, last, last, last)]
    for share in reversed(SHARES):
        drawn = [curve.answers(share, draw) for draw in range(_DRAWS if len(pooled) <= _MANY else 1)]
        clips = round(sum(clips for clips, _ in drawn) / len(drawn))
        if clips < points[-1].clips:
            answers = [logits for _, logits in drawn]
            number = float(np.mean([curve.score(logits) for logits in answers]))
            apart = curve.error(full, answers)
            points.append(CurvePoint(clips, number, max(number - apart, 0.0), min(number + apart, 1.0)))
    return tuple(reversed(points))


class _Curve:
    """Heads on parts of the clips, and their answers."""

    def __init__(
        self, pooled: Pooled, targets: Targets, folds: Folds, classes: int, config: TaskConfig, strength: float
    ) -> None:
        self.pooled, self.targets, self.folds, self.classes, self.config = pooled, targets, folds, classes, config
        self.strength = strength
        self.task: Task = task_of(config)
        self.labels = targets.astype(np.int64)
        self.held = np.flatnonzero(folds.of_row >= 0)
        """The clips that a fold holds out."""

    def answers(self, share: float, draw: int) -> tuple[int, NDArray[np.float64]]:
        """The mean number of training clips, and logits [N, K]; those of clips that are never held out are 0."""
        logits, clips = np.zeros((len(self.pooled), self.classes)), 0
        for fold in range(self.folds.count):
            own = np.flatnonzero(self.folds.of_row == fold)
            rows = np.flatnonzero(self.folds.of_row != fold)
            if share < 1:
                rows = self._drawn(rows, share, np.random.default_rng([draw, fold]))
            directions = Directions.of(self.pooled, rows)
            found = solve(
                directions, self.targets[rows], classes=self.classes, strength=self.strength, task=self.config
            )
            logits[own] = found.logits(directions.coordinates_of(own)).numpy()
            clips += len(rows)
        return round(clips / self.folds.count), logits

    def _drawn(self, rows: NDArray[np.int64], share: float, random: np.random.Generator) -> NDArray[np.int64]:
        """The clips of a share of the recordings of these, stratified: each class has about this share of its own."""
        _, unit_of = np.unique(self.folds.units[rows], return_inverse=True)
        has_NK = self.task.positives(self.labels[rows], self.classes)
        has_UK = np.zeros((int(unit_of.max()) + 1, self.classes), bool)
        np.logical_or.at(has_UK, unit_of, has_NK)
        rarity = np.where(has_UK, has_UK.sum(axis=0), len(rows) + 1)
        stratum = np.where(has_UK.any(axis=1), rarity.argmin(axis=1), self.classes)
        place = np.empty(len(has_UK))
        for number in np.unique(stratum):
            members = random.permutation(np.flatnonzero(stratum == number))
            place[members] = (np.arange(len(members)) + random.random()) / len(members)
        first: list[int] = []
        later: list[int] = []
        seen = np.zeros(self.classes, bool)
        for unit in np.argsort(place, kind="stable").tolist():
            new = has_UK[unit] & ~seen
            (first if new.any() else later).append(unit)
            seen |= has_UK[unit]
        taken = (first + later)[: max(math.ceil(share * len(has_UK)), len(first))]
        return rows[np.isin(unit_of, taken)]

    def score(self, logits: NDArray[np.float64]) -> float:
        """The task's first number of the clips that are held out."""
        return self.task.score(self._judged(logits[self.held]), self._judged(self.labels[self.held]))

    def error(self, full: NDArray[np.float64], drawn: Sequence[NDArray[np.float64]]) -> float:
        """Half of the 90 % interval of how far the number of `full` lies above those of `drawn`; 1 where none is known."""
        answers, labels = self._judged(full[self.held]), self._judged(self.labels[self.held])
        units = self.folds.units[self.held].astype(np.str_)
        found = [paired_difference(self.task, answers, self._judged(one[self.held]), labels, units) for one in drawn]
        return float(np.mean([1.0 if one is None else (one.high - one.low) / 2 for one in found]))

    def _judged(self, of_clips: NDArray[Number]) -> NDArray[Number]:
        """Of answers or labels [N, K] of several labels a clip the columns of the classes that can be judged; others as they
        are.
        """
        return of_clips[:, self.folds.judged] if self.labels.ndim == 2 else of_clips
