"""From which probability on a class is an answer. Plain NumPy: probabilities [N, K], which video has which label [N, K]."""

import math

import numpy as np
from numpy.typing import NDArray

_GRID = np.arange(1, 100) / 100
"""The thresholds that are compared for each class."""
_BORROWED = 5.0
"""A class's counts are joined by those of all classes, which weigh as much as this many of its videos: a class with few is
not given a threshold by chance."""


def turning_away(confidences: NDArray[np.float32], rate: float) -> float | None:
    """The threshold below which at most a share `rate`, 0 to 1, of new videos lies, on average.

    That is the k-th smallest of the N confidences, k = floor(rate * (N + 1)): where the new videos and these are drawn
    alike, one of the new ones is less than it with a probability of k / (N + 1) at most (split conformal prediction: Vovk,
    Gammerman and Shafer, Algorithmic Learning in a Random World, 2005; Angelopoulos and Bates, A Gentle Introduction to
    Conformal Prediction, 2023). None where k is 0: so few videos show no threshold.
    """
    # 0.05 * (19 + 1) is 1, not a hair less.
    rank = math.floor(rate * (len(confidences) + 1) + 1e-9)
    return float(np.sort(confidences)[rank - 1]) if rank else None


def of_best_f1(answers: NDArray[np.float32], positives: NDArray[np.bool_]) -> tuple[float, ...]:
    """For each class the threshold, 0.01 to 0.99, at which its F1 is best; of equal ones that nearest to 1/2.

    F1 = 2 right / (videos of the class + videos at or above the threshold). The counts of a class are joined by those of all
    classes together, scaled to 5 videos: a class with many videos decides by itself, one with few follows the
    others, as one by one they would fit noise (Fan and Lin, A Study on Threshold Selection for Multi-label Classification,
    2007).
    """
    above = np.stack([answers >= threshold for threshold in _GRID])  # [thresholds, N, K]
    right_TK, answered_TK, of_class_K = (above & positives).sum(1), above.sum(1), positives.sum(0)
    share = _BORROWED / max(int(of_class_K.sum()), 1)
    right_TK = right_TK + share * right_TK.sum(1, keepdims=True)
    answered_TK = answered_TK + share * answered_TK.sum(1, keepdims=True)
    scores_TK = 2 * right_TK / (of_class_K + share * of_class_K.sum() + answered_TK + 1e-12)
    best_TK = scores_TK >= scores_TK.max(axis=0) - 1e-9
    apart_TK = np.where(best_TK, np.abs(_GRID - 0.5)[:, None], np.inf)
    return tuple(_GRID[apart_TK.argmin(axis=0)].tolist())


def f1_at(
    answers: NDArray[np.float32], positives: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """F1 of each class [K] where its answers are the videos at or above its threshold; NaN without videos and answers.

    `thresholds` are those of each class [K], or of each class for each video [N, K].
    """
    above = answers >= thresholds
    both = positives.sum(axis=0) + above.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(both > 0, 2 * (above & positives).sum(axis=0) / np.maximum(both, 1), np.nan)
