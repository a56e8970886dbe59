"""Choice of a head's pooling and strength by nested cross-validation, which also gives its out-of-fold predictions.

The folds are used twice. For the head of all clips, each candidate and strength is fitted on all folds but one and judged on
that one, in turn; the best is then fitted on all clips. Its out-of-fold predictions come from the same procedure without the
predicted fold: the other folds judge candidates and strengths, each fitted without two folds, and the best is fitted on the
other folds. So no clip influences the choice or the fit behind its own prediction (Varma and Simon, Bias in error estimation
when using cross-validation for model selection, BMC Bioinformatics 2006). A fit without folds a and b serves twice: it is
judged on b where a is predicted, and on a where b is predicted. For judging, more than `MOST_JUDGING` folds are joined
to fewer (`judging_folds`).

There are few strengths and few candidates, and the first candidate is kept unless another one is better beyond chance: every
further choice costs accuracy where clips are few.

Shapes: N clips, K classes, S strengths, J judging folds.
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
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import MultiLabel, TaskConfig
from marey.training.heads.directions import MOST_DIRECTIONS, Directions
from marey.training.heads.logistic import Head, Targets, fit_head, solve

STRENGTHS = (1.0, 10.0, 100.0)
"""The strengths that are compared, weakest first: of equally good ones the weakest is taken."""
USUAL_STRENGTH = 10.0
"""The strength where nothing can judge, since there are only two folds, or where judging would take too long."""
MOST_WORK = 500_000_000
"""Product of clips, directions and classes of one fit, beyond which only the usual strength is tried: its time grows
with the product, and at the limit all fits for three candidates take several minutes of one core."""
MOST_JUDGING = 5
"""Most folds that judge candidates and strengths; more are joined for that, which saves most of the fits."""
ERRORS = 2.0
"""Number of standard errors by which another candidate must be better than the first one."""


@dataclass(frozen=True, eq=False)
class HeadCandidate:
    """One way to pool the features of all clips for a head."""

    name: str
    """The pooling in words."""
    pooling: Pooling
    pooled: PooledFeatures
    """The pooled features."""
    chosen_if_better: bool = True
    """False: a baseline, which is fitted and predicts but is never chosen."""


@dataclass(frozen=True, eq=False)
class HeadChoice:
    """The chosen head, and the out-of-fold predictions."""

    candidate: HeadCandidate
    head: Head
    """The candidate's head, fitted on all clips."""
    out_of_fold: NDArray[np.float64]
    """[N, K]: logits of the complete procedure; neither choice nor fit used the clip's fold."""
    of_candidates: tuple[tuple[HeadCandidate, NDArray[np.float64]], ...]
    """[N, K]: out-of-fold logits of each candidate by itself, whose strength is chosen in the same way."""


def choose_head(
    candidates: Sequence[HeadCandidate], targets: Targets, folds: NDArray[np.int64], *, classes: int, task: TaskConfig
) -> HeadChoice:
    """Choose candidate and strength by folds, fit the head on all clips, and predict each clip out of fold.

    The strength is chosen by the mean loss on the folds left out; beyond `MOST_WORK` it is `USUAL_STRENGTH`, with a
    notice. The first candidate is chosen, unless the loss of another one is lower in each of the folds that judge and,
    over their clips, by more than `ERRORS` standard errors of the mean difference; of several such candidates, the one
    with the lowest loss. With two folds no fold is left to judge while one is predicted: then the first candidate is
    used, at `USUAL_STRENGTH`. `fit_head` says how a class is treated that a fit lacks.

    Args:
        candidates: Candidates for the same N clips; the first one must be eligible.
        targets: One class a clip [N], or which clip has which label [N, K].
        folds: [N]: the fold of each clip, from 0; the clips of one recording must be in one fold. Clips with a negative
            number are fitted on and never held out; their rows of the out-of-fold logits are 0.
        classes: The number of classes, K.
        task: Softmax or sigmoids.

    Raises:
        DataError: all clips are in one fold.
    """
    nested = _NestedFolds.of(targets, folds, classes, task)
    results = [nested.cross_validate(candidate.pooled) for candidate in candidates]
    eligible = [candidate.chosen_if_better for candidate in candidates]
    held, judge_of_row = nested.held, nested.judge_of_row
    chosen = [0] * nested.judging
    for fold in range(nested.judging if nested.judging > 2 else 0):
        others = held[judge_of_row[held] != fold]
        chosen[fold] = _preferred([one.inner[fold, others] for one in results], judge_of_row[others], eligible)
    # By the same rule as without each fold, so that the predictions are those of the procedure that made the head.
    can_judge = nested.judging > 2
    final = _preferred([one.losses[held] for one in results], judge_of_row[held], eligible) if can_judge else 0
    out_of_fold = np.zeros((len(folds), classes))
    for fold, candidate_index in enumerate(chosen):
        rows = judge_of_row == fold
        out_of_fold[rows] = results[candidate_index].logits[rows]
    pooled, strength = candidates[final].pooled, results[final].strength
    return HeadChoice(
        candidates[final],
        fit_head(pooled, targets, classes=classes, strength=strength, task=task),
        out_of_fold,
        tuple((candidate, one.logits) for candidate, one in zip(candidates, results, strict=True)),
    )


