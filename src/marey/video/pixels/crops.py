"""Random crops and flips of training clips, the same for all frames of a clip.

A `TrainCrop` declares a published augmentation. Its `plan(height, width, random)` draws once per clip and returns a
`Geometry`: the numbers of its crops and resizes. A pixel rule (`marey.video.pixels.rules`) carries it out; `crop` and
`size` are applied when the frames are read.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

from marey.base.declaration import Declaration
from marey.base.errors import DataError
from marey.base.random import RandomSource
from marey.video.pixels.transforms import floor_size, short_side_size
from marey.video.source import Box, Size


@dataclass(frozen=True)
class Geometry:
    """The operations on each frame of a clip, in the order of the fields. None: the step is left out."""

    crop: Box | None = None
    """Region of the source frame, in its pixels."""
    size: Size | None = None
    """Height and width, in pixels, that the region is resized to."""
    window: Box | None = None
    """Region of the resized frame, in its pixels."""
    stretch: Size | None = None
    """Height and width, in pixels, that the window is resized to."""
    flip: bool = False
    """Whether the result is mirrored left to right."""


Probability = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""


class TrainCrop(Declaration, ABC):
    """A published way to crop for training. The field `geometry` of each subclass names it in YAML."""

    size: PositiveInt
    """Side of the square clip, in pixels, at least 1."""
    flip: Probability = 0.5
    """Probability that a clip is mirrored, 0 to 1."""
    flip_classes: Literal["refuse", "swap"] = "refuse"
    """For data sets in which mirroring turns one class into another (left, right): "refuse" to train, or "swap" the labels
    of mirrored clips (MMAction2's flip_label_map)."""

    @property
    def square(self) -> Size:
        """(height, width) of the finished clip."""
        return self.size, self.size

    @abstractmethod
    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        """Draw the geometry of one clip whose frames have height x width pixels."""


class _Resized(TrainCrop, ABC):
    """Crops that first resize the short side, then take a window of the resized frame."""

    short_side: PositiveInt
    """Length of the shorter side after the resize, in pixels; at least `size`."""

    def _resized(self, height: int, width: int) -> Size:
        _check_fits(self.size, self.short_side)
        return short_side_size(height, width, self.short_side)


class CentreCrop(_Resized):
    """The centre of the resized frame; only mirroring is random."""

    geometry: Literal["centre"] = "centre"
    flip: Probability = 0.0
    """Probability that a clip is mirrored, 0 to 1; 0: never."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        size = self._resized(height, width)
        window = Box((size[0] - self.size) // 2, (size[1] - self.size) // 2, self.size, self.size)
        return Geometry(size=size, window=window, flip=_chance(self.flip, random))


class RandomCrop(_Resized):
    """A window at a uniformly random position in the resized frame."""

    geometry: Literal["random"] = "random"

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        size = self._resized(height, width)
        top, left = (int(random.randint(side - self.size + 1)) for side in size)
        return Geometry(size=size, window=Box(top, left, self.size, self.size), flip=_chance(self.flip, random))


class MultiScaleCrop(_Resized):
    """TSN's corner cropping with scale jitter (section 3.2), as in MMAction and MMAction2.

    Sides are int(base * scale) for the resized short side `base`, set to `size` when closer to it than 3 pixels. The
    candidates are pairs (width, height) whose scales are at most `max_distort` places apart in `scales`, ordered by height.
    One of them is chosen uniformly, then one of 5 (corners and centre) or 13 positions uniformly, or any position. The
    window is resized to `size`.
    """

    geometry: Literal["multi_scale"] = "multi_scale"
    short_side: PositiveInt = 256
    """Length of the shorter side after the resize, in pixels; at least `size`."""
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    """Sides of the window relative to the short side."""
    max_distort: Annotated[int, Field(ge=0)] = 1
    """How many places the scales of width and height may be apart in `scales`; 0: square windows only."""
    offsets: Literal[5, 13, "any"] = 5
    """Number of positions of the window, or "any" position."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        full = self._resized(height, width)
        pairs = self.pairs(min(full))
        box_width, box_height = pairs[int(random.randint(len(pairs)))]
        top, left = self.position(full, (box_height, box_width), random)
        window = Box(top, left, box_height, box_width)
        return Geometry(size=full, window=window, stretch=self.square, flip=_chance(self.flip, random))

    def position(self, full: Size, box: Size, random: RandomSource) -> tuple[int, int]:
        """A random (top, left) of a box in a frame; "any" draws the column first, as the toolkits do."""
        if self.offsets == "any":
            left, top = (int(random.randint(full[axis] - box[axis] + 1)) for axis in (1, 0))
            return top, left
        positions = corner_offsets(full, box, self.offsets)
        return positions[int(random.randint(len(positions)))]

    def pairs(self, base: int) -> list[tuple[int, int]]:
        """The candidate sizes (width, height) for a resized short side of `base` pixels."""
        sides = [int(base * scale) for scale in self.scales]
        sides = [self.size if abs(side - self.size) < 3 else side for side in sides]
        return [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= self.max_distort]


class ScaledCrop(TrainCrop):
    """MMAction's RandomRescaledCrop: a random integer short side, then a window at a random position."""

    geometry: Literal["scaled"] = "scaled"
    short_sides: tuple[PositiveInt, PositiveInt] = (256, 320)
    """Smallest and largest short side in pixels, both included."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        low, high = self.short_sides
        full = short_side_size(height, width, int(random.randint(low, high + 1)))
        _check_fits(self.size, low)
        top, left = (int(random.randint(side - self.size + 1)) for side in full)
        return Geometry(size=full, window=Box(top, left, self.size, self.size), flip=_chance(self.flip, random))


class PySlowFastCrop(TrainCrop):
    """PySlowFast's short-side jitter (random_short_side_scale_jitter, random_crop, horizontal_flip).

    The short side is a random real number, rounded; the long side is rounded down. The position of the window is random
    but never the last one of either side, because the toolkit's bound is exclusive.
    """

    geometry: Literal["pyslowfast"] = "pyslowfast"
    short_sides: tuple[PositiveInt, PositiveInt] = (256, 320)
    """Smallest and largest short side in pixels."""
    inverse: bool = False
    """True: the inverse of the short side is drawn uniformly, so that small sides are more frequent. False: the side is."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        low, high = self.short_sides
        _check_fits(self.size, low)
        if self.inverse:
            short = round(1 / float(random.uniform(1 / high, 1 / low)))
        else:
            short = round(float(random.uniform(low, high)))
        full = floor_size(height, width, short)
        window = _before_the_last(full, self.size, random)
        return Geometry(size=full, window=window, flip=_chance(self.flip, random))


class MMAction2RandomCrop(TrainCrop):
    """MMAction2's RandomRescale and RandomCrop: a random integer short side, then a window at a random position.

    The position is never the last one of either side, because the toolkit's bound is exclusive.
    """

    geometry: Literal["mmaction2_random"] = "mmaction2_random"
    short_sides: tuple[PositiveInt, PositiveInt] = (256, 256)
    """Smallest and largest short side in pixels, both included. If they are equal, as after its Resize, nothing is drawn."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        low, high = self.short_sides
        _check_fits(self.size, low)
        full = short_side_size(height, width, int(random.randint(low, high + 1)) if high > low else low)
        window = _before_the_last(full, self.size, random)
        return Geometry(size=full, window=window, flip=_chance(self.flip, random))


class MMActionRandomResizedCrop(TrainCrop):
    """MMAction's `resize_crop`, including its errors, with which its weights were trained.

    It crops the frame before any resize. Up to ten attempts draw an area uniform in `area` of the frame and an aspect ratio
    uniform (not log-uniform) in 3/4 to 4/3, and swap the sides with probability one half. An attempt succeeds if the width
    fits the frame's *height* and the height its *width*. Offsets are also drawn with swapped sides, so that the box may
    exceed the frame, where it is clipped. If all attempts fail, the box is a centred square of the shorter side. It is
    resized to `size`.
    """

    geometry: Literal["mmaction_random_resized"] = "mmaction_random_resized"
    area: tuple[float, float] = (0.08, 1.0)
    """Smallest and largest area of the box, as a share of the frame."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        box = _inside_frame(self.box(height, width, random), height, width)
        return Geometry(crop=box, size=self.square, flip=_chance(self.flip, random))

    def box(self, height: int, width: int, random: RandomSource) -> Box:
        """The drawn box, before it is clipped to the frame."""
        for _ in range(10):
            area = random.uniform(*self.area) * height * width
            ratio = random.uniform(3 / 4, 4 / 3)
            w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if random.uniform(0, 1) < 0.5:
                w, h = h, w
            if 0 < w <= height and 0 < h <= width:
                left, top = int(random.randint(width - h + 1)), int(random.randint(height - w + 1))
                return Box(top, left, h, w)
        side = min(height, width)
        return Box((height - side) // 2, (width - side) // 2, side, side)


class RandomResizedCrop(_Resized):
    """MMAction2's RandomResizedCrop on the resized frame.

    Up to ten attempts draw a uniform area and a log-uniform aspect ratio; if none fits, the box is a centred square of the
    shorter side. It is resized to `size`.
    """

    geometry: Literal["random_resized"] = "random_resized"
    short_side: PositiveInt = 256
    """Length of the shorter side after the resize, in pixels; at least `size`."""
    area: tuple[float, float] = (0.08, 1.0)
    """Smallest and largest area of the box, as a share of the frame."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Smallest and largest aspect ratio, width / height."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        full = self._resized(height, width)
        window = self.box(*full, random)
        return Geometry(size=full, window=window, stretch=self.square, flip=_chance(self.flip, random))

    def box(self, height: int, width: int, random: RandomSource) -> Box:
        """A random box inside a frame of height x width."""
        ratios = np.exp(random.uniform(np.log(self.ratio[0]), np.log(self.ratio[1]), size=10))
        areas = random.uniform(*self.area, size=10) * height * width
        widths = np.round(np.sqrt(areas * ratios)).astype(int)
        heights = np.round(np.sqrt(areas / ratios)).astype(int)
        for w, h in zip(widths.tolist(), heights.tolist(), strict=True):
            if 0 < w <= width and 0 < h <= height:
                left, top = int(random.randint(width - w + 1)), int(random.randint(height - h + 1))
                return Box(top, left, h, w)
        side = min(height, width)
        return Box((height - side) // 2, (width - side) // 2, side, side)


TrainGeometry = Annotated[
    CentreCrop
    | RandomCrop
    | ScaledCrop
    | MultiScaleCrop
    | MMActionRandomResizedCrop
    | RandomResizedCrop
    | PySlowFastCrop
    | MMAction2RandomCrop,
    Field(discriminator="geometry"),
]
"""Any crop for training; the field `geometry` names it in YAML."""


def _check_fits(size: int, short_side: int) -> None:
    if short_side < size:
        raise DataError(f"a crop of {size} does not fit frames of short side {short_side}: raise short_side.")


def corner_offsets(size: Size, box: Size, count: Literal[5, 13]) -> list[tuple[int, int]]:
    """(top, left) of TSN's 5 or 13 fixed positions of a box in a frame, by steps of a quarter of the slack."""
    down, right = (size[0] - box[0]) // 4, (size[1] - box[1]) // 4
    steps = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    if count == 13:
        steps += [(2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [(v * down, h * right) for v, h in steps]


def _before_the_last(full: Size, side: int, random: RandomSource) -> Box:
    """A square window at a random position except the last row and column. The row is drawn first, then the column;
    where the window has the frame's height or width, nothing is drawn.
    """
    top, left = (int(random.randint(length - side)) if length > side else 0 for length in full)
    return Box(top, left, side, side)


def _inside_frame(box: Box, height: int, width: int) -> Box:
    top, left = max(box.top, 0), max(box.left, 0)
    return Box(top, left, min(box.top + box.height, height) - top, min(box.left + box.width, width) - left)


def _chance(probability: float, random: RandomSource) -> bool:
    return probability > 0 and float(random.uniform(0, 1)) < probability
