"""Outliers: videos that are far from all others of their class in a frozen network's features, such as wrong files.

The distance of a video to its class is the mean distance to the `NEAREST` nearest videos of the class from other
recordings. Usual distances are estimated from all videos of the class, as two numbers that a few outliers hardly
change: the median of the logarithms of their distances, and 1.4826 times the median absolute deviation from this
median. The second is the standard deviation if the logarithms are normally distributed (Rousseeuw and Croux,
Alternatives to the Median Absolute Deviation, Journal of the American Statistical Association 1993).

Shapes: N videos, K classes, R directions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.training.heads.directions import Directions
from marey.training.heads.logistic import Targets

NEAREST = 5
"""Number of nearest videos with which a video is compared. Unusual videos that are alike are no outliers if there are
more than this number of them."""
_FEWEST = 10
"""Least number of recordings of a class for outliers to be searched: with fewer, usual distances cannot be estimated."""
_FAR = 4.5
"""Number of standard deviations above the median beyond which a video is an outlier, which is true of one in 300,000
normally distributed logarithms. Videos of other subjects, added one at a time to 189 videos of skateboarding, or to 252
and 720 drawn ones, were at least 4.7 standard deviations above the median. So were at most 1 in 100 of the videos that
belong to the set."""
_FARTHER = 1.3
"""An outlier's distance must also be more than this multiple of the median distance: if the videos of a class are about
equally far from each other, small differences make no outliers."""
_MANY = 0.05
"""Largest share of a class that may be outliers, 0 to 1. If more videos are far, the class consists of several kinds of
videos, and none counts as an outlier."""


@dataclass(frozen=True)
class Outlier:
    """A video that is far from all others of its class."""

    row: int
    """Index of the video."""
    label: int
    """Index of the class that the video is labelled with."""
    times: float
    """The video's distance to the class divided by the median distance of the class, above 1."""


def class_outliers(directions: Directions, targets: Targets, groups: NDArray[np.int64]) -> list[Outlier]:
    """The outliers of all classes, the farthest first, each video once.

    Args:
        directions: The directions of all N videos, whose coordinates are compared.
        targets: One class per video [N]; or which video has which label [N, K], and then a video must be an outlier in
            each of its classes that has enough recordings.
        groups: [N]: a number for each video, equal for videos of one recording, and for copies.
    """
    points = directions.coordinates.numpy()
    hot = np.eye(int(targets.max()) + 1, dtype=np.bool_)[targets] if targets.ndim == 1 else targets
    found: dict[int, list[Outlier]] = {}
    judged = np.zeros(len(points), np.int64)
    for label, of_class in enumerate(hot.T):
        rows = np.flatnonzero(of_class)
        if len(np.unique(groups[rows])) < _FEWEST:
            continue
        judged[rows] += 1
        for index, times in _far_videos(points[rows], groups[rows]):
            row = int(rows[index])
            found.setdefault(row, []).append(Outlier(row, label, times))
    outliers = [
        min(several, key=lambda one: one.times) for row, several in found.items() if len(several) == judged[row]
    ]
    return sorted(outliers, key=lambda one: (-one.times, one.row))


def _far_videos(points: NDArray[np.float64], groups: NDArray[np.int64]) -> list[tuple[int, float]]:
    """The videos of a class that are far from the others: index, and distance divided by the median distance.

    Args:
        points: [M, R]: the coordinates of the class's videos.
        groups: [M]: a number for each recording.
    """
    squares = np.square(points).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    distances[groups[:, None] == groups] = np.inf
    nearest = np.sort(distances, axis=1)[:, :NEAREST]
    means = np.log(np.maximum(np.where(np.isfinite(nearest), nearest, 0).sum(axis=1), np.finfo(np.float64).tiny))
    means -= np.log(np.maximum(np.isfinite(nearest).sum(axis=1), 1))
    usual = float(np.median(means))
    deviation = 1.4826 * float(np.median(np.abs(means - usual)))
    far = (means - usual > _FAR * deviation) & (means - usual > np.log(_FARTHER))
    if not far.any() or far.sum() > max(1, _MANY * len(points)):
        return []
    return [(int(index), float(np.exp(means[index] - usual))) for index in np.flatnonzero(far).tolist()]
