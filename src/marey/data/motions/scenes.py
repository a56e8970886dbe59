"""The backgrounds of the look `DRAWN`: one function for each, with random colours, positions and light."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from marey.base.random import RandomSource
from marey.data.motions import objects
from marey.data.motions.canvas import Canvas, Colour, Point, mix, vary
from marey.data.motions.objects import DrawnObject

_LEFT, _RIGHT, _BOTTOM = -0.4, 1.4, 1.4
"""Coordinates far enough outside the frame to cover its margin at every size."""


@dataclass(frozen=True)
class Scene:
    """A background, and the objects that may move over it."""

    name: str
    """Name of the scene: "meadow"."""
    draw: Callable[[Canvas, RandomSource], None]
    """The function that draws the scene on a canvas, with random variations."""
    objects: tuple[DrawnObject, ...]
    """The objects that may move over it, of which one is chosen at random."""


@dataclass(frozen=True)
class _Sky:
    """The colours of sky and light at a time of day."""

    top: Colour
    """The sky at the top."""
    horizon: Colour
    """The sky at the horizon."""
    sun: Colour
    """The colour of the sun."""
    glow: Colour
    """The light on the land."""
    strength: float
    """How much of `glow` the colours of the land take, 0 to 1."""

    def on(self, colour: Colour) -> Colour:
        """A colour of the land in this light."""
        return mix(colour, self.glow, self.strength)


_HOURS = (
    _Sky((64, 132, 224), (186, 222, 248), (255, 236, 120), (255, 255, 240), 0.05),
    _Sky((110, 160, 226), (252, 228, 206), (255, 244, 190), (255, 214, 170), 0.15),
    _Sky((92, 84, 160), (252, 164, 96), (255, 214, 110), (190, 90, 60), 0.25),
)
"""Day, morning, evening."""


def _open_sky(canvas: Canvas, random: RandomSource, horizon: float, *, sun: bool = True) -> _Sky:
    """The sky down to the horizon, with a sun and one or two clouds."""
    sky = _HOURS[random.randint(len(_HOURS))]
    canvas.gradient(-0.4, horizon, vary(sky.top, random), vary(sky.horizon, random, 6))
    side = random.randint(2)
    if sun:
        x, y, radius = 0.18 + 0.62 * side + random.uniform(-0.06, 0.06), random.uniform(0.12, 0.2), 0.085
        canvas.disc(x, y, 1.35 * radius, mix(sky.sun, sky.top, 0.55))
        canvas.disc(x, y, radius, sky.sun)
    _cloud(canvas, 0.75 - 0.5 * side + random.uniform(-0.1, 0.1), random.uniform(0.1, 0.22), 0.07, sky)
    return sky


def _cloud(canvas: Canvas, x: float, y: float, size: float, sky: _Sky) -> None:
    colour = mix((255, 255, 255), sky.horizon, 0.2)
    canvas.disc(x - 1.1 * size, y + 0.2 * size, 0.6 * size, colour)
    canvas.disc(x, y - 0.1 * size, 0.85 * size, colour)
    canvas.disc(x + 1.1 * size, y + 0.2 * size, 0.65 * size, colour)
    canvas.box(x - 1.1 * size, y + 0.1 * size, x + 1.1 * size, y + 0.8 * size, colour)


def _waving(y: float, height: float, waves: float, phase: float) -> list[Point]:
    """The corners of land whose upper edge is a sine around `y`, with `waves` periods in the frame's width."""
    steps = [_LEFT + (_RIGHT - _LEFT) * i / 40 for i in range(41)]
    edge = [(x, y + height * math.sin(2 * math.pi * (waves * x + phase))) for x in steps]
    return [*edge, (_RIGHT, _BOTTOM), (_LEFT, _BOTTOM)]


def _tree(canvas: Canvas, x: float, foot: float, size: float, crown: Colour) -> None:
    canvas.box(x - 0.09 * size, foot - 0.5 * size, x + 0.09 * size, foot, (104, 70, 42))
    for dx, dy, radius in ((-0.26, -0.62, 0.28), (0.26, -0.62, 0.28), (0, -0.88, 0.33)):
        canvas.disc(x + dx * size, foot + dy * size, radius * size, crown)
    canvas.disc(x - 0.1 * size, foot - 0.95 * size, 0.14 * size, mix(crown, (255, 255, 200), 0.2))


