"""Which videos make an epoch, and in which order: a pure function of (seed, epoch)."""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from marey.base.declaration import Declaration
from marey.base.random import random_for

_ORDER = 2
"""Tells the random stream of an epoch's order from those of its samples."""


class EachOnce(Declaration):
    """Every video once an epoch, in an order of (seed, epoch)."""

    kind: Literal["each_once"] = "each_once"

    def order(self, labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows [N] of the epoch's videos."""
        return random_for(seed, epoch, _ORDER).permutation(len(labels))


class ByClass(Declaration):
    """As many videos as the list has, a class of n videos with a share that goes with n ** (1 - power).

    1 shows all classes equally often, 0 as often as the list has them, 0.5 lies between (the square root of Mahajan et
    al. 2018, section 2.2). Inside a class videos take turns: none is shown again before all others were. Shares that
    are no whole numbers are rounded up or down by chance, so that they are right in the mean over epochs. Classes
    without videos are left out.
    """

    kind: Literal["by_class"] = "by_class"
    power: Annotated[float, Field(ge=0, le=1)] = 1.0

    def order(self, labels: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows [N] of the epoch's videos; some stand there several times, some never."""
        random = random_for(seed, epoch, _ORDER)
        classes, counts = np.unique(labels, return_counts=True)
        shares = counts ** (1.0 - self.power)
        wanted = _rounded(len(labels) * shares / shares.sum(), random.uniform())
        rows = [_in_turns(np.flatnonzero(labels == c), n, random) for c, n in zip(classes, wanted, strict=True)]
        return random.permutation(np.concatenate(rows))


def _rounded(shares: NDArray[np.float64], offset: float) -> NDArray[np.int64]:
    """Whole numbers of the same sum, each a share rounded up or down, right in the mean over `offset` in 0..1."""
    ends = np.floor(np.cumsum(shares) + offset + 1e-9)
    ends[-1] = round(float(shares.sum()))
    return np.diff(ends, prepend=0).astype(np.int64)


def _in_turns(rows: NDArray[np.int64], count: int, random: np.random.RandomState) -> NDArray[np.int64]:
    """`count` of `rows`: whole rounds of all, each in its own order, and a part of one."""
    rounds = [random.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate([rows[:0], *rounds])[:count]
