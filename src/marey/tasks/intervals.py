"""How far a share of right answers may lie from the one that was measured: its 90 % interval."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marey.tasks.metrics import wilson

LEVEL = 0.9
"""How often the intervals hold, where the videos that come are drawn as the tested ones were."""
FEWEST_GROUPS = 5
"""Videos of fewer groups do not show how much groups differ."""
FEWEST_EFFECTIVE = 2
"""Nor do groups of which one or two have nearly all videos: as many equal groups are as good as N^2 / sum_g n_g^2."""


@dataclass(frozen=True)
class Interval:
    """A 90 % interval of a number of a test, 0 to 1."""

    low: float
    high: float
    over: Literal["videos", "groups"]
    """What was drawn independently of each other: videos, or groups of them."""
    count: int
    """Of these videos or groups."""


def share_interval(right: NDArray[np.bool_], groups: NDArray[np.str_] | None = None) -> Interval | None:
    """The 90 % interval of the share of right answers [N].

    Over videos: Wilson's score interval (1927), which Brown, Cai and DasGupta (Interval Estimation for a Binomial
    Proportion, Statistical Science 2001) recommend for few videos; it stays honest where all answers are right.

    Over groups [N]: Wilson's interval with a quantile of Student's t and the effective number of videos N / D, as Korn and
    Graubard (Confidence Intervals for Proportions With Small Expected Number of Positive Counts Estimated From Survey Data,
    Survey Methodology 1998) and Franco, Little, Louis and Slud (Comparative Study of Confidence Intervals for Proportions in
    Complex Sample Surveys, 2019) do. The design effect D is the variance of the share between groups over that of N
    independent videos, and at least 1. The variance is that of the jackknife that leaves out a group at a time (CV3 in
    MacKinnon, Nielsen and Webb, Cluster-robust inference, Journal of Econometrics 2023), which is not too small where one
    group has most of the videos:

        D = (G - 1) / G * sum_g ((right_g - share * n_g) / (N - n_g))^2 * N / (share * (1 - share))

    Where not two groups have a wrong answer, or not two a right one, nothing shows how alike the videos of a group are:
    then each group counts as one video, D = sum_g n_g^2 / N (Kish, Survey Sampling, 1965). The degrees of freedom are
    those of the effective number of groups N^2 / sum_g n_g^2, rounded down, less 1: G - 1 of equal groups. A video with an
    empty group is a group of its own; where all are empty, the interval is over videos.

    None: there is no video, the groups are fewer than `FEWEST_GROUPS`, or so unequal that they count as fewer than
    `FEWEST_EFFECTIVE`.
    """
    total = len(right)
    if not total:
        return None
    share = float(right.mean())
    if groups is None or not (groups != "").any():
        low, high = wilson(share, total, NormalDist().inv_cdf((1 + LEVEL) / 2))
        return Interval(low, high, "videos", total)
    of_row = group_numbers(groups)
    count = int(of_row.max()) + 1
    if count < FEWEST_GROUPS:
        return None
    sizes, hits = np.bincount(of_row), np.bincount(of_row, right)
    squares = int((sizes**2).sum())
    effective = total**2 // squares  # equal groups give their number exactly
    if effective < FEWEST_EFFECTIVE:
        return None
    if min(np.count_nonzero(hits), np.count_nonzero(sizes - hits)) < 2:
        effect = squares / total
    else:
        apart = float((((hits - share * sizes) / (total - sizes)) ** 2).sum()) * (count - 1) / count
        effect = max(1.0, apart * total / (share * (1 - share)))
    low, high = wilson(share, total / effect, student_t((1 + LEVEL) / 2, effective - 1))
    return Interval(low, high, "groups", count)


def group_numbers(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """The number of each video's group [N], from 0; a video whose group is empty has one of its own."""
    _, numbers = np.unique(groups, return_inverse=True)
    alone = np.flatnonzero(groups == "")
    numbers[alone] = len(groups) + np.arange(len(alone))
    _, dense = np.unique(numbers, return_inverse=True)
    return dense.astype(np.int64)


def student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t, of a probability of 1/2 to 1, with so many degrees of freedom.

    By halving, on the sums for whole degrees of freedom in Abramowitz and Stegun, Handbook of Mathematical Functions,
    26.7.3 and 26.7.4.
    """
    low, high = 0.0, math.pi / 2  # of arctan(t / sqrt(freedom))
    for _ in range(60):
        middle = (low + high) / 2
        if _within(middle, freedom) < 2 * probability - 1:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom) * math.tan(high)


def _within(angle: float, freedom: int) -> float:
    """The probability that |t| is at most sqrt(freedom) * tan(angle)."""
    odd, square = freedom % 2 == 1, math.cos(angle) ** 2
    term = math.cos(angle) if odd else 1.0
    terms = 0.0
    for n in range(1 + odd, freedom, 2):
        terms += term
        term *= square * n / (n + 1)
    return (angle + math.sin(angle) * terms) * 2 / math.pi if odd else math.sin(angle) * terms
