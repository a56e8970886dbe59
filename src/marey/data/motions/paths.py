"""The paths of objects: how they move in videos of the first class of each pair of classes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pose:
    """The position, size and rotation of an object in one frame."""

    x: float
    """Centre, as a fraction of the frame's side from the left, 0..1."""
    y: float
    """Centre, as a fraction of the frame's side from the top, 0..1."""
    scale: float = 1.0
    """Size of the object, as a factor of the size at which it is drawn."""
    turn: float = 0.0
    """Rotation in radians, clockwise."""


Path2D = Callable[[float], list[Pose]]
"""Gives the poses of all objects at a time from 0 to 1, for the first class of a pair."""


def path_of(pair: int, random: np.random.RandomState) -> Path2D:
    """A random path of the objects of a scene, for the first class of the pair with this index."""
    return _PATHS[pair](random)


def _along(random: np.random.RandomState, angle: float) -> Path2D:
    """A straight line at constant speed, which passes the frame's middle at a distance of at most 0.32 of the frame's side.

    `angle` is the direction in radians, clockwise from right.
    """
    length, side, wobble = random.uniform(0.4, 0.6), random.uniform(-0.22, 0.22), random.uniform(-0.15, 0.15)
    middle = 0.5 + random.uniform(-0.08, 0.08)
    dx, dy = math.cos(angle + wobble), math.sin(angle + wobble)

    def at(t: float) -> list[Pose]:
        step = (t - 0.5) * length
        return [Pose(middle + step * dx - side * dy, middle + step * dy + side * dx)]

    return at


def _orbit(random: np.random.RandomState) -> Path2D:
    """Part of a circle, clockwise as seen on the screen (y points down), around a point near the middle."""
    start, arc, radius = random.uniform(0, 2 * math.pi), random.uniform(3.2, 4.8), random.uniform(0.24, 0.32)
    x, y = 0.5 + random.uniform(-0.06, 0.06, size=2)

    def at(t: float) -> list[Pose]:
        angle = start + arc * t
        return [Pose(x + radius * math.cos(angle), y + radius * math.sin(angle))]

    return at


def _approach(random: np.random.RandomState) -> Path2D:
    """The object comes nearer: it becomes 2.4 to 5.1 times as large."""
    x, y = 0.5 + random.uniform(-0.15, 0.15, size=2)
    small, large = random.uniform(0.45, 0.7), random.uniform(1.7, 2.3)
    return lambda t: [Pose(x, y, scale=small * (large / small) ** t)]


def _open(random: np.random.RandomState) -> Path2D:
    """Two objects move apart along a random axis."""
    angle, far = random.uniform(0, math.pi), random.uniform(0.3, 0.36)
    near = random.uniform(0.06, 0.1)
    x, y = 0.5 + random.uniform(-0.06, 0.06, size=2)

    def at(t: float) -> list[Pose]:
        gap = near + (far - near) * t
        dx, dy = gap * math.cos(angle), gap * math.sin(angle)
        return [Pose(x - dx, y - dy, 0.8, angle), Pose(x + dx, y + dy, 0.8, angle)]

    return at


def _accelerate(random: np.random.RandomState) -> Path2D:
    """A long straight line in a random direction, slow at first and fast at the end."""
    angle, length, power = random.uniform(0, 2 * math.pi), random.uniform(0.65, 0.8), random.uniform(2.4, 3.2)
    x, y = 0.5 + random.uniform(-0.06, 0.06, size=2)

    def at(t: float) -> list[Pose]:
        step = (t**power - 0.5) * length
        return [Pose(x + step * math.cos(angle), y + step * math.sin(angle))]

    return at


# In the order of `REVERSED_PAIRS`.
_PATHS: tuple[Callable[[np.random.RandomState], Path2D], ...] = (
    lambda random: _along(random, math.pi),
    lambda random: _along(random, -math.pi / 2),
    _orbit,
    _approach,
    _open,
    _accelerate,
)
