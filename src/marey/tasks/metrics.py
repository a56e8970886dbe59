"""Metrics, 0 to 1, of scores [N, K] (logits or probabilities, higher for likelier classes) and labels [N], in NumPy.

They are not in `marey.evaluation`, because tasks use them, and `marey.tasks` may not import `marey.evaluation`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores2D = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


def top_k_accuracy(scores: Scores2D, labels: Labels, k: int) -> float:
    """The share of videos whose class is among the k highest scores; among equal scores the lower class index ranks
    first.
    """
    if not len(labels):
        return float("nan")
    own = scores[np.arange(len(labels)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    ahead = (scores > own) | (before & (scores == own)) | np.isnan(own)
    return float((ahead.sum(axis=1) < k).mean())


def confusion_matrix(scores: Scores2D, labels: Labels) -> NDArray[np.int64]:
    """[K, K]: how many videos of each class (row) were predicted as each class (column)."""
    classes = scores.shape[1]
    predicted = scores.argmax(axis=1)
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def most_confused(confusion: NDArray[np.int64], count: int) -> list[tuple[int, int, int]]:
    """Up to `count` confusions, the most frequent first: (true class, predicted class, number of videos)."""
    off = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    pairs = [divmod(flat, len(off)) for flat in order.tolist()]
    return [(true, predicted, int(off[true, predicted])) for true, predicted in pairs if off[true, predicted]]


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of right predictions for each class [K]; NaN for classes without videos."""
    totals = confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(totals > 0, confusion.diagonal() / np.maximum(totals, 1), np.nan)


def mean_class_accuracy(confusion: NDArray[np.int64]) -> float:
    """The mean of `class_accuracy` over the classes that have videos."""
    shares = class_accuracy(confusion)
    return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def average_precision(scores: Scores2D, positives: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The average precision of each class [K]; NaN for classes without videos.

    It is the sum over thresholds of (recall gained) * precision, without interpolation; videos of equal score pass a
    threshold together. `positives` [N, K] is True where a video has a label.
    """
    found = [_average_precision(scores[:, k], positives[:, k]) for k in range(scores.shape[1])]
    return np.array(found, np.float64)


def mean_average_precision(scores: Scores2D, positives: NDArray[np.bool_]) -> float:
    """The mean of `average_precision` over the classes that have videos (PySlowFast, MMAction2)."""
    precisions = average_precision(scores, positives)
    return float(np.nanmean(precisions)) if np.isfinite(precisions).any() else float("nan")


def _average_precision(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    total = int(positive.sum())
    if total == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    right = np.cumsum(positive[order])
    last = np.append(ranked[1:] != ranked[:-1], True)  # the last video of each score
    precision = right[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(right[last], prepend=0) * precision).sum() / total)


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """The mean over classes of 2 * right / (videos of the class + predictions of the class); classes with neither are left
    out.
    """
    both = confusion.sum(axis=1) + confusion.sum(axis=0)
    present = both > 0
    return float((2 * confusion.diagonal()[present] / both[present]).mean()) if present.any() else float("nan")


def calibration_error(probabilities: Scores2D, labels: Labels, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3): the difference between the highest probability and the share
    of right predictions, averaged over `bins` equal intervals of 0..1, weighted by the videos in each.
    """
    if not len(labels):
        return float("nan")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # (low, high]: a probability of exactly 1 belongs to the last interval.
    interval = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(interval, confidence - right, bins)
    return float(np.abs(gaps).sum() / len(labels))


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of the share right / total, inside 0..1: 95 % with the default quantile z, (0, 1) without videos."""
    return wilson(right / total, total, z) if total else (0.0, 1.0)


def wilson(share: float, total: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of `total` videos (above 0; may be an effective number) with the normal quantile z."""
    spread = z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / (4 * total))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def pair_accuracy(scores: Scores2D, labels: Labels, pairs: list[tuple[int, int]]) -> float:
    """Among the videos whose class belongs to a pair, the share whose class scores higher than the other class of the pair.

    Chance gives one half; a tie counts one half.
    """
    partner = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    rows = [i for i, label in enumerate(labels.tolist()) if label in partner]
    if not rows:
        return float("nan")
    own = scores[rows, labels[rows]]
    other = scores[rows, [partner[label] for label in labels[rows].tolist()]]
    return float(((own > other) + 0.5 * (own == other)).mean())