def _fir(canvas: Canvas, x: float, foot: float, size: float, colour: Colour) -> None:
    canvas.box(x - 0.05 * size, foot - 0.2 * size, x + 0.05 * size, foot, (84, 58, 40))
    for low, high, wide in ((0.15, 0.6, 0.34), (0.4, 0.8, 0.27), (0.62, 1.0, 0.19)):
        corners = [(x - wide * size, foot - low * size), (x, foot - high * size), (x + wide * size, foot - low * size)]
        canvas.polygon(corners, colour)


def meadow(canvas: Canvas, random: RandomSource) -> None:
    """Green hills, a tree, flowers, sun."""
    sky = _open_sky(canvas, random, 0.75)
    canvas.polygon(_waving(0.56, 0.07, random.uniform(0.8, 1.1), random.uniform(0, 1)), sky.on((92, 158, 92)))
    canvas.polygon(_waving(0.68, 0.05, random.uniform(0.7, 1.0), random.uniform(0, 1)), sky.on((112, 184, 76)))
    side = random.randint(2)
    _tree(canvas, 0.14 + 0.72 * side + random.uniform(-0.05, 0.05), 0.74, 0.34, sky.on(vary((48, 120, 52), random)))
    petals = ((255, 255, 255), (250, 90, 110), (255, 214, 60), (214, 120, 230))
    for _ in range(11):
        x, y, petal = random.uniform(-0.05, 1.05), random.uniform(0.8, 1.02), petals[random.randint(4)]
        canvas.line([(x, y), (x, y + 0.05)], 0.012, (60, 130, 50))
        for dx, dy in ((-0.016, 0), (0.016, 0), (0, -0.016), (0, 0.016)):
            canvas.disc(x + dx, y + dy, 0.014, petal)
        canvas.disc(x, y, 0.012, (250, 190, 40))


def beach(canvas: Canvas, random: RandomSource) -> None:
    """Sea to the horizon with waves, sand, a palm tree, a parasol."""
    horizon = random.uniform(0.36, 0.44)
    sky = _open_sky(canvas, random, horizon)
    near = sky.on((40, 160, 190))
    canvas.gradient(horizon, 0.95, sky.on((24, 84, 160)), near)
    for row in range(4):
        y = horizon + 0.07 + 0.085 * row
        for _ in range(3):
            x, wide = random.uniform(0, 1), 0.05 + 0.015 * row
            canvas.line([(x - wide, y), (x - wide / 2, y - 0.014), (x, y), (x + wide / 2, y - 0.014), (x + wide, y)],
                        0.012, mix(near, (255, 255, 255), 0.6))  # fmt: skip
    phase = random.uniform(0, 1)
    canvas.polygon(_waving(0.79, 0.025, 1.2, phase), (240, 250, 250))
    canvas.polygon(_waving(0.815, 0.025, 1.2, phase), sky.on((240, 212, 148)))
    side = random.randint(2)
    _palm(canvas, 0.13 + 0.74 * side, 0.93, 1 - 2 * side, sky)
    _parasol(canvas, 0.78 - 0.56 * side + random.uniform(-0.06, 0.06), 0.98, vary((226, 60, 60), random))


def _palm(canvas: Canvas, x: float, foot: float, lean: int, sky: _Sky) -> None:
    top = (x + 0.09 * lean, foot - 0.47)
    canvas.line([(x, foot), (x + 0.02 * lean, foot - 0.2), (x + 0.05 * lean, foot - 0.35), top], 0.04,
                sky.on((132, 92, 56)))  # fmt: skip
    green = sky.on((44, 132, 60))
    for angle in (-160, -120, -70, -25, 15, 165):
        dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        canvas.ellipse(top[0] + 0.1 * dx, top[1] + 0.1 * dy + 0.02, 0.11, 0.028, green, turn=angle)
    canvas.disc(top[0] - 0.015, top[1] + 0.02, 0.022, (96, 60, 36))
    canvas.disc(top[0] + 0.02, top[1] + 0.025, 0.022, (96, 60, 36))


