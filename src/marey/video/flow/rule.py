"""How flow is made of a video: by which method, on pictures of which size, up to which bound."""

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt, model_validator

from marey.base.declaration import Declaration
from marey.video.flow.levels import BOUND, to_levels
from marey.video.flow.methods import TVL1, Estimator, FlowMethod, Grey
from marey.video.source import FrameSource, Size
from marey.video.transforms import short_side_size

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
