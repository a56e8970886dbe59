"""Folders of images read like a video: RGB frames, and optical flow as pairs of images.

Which images of a folder these are: `marey.video.reading.series`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError, DecodeError
from marey.video.pixels.transforms import crop, resize
from marey.video.reading.series import flow_pairs, frame_series, image_names, without_flow
from marey.video.source import Box, Frames, FrameSource, Size

FLOW_NOTE = "flow.json"
"""Beside flow images that Marey wrote: the frame rate, which images do not know."""


class _ImageFolder(FrameSource):
    """N places in time, each made of the same number of image files in a folder.

    Args:
        files: The names of the images of each place.
        channels: Of a place.
        load: The images of a place, by their paths, as OpenCV has them: uint8 [H, W, C].
        store: Puts what `load` gave into an array, in the order of channels that a reader wants.
        left_out: As a `FrameSource` has it.
    """

    def __init__(
        self,
        folder: str | Path,
        files: Sequence[tuple[str, ...]],
        *,
        fps: float,
        channels: int,
        load: Callable[[Sequence[str]], NDArray[np.uint8]],
        store: Callable[[NDArray[np.uint8], NDArray[np.uint8]], None],
        left_out: str = "",
    ) -> None:
        self._folder, self._files, self._channels, self._load, self._store = str(folder), files, channels, load, store
        if not files:
            raise DecodeError(folder, "holds no images of this kind")
        if fps <= 0:
            raise DataError(f"{folder}: fps must be positive, got {fps}.")
        height, width = _size_in_header(self._paths(0)[0]) or load(self._paths(0)).shape[:2]
        super().__init__(
            str(folder), timestamps=np.arange(len(files)) / fps, fps=fps, seconds=len(files) / fps,
            size=(int(height), int(width)), left_out=left_out,
        )  # fmt: skip

    def _paths(self, number: int) -> list[str]:
        return [f"{self._folder}/{name}" for name in self._files[number]]

    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        """The places cut and resized; each is loaded once."""
        frames = np.empty((len(numbers), *self._size_of(size, crop), self._channels), np.uint8)
        first: dict[int, int] = {}
        for place, number in enumerate(numbers.tolist()):
            if (there := first.setdefault(number, place)) != place:
                frames[place] = frames[there]
            else:
                self._put(number, crop, size, frames[place])
        return frames

    def _put(self, number: int, box: Box | None, size: Size | None, out: NDArray[np.uint8]) -> None:
        """Place `number`, cut and resized, into `out`."""
        at, paths = f"frame {number} of {len(self)}", self._paths(number)
        try:
            image = self._load(paths)
        except DecodeError as error:
            raise DecodeError(error.path, f"{at}: {error.reason}") from None
        if image.shape[:2] != (self.height, self.width):  # all have the size of the first
            raise DecodeError(
                paths[0],
                f"{at}: is {image.shape[1]}x{image.shape[0]}, the folder began with {self.width}x{self.height}",
            )
        frames: Frames = image[None]
        if box is not None:
            frames = crop(frames, box)
        self._store(np.ascontiguousarray(resize(np.ascontiguousarray(frames), size)[0] if size else frames[0]), out)


class FrameFolder(_ImageFolder):
    """RGB frames stored as images: the folder's series of numbered images (img_00001.jpg, img_00002.jpg, ...) in natural
    order, without the covers and contact sheets beside it (see `marey.video.reading.series.frame_series`).

    `fps` is the rate at which they were taken; images do not say.

    Raises:
        DecodeError: no such folder, no images in it, or two series that both may be meant.
    """

    def __init__(self, path: str | Path, *, fps: float = 30.0) -> None:
        series = frame_series(image_names(path), path)
        files = [(name,) for name in series.names]
        super().__init__(path, files, fps=fps, channels=3, load=_colour, store=_as_rgb, left_out=series.left_out)


class FlowFolder(_ImageFolder):
    """Optical flow stored as pairs of grey images (flow_x_00001.jpg and flow_y_00001.jpg, or x_... and y_...).

    Two channels: x, y; 128 is no motion. N frames of a video give N - 1 fields. `fps` is the rate at which the frames
    were taken; without it, what `marey data flow` noted beside the images, or 30.

    Raises:
        DecodeError: no such folder, no pairs in it, or an x without its y.
    """

    _unit = "flow field"

    def __init__(self, path: str | Path, *, fps: float | None = None) -> None:
        flow = flow_pairs(image_names(path), path)
        fps = _noted_fps(Path(path)) if fps is None else fps
        super().__init__(
            path, flow.pairs, fps=fps, channels=2, load=_pair, store=_as_flow, left_out=flow.left_out
        )  # fmt: skip


def _colour(paths: Sequence[str]) -> NDArray[np.uint8]:
    return _image(paths[0], cv2.IMREAD_COLOR)


def _as_rgb(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=out)


def _pair(paths: Sequence[str]) -> NDArray[np.uint8]:
    pair = [_image(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    if pair[0].shape != pair[1].shape:
        raise DecodeError(paths[0], f"differs in size from {Path(paths[1]).name}")
    return np.stack(pair, axis=-1)


def _as_flow(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    out[:] = image


def holds_frames(folder: Path) -> bool:
    """Whether images that are no flow lie in a folder."""
    return bool(without_flow(image_names(folder)))


def count_frames(folder: str | Path) -> tuple[int, int]:
    """How many frames, and how many pairs of flow images, a folder holds; (0, 0) where there is none."""
    try:
        names = image_names(folder)
        frames = len(frame_series(names, folder).names)
    except DecodeError:
        return 0, 0
    return frames, (len(names) - len(without_flow(names))) // 2


def holds_flow(folder: Path) -> bool:
    """Whether flow images lie in a folder, be it beside frames."""
    names = image_names(folder)
    return len(without_flow(names)) < len(names)


def _noted_fps(folder: Path) -> float:
    note = folder / FLOW_NOTE
    try:
        return float(json.loads(note.read_bytes())["fps"])
    except FileNotFoundError:
        return 30.0
    except (OSError, ValueError, TypeError, KeyError):
        raise DecodeError(note, "is no note of a frame rate as `marey data flow` writes it: remove it") from None


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


def _image(path: str, mode: int) -> NDArray[np.uint8]:
    # OpenCV is given bytes: a name that is no UTF-8 would end the process.
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DecodeError(path, f"cannot be read ({error.strerror})") from None
    try:
        image = cv2.imdecode(content, mode) if content.size else None
    except cv2.error as error:
        raise DecodeError(path, f"is no image that OpenCV can read ({error.err})") from None
    if image is None:
        raise DecodeError(path, "is no image that OpenCV can read")
    return np.asarray(image, dtype=np.uint8)


def write_image(path: Path, image: NDArray[np.uint8], options: Sequence[int] = ()) -> None:
    """Write an image uint8 [H, W] or [H, W, 3], blue first; the suffix names the format, `options` are OpenCV's.

    Raises:
        DataError: OpenCV writes no such images.
        OSError: the file cannot be written.
    """
    try:
        done, content = cv2.imencode(path.suffix, image, options)
    except cv2.error as error:
        raise DataError(f"{path.name}: OpenCV cannot write such images ({error.err}).") from None
    if not done:
        raise DataError(f"{path.name}: OpenCV cannot write such images.")
    path.write_bytes(content.tobytes())
