"""Confidence intervals of the share of right predictions among all videos like the tested ones, and among the next 100."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marey.tasks.metrics import wilson

LEVEL = 0.9
"""Confidence level of the intervals, for new videos that are drawn as the tested ones were."""
FEWEST_GROUPS = 5
"""With fewer groups there is no interval: they do not show how much groups differ."""
FEWEST_EFFECTIVE = 2
"""With a lower effective number of groups, N^2 / sum_g n_g^2 for N videos in groups of n_g, there is no interval: one group
then has more than half of the videos."""


@dataclass(frozen=True)
class Interval:
    """A 90 % interval of a metric, 0 to 1."""

    low: float
    """The lower end of the interval, 0 to 1."""
    high: float
    """The upper end of the interval, 0 to 1."""
    over: Literal["videos", "groups"]
    """The independent units: videos, or groups of videos."""
    count: int
    """The number of independent units."""


def share_interval(right: NDArray[np.bool_], groups: NDArray[np.str_] | None = None) -> Interval | None:
    """The 90 % interval of the share of right predictions [N].

    Over videos: Wilson's score interval (1927), which Brown, Cai and DasGupta (Interval Estimation for a Binomial
    Proportion, Statistical Science 2001) recommend for few videos; it does not shrink to a point where all are right.

    Over groups [N], G groups of n_g videos with right_g right predictions: Wilson's interval with a quantile of
    Student's t and the effective number of videos N / D, as Korn and Graubard (Confidence Intervals for Proportions
    With Small Expected Number of Positive Counts Estimated From Survey Data, Survey Methodology 1998) and Franco,
    Little, Louis and Slud (Comparative Study of Confidence Intervals for Proportions in Complex Sample Surveys, 2019)
    do. The design effect D is the variance of the share between groups divided by that of N independent videos, and at
    least 1. The variance is that of the delete-one-group jackknife (CV3 in MacKinnon, Nielsen and Webb, Cluster-robust
    inference, Journal of Econometrics 2023), which is not too small where one group has most of the videos:

        D = (G - 1) / G * sum_g ((right_g - share * n_g) / (N - n_g))^2 * N / (share * (1 - share))

    If fewer than two groups have a wrong prediction, or fewer than two a right one, the data do not show how alike the
    videos of a group are. Then each group counts as one video, D = sum_g n_g^2 / N (Kish, Survey Sampling, 1965). The
    degrees of freedom are the effective number of groups N^2 / sum_g n_g^2, rounded down, less 1 (G - 1 for equal groups).
    A video with "" as group is a group by itself; if all have "", the interval is over videos.

    Returns None if there is no video, there are fewer groups than `FEWEST_GROUPS`, or their effective number is below
    `FEWEST_EFFECTIVE`.
    """
    if not len(right):
        return None
    share = float(right.mean())
    if groups is None or not (groups != "").any():
        low, high = wilson(share, len(right), NormalDist().inv_cdf((1 + LEVEL) / 2))
        return Interval(low, high, "videos", len(right))
    found = _Groups.of(right, groups)
    if found is None:
        return None
    low, high = wilson(share, found.total / found.jackknife_effect, student_t((1 + LEVEL) / 2, found.effective - 1))
    return Interval(low, high, "groups", found.count)


def new_videos_interval(
    right: NDArray[np.bool_], groups: NDArray[np.str_] | None, videos: int = 100, *, folds: int = 5
) -> Interval | None:
    """The 90 % interval of the share of right predictions on `videos` new videos, from out-of-fold predictions [N].

    The new videos belong to new groups of the same kind and are predicted by a head that is fitted on all N videos.
    `share_interval`, for the share of infinitely many videos, is too narrow for this. Three errors add up. The first two
    have together the variance of the share of n independent videos, the third that of m:

        1 / n = D / N + folds / (folds - 1) / N,    1 / m = D / videos

    - The tested videos are a sample. The design effect D, at least 1, is the variance of the share between groups divided by
      that of N independent videos, D = G / (G - 1) * sum_g (right_g - share * n_g)^2 / (N * share * (1 - share)); if fewer
      than two groups have a wrong prediction, or fewer than two a right one, it is that of `share_interval`.
    - The heads of the folds were fitted on other videos than the final head: Nadeau and Bengio (Inference for the
      Generalization Error, Machine Learning 2003) take as variance of one fold's share 1 / folds plus the ratio of its test
      to its training videos, which adds folds / (folds - 1) times the variance of N independent videos.
    - The new videos are a sample, and as alike inside groups as the tested ones.

    Without groups D is 1. Because D is estimated from groups, n and m are then multiplied by (z / t)^2, with z the
    normal quantile and t that of Student's t, whose degrees of freedom are the effective number of groups less 1 (Korn
    and Graubard 1998). The new share is given a beta distribution with the mean of Jeffreys' prior and n videos, (share
    * n + 1/2) / (n + 1), and approximately the variance mean * (1 - mean) * (1 / (n + 1) + 1 / m). The interval leaves
    5 % on each side and ends at whole numbers of videos. The heads of the folds saw fewer videos than the final head,
    so the share of new videos is more often above the middle than below.

    Args:
        right: Which predictions are right [N].
        groups: The group of each video [N], "" for a video by itself; None: every video is independent.
        videos: How many new videos the interval is for.
        folds: The number of folds.

    Returns None as `share_interval` does.
    """
    total = len(right)
    if not total:
        return None
    share, z = float(right.mean()), NormalDist().inv_cdf((1 + LEVEL) / 2)
    effect, fewer, over = 1.0, 1.0, Interval(0, 1, "videos", total)
    if groups is not None and (groups != "").any():
        found = _Groups.of(right, groups)
        if found is None:
            return None
        effect, fewer = found.effect, (z / student_t((1 + LEVEL) / 2, found.effective - 1)) ** 2
        over = Interval(0, 1, "groups", found.count)
    known, new = fewer * total / (effect + folds / (folds - 1)), fewer * videos / effect
    mean, weight = (share * known + 0.5) / (known + 1), 1 / (1 / (known + 1) + 1 / new)
    low, high = (beta_quantile(p, mean * weight, (1 - mean) * weight) for p in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    # Ends that differ from a whole number by rounding alone stay there.
    return replace(over, low=math.floor(low * videos + 1e-9) / videos, high=math.ceil(high * videos - 1e-9) / videos)


@dataclass(frozen=True, eq=False)
class _Groups:
    """The groups of an interval, with their numbers of videos and of right predictions."""

    sizes: NDArray[np.int64]
    """The number of videos of each group."""
    hits: NDArray[np.float64]
    """The number of right predictions of each group."""

    @classmethod
    def of(cls, right: NDArray[np.bool_], groups: NDArray[np.str_]) -> "_Groups | None":
        """Count by group; None if there are fewer groups than `FEWEST_GROUPS`, or their effective number is below
        `FEWEST_EFFECTIVE`.
        """
        of_row = group_numbers(groups)
        found = cls(np.bincount(of_row), np.bincount(of_row, right).astype(np.float64))
        return None if found.count < FEWEST_GROUPS or found.effective < FEWEST_EFFECTIVE else found

    @property
    def count(self) -> int:
        return len(self.sizes)

    @property
    def total(self) -> int:
        """The number of videos."""
        return int(self.sizes.sum())

    @property
    def effective(self) -> int:
        """The effective number of groups, rounded down; for equal groups their number."""
        return self.total**2 // int((self.sizes**2).sum())

    @property
    def jackknife_effect(self) -> float:
        """The design effect by the jackknife, which is not too small where one group has most of the videos."""
        return self._effect((self.count - 1) / self.count, self.total - self.sizes)

    @property
    def effect(self) -> float:
        """The design effect by linearisation, which has less bias on average."""
        return self._effect(self.count / (self.count - 1), np.full(self.count, self.total))

    def _effect(self, factor: float, divisors: NDArray[np.int64]) -> float:
        """The design effect, at least 1, with factor * sum_g ((right_g - share * n_g) / divisors_g)^2 as variance; Kish's
        if fewer than two groups have a wrong prediction, or fewer than two a right one.
        """
        if min(np.count_nonzero(self.hits), np.count_nonzero(self.sizes - self.hits)) < 2:
            return float((self.sizes**2).sum() / self.total)
        share = float(self.hits.sum() / self.total)
        apart = float((((self.hits - share * self.sizes) / divisors) ** 2).sum()) * factor
        return max(1.0, apart * self.total / (share * (1 - share)))


def group_numbers(groups: NDArray[np.str_]) -> NDArray[np.int64]:
    """The index of each video's group [N], from 0; a video whose group is empty is a group by itself."""
    _, numbers = np.unique(groups, return_inverse=True)
    alone = np.flatnonzero(groups == "")
    numbers[alone] = len(groups) + np.arange(len(alone))
    _, dense = np.unique(numbers, return_inverse=True)
    return dense.astype(np.int64)


def student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t with `freedom` degrees of freedom, for a probability of 1/2 to 1.

    By bisection, with the sums for integer degrees of freedom in Abramowitz and Stegun, Handbook of Mathematical
    Functions, 26.7.3 and 26.7.4.
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


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The quantile of the beta distribution with parameters a and b, both above 0, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_share(middle, a, b) < probability else (low, middle)
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """The probability that a beta-distributed variable is at most x, 0 to 1: the regularised incomplete beta function.

    By its continued fraction (DLMF 8.17.22), evaluated as Thompson and Barnett (Journal of Computational Physics 1986) do.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges slowly there
        return 1 - beta_share(1 - x, b, a)
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(500):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        lower = 1 / _nonzero(1 + term * lower)
        upper = _nonzero(1 + term / upper)
        value *= upper * lower
        if step and abs(upper * lower - 1) < 1e-14:
            break
    return scale * (value - 1) / a


def _nonzero(x: float) -> float:
    """x, or a tiny number in place of 0, by which one can divide."""
    return x if abs(x) > 1e-300 else 1e-300
