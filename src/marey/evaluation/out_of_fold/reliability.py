"""Reliability of probabilities: how they agree with the shares of correct predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Number of equal bins of 0 to 1, as in `marey.tasks.metrics.calibration_error`."""


@dataclass(frozen=True)
class Bin:
    """The predictions whose probability is in one bin."""

    confidence: float
    """Mean of the probabilities of these predictions, 0 to 1."""
    right: float
    """Share of correct predictions, 0 to 1."""
    count: int
    """The number of predictions in the bin."""


def calibration_bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """N predictions sorted by probability into `BINS` bins (low, high]; without empty bins.

    Args:
        confidence: [N]: the probability of each prediction, 0 to 1.
        right: [N]: whether it is correct.
    """
    index = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(index, minlength=BINS)
    sums, hits = np.bincount(index, confidence, BINS), np.bincount(index, right, BINS)
    return tuple(
        Bin(float(sums[number] / count), float(hits[number] / count), int(count))
        for number, count in enumerate(counts.tolist())
        if count
    )


def mean_gap(bins: Sequence[Bin]) -> float:
    """The expected calibration error (Guo et al. 2017, equation 3): the mean difference between
    `confidence` and `right` of the bins, weighted by their counts, 0 to 1; NaN without predictions.
    """
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.right) for one in bins) / total if total else float("nan")
