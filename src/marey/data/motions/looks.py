"""The appearance of `motions`: objects on scenes drawn by code (`DRAWN`), or plain shapes on noise (`NOISE`).

A look draws the background and the object of a scene, and has no influence on how the object moves. It does not get the
pair or the class, so that the appearance shows nothing about them.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.random import RandomSource
from marey.data.motions.canvas import Canvas, Colour
from marey.data.motions.objects import DrawnObject
from marey.data.motions.scenes import SCENES, Scene

MARGIN = 8
"""Pixels of background outside each side of the frame, which let the camera shake."""


@dataclass(frozen=True)
class Sprite:
    """The images of an object, from which it is drawn at any size."""

    side: float
    """Side of its square at scale 1, in pixels of the frame."""
    images: tuple[NDArray[np.float32], ...]
    """The object at several sizes, the largest first: float32 [s, s, 4], colours 0..255 and opacity 0..1."""
    turning: float
    """Factor of the rotation that a pose asks for: 1: the object turns; 0: it stays upright."""

    def image(self, scale: float) -> NDArray[np.float32]:
        """The smallest image that need not be enlarged at this scale, so that little detail is lost or aliased; the largest
        one where all are too small.
        """
        large = [image for image in self.images if len(image) >= scale * self.side]
        return large[-1] if large else self.images[0]


@dataclass(frozen=True)
class SceneAppearance:
    """What is drawn once for all frames of a scene."""

    ground: NDArray[np.float32]
    """The background with `MARGIN` pixels outside each side: float32 [size + 2 * MARGIN, size + 2 * MARGIN, 3], 0..255."""
    sprite: Sprite
    """The images of the object that moves."""
    noise: float
    """Standard deviation of the sensor noise, in levels of 0..255."""
    shake: int
    """The most pixels by which the camera moves from its position, along each axis; at most `MARGIN`."""


class Look(Protocol):
    """The interface of a look: it draws scenes and objects."""

    @property
    def settings(self) -> dict[str, str | int]:
        """What `motions.json` notes of the look; two looks that render different frames have different settings."""
        ...

    def appearance(self, size: int, random: np.random.RandomState) -> SceneAppearance:
        """Draw the background and the object of one scene, for frames with sides of `size` pixels."""
        ...


@dataclass(frozen=True)
class NoiseLook:
    """The look with discs and polygons over smoothed noise."""

    @property
    def settings(self) -> dict[str, str | int]:
        """Without a name of the look: `motions.json` has none in folders from the time when there was no other look."""
        return {"version": 1}

    def appearance(self, size: int, random: np.random.RandomState) -> SceneAppearance:
        shape = _drawn_shape(size, random)
        ground = _texture(size + 2 * MARGIN, random, smooth=random.uniform(1.5, 4.0), contrast=random.uniform(15, 35))
        sprite = Sprite(side=len(shape), images=(shape,), turning=1.0)
        return SceneAppearance(ground, sprite, noise=random.uniform(3, 8), shake=2)


def _texture(size: int, random: np.random.RandomState, *, smooth: float, contrast: float) -> NDArray[np.float32]:
    """Smoothed noise of a random colour, float32 [size, size, 3]."""
    grain = cv2.GaussianBlur(random.standard_normal((size, size, 3)).astype(np.float32), (0, 0), smooth)
    colour = random.uniform(50, 200, size=3)
    return np.asarray(grain / grain.std() * contrast + colour, np.float32)


def _drawn_shape(size: int, random: np.random.RandomState) -> NDArray[np.float32]:
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
class SceneContent:
    """The scene and the object of a video in the look `DRAWN`."""

    scene: Scene
    """The scene that is drawn as background."""
    drawn_object: DrawnObject
    """The object that moves over the scene."""
    mirrored: bool
    """Whether the object faces left; chosen at random, independently of its motion."""
    share: float
    """Side of the object's square at scale 1, as a fraction of the frame's side."""


@dataclass(frozen=True)
class DrawnLook:
    """The look with objects on recognisable scenes, drawn by code."""

    @property
    def settings(self) -> dict[str, str | int]:
        return {"look": "drawn", "version": 1}

    def choose(self, random: RandomSource) -> SceneContent:
        """Choose at random a scene, an object that belongs there, its orientation and its size."""
        scene = SCENES[random.randint(len(SCENES))]
        drawn_object = scene.objects[random.randint(len(scene.objects))]
        return SceneContent(scene, drawn_object, mirrored=random.uniform() < 0.5, share=random.uniform(0.34, 0.44))

    def appearance(self, size: int, random: np.random.RandomState) -> SceneAppearance:
        return self.draw(self.choose(random), size, random)

    def draw(self, content: SceneContent, size: int, random: np.random.RandomState) -> SceneAppearance:
        """Draw a scene and its object; colours, light and positions in the scene are random."""
        canvas = Canvas(size, margin=MARGIN)
        content.scene.draw(canvas, random)
        ground = canvas.image()[..., :3] * np.float32(random.uniform(0.88, 1.06))
        order = random.permutation(len(content.drawn_object.paints)).tolist()
        paint = _most_visible(ground, [content.drawn_object.paints[index] for index in order])
        images = _object_images(content, paint, _outline(ground), size)
        noise = random.uniform(1.5, 4)
        return SceneAppearance(ground, Sprite(content.share * size, images, turning=0.0), noise=noise, shake=1)


_LARGEST = 2.4
"""The scale of the largest image of an object; motions enlarge objects up to 2.3 times."""
_OUTLINE = 0.035
"""Width of the border around an object, as a fraction of its side."""
_CLEAR = 90.0
"""Least difference of an object's colour from the background with which it is clearly visible: the root mean square over
red, green and blue, in levels of 0..255."""


def _most_visible(ground: NDArray[np.float32], paints: list[Colour]) -> Colour:
    """The first colour that is far from most of the background; if there is none, the farthest."""
    sample = cv2.resize(ground, (12, 12), interpolation=cv2.INTER_AREA).reshape(-1, 1, 3)
    distance = np.sqrt(np.square(sample - np.asarray(paints, np.float32)).mean(axis=2))
    typical = np.quantile(distance, 0.25, axis=0)
    clear = np.flatnonzero(typical >= _CLEAR)
    return paints[int(clear[0]) if len(clear) else int(typical.argmax())]


def _outline(ground: NDArray[np.float32]) -> Colour:
    """The colour of the border: dark on light backgrounds, light on dark ones."""
    return (26, 26, 34) if ground.mean() > 105 else (246, 246, 240)


def _object_images(content: SceneContent, paint: Colour, outline: Colour, size: int) -> tuple[NDArray[np.float32], ...]:
    """The images of an object at full size, at a half, a quarter and an eighth."""
    side = 8 * math.ceil(content.share * size * _LARGEST / 8)
    room = side // 16
    canvas = Canvas(side - 2 * room, margin=room, paper=outline)
    content.drawn_object.draw(canvas, paint)
    canvas.outline(_OUTLINE)
    image = canvas.image()
    if content.mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
    smaller = (cv2.resize(image, (side // n, side // n), interpolation=cv2.INTER_AREA) for n in (2, 4, 8))
    return image, *(np.asarray(one, np.float32) for one in smaller)


NOISE = NoiseLook()
DRAWN = DrawnLook()
