"""`Canvas`: shapes drawn at a multiple of the final size and scaled down, so that their edges are smooth at any size.

All lengths and positions are fractions of the side of the canvas, which is square.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.random import RandomSource

Colour = tuple[int, int, int]
"""Red, green and blue, 0..255."""
Point = tuple[float, float]
"""x to the right and y down, as fractions of the side."""

_FINE = 4
"""How many pixels are drawn for each pixel of the final image, along each axis."""


class Canvas:
    """A square image with opacity.

    (0, 0) is the upper left corner of the square and (1, 1) the lower right corner. A margin around it is drawn, too; what
    lies outside the margin is cut off.

    Args:
        size: Side of the square, in pixels of the final image.
        margin: Width of the margin on each side, in pixels of the final image.
        paper: The colour where nothing is drawn; opacity is 0 there.
    """

    def __init__(self, size: int, *, margin: int = 0, paper: Colour = (0, 0, 0)) -> None:
        self.size, self.margin = size, margin
        side = (size + 2 * margin) * _FINE
        self._pixels = np.zeros((side, side, 4), np.uint8)
        if paper != (0, 0, 0):
            cv2.rectangle(self._pixels, (0, 0), (side, side), (*paper, 0), cv2.FILLED)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the polygon with these corners."""
        cv2.fillPoly(self._pixels, [self._pixels_of(points)], (*colour, 255))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        (x0, y0), (x1, y1) = self._pixels_of([(left, top), (right, bottom)]).tolist()
        cv2.rectangle(self._pixels, (x0, y0), (x1 - 1, y1 - 1), (*colour, 255), cv2.FILLED)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        (centre,) = self._pixels_of([(x, y)]).tolist()
        cv2.circle(self._pixels, centre, max(self._length(radius), 1), (*colour, 255), cv2.FILLED)

    def ellipse(
        self, x: float, y: float, wide: float, high: float, colour: Colour, *, turn: float = 0,
        start: float = 0, end: float = 360,
    ) -> None:  # fmt: skip
        """Fill an ellipse, or its sector from `start` to `end`.

        `wide` and `high` are half of its axes; angles are in degrees, clockwise from the right.
        """
        (centre,) = self._pixels_of([(x, y)]).tolist()
        axes = (max(self._length(wide), 1), max(self._length(high), 1))
        cv2.ellipse(self._pixels, centre, axes, turn, start, end, (*colour, 255), cv2.FILLED)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw a line with round ends through the points."""
        cv2.polylines(self._pixels, [self._pixels_of(points)], False, (*colour, 255), max(self._length(width), 1))

    def gradient(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """Fill the full width from `top` to `bottom` with a gradient from the colour `upper` to `lower`."""
        first, last = self._length(top) + self.margin * _FINE, self._length(bottom) + self.margin * _FINE
        share = np.linspace(0, 1, max(last - first, 1))[:, None]
        rows = np.asarray((*upper, 255)) * (1 - share) + np.asarray((*lower, 255)) * share
        shown = slice(max(first, 0), max(min(last, len(self._pixels)), 0))
        packed = np.ascontiguousarray(np.round(rows), np.uint8).view(np.uint32)
        # Each pixel as one 32-bit number: numpy fills these four times faster than single bytes.
        self._pixels.view(np.uint32)[shown, :, 0] = packed[shown.start - first : shown.stop - first]

    def outline(self, width: float) -> None:
        """Draw a border of `width` around all shapes, in the colour `paper`, by making the paper opaque there."""
        reach = 2 * max(self._length(width), 1) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        self._pixels[..., 3] = cv2.dilate(np.ascontiguousarray(self._pixels[..., 3]), kernel)

    def image(self) -> NDArray[np.float32]:
        """The final image, float32 [side, side, 4]: colours 0..255, opacity 0..1."""
        side = self.size + 2 * self.margin
        small = cv2.resize(self._pixels, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(small * np.array([1, 1, 1, 1 / 255], np.float32), np.float32)

    def _length(self, fraction: float) -> int:
        return round(fraction * self.size * _FINE)

    def _pixels_of(self, points: Sequence[Point]) -> NDArray[np.int32]:
        pixels = (np.asarray(points) * self.size + self.margin) * _FINE
        return np.asarray(np.round(pixels), np.int32)


def vary(colour: Colour, random: RandomSource, by: int = 14) -> Colour:
    """A random colour near `colour`: each channel differs by at most `by`."""
    red, green, blue = (np.asarray(colour) + random.randint(-by, by + 1, size=3)).clip(0, 255).tolist()
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: with `share` 0 the first, with 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
