"""Which labels are likely wrong, by answers that were given without the clip: confident learning.

From Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, Journal of Artificial
Intelligence Research 2021. p_ik is the probability of class k for clip i, out of fold, y_i the label that clip i has.

- Section 3.1: the threshold of a class is the mean self-confidence of the clips labelled so,
  t_k = mean of p_ik over the i with y_i = k. It evens out that some classes are answered more surely than others.
- The same section: a clip may be of class k where p_ik >= t_k, and is counted off the diagonal of the confident joint, as
  wrongly labelled, where the likeliest of these classes is not y_i.
- Section 3.2, "prune by noise rate": of these, clips are ranked by the margin between the probability of their label and
  that of another class. Here the margin is one of logarithms, and over the thresholds:
  log(p_iy / t_y) - max over k other than y of log(p_ik / t_k). With two classes the logarithms hardly change the order; with
  twelve, differences of probabilities miss clips of which several other classes are about equally likely.

Below zero, another class is likelier than the label, measured by what is usual for clips of either. That is the rule here;
where few clips reach a threshold it finds more than the off-diagonal of the joint does.

**Which answers.** There are several heads, and two ways to leave a clip out: with its whole recording, as for numbers that
hold for new clips, or with its copies alone. Other clips of its recording show best what a clip is, where each recording
has one class; where a recording has a clip of each class, they mislead. So the answers are chosen by the labels themselves:
those whose logarithmic loss is lowest, and the mean of the logarithms of these and all whose loss is within a standard error
(of the difference, over clips) of it. Each is brought to the temperature that makes its loss least before. Of what these say
nothing of, all others are taken.

Measured with 10 % of the labels swapped: the share of the swapped that is found among the first 15 % of all clips, with its
standard error; and on draws of the same sets what is found without thresholds by differences of probabilities, by what the
joint counts off its diagonal, and by answers without the recording alone:

| clips | draws | found | probabilities | joint | recordings alone |
|---|---|---|---|---|---|
| skateboarding, 189 of two tricks | 12 | 70 % (2.6) | 71 % | 71 % | 39 % |
| drawn motions, 720 of twelve | 6 | 85 % (1.5) | 72 % | 66 % | 83 % |
| drawn motions, 252 of twelve | 12 | 60 % (1.8) | 46 % | 59 % | 62 % |

Where clips have several labels, each class is a question of its own, whether the clip has it or not: a pair of clip and
class is a suspect, with one threshold for clips that have the label and another for those that do not.

Shapes: N clips, K classes.
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
"""Of all clips so many are named at most, 0 to 1."""
_FOLDS, _FEW_FOLDS, _MANY = 10, 5, 500
"""In which clips are left out alone: of more clips than `_MANY` fewer, which take less time and leave enough to fit on."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits of each clip by heads that were not fitted on it."""

    name: str
    """Of the head and of what was left out, in words."""
    logits: NDArray[np.float64]
    """[N, K]"""
    known: NDArray[np.bool_]
    """[N, K]: of which clip and class they say something. Of one label a clip, a row is all true or all false."""


@dataclass(frozen=True)
class Doubt:
    """A class that a clip has and should perhaps not, or lacks and should perhaps have."""

    label: int
    has: bool
    """Whether the clip has it now."""
    probability: float
    """Of the class, out of fold, 0 to 1."""


@dataclass(frozen=True)
class Suspect:
    """A clip whose label is likely wrong."""

    row: int
    doubts: tuple[Doubt, ...]
    """Of one label a clip: its label, then the class that it may be. Of several: the most doubtful first."""
    margin: float
    """Below 0; the lower, the more suspicious."""

    def wanted(self, labels: Sequence[int]) -> tuple[int, ...]:
        """What the labels may be in place of those it has: without the classes that it has too much, with those missing."""
        changed = {doubt.label for doubt in self.doubts}
        added = [doubt.label for doubt in self.doubts if not doubt.has]
        return tuple(sorted([*(label for label in labels if label not in changed), *added]))


@dataclass(frozen=True)
class Suspects:
    """The clips whose labels are likely wrong, the most suspicious first."""

    rows: tuple[Suspect, ...]
    judged: int
    """Clips of which some answer says something."""
    disagreeing: int
    """Clips whose label some other class, or the lack of it, is likelier than: `rows` has the first of them."""
    by: tuple[str, ...]
    """The answers that were taken, by their names."""


