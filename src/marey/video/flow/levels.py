"""Flow as 8-bit grey levels, the way in which the toolkits store it."""

import numpy as np
from numpy.typing import NDArray

from marey.video.flow.methods import Flow

BOUND = 20.0
"""Pixels that level 255 stands for: dense_flow's -b=20, which MMAction's flow weights saw."""


def to_levels(flow: Flow, bound: float = BOUND) -> NDArray[np.uint8]:
    """round(255 (v + bound) / (2 bound)), held to 0..255; halves go to the even level, so that no motion is 128.

    dense_flow and denseflow round so (cvRound). MMAction2's own script cuts the fraction off: no motion is 127 there.
    """
    return np.rint(255 * (flow.astype(np.float64) + bound) / (2 * bound)).clip(0, 255).astype(np.uint8)


def from_levels(levels: NDArray[np.uint8], bound: float = BOUND) -> Flow:
    """Pixels; no level stands for exactly no motion: 128 gives bound / 255."""
    return levels.astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)
