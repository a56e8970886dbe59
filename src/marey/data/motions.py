"""`motions`: a generated data set of real video files whose class is a motion, and nothing but a motion.

Twelve classes in six mirrored pairs. The two classes of a pair are the same rendered frames in opposite order: what
moves left is, played backwards, what moves right. Every frame is coded by itself at one quantiser, so that the decoded
frames, too, are the same to the last bit: no single frame and no trace of compression tells the two apart.

An object of random look travels at least a third of the frame over a textured, noisy, shaking ground. Scenes of train
and test are disjoint; a scene's two videos stand on the same side, in one group.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.files import write_json
from marey.base.jobs import run_jobs
from marey.base.random import random_for
from marey.data.formats import read_manifest
from marey.data.manifest import Manifest, make_manifest
from marey.video.source import Frames
from marey.video.writer import write_video

MIRROR_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counter-clockwise"),
    ("nearer", "farther"),
    ("opening", "closing"),
    ("accelerating", "braking"),
)
"""Classes whose videos are each other's, played backwards."""

FLIP_PAIRS = (("left", "right"), ("clockwise", "counter-clockwise"))
"""Classes that a mirror swaps: recipes for this set must not flip."""

CLASS_NAMES = tuple(sorted(name for pair in MIRROR_PAIRS for name in pair))

_FPS = 15
_QP = 24


@dataclass(frozen=True)
class Pose:
    """Where an object is in one frame: centre in shares of the side (0..1), size as a factor, turn in radians."""

    x: float
    y: float
    scale: float = 1.0
    turn: float = 0.0


Path2D = Callable[[float], list[Pose]]
"""From time 0..1 to the poses of all objects, in the order of the pair's first class."""


def _path(pair: int, random: np.random.RandomState) -> Path2D:
    """How the objects of a scene move, in the sense of the pair's first class."""
    return _PATHS[pair](random)


def _along(random: np.random.RandomState, angle: float) -> Path2D:
    """A straight line through the middle region, at a steady speed."""
    length, side, wobble = random.uniform(0.4, 0.6), random.uniform(-0.22, 0.22), random.uniform(-0.15, 0.15)
    middle = 0.5 + random.uniform(-0.08, 0.08)
    dx, dy = math.cos(angle + wobble), math.sin(angle + wobble)

    def at(t: float) -> list[Pose]:
        step = (t - 0.5) * length
        return [Pose(middle + step * dx - side * dy, middle + step * dy + side * dx)]

    return at


def _orbit(random: np.random.RandomState) -> Path2D:
    """Clockwise as seen on the screen (y points down) around a point near the middle."""
    start, arc, radius = random.uniform(0, 2 * math.pi), random.uniform(3.2, 4.8), random.uniform(0.24, 0.32)
    x, y = 0.5 + random.uniform(-0.06, 0.06, size=2)

    def at(t: float) -> list[Pose]:
        angle = start + arc * t
        return [Pose(x + radius * math.cos(angle), y + radius * math.sin(angle))]

    return at


def _approach(random: np.random.RandomState) -> Path2D:
    """Nearer: the object grows by a factor of about three."""
    x, y = 0.5 + random.uniform(-0.15, 0.15, size=2)
    small, large = random.uniform(0.45, 0.7), random.uniform(1.7, 2.3)
    return lambda t: [Pose(x, y, scale=small * (large / small) ** t)]


def _open(random: np.random.RandomState) -> Path2D:
    """Two halves move apart along a random axis."""
    angle, far = random.uniform(0, math.pi), random.uniform(0.3, 0.36)
    near = random.uniform(0.06, 0.1)
    x, y = 0.5 + random.uniform(-0.06, 0.06, size=2)

    def at(t: float) -> list[Pose]:
        gap = near + (far - near) * t
        dx, dy = gap * math.cos(angle), gap * math.sin(angle)
        return [Pose(x - dx, y - dy, 0.8, angle), Pose(x + dx, y + dy, 0.8, angle)]

    return at


def _accelerate(random: np.random.RandomState) -> Path2D:
    """A long straight line in a random direction, slow at first and fast at last."""
    angle, length, power = random.uniform(0, 2 * math.pi), random.uniform(0.65, 0.8), random.uniform(2.4, 3.2)
    x, y = 0.5 + random.uniform(-0.06, 0.06, size=2)

    def at(t: float) -> list[Pose]:
        step = (t**power - 0.5) * length
        return [Pose(x + step * math.cos(angle), y + step * math.sin(angle))]

    return at


_PATHS: tuple[Callable[[np.random.RandomState], Path2D], ...] = (
    lambda random: _along(random, math.pi),
    lambda random: _along(random, -math.pi / 2),
    _orbit,
    _approach,
    _open,
    _accelerate,
)


