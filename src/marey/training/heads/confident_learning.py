"""Confident learning: out-of-fold predictions show which labels are likely wrong.

The method is that of Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, Journal
of Artificial Intelligence Research 2021. p_ik is the out-of-fold probability of class k for video i, and y_i its label.

- Section 3.1: the threshold of a class is the mean self-confidence of the videos with this label,
  t_k = mean of p_ik over the i with y_i = k. It compensates for classes that are predicted with different confidence.
- The same section: a video may be of class k if p_ik >= t_k. If the likeliest of these classes is not y_i, the video
  counts as wrongly labelled: it is off the diagonal of the confident joint.
- Section 3.2, "prune by noise rate": these videos are ranked by the margin between the probability of their label and
  that of another class. Here the margin is computed from logarithms, relative to the thresholds:
  log(p_iy / t_y) - max over k other than y of log(p_ik / t_k). With two classes, probabilities in place of
  logarithms give nearly the same order. With twelve, they miss videos with several about equally likely other classes.

A negative margin means that another class is likelier than the label, relative to the usual probabilities of both
classes. Here every video with a negative margin is a suspect; if few videos reach a threshold, these are more than
those off the diagonal of the joint.

**Which predictions.** There are several heads, and two ways to leave a video out of the fit: with its entire recording,
as for an accuracy on new videos, or only with its copies. If each recording has videos of one class, the other videos
of a recording are the best evidence of a video's class; if a recording has videos of each class, they mislead. So the
labels decide which predictions are used: first each set of predictions is scaled by the temperature of least loss; then
the set with the lowest log loss is used, and every set whose loss differs from it by at most one standard error (of the
mean difference over videos). Their log probabilities are averaged. For a video without predictions in these sets, the
mean of all sets is used.

Measured with 10 % of the labels swapped: "found" is the share of the swapped labels that are among the 15 % most
suspicious videos, with its standard error. The last three columns are this share for other methods, on draws of the
same sets of videos: differences of probabilities without thresholds; the off-diagonal of the joint; only predictions
that leave the entire recording out.

| videos | draws | found | probabilities | joint | recording left out |
|---|---|---|---|---|---|
| skateboarding, 189 of two tricks | 12 | 70 % (2.6) | 71 % | 71 % | 39 % |
| drawn motions, 720 of twelve classes | 6 | 85 % (1.5) | 72 % | 66 % | 83 % |
| drawn motions, 252 of twelve classes | 12 | 60 % (1.8) | 46 % | 59 % | 62 % |

If videos have several labels, each class is judged by itself: pairs of a video and a class are suspects, and a class
has one threshold for videos with the label and another for videos without it.

Shapes: N videos, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from marey.base.reporter import notice
from marey.base.words import counted
from marey.evaluation.out_of_fold.calibration import temperature_of
from marey.recipe import MultiLabel, TaskConfig
from marey.training.heads.directions import MOST_DIRECTIONS, Directions
from marey.training.heads.logistic import Targets, solve
from marey.training.heads.selection import MOST_WORK, USUAL_STRENGTH

MOST = 0.15
"""Largest share of all videos that are suspects, 0 to 1."""
_FOLDS, _FEW_FOLDS, _MANY = 10, 5, 500
"""Number of folds of single videos, for at most `_MANY` videos and for more. More videos get fewer folds to save time;
the other folds still have enough videos to fit on."""


@dataclass(frozen=True, eq=False)
class OutOfFoldLogits:
    """Out-of-fold logits: those of each video are by a head that was not fitted on it."""

    name: str
    """The pooling of the head, and what was left out of its fit, as text."""
    logits: NDArray[np.float64]
    """[N, K]: the logits of each video by a head fitted without its fold."""
    known: NDArray[np.bool_]
    """[N, K]: the videos and classes for which the logits are meaningful. With one label per video, a row is all true
    or all false."""


@dataclass(frozen=True)
class Doubt:
    """A class that is perhaps wrong for a video that has it, or perhaps missing for a video that lacks it."""

    label: int
    """Index of the class in doubt."""
    has: bool
    """Whether the video has the class as a label."""
    probability: float
    """Out-of-fold probability of the class, 0 to 1."""


@dataclass(frozen=True)
class Suspect:
    """A video whose label is likely wrong."""

    row: int
    """Index of the video."""
    doubts: tuple[Doubt, ...]
    """With one label per video: the label, then the class that may be right. With several: the most doubtful class
    first."""
    margin: float
    """The lowest margin of the doubts (module docstring), below 0; the lower, the more suspicious."""

    def wanted(self, labels: Sequence[int]) -> tuple[int, ...]:
        """The labels that may be right: `labels` of the video without doubtful ones and with missing ones, sorted."""
        changed = {doubt.label for doubt in self.doubts}
        added = [doubt.label for doubt in self.doubts if not doubt.has]
        return tuple(sorted([*(label for label in labels if label not in changed), *added]))


@dataclass(frozen=True)
class Suspects:
    """The videos whose labels are likely wrong, the most suspicious first."""

    rows: tuple[Suspect, ...]
    """The suspects, each with its classes in doubt, the lowest margin first."""
    judged: int
    """Number of videos with known predictions."""
    disagreeing: int
    """Number of videos with a negative margin; `rows` has the most suspicious of them, at most `MOST` of all videos."""
    by: tuple[str, ...]
    """The names of the predictions that were used."""


def video_fold_logits(
    name: str, everything: Directions, targets: Targets, copies: NDArray[np.int64], *, classes: int, task: TaskConfig
) -> OutOfFoldLogits | None:
    """Out-of-fold logits with folds of single videos, regardless of recordings; copies of a video are in its fold.

    All heads have `USUAL_STRENGTH` and use the directions of all videos. These do not depend on labels, so one
    decomposition is enough for all folds. Returns None if the fits would take too long (`MOST_WORK`, as for comparing
    strengths).

    Args:
        name: The pooling of the head, as text.
        everything: The directions of all N videos.
        targets: One class per video [N], or which video has which label [N, K].
        copies: [N]: a number for each video, equal for copies, which stay in one fold.
        classes: The number of classes, K.
        task: Softmax or sigmoids.
    """
    videos = len(everything.rows)
    if videos * min(videos, MOST_DIRECTIONS) * classes > MOST_WORK:
        notice(
            f"{counted(videos, 'video')} of {counted(classes, 'class')}: leaving out single videos would take long, so "
            "wrong labels are searched by folds of recordings only."
        )
        return None
    folds = _folds_of_copies(copies)
    logits, known = np.zeros((videos, classes)), np.zeros((videos, classes), np.bool_)
    hot: NDArray[np.bool_] = (np.eye(classes)[targets] if targets.ndim == 1 else targets) > 0
    for fold in range(int(folds.max()) + 1):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(others):
            continue
        own = everything.coordinates_only(others)
        solution = solve(own, targets[others], classes=classes, strength=USUAL_STRENGTH, task=task)
        logits[rows] = solution.logits(everything.coordinates[rows]).numpy()
        known[rows] = _meaningful(hot[rows], hot[others], several=targets.ndim > 1)
    return OutOfFoldLogits(f"{name}, without the video itself", logits, known)


def _folds_of_copies(copies: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each video [N]: groups of copies are distributed evenly over folds in a fixed random order."""
    contents, of_row = np.unique(copies, return_inverse=True)
    count = min(_FOLDS if len(copies) <= _MANY else _FEW_FOLDS, len(contents))
    return (np.random.default_rng(0).permutation(len(contents)) % count)[of_row].astype(np.int64)


