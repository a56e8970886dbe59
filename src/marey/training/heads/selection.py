"""Choice of a head's pooling and strength by nested cross-validation, which also gives its out-of-fold predictions.

To choose the final head, each candidate and strength is fitted on all folds but one and judged on that fold, for each
fold in turn; the best is then fitted on all videos. To predict a fold out of fold, the same procedure runs on the other
folds: each candidate and strength is fitted without the predicted fold and one more, and judged on the latter; the best
is then fitted on all folds but the predicted one. So no video influences the choice or the fit behind its own
prediction (Varma and Simon, Bias in error estimation when using cross-validation for model selection, BMC
Bioinformatics 2006). A fit without folds a and b is used twice: judged on b to predict a, and judged on a to predict b.
For judging, more than `MOST_JUDGING` folds are joined to fewer (`judging_folds`).

There are few strengths and few candidates, and the first candidate is kept unless another one is better beyond chance,
because every further choice costs accuracy if there are few videos.

Shapes: N videos, K classes, S strengths, J judging folds.
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
"""The strengths that are compared, the smallest (strongest penalty) first; of equally good ones the smallest is taken."""
USUAL_STRENGTH = 10.0
"""The strength if strengths cannot be compared, because there are only two folds or it would take too long."""
MOST_WORK = 500_000_000
"""If the product of videos, directions and classes of a fit is larger, only `USUAL_STRENGTH` is tried. The time of a
fit grows with this product; at the limit all fits for three candidates take several minutes of one core."""
MOST_JUDGING = 5
"""Largest number of folds that judge candidates and strengths; more folds are joined for judging, which saves most fits."""
ERRORS = 2.0
"""Number of standard errors of the mean difference by which another candidate must be better than the first one."""


@dataclass(frozen=True, eq=False)
class HeadCandidate:
    """One way to pool the features of all videos for a head."""

    name: str
    """The pooling, as text."""
    pooling: Pooling
    """The rule that pools the cells of a video to features."""
    pooled: PooledFeatures
    """The pooled features of all videos [N, F]."""
    chosen_if_better: bool = True
    """Whether the candidate may be chosen. False: a baseline, which is fitted and predicts but is never chosen."""


@dataclass(frozen=True, eq=False)
class HeadChoice:
    """The chosen head, and the out-of-fold predictions."""

    candidate: HeadCandidate
    """The candidate that was chosen."""
    head: Head
    """The candidate's head, fitted on all videos."""
    out_of_fold: NDArray[np.float64]
    """[N, K]: out-of-fold logits of the complete procedure; a video's fold took part neither in the choice nor in the
    fit."""
    of_candidates: tuple[tuple[HeadCandidate, NDArray[np.float64]], ...]
    """Each candidate with its own out-of-fold logits [N, K]. The candidate is fixed for them; only its strength was chosen,
    for each fold without this fold."""


