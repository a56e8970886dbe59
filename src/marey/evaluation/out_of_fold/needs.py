"""Classes of which more clips would tell more, or help more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted, percent, verb
from marey.evaluation.scores import Scores
from marey.tasks.intervals import FEWEST_GROUPS, share_interval
from marey.tasks.metrics import average_precision

_FEW = 20
"""With fewer clips a class has few."""
_WIDE = 0.25
"""A 90 % interval of a class's share as wide as this, 0 to 1, says little."""


@dataclass(frozen=True)
class ClassNeed:
    """A class of which more clips are needed, and why."""

    name: str
    reason: str
    """Without a full stop."""


def classes_in_need(scores: Scores) -> tuple[ClassNeed, ...]:
    """The classes with few clips, with clips of few groups, or with a share below that of all and a wide interval; those
    that are answered worst first, by the share of right answers, or the average precision where clips have several labels;
    of equal ones those with the fewest clips.
    """
    positives = scores.positives
    right, counts = _right(scores), positives.sum(axis=0)
    worst = _shares(scores.probabilities, positives, right)
    found = []
    for k in np.lexsort((counts, worst)).tolist():
        rows = np.flatnonzero(positives[:, k])
        reasons = [*_few(rows, scores.groups), *([] if right is None else _uncertain(rows, right, scores.groups))]
        if len(rows) and reasons:
            found.append(ClassNeed(scores.class_names[k], "; ".join(reasons)))
    return tuple(found)


def what_is_needed(scores: Scores) -> str:
    """What to add to classes in need, to begin a sentence: where recordings are known, further clips of those that are there
    would say and teach little.
    """
    known = scores.groups is not None and bool((scores.groups != "").any())
    return "More clips, from other recordings," if known else "More clips"


def _shares(
    answers: NDArray[np.float32], positives: NDArray[np.bool_], right: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """How well each class is answered [K], 0 to 1; NaN, which is sorted last, without clips."""
    if right is None:
        return average_precision(answers, positives)
    counts = positives.sum(axis=0)
    return np.where(counts > 0, (positives & right[:, None]).sum(axis=0) / np.maximum(counts, 1), np.nan)


def _right(scores: Scores) -> NDArray[np.bool_] | None:
    """Which clips [N] are answered right; None where clips have several labels, each of a class of its own."""
    return scores.task.right(scores.probabilities, scores.labels) if scores.labels.ndim == 1 else None


def _few(rows: NDArray[np.int64], groups: NDArray[np.str_] | None) -> list[str]:
    """That a class has few clips, or clips of few groups, or nearly all of one."""
    reasons = [f"it has {counted(len(rows), 'clip')} only"] if len(rows) < _FEW else []
    if groups is None or not len(rows) or not (groups[rows] != "").all():
        return reasons
    sizes = np.unique(groups[rows], return_counts=True)[1]
    if len(sizes) < FEWEST_GROUPS:
        were = verb(len(rows), "its only clip is", f"its {len(rows):,} clips are")
        reasons = [f"{were} of {counted(len(sizes), 'recording')} only"]
    elif sizes.max() > len(rows) / 2:
        reasons.append(f"{int(sizes.max()):,} of its {len(rows):,} clips are of one recording")
    return reasons


def _uncertain(rows: NDArray[np.int64], right: NDArray[np.bool_], groups: NDArray[np.str_] | None) -> list[str]:
    """That a class has a low share which is not known well."""
    share = float(right[rows].mean()) if len(rows) else 1.0
    interval = share_interval(right[rows], None if groups is None else groups[rows])
    if share >= float(right.mean()) or (interval is not None and interval.high - interval.low < _WIDE):
        return []
    said = f"{int(right[rows].sum()):,} of {len(rows):,} {verb(len(rows), 'is', 'are')} right"
    if interval is None:
        return [said]
    return [f"{said}, which may be {percent(interval.low, 0)} to {percent(interval.high, 0)} of new ones"]
