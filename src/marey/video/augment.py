"""What changes where a training clip looks, at random and the same for all its frames.

A geometry declares a published augmentation; `plan(height, width, random)` draws once per clip and answers with a
`Geometry`: numbers only. Where the plan is known before decoding, the reader cuts and resizes while it decodes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from marey.base.declaration import Declaration
from marey.base.errors import DataError
from marey.base.random import RandomSource
from marey.video.source import Box, Frames, FrameSource, Size
from marey.video.transforms import crop, flip, resize, short_side_size


@dataclass(frozen=True)
class Geometry:
    """What happens to each frame, in this order: cut in source pixels, resize, cut a window, stretch it, mirror."""

    crop: Box | None = None
    size: Size | None = None
    window: Box | None = None
    stretch: Size | None = None
    flip: bool = False

    def read(self, source: FrameSource, indices: Sequence[int] | NDArray[np.integer]) -> Frames:
        """Read frames [T, H, W, C] with all of it done, the first two steps while decoding."""
        return self._finish(source.read(indices, size=self.size, crop=self.crop))

    def apply(self, frames_THWC: Frames) -> Frames:
        """The same, for frames that are already in memory."""
        if self.crop is not None:
            frames_THWC = crop(frames_THWC, self.crop)
        if self.size is not None:
            frames_THWC = resize(frames_THWC, self.size)
        return self._finish(frames_THWC)

    def _finish(self, frames_THWC: Frames) -> Frames:
        if self.window is not None:
            frames_THWC = crop(frames_THWC, self.window)
        if self.stretch is not None:
            frames_THWC = resize(frames_THWC, self.stretch)
        return np.ascontiguousarray(flip(frames_THWC) if self.flip else frames_THWC)


Probability = Annotated[float, Field(ge=0, le=1)]


class TrainCrop(Declaration, ABC):
    """A published way to crop for training. `geometry` (of each subclass) names it in YAML."""

    size: PositiveInt
    """Side of the square clip, in pixels."""
    flip: Probability = 0.5
    """Probability of mirroring; 0 where left and right are different classes."""

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
        size = short_side_size(height, width, self.short_side)
        if min(size) < self.size:
            raise DataError(
                f"a crop of {self.size} does not fit frames of short side {self.short_side}: raise short_side."
            )
        return size


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
    one of 5 (corners and centre) or 13 offsets uniformly; stretched to `size`.
    """

    geometry: Literal["multi_scale"] = "multi_scale"
    short_side: PositiveInt = 256
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    max_distort: Annotated[int, Field(ge=0)] = 1
    offsets: Literal[5, 13] = 5

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        full = self._resized(height, width)
        pairs = self.pairs(min(full))
        box_width, box_height = pairs[int(random.randint(len(pairs)))]
        places = corner_offsets(full, (box_height, box_width), self.offsets)
        top, left = places[int(random.randint(len(places)))]
        window = Box(top, left, box_height, box_width)
        return Geometry(size=full, window=window, stretch=self.square, flip=_chance(self.flip, random))

    def pairs(self, base: int) -> list[tuple[int, int]]:
        """The (width, height) sizes to choose from, for a resized short side of `base` pixels."""
        sides = [int(base * scale) for scale in self.scales]
        sides = [self.size if abs(side - self.size) < 3 else side for side in sides]
        return [(w, h) for i, h in enumerate(sides) for j, w in enumerate(sides) if abs(i - j) <= self.max_distort]


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
            if w <= height and h <= width:
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
            if w <= width and h <= height:
                left, top = int(random.randint(width - w + 1)), int(random.randint(height - h + 1))
                return Box(top, left, h, w)
        side = min(height, width)
        return Box((height - side) // 2, (width - side) // 2, side, side)


TrainGeometry = Annotated[
    CentreCrop | RandomCrop | MultiScaleCrop | MMActionRandomResizedCrop | RandomResizedCrop,
    Field(discriminator="geometry"),
]


def corner_offsets(size: Size, box: Size, count: Literal[5, 13]) -> list[tuple[int, int]]:
    """(top, left) of TSN's 5 or 13 fixed places of a box in a frame, by steps of a quarter of the slack."""
    down, right = (size[0] - box[0]) // 4, (size[1] - box[1]) // 4
    places = [(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
    if count == 13:
        places += [(2, 0), (2, 4), (4, 2), (0, 2), (1, 1), (1, 3), (3, 1), (3, 3)]
    return [(v * down, h * right) for v, h in places]


def _clipped(box: Box, height: int, width: int) -> Box:
    top, left = max(box.top, 0), max(box.left, 0)
    return Box(top, left, min(box.top + box.height, height) - top, min(box.left + box.width, width) - left)


def _chance(probability: float, random: RandomSource) -> bool:
    return probability > 0 and float(random.uniform(0, 1)) < probability
