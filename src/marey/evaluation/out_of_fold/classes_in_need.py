"""Classes that need more videos, because they have few or their accuracy is low and not well known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted, percent, verb
from marey.evaluation.scores import Scores
from marey.tasks.intervals import FEWEST_GROUPS, share_interval
from marey.tasks.metrics import average_precision

_FEW = 20
"""Number of videos below which a class has few."""
_WIDE = 0.25
"""Width, 0 to 1, of the 90 % interval of a class's accuracy. The accuracy is not well known if it is this wide or wider."""


@dataclass(frozen=True)
class ClassNeed:
    """A class that needs more videos."""

    name: str
    """The name of the class."""
    reason: str
    """Why it needs more videos, as clauses without a full stop."""


def classes_in_need(scores: Scores) -> tuple[ClassNeed, ...]:
    """The classes that have few videos or videos of few recordings, or whose accuracy is below that of all videos and
    not well known.

    They are sorted by accuracy, or by average precision where videos have several labels, the worst first; among equal
    ones those with fewer videos first.
    """
    positives = scores.positives
    correct, counts = _correct(scores), positives.sum(axis=0)
    accuracy = _accuracy(scores.probabilities, positives, correct)
    found = []
    for k in np.lexsort((counts, accuracy)).tolist():
        rows = np.flatnonzero(positives[:, k])
        reasons = [*_few(rows, scores.groups), *([] if correct is None else _uncertain(rows, correct, scores.groups))]
        if len(rows) and reasons:
            found.append(ClassNeed(scores.class_names[k], "; ".join(reasons)))
    return tuple(found)


def needed_videos(scores: Scores) -> str:
    """What to add to the classes, as the beginning of a sentence. Where recordings are known, it asks for other recordings,
    since more videos of the same recordings show and teach little.
    """
    known = scores.groups is not None and bool((scores.groups != "").any())
    return "More videos, from other recordings," if known else "More videos"


def _accuracy(
    probabilities: NDArray[np.float32], positives: NDArray[np.bool_], correct: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """[K]: accuracy or average precision of each class, 0 to 1; NaN, which is sorted last, without videos."""
    if correct is None:
        return average_precision(probabilities, positives)
    counts = positives.sum(axis=0)
    return np.where(counts > 0, (positives & correct[:, None]).sum(axis=0) / np.maximum(counts, 1), np.nan)


def _correct(scores: Scores) -> NDArray[np.bool_] | None:
    """[N]: which videos are predicted correctly; None where videos have several labels."""
    return scores.task.right(scores.probabilities, scores.labels) if scores.labels.ndim == 1 else None


def _few(rows: NDArray[np.int64], groups: NDArray[np.str_] | None) -> list[str]:
    """Reasons: a class has few videos, videos of few recordings, or nearly all of its videos are of one recording."""
    reasons = [f"it has {counted(len(rows), 'video')} only"] if len(rows) < _FEW else []
    if groups is None or not len(rows) or not (groups[rows] != "").all():
        return reasons
    sizes = np.unique(groups[rows], return_counts=True)[1]
    if len(sizes) < FEWEST_GROUPS:
        are = verb(len(rows), "its only video is", f"its {len(rows):,} videos are")
        reasons = [f"{are} of {counted(len(sizes), 'recording')} only"]
    elif sizes.max() > len(rows) / 2:
        reasons.append(f"{int(sizes.max()):,} of its {len(rows):,} videos are of one recording")
    return reasons


def _uncertain(rows: NDArray[np.int64], correct: NDArray[np.bool_], groups: NDArray[np.str_] | None) -> list[str]:
    """Reason: the accuracy of a class is low and not well known."""
    accuracy = float(correct[rows].mean()) if len(rows) else 1.0
    interval = share_interval(correct[rows], None if groups is None else groups[rows])
    if accuracy >= float(correct.mean()) or (interval is not None and interval.high - interval.low < _WIDE):
        return []
    counts = f"{int(correct[rows].sum()):,} of {len(rows):,} {verb(len(rows), 'is', 'are')} right"
    if interval is None:
        return [counts]
    return [f"{counts}, which may be {percent(interval.low, 0)} to {percent(interval.high, 0)} of new ones"]
