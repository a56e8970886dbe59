"""What the videos of `motions` look like: objects on scenes drawn by code, or plain shapes on noise.

A look decides how a scene's background and object appear, and nothing about how the object moves. It knows neither
the pair nor the class, so what one frame shows says nothing about either.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.random import RandomSource
from marey.data.motions.canvas import Canvas, Colour
from marey.data.motions.objects import Thing
from marey.data.motions.scenes import SCENES, Scene

MARGIN = 8
"""Pixels of background beyond each side of the frame, so that the camera can shake."""


@dataclass(frozen=True)
class Sprite:
    """An object to be placed at any size."""

    side: float
    """Pixels of the frame that its square takes at scale 1."""
    pictures: tuple[NDArray[np.float32], ...]
    """The object at several sizes, the largest first: float32 [s, s, 4], colours 0..255 and opacity 0..1."""
    turning: float
    """How much of a pose's turn the object follows: 1 all of it, 0 none (it stays upright)."""

    def picture(self, scale: float) -> NDArray[np.float32]:
        """The smallest picture that need not be enlarged at this scale, so that little detail is lost or aliased."""
        large = [picture for picture in self.pictures if len(picture) >= scale * self.side]
        return large[-1] if large else self.pictures[0]


@dataclass(frozen=True)
class Appearance:
    """All that is drawn once for a scene."""

    ground: NDArray[np.float32]
    """The background with `MARGIN` pixels beyond each side, float32 [size + 2 * MARGIN, size + 2 * MARGIN, 3], 0..255."""
    sprite: Sprite
    noise: float
    """Standard deviation of the sensor's noise, in levels of 0..255."""
    shake: int
    """Pixels by which the camera is off at most, along each axis; at most `MARGIN`."""


class Look(Protocol):
    """How scenes and objects appear."""

    @property
    def settings(self) -> dict[str, str | int]:
        """What `motions.json` notes of it: two looks that render different frames differ here."""
        ...

    def appearance(self, size: int, random: np.random.RandomState) -> Appearance:
        """Draw background and object of one scene for frames of `size` pixels a side."""
        ...


@dataclass(frozen=True)
class NoiseLook:
    """Discs and polygons over smoothed noise."""

    @property
    def settings(self) -> dict[str, str | int]:
        """Without a name: folders written before there were several looks have this one."""
        return {"version": 1}

    def appearance(self, size: int, random: np.random.RandomState) -> Appearance:
        shape = _shape(size, random)
        ground = _texture(size + 2 * MARGIN, random, smooth=random.uniform(1.5, 4.0), contrast=random.uniform(15, 35))
        sprite = Sprite(side=len(shape), pictures=(shape,), turning=1.0)
        return Appearance(ground, sprite, noise=random.uniform(3, 8), shake=2)


def _texture(size: int, random: np.random.RandomState, *, smooth: float, contrast: float) -> NDArray[np.float32]:
    """Smoothed noise of a random colour, float32 [size, size, 3]."""
    grain = cv2.GaussianBlur(random.standard_normal((size, size, 3)).astype(np.float32), (0, 0), smooth)
    colour = random.uniform(50, 200, size=3)
    return np.asarray(grain / grain.std() * contrast + colour, np.float32)