def leaving_out_alone(
    name: str, everything: Directions, targets: Targets, copies: NDArray[np.int64], *, classes: int, task: TaskConfig
) -> Answers | None:
    """Logits of each clip by a head that was fitted on clips of other folds, where folds are of clips without regard to
    recordings; copies of a clip are left out with it. All heads have the usual strength, and use the directions of all
    clips: these know no labels, and so cost one decomposition for all folds.

    None where that would take too long: where not even the strengths of a head are compared.

    Args:
        name: Of the head, in words.
        everything: The directions of all N clips.
        targets: One class a clip [N], or which clip has which label [N, K].
        copies: A number for each clip [N], equal for clips that must not be torn apart.
        classes: K.
        task: Softmax or sigmoids.
    """
    clips = len(everything.rows)
    if clips * min(clips, MOST_DIRECTIONS) * classes > MOST_WORK:
        notice(
            f"{counted(clips, 'clip')} of {counted(classes, 'class')}: leaving out clips alone would take long, so that "
            "wrong labels are looked for by folds of recordings alone."
        )
        return None
    folds = _folds(copies)
    logits, known = np.zeros((clips, classes)), np.zeros((clips, classes), np.bool_)
    hot: NDArray[np.bool_] = (np.eye(classes)[targets] if targets.ndim == 1 else targets) > 0
    for fold in range(int(folds.max()) + 1):
        rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(others):
            continue
        own = everything.coordinates_only(others)
        found = solve(own, targets[others], classes=classes, strength=USUAL_STRENGTH, task=task)
        logits[rows] = found.logits(everything.coordinates[rows]).numpy()
        known[rows] = _knowable(hot[rows], hot[others], several=targets.ndim > 1)
    return Answers(f"{name}, without the clip itself", logits, known)


