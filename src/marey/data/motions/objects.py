"""The objects of the look `DRAWN`: one function per object, which draws it in the unit square, facing right."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from marey.data.motions.canvas import Canvas, Colour, Point, mix

_WHITE, _DARK, _GLASS = (250, 250, 250), (34, 34, 42), (150, 214, 240)
_RED, _BLUE, _YELLOW, _GREEN = (222, 44, 48), (36, 92, 214), (250, 206, 40), (40, 158, 80)
_ORANGE, _PURPLE, _PINK = (244, 126, 30), (142, 62, 190), (240, 96, 160)
_BRIGHT = (_RED, _BLUE, _YELLOW, _GREEN, _ORANGE, _PURPLE, _PINK)


@dataclass(frozen=True)
class DrawnObject:
    """An object that moves over a scene."""

    name: str
    """Name of the object: "beach ball"."""
    draw: Callable[[Canvas, Colour], None]
    """The function that draws the object on a canvas with one main colour."""
    paints: tuple[Colour, ...]
    """The main colours that it may have."""


def _around(x: float, y: float, radius: float, angle: float) -> Point:
    """A point on a circle around (x, y); `angle` is in degrees, clockwise from the right."""
    return x + radius * math.cos(math.radians(angle)), y + radius * math.sin(math.radians(angle))


def _lighter(colour: Colour, share: float = 0.4) -> Colour:
    return mix(colour, (255, 255, 255), share)


def _darker(colour: Colour, share: float = 0.35) -> Colour:
    return mix(colour, (0, 0, 0), share)


def car(canvas: Canvas, paint: Colour) -> None:
    """A car: a cabin with two windows, two wheels, head and tail lamp."""
    canvas.polygon([(0.2, 0.48), (0.32, 0.25), (0.64, 0.25), (0.8, 0.48)], paint)
    canvas.polygon([(0.06, 0.5), (0.14, 0.45), (0.82, 0.45), (0.94, 0.53), (0.94, 0.7), (0.06, 0.7)], paint)
    canvas.polygon([(0.27, 0.46), (0.35, 0.31), (0.47, 0.31), (0.47, 0.46)], _GLASS)
    canvas.polygon([(0.52, 0.46), (0.52, 0.31), (0.62, 0.31), (0.72, 0.46)], _GLASS)
    canvas.box(0.06, 0.62, 0.94, 0.66, _darker(paint))
    canvas.disc(0.9, 0.56, 0.035, (255, 244, 170))
    canvas.box(0.06, 0.52, 0.11, 0.59, (190, 20, 30))
    for x in (0.27, 0.74):
        canvas.disc(x, 0.7, 0.125, _DARK)
        canvas.disc(x, 0.7, 0.06, (206, 210, 216))


def football(canvas: Canvas, paint: Colour) -> None:
    """A white ball with black patches."""
    canvas.disc(0.5, 0.5, 0.42, paint)
    canvas.polygon([_around(0.5, 0.5, 0.16, -90 + 72 * i) for i in range(5)], _DARK)
    for i in range(5):
        angle = -90 + 72 * i
        canvas.line([_around(0.5, 0.5, 0.15, angle), _around(0.5, 0.5, 0.3, angle)], 0.03, _DARK)
        edge = [_around(0.5, 0.5, 0.42, angle + spread) for spread in (-20, -10, 0, 10, 20)]
        canvas.polygon([_around(0.5, 0.5, 0.28, angle), *edge], _DARK)


def beach_ball(canvas: Canvas, paint: Colour) -> None:
    """A ball with six coloured sectors."""
    other = _BLUE if paint in (_RED, _ORANGE, _PINK) else _RED
    for number, colour in enumerate((paint, _WHITE, other, _WHITE, (250, 206, 40), _WHITE)):
        canvas.ellipse(0.5, 0.5, 0.42, 0.42, colour, start=60 * number - 20, end=60 * number + 40)
    canvas.disc(0.46, 0.46, 0.085, _WHITE)


def boat(canvas: Canvas, paint: Colour) -> None:
    """A boat with two white sails, a flag and a coloured hull."""
    canvas.line([(0.47, 0.7), (0.47, 0.1)], 0.04, (110, 74, 48))
    canvas.polygon([(0.51, 0.14), (0.51, 0.62), (0.88, 0.62)], _WHITE)
    canvas.polygon([(0.43, 0.22), (0.43, 0.62), (0.14, 0.62)], (240, 226, 196))
    canvas.polygon([(0.47, 0.06), (0.47, 0.15), (0.33, 0.105)], _RED)
    canvas.polygon([(0.06, 0.68), (0.94, 0.68), (0.78, 0.9), (0.2, 0.9)], paint)
    canvas.polygon([(0.06, 0.68), (0.94, 0.68), (0.91, 0.74), (0.1, 0.74)], _lighter(paint, 0.7))


def duck(canvas: Canvas, paint: Colour) -> None:
    """A toy duck: round body, head, beak, wing."""
    canvas.polygon([(0.06, 0.4), (0.2, 0.62), (0.4, 0.52)], paint)
    canvas.ellipse(0.44, 0.66, 0.36, 0.22, paint)
    canvas.disc(0.66, 0.34, 0.2, paint)
    canvas.polygon([(0.8, 0.3), (0.97, 0.38), (0.8, 0.44)], _ORANGE)
    canvas.ellipse(0.38, 0.64, 0.18, 0.11, _darker(paint, 0.2), turn=-12)
    canvas.disc(0.71, 0.29, 0.042, _DARK)


def balloon(canvas: Canvas, paint: Colour) -> None:
    """A toy balloon on a string."""
    canvas.line([(0.5, 0.68), (0.46, 0.76), (0.54, 0.86), (0.5, 0.95)], 0.03, (90, 90, 96))
    canvas.ellipse(0.5, 0.36, 0.28, 0.31, paint)
    canvas.polygon([(0.5, 0.63), (0.43, 0.73), (0.57, 0.73)], _darker(paint, 0.2))
    canvas.ellipse(0.4, 0.25, 0.06, 0.1, _lighter(paint, 0.7), turn=25)


def rocket(canvas: Canvas, paint: Colour) -> None:
    """A rocket: white body, coloured tip and fins, a round window, flames."""
    canvas.polygon([(0.38, 0.74), (0.5, 0.98), (0.62, 0.74)], _ORANGE)
    canvas.polygon([(0.43, 0.74), (0.5, 0.9), (0.57, 0.74)], (255, 232, 100))
    canvas.polygon([(0.36, 0.48), (0.16, 0.8), (0.4, 0.74)], paint)
    canvas.polygon([(0.64, 0.48), (0.84, 0.8), (0.6, 0.74)], paint)
    canvas.polygon([(0.34, 0.3), (0.66, 0.3), (0.68, 0.5), (0.6, 0.76), (0.4, 0.76), (0.32, 0.5)], (240, 240, 244))
    canvas.polygon([(0.5, 0.03), (0.6, 0.16), (0.66, 0.31), (0.34, 0.31), (0.4, 0.16)], paint)
    canvas.disc(0.5, 0.46, 0.1, _DARK)
    canvas.disc(0.5, 0.46, 0.075, _GLASS)


def fish(canvas: Canvas, paint: Colour) -> None:
    """A fish with a tail, fins, two white stripes and an eye."""
    canvas.polygon([(0.3, 0.5), (0.05, 0.26), (0.1, 0.5), (0.05, 0.74)], _darker(paint, 0.15))
    canvas.polygon([(0.4, 0.34), (0.52, 0.14), (0.68, 0.32)], _darker(paint, 0.15))
    canvas.polygon([(0.45, 0.66), (0.5, 0.84), (0.64, 0.68)], _darker(paint, 0.15))
    canvas.ellipse(0.58, 0.5, 0.36, 0.23, paint)
    canvas.polygon([(0.45, 0.3), (0.52, 0.28), (0.52, 0.72), (0.45, 0.71)], _WHITE)
    canvas.polygon([(0.66, 0.28), (0.72, 0.3), (0.72, 0.7), (0.66, 0.72)], _WHITE)
    canvas.disc(0.81, 0.44, 0.06, _WHITE)
    canvas.disc(0.82, 0.44, 0.035, _DARK)


def cat(canvas: Canvas, paint: Colour) -> None:
    """The face of a cat: pointed ears, eyes, nose, whiskers."""
    for side in (-1, 1):
        canvas.polygon([(0.5 + side * 0.1, 0.26), (0.5 + side * 0.34, 0.06), (0.5 + side * 0.4, 0.46)], paint)
        canvas.polygon(
            [(0.5 + side * 0.2, 0.25), (0.5 + side * 0.31, 0.15), (0.5 + side * 0.34, 0.34)], (246, 170, 176)
        )
    canvas.ellipse(0.5, 0.56, 0.41, 0.35, paint)
    canvas.ellipse(0.5, 0.7, 0.19, 0.15, _lighter(paint, 0.7))
    for side in (-1, 1):
        canvas.disc(0.5 + side * 0.18, 0.48, 0.085, (214, 240, 120))
        canvas.ellipse(0.5 + side * 0.18, 0.48, 0.035, 0.08, _DARK)
        for y, end in ((0.64, 0.58), (0.7, 0.72)):
            canvas.line([(0.5 + side * 0.16, y), (0.5 + side * 0.42, end)], 0.02, _DARK)
    canvas.polygon([(0.44, 0.6), (0.56, 0.6), (0.5, 0.68)], (226, 90, 110))
    canvas.line([(0.4, 0.72), (0.45, 0.765), (0.5, 0.72), (0.55, 0.765), (0.6, 0.72)], 0.025, _DARK)


def star(canvas: Canvas, paint: Colour) -> None:
    """A star with five points and a smile."""
    corners = [_around(0.5, 0.54, 0.46 if i % 2 == 0 else 0.21, -90 + 36 * i) for i in range(10)]
    canvas.polygon(corners, paint)
    for x in (0.42, 0.58):
        canvas.disc(x, 0.5, 0.038, _DARK)
    canvas.line([(0.42, 0.6), (0.47, 0.64), (0.53, 0.64), (0.58, 0.6)], 0.03, _DARK)


def apple(canvas: Canvas, paint: Colour) -> None:
    """An apple with a stalk, a leaf and a highlight."""
    canvas.ellipse(0.37, 0.56, 0.28, 0.32, paint)
    canvas.ellipse(0.63, 0.56, 0.28, 0.32, paint)
    canvas.ellipse(0.5, 0.3, 0.09, 0.05, _darker(paint, 0.4))
    canvas.line([(0.5, 0.3), (0.52, 0.2), (0.56, 0.12)], 0.05, (96, 62, 34))
    canvas.ellipse(0.69, 0.15, 0.15, 0.07, (70, 164, 62), turn=-20)
    canvas.ellipse(0.28, 0.44, 0.06, 0.11, _lighter(paint, 0.65), turn=20)


def butterfly(canvas: Canvas, paint: Colour) -> None:
    """A butterfly: four spotted wings, a dark body, feelers."""
    spot = _lighter(paint, 0.75)
    for side in (-1, 1):
        canvas.ellipse(0.5 + side * 0.24, 0.36, 0.24, 0.17, paint, turn=-side * 35)
        canvas.ellipse(0.5 + side * 0.19, 0.66, 0.19, 0.14, _darker(paint, 0.2), turn=side * 40)
        canvas.disc(0.5 + side * 0.28, 0.32, 0.075, spot)
        canvas.disc(0.5 + side * 0.2, 0.68, 0.055, spot)
        canvas.line([(0.5, 0.3), (0.5 + side * 0.06, 0.16), (0.5 + side * 0.13, 0.1)], 0.025, _DARK)
    canvas.ellipse(0.5, 0.52, 0.05, 0.27, _DARK)


def plane(canvas: Canvas, paint: Colour) -> None:
    """An aeroplane: fuselage with windows, tail, wing."""
    canvas.polygon([(0.06, 0.22), (0.19, 0.22), (0.36, 0.46), (0.1, 0.48)], paint)
    canvas.ellipse(0.52, 0.52, 0.43, 0.13, (238, 240, 244))
    canvas.polygon([(0.08, 0.46), (0.3, 0.46), (0.3, 0.58), (0.14, 0.56)], (238, 240, 244))
    for number in range(5):
        canvas.disc(0.36 + 0.09 * number, 0.48, 0.026, (40, 80, 140))
    canvas.polygon([(0.83, 0.43), (0.9, 0.47), (0.93, 0.51), (0.82, 0.51)], (40, 80, 140))
    canvas.polygon([(0.42, 0.56), (0.64, 0.56), (0.4, 0.84), (0.28, 0.84)], paint)
    canvas.polygon([(0.08, 0.5), (0.22, 0.5), (0.12, 0.62), (0.05, 0.62)], _darker(paint, 0.2))


def air_balloon(canvas: Canvas, paint: Colour) -> None:
    """A striped hot-air balloon with its basket."""
    for x in (0.4, 0.6):
        canvas.line([(0.5 + (x - 0.5) * 2.2, 0.6), (x, 0.82)], 0.022, (90, 66, 46))
    canvas.box(0.38, 0.8, 0.62, 0.95, (150, 96, 50))
    canvas.box(0.38, 0.8, 0.62, 0.84, (110, 68, 36))
    other = _lighter(paint, 0.8)
    canvas.polygon([(0.18, 0.48), (0.82, 0.48), (0.6, 0.72), (0.4, 0.72)], paint)
    canvas.disc(0.5, 0.38, 0.34, paint)
    canvas.polygon([(0.3, 0.6), (0.36, 0.6), (0.44, 0.72), (0.42, 0.72)], other)
    canvas.polygon([(0.7, 0.6), (0.64, 0.6), (0.56, 0.72), (0.58, 0.72)], other)
    canvas.ellipse(0.5, 0.38, 0.24, 0.335, other)
    canvas.polygon([(0.27, 0.48), (0.73, 0.48), (0.58, 0.72), (0.42, 0.72)], other)
    canvas.ellipse(0.5, 0.38, 0.11, 0.335, paint)
    canvas.polygon([(0.4, 0.5), (0.6, 0.5), (0.54, 0.72), (0.46, 0.72)], paint)


def ufo(canvas: Canvas, paint: Colour) -> None:
    """A flying saucer with a glass dome and lamps."""
    canvas.ellipse(0.5, 0.46, 0.22, 0.24, _GLASS)
    canvas.disc(0.5, 0.4, 0.085, (90, 200, 90))
    for x in (0.465, 0.535):
        canvas.disc(x, 0.385, 0.022, _DARK)
    canvas.ellipse(0.5, 0.58, 0.45, 0.16, paint)
    canvas.ellipse(0.5, 0.535, 0.33, 0.075, _lighter(paint, 0.5))
    for x, y in ((0.17, 0.6), (0.34, 0.655), (0.5, 0.675), (0.66, 0.655), (0.83, 0.6)):
        canvas.disc(x, y, 0.04, (255, 230, 80))


def snowman(canvas: Canvas, paint: Colour) -> None:
    """A snowman: two balls of snow, hat, carrot, scarf, buttons."""
    canvas.disc(0.5, 0.7, 0.26, (246, 248, 252))
    canvas.disc(0.5, 0.36, 0.19, (246, 248, 252))
    canvas.box(0.28, 0.18, 0.72, 0.23, _DARK)
    canvas.box(0.36, 0.03, 0.64, 0.2, _DARK)
    canvas.box(0.36, 0.14, 0.64, 0.18, paint)
    canvas.box(0.33, 0.49, 0.67, 0.56, paint)
    canvas.box(0.57, 0.5, 0.66, 0.72, paint)
    for x in (0.44, 0.57):
        canvas.disc(x, 0.32, 0.03, _DARK)
    canvas.polygon([(0.51, 0.36), (0.76, 0.41), (0.51, 0.43)], _ORANGE)
    for y in (0.68, 0.8):
        canvas.disc(0.47, y, 0.032, _DARK)


def submarine(canvas: Canvas, paint: Colour) -> None:
    """A submarine: hull with portholes, tower, periscope, propeller."""
    canvas.line([(0.52, 0.3), (0.52, 0.14), (0.64, 0.14)], 0.05, _darker(paint, 0.3))
    canvas.polygon([(0.36, 0.46), (0.4, 0.28), (0.62, 0.28), (0.66, 0.46)], _darker(paint, 0.15))
    canvas.ellipse(0.09, 0.5, 0.04, 0.11, (120, 124, 130))
    canvas.ellipse(0.09, 0.72, 0.04, 0.11, (120, 124, 130))
    canvas.polygon([(0.08, 0.57), (0.3, 0.48), (0.3, 0.74), (0.08, 0.65)], _darker(paint, 0.15))
    canvas.ellipse(0.54, 0.61, 0.4, 0.19, paint)
    for x in (0.36, 0.54, 0.72):
        canvas.disc(x, 0.58, 0.068, _DARK)
        canvas.disc(x, 0.58, 0.046, _GLASS)


def mug(canvas: Canvas, paint: Colour) -> None:
    """A mug with a handle, and steam above it."""
    canvas.ellipse(0.7, 0.62, 0.2, 0.19, paint)
    canvas.ellipse(0.7, 0.62, 0.11, 0.1, _DARK)
    canvas.polygon([(0.14, 0.36), (0.68, 0.36), (0.64, 0.92), (0.18, 0.92)], paint)
    canvas.ellipse(0.41, 0.37, 0.27, 0.07, _lighter(paint, 0.5))
    canvas.ellipse(0.41, 0.38, 0.22, 0.045, (84, 50, 30))
    canvas.box(0.16, 0.58, 0.66, 0.68, _lighter(paint, 0.75))
    for x in (0.32, 0.5):
        canvas.line([(x, 0.27), (x - 0.04, 0.2), (x + 0.04, 0.13), (x, 0.06)], 0.04, (236, 236, 240))


CAR = DrawnObject("car", car, _BRIGHT)
FOOTBALL = DrawnObject("football", football, (_WHITE,))
BEACH_BALL = DrawnObject("beach ball", beach_ball, (_RED, _BLUE, _GREEN, _PURPLE))
BOAT = DrawnObject("boat", boat, (_RED, _YELLOW, _PURPLE, _DARK))
DUCK = DrawnObject("duck", duck, (_YELLOW, _WHITE))
BALLOON = DrawnObject("balloon", balloon, _BRIGHT)
ROCKET = DrawnObject("rocket", rocket, (_RED, _ORANGE, _GREEN, _YELLOW))
FISH = DrawnObject("fish", fish, (_ORANGE, _RED, _YELLOW, _PINK))
CAT = DrawnObject("cat", cat, (_ORANGE, (120, 120, 130), (70, 62, 66), (240, 226, 204)))
STAR = DrawnObject("star", star, (_YELLOW, _ORANGE, _PINK, (120, 226, 120)))
APPLE = DrawnObject("apple", apple, (_RED, (150, 200, 50), _YELLOW))
BUTTERFLY = DrawnObject("butterfly", butterfly, (_ORANGE, _BLUE, _PURPLE, _YELLOW, _PINK))
PLANE = DrawnObject("plane", plane, (_RED, _BLUE, _ORANGE, _GREEN))
AIR_BALLOON = DrawnObject("hot-air balloon", air_balloon, _BRIGHT)
UFO = DrawnObject("flying saucer", ufo, ((170, 176, 190), (190, 150, 220), (120, 190, 170)))
SNOWMAN = DrawnObject("snowman", snowman, (_RED, _BLUE, _GREEN))
SUBMARINE = DrawnObject("submarine", submarine, (_YELLOW, _RED, _ORANGE))
MUG = DrawnObject("mug", mug, (_RED, _BLUE, _GREEN, _PURPLE, _WHITE))

OBJECTS = (
    CAR, FOOTBALL, BEACH_BALL, BOAT, DUCK, BALLOON, ROCKET, FISH, CAT, STAR, APPLE, BUTTERFLY, PLANE, AIR_BALLOON, UFO,
    SNOWMAN, SUBMARINE, MUG,
)  # fmt: skip
"""All objects of the look `DRAWN`."""
