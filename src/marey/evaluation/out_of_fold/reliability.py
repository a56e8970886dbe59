"""How probabilities agree with shares of right answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Equal stretches of 0 to 1, as many as `marey.tasks.metrics.calibration_error` has."""


@dataclass(frozen=True)
class Bin:
    """The answers whose probability lies in one stretch; shares 0 to 1."""

    confidence: float
    """Mean of their probabilities."""
    right: float
    """Share of right ones."""
    count: int


def calibration_bins(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    """Answers with probabilities [N] sorted into `BINS` stretches (low, high]; empty ones are left out."""
    stretch = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(stretch, minlength=BINS)
    sums, hits = np.bincount(stretch, confidence, BINS), np.bincount(stretch, right, BINS)
    return tuple(
        Bin(float(sums[place] / count), float(hits[place] / count), int(count))
        for place, count in enumerate(counts.tolist())
        if count
    )


def mean_gap(bins: Sequence[Bin]) -> float:
    """The expected calibration error (Guo et al. 2017, equation 3): the mean distance of `confidence` and `right`."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.confidence - one.right) for one in bins) / total if total else float("nan")
