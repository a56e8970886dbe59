"""Pooled features of many videos, as arrays. Knows no torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Pooled:
    """What a pooling makes of N videos."""

    features: NDArray[np.float32]
    """[N, F], the blocks of a pooling side by side."""
    widths: tuple[int, ...]
    """How many features each block has, F together."""

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, rows: NDArray[np.int64]) -> "Pooled":
        """Those of some videos."""
        return Pooled(self.features[rows], self.widths)