def choose_head(
    candidates: Sequence[HeadCandidate], targets: Targets, folds: NDArray[np.int64], *, classes: int, task: TaskConfig
) -> HeadChoice:
    """Choose candidate and strength by folds, fit the head on all videos, and predict each video out of fold.

    The strength with the lowest mean loss on left-out folds is chosen; above `MOST_WORK` it is `USUAL_STRENGTH`, with a
    notice. The first candidate is chosen, unless the loss of another one is lower in each judging fold, and lower over
    all their videos by more than `ERRORS` standard errors of the mean difference; of several such candidates, the one
    with the lowest loss is chosen. With two folds no fold is left to judge while the other one is predicted: then the
    first candidate is used, with `USUAL_STRENGTH`. For a class without videos in a fit see `fit_head`.

    Args:
        candidates: Candidates for the same N videos; of the first one `chosen_if_better` must be True.
        targets: One class per video [N], or which video has which label [N, K].
        folds: [N]: the fold of each video, from 0; the videos of one recording must be in one fold. Videos with a
            negative number are in every fit and never held out; their rows of the out-of-fold logits are 0.
        classes: The number of classes, K.
        task: Softmax or sigmoids.

    Raises:
        DataError: all videos are in one fold.
    """
    nested = _NestedFolds.of(targets, folds, classes, task)
    results = [nested.cross_validate(candidate.pooled) for candidate in candidates]
    eligible = [candidate.chosen_if_better for candidate in candidates]
    held, judge_of_row = nested.held, nested.judge_of_row
    chosen = [0] * nested.judging
    for fold in range(nested.judging if nested.judging > 2 else 0):
        others = held[judge_of_row[held] != fold]
        chosen[fold] = _preferred([one.inner[fold, others] for one in results], judge_of_row[others], eligible)
    # The final choice has the same rule as the choices without one fold: the out-of-fold logits are those of this rule.
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
    """The judging fold of each video [N], 0 to at most `MOST_JUDGING` - 1, by its fold [N], 0, 1, ...; -1 stays -1."""
    count = int(folds.max()) + 1
    return np.where(folds >= 0, folds * min(count, MOST_JUDGING) // count, -1)


@dataclass(frozen=True, eq=False)
class _CandidateResult:
    """Losses and predictions of a candidate at the strengths chosen for it; 0 for videos that are never held out."""

    strength: float
    """The strength chosen with all folds."""
    losses: NDArray[np.float64]
    """[N]: the loss of each video by the fit with this strength and without the video's fold."""
    inner: NDArray[np.float64]
    """[J, N]: for each judging fold j, the losses of the videos outside j, by fits without j and without the video's
    own judging fold, with the strength chosen without j."""
    logits: NDArray[np.float64]
    """[N, K]: out-of-fold logits; those of a fold are with the strength chosen without this fold."""


@dataclass(frozen=True, eq=False)
class _NestedFolds:
    """The folds and judging folds of nested cross-validation, the same for each candidate."""

    targets: Targets
    """The targets of the N videos: a class index each, or with several labels a row of truth values."""
    of_row: NDArray[np.int64]
    """[N]: the fold of each video, 0 to `count` - 1; -1 if the video is never held out."""
    judge_of_row: NDArray[np.int64]
    """[N]: the judging fold of each video, which consists of one or several folds, 0 to `judging` - 1; or -1."""
    count: int
    """The number of folds."""
    judging: int
    """J, the number of judging folds, at most `MOST_JUDGING`."""
    classes: int
    """K, the number of classes."""
    task: TaskConfig
    """The task, which decides the loss of a head."""
    strengths: tuple[float, ...]
    """The strengths to compare."""

    @classmethod
    def of(cls, targets: Targets, folds: NDArray[np.int64], classes: int, task: TaskConfig) -> "_NestedFolds":
        """The nested folds of videos whose folds [N] are given.

        Raises:
            DataError: all videos are in one fold.
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
        """The rows of the videos that a fold holds out."""
        return np.flatnonzero(self.of_row >= 0)

    def cross_validate(self, pooled: PooledFeatures) -> _CandidateResult:
        """Losses and out-of-fold predictions of one candidate."""
        videos, held = len(self.of_row), self.held
        # [J, S, N]: for judging fold j and each strength, the losses by the fits without j and the video's own fold.
        without_two = np.zeros((self.judging, len(self.strengths), videos))
        for left_out in combinations(range(self.judging), 2):
            rows, by_strength = self._predict(pooled, np.isin(self.judge_of_row, left_out))
            other = sum(left_out) - self.judge_of_row[rows]
            for index, logits in enumerate(by_strength):
                without_two[other, index, rows] = _losses(logits, self.targets[rows], self.task)
        best = [
            self._best_strength(without_two[fold][:, held[self.judge_of_row[held] != fold]])
            for fold in range(self.judging)
        ]
        losses, out_of_fold = np.zeros((len(self.strengths), videos)), np.zeros((videos, self.classes))
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
        """The index of the strength with the lowest mean loss, from the losses of M videos [S, M]; with two judging
        folds, the index of `USUAL_STRENGTH`.
        """
        return int(losses.mean(axis=1).argmin()) if self.judging > 2 else self.strengths.index(USUAL_STRENGTH)

    def _predict(
        self, pooled: PooledFeatures, left_out: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], Iterator[Tensor]]:
        """The rows [M] of the left-out videos, and for each strength their logits [M, K] by the fit on all other videos."""
        rows, training = np.flatnonzero(left_out), np.flatnonzero(~left_out)
        return rows, self._by_strength(pooled, training, rows) if len(training) else iter(())

    def _by_strength(
        self, pooled: PooledFeatures, training: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> Iterator[Tensor]:
        directions = Directions.of(pooled, training)
        coordinates, own = directions.coordinates_of(rows), self.targets[training]
        for strength in self.strengths:
            yield solve(directions, own, classes=self.classes, strength=strength, task=self.task).logits(coordinates)


def _strengths(videos: int, classes: int) -> tuple[float, ...]:
    if videos * min(videos, MOST_DIRECTIONS) * classes <= MOST_WORK:
        return STRENGTHS
    notice(
        f"{counted(videos, 'video')} of {counted(classes, 'class')}: comparing regularisation strengths would take "
        f"long, so the usual one, C = {USUAL_STRENGTH:g}, is used."
    )
    return (USUAL_STRENGTH,)


def _losses(logits: Tensor, targets: Targets, task: TaskConfig) -> NDArray[np.float64]:
    """The loss of each video [N]: cross-entropy, or the mean of the binary cross-entropy over classes."""
    known = torch.from_numpy(targets)
    if isinstance(task, MultiLabel):
        losses = F.binary_cross_entropy_with_logits(logits, known.double(), reduction="none").mean(dim=1)
    else:
        losses = F.cross_entropy(logits, known, reduction="none")
    return losses.numpy()


def _preferred(losses: Sequence[NDArray[np.float64]], of_row: NDArray[np.int64], eligible: Sequence[bool]) -> int:
    """The index of the candidate that is chosen (rule: `choose_head`).

    Args:
        losses: For each candidate, the losses of the same videos [N].
        of_row: [N]: the fold of each video.
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
