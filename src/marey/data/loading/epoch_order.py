"""Which videos an epoch has, and in which order: a pure function of (seed, epoch)."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marey.base.declaration import Declaration
from marey.base.random import random_for

_ORDER = 2
"""A component of the random seed of an epoch's order, which separates it from the seeds of its clips."""


class EachOnce(Declaration):
    """Every video once an epoch, in random order."""

    kind: Literal["each_once"] = "each_once"

    def order(self, labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows [N] of the epoch's videos."""
        return random_for(seed, epoch, _ORDER).permutation(len(labels))


class ByClass(Declaration):
    """An epoch of as many videos as the list has; the share of a class with n videos is proportional to n ** (1 - power).

    Within a class, no video is used again before all others were. Shares that are no whole numbers are rounded up or down at
    random, so that they are right in the mean over epochs. Classes without videos are left out.
    """

    kind: Literal["by_class"] = "by_class"
    power: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How far classes are balanced, 0 to 1. 1: all classes equally often. 0: as often as the list has them. 0.5: the
    square-root sampling of Mahajan et al. 2018, section 2.2."""

    def order(self, labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows [N] of the epoch's videos; a row may occur several times, or not at all."""
        random = random_for(seed, epoch, _ORDER)
        classes, counts = np.unique(labels, return_counts=True)
        shares = counts ** (1.0 - self.power)
        wanted = _rounded(len(labels) * shares / shares.sum(), random.uniform())
        rows = [_in_turns(np.flatnonzero(labels == c), n, random) for c, n in zip(classes, wanted, strict=True)]
        return random.permutation(np.concatenate(rows))


def _rounded(shares: NDArray[np.float64], offset: float) -> NDArray[np.int64]:
    """The shares rounded up or down to whole numbers with the same sum; in the mean over `offset` in 0..1 they are exact."""
    ends = np.floor(np.cumsum(shares) + offset + 1e-9)
    ends[-1] = round(float(shares.sum()))
    return np.diff(ends, prepend=0).astype(np.int64)


def _in_turns(rows: NDArray[np.int64], count: int, random: np.random.RandomState) -> NDArray[np.int64]:
    """`count` rows: complete rounds of all rows, each in a random order, then the first rows of another round."""
    rounds = [random.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:count]
