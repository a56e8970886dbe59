"""The face that a video file, a folder of frames and a folder of flow images share."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8 | np.float32]
"""[T, H, W, C]; C is 3 (RGB) or 2 (flow x, y). uint8 as decoded; float32 grey levels after a resize in float."""

Conversion = Literal["rgb", "planes"]
"""How a reader makes RGB: see `marey.video.conversion`."""

Size = tuple[int, int]
"""(height, width) in pixels."""


class Box(NamedTuple):
    """A rectangle of whole pixels: rows top ... top + height - 1, columns left ... left + width - 1."""

    top: int
    left: int
    height: int
    width: int


class FrameSource(Protocol):
    """N frames that can be read by index, in any order and as often as wanted.

    `timestamps` is float64 seconds [N]; `fps` is their mean rate. Closed by `close()` or by leaving a `with` block.
    """

    @property
    def fps(self) -> float: ...
    @property
    def timestamps(self) -> NDArray[np.float64]: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def duration_seconds(self) -> float: ...
    def __len__(self) -> int: ...
    def read(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        *,
        size: Size | None = None,
        crop: Box | None = None,
    ) -> Frames:
        """Frames [T, H, W, C]: `crop` cuts in displayed source pixels, then `size` resizes."""
        ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
