"""Which pooled features and which strength a head takes, decided by folds, and what the decision is worth for other videos.

The folds are used twice. The head of all clips: each candidate and strength is fitted on all folds but one and judged on
that one, in turn, and the best is fitted on all clips. Its out-of-fold answers come from the same procedure without the fold
that is answered: the other folds judge the candidates and strengths, each fitted without two folds; then the best is fitted
on the other folds. So no clip has any part in the decision or the fit behind its own answer (nested cross-validation: Varma
and Simon, Bias in error estimation when using cross-validation for model selection, BMC Bioinformatics 2006). A fit without
folds a and b serves twice: it is judged on b where a is answered, and on a where b is. Of more than `MOST_JUDGING` folds
several are joined into one that judges (`judging_folds`).

Few strengths and few candidates, and a first candidate that is kept unless another is better beyond chance: every further
choice costs accuracy where clips are few.

Shapes: N clips, K classes, S strengths.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marey.base.errors import DataError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.models.probe.config import Pooling
from marey.models.probe.pooled import Pooled
from marey.recipe import MultiLabel, TaskConfig
from marey.training.heads.directions import MOST_DIRECTIONS, Directions
from marey.training.heads.logistic import Head, Targets, fit_head, solve

STRENGTHS = (1.0, 10.0, 100.0)
"""Weakest first: of equal ones the first is taken, which follows the training clips least."""
USUAL_STRENGTH = 10.0
"""Where nothing can judge, as two folds are all there are, or where judging would take too long."""
MOST_WORK = 500_000_000
"""Clips times directions times classes of one fit, which its time grows with, beyond which only the usual strength is
tried: at the limit all fits for three candidates take several minutes of one core."""
MOST_JUDGING = 5
"""Folds that judge candidates and strengths: more folds are joined for that, which saves most of the fits."""
ERRORS = 2.0
"""By how many standard errors another candidate must be better than the first one."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to pool the cells of all clips."""

    name: str
    pooling: Pooling
    pooled: Pooled
    chosen_if_better: bool = True
    """False: a yardstick, which is fitted and answers, and is never chosen."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What was chosen, and the out-of-fold answers."""

    candidate: Candidate
    head: Head
    """Of the candidate, fitted on all clips."""
    out_of_fold: NDArray[np.float64]
    """Logits [N, K] of the whole procedure, without any part of the clip's fold in choice and fit."""
    of_candidates: tuple[tuple[Candidate, NDArray[np.float64]], ...]
    """Out-of-fold logits of each candidate alone, whose strength is chosen in the same way."""


def choose_head(
    candidates: Sequence[Candidate], targets: Targets, folds: NDArray[np.int64], *, classes: int, task: TaskConfig
) -> Choice:
    """Choose candidate and strength by folds, fit the head on all clips, and answer each clip out of fold.

    A strength is chosen by the mean loss of the clips in the folds left out; beyond `MOST_WORK` it is `USUAL_STRENGTH`,
    which is said. Of the candidates the first is taken, unless another one's loss is lower in each of the folds that judge
    and, over their clips, by more than `ERRORS` standard errors of the mean difference; of several such the one with the
    lowest loss. With two folds nothing is left to judge where one is answered: then the first candidate answers at
    `USUAL_STRENGTH`. A class that a fit lacks is as `fit_head` says.

    Args:
        candidates: Of the same N clips; the first one may be chosen.
        targets: One class a clip [N], or which clip has which label [N, K].
        folds: The fold of each clip [N], from 0; clips of one recording in one fold. Clips with a negative number are fitted
            on and never held out: their rows of the out-of-fold logits are 0.
        classes: K.
        task: Softmax or sigmoids.

    Raises:
        DataError: all clips are in one fold.
    """
    plan = _Plan.of(targets, folds, classes, task)
    judged = [plan.judge(candidate.pooled) for candidate in candidates]
    eligible = [candidate.chosen_if_better for candidate in candidates]
    held = plan.held
    chosen = [0] * plan.judging
    for fold in range(plan.judging if plan.judging > 2 else 0):
        others = held[plan.judge_of_row[held] != fold]
        chosen[fold] = _preferred([of.inner[fold, others] for of in judged], plan.judge_of_row[others], eligible)
    # By the same rule as without each fold, so that the answers are those of the procedure that made the head.
    final = _preferred([of.losses[held] for of in judged], plan.judge_of_row[held], eligible) if plan.judging > 2 else 0
    out_of_fold = np.zeros((len(folds), classes))
    for fold, which in enumerate(chosen):
        rows = plan.judge_of_row == fold
        out_of_fold[rows] = judged[which].logits[rows]
    pooled, strength = candidates[final].pooled, judged[final].strength
    return Choice(
        candidates[final],
        fit_head(pooled, targets, classes=classes, strength=strength, task=task),
        out_of_fold,
        tuple((candidate, of.logits) for candidate, of in zip(candidates, judged, strict=True)),
    )


