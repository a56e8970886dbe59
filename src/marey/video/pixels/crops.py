"""What changes where a training clip looks, at random and the same for all its frames.

A geometry declares a published augmentation; `plan(height, width, random)` draws once per clip and answers with a
`Geometry`: numbers only. A pixel rule (`marey.video.pixels.rules`) carries it out, the first steps while decoding.
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
    """What happens to each frame, in this order: cut in source pixels, resize, cut a window, stretch it, mirror."""

    crop: Box | None = None
    size: Size | None = None
    window: Box | None = None
    stretch: Size | None = None
    flip: bool = False


Probability = Annotated[float, Field(ge=0, le=1)]


class TrainCrop(Declaration, ABC):
    """A published way to crop for training. `geometry` (of each subclass) names it in YAML."""

    size: PositiveInt
    """Side of the square clip, in pixels."""
    flip: Probability = 0.5
    """Probability of mirroring."""
    flip_classes: Literal["refuse", "swap"] = "refuse"
    """Where a mirror turns one class into another (left, right): "refuse" to train, or "swap" the labels of mirrored clips
    (MMAction2's flip_label_map)."""

    @property
    def square(self) -> Size:
        """(height, width) of the finished clip."""
        return self.size, self.size

    @abstractmethod
    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        """Draw once for a clip of frames of height x width pixels."""


class _Resized(TrainCrop, ABC):
    """First the short side, then a window of the resized frame."""

    short_side: PositiveInt

    def _resized(self, height: int, width: int) -> Size:
        _check_fits(self.size, self.short_side)
        return short_side_size(height, width, self.short_side)


class CentreCrop(_Resized):
    """The middle of the resized frame; nothing at random but the mirror."""

    geometry: Literal["centre"] = "centre"
    flip: Probability = 0.0

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        size = self._resized(height, width)
        window = Box((size[0] - self.size) // 2, (size[1] - self.size) // 2, self.size, self.size)
        return Geometry(size=size, window=window, flip=_chance(self.flip, random))


class RandomCrop(_Resized):
    """A window anywhere in the resized frame, all places alike."""

    geometry: Literal["random"] = "random"

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        size = self._resized(height, width)
        top, left = (int(random.randint(side - self.size + 1)) for side in size)
        return Geometry(size=size, window=Box(top, left, self.size, self.size), flip=_chance(self.flip, random))


class MultiScaleCrop(_Resized):
    """TSN's corner cropping with scale jitter (section 3.2), as MMAction and MMAction2 have it.

    Sides are int(base * scale) for the resized short side `base`, snapped to `size` when closer than 3 pixels; pairs
    (width, height) whose scales lie at most `max_distort` apart in the list, height-major; one of them uniformly, then
    one of 5 (corners and centre) or 13 offsets uniformly, or any place; stretched to `size`.
    """

    geometry: Literal["multi_scale"] = "multi_scale"
    short_side: PositiveInt = 256
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    max_distort: Annotated[int, Field(ge=0)] = 1
    offsets: Literal[5, 13, "any"] = 5

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        full = self._resized(height, width)
        pairs = self.pairs(min(full))
        box_width, box_height = pairs[int(random.randint(len(pairs)))]
        top, left = self.place(full, (box_height, box_width), random)
        window = Box(top, left, box_height, box_width)
        return Geometry(size=full, window=window, stretch=self.square, flip=_chance(self.flip, random))

    def place(self, full: Size, box: Size, random: RandomSource) -> tuple[int, int]:
        """(top, left) of a box in a frame; "any" draws the column first, as the toolkits do."""
        if self.offsets == "any":
            left, top = (int(random.randint(full[axis] - box[axis] + 1)) for axis in (1, 0))
            return top, left
        places = corner_offsets(full, box, self.offsets)
        return places[int(random.randint(len(places)))]

    def pairs(self, base: int) -> list[tuple[int, int]]:
        """The (width, height) sizes to choose from, for a resized short side of `base` pixels."""
        sides = [int(base * scale) for scale in self.scales]
        sides = [self.size if abs(side - self.size) < 3 else side for side in sides]
        return [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= self.max_distort]


class ScaledCrop(TrainCrop):
    """MMAction's RandomRescaledCrop: the short side is any whole number of `short_sides`, both ends included, then a
    window anywhere in the frame.
    """

    geometry: Literal["scaled"] = "scaled"
    short_sides: tuple[PositiveInt, PositiveInt] = (256, 320)

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        low, high = self.short_sides
        full = short_side_size(height, width, int(random.randint(low, high + 1)))
        _check_fits(self.size, low)
        top, left = (int(random.randint(side - self.size + 1)) for side in full)
        return Geometry(size=full, window=Box(top, left, self.size, self.size), flip=_chance(self.flip, random))


class PySlowFastCrop(TrainCrop):
    """PySlowFast's short-side jitter (random_short_side_scale_jitter, random_crop, horizontal_flip).

    The short side is the nearest whole number to a real one, uniform in `short_sides`, or whose inverse is
    (`inverse`: small scales are drawn more often); the long side is cut down to whole pixels. The window lies anywhere
    but at the last place of either side: the toolkit's bound is exclusive.
    """

    geometry: Literal["pyslowfast"] = "pyslowfast"
    short_sides: tuple[PositiveInt, PositiveInt] = (256, 320)
    inverse: bool = False

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
    """MMAction2's RandomRescale and RandomCrop: the short side is a whole number of `short_sides`, both ends included
    (nothing is drawn where they are the same, as after its Resize); the window lies anywhere but at the last place of
    either side: the toolkit's bound is exclusive.
    """

    geometry: Literal["mmaction2_random"] = "mmaction2_random"
    short_sides: tuple[PositiveInt, PositiveInt] = (256, 256)

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        low, high = self.short_sides
        _check_fits(self.size, low)
        full = short_side_size(height, width, int(random.randint(low, high + 1)) if high > low else low)
        window = _before_the_last(full, self.size, random)
        return Geometry(size=full, window=window, flip=_chance(self.flip, random))


class MMActionRandomResizedCrop(TrainCrop):
    """MMAction's `resize_crop`, quirks included: its weights were trained with them.

    It works on the raw frame. Ten tries: area uniform in `area` of the frame, ratio uniform (not log-uniform) in 3/4 to
    4/3, sides swapped with probability one half; a try counts if the width fits the frame's *height* and the height its
    *width*, and the offsets come from the swapped slack too, so that the box may leave the frame, where it is cut off.
    Else a centred square of the shorter side. Stretched to `size`.
    """

    geometry: Literal["mmaction_random_resized"] = "mmaction_random_resized"
    area: tuple[float, float] = (0.08, 1.0)

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        box = _clipped(self.box(height, width, random), height, width)
        return Geometry(crop=box, size=self.square, flip=_chance(self.flip, random))

    def box(self, height: int, width: int, random: RandomSource) -> Box:
        """The box as asked for, before the frame's edge cuts it."""
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
    """MMAction2's RandomResizedCrop on the resized frame: area uniform, ratio log-uniform, ten tries, else a centred
    square of the shorter side. Stretched to `size`.
    """

    geometry: Literal["random_resized"] = "random_resized"
    short_side: PositiveInt = 256
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        full = self._resized(height, width)
        window = self.box(*full, random)
        return Geometry(size=full, window=window, stretch=self.square, flip=_chance(self.flip, random))

    def box(self, height: int, width: int, random: RandomSource) -> Box:
        """A box inside a frame of height x width."""
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


def _check_fits(size: int, short_side: int) -> None:
    if short_side < size:
        raise DataError(f"a crop of {size} does not fit frames of short side {short_side}: raise short_side.")


def corner_offsets(size: Size, box: Size, count: Literal[5, 13]) -> list[tuple[int, int]]:
    """(top, left) of TSN's 5 or 13 fixed places of a box in a frame, by steps of a quarter of the slack."""
    down, right = (size[0] - box[0]) // 4, (size[1] - box[1]) // 4
    places = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    if count == 13:
        places += [(2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [(v * down, h * right) for v, h in places]


def _before_the_last(full: Size, side: int, random: RandomSource) -> Box:
    """A square window anywhere but at the last row or column; the row is drawn first, and only where there is a choice."""
    top, left = (int(random.randint(length - side)) if length > side else 0 for length in full)
    return Box(top, left, side, side)


def _clipped(box: Box, height: int, width: int) -> Box:
    top, left = max(box.top, 0), max(box.left, 0)
    return Box(top, left, min(box.top + box.height, height) - top, min(box.left + box.width, width) - left)


def _chance(probability: float, random: RandomSource) -> bool:
    return probability > 0 and float(random.uniform(0, 1)) < probability
