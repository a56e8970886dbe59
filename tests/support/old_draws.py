"""The two random generators of MMAction and MMAction2 behind one interface."""

import random

import numpy as np


class PythonRandom:
    """Draws like MMAction: crops come from Python's generator."""

    def __init__(self, seed: int) -> None:
        self.python, self.numpy = random.Random(seed), np.random.RandomState(seed)

    def randint(self, low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        return self.python.randint(low, high - 1)

    def uniform(self, low=0.0, high=1.0, size=None):
        return self.numpy.uniform(low, high, size) if size is not None else self.python.uniform(low, high)
