"""How flow is made of a video: by which method, on pictures of which size, up to which bound."""

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
"""Pixels that level 255 stands for: dense_flow's -b=20, which MMAction's flow weights saw."""

_CHUNK = 32
"""Fields computed at a time: what a long video needs of memory."""


class FlowRule(Declaration):
    """Frames are resized in RGB, made grey, and flow is measured in pixels of the resized pictures, as dense_flow did."""

    method: FlowMethod = TVL1()
    short_side: PositiveInt | None = None
    """Resize so that the shorter side has this many pixels."""
    size: tuple[PositiveInt, PositiveInt] | None = None
    """Or to this (height, width). With neither, pictures keep their size."""
    bound: PositiveFloat = BOUND
    """Pixels that level 255 stands for; more are cut down to it."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.short_side is not None and self.size is not None:
            raise ValueError("pictures are resized by short_side or to a size: give one of them")
        return self

    def picture_size(self, height: int, width: int) -> Size:
        """(height, width) of the flow of a video of that size."""
        if self.short_side is not None:
            return short_side_size(height, width, self.short_side)
        return self.size or (height, width)


def compute_levels(
    source: FrameSource, numbers: NDArray[np.int64], rule: FlowRule, estimator: Estimator
) -> Iterator[NDArray[np.uint8]]:
    """Chunks uint8 [T, H, W, 2] of the fields with these ascending, distinct numbers; field i leads from frame i to i + 1.

    Only the frames that they touch are read, each once in a chunk.
    """
    size = rule.picture_size(source.height, source.width)
    for start in range(0, len(numbers), _CHUNK):
        part = numbers[start : start + _CHUNK]
        frames, places = np.unique(np.stack([part, part + 1]), return_inverse=True)
        grey = to_grey(source.read(frames, size=size))
        first, second = places.reshape(2, -1)
        yield to_levels(estimator(grey[first], grey[second]), rule.bound)


def to_grey(frames_THWC: NDArray[np.uint8 | np.float32]) -> Grey:
    """RGB uint8 [T, H, W, 3] to grey [T, H, W] (OpenCV's, BT.601)."""
    import cv2

    return np.stack([np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in frames_THWC])


def to_levels(flow: Flow, bound: float = BOUND) -> NDArray[np.uint8]:
    """round(255 (v + bound) / (2 bound)), held to 0..255; halves go to the even level, so that no motion is 128.

    dense_flow and denseflow round so (cvRound). MMAction2's own script cuts the fraction off: no motion is 127 there.
    """
    return np.rint(255 * (flow.astype(np.float64) + bound) / (2 * bound)).clip(0, 255).astype(np.uint8)


def from_levels(levels: NDArray[np.uint8], bound: float = BOUND) -> Flow:
    """Pixels; no level stands for exactly no motion: 128 gives bound / 255."""
    return levels.astype(np.float32) * np.float32(2 * bound / 255) - np.float32(bound)
