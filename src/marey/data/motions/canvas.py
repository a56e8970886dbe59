"""Shapes drawn in shares of a square's side, finer than needed and scaled down, so that edges are smooth at any size."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.random import RandomSource

Colour = tuple[int, int, int]
"""Red, green and blue, 0..255."""
Point = tuple[float, float]
"""x to the right and y down, in shares of the side."""

_FINE = 4
"""Pixels drawn for each pixel of the finished picture, along one axis."""


class Canvas:
    """A square picture with opacity.

    (0, 0) is the upper left corner of the square and (1, 1) the lower right one; `margin` pixels around it are drawn
    too. What lies outside is cut off.

    Args:
        size: Side of the square in pixels of the finished picture.
        margin: Pixels around the square.
        paper: The colour where nothing is drawn.
    """

    def __init__(self, size: int, *, margin: int = 0, paper: Colour = (0, 0, 0)) -> None:
        self.size, self.margin = size, margin
        side = (size + 2 * margin) * _FINE
        self._pixels = np.zeros((side, side, 4), np.uint8)
        if paper != (0, 0, 0):
            cv2.rectangle(self._pixels, (0, 0), (side, side), (*paper, 0), cv2.FILLED)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill the polygon with these corners."""
        cv2.fillPoly(self._pixels, [self._places(points)], (*colour, 255))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        (x0, y0), (x1, y1) = self._places([(left, top), (right, bottom)]).tolist()
        cv2.rectangle(self._pixels, (x0, y0), (x1 - 1, y1 - 1), (*colour, 255), cv2.FILLED)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        (centre,) = self._places([(x, y)]).tolist()
        cv2.circle(self._pixels, centre, max(self._length(radius), 1), (*colour, 255), cv2.FILLED)

    def ellipse(
        self, x: float, y: float, wide: float, high: float, colour: Colour, *, turn: float = 0,
        start: float = 0, end: float = 360,
    ) -> None:  # fmt: skip
        """Fill an ellipse, or the sector from `start` to `end`; `wide` and `high` are its half axes, angles in degrees
        clockwise from the right.
        """
        (centre,) = self._places([(x, y)]).tolist()
        axes = (max(self._length(wide), 1), max(self._length(high), 1))
        cv2.ellipse(self._pixels, centre, axes, turn, start, end, (*colour, 255), cv2.FILLED)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line with round ends through the points."""
        cv2.polylines(self._pixels, [self._places(points)], False, (*colour, 255), max(self._length(width), 1))

    def gradient(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """Fill the whole width from `top` to `bottom`, one colour passing into the other."""
        first, last = self._length(top) + self.margin * _FINE, self._length(bottom) + self.margin * _FINE
        share = np.linspace(0, 1, max(last - first, 1))[:, None]
        rows = np.asarray((*upper, 255)) * (1 - share) + np.asarray((*lower, 255)) * share
        shown = slice(max(first, 0), max(min(last, len(self._pixels)), 0))
        packed = np.ascontiguousarray(np.round(rows), np.uint8).view(np.uint32)
        # A pixel as one number of 32 bits: numpy fills four times faster than byte by byte.
        self._pixels.view(np.uint32)[shown, :, 0] = packed[shown.start - first : shown.stop - first]

    def outline(self, width: float) -> None:
        """Make a border of `width` around what is drawn opaque: there the paper shows."""
        reach = 2 * max(self._length(width), 1) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        self._pixels[..., 3] = cv2.dilate(np.ascontiguousarray(self._pixels[..., 3]), kernel)

    def picture(self) -> NDArray[np.float32]:
        """The finished picture, float32 [side, side, 4]: colours 0..255, opacity 0..1."""
        side = self.size + 2 * self.margin
        small = cv2.resize(self._pixels, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(small * np.array([1, 1, 1, 1 / 255], np.float32), np.float32)

    def _length(self, share: float) -> int:
        return round(share * self.size * _FINE)

    def _places(self, points: Sequence[Point]) -> NDArray[np.int32]:
        places = (np.asarray(points) * self.size + self.margin) * _FINE
        return np.asarray(np.round(places), np.int32)


def vary(colour: Colour, random: RandomSource, by: int = 14) -> Colour:
    """A colour near this one."""
    red, green, blue = (np.asarray(colour) + random.randint(-by, by + 1, size=3)).clip(0, 255).tolist()
    return red, green, blue


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """A colour between two: `share` 0 is the first, 1 the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
