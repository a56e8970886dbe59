"""How a decoded picture is turned and mirrored to be shown, as its display matrix says."""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar, cast

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Level = TypeVar("Level", bound=np.generic)


class Orientation(NamedTuple):
    """One of the eight ways to lay a rectangle on itself: rows and columns exchanged or not, then each reversed or not."""

    transposed: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    def upright(self, image: NDArray[Level]) -> NDArray[Level]:
        """[H, W, ...] as it is shown: a view, [W, H, ...] where rows and columns are exchanged."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


AS_STORED = Orientation()


def orientation_of(picture: VideoFrame) -> Orientation:
    """The orientation by the picture's display matrix, from its container or its H.264 or HEVC message, as players and the
    ffmpeg command apply it.

    The matrix (a, b, u, c, d, v, x, y, w) takes column p and row q to column a p + c q and row b p + d q (libavutil,
    display.h), so that signs tell turns from mirrors; the angle alone, which PyAV's `rotation` gives, takes a mirror for
    half a turn. An angle that is no multiple of 90 degrees, to half a degree, is left as it is stored.
    """
    # PyAV's stub knows motion vectors alone.
    found = cast("Mapping[str, Buffer]", picture.side_data).get("DISPLAYMATRIX")
    if found is None:
        return AS_STORED
    a, b, _, c, d, *_ = np.frombuffer(bytes(found), np.int32).tolist()
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:
        return AS_STORED
    angle = math.degrees(math.atan2(b / down, a / across)) % 360
    if abs(angle - 90 * round(angle / 90)) > 0.5:
        return AS_STORED
    if round(angle / 90) % 2:
        return Orientation(True, b < 0, c < 0)
    return Orientation(False, d < 0, a < 0)