def render_scene(pair: int, scene: int, *, size: int, frames: int, seed: int) -> Frames:
    """The frames uint8 [frames, size, size, 3] of a scene, in the order of the pair's first class."""
    random = random_for(seed, pair, scene)
    path, sprite = _path(pair, random), _sprite(size, random)
    ground = _texture(size + 16, random, smooth=random.uniform(1.5, 4.0), contrast=random.uniform(15, 35))
    noise = random.uniform(3, 8)
    rendered = np.empty((frames, size, size, 3), np.uint8)
    for number in range(frames):
        top, left = random.randint(6, 11, size=2)
        image = ground[top : top + size, left : left + size].copy()
        for pose in path(number / (frames - 1)):
            _draw(image, sprite, pose, jitter=random.uniform(-0.6, 0.6, size=2))
        image += random.standard_normal(image.shape[:2])[..., None] * noise
        rendered[number] = np.clip(image, 0, 255)
    return rendered


def _texture(size: int, random: np.random.RandomState, *, smooth: float, contrast: float) -> NDArray[np.float32]:
    """Smoothed noise of a random colour, float32 [size, size, 3]."""
    grain = cv2.GaussianBlur(random.standard_normal((size, size, 3)).astype(np.float32), (0, 0), smooth)
    colour = random.uniform(50, 200, size=3)
    return np.asarray(grain / grain.std() * contrast + colour, np.float32)


def _sprite(size: int, random: np.random.RandomState) -> NDArray[np.float32]:
    """An object with its opacity, float32 [s, s, 4]: a disc, box or polygon, light or dark, with texture."""
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


def _draw(image: NDArray[np.float32], sprite: NDArray[np.float32], pose: Pose, *, jitter: NDArray[np.float64]) -> None:
    """Blend the object into the image at its pose, in place."""
    size, side = image.shape[0], sprite.shape[0]
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), math.degrees(-pose.turn), pose.scale)
    matrix[:, 2] += np.array([pose.x, pose.y]) * size + jitter - (side - 1) / 2
    placed = cv2.warpAffine(sprite, matrix, (size, size), flags=cv2.INTER_LINEAR)
    opacity = placed[..., 3:]
    image += opacity * (placed[..., :3] - image)


@dataclass(frozen=True)
class _Scene:
    """One job: a scene and the two files that show it forwards and backwards."""

    folder: Path
    split: str
    pair: int
    scene: int
    size: int
    frames: int
    seed: int

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(path, class) of both videos."""
        return [(f"{self.split}/{name}/{name}_{self.scene:05d}.mp4", name) for name in MIRROR_PAIRS[self.pair]]


def _write_scene(job: _Scene) -> None:
    paths = [job.folder / path for path, _ in job.rows]
    if all(path.exists() for path in paths):
        return
    rendered = render_scene(job.pair, job.scene, size=job.size, frames=job.frames, seed=job.seed)
    for path, order in zip(paths, (rendered, rendered[::-1]), strict=True):
        write_video(path, order, fps=_FPS, qp=_QP, gop=1, bframes=0, preset="veryfast")


def write_motions(
    folder: str | Path, *, train: int, test: int, size: int, frames: int, seed: int = 0, workers: int | None = None
) -> tuple[Manifest, Manifest]:
    """Write the data set and its list `motions.csv`; returns the manifests of train and test.

    `train` and `test` count videos (twelve classes, so multiples of 12), `size` pixels a side (even), `frames` a video.
    An interrupted call goes on; a folder that is complete is only read.
    """
    folder = Path(folder)
    settings = {"train": train, "test": test, "size": size, "frames": frames, "seed": seed, "version": 1}
    listing, noted = folder / "motions.csv", folder / "motions.json"
    if not (listing.exists() and noted.exists() and json.loads(noted.read_text()) == settings):
        jobs = _jobs(folder, train, test, size, frames, seed)
        run_jobs(_write_scene, jobs, workers=workers, title="Writing motions", unit="scenes")
        rows = [row for job in jobs for row in job.rows]
        twice = [job for job in jobs for _ in job.rows]
        make_manifest(
            rows, root=folder, source=str(folder), classes=CLASS_NAMES,
            splits=[job.split for job in twice], groups=[f"{job.pair}-{job.scene}" for job in twice],
        ).write_csv(listing)  # fmt: skip
        write_json(noted, settings)
    whole = read_manifest(listing, classes=CLASS_NAMES)
    return whole.split("train"), whole.split("test")


def _jobs(folder: Path, train: int, test: int, size: int, frames: int, seed: int) -> list[_Scene]:
    """Scene numbers run on from train to test: no scene stands in both."""
    jobs = []
    for split, first, count in (("train", 0, train // 12), ("test", train // 12, test // 12)):
        for name in (name for pair in MIRROR_PAIRS for name in pair):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
        for scene in range(first, first + count):
            jobs += [_Scene(folder, split, pair, scene, size, frames, seed) for pair in range(len(MIRROR_PAIRS))]
    return jobs
