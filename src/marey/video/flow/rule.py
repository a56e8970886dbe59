"""How the flow of a video is computed: the method, the frame size, and the bound of the 8-bit grey levels."""

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt, model_validator

from marey.base.declaration import Declaration
from marey.video.flow.methods import TVL1, Estimator, Flow, FlowMethod, Grey
from marey.video.pixels.transforms import short_side_size
from marey.video.source import FrameSource, Size

BOUND = 20.0
"""Displacement in pixels that level 255 stands for: dense_flow's -b=20, with which MMAction's flow weights were trained."""

_CHUNK = 32
"""Fields that are computed at once, which bounds the memory for long videos."""


class FlowRule(Declaration):
    """How flow is computed: frames are resized in RGB, then converted to grey. Flow is in pixels of the resized frames.

    This is the order of dense_flow.
    """

    method: FlowMethod = TVL1()
    """The method that computes the flow, with its parameters."""
    short_side: PositiveInt | None = None
    """Length of the shorter side after the resize, in pixels. None: `size` decides; without both, frames keep their
    size."""
    size: tuple[PositiveInt, PositiveInt] | None = None
    """Height and width after the resize, in pixels. None: `short_side` decides; without both, frames keep their
    size."""
    bound: PositiveFloat = BOUND
    """Displacement in pixels that level 255 stands for, above 0; larger displacements are clipped."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.short_side is not None and self.size is not None:
            raise ValueError("frames are resized by short_side or to a size: give one of them")
        return self

    def picture_size(self, height: int, width: int) -> Size:
        """(height, width) of the flow of a video of height x width."""
        if self.short_side is not None:
            return short_side_size(height, width, self.short_side)
        return self.size or (height, width)


def compute_levels(
    source: FrameSource, numbers: NDArray[np.int64], rule: FlowRule, estimator: Estimator
) -> Iterator[NDArray[np.uint8]]:
    """Compute the fields with these ascending, distinct indices, and yield them in chunks uint8 [T, H, W, 2].

    Field i is the flow from frame i to frame i + 1. Only the frames that are needed are read, each once per chunk.
    """
    size = rule.picture_size(source.height, source.width)
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        frames, inverse = np.unique(np.stack([chunk, chunk + 1]), return_inverse=True)
        grey = to_grey(source.read(frames, size=size))
        first, second = inverse.reshape(2, -1)
        yield to_levels(estimator(grey[first], grey[second]), rule.bound)


def to_grey(frames_THWC: NDArray[np.uint8 | np.float32]) -> Grey:
    """Convert RGB uint8 [T, H, W, 3] to grey [T, H, W] with OpenCV (BT.601)."""
    import cv2

    return np.stack([np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames_THWC])


def to_levels(flow: Flow, bound: float = BOUND) -> NDArray[np.uint8]:
    """Convert flow to grey levels: round(255 (v + bound) / (2 bound)), clipped to 0..255. No motion is 128.

    Halves are rounded to the even level, as by dense_flow and denseflow (cvRound). MMAction2's script truncates, so that no
    motion is 127 there.
    """
    return np.rint(255 * (flow.astype(np.float64) + bound) / (2 * bound)).clip(0, 255).astype(np.uint8)


def from_levels(levels: NDArray[np.uint8], bound: float = BOUND) -> Flow:
    """Convert grey levels to flow in pixels. No level is exactly no motion: 128 becomes bound / 255."""
    return levels.astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)