def _parasol(canvas: Canvas, x: float, foot: float, colour: Colour) -> None:
    canvas.line([(x, foot), (x, foot - 0.2)], 0.014, (240, 240, 240))
    for start, shade in zip(range(180, 360, 36), (colour, (250, 250, 250)) * 3, strict=False):
        canvas.ellipse(x, foot - 0.14, 0.13, 0.11, shade, start=start, end=start + 36)


def city(canvas: Canvas, random: RandomSource) -> None:
    """Houses at night, lit windows, moon and stars."""
    canvas.gradient(-0.4, 1.0, vary((10, 14, 44), random, 8), vary((74, 52, 112), random, 12))
    for _ in range(14):
        canvas.disc(random.uniform(0, 1), random.uniform(0, 0.4), 0.007, (236, 236, 220))
    x, y = random.uniform(0.15, 0.85), random.uniform(0.12, 0.2)
    canvas.disc(x, y, 0.09, (250, 244, 208))
    canvas.disc(x - 0.03, y + 0.02, 0.018, (222, 214, 176))
    canvas.disc(x + 0.035, y - 0.02, 0.014, (222, 214, 176))
    left = _LEFT
    while left < _RIGHT:
        wide = random.uniform(0.1, 0.2)
        canvas.box(left, random.uniform(0.42, 0.62), left + wide, _BOTTOM, vary((44, 40, 84), random, 6))
        left += wide
    left = -0.26 + random.uniform(-0.06, 0)
    while left < 1.2:
        wide = (0.19, 0.24, 0.29)[random.randint(3)]
        _house(canvas, random, left, random.uniform(0.46, 0.7), wide)
        left += wide + random.uniform(0.0, 0.04)
    canvas.box(_LEFT, 0.97, _RIGHT, _BOTTOM, (28, 26, 40))


def _house(canvas: Canvas, random: RandomSource, left: float, top: float, wide: float) -> None:
    """A block of flats with windows, most of them lit."""
    canvas.box(left, top, left + wide, _BOTTOM, vary((24, 24, 50), random, 6))
    columns = round((wide - 0.02) / 0.055)
    for row in range(int((0.95 - top) / 0.07)):
        lit = random.uniform(0, 1, size=columns) < 0.62
        for column in range(columns):
            x, y = left + 0.02 + 0.055 * column, top + 0.03 + 0.07 * row
            canvas.box(x, y, x + 0.034, y + 0.042, (255, 214, 104) if lit[column] else (52, 54, 88))


def road(canvas: Canvas, random: RandomSource) -> None:
    """A road to the horizon with lane markings, fields and trees on both sides."""
    horizon, far = random.uniform(0.38, 0.46), 0.5 + random.uniform(-0.08, 0.08)
    sky = _open_sky(canvas, random, horizon + 0.02)
    canvas.polygon(
        _waving(horizon - 0.02, 0.03, random.uniform(0.8, 1.3), random.uniform(0, 1)), sky.on((96, 140, 120))
    )
    canvas.gradient(horizon, _BOTTOM, sky.on((122, 176, 84)), sky.on(vary((84, 150, 60), random)))

    def at(side: float, depth: float) -> Point:
        """A point on the ground: `side` is -1..1 over the road's width, `depth` 0 at the horizon, 1 at the lower edge."""
        return far + (0.5 - far) * depth + side * (0.02 + 0.46 * depth), horizon + (1 - horizon) * depth

    canvas.polygon([at(-1, 0), at(1, 0), at(1, 1.7), at(-1, 1.7)], vary((84, 86, 94), random, 8))
    for side in (-0.9, 0.9):
        canvas.polygon([at(side - 0.035, 0), at(side + 0.035, 0), at(side + 0.035, 1.7), at(side - 0.035, 1.7)],
                       (244, 244, 240))  # fmt: skip
    start = random.uniform(0.6, 1.0)
    for number in range(6):
        near, end = 1.6 * start * 0.62**number, 1.6 * start * 0.62**number * 0.78
        canvas.polygon([at(-0.05, end), at(0.05, end), at(0.05, near), at(-0.05, near)], (250, 214, 70))
    for side, depth in ((-1.5, 0.12), (1.6, 0.12), (-1.45, 0.3), (1.5, 0.3)):
        x, y = at(side, depth)
        _tree(canvas, x, y, 0.06 + 0.5 * depth, sky.on(vary((44, 112, 56), random)))


