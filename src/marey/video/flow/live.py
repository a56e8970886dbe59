"""Optical flow of a video, computed when it is read."""

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DecodeError
from marey.video.flow.rule import FlowRule, compute_levels
from marey.video.pixels import transforms
from marey.video.source import Box, Frames, FrameSource, Size


class LiveFlow(FrameSource):
    """The N - 1 flow fields of a source of N frames: two channels (x, y), 128 for no motion.

    The fields are those that the same rule stores, without the loss of JPEG.

    Args:
        source: The frames. It is closed with this source.
        rule: How flow is computed.
        device: Torch device that computes it.
        name: Name of the source, for messages.

    Raises:
        DecodeError: the source has a single frame.
    """

    _unit = "flow field"

    def __init__(self, source: FrameSource, rule: FlowRule, *, device: str = "cpu", name: str = "video") -> None:
        if len(source) < 2:
            source.close()
            raise DecodeError(name, "has a single frame; flow needs two")
        self._source, self._rule = source, rule
        self._estimator = rule.method.build(device=device)
        super().__init__(
            f"flow of {name}", timestamps=source.timestamps[:-1], fps=source.fps,
            seconds=source.duration_seconds - 1 / source.fps, size=rule.picture_size(source.height, source.width),
        )  # fmt: skip

    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        """Compute the requested fields, each once.

        `crop` is applied to the computed field, then `size` resizes it. The vectors keep their length, as with stored flow.
        """
        unique, inverse = np.unique(numbers, return_inverse=True)
        box = crop or Box(0, 0, self.height, self.width)
        target = self._size_of(size, crop)
        fields = np.empty((len(unique), *target, 2), np.uint8)
        start = 0
        for chunk in compute_levels(self._source, unique, self._rule, self._estimator):
            cropped = np.ascontiguousarray(transforms.crop(chunk, box))
            fields[start : start + len(chunk)] = transforms.resize(cropped, target)
            start += len(chunk)
        return fields[inverse]

    def close(self) -> None:
        """Close the source of frames."""
        self._source.close()
