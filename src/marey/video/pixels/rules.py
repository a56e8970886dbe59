"""Pixel rules: how decoded frames are resized, cropped and normalised, as in each family of toolkits.

| | `Pixels` | `FloatPixels` |
|---|---|---|
| toolkits | MMAction, MMAction2, DeepMind's I3D | PySlowFast, PyTorchVideo |
| resize | uint8, bilinear without antialias (OpenCV) | float, bilinear without antialias |
| long side | floor(long * short' / short + 0.5) | floor(long / short * short') |
| crop offsets | floor(slack / 2), last = 2 * that | ceil(slack / 2), last = slack |
| normalise | after the crop | before the resize: the same numbers, as both are linear |

short and long are the sides of a frame, short' is `short_side`, slack is a side of the resized frame minus that of the
crop, and last is the offset of the last of three crops. A test crop therefore differs by up to a pixel in its place between
the families, and by up to half a grey level everywhere.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from marey.base.declaration import Declaration
from marey.base.random import RandomSource
from marey.video.pixels import transforms
from marey.video.pixels.crops import Geometry
from marey.video.pixels.transforms import Crops, View
from marey.video.source import Box, Conversion, Frames, FrameSource, Size, check_inside


class _BasePixelRule(Declaration, ABC):
    """Base of the pixel rules: applies a geometry to a training clip. Subclasses define how they resize and mirror."""

    short_side: PositiveInt = 256
    """Length of the shorter side after the resize, before test crops, in pixels."""
    order: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels of the network's input, and of `mean` and `std`. "bgr": for weights from Caffe."""

    def read(self, source: FrameSource, indices: Sequence[int] | NDArray[np.integer], geometry: Geometry) -> Frames:
        """A training clip [T, H, W, C] of a source. `pick` applies `crop` and `size` of the geometry."""
        return self._finish(self.pick(source, indices, size=geometry.size, crop=geometry.crop), geometry)

    def apply(self, frames_THWC: Frames, geometry: Geometry) -> Frames:
        """A training clip of frames that are already in memory."""
        if geometry.crop is not None:
            frames_THWC = transforms.crop(frames_THWC, geometry.crop)
        return self._finish(self.resize(frames_THWC, geometry.size or frames_THWC.shape[1:3]), geometry)

    def _finish(self, frames_THWC: Frames, geometry: Geometry) -> Frames:
        if geometry.window is not None:
            frames_THWC = transforms.crop(frames_THWC, geometry.window)
        if geometry.stretch is not None:
            frames_THWC = self.resize(frames_THWC, geometry.stretch)
        return np.ascontiguousarray(self.mirror(frames_THWC) if geometry.flip else frames_THWC)

    @abstractmethod
    def size(self, height: int, width: int) -> Size:
        """(height, width) of frames of height x width after the resize."""

    @abstractmethod
    def views(self, height: int, width: int, size: int, crops: Crops) -> list[View]:
        """The crops of a test protocol on resized frames of height x width."""

    @abstractmethod
    def pick(
        self, source: FrameSource, indices: Sequence[int] | NDArray[np.integer], *, size: Size | None, crop: Box | None
    ) -> Frames:
        """Frames [T, H, W, C] of a source, cropped and resized."""

    @abstractmethod
    def resize(self, frames_THWC: Frames, size: Size) -> Frames:
        """Resize frames in memory."""

    @abstractmethod
    def mirror(self, frames_THWC: Frames) -> Frames:
        """Mirror the frames of a training clip left to right."""