def _folds(copies: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of each clip [N]: units in a random order that is the same each time, dealt in turn."""
    units, of_row = np.unique(copies, return_inverse=True)
    count = min(_FOLDS if len(copies) <= _MANY else _FEW_FOLDS, len(units))
    return (np.random.default_rng(0).permutation(len(units)) % count)[of_row].astype(np.int64)


def _knowable(own: NDArray[np.bool_], others: NDArray[np.bool_], *, several: bool) -> NDArray[np.bool_]:
    """Of which of the clips left out [M, K] answers say something: the others have clips with its label; and, of several
    labels, for each class clips with and without it.
    """
    if several:
        return np.broadcast_to(others.any(axis=0) & ~others.all(axis=0), own.shape)
    seen = (own & others.any(axis=0)).any(axis=1, keepdims=True)
    return np.broadcast_to(seen, own.shape)


def find_suspects(answers: Sequence[Answers], targets: Targets, task: TaskConfig) -> Suspects:
    """The clips whose labels are likely wrong, by the answers that fit the labels best, as this module says.

    Args:
        answers: Of the same N clips, by several heads and ways to leave clips out; at least one.
        targets: One class a clip [N], or which clip has which label [N, K].
        task: Softmax or sigmoids.
    """
    several = isinstance(task, MultiLabel)
    tempered = [_tempered(one, targets, several=several) for one in answers]
    chosen = _chosen(tempered, targets, several=several)
    means = _tempered(_filled(_mean(chosen), _mean(tempered)), targets, several=several)
    name = tuple(one.name for one in chosen)
    if several:
        return _of_several(means, targets.astype(np.bool_), name)
    return _of_one(means, targets.astype(np.int64), name)


# -- which answers


def _tempered(answers: Answers, targets: Targets, *, several: bool) -> Answers:
    """The answers at the temperature that makes their loss least, as logarithms of probabilities where clips have one
    label: answers of different heads then mean the same.
    """
    temperature = temperature_of(lambda at: float(_losses(answers, targets, at, several=several).sum()))
    logits = answers.logits / temperature
    return replace(answers, logits=logits if several else _log_softmax(logits))


def _losses(answers: Answers, targets: Targets, temperature: float, *, several: bool) -> NDArray[np.float64]:
    """The logarithmic loss of each clip [N], of several labels the sum over the classes; 0 where nothing is known."""
    logits = answers.logits / temperature
    if several:
        each: NDArray[np.float64] = np.where(answers.known, np.logaddexp(0, np.where(targets, -logits, logits)), 0)
        total: NDArray[np.float64] = each.sum(axis=1)
        return total
    rows = np.arange(len(logits))
    return np.where(answers.known[rows, targets], -_log_softmax(logits)[rows, targets], 0)


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = F.log_softmax(torch.from_numpy(logits), dim=1).numpy()
    return found


def _chosen(answers: Sequence[Answers], targets: Targets, *, several: bool) -> list[Answers]:
    """Those with the lowest loss on what all of them know, and those within a standard error of it."""
    shared: NDArray[np.bool_] = np.logical_and.reduce([one.known for one in answers])
    rows = shared.any(axis=1)
    losses = [_losses(replace(one, known=shared), targets, 1.0, several=several)[rows] for one in answers]
    if not rows.any():
        return list(answers)
    best = min(losses, key=lambda own: float(own.mean()))
    return [
        one
        for one, own in zip(answers, losses, strict=True)
        if (own - best).mean() <= (own - best).std() / math.sqrt(len(best))
    ]


def _mean(answers: Sequence[Answers]) -> Answers:
    """The mean, for each clip and class of those that say something."""
    known: NDArray[np.bool_] = np.stack([one.known for one in answers])
    any_known: NDArray[np.bool_] = np.logical_or.reduce(known)
    total = np.where(known, np.stack([one.logits for one in answers]), 0).sum(axis=0)
    return Answers("", total / np.maximum(known.sum(axis=0), 1), any_known)


def _filled(answers: Answers, others: Answers) -> Answers:
    """The answers, and others where they say nothing, as those without the recording do of a class of one recording."""
    logits = np.where(answers.known, answers.logits, others.logits)
    return Answers(answers.name, logits, answers.known | others.known)


# -- which labels


def _of_one(answers: Answers, labels: NDArray[np.int64], by: tuple[str, ...]) -> Suspects:
    """Of one label a clip; the logits are logarithms of probabilities."""
    rows = np.flatnonzero(answers.known.any(axis=1))
    logs, own = answers.logits[rows], labels[rows]
    probabilities, places = np.exp(logs), np.arange(len(rows))
    over = logs - np.log(_means_of_classes(probabilities, own))
    having = over[places, own].copy()
    over[places, own] = -np.inf
    rival = over.argmax(axis=1)
    margin = having - over[places, rival]
    found = [
        Suspect(
            int(rows[place]),
            tuple(
                Doubt(int(label), bool(label == own[place]), float(probabilities[place, label]))
                for label in (own[place], rival[place])
            ),
            float(margin[place]),
        )
        for place in np.argsort(margin, kind="stable").tolist()
        if margin[place] < 0
    ]
    return Suspects(tuple(found[: _most(len(labels))]), len(rows), len(found), by)


def _means_of_classes(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """[K]: the mean probability of each class over the clips labelled so; 1 of a class without any."""
    found = np.ones(probabilities.shape[1])
    for label in np.unique(labels).tolist():
        found[label] = max(float(probabilities[labels == label, label].mean()), np.finfo(np.float64).tiny)
    return found


def _of_several(answers: Answers, targets: NDArray[np.bool_], by: tuple[str, ...]) -> Suspects:
    """Of several labels a clip: each class by itself, and the pairs of clip and class in one order."""
    logits, known = torch.from_numpy(answers.logits), answers.known
    logs = np.stack([F.logsigmoid(logits).numpy(), F.logsigmoid(-logits).numpy()])  # with the class, and without it
    margin = np.full(known.shape, np.nan)
    for label in np.flatnonzero(known.any(axis=0)).tolist():
        rows = known[:, label]
        has = targets[:, label]
        usual = [
            np.log(np.exp(side[rows & of_side, label]).mean()) if (rows & of_side).any() else 0.0
            for side, of_side in zip(logs, (has, ~has), strict=True)
        ]
        difference = (logs[0, rows, label] - usual[0]) - (logs[1, rows, label] - usual[1])
        margin[rows, label] = np.where(has[rows], difference, -difference)
    pairs: dict[int, list[Doubt]] = {}
    lowest: dict[int, float] = {}
    clips, most = np.flatnonzero(known.any(axis=1)), _most(len(targets))
    order = np.argsort(margin, axis=None, kind="stable")  # NaN comes last
    for place in order[margin.ravel()[order] < 0].tolist():
        row, label = divmod(place, targets.shape[1])
        lowest.setdefault(row, float(margin[row, label]))
        doubt = Doubt(label, bool(targets[row, label]), float(np.exp(logs[0, row, label])))
        if len(pairs) < most or row in pairs:
            pairs.setdefault(row, []).append(doubt)
    found = tuple(Suspect(row, tuple(doubts), lowest[row]) for row, doubts in pairs.items())
    return Suspects(found, len(clips), len(lowest), by)


def _most(clips: int) -> int:
    """How many clips are named at most."""
    return int(MOST * clips)
