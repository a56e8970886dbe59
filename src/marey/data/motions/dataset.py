"""`write_motions`: renders the scenes of `motions` and writes them in both orders, as videos with a list."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import DataError
from marey.base.jobs import run_jobs
from marey.base.random import random_for
from marey.base.reporter import warning
from marey.base.words import counted, verb
from marey.data.catalogue.class_names import CLASS_NAMES, REVERSED_PAIRS
from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.motions.looks import DRAWN, MARGIN, Look, Sprite
from marey.data.motions.paths import Pose, path_of
from marey.video.source import Frames
from marey.video.writing.writer import write_video

_FPS = 15
"""Frames per second of the videos."""
_QP = 24
"""H.264's quantiser of every frame, 0 to 51."""


def render_scene(pair: int, scene: int, *, size: int, frames: int, seed: int, look: Look = DRAWN) -> Frames:
    """The frames uint8 [frames, size, size, 3] of a scene, in the order of the pair's first class.

    The same arguments give the same frames. `pair` is an index into `REVERSED_PAIRS`; with it, `seed` and the number `scene`
    determine all random choices. `look` draws background and object; the path of the object does not depend on the look.
    """
    random = random_for(seed, pair, scene)
    path = path_of(pair, random)
    drawn = look.appearance(size, random)
    nearest, farthest = MARGIN - drawn.shake, MARGIN + drawn.shake
    rendered = np.empty((frames, size, size, 3), np.uint8)
    for number in range(frames):
        top, left = random.randint(nearest, farthest + 1, size=2)
        image = drawn.ground[top : top + size, left : left + size].copy()
        for pose in path(number / (frames - 1)):
            place_object(image, drawn.sprite, pose, jitter=random.uniform(-0.6, 0.6, size=2))
        image += random.standard_normal(image.shape[:2])[..., None] * drawn.noise
        rendered[number] = np.clip(image, 0, 255)
    return rendered


def place_object(
    image: NDArray[np.float32], sprite: Sprite, pose: Pose, *, jitter: NDArray[np.float64] | None = None
) -> None:
    """Blend an object at its pose into the image, float32 [size, size, 3], in place.

    `jitter` [2] moves the object by so many pixels to the right and down; None: by none.
    """
    of_object = sprite.image(pose.scale)
    size, side = len(image), len(of_object)
    scale, turn = pose.scale * (sprite.side / side), pose.turn * sprite.turning
    middle = (side - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), math.degrees(-turn), scale), np.float64)
    offset = np.zeros(2) if jitter is None else jitter
    matrix[:, 2] += np.array([pose.x, pose.y]) * size + offset - middle
    placed = cv2.warpAffine(of_object, matrix, (size, size), flags=cv2.INTER_LINEAR)
    opacity = placed[..., 3:]
    image += opacity * (placed[..., :3] - image)


