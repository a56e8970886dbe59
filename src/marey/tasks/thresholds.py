"""Thresholds on probabilities: a class at or above its threshold is predicted.

In NumPy: probabilities [N, K], and positives [N, K], True where a video has a label.
"""

import math

import numpy as np
from numpy.typing import NDArray

_GRID = np.arange(1, 100) / 100
"""The thresholds that are tried for each class."""
_PRIOR_VIDEOS = 5.0
"""The counts of all classes are added to those of each class, with the weight of this many videos, so that the threshold of
a class with few videos does not follow noise."""


def turning_away(confidences: NDArray[np.float32], rate: float) -> float | None:
    """The threshold below which, on average, at most the share `rate`, 0 to 1, of new videos lies.

    It is the k-th smallest of N confidences (the highest probability of each video), k = floor(rate * (N + 1)). If the
    new videos are exchangeable with these, a new confidence is lower with a probability of at most k / (N + 1) (split
    conformal prediction: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Angelopoulos and
    Bates, A Gentle Introduction to Conformal Prediction, 2023). None where k is 0, because there are too few videos.
    """
    # Rounding must not make 0.05 * (19 + 1) less than 1.
    rank = math.floor(rate * (len(confidences) + 1) + 1e-9)
    return float(np.sort(confidences)[rank - 1]) if rank else None


def of_best_f1(probabilities: NDArray[np.float32], positives: NDArray[np.bool_]) -> tuple[float, ...]:
    """For each class the threshold, 0.01 to 0.99, at which its F1 is best; among equal ones the nearest to 1/2.

    F1 = 2 right / (videos of the class + videos at or above the threshold). The counts of all classes, scaled to 5 videos,
    are added to those of each class: a class with many videos has its own best threshold, one with few follows the others,
    because thresholds fitted to few videos fit noise (Fan and Lin, A Study on Threshold Selection for Multi-label
    Classification, 2007).
    """
    above = np.stack([probabilities >= threshold for threshold in _GRID])  # [thresholds, N, K]
    right_TK, predicted_TK, of_class_K = (above & positives).sum(1), above.sum(1), positives.sum(0)
    share = _PRIOR_VIDEOS / max(int(of_class_K.sum()), 1)
    right_TK = right_TK + share * right_TK.sum(1, keepdims=True)
    predicted_TK = predicted_TK + share * predicted_TK.sum(1, keepdims=True)
    scores_TK = 2 * right_TK / (of_class_K + share * of_class_K.sum() + predicted_TK + 1e-12)
    best_TK = scores_TK >= scores_TK.max(axis=0) - 1e-9
    apart_TK = np.where(best_TK, np.abs(_GRID - 0.5)[:, None], np.inf)
    return tuple(_GRID[apart_TK.argmin(axis=0)].tolist())


def f1_at(
    probabilities: NDArray[np.float32], positives: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """F1 of each class [K] if it is predicted for the videos at or above its threshold; NaN without videos and predictions.

    `thresholds` are those of the classes [K], or of the classes for each video [N, K].
    """
    above = probabilities >= thresholds
    both = positives.sum(axis=0) + above.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(both > 0, 2 * (above & positives).sum(axis=0) / np.maximum(both, 1), np.nan)
