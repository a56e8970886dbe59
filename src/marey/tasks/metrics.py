"""Numbers from scores. Plain NumPy: scores [N, K] (any monotone score), labels [N]. All shares lie in 0..1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores2D = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


def top_k_accuracy(scores: Scores2D, labels: Labels, k: int) -> float:
    """The share of videos whose class is among the k highest scores; of equal scores the lower class index is higher."""
    if not len(labels):
        return float("nan")
    own = scores[np.arange(len(labels)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    ahead = (scores > own) | (before & (scores == own)) | np.isnan(own)
    return float((ahead.sum(axis=1) < k).mean())


def confusion_matrix(scores: Scores2D, labels: Labels) -> NDArray[np.int64]:
    """[K, K]: how many videos of each class (row) were taken for each class (column)."""
    classes = scores.shape[1]
    answers = scores.argmax(axis=1)
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)


def most_confused(confusion: NDArray[np.int64], count: int) -> list[tuple[int, int, int]]:
    """Up to `count` kinds of wrong answer, the most frequent first: (true class, answer, how many videos)."""
    off = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-off, axis=None, kind="stable")[:count]
    pairs = [divmod(flat, len(off)) for flat in order.tolist()]
    return [(true, answer, int(off[true, answer])) for true, answer in pairs if off[true, answer]]


def class_accuracy(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each class's share of right answers [K]; NaN for classes without videos."""
    totals = confusion.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(totals > 0, confusion.diagonal() / np.maximum(totals, 1), np.nan)


def mean_class_accuracy(confusion: NDArray[np.int64]) -> float:
    """The mean of `class_accuracy` over the classes that have videos."""
    shares = class_accuracy(confusion)
    return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def average_precision(scores: Scores2D, positives: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each class [K], the mean precision at each of its videos as the threshold falls; NaN for classes without any.

    The sum over thresholds of (recall gained) * precision, where videos of equal score pass a threshold together: no
    interpolation. `positives` [N, K] says which video has which label.
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
    last = np.append(ranked[1:] != ranked[:-1], True)  # of the videos that share a score
    precision = right[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(right[last], prepend=0) * precision).sum() / total)


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """The mean over classes of 2 * right / (videos of the class + answers of the class); classes without videos and
    without answers are left out.
    """
    both = confusion.sum(axis=1) + confusion.sum(axis=0)
    present = both > 0
    return float((2 * confusion.diagonal()[present] / both[present]).mean()) if present.any() else float("nan")


def calibration_error(probabilities: Scores2D, labels: Labels, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3): how far the first answer's probability lies from the
    share of right answers, on average over `bins` equal stretches of 0..1, weighted by how many videos each holds.
    """
    if not len(labels):
        return float("nan")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    # (low, high]: a probability of exactly 1 belongs to the last stretch.
    stretch = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(stretch, confidence - right, bins)
    return float(np.abs(gaps).sum() / len(labels))


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's formula, which stays inside 0..1 for small counts."""
    return wilson(right / total, total, z) if total else (0.0, 1.0)


def wilson(share: float, total: float, z: float) -> tuple[float, float]:
    """Wilson's interval of a share of `total` videos, above 0, which may be an effective number; z is the quantile."""
    spread = z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / (4 * total))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def pair_accuracy(scores: Scores2D, labels: Labels, pairs: list[tuple[int, int]]) -> float:
    """Of the videos whose class belongs to a pair, the share whose class scores higher than the pair's other one.

    Chance is one half. Equal scores count half.
    """
    partner = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
    rows = [i for i, label in enumerate(labels.tolist()) if label in partner]
    if not rows:
        return float("nan")
    own = scores[rows, labels[rows]]
    other = scores[rows, [partner[label] for label in labels[rows].tolist()]]
    return float(((own > other) + 0.5 * (own == other)).mean())
