"""Random numbers that depend on what they are for (seed, epoch, sample), never on the process that draws them."""

from typing import Any, Protocol

import numpy as np


class RandomSource(Protocol):
    """Interface of the draws that sampling and augmentation make; `numpy.random.RandomState` satisfies it.

    The older toolkits draw from `RandomState`, so its convention for bounds holds: low included, high excluded.
    """

    def randint(self, low: Any, high: Any = None, size: Any = None) -> Any: ...

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any: ...


def random_for(*key: int) -> np.random.RandomState:
    """The random source for one purpose, for example `random_for(seed, epoch, sample)`.

    Different keys give independent streams. The same key gives the same stream on every machine.
    """
    return np.random.RandomState(np.random.SeedSequence(key).generate_state(8))


def torch_seed(*key: int) -> int:
    """A 63-bit seed for torch's generators, for example from (seed, step, rank)."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)