def mountains(canvas: Canvas, random: RandomSource) -> None:
    """Snowy peaks, firs, snow on the ground."""
    sky = _open_sky(canvas, random, 0.8)
    grey = sky.on(vary((104, 116, 142), random))
    peaks = ((0.1, 0.4, 0.3), (0.88, 0.36, 0.32), (0.48, 0.25, 0.42))
    for x, y, wide in peaks:
        shifted, top = x + random.uniform(-0.06, 0.06), y + random.uniform(-0.04, 0.04)
        _peak(canvas, shifted, top, wide, grey, sky)
    canvas.polygon(_waving(0.8, 0.03, random.uniform(0.7, 1.2), random.uniform(0, 1)), sky.on((236, 242, 250)))
    for number in range(6):
        x, foot = -0.02 + 0.2 * number + random.uniform(-0.05, 0.05), random.uniform(0.84, 0.92)
        _fir(canvas, x, foot, random.uniform(0.2, 0.3), sky.on((34, 88, 68)))


def _peak(canvas: Canvas, x: float, top: float, wide: float, grey: Colour, sky: _Sky) -> None:
    """A mountain with a jagged cap of snow, darker on its right."""
    slope = wide / (0.95 - top)
    canvas.polygon([(x, top), (x - wide, 0.95), (x + wide, 0.95)], grey)
    canvas.polygon([(x, top), (x + 0.15 * wide, 0.95), (x + wide, 0.95)], mix(grey, (40, 46, 70), 0.35))
    down = 0.17
    edge = [
        (x - slope * down, top + down),
        (x - slope * 0.5 * down, top + 0.75 * down),
        (x - 0.1 * slope * down, top + down),
    ]
    edge += [(x + slope * 0.35 * down, top + 0.7 * down), (x + slope * down, top + down)]
    canvas.polygon([(x, top), *edge], sky.on((250, 252, 255)))


def desert(canvas: Canvas, random: RandomSource) -> None:
    """Dunes and cactuses."""
    sky = _open_sky(canvas, random, 0.7)
    sand = vary((238, 190, 112), random, 10)
    canvas.polygon(
        _waving(0.58, 0.05, random.uniform(0.8, 1.2), random.uniform(0, 1)), sky.on(mix(sand, (150, 90, 50), 0.3))
    )
    canvas.polygon(_waving(0.7, 0.05, random.uniform(0.6, 1.0), random.uniform(0, 1)), sky.on(sand))
    canvas.polygon(
        _waving(0.9, 0.03, random.uniform(0.6, 1.0), random.uniform(0, 1)), sky.on(mix(sand, (255, 240, 200), 0.35))
    )
    side = random.randint(2)
    green = sky.on(vary((52, 128, 66), random))
    _cactus(canvas, 0.14 + 0.72 * side + random.uniform(-0.04, 0.04), 0.93, 0.42, green)
    _cactus(canvas, 0.74 - 0.5 * side + random.uniform(-0.06, 0.06), 0.78, 0.24, green)


def _cactus(canvas: Canvas, x: float, foot: float, high: float, green: Colour) -> None:
    thick = 0.17 * high
    canvas.line([(x, foot), (x, foot - high)], 1.3 * thick, green)
    for side, low, up in ((-1, 0.4, 0.75), (1, 0.3, 0.6)):
        arm = x + side * 0.28 * high
        canvas.line([(x, foot - low * high), (arm, foot - low * high), (arm, foot - up * high)], 0.85 * thick, green)
    canvas.line([(x, foot - 0.04 * high), (x, foot - high)], 0.25 * thick, mix(green, (255, 255, 220), 0.3))


