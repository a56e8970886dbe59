"""Clips that are unlike all others of their class, by the features of a frozen network: a wrong file, or a class of several
things.

The distance of a clip to its class is the mean of those to its `NEAREST` nearest clips of the class from other recordings.
What is usual follows from the other clips of the class: the median of the logarithms of their distances, and 1.4826 times
the median deviation from it, which is a standard deviation where they are normally distributed (Rousseeuw and Croux,
Alternatives to the Median Absolute Deviation, Journal of the American Statistical Association 1993). Neither is moved by a
few clips that are odd themselves.

Shapes: N clips, K classes, R directions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.training.heads.directions import Directions
from marey.training.heads.logistic import Targets

NEAREST = 5
"""Clips of the class that a clip is compared with: fewer than a class may have of one kind of its own."""
_FEWEST = 10
"""Recordings of a class below which nothing is usual."""
_ODD = 4.5
"""Deviations above the median: of normally distributed logarithms one of 300,000 clips lies there. Clips of quite other
things that were put among 189 of skateboarding, or 252 and 720 drawn ones, one at a time, lay 4.7 and more above it, and at
most 1 in 100 of the clips that belong there."""
_FARTHER = 1.3
"""And times the median, so that in a class of clips that are all about equally far none is odd by little."""
_MANY = 0.05
"""Of a class at most so many clips are odd, 0 to 1: where more are, it is a class of several things."""


@dataclass(frozen=True)
class Unlike:
    """A clip that is far from all others of its class."""

    row: int
    label: int
    times: float
    """How many times the usual distance it is away, above 1."""


def unlike_their_class(directions: Directions, targets: Targets, units: NDArray[np.int64]) -> list[Unlike]:
    """The clips that are unlike all others of their class, the farthest first, each once.

    Args:
        directions: Of all N clips, whose coordinates are compared.
        targets: One class a clip [N], or which clip has which label [N, K]: then a clip is odd if it is in each class that
            can be judged.
        units: A number for each clip [N], equal for clips of one recording, and for copies.
    """
    points = directions.coordinates.numpy()
    hot = np.eye(int(targets.max()) + 1, dtype=np.bool_)[targets] if targets.ndim == 1 else targets
    found: dict[int, list[Unlike]] = {}
    judged = np.zeros(len(points), np.int64)
    for label, of_class in enumerate(hot.T):
        rows = np.flatnonzero(of_class)
        if len(np.unique(units[rows])) < _FEWEST:
            continue
        judged[rows] += 1
        for place, times in _far(points[rows], units[rows]):
            row = int(rows[place])
            found.setdefault(row, []).append(Unlike(row, label, times))
    odd = [min(several, key=lambda one: one.times) for row, several in found.items() if len(several) == judged[row]]
    return sorted(odd, key=lambda one: (-one.times, one.row))


def _far(points: NDArray[np.float64], units: NDArray[np.int64]) -> list[tuple[int, float]]:
    """Which of the clips of a class are far from the others, and how many times the usual distance."""
    squares = np.square(points).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
    distances[units[:, None] == units] = np.inf
    nearest = np.sort(distances, axis=1)[:, :NEAREST]
    means = np.log(np.maximum(np.where(np.isfinite(nearest), nearest, 0).sum(axis=1), np.finfo(np.float64).tiny))
    means -= np.log(np.maximum(np.isfinite(nearest).sum(axis=1), 1))
    usual = float(np.median(means))
    deviation = 1.4826 * float(np.median(np.abs(means - usual)))
    far = (means - usual > _ODD * deviation) & (means - usual > np.log(_FARTHER))
    if not far.any() or far.sum() > max(1, _MANY * len(points)):
        return []
    return [(int(place), float(np.exp(means[place] - usual))) for place in np.flatnonzero(far).tolist()]
