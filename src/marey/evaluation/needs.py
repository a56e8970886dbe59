"""Classes of which more clips would tell more, or help more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted, percent, verb
from marey.evaluation.scores import Scores
from marey.tasks.intervals import FEWEST_GROUPS, share_interval

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
    with the fewest clips first.
    """
    positives = scores.positives
    right = _right(scores)
    found = []
    for k in np.argsort(positives.sum(axis=0), kind="stable").tolist():
        rows = np.flatnonzero(positives[:, k])
        reasons = [*_few(rows, scores.groups), *([] if right is None else _uncertain(rows, right, scores.groups))]
        if len(rows) and reasons:
            found.append(ClassNeed(scores.class_names[k], "; ".join(reasons)))
    return tuple(found)


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
        were = verb(len(rows), "its only clip is", "its clips are")
        reasons.append(f"{were} of {counted(len(sizes), 'recording')} only")
    elif sizes.max() > len(rows) / 2:
        reasons.append(f"{int(sizes.max()):,} of its {len(rows):,} clips are of one recording")
    return reasons


def _uncertain(rows: NDArray[np.int64], right: NDArray[np.bool_], groups: NDArray[np.str_] | None) -> list[str]:
    """That a class has a low share which is not known well."""
    share = float(right[rows].mean()) if len(rows) else 1.0
    interval = share_interval(right[rows], None if groups is None else groups[rows])
    if interval is None or share >= float(right.mean()) or interval.high - interval.low < _WIDE:
        return []
    ends = f"{percent(interval.low, 0)} to {percent(interval.high, 0)}"
    return [f"{int(right[rows].sum()):,} of {len(rows):,} are right, which may be {ends} of new ones"]