def underwater(canvas: Canvas, random: RandomSource) -> None:
    """Beams of light, sand, weed, coral, bubbles."""
    top, deep = vary((84, 206, 224), random), vary((8, 62, 128), random)
    canvas.gradient(-0.2, 1.0, top, deep)
    for number in range(3):
        x = 0.1 + 0.35 * number + random.uniform(-0.08, 0.08)
        for step in range(8):
            y0, y1 = -0.4 + 0.14 * step, -0.26 + 0.14 * step
            colour = mix(mix(top, deep, max(y0 + 0.27, 0) / 1.2), (255, 255, 255), 0.2 * (1 - step / 8))
            left, wide = x - 0.12 * (y0 + 0.4), 0.07 + 0.06 * (y0 + 0.4)
            canvas.polygon([(left, y0), (left + wide, y0), (left + wide - 0.01, y1), (left - 0.017, y1)], colour)
    canvas.polygon(_waving(0.87, 0.03, random.uniform(0.8, 1.3), random.uniform(0, 1)), vary((214, 196, 140), random))
    for number in range(5):
        x = 0.04 + 0.23 * number + random.uniform(-0.06, 0.06)
        high, phase = random.uniform(0.2, 0.36), random.uniform(0, 1)
        weed = [(x + 0.025 * math.sin(2 * math.pi * (i / 5 + phase)), 0.96 - high * i / 9) for i in range(10)]
        canvas.line(weed, 0.035, ((28, 128, 72), (60, 150, 60))[number % 2])
    _coral(canvas, random.uniform(0.2, 0.8), 0.97, vary((240, 110, 120), random))
    for _ in range(7):
        x, y, radius = random.uniform(0.05, 0.95), random.uniform(0.05, 0.75), random.uniform(0.014, 0.026)
        canvas.disc(x, y, radius, (214, 244, 250))
        canvas.disc(x, y, 0.62 * radius, mix(top, deep, 0.25 + 0.5 * y))


def _coral(canvas: Canvas, x: float, foot: float, colour: Colour) -> None:
    canvas.line([(x, foot), (x, foot - 0.17)], 0.035, colour)
    canvas.line([(x, foot - 0.05), (x - 0.07, foot - 0.1), (x - 0.08, foot - 0.17)], 0.028, colour)
    canvas.line([(x, foot - 0.07), (x + 0.06, foot - 0.12), (x + 0.08, foot - 0.19)], 0.028, colour)


def room(canvas: Canvas, random: RandomSource) -> None:
    """A papered wall with a window, a table with a lamp, floor boards."""
    papers: Sequence[Colour] = ((226, 196, 160), (170, 200, 186), (196, 184, 214), (230, 180, 170))
    wall = vary(papers[random.randint(len(papers))], random)
    canvas.box(_LEFT, -0.4, _RIGHT, 0.74, wall)
    for number in range(-5, 18):
        canvas.box(0.09 * number, -0.4, 0.09 * number + 0.03, 0.74, mix(wall, (255, 255, 255), 0.22))
    floor = vary((150, 104, 66), random)
    canvas.box(_LEFT, 0.74, _RIGHT, _BOTTOM, floor)
    for number in range(-6, 16):
        canvas.line([(0.5 + (number / 10 - 0.5) * 0.7, 0.76), (0.5 + (number / 10 - 0.5) * 1.6, _BOTTOM)], 0.008,
                    mix(floor, (60, 36, 20), 0.5))  # fmt: skip
    canvas.box(_LEFT, 0.71, _RIGHT, 0.76, (244, 240, 232))
    side = random.randint(2)
    _window(canvas, random, 0.27 + 0.46 * side + random.uniform(-0.04, 0.04))
    _table(canvas, 0.78 - 0.56 * side + random.uniform(-0.03, 0.03), vary((120, 72, 44), random))