@dataclass(frozen=True)
class _SceneJob:
    """The job to write a scene as two videos, forwards and backwards; the fields are as in `render_scene`."""

    folder: Path
    """The folder of the data set."""
    split: str
    """Name of the split: "train" or "test"."""
    pair: int
    """Index into `REVERSED_PAIRS`, from 0."""
    scene: int
    """Number of the scene among those of its pair, from 0."""
    size: int
    """Side of a frame, in pixels."""
    frames: int
    """Number of frames of a video."""
    seed: int
    """The seed that, with pair and scene, determines all random choices."""
    look: Look
    """The look that draws background and object."""

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(path, class) of both videos."""
        return [(f"{self.split}/{name}/{name}_{self.scene:05d}.mp4", name) for name in REVERSED_PAIRS[self.pair]]


def _write_scene(job: _SceneJob) -> None:
    paths = [job.folder / path for path, _ in job.rows]
    if all(path.exists() for path in paths):
        return
    rendered = render_scene(job.pair, job.scene, size=job.size, frames=job.frames, seed=job.seed, look=job.look)
    for path, order in zip(paths, (rendered, rendered[::-1]), strict=True):
        write_video(path, order, fps=_FPS, qp=_QP, gop=1, bframes=0, preset="veryfast")


def write_motions(
    folder: str | Path,
    *,
    train: int,
    test: int,
    size: int,
    frames: int,
    seed: int = 0,
    workers: int | None = None,
    look: Look = DRAWN,
    command: Command = Command.MOTIONS,
    way_out: str = "choose another --out",
) -> tuple[Manifest, Manifest]:
    """Write the data set and its list `motions.csv`; returns the manifests of train and test.

    A call resumes an interrupted one; a complete folder is only read. `motions.json` notes the arguments.

    Args:
        folder: The output folder.
        train: Number of videos for training; rounded down to a multiple of 12, since there are twelve classes.
        test: Number of videos for testing, likewise.
        size: Pixels of each side of a frame, even.
        frames: Frames of a video.
        seed: The seed of all that is random.
        workers: Processes that render and write; None: one per core, 0: this process does.
        look: The look that draws the scenes.
        command: The command that the note names: this one, or that of the demo.
        way_out: What the error message proposes if the folder is refused.

    Raises:
        RunError: the folder has videos of other arguments, another process writes there, or it cannot be written.
    """
    folder = Path(folder)
    settings = {"train": train, "test": test, "size": size, "frames": frames, "seed": seed, **look.settings}
    claim = Claim(
        OutputPath.folder(folder, advice=way_out),
        command,
        settings,
        recorded=lambda: recorded_settings(folder),
    )
    listing = folder / "motions.csv"
    if not (claim.check() and listing.exists()):
        jobs = _jobs(folder, train, test, size, frames, seed, look)
        with claim.held() as resumed:
            if not resumed:
                _remove_unknown(folder, jobs)
            _write_all(folder, jobs, listing, workers=workers)
    manifest = read_manifest(listing, classes=CLASS_NAMES)
    return manifest.split("train"), manifest.split("test")


def _write_all(folder: Path, jobs: list[_SceneJob], listing: Path, *, workers: int | None) -> None:
    run_jobs(_write_scene, jobs, workers=workers, title="Writing motions", unit="scenes")
    rows = [row for job in jobs for row in job.rows]
    job_of_row = [job for job in jobs for _ in job.rows]
    make_manifest(
        rows, root=folder, source=str(folder), classes=CLASS_NAMES,
        splits=[job.split for job in job_of_row], groups=[f"{job.pair}-{job.scene}" for job in job_of_row],
    ).write_csv(listing)  # fmt: skip


def write_examples(folder: str | Path, *, size: int, frames: int, look: Look = DRAWN) -> list[tuple[str, str]]:
    """Write one video of each class in this process, without a list; returns the path in the folder and class of each."""
    jobs = _jobs(Path(folder), 12, 0, size, frames, 0, look)
    for job in jobs:
        _write_scene(job)
    return [row for job in jobs for row in job.rows]


def recorded_settings(folder: str | Path) -> dict[str, str | int] | None:
    """The arguments of the call of `write_motions` that wrote `folder`; None if none did.

    Raises:
        DataError: the file with the arguments is damaged.
    """
    noted = OutputPath.folder(folder).note(Command.MOTIONS)
    if not noted.exists():
        return None
    try:
        found = json.loads(noted.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{noted}: no JSON object of arguments; remove this file, and the videos are written again.")
    return found


def _remove_unknown(folder: Path, jobs: list[_SceneJob]) -> None:
    """Remove the videos of these jobs from a folder without `motions.json`, since their look and size are not known."""
    found = [folder / path for job in jobs for path, _ in job.rows if (folder / path).exists()]
    for path in found:
        path.unlink()
    if found:
        are = verb(len(found), "is", "are")
        warning(f"{folder}: {counted(len(found), 'video')} {are} there without motions.json, and {are} written again.")


def _jobs(folder: Path, train: int, test: int, size: int, frames: int, seed: int, look: Look) -> list[_SceneJob]:
    """The scenes to write. Their numbers continue from train to test, so that no scene is in both."""
    return [
        _SceneJob(folder, split, pair, scene, size, frames, seed, look)
        for split, first, count in (("train", 0, train // 12), ("test", train // 12, test // 12))
        for scene in range(first, first + count)
        for pair in range(len(REVERSED_PAIRS))
    ]
