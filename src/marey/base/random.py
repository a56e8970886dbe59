"""Randomness that depends on what is drawn for, never on who draws: (seed, epoch, sample), not the worker."""

from typing import Any, Protocol

import numpy as np


class RandomSource(Protocol):
    """The few draws that sampling and augmentation make; `numpy.random.RandomState` is one.

    The older toolkits draw from `RandomState`, so its meaning of the bounds (low included, high excluded) holds.
    """

    def randint(self, low: Any, high: Any = None, size: Any = None) -> Any: ...

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any: ...


def random_for(*key: int) -> np.random.RandomState:
    """The random source of one thing, for example `random_for(seed, epoch, sample)`.

    Two keys that differ anywhere give independent streams; the same key gives the same stream on every machine.
    """
    return np.random.RandomState(np.random.SeedSequence(key).generate_state(8))


def step_seed(*key: int) -> int:
    """A 63-bit seed for torch's generators, from for example (seed, step, rank)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