def _window(canvas: Canvas, random: RandomSource, x: float) -> None:
    left, right, top, bottom = x - 0.17, x + 0.17, 0.1, 0.52
    sky, curtain = _HOURS[random.randint(len(_HOURS))], vary((190, 66, 74), random, 24)
    canvas.box(left - 0.03, top - 0.03, right + 0.03, bottom + 0.03, (250, 248, 242))
    for step in range(14):
        y = top + (bottom - top) * step / 14
        canvas.box(left, y, right, y + (bottom - top) / 14 + 0.004, mix(sky.top, sky.horizon, step / 13))
    canvas.box(left, bottom - 0.1, right, bottom, sky.on((96, 164, 84)))
    canvas.box(x - 0.012, top, x + 0.012, bottom, (250, 248, 242))
    canvas.box(left, 0.3, right, 0.324, (250, 248, 242))
    canvas.box(left - 0.06, bottom + 0.02, right + 0.06, bottom + 0.055, (230, 226, 216))
    for side in (-1, 1):
        edge = x + side * 0.25
        canvas.polygon([(edge, 0.05), (x + side * 0.07, 0.05), (x + side * 0.15, 0.3), (edge, 0.58)], curtain)
    canvas.line([(x - 0.27, 0.05), (x + 0.27, 0.05)], 0.02, (90, 60, 40))


def _table(canvas: Canvas, x: float, wood: Colour) -> None:
    dark = mix(wood, (0, 0, 0), 0.25)
    for leg in (-0.15, 0.15):
        canvas.box(x + leg - 0.018, 0.66, x + leg + 0.018, 0.93, dark)
    canvas.box(x - 0.2, 0.62, x + 0.2, 0.67, wood)
    canvas.box(x - 0.012, 0.48, x + 0.012, 0.6, (210, 180, 90))
    canvas.ellipse(x, 0.615, 0.05, 0.018, (210, 180, 90))
    canvas.polygon([(x - 0.09, 0.5), (x - 0.05, 0.36), (x + 0.05, 0.36), (x + 0.09, 0.5)], (255, 236, 160))


def space(canvas: Canvas, random: RandomSource) -> None:
    """Stars, a planet with a ring, and a globe."""
    canvas.gradient(-0.4, _BOTTOM, vary((8, 8, 26), random, 6), vary((30, 16, 58), random, 10))
    for _ in range(60):
        x, y = random.uniform(-0.1, 1.1, size=2)
        radius, shade = random.uniform(0.004, 0.01), random.randint(150, 256)
        canvas.disc(x, y, radius, (shade, shade, 255))
    side = random.randint(2)
    x, y = 0.24 + 0.52 * side + random.uniform(-0.05, 0.05), random.uniform(0.2, 0.28)
    body, radius = vary((226, 176, 110), random, 24), random.uniform(0.11, 0.14)
    _ring(canvas, x, y, radius, body, half=180)
    canvas.disc(x, y, radius, body)
    canvas.ellipse(
        x + 0.1 * radius, y + 0.3 * radius, 0.8 * radius, 0.14 * radius, mix(body, (110, 60, 40), 0.3), turn=-18
    )
    canvas.ellipse(x, y - 0.45 * radius, 0.75 * radius, 0.12 * radius, mix(body, (110, 60, 40), 0.3), turn=-18)
    _ring(canvas, x, y, radius, body, half=0)
    _globe(
        canvas, 0.8 - 0.62 * side + random.uniform(-0.05, 0.05), random.uniform(0.78, 0.88), random.uniform(0.16, 0.22)
    )


def _ring(canvas: Canvas, x: float, y: float, radius: float, body: Colour, *, half: int) -> None:
    """One half of a planet's ring: with `half` 0 the front, with 180 the back."""
    tilt = math.radians(-18)
    points = []
    for step in range(13):
        angle = math.radians(half + 15 * step)
        across, down = 1.8 * radius * math.cos(angle), 0.5 * radius * math.sin(angle)
        turned = across * math.cos(tilt) - down * math.sin(tilt), across * math.sin(tilt) + down * math.cos(tilt)
        points.append((x + turned[0], y + turned[1]))
    canvas.line(points, 0.28 * radius, mix(body, (255, 255, 255), 0.5))


