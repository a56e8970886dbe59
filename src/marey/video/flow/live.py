"""A video with the face of its flow: fields are computed when they are read."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DecodeError
from marey.video import transforms
from marey.video.flow.rule import FlowRule, compute_levels
from marey.video.source import Box, Frames, FrameSource, Size


class LiveFlow:
    """The N - 1 flow fields of a source of N frames: a `FrameSource` with two channels (x, y), 128 for no motion.

    What it shows is what the same rule stores, before any loss of a JPEG. `source` is closed with it.

    Raises:
        DecodeError: the source has a single frame.
    """

    def __init__(self, source: FrameSource, rule: FlowRule, *, device: str = "cpu", name: str = "video") -> None:
        self._source, self._rule, self.name = source, rule, name
        if len(source) < 2:
            source.close()
            raise DecodeError(name, "has a single frame; flow needs two")
        self._estimator = rule.method.build(device=device)
        self._height, self._width = rule.picture_size(source.height, source.width)

    def __len__(self) -> int:
        return len(self._source) - 1

    @property
    def fps(self) -> float:
        """That of the frames."""
        return self._source.fps

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """When the first frame of each field is shown, in seconds [N - 1]."""
        return self._source.timestamps[:-1]

    @property
    def duration_seconds(self) -> float:
        return self._source.duration_seconds - 1 / self.fps

    @property
    def width(self) -> int:
        return self._width

    @property
    def height(self) -> int:
        return self._height

    def read(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        *,
        size: Size | None = None,
        crop: Box | None = None,
    ) -> Frames:
        """Fields uint8 [T, H, W, 2]; those that are asked for are computed, each once.

        `crop` cuts the computed field, then `size` resizes it; its vectors keep their length, as those of stored flow do.

        Raises:
            DataError: a number outside 0 ... N - 2, or a crop that leaves the picture.
            DecodeError: a frame cannot be decoded.
        """
        wanted = transforms.frame_numbers(indices, len(self), f"flow of {self.name}")
        transforms.check_size(size, self.name)
        box = Box(0, 0, self.height, self.width) if crop is None else Box(*crop)
        transforms.check_inside(box, self.height, self.width)
        unique, places = np.unique(wanted, return_inverse=True)
        target = size or (box.height, box.width)
        fields = np.empty((len(unique), *target, 2), np.uint8)
        start = 0
        for chunk in compute_levels(self._source, unique, self._rule, self._estimator):
            part = np.ascontiguousarray(transforms.crop(chunk, box))
            fields[start : start + len(chunk)] = transforms.resize(part, target)
            start += len(chunk)
        return fields[places]

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
