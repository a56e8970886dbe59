"""Numbers from scores. Plain NumPy; shares lie in 0..1.

Shapes: N videos, K classes. `scores` [N, K] are logits or probabilities, of which only the order counts unless a function
asks for probabilities; `labels` [N] are class indices; a confusion matrix [K, K] counts true class (row) by answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores2D = NDArray[np.float32]
Labels = NDArray[np.int64]
Confusion = NDArray[np.int64]


def top_k_accuracy(scores: Scores2D, labels: Labels, k: int) -> float:
    """The share of videos whose class is among the k highest scores; 1 where there are no more than k classes.

    Of equal scores the lower class index counts as higher, so that ties fall the same way everywhere.
    """
    if not len(labels):
        return float("nan")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def confusion_matrix(scores: Scores2D, labels: Labels) -> Confusion:
    """How many videos of each class (row) were taken for each class (column)."""
    classes = scores.shape[1]
    answers = scores.argmax(axis=1)
    return np.bincount(labels * classes + answers, minlength=classes**2).reshape(classes, classes)


def class_accuracy(confusion: Confusion) -> NDArray[np.float64]:
    """Each class's share of right answers [K] (its recall); NaN for classes without videos."""
    totals = confusion.sum(axis=1)
    return np.where(totals > 0, confusion.diagonal() / np.maximum(totals, 1), np.nan)


def mean_class_accuracy(confusion: Confusion) -> float:
    """The mean of `class_accuracy` over the classes that have videos: every class counts the same, however rare."""
    shares = class_accuracy(confusion)
    return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def macro_f1(confusion: Confusion) -> float:
    """The mean of F1 = 2 TP / (2 TP + FP + FN) over the classes that are some video's class or answer.

    The same classes as scikit-learn's and torchmetrics' macro average.
    """
    met = confusion.sum(axis=0) + confusion.sum(axis=1)
    return float((2 * confusion.diagonal()[met > 0] / met[met > 0]).mean()) if met.any() else float("nan")


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of the share `right` / `total`, which stays inside 0..1 for small counts.

    Wilson, Probable inference, the law of succession, and statistical inference, JASA 1927.
    """
    if total == 0:
        return 0.0, 1.0
    share, spread = right / total, z * z / total
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * np.sqrt(share * (1 - share) / total + spread / (4 * total))
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


@dataclass(frozen=True)
class Reliability:
    """Videos sorted by the probability of their answer into bins of equal width over 0..1; arrays [bins]."""

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """Mean probability of the answers in the bin; NaN where it is empty."""
    accuracy: NDArray[np.float64]
    """Share of right answers in the bin; NaN where it is empty."""

    @property
    def error(self) -> float:
        """The expected calibration error: |confidence - accuracy|, averaged over videos."""
        filled = self.count > 0
        if not filled.any():
            return float("nan")
        gaps = np.abs(self.confidence - self.accuracy)[filled]
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def reliability(probabilities: Scores2D, labels: Labels, bins: int = 15) -> Reliability:
    """How far answers of some probability are right as often as they claim.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (15 bins; a bin holds its upper edge).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    places = np.searchsorted(edges, confidence, side="left")
    count = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        return Reliability(
            count,
            np.bincount(places, confidence, minlength=bins) / count,
            np.bincount(places, right, minlength=bins) / count,
        )


def pair_accuracy(scores: Scores2D, labels: Labels, pairs: Sequence[tuple[int, int]]) -> float:
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
