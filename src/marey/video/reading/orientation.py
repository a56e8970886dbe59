"""The rotation and mirroring with which a decoded picture is displayed, by its display matrix."""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar, cast

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Level = TypeVar("Level", bound=np.generic)


class Orientation(NamedTuple):
    """One of the eight rotations and mirrorings by multiples of 90 degrees: a transposition, then reversals."""

    transposed: bool = False
    """Whether rows and columns are exchanged, before the reversals."""
    rows_reversed: bool = False
    """Whether the order of rows is reversed."""
    columns_reversed: bool = False
    """Whether the order of columns is reversed."""

    def upright(self, image: NDArray[Level]) -> NDArray[Level]:
        """The image [H, W, ...] as displayed, a view of the same memory; [W, H, ...] if it is transposed."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


AS_STORED = Orientation()
"""Neither rotated nor mirrored."""


def orientation_of(picture: VideoFrame) -> Orientation:
    """The orientation by the picture's display matrix, which comes from the container or from an H.264 or HEVC message.

    Players and the ffmpeg command apply it likewise. The matrix (a, b, u, c, d, v, x, y, w) maps column p and row q to
    column a p + c q and row b p + d q (libavutil, display.h). Its signs distinguish rotations from mirrorings. The angle
    alone, which PyAV's `rotation` returns, confuses a mirroring with a rotation by 180 degrees. Other angles than
    multiples of 90 degrees, to half a degree, are ignored.
    """
    # PyAV's type stub declares motion vectors only.
    matrix = cast("Mapping[str, Buffer]", picture.side_data).get("DISPLAYMATRIX")
    if matrix is None:
        return AS_STORED
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).tolist()
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:
        return AS_STORED
    angle = math.degrees(math.atan2(b / down, a / across)) % 360
    if abs(angle - 90 * round(angle / 90)) > 0.5:
        return AS_STORED
    if round(angle / 90) % 2:
        return Orientation(True, b < 0, c < 0)
    return Orientation(False, d < 0, a < 0)