class Pixels(_BasePixelRule):
    """uint8 up to the normalisation: MMAction, MMAction2, DeepMind."""

    kind: Literal["uint8"] = "uint8"
    conversion: Conversion = "rgb"
    """How YUV becomes RGB of another size. "rgb" converts the entire frame, then resizes uint8 RGB bilinearly, as the
    toolkits did and as their published results need. "planes" resizes Y, U and V, then converts the small frame: it
    differs by one to two grey levels and is faster (docs/performance/decoding.md)."""
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    """Mean of each channel, in grey levels 0..255. Mean and deviation belong to the weights, not to the data set."""
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    """Standard deviation of each channel, in grey levels."""
    flow_x: Literal["plain", "mmaction"] = "plain"
    """For flow: where the x component is inverted. "plain": in mirrored fields. "mmaction": as in MMAction v0.2, in all
    training clips, mirrored or not, and in test crops that are not mirrored. MMAction inverted all x, and that of
    mirrored test crops twice, which leaves it unchanged."""

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, deviation) in grey levels; they include the inversion of x, 255 - x."""
        if self.flow_x == "plain":
            return self.mean, self.std
        return (255 - self.mean[0], *self.mean[1:]), (-self.std[0], *self.std[1:])

    def size(self, height: int, width: int) -> Size:
        return transforms.short_side_size(height, width, self.short_side)

    def views(self, height: int, width: int, size: int, crops: Crops) -> list[View]:
        return transforms.test_boxes(height, width, size, crops)

    def pick(
        self, source: FrameSource, indices: Sequence[int] | NDArray[np.integer], *, size: Size | None, crop: Box | None
    ) -> Frames:
        return source.read(indices, size=size, crop=crop)

    def resize(self, frames_THWC: Frames, size: Size) -> Frames:
        return transforms.resize(frames_THWC, size)

    def mirror(self, frames_THWC: Frames) -> Frames:
        return transforms.mirror(frames_THWC) if self.flow_x == "mmaction" else transforms.flip(frames_THWC)


class FloatPixels(_BasePixelRule):
    """Float32 after decoding: PySlowFast, PyTorchVideo. Clips are in grey levels."""

    kind: Literal["float"] = "float"
    mean: tuple[float, ...] = (0.45 * 255,) * 3
    """Mean of each channel, in grey levels 0..255 (the toolkits divide by 255 first)."""
    std: tuple[float, ...] = (0.225 * 255,) * 3
    """Standard deviation of each channel, in grey levels."""
    conversion: Literal["rgb"] = "rgb"
    """How YUV becomes RGB; see `Pixels`."""

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, deviation) in grey levels."""
        return self.mean, self.std

    def size(self, height: int, width: int) -> Size:
        return transforms.floor_size(height, width, self.short_side)

    def views(self, height: int, width: int, size: int, crops: Crops) -> list[View]:
        """The crops of a test protocol on frames of height x width.

        - centre: offsets ceil(slack / 2).
        - three: offsets 0, ceil(slack / 2) and slack along the longer side.

        Raises:
            DataError: the crop does not fit the frame, or ten crops are requested, which neither toolkit has.
        """
        check_inside(Box(0, 0, size, size), height, width)
        if crops == "ten":
            raise transforms.no_ten_crops(type(self).__name__)
        down, right = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
        middle = View(Box(down, right, size, size), flip=False)
        if crops == "centre":
            return [middle]
        ends = [(0, right), (height - size, right)] if height > width else [(down, 0), (down, width - size)]
        first, last = (View(Box(top, left, size, size), flip=False) for top, left in ends)
        return [first, middle, last]

    def pick(
        self, source: FrameSource, indices: Sequence[int] | NDArray[np.integer], *, size: Size | None, crop: Box | None
    ) -> Frames:
        frames = source.read(indices, crop=crop)
        return self.resize(frames, size or frames.shape[1:3])

    def resize(self, frames_THWC: Frames, size: Size) -> Frames:
        return transforms.resize_float(frames_THWC, size)

    def mirror(self, frames_THWC: Frames) -> Frames:
        return transforms.flip(frames_THWC)


PixelRule = Annotated[Pixels | FloatPixels, Field(discriminator="kind")]
"""Any pixel rule; the field `kind` names it in YAML."""


class CentreView:
    """The centre crop of a pixel rule, for validation; deterministic."""

    def __init__(self, pixels: Pixels | FloatPixels, size: int) -> None:
        # A recipe may test on smaller frames than it trains on.
        self.pixels = pixels.model_copy(update={"short_side": max(pixels.short_side, size)})
        self.crop = size

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        full = self.pixels.size(height, width)
        return Geometry(size=full, window=self.pixels.views(*full, self.crop, "centre")[0].box)
