"""Folders of images with the face of a video: RGB frames, and optical flow as pairs of images."""

import json
import operator
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError, DecodeError
from marey.video.source import Box, Frames, Size
from marey.video.transforms import check_inside, crop, resize

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
FLOW_NOTE = "flow.json"
"""Beside flow images that Marey wrote: the frame rate, which images do not know."""


def natural_key(path: Path) -> list[str | int]:
    """Sorts img_2 before img_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


class _ImageFolder:
    """N places in time, each made of the same number of image files."""

    def __init__(self, path: str | Path, files: list[tuple[Path, ...]], fps: float) -> None:
        self.name = str(path)
        self._files = files
        if not files:
            raise DecodeError(path, "holds no images of this kind")
        if fps <= 0:
            raise DataError(f"{path}: fps must be positive, got {fps}.")
        self._fps = fps
        self._height, self._width = self._load(0).shape[:2]

    def __len__(self) -> int:
        return len(self._files)

    @property
    def fps(self) -> float:
        """As given: images know no time."""
        return self._fps

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds [N]."""
        return np.arange(len(self)) / self._fps

    @property
    def duration_seconds(self) -> float:
        return len(self) / self._fps

    @property
    def width(self) -> int:
        return int(self._width)

    @property
    def height(self) -> int:
        return int(self._height)

    def read(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        *,
        size: Size | None = None,
        crop: Box | None = None,
    ) -> Frames:
        """Frames uint8 [T, H, W, C] of the given numbers; `crop` cuts first, `size` resizes then.

        Raises:
            DataError: a number outside 0 ... N - 1, or a crop that leaves the picture.
            DecodeError: an image is missing, broken or of another size than the first.
        """
        wanted = [operator.index(i) for i in indices]
        for number in wanted:
            if not 0 <= number < len(self):
                raise DataError(f"{self.name}: there is no frame {number}; frames are numbered 0 to {len(self) - 1}.")
        if crop is not None:
            check_inside(Box(*crop), self.height, self.width)
        unique = {number: self._part(number, crop, size) for number in sorted(set(wanted))}
        if not wanted:
            channels = self._load(0).shape[2]
            height, width = size or ((crop.height, crop.width) if crop else (self.height, self.width))
            return np.empty((0, height, width, channels), np.uint8)
        return np.stack([unique[number] for number in wanted])

    def close(self) -> None:
        """Nothing stays open between reads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _part(self, number: int, box: Box | None, size: Size | None) -> Frames:
        image = self._load(number)
        if image.shape[:2] != (self.height, self.width):
            raise DecodeError(
                self._files[number][0],
                f"is {image.shape[1]}x{image.shape[0]}, the folder began with {self.width}x{self.height}",
            )
        frames: Frames = image[None]
        if box is not None:
            frames = crop(frames, Box(*box))
        return np.asarray(resize(np.ascontiguousarray(frames), size)[0] if size is not None else frames[0])

    def _load(self, number: int) -> NDArray[np.uint8]:
        raise NotImplementedError


class FrameFolder(_ImageFolder):
    """RGB frames stored as images, in natural order of their names (img_00001.jpg, img_00002.jpg, ...).

    `fps` is the rate at which they were taken; images do not say.

    Raises:
        DecodeError: no such folder, or no images in it.
    """

    def __init__(self, path: str | Path, *, fps: float = 30.0) -> None:
        names = sorted(_images(path), key=natural_key)
        super().__init__(path, [(name,) for name in names if not _flow_axis(name)], fps)

    def _load(self, number: int) -> NDArray[np.uint8]:
        image = _image(self._files[number][0], cv2.IMREAD_COLOR)
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


class FlowFolder(_ImageFolder):
    """Optical flow stored as pairs of grey images (flow_x_00001.jpg and flow_y_00001.jpg, or x_... and y_...).

    Two channels: x, y; 128 is no motion. N frames of a video give N - 1 fields. `fps` is the rate at which the frames
    were taken; without it, what `marey data flow` noted beside the images, or 30.

    Raises:
        DecodeError: no such folder, no pairs in it, or an x without its y.
    """

    def __init__(self, path: str | Path, *, fps: float | None = None) -> None:
        images = sorted(_images(path), key=natural_key)
        across = [name for name in images if _flow_axis(name) == "x"]
        down = [name for name in images if _flow_axis(name) == "y"]
        if len(across) != len(down):
            raise DecodeError(path, f"holds {len(across)} x images and {len(down)} y images; flow needs pairs")
        super().__init__(path, list(zip(across, down, strict=True)), _noted_fps(Path(path)) if fps is None else fps)

    def _load(self, number: int) -> NDArray[np.uint8]:
        pair = [_image(name, cv2.IMREAD_GRAYSCALE) for name in self._files[number]]
        if pair[0].shape != pair[1].shape:
            raise DecodeError(self._files[number][0], f"differs in size from {self._files[number][1].name}")
        return np.stack(pair, axis=-1)


def holds_images(folder: Path) -> bool:
    """Whether image files lie in a folder."""
    return any(p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".") for p in folder.iterdir())


def holds_flow(folder: Path) -> bool:
    """Whether flow images lie in a folder, be it beside frames."""
    return any(p.suffix.lower() in IMAGE_SUFFIXES and _flow_axis(p) for p in folder.iterdir())


def _noted_fps(folder: Path) -> float:
    note = folder / FLOW_NOTE
    return float(json.loads(note.read_text(encoding="utf-8"))["fps"]) if note.exists() else 30.0


def _images(path: str | Path) -> list[Path]:
    folder = Path(path)
    if not folder.is_dir():
        raise DecodeError(path, "no such folder")
    return [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]


def _flow_axis(path: Path) -> str | None:
    found = re.match(r"(?:flow_)?([xy])_\d+\.", path.name)
    return found.group(1) if found else None


def _image(path: Path, mode: int) -> NDArray[np.uint8]:
    image = cv2.imread(str(path), mode)
    if image is None:
        raise DecodeError(path, "is no image that OpenCV can read")
    return np.asarray(image, dtype=np.uint8)
