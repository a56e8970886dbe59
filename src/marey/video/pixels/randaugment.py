"""The 15 operations of RandAugment on one uint8 image [H, W, 3], in timm's "increasing" ranges.

Strength is from 0 to 1 (magnitude 0 to 10). At 0, all operations except the first three and posterise leave the image
unchanged.

| operation | at strength s |
|---|---|
| auto contrast, equalise, invert | no strength |
| rotate | 30 s degrees, in either direction |
| shear x, y | 0.3 s, in either direction |
| translate x, y | 0.45 s of the side, in either direction |
| posterise | 4 - int(4 s) bits are kept, at least 1 |
| solarise | values of at least 256 - int(256 s) are inverted |
| solarise, add | int(110 s) is added to values below 128 |
| colour | the difference from the grey image is multiplied by 1 + 0.9 s or 1 - 0.9 s |
| contrast, brightness, sharpness | the same with the difference from mean grey, black, a blurred image |

Results equal those of Pillow, which the toolkits call, to the last bit, except for edges and rounding of the geometric
operations.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""An image [H, W, 3]."""

_FILL = 128
"""Grey level of pixels that geometric operations move in from outside of the image."""


@dataclass(frozen=True)
class Strength:
    """The parameters of one operation."""

    level: float
    """Strength, 0 to 1."""
    sign: int = 1
    """Direction, 1 or -1."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Interpolation of geometric operations."""

    @property
    def signed(self) -> float:
        """Strength with its direction, -1 to 1."""
        return self.sign * self.level


def auto_contrast(image: Image, strength: Strength) -> Image:
    """Stretch each channel so that its darkest value is 0 and its brightest 255."""
    tables = []
    for channel in np.moveaxis(image, -1, 0):
        low, high = int(channel.min()), int(channel.max())
        scale = 255.0 / (high - low) if high > low else 1.0
        start = -low * scale if high > low else 0.0
        tables.append(np.clip(np.trunc(np.arange(256) * scale + start), 0, 255))
    return _mapped(image, np.stack(tables, axis=-1))


def equalize(image: Image, strength: Strength) -> Image:
    """Flatten the histogram of each channel."""
    tables = []
    for channel in np.moveaxis(image, -1, 0):
        counts = np.bincount(channel.ravel(), minlength=256)
        seen = counts[counts > 0]
        step = int(seen[:-1].sum()) // 255
        before = np.concatenate([[0], np.cumsum(counts)[:-1]])
        tables.append(np.arange(256) if step == 0 else np.minimum((step // 2 + before) // step, 255))
    return _mapped(image, np.stack(tables, axis=-1))


def invert(image: Image, strength: Strength) -> Image:
    """Invert all values."""
    return 255 - image


def rotate(image: Image, strength: Strength) -> Image:
    """Rotate around the centre; a positive sign is counter-clockwise."""
    angle = np.deg2rad(30 * strength.signed)
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = (side / 2 for side in image.shape[:2])
    return _warped(image, [[cos, -sin, x - x * cos + y * sin], [sin, cos, y - x * sin - y * cos]], strength)


def shear_x(image: Image, strength: Strength) -> Image:
    """Shift rows sideways in proportion to their row index."""
    return _warped(image, [[1, 0.3 * strength.signed, 0], [0, 1, 0]], strength)


def shear_y(image: Image, strength: Strength) -> Image:
    """Shift columns up or down in proportion to their column index."""
    return _warped(image, [[1, 0, 0], [0.3 * strength.signed, 1, 0]], strength)


def translate_x(image: Image, strength: Strength) -> Image:
    """Shift the image sideways."""
    return _warped(image, [[1, 0, 0.45 * strength.signed * image.shape[1]], [0, 1, 0]], strength)


def translate_y(image: Image, strength: Strength) -> Image:
    """Shift the image up or down."""
    return _warped(image, [[1, 0, 0], [0, 1, 0.45 * strength.signed * image.shape[0]]], strength)


def posterize(image: Image, strength: Strength) -> Image:
    """Keep only the highest bits."""
    bits = max(4 - int(strength.level * 4), 1)
    return image & np.uint8(256 - (1 << (8 - bits)))


def solarize(image: Image, strength: Strength) -> Image:
    """Invert bright values."""
    return np.where(image < 256 - int(strength.level * 256), image, 255 - image)


def solarize_add(image: Image, strength: Strength) -> Image:
    """Raise dark values."""
    values = np.arange(256)
    return _mapped(image, np.where(values < 128, np.minimum(values + int(strength.level * 110), 255), values))


def colour(image: Image, strength: Strength) -> Image:
    """Blend towards the grey image, or away from it."""
    return _enhanced(_grey(image)[..., None], image, strength)


def contrast(image: Image, strength: Strength) -> Image:
    """Blend towards the mean grey, or away from it."""
    return _enhanced(np.full((1, 1, 1), int(_grey(image).mean() + 0.5)), image, strength)


def brightness(image: Image, strength: Strength) -> Image:
    """Darken or brighten."""
    return _enhanced(np.zeros((1, 1, 1)), image, strength)


def sharpness(image: Image, strength: Strength) -> Image:
    """Blend towards a blurred image, or away from it; the outermost pixels stay."""
    import cv2

    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
    blurred = image.copy()
    blurred[1:-1, 1:-1] = np.floor(cv2.filter2D(image.astype(np.float32), -1, kernel) + 0.5)[1:-1, 1:-1]
    return _enhanced(blurred, image, strength)


OPERATIONS: tuple[Callable[[Image, Strength], Image], ...] = (
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


def _mapped(image: Image, table: NDArray[np.floating | np.integer]) -> Image:
    """The image with values mapped by a table [256], or one per channel [256, 3]."""
    import cv2

    tables = np.broadcast_to(table.reshape(256, -1), (256, 3)).astype(np.uint8)
    return np.asarray(cv2.LUT(image, tables[None]), np.uint8)


def _grey(image: Image) -> NDArray[np.int32]:
    """Pillow's grey image: weights 0.299, 0.587, 0.114 in units of 1/65536, rounded."""
    red, green, blue = np.moveaxis(image.astype(np.int32), -1, 0)
    return np.asarray((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16, np.int32)


def _enhanced(base: NDArray[np.floating | np.integer], image: Image, strength: Strength) -> Image:
    """`base` plus 1 +- 0.9 s times the difference of the image from it, clipped to 0..255 and rounded down."""
    start = base.astype(np.float32)
    mixed = start + np.float32(1 + 0.9 * strength.signed) * (image.astype(np.float32) - start)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _warped(image: Image, matrix: list[list[float]], strength: Strength) -> Image:
    """The image whose point (x, y) is the source's point matrix @ (x, y, 1).

    Coordinates begin at the image's corner, as in Pillow; OpenCV's begin at the centre of the first pixel.
    """
    import cv2

    inverse = np.array(matrix, np.float64)
    inverse[:, 2] += inverse[:, :2] @ [0.5, 0.5] - 0.5
    how = cv2.INTER_LINEAR if strength.interpolation == "bilinear" else cv2.INTER_CUBIC
    height, width = image.shape[:2]
    return np.asarray(
        cv2.warpAffine(
            image, inverse, (width, height), flags=how | cv2.WARP_INVERSE_MAP, borderValue=(_FILL, _FILL, _FILL)
        ),
        np.uint8,
    )
