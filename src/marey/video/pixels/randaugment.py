"""The 15 operations of RandAugment on one uint8 picture [H, W, 3], in timm's "increasing" ranges.

Strength runs from 0 to 1 (magnitude 0 to 10). At 0 all but the first three and posterise leave the picture as it is.

| operation | at strength s |
|---|---|
| auto contrast, equalise, invert | no strength |
| rotate | 30 s degrees, either way |
| shear x, y | 0.3 s, either way |
| translate x, y | 0.45 s of the side, either way |
| posterise | 4 - int(4 s) bits are kept, 1 at least |
| solarise | what is at least 256 - int(256 s) is inverted |
| solarise, add | int(110 s) is added to what is below 128 |
| colour, contrast, brightness, sharpness | 1 + 0.9 s or 1 - 0.9 s times the distance from grey, mean grey, black, blur |

Values are Pillow's, which the toolkits call, to the last bit but for the edges and the rounding of the geometric ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_FILL = 128
"""Grey level of what comes into the picture from outside."""


@dataclass(frozen=True)
class Strength:
    """How strongly an operation acts (0..1), to which side, and how it interpolates."""

    level: float
    sign: int = 1
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @property
    def signed(self) -> float:
        """-1..1."""
        return self.sign * self.level


def auto_contrast(picture: Picture, strength: Strength) -> Picture:
    """Each channel stretched so that its darkest value is 0 and its brightest 255."""
    tables = []
    for channel in np.moveaxis(picture, -1, 0):
        low, high = int(channel.min()), int(channel.max())
        scale = 255.0 / (high - low) if high > low else 1.0
        start = -low * scale if high > low else 0.0
        tables.append(np.clip(np.trunc(np.arange(256) * scale + start), 0, 255))
    return _mapped(picture, np.stack(tables, axis=-1))


def equalize(picture: Picture, strength: Strength) -> Picture:
    """Each channel's histogram flattened."""
    tables = []
    for channel in np.moveaxis(picture, -1, 0):
        counts = np.bincount(channel.ravel(), minlength=256)
        seen = counts[counts > 0]
        step = int(seen[:-1].sum()) // 255
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        tables.append(np.arange(256) if step == 0 else np.minimum((step // 2 + before) // step, 255))
    return _mapped(picture, np.stack(tables, axis=-1))


def invert(picture: Picture, strength: Strength) -> Picture:
    """Bright becomes dark."""
    return 255 - picture


def rotate(picture: Picture, strength: Strength) -> Picture:
    """Turned around its middle; a positive sign is counter-clockwise."""
    angle = np.deg2rad(30 * strength.signed)
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = (side / 2 for side in picture.shape[:2])
    return _warped(picture, [[cos, -sin, x - x * cos + y * sin], [sin, cos, y - x * sin - y * cos]], strength)


def shear_x(picture: Picture, strength: Strength) -> Picture:
    """Rows slide sideways, the further down the more."""
    return _warped(picture, [[1, 0.3 * strength.signed, 0], [0, 1, 0]], strength)


def shear_y(picture: Picture, strength: Strength) -> Picture:
    """Columns slide up or down, the further right the more."""
    return _warped(picture, [[1, 0, 0], [0.3 * strength.signed, 1, 0]], strength)


def translate_x(picture: Picture, strength: Strength) -> Picture:
    """Moved sideways."""
    return _warped(picture, [[1, 0, 0.45 * strength.signed * picture.shape[1]], [0, 1, 0]], strength)


def translate_y(picture: Picture, strength: Strength) -> Picture:
    """Moved up or down."""
    return _warped(picture, [[1, 0, 0], [0, 1, 0.45 * strength.signed * picture.shape[0]]], strength)


def posterize(picture: Picture, strength: Strength) -> Picture:
    """The highest bits alone."""
    bits = max(4 - int(strength.level * 4), 1)
    return picture & np.uint8(256 - (1 << (8 - bits)))


def solarize(picture: Picture, strength: Strength) -> Picture:
    """Bright values inverted."""
    return np.where(picture < 256 - int(strength.level * 256), picture, 255 - picture)


def solarize_add(picture: Picture, strength: Strength) -> Picture:
    """Dark values raised."""
    values = np.arange(256)
    return _mapped(picture, np.where(values < 128, np.minimum(values + int(strength.level * 110), 255), values))


def colour(picture: Picture, strength: Strength) -> Picture:
    """Towards the grey picture or away from it."""
    return _enhanced(_grey(picture)[..., None], picture, strength)


def contrast(picture: Picture, strength: Strength) -> Picture:
    """Towards the mean grey or away from it."""
    return _enhanced(np.full((1, 1, 1), int(_grey(picture).mean() + 0.5)), picture, strength)


def brightness(picture: Picture, strength: Strength) -> Picture:
    """Darker or brighter."""
    return _enhanced(np.zeros((1, 1, 1)), picture, strength)


def sharpness(picture: Picture, strength: Strength) -> Picture:
    """Towards a blurred picture or away from it; the outermost pixels stay."""
    import cv2

    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    blurred = picture.copy()
    blurred[1:-1, 1:-1] = np.floor(cv2.filter2D(picture.astype(np.float32), -1, kernel) + 0.5)[1:-1, 1:-1]
    return _enhanced(blurred, picture, strength)


OPERATIONS: tuple[Callable[[Picture, Strength], Picture], ...] = (
    auto_contrast,
    equalize,
    invert,
    rotate,
    posterize,
    solarize,
    solarize_add,
    colour,
    contrast,
    brightness,
    sharpness,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)


def _mapped(picture: Picture, table: NDArray[np.floating | np.integer]) -> Picture:
    """Values looked up in a table [256], or [256, 3] of one per channel."""
    import cv2

    tables = np.broadcast_to(table.reshape(256, -1), (256, 3)).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, tables[None]), np.uint8)


def _grey(picture: Picture) -> NDArray[np.int32]:
    """Pillow's grey picture: weights 0.299, 0.587, 0.114 in 65536ths, rounded."""
    red, green, blue = np.moveaxis(picture.astype(np.int32), -1, 0)
    return np.asarray((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16, np.int32)


def _enhanced(nothing: NDArray[np.floating | np.integer], picture: Picture, strength: Strength) -> Picture:
    """`nothing` plus 1 +- 0.9 s times the way from there to the picture, cut off at 0 and 255, the whole part."""
    start = nothing.astype(np.float32)
    mixed = start + np.float32(1 + 0.9 * strength.signed) * (picture.astype(np.float32) - start)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _warped(picture: Picture, matrix: list[list[float]], strength: Strength) -> Picture:
    """The picture whose point (x, y) shows the source's point matrix @ (x, y, 1).

    Points are counted from the picture's corner, as Pillow does; OpenCV counts from the first pixel's middle.
    """
    import cv2

    inverse = np.array(matrix, np.float64)
    inverse[:, 2] += inverse[:, :2] @ [0.5, 0.5] - 0.5
    how = cv2.INTER_LINEAR if strength.interpolation == "bilinear" else cv2.INTER_CUBIC
    height, width = picture.shape[:2]
    return np.asarray(
        cv2.warpAffine(
            picture, inverse, (width, height), flags=how | cv2.WARP_INVERSE_MAP, borderValue=(_FILL, _FILL, _FILL)
        ),
        np.uint8,
    )