def _meaningful(own: NDArray[np.bool_], others: NDArray[np.bool_], *, several: bool) -> NDArray[np.bool_]:
    """[M, K]: for which left-out videos and classes predictions are meaningful. With one label per video: if other
    videos have the video's label. With several labels: if some of the other videos have the class and some do not.

    Args:
        own: [M, K]: the labels of the left-out videos.
        others: [O, K]: the labels of the other videos.
        several: Whether videos have several labels.
    """
    if several:
        return np.broadcast_to(others.any(axis=0) & ~others.all(axis=0), own.shape)
    seen = (own & others.any(axis=0)).any(axis=1, keepdims=True)
    return np.broadcast_to(seen, own.shape)


def find_suspects(predictions: Sequence[OutOfFoldLogits], targets: Targets, task: TaskConfig) -> Suspects:
    """The videos whose labels are likely wrong, by the predictions that fit the labels best.

    Args:
        predictions: Predictions of the same N videos, by several heads and ways to leave videos out; at least one.
        targets: One class per video [N], or which video has which label [N, K].
        task: Softmax or sigmoids.
    """
    several = isinstance(task, MultiLabel)
    tempered = [_tempered(one, targets, several=several) for one in predictions]
    chosen = _chosen(tempered, targets, several=several)
    means = _tempered(_filled(_mean_predictions(chosen), _mean_predictions(tempered)), targets, several=several)
    names = tuple(one.name for one in chosen)
    if several:
        return _suspects_of_several_labels(means, targets.astype(np.bool_), names)
    return _suspects_of_one_label(means, targets.astype(np.int64), names)


