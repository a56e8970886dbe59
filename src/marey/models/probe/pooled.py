"""Pooled features of many videos as arrays. Imports no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PooledFeatures:
    """Features of N videos, by one pooling."""

    features: NDArray[np.float32]
    """[N, F], the kinds of features of the pooling (`pool_cells`) concatenated."""
    widths: tuple[int, ...]
    """Number of features of each kind; F is their sum."""

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, rows: NDArray[np.int64]) -> "PooledFeatures":
        """The features of some videos, by index."""
        return PooledFeatures(self.features[rows], self.widths)