def _shape(size: int, random: np.random.RandomState) -> NDArray[np.float32]:
    """A disc, box or polygon with its opacity, float32 [s, s, 4]: light or dark, with texture."""
    side = max(int(size * random.uniform(0.24, 0.34)), 8)
    mask = np.zeros((side, side), np.float32)
    middle, radius = (side - 1) / 2, side * 0.44
    corners = random.randint(3, 7) if random.uniform(0, 1) < 0.7 else 40
    angles = np.linspace(0, 2 * math.pi, corners, endpoint=False) + random.uniform(0, 2 * math.pi)
    points = np.stack([middle + radius * np.cos(angles), middle + radius * np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1.0, cv2.LINE_AA)
    colour = _texture(side, random, smooth=1.0, contrast=12)
    bright = random.uniform(0, 1) < 0.5
    colour = colour * 0.3 + (random.uniform(190, 250) if bright else random.uniform(0, 40)) * 0.7
    return np.asarray(np.dstack([colour, mask]), np.float32)


@dataclass(frozen=True)
class Cast:
    """What a drawn scene shows."""

    scene: Scene
    thing: Thing
    mirrored: bool
    """Whether the object faces left. It does so at random, whichever way it travels."""
    share: float
    """Side of the object's square at scale 1, in shares of the frame's side."""


@dataclass(frozen=True)
class DrawnLook:
    """Objects on recognisable scenes, drawn by code."""

    @property
    def settings(self) -> dict[str, str | int]:
        return {"look": "drawn", "version": 1}

    def cast(self, random: RandomSource) -> Cast:
        """Choose a scene, an object that is met there, which way it faces and how large it is."""
        scene = SCENES[random.randint(len(SCENES))]
        thing = scene.things[random.randint(len(scene.things))]
        return Cast(scene, thing, mirrored=random.uniform() < 0.5, share=random.uniform(0.34, 0.44))

    def appearance(self, size: int, random: np.random.RandomState) -> Appearance:
        return self.draw(self.cast(random), size, random)

    def draw(self, cast: Cast, size: int, random: np.random.RandomState) -> Appearance:
        """Draw this choice; colours, light and the places of things in the scene are drawn at random."""
        canvas = Canvas(size, margin=MARGIN)
        cast.scene.draw(canvas, random)
        ground = canvas.picture()[..., :3] * np.float32(random.uniform(0.88, 1.06))
        order = random.permutation(len(cast.thing.paints)).tolist()
        paint = _seen_best(ground, [cast.thing.paints[place] for place in order])
        pictures = _object(cast, paint, _outline(ground), size)
        noise = random.uniform(1.5, 4)
        return Appearance(ground, Sprite(cast.share * size, pictures, turning=0.0), noise=noise, shake=1)


_LARGEST = 2.4
"""The scale up to which an object is drawn in full detail; motions enlarge objects up to 2.3 times."""
_OUTLINE = 0.035
"""Width of the border around an object, in shares of its side."""
_CLEAR = 90.0
"""Distance of colours from which an object is taken to stand out: the root mean square over red, green and blue."""


def _seen_best(ground: NDArray[np.float32], paints: list[Colour]) -> Colour:
    """The first colour that most of the background is far from; where there is none, the one that is the farthest."""
    sample = cv2.resize(ground, (12, 12), interpolation=cv2.INTER_AREA).reshape(-1, 1, 3)
    distance = np.sqrt(np.square(sample - np.asarray(paints, np.float32)).mean(axis=2))
    typical = np.quantile(distance, 0.25, axis=0)
    clear = np.flatnonzero(typical >= _CLEAR)
    return paints[int(clear[0]) if len(clear) else int(typical.argmax())]


def _outline(ground: NDArray[np.float32]) -> Colour:
    """A dark border on light backgrounds, a light one on dark ones."""
    return (26, 26, 34) if ground.mean() > 105 else (246, 246, 240)


def _object(cast: Cast, paint: Colour, outline: Colour, size: int) -> tuple[NDArray[np.float32], ...]:
    """The object at full size, at a half, a quarter and an eighth."""
    side = 8 * math.ceil(cast.share * size * _LARGEST / 8)
    room = side // 16
    canvas = Canvas(side - 2 * room, margin=room, paper=outline)
    cast.thing.draw(canvas, paint)
    canvas.outline(_OUTLINE)
    picture = canvas.picture()
    if cast.mirrored:
        picture = np.ascontiguousarray(picture[:, ::-1])
    smaller = (cv2.resize(picture, (side // n, side // n), interpolation=cv2.INTER_AREA) for n in (2, 4, 8))
    return picture, *(np.asarray(one, np.float32) for one in smaller)


NOISE = NoiseLook()
DRAWN = DrawnLook()