# -- which predictions


def _tempered(predictions: OutOfFoldLogits, targets: Targets, *, several: bool) -> OutOfFoldLogits:
    """The predictions scaled by the temperature of least loss, so that those of different heads are comparable. With
    one label per video, the logits become log probabilities.
    """
    temperature = temperature_of(lambda at: float(_losses(predictions, targets, at, several=several).sum()))
    logits = predictions.logits / temperature
    return replace(predictions, logits=logits if several else _log_softmax(logits))


def _losses(
    predictions: OutOfFoldLogits, targets: Targets, temperature: float, *, several: bool
) -> NDArray[np.float64]:
    """The log loss of each video [N]; with several labels, the sum over classes. 0 where predictions are not known."""
    logits = predictions.logits / temperature
    if several:
        losses_NK = np.where(predictions.known, np.logaddexp(0, np.where(targets, -logits, logits)), 0)
        total: NDArray[np.float64] = losses_NK.sum(axis=1)
        return total
    rows = np.arange(len(logits))
    return np.where(predictions.known[rows, targets], -_log_softmax(logits)[rows, targets], 0)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = F.log_softmax(torch.from_numpy(logits), dim=1).numpy()
    return logs


def _chosen(predictions: Sequence[OutOfFoldLogits], targets: Targets, *, several: bool) -> list[OutOfFoldLogits]:
    """The sets of predictions to use: the one with the lowest loss, and those within a standard error of it.

    Losses are compared on the videos and classes that are known in all sets; if there are none, all sets are used.
    """
    shared: NDArray[np.bool_] = np.logical_and.reduce([one.known for one in predictions])
    rows = shared.any(axis=1)
    losses = [_losses(replace(one, known=shared), targets, 1.0, several=several)[rows] for one in predictions]
    if not rows.any():
        return list(predictions)
    best = min(losses, key=lambda own: float(own.mean()))
    return [
        one
        for one, own in zip(predictions, losses, strict=True)
        if (own - best).mean() <= (own - best).std() / math.sqrt(len(best))
    ]


def _mean_predictions(predictions: Sequence[OutOfFoldLogits]) -> OutOfFoldLogits:
    """The mean of the logits that are known, for each video and class."""
    known: NDArray[np.bool_] = np.stack([one.known for one in predictions])
    any_known: NDArray[np.bool_] = np.logical_or.reduce(known)
    total = np.where(known, np.stack([one.logits for one in predictions]), 0).sum(axis=0)
    return OutOfFoldLogits("", total / np.maximum(known.sum(axis=0), 1), any_known)


