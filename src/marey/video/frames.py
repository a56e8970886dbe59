"""Folders of images with the face of a video: RGB frames, and optical flow as pairs of images."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError, DecodeError
from marey.video.source import Box, Frames, Size
from marey.video.transforms import check_inside, check_size, crop, frame_numbers, resize

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_SUFFIXES = tuple(IMAGE_SUFFIXES)
FLOW_NOTE = "flow.json"
"""Beside flow images that Marey wrote: the frame rate, which images do not know."""


def natural_key(path: Path) -> list[str | int]:
    """Sorts img_2 before img_10."""
    return _natural(path.name)


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


class _ImageFolder:
    """N places in time, each made of the same number of image files."""

    _channels: int

    def __init__(self, path: str | Path, files: list[tuple[str, ...]], fps: float) -> None:
        self.name = str(path)
        self._files = files
        """Names of the images of each place."""
        if not files:
            raise DecodeError(path, "holds no images of this kind")
        if fps <= 0:
            raise DataError(f"{path}: fps must be positive, got {fps}.")
        self._fps = fps
        self._height, self._width = _size_in_header(self._path(files[0][0])) or self._load(0).shape[:2]

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
            DataError: a number outside 0 ... N - 1, a crop that leaves the picture, or a size below 1x1.
            DecodeError: an image is missing, broken or of another size than the first.
        """
        wanted = frame_numbers(indices, len(self), self.name).tolist()
        check_size(size, self.name)
        if crop is not None:
            check_inside(Box(*crop), self.height, self.width)
        height, width = size or ((crop.height, crop.width) if crop is not None else (self.height, self.width))
        frames = np.empty((len(wanted), height, width, self._channels), np.uint8)
        first: dict[int, int] = {}
        for place, number in enumerate(wanted):
            if (there := first.setdefault(number, place)) != place:
                frames[place] = frames[there]
            else:
                self._put(number, crop, size, frames[place])
        return frames

    def close(self) -> None:
        """Nothing stays open between reads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _put(self, number: int, box: Box | None, size: Size | None, out: NDArray[np.uint8]) -> None:
        """Frame `number`, cut and resized, into `out`."""
        image = self._load(number)
        if image.shape[:2] != (self.height, self.width):
            raise DecodeError(
                self._path(self._files[number][0]),
                f"is {image.shape[1]}x{image.shape[0]}, the folder began with {self.width}x{self.height}",
            )
        frames: Frames = image[None]
        if box is not None:
            frames = crop(frames, Box(*box))
        self._store(np.ascontiguousarray(resize(np.ascontiguousarray(frames), size)[0] if size else frames[0]), out)

    def _path(self, name: str) -> str:
        return f"{self.name}/{name}"

    def _load(self, number: int) -> NDArray[np.uint8]:
        """An image as OpenCV has it."""
        raise NotImplementedError

    def _store(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        """Put what `_load` gave in the order of channels that a reader wants."""
        raise NotImplementedError


class FrameFolder(_ImageFolder):
    """RGB frames stored as images, in natural order of their names (img_00001.jpg, img_00002.jpg, ...).

    `fps` is the rate at which they were taken; images do not say.

    Raises:
        DecodeError: no such folder, or no images in it.
    """

    _channels = 3

    def __init__(self, path: str | Path, *, fps: float = 30.0) -> None:
        super().__init__(path, [(name,) for name in _in_order([n for n in _images(path) if not _flow_axis(n)])], fps)

    def _load(self, number: int) -> NDArray[np.uint8]:
        return _image(self._path(self._files[number][0]), cv2.IMREAD_COLOR)

    def _store(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=out)


class FlowFolder(_ImageFolder):
    """Optical flow stored as pairs of grey images (flow_x_00001.jpg and flow_y_00001.jpg, or x_... and y_...).

    Two channels: x, y; 128 is no motion. N frames of a video give N - 1 fields. `fps` is the rate at which the frames
    were taken; without it, what `marey data flow` noted beside the images, or 30.

    Raises:
        DecodeError: no such folder, no pairs in it, or an x without its y.
    """

    _channels = 2

    def __init__(self, path: str | Path, *, fps: float | None = None) -> None:
        images = _images(path)
        across, down = (_in_order([name for name in images if _flow_axis(name) == axis]) for axis in "xy")
        if len(across) != len(down):
            raise DecodeError(path, f"holds {len(across)} x images and {len(down)} y images; flow needs pairs")
        super().__init__(path, list(zip(across, down, strict=True)), _noted_fps(Path(path)) if fps is None else fps)

    def _load(self, number: int) -> NDArray[np.uint8]:
        pair = [_image(self._path(name), cv2.IMREAD_GRAYSCALE) for name in self._files[number]]
        if pair[0].shape != pair[1].shape:
            raise DecodeError(self._path(self._files[number][0]), f"differs in size from {self._files[number][1]}")
        return np.stack(pair, axis=-1)

    def _store(self, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
        out[:] = image


def holds_images(folder: Path) -> bool:
    """Whether image files lie in a folder."""
    return bool(_images(folder))


def holds_flow(folder: Path) -> bool:
    """Whether flow images lie in a folder, be it beside frames."""
    return any(_flow_axis(name) for name in _images(folder))


def _noted_fps(folder: Path) -> float:
    note = folder / FLOW_NOTE
    return float(json.loads(note.read_text(encoding="utf-8"))["fps"]) if note.exists() else 30.0


def _images(path: str | Path) -> list[str]:
    """The names of a folder's images."""
    if not Path(path).is_dir():
        raise DecodeError(path, "no such folder")
    # Names, not Paths: opening a folder must not cost more than reading a few of its images.
    return [n for n in os.listdir(path) if n.lower().endswith(_SUFFIXES) and not n.startswith(".")]  # noqa: PTH208


def _in_order(names: list[str]) -> list[str]:
    """Names in natural order."""
    names.sort()
    if len(names) > 1:
        start = len(os.path.commonprefix([names[0], names[-1]]))  # noqa: RUF071 - letters are what is meant
        end = names[0].find(".", start) - len(names[0])
        if all(len(n) == len(names[0]) and n[start:end].isdigit() for n in names):
            return names  # numbers of the same length: letter by letter is the natural order
    return sorted(names, key=_natural)


def _size_in_header(path: str) -> tuple[int, int] | None:
    """(height, width) of a plain JPEG from its header (ITU-T T.81, annex B); None for any other image.

    One with EXIF is another: its orientation may turn the picture.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    place = 2
    while head.startswith(b"\xff\xd8") and place + 9 <= len(head) and head[place] == 0xFF:
        marker, length = head[place + 1], int.from_bytes(head[place + 2 : place + 4], "big")
        if marker == 0xE1:
            return None
        if 0xC0 <= marker <= 0xC3:
            return int.from_bytes(head[place + 5 : place + 7], "big"), int.from_bytes(
                head[place + 7 : place + 9], "big"
            )
        place += 2 + length
    return None


def _flow_axis(name: str) -> str | None:
    if not name.startswith(("x", "y", "flow_")):
        return None
    found = re.match(r"(?:flow_)?([xy])_\d+\.", name)
    return found.group(1) if found else None


def _image(path: str, mode: int) -> NDArray[np.uint8]:
    image = cv2.imread(path, mode)
    if image is None:
        raise DecodeError(path, "is no image that OpenCV can read")
    return np.asarray(image, dtype=np.uint8)