def _globe(canvas: Canvas, x: float, y: float, radius: float) -> None:
    """A blue planet with land and a cap of ice."""
    canvas.disc(x, y, 1.08 * radius, (70, 120, 190))
    canvas.disc(x, y, radius, (44, 110, 206))
    canvas.ellipse(x - 0.35 * radius, y - 0.25 * radius, 0.4 * radius, 0.26 * radius, (82, 170, 84), turn=30)
    canvas.ellipse(x + 0.35 * radius, y + 0.3 * radius, 0.42 * radius, 0.3 * radius, (82, 170, 84), turn=-40)
    canvas.ellipse(x - 0.3 * radius, y + 0.5 * radius, 0.2 * radius, 0.13 * radius, (82, 170, 84))
    canvas.ellipse(x, y - 0.86 * radius, 0.45 * radius, 0.12 * radius, (240, 246, 250))


def pitch(canvas: Canvas, random: RandomSource) -> None:
    """A football pitch: stands full of people, a goal, mown stripes, white lines."""
    canvas.box(_LEFT, -0.4, _RIGHT, 0.34, vary((70, 72, 92), random, 8))
    shirts: Sequence[Colour] = ((224, 70, 70), (240, 240, 240), (70, 110, 214), (250, 206, 70), (236, 176, 140))
    for row in range(6):
        picks = random.randint(len(shirts), size=20)
        for seat in range(20):
            canvas.disc(-0.12 + 0.065 * seat + 0.03 * (row % 2), -0.08 + 0.065 * row, 0.023, shirts[picks[seat]])
    canvas.box(_LEFT, 0.31, _RIGHT, 0.37, vary((226, 226, 232), random, 20))
    light = vary((92, 178, 76), random)
    edges = (0.37, 0.43, 0.51, 0.62, 0.76, 0.95, _BOTTOM)
    for number, (top, bottom) in enumerate(pairwise(edges)):
        canvas.box(_LEFT, top, _RIGHT, bottom, mix(light, (30, 90, 40), 0.3 * (number % 2)))
    x, white = 0.5 + random.uniform(-0.12, 0.12), (250, 250, 250)
    canvas.line([(_LEFT, 0.45), (_RIGHT, 0.45)], 0.012, white)
    canvas.line([(x - 0.32, 0.45), (x - 0.44, 0.7), (x + 0.44, 0.7), (x + 0.32, 0.45)], 0.016, white)
    canvas.ellipse(x, 0.6, 0.02, 0.01, white)
    canvas.box(x - 0.2, 0.22, x + 0.2, 0.45, (96, 112, 116))
    for number in range(9):
        canvas.line([(x - 0.2 + 0.05 * number, 0.22), (x - 0.2 + 0.05 * number, 0.45)], 0.006, (206, 212, 214))
    for number in range(5):
        canvas.line([(x - 0.2, 0.22 + 0.05 * number), (x + 0.2, 0.22 + 0.05 * number)], 0.006, (206, 212, 214))
    canvas.line([(x - 0.2, 0.46), (x - 0.2, 0.21), (x + 0.2, 0.21), (x + 0.2, 0.46)], 0.022, white)


SCENES = (
    Scene("meadow", meadow, (objects.BUTTERFLY, objects.BALLOON, objects.CAT, objects.APPLE, objects.DUCK)),
    Scene("beach", beach, (objects.BOAT, objects.BEACH_BALL, objects.DUCK, objects.FISH)),
    Scene("city", city, (objects.CAR, objects.UFO, objects.STAR, objects.AIR_BALLOON)),
    Scene("road", road, (objects.CAR, objects.BALLOON, objects.CAT, objects.PLANE)),
    Scene("mountains", mountains, (objects.AIR_BALLOON, objects.SNOWMAN, objects.PLANE)),
    Scene("desert", desert, (objects.PLANE, objects.CAR, objects.AIR_BALLOON, objects.UFO)),
    Scene("underwater", underwater, (objects.FISH, objects.SUBMARINE, objects.STAR)),
    Scene("room", room, (objects.MUG, objects.CAT, objects.BUTTERFLY, objects.APPLE, objects.BALLOON)),
    Scene("space", space, (objects.ROCKET, objects.UFO, objects.STAR)),
    Scene("football pitch", pitch, (objects.FOOTBALL, objects.BEACH_BALL, objects.BALLOON)),
)
"""All scenes of the look `DRAWN`."""