def _filled(predictions: OutOfFoldLogits, others: OutOfFoldLogits) -> OutOfFoldLogits:
    """The predictions, with `others` in the place of unknown ones. For example, a class with a single recording has no
    predictions if entire recordings are left out.
    """
    logits = np.where(predictions.known, predictions.logits, others.logits)
    return OutOfFoldLogits(predictions.name, logits, predictions.known | others.known)


# -- which labels


def _suspects_of_one_label(predictions: OutOfFoldLogits, labels: NDArray[np.int64], by: tuple[str, ...]) -> Suspects:
    """The suspects if videos have one label; the logits must be log probabilities."""
    rows = np.flatnonzero(predictions.known.any(axis=1))
    logs, own = predictions.logits[rows], labels[rows]
    probabilities, indices = np.exp(logs), np.arange(len(rows))
    relative = logs - np.log(_class_thresholds(probabilities, own))
    of_label = relative[indices, own].copy()
    relative[indices, own] = -np.inf
    rival = relative.argmax(axis=1)
    margin = of_label - relative[indices, rival]
    found = [
        Suspect(
            int(rows[index]),
            tuple(
                Doubt(int(label), bool(label == own[index]), float(probabilities[index, label]))
                for label in (own[index], rival[index])
            ),
            float(margin[index]),
        )
        for index in np.argsort(margin, kind="stable").tolist()
        if margin[index] < 0
    ]
    return Suspects(tuple(found[: _most(len(labels))]), len(rows), len(found), by)


def _class_thresholds(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """[K]: the threshold of each class, its mean probability over the videos with this label; 1 without such videos."""
    thresholds = np.ones(probabilities.shape[1])
    for label in np.unique(labels).tolist():
        thresholds[label] = max(float(probabilities[labels == label, label].mean()), np.finfo(np.float64).tiny)
    return thresholds


def _suspects_of_several_labels(
    predictions: OutOfFoldLogits, targets: NDArray[np.bool_], by: tuple[str, ...]
) -> Suspects:
    """The suspects if videos have several labels: each class has its own thresholds, and all pairs of a video and a
    class are sorted together.
    """
    logits, known = torch.from_numpy(predictions.logits), predictions.known
    logs = np.stack([F.logsigmoid(logits).numpy(), F.logsigmoid(-logits).numpy()])  # of having the class, of lacking it
    margin = np.full(known.shape, np.nan)
    for label in np.flatnonzero(known.any(axis=0)).tolist():
        rows = known[:, label]
        has = targets[:, label]
        usual = [
            np.log(np.exp(log[rows & of_label, label]).mean()) if (rows & of_label).any() else 0.0
            for log, of_label in zip(logs, (has, ~has), strict=True)
        ]
        difference = (logs[0, rows, label] - usual[0]) - (logs[1, rows, label] - usual[1])
        margin[rows, label] = np.where(has[rows], difference, -difference)
    pairs: dict[int, list[Doubt]] = {}
    lowest: dict[int, float] = {}
    videos, most = np.flatnonzero(known.any(axis=1)), _most(len(targets))
    order = np.argsort(margin, axis=None, kind="stable")  # NaN comes last
    for index in order[margin.ravel()[order] < 0].tolist():
        row, label = divmod(index, targets.shape[1])
        lowest.setdefault(row, float(margin[row, label]))
        doubt = Doubt(label, bool(targets[row, label]), float(np.exp(logs[0, row, label])))
        if len(pairs) < most or row in pairs:
            pairs.setdefault(row, []).append(doubt)
    found = tuple(Suspect(row, tuple(doubts), lowest[row]) for row, doubts in pairs.items())
    return Suspects(found, len(videos), len(lowest), by)


def _most(videos: int) -> int:
    """The largest number of suspects among so many videos."""
    return int(MOST * videos)
