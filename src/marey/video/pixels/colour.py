"""Random changes of a training clip's colours, the same for all frames of a clip: colour jitter, lighting, RandAugment.

A step declares a published augmentation; `change(frames, random)` draws once per clip. Steps are applied after the crop
and the flip, in the worker, to RGB frames. Statistics (mean, histogram) are computed for each frame separately, as in the
toolkits.

| | `ColourJitter` (PySlowFast) | `MMAction2ColourJitter` |
|---|---|---|
| strength | 1 + U(-v, v) for each of brightness, contrast, saturation | the same, and hue |
| order | random for each clip | random, fixed when the worker starts; here for each clip |
| grey | 0.299, 0.587, 0.114 | 0.2989, 0.587, 0.114 |
| values | real numbers, not clipped | clipped to 0..255, rounded down |
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
    """A published way to change a clip's appearance. The field `kind` of each subclass names it in YAML."""

    def change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        """Change the frames [T, H, W, 3] of one clip; the result is uint8, or float32 in grey levels.

        Raises:
            DataError: the frames are not RGB. Flow has no colours.
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
    """PySlowFast's brightness, contrast and saturation, in a random order for each clip (color_jitter_list).

    They blend a frame with black, with the mean of its grey image, and with its grey image, by a strength of 1 + U(-v, v).
    Clips become float32, because the toolkit does not clip values to 0..255.
    """

    kind: Literal["colour"] = "colour"
    brightness: NonNegativeFloat = 0.4
    """Largest deviation v of the brightness' strength from 1; 0: no change."""
    contrast: NonNegativeFloat = 0.4
    """Largest deviation v of the contrast's strength from 1; 0: no change."""
    saturation: NonNegativeFloat = 0.4
    """Largest deviation v of the saturation's strength from 1; 0: no change."""

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        steps = [(_brighten, self.brightness), (_contrast, self.contrast), (_saturate, self.saturation)]
        steps = [(blend, width) for blend, width in steps if width > 0]
        frames = frames_THWC.astype(np.float32)
        for index in random.permutation(len(steps)):
            blend, width = steps[index]
            frames = blend(frames, 1.0 + random.uniform(-width, width), _GREY)
        return frames


class MMAction2ColourJitter(AppearanceStep):
    """MMAction2's ColorJitter: brightness, contrast, saturation and hue, in a random order.

    Hue is rotated by int(255 U(-hue, hue)) of OpenCV's 180 steps of a circle, so that 0.1 is up to 50 degrees.
    """

    kind: Literal["mmaction2_colour"] = "mmaction2_colour"
    brightness: _Share = 0.5
    """Largest deviation v of the brightness' strength from 1, 0 to 1; 0: no change."""
    contrast: _Share = 0.5
    """Largest deviation v of the contrast's strength from 1, 0 to 1; 0: no change."""
    saturation: _Share = 0.5
    """Largest deviation v of the saturation's strength from 1, 0 to 1; 0: no change."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Largest rotation of hue, 0 to 0.5; 0: no change."""

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        blends = (_brighten, _contrast, _saturate)
        widths = (self.brightness, self.contrast, self.saturation)
        strengths = [1.0 + random.uniform(-width, width) for width in widths]
        turn = int(random.uniform(-self.hue, self.hue) * 255)
        frames: _Real = frames_THWC.astype(np.float32)
        for index in random.permutation(4):
            if index == 3:
                frames = _rotate_hue(frames, turn) if self.hue > 0 else frames
            elif widths[index] > 0:
                frames = blends[index](frames, strengths[index], _GREY_MMACTION2)
        return _clipped(frames)


class Lighting(AppearanceStep):
    """AlexNet's colour noise along the principal components of ImageNet's colours (section 4.1), one shift per clip.

    The shift is the sum over the three components of eigenvector * eigenvalue * N(0, deviation). PySlowFast uses
    it (lighting_list) with "eigenvalues" 0.225 0.224 0.229, which are the standard deviations of the channels.
    """

    kind: Literal["lighting"] = "lighting"
    deviation: NonNegativeFloat = 0.1
    """Standard deviation of the factor of each component."""
    eigenvalues: tuple[float, float, float] = (0.2175, 0.0188, 0.0045)
    """Eigenvalues of the components, for colours in 0..1."""

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        along = random.normal(0, self.deviation, size=3) * self.eigenvalues
        return frames_THWC.astype(np.float32) + np.float32(255 * (_EIGENVECTORS @ along))


class RandAugment(AppearanceStep):
    """RandAugment (Cubuk et al. 2020) on clips: `layers` of 15 operations, drawn once for all frames of a clip.

    As in timm and PySlowFast ("rand-m7-n4-mstd0.5-inc1"), each drawn operation is skipped with probability one half, its
    magnitude is drawn from N(magnitude, deviation), clipped to 0..10, and a larger magnitude is always a stronger change.
    Operations and their ranges: `marey.video.pixels.randaugment`. They are applied after the crop, as timm does with images;
    PySlowFast applies them to the entire frame before the crop.
    """

    kind: Literal["randaugment"] = "randaugment"
    layers: NonNegativeInt = 4
    """Number of operations that are drawn for a clip."""
    magnitude: Annotated[float, Field(ge=0, le=10)] = 7.0
    """Mean magnitude, 0 to 10."""
    deviation: NonNegativeFloat = 0.5
    """Standard deviation of the magnitude."""
    probability: _Share = 0.5
    """Probability that a drawn operation is carried out, 0 to 1; in the paper 1."""
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    """Interpolation of rotation, shear and translation."""

    def _change(self, frames_THWC: Frames, random: np.random.RandomState) -> Frames:
        frames = _clipped(np.rint(frames_THWC))
        for index in random.randint(len(OPERATIONS), size=self.layers):
            if random.uniform() < self.probability:
                level = min(max(random.normal(self.magnitude, self.deviation), 0.0), 10.0) / 10
                sign = -1 if random.uniform() < 0.5 else 1
                strength = Strength(level, sign, self.interpolation)
                frames = np.stack([OPERATIONS[index](frame, strength) for frame in frames])
        return frames


Appearance = Annotated[
    ColourJitter | MMAction2ColourJitter | Lighting | RandAugment,
    Field(discriminator="kind"),
]
"""Any step; the field `kind` names it in YAML."""

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_GREY_MMACTION2 = np.array([0.2989, 0.587, 0.114], np.float32)
_EIGENVECTORS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
"""Eigenvectors of ImageNet's colours: a row per channel (red, green, blue), a column per component."""


def _brighten(frames: _Real, strength: float, grey: _Real) -> _Real:
    return frames * np.float32(strength)


def _contrast(frames: _Real, strength: float, grey: _Real) -> _Real:
    mean = (frames @ grey).mean(axis=(1, 2), keepdims=True)[..., None]
    return _blend(mean, frames, strength)


def _saturate(frames: _Real, strength: float, grey: _Real) -> _Real:
    return _blend((frames @ grey)[..., None], frames, strength)


def _blend(base: _Real, frames: _Real, strength: float) -> _Real:
    """Blend of `base` (strength 0) and the frames (strength 1)."""
    return frames * np.float32(strength) + base * np.float32(1 - strength)


def _rotate_hue(frames: _Real, steps: int) -> _Real:
    import cv2

    turned = []
    for frame in _clipped(frames):
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + steps) % 180
        turned.append(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))
    return np.stack(turned).astype(np.float32)


def _clipped(frames: NDArray[np.floating | np.integer]) -> NDArray[np.uint8]:
    """Values clipped to 0..255 and rounded down."""
    return np.asarray(np.clip(frames, 0, 255), np.uint8)