def judging_folds(folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The judging fold of each clip [N], 0 to at most `MOST_JUDGING` - 1, from its fold [N], from 0. -1 stays -1."""
    count = int(folds.max()) + 1
    return np.where(folds >= 0, folds * min(count, MOST_JUDGING) // count, -1)


@dataclass(frozen=True, eq=False)
class _CandidateResult:
    """Losses and predictions of a candidate at the strengths chosen for it. Rows of clips that are never held out are 0."""

    strength: float
    """The strength chosen by all folds."""
    losses: NDArray[np.float64]
    """[N]: the loss of each clip at this strength, by the fit without its fold."""
    inner: NDArray[np.float64]
    """[J, N]: for each judging fold, the loss of each clip of the others, by the fit without that fold and its own, at the
    strength chosen without that fold."""
    logits: NDArray[np.float64]
    """[N, K]: out-of-fold logits, those of each fold at the strength chosen without it."""


@dataclass(frozen=True, eq=False)
class _NestedFolds:
    """The folds that predict and judge, the same for each candidate."""

    targets: Targets
    of_row: NDArray[np.int64]
    """[N]: the fold in which a clip is predicted, 0 to `count` - 1; -1 where it is never held out."""
    judge_of_row: NDArray[np.int64]
    """[N]: the judging fold, which is one fold or several, 0 to `judging` - 1; or -1."""
    count: int
    """The number of folds."""
    judging: int
    """J, the number of judging folds, at most `MOST_JUDGING`."""
    classes: int
    """K"""
    task: TaskConfig
    strengths: tuple[float, ...]
    """The strengths to compare."""

    @classmethod
    def of(cls, targets: Targets, folds: NDArray[np.int64], classes: int, task: TaskConfig) -> "_NestedFolds":
        """The nested folds of clips that are in these folds [N].

        Raises:
            DataError: all clips are in one fold.
        """
        held = folds >= 0
        used, dense = np.unique(folds[held], return_inverse=True)
        count = len(used)
        if count < 2:
            raise DataError(
                "all videos are in one fold, so that no others can judge a head: at least two folds are needed."
            )
        of_row = np.full(len(folds), -1)
        of_row[held] = dense
        judging, strengths = min(count, MOST_JUDGING), _strengths(len(targets), classes)
        return cls(targets, of_row, judging_folds(of_row), count, judging, classes, task, strengths)

    @property
    def held(self) -> NDArray[np.int64]:
        """The rows of the clips that a fold holds out."""
        return np.flatnonzero(self.of_row >= 0)

    def cross_validate(self, pooled: PooledFeatures) -> _CandidateResult:
        """Losses and out-of-fold predictions of one candidate."""
        clips, held = len(self.of_row), self.held
        # [J, S, N]: the loss of each clip by the fit without this judging fold and the clip's own.
        without_two = np.zeros((self.judging, len(self.strengths), clips))
        for left_out in combinations(range(self.judging), 2):
            rows, by_strength = self._predict(pooled, np.isin(self.judge_of_row, left_out))
            other = sum(left_out) - self.judge_of_row[rows]
            for index, logits in enumerate(by_strength):
                without_two[other, index, rows] = _losses(logits, self.targets[rows], self.task)
        best = [
            self._best_strength(without_two[fold][:, held[self.judge_of_row[held] != fold]])
            for fold in range(self.judging)
        ]
        losses, out_of_fold = np.zeros((len(self.strengths), clips)), np.zeros((clips, self.classes))
        for fold in range(self.count):
            rows, by_strength = self._predict(pooled, self.of_row == fold)
            chosen = best[self.judge_of_row[rows[0]]]
            for index, logits in enumerate(by_strength):
                losses[index, rows] = _losses(logits, self.targets[rows], self.task)
                if index == chosen:
                    out_of_fold[rows] = logits
        final = self._best_strength(losses[:, held])
        inner = without_two[np.arange(self.judging), best]
        return _CandidateResult(self.strengths[final], losses[final], inner, out_of_fold)

    def _best_strength(self, losses: NDArray[np.float64]) -> int:
        """The index of the strength with the lowest mean loss, from the losses of M clips [S, M]; with two judging folds, of
        the usual strength.
        """
        return int(losses.mean(axis=1).argmin()) if self.judging > 2 else self.strengths.index(USUAL_STRENGTH)

    def _predict(
        self, pooled: PooledFeatures, left_out: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Iterator[Tensor]]:
        """The rows of the clips that are left out [M], and their logits [M, K] by the fits on the others, one for each
        strength.
        """
        rows, training = np.flatnonzero(left_out), np.flatnonzero(~left_out)
        return rows, self._by_strength(pooled, training, rows) if len(training) else iter(())

    def _by_strength(
        self, pooled: PooledFeatures, training: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Iterator[Tensor]:
        directions = Directions.of(pooled, training)
        coordinates, own = directions.coordinates_of(rows), self.targets[training]
        for strength in self.strengths:
            yield solve(directions, own, classes=self.classes, strength=strength, task=self.task).logits(coordinates)


def _strengths(clips: int, classes: int) -> tuple[float, ...]:
    if clips * min(clips, MOST_DIRECTIONS) * classes <= MOST_WORK:
        return STRENGTHS
    notice(
        f"{counted(clips, 'video')} of {counted(classes, 'class')}: comparing regularisation strengths would take "
        f"long, so the usual one, C = {USUAL_STRENGTH:g}, is used."
    )
    return (USUAL_STRENGTH,)


def _losses(logits: Tensor, targets: Targets, task: TaskConfig) -> NDArray[np.float64]:
    """The loss of each clip [N]: cross-entropy, or the mean of the binary cross-entropy over classes."""
    known = torch.from_numpy(targets)
    if isinstance(task, MultiLabel):
        losses = F.binary_cross_entropy_with_logits(logits, known.double(), reduction="none").mean(dim=1)
    else:
        losses = F.cross_entropy(logits, known, reduction="none")
    return losses.numpy()


def _preferred(losses: Sequence[NDArray[np.float64]], of_row: NDArray[np.int64], eligible: Sequence[bool]) -> int:
    """The index of the candidate to choose.

    Args:
        losses: For each candidate, the losses of the same clips [N].
        of_row: [N]: the fold of each clip.
        eligible: For each candidate, whether it may be chosen.
    """
    best, lowest = 0, losses[0].mean()
    for index, own in enumerate(losses):
        gain = losses[0] - own
        error = gain.std() / math.sqrt(len(gain))
        in_folds = np.bincount(of_row, gain)[np.unique(of_row)]
        if eligible[index] and in_folds.min() > 0 and gain.mean() > ERRORS * error and own.mean() < lowest:
            best, lowest = index, own.mean()
    return best
