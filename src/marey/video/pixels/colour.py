"""What changes how a training clip looks, at random and the same for all its frames: colours, and RandAugment.

A step declares a published augmentation; `change(frames, random)` draws once per clip. Steps follow the crop and the
mirror, in the worker, on RGB frames. Statistics of a picture (its mean, its histogram) are each frame's own, as the
toolkits have it.

| | `ColourJitter` (PySlowFast) | `MMAction2ColourJitter` |
|---|---|---|
| strength | 1 + U(-v, v) for each of brightness, contrast, saturation | the same, and hue |
| order | drawn for each clip | drawn once when the worker starts; here for each clip |
| grey | 0.299, 0.587, 0.114 | 0.2989, 0.587, 0.114 |
| values | real numbers, never cut off | cut off at 0 and 255, whole part |
"""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt

from marey.base.declaration import Declaration
from marey.base.errors import DataError
from marey.base.words import counted
from marey.video.pixels.randaugment import OPERATIONS, Strength
from marey.video.source import Frames

_Share = Annotated[float, Field(ge=0, le=1)]
_Real = NDArray[np.float32]


class AppearanceStep(Declaration, ABC):
    """A published way to change a clip's look. `kind` (of each subclass) names it in YAML."""

    def change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        """The frames [T, H, W, 3], changed by one draw; uint8, or float32 grey levels.

        Raises:
            DataError: the frames are not RGB: flow has no colours.
        """
        if frames_THWC.shape[-1] != 3:
            raise DataError(
                f"{type(self).__name__} changes colours, but these frames have {counted(frames_THWC.shape[-1], 'channel')}: "
                "leave appearance out of the recipe."
            )
        return self._change(frames_THWC, random)

    @abstractmethod
    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames: ...


class ColourJitter(AppearanceStep):
    """PySlowFast's brightness, contrast and saturation, in an order drawn for each clip (color_jitter_list).

    Each blends a frame with black, with the mean of its grey picture or with its grey picture, by a strength
    1 + U(-v, v). Clips become float32: the toolkit does not cut off what leaves 0..255.
    """

    kind: Literal["colour"] = "colour"
    brightness: NonNegativeFloat = 0.4
    contrast: NonNegativeFloat = 0.4
    saturation: NonNegativeFloat = 0.4

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        steps = [(_brighten, self.brightness), (_contrast, self.contrast), (_saturate, self.saturation)]
        steps = [(blend, width) for blend, width in steps if width > 0]
        frames = frames_THWC.astype(np.float32)
        for place in random.permutation(len(steps)):
            blend, width = steps[place]
            frames = blend(frames, 1.0 + random.uniform(-width, width), _GREY)
        return frames


class MMAction2ColourJitter(AppearanceStep):
    """MMAction2's ColorJitter: brightness, contrast, saturation and hue, in a random order.

    Hue turns by int(255 U(-hue, hue)) steps of the 180 that OpenCV divides the circle into, so that 0.1 is up to 50
    degrees.
    """

    kind: Literal["mmaction2_colour"] = "mmaction2_colour"
    brightness: _Share = 0.5
    contrast: _Share = 0.5
    saturation: _Share = 0.5
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        blends = (_brighten, _contrast, _saturate)
        widths = (self.brightness, self.contrast, self.saturation)
        strengths = [1.0 + random.uniform(-width, width) for width in widths]
        turn = int(random.uniform(-self.hue, self.hue) * 255)
        frames: _Real = frames_THWC.astype(np.float32)
        for place in random.permutation(4):
            if place == 3:
                frames = _turn_hue(frames, turn) if self.hue > 0 else frames
            elif widths[place] > 0:
                frames = blends[place](frames, strengths[place], _GREY_MMACTION2)
        return _cut(frames)


class Lighting(AppearanceStep):
    """AlexNet's colour noise along ImageNet's principal colours, one shift for the whole clip (section 4.1).

    The shift is the sum over the three components of eigenvector * eigenvalue * N(0, deviation). PySlowFast has it
    (lighting_list) with eigenvalues 0.225 0.224 0.229, which are deviations of the channels, not eigenvalues.
    """

    kind: Literal["lighting"] = "lighting"
    deviation: NonNegativeFloat = 0.1
    eigenvalues: tuple[float, float, float] = (0.2175, 0.0188, 0.0045)
    """Of colours in 0..1."""

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        along = random.normal(0, self.deviation, size=3) * self.eigenvalues
        return frames_THWC.astype(np.float32) + np.float32(255 * (_EIGENVECTORS @ along))


class RandAugment(AppearanceStep):
    """RandAugment (Cubuk et al. 2020) on clips: `layers` of 15 operations, drawn once for all frames.

    As in timm and PySlowFast ("rand-m7-n4-mstd0.5-inc1"), where an operation is left out with probability one half,
    its magnitude is drawn from N(magnitude, deviation), cut off at 0 and 10, and larger is stronger for all of them.
    The operations and their ranges: `marey.video.pixels.randaugment`. They follow the crop, as timm does with pictures;
    PySlowFast changes the whole frame before it is cut.
    """

    kind: Literal["randaugment"] = "randaugment"
    layers: NonNegativeInt = 4
    magnitude: Annotated[float, Field(ge=0, le=10)] = 7.0
    deviation: NonNegativeFloat = 0.5
    probability: _Share = 0.5
    """Of each drawn operation to be carried out; in the paper 1."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    """Of rotation, shear and translation."""

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        frames = _cut(np.rint(frames_THWC))
        for place in random.randint(len(OPERATIONS), size=self.layers):
            if random.uniform() < self.probability:
                level = min(max(random.normal(self.magnitude, self.deviation), 0.0), 10.0) / 10
                sign = -1 if random.uniform() < 0.5 else 1
                strength = Strength(level, sign, self.interpolation)
                frames = np.stack([OPERATIONS[place](frame, strength) for frame in frames])
        return frames


Appearance = Annotated[
    ColourJitter | MMAction2ColourJitter | Lighting | RandAugment,
    Field(discriminator="kind"),
]

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_GREY_MMACTION2 = np.array([0.2989, 0.587, 0.114], np.float32)
_EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
"""Of ImageNet's colours: a row per channel (red, green, blue), a column per component."""


def _brighten(frames: _Real, strength: float, grey: _Real) -> _Real:
    return frames * np.float32(strength)


def _contrast(frames: _Real, strength: float, grey: _Real) -> _Real:
    mean = (frames @ grey).mean(axis=(1, 2), keepdims=True)[..., None]
    return _between(mean, frames, strength)


def _saturate(frames: _Real, strength: float, grey: _Real) -> _Real:
    return _between((frames @ grey)[..., None], frames, strength)


def _between(nothing: _Real, frames: _Real, strength: float) -> _Real:
    """0 is `nothing`, 1 the frames as they are."""
    return frames * np.float32(strength) + nothing * np.float32(1 - strength)


def _turn_hue(frames: _Real, steps: int) -> _Real:
    import cv2

    turned = []
    for frame in _cut(frames):
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + steps) % 180
        turned.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return np.stack(turned).astype(np.float32)


def _cut(frames: NDArray[np.floating | np.integer]) -> NDArray[np.uint8]:
    """Whole parts, inside 0..255."""
    return np.asarray(np.clip(frames, 0, 255), np.uint8)