def judging_folds(folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The judging fold of each clip [N], at most `MOST_JUDGING` of them, from its fold, 0 to the number of folds less 1; -1
    stays.
    """
    count = int(folds.max()) + 1
    return np.where(folds >= 0, folds * min(count, MOST_JUDGING) // count, -1)


@dataclass(frozen=True, eq=False)
class _Judged:
    """What the folds say of a candidate, at the strengths chosen for it. Rows of clips that are never held out are 0."""

    strength: float
    """Chosen by all folds."""
    losses: NDArray[np.float64]
    """Of each clip, at this strength, by the fit without its fold [N]."""
    inner: NDArray[np.float64]
    """[J, N]: of each clip by the fit without its judging fold and another one, at the strength chosen without that one."""
    logits: NDArray[np.float64]
    """Out of fold [N, K], each fold's at the strength chosen without it."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which fits there are, the same for each candidate."""

    targets: Targets
    of_row: NDArray[np.int64]
    """[N]: the fold that is answered, 0 to `count` - 1; -1 where the clip is never held out."""
    judge_of_row: NDArray[np.int64]
    """[N]: the judging fold, one or several folds together, 0 to `judging` - 1; or -1."""
    count: int
    judging: int
    """J, at most `MOST_JUDGING`."""
    classes: int
    task: TaskConfig
    strengths: tuple[float, ...]

    @classmethod
    def of(cls, targets: Targets, folds: NDArray[np.int64], classes: int, task: TaskConfig) -> "_Plan":
        """A plan for clips in these folds.

        Raises:
            DataError: all clips are in one fold.
        """
        held = folds >= 0
        used, dense = np.unique(folds[held], return_inverse=True)
        count = len(used)
        if count < 2:
            raise DataError(
                "all clips are in one fold, so that no others can judge a head: at least two folds are needed."
            )
        of_row = np.full(len(folds), -1)
        of_row[held] = dense
        judging, strengths = min(count, MOST_JUDGING), _strengths(len(targets), classes)
        return cls(targets, of_row, judging_folds(of_row), count, judging, classes, task, strengths)

    @property
    def held(self) -> NDArray[np.int64]:
        """The rows that some fold holds out."""
        return np.flatnonzero(self.of_row >= 0)

    def judge(self, pooled: Pooled) -> _Judged:
        """One candidate by itself."""
        clips, held = len(self.of_row), self.held
        without_two = np.zeros(
            (self.judging, len(self.strengths), clips)
        )  # without this judging fold and that of the clip
        for left_out in combinations(range(self.judging), 2):
            rows, answers = self._answers(pooled, np.isin(self.judge_of_row, left_out))
            other = sum(left_out) - self.judge_of_row[rows]
            for place, logits in enumerate(answers):
                without_two[other, place, rows] = _losses(logits, self.targets[rows], self.task)
        places = [
            self._place(without_two[fold][:, held[self.judge_of_row[held] != fold]]) for fold in range(self.judging)
        ]
        losses, out_of_fold = np.zeros((len(self.strengths), clips)), np.zeros((clips, self.classes))
        for fold in range(self.count):
            rows, answers = self._answers(pooled, self.of_row == fold)
            chosen = places[self.judge_of_row[rows[0]]]
            for place, logits in enumerate(answers):
                losses[place, rows] = _losses(logits, self.targets[rows], self.task)
                if place == chosen:
                    out_of_fold[rows] = logits
        final = self._place(losses[:, held])
        inner = without_two[np.arange(self.judging), places]
        return _Judged(self.strengths[final], losses[final], inner, out_of_fold)

    def _place(self, losses: NDArray[np.float64]) -> int:
        """Of the strength with the lowest mean loss of clips [S, M]; with two judging folds of the usual one."""
        return int(losses.mean(axis=1).argmin()) if self.judging > 2 else self.strengths.index(USUAL_STRENGTH)

    def _answers(self, pooled: Pooled, inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Iterator[Tensor]]:
        """The clips that are left out [M], and their logits [M, K] by the fits on the others, one for each strength."""
        rows, training = np.flatnonzero(inside), np.flatnonzero(~inside)
        return rows, self._by_strength(pooled, training, rows) if len(training) else iter(())

    def _by_strength(self, pooled: Pooled, training: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[Tensor]:
        directions = Directions.of(pooled, training)
        coordinates, own = directions.coordinates_of(rows), self.targets[training]
        for strength in self.strengths:
            yield solve(directions, own, classes=self.classes, strength=strength, task=self.task).logits(coordinates)


def _strengths(clips: int, classes: int) -> tuple[float, ...]:
    if clips * min(clips, MOST_DIRECTIONS) * classes <= MOST_WORK:
        return STRENGTHS
    notice(
        f"{counted(clips, 'clip')} of {counted(classes, 'class')}: comparing regularisation strengths would take long, so "
        f"that the usual one, C = {USUAL_STRENGTH:g}, is taken."
    )
    return (USUAL_STRENGTH,)


def _losses(logits: Tensor, targets: Targets, task: TaskConfig) -> NDArray[np.float64]:
    """Of each clip [N]: cross-entropy, or the mean over classes of the binary one."""
    known = torch.from_numpy(targets)
    if isinstance(task, MultiLabel):
        found = F.binary_cross_entropy_with_logits(logits, known.double(), reduction="none").mean(dim=1)
    else:
        found = F.cross_entropy(logits, known, reduction="none")
    return found.numpy()


def _preferred(losses: Sequence[NDArray[np.float64]], of_row: NDArray[np.int64], eligible: Sequence[bool]) -> int:
    """Which candidate the losses of the same clips [N], of these folds [N], speak for."""
    best, lowest = 0, losses[0].mean()
    for place, own in enumerate(losses):
        better = losses[0] - own
        error = better.std() / math.sqrt(len(better))
        in_folds = np.bincount(of_row, better)[np.unique(of_row)]
        if eligible[place] and in_folds.min() > 0 and better.mean() > ERRORS * error and own.mean() < lowest:
            best, lowest = place, own.mean()
    return best
