"""Folders of images as sources of frames: RGB frames, and optical flow as pairs of images.

Which images of a folder are its frames: `marey.video.reading.image_series`.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError, DecodeError
from marey.video.pixels.transforms import crop, resize
from marey.video.reading.image_series import flow_pairs, frame_series, image_names, without_flow
from marey.video.source import Box, Frames, FrameSource, Size

FLOW_NOTE = "flow.json"
"""Name of the note beside flow images that Marey wrote; it holds the frame rate."""


class _ImageFolder(FrameSource):
    """N frames or flow fields, each of which is stored as the same number of image files.

    Args:
        folder: The folder.
        files: For each frame, the names of its images.
        fps: Frame rate, in frames per second.
        channels: Channels of a frame.
        load: Reads the images of a frame, given their paths, in OpenCV's order of channels: uint8 [H, W, C].
        store: Writes a loaded frame into an array, in the order of channels of this source.
        left_out: See `FrameSource`.
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
        """The frames, cropped and resized; each is loaded once."""
        frames = np.empty((len(numbers), *self._size_of(size, crop), self._channels), np.uint8)
        first_position: dict[int, int] = {}
        for position, number in enumerate(numbers.tolist()):
            if (earlier := first_position.setdefault(number, position)) != position:
                frames[position] = frames[earlier]
            else:
                self._load_into(frames[position], number, crop, size)
        return frames

    def _load_into(self, out: NDArray[np.uint8], number: int, box: Box | None, size: Size | None) -> None:
        """Write frame `number` into `out`, cropped and resized."""
        name, paths = f"frame {number} of {len(self)}", self._paths(number)
        try:
            image = self._load(paths)
        except DecodeError as error:
            raise DecodeError(error.path, f"{name}: {error.reason}") from None
        if image.shape[:2] != (self.height, self.width):
            raise DecodeError(
                paths[0],
                f"{name}: is {image.shape[1]}x{image.shape[0]}, the folder began with {self.width}x{self.height}",
            )
        frames: Frames = image[None]
        if box is not None:
            frames = crop(frames, box)
        self._store(np.ascontiguousarray(resize(np.ascontiguousarray(frames), size)[0] if size else frames[0]), out)


class FrameFolder(_ImageFolder):
    """RGB frames stored as images: the folder's series of numbered images (img_00001.jpg, img_00002.jpg, ...) in natural
    order.

    Other images, such as covers and contact sheets, are left out (`marey.video.reading.image_series.frame_series`). `fps`
    is the frame rate, which images do not state.

    Raises:
        DecodeError: there is no such folder, it has no images, or it has two series that both may be the video.
    """

    def __init__(self, path: str | Path, *, fps: float = 30.0) -> None:
        series = frame_series(image_names(path), path)
        files = [(name,) for name in series.names]
        super().__init__(path, files, fps=fps, channels=3, load=_colour, store=_as_rgb, left_out=series.left_out)


class FlowFolder(_ImageFolder):
    """Optical flow stored as pairs of grey images (flow_x_00001.jpg and flow_y_00001.jpg, or x_... and y_...).

    There are two channels, x and y; 128 is no motion. N frames of a video give N - 1 fields. `fps` is the frame rate;
    None: the rate that `marey data flow` noted beside the images, or 30.

    Raises:
        DecodeError: there is no such folder, it has no pairs, or an x image without its y image.
    """

    _unit = "flow field"

    def __init__(self, path: str | Path, *, fps: float | None = None) -> None:
        flow = flow_pairs(image_names(path), path)
        fps = _noted_fps(Path(path)) if fps is None else fps
        super().__init__(
            path, flow.pairs, fps=fps, channels=2, load=_flow_field, store=_as_flow, left_out=flow.left_out
        )  # fmt: skip


def _colour(paths: Sequence[str]) -> NDArray[np.uint8]:
    return _image(paths[0], cv2.IMREAD_COLOR)


def _as_rgb(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=out)


def _flow_field(paths: Sequence[str]) -> NDArray[np.uint8]:
    pair = [_image(path, cv2.IMREAD_GRAYSCALE) for path in paths]
    if pair[0].shape != pair[1].shape:
        raise DecodeError(paths[0], f"differs in size from {Path(paths[1]).name}")
    return np.stack(pair, axis=-1)


def _as_flow(image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    out[:] = image


def holds_frames(folder: Path) -> bool:
    """Whether a folder holds images that are not flow."""
    return bool(without_flow(image_names(folder)))


def count_frames(folder: str | Path) -> tuple[int, int]:
    """Number of frames and number of pairs of flow images in a folder; (0, 0) if `frame_series` or the system refuses it."""
    try:
        names = image_names(folder)
        frames = len(frame_series(names, folder).names)
    except DecodeError:
        return 0, 0
    return frames, (len(names) - len(without_flow(names))) // 2


def holds_flow(folder: Path) -> bool:
    """Whether a folder holds flow images, possibly beside frames."""
    names = image_names(folder)
    return len(without_flow(names)) < len(names)


def _noted_fps(folder: Path) -> float:
    note = folder / FLOW_NOTE
    try:
        return float(json.loads(note.read_bytes())["fps"])
    except FileNotFoundError:
        return 30.0
    except (OSError, ValueError, TypeError, KeyError):
        raise DecodeError(note, "is not a note of a frame rate as `marey data flow` writes it: remove it") from None


def _size_in_header(path: str) -> tuple[int, int] | None:
    """(height, width) of a JPEG without EXIF, from its header (ITU-T T.81, annex B); None for other images.

    The orientation in EXIF data may exchange height and width.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    offset = 2
    while head.startswith(b"\xff\xd8") and offset + 9 <= len(head) and head[offset] == 0xFF:
        marker, length = head[offset + 1], int.from_bytes(head[offset + 2 : offset + 4], "big")
        if marker == 0xE1:
            return None
        if 0xC0 <= marker <= 0xC3:
            return int.from_bytes(head[offset + 5 : offset + 7], "big"), int.from_bytes(
                head[offset + 7 : offset + 9], "big"
            )
        offset += 2 + length
    return None


def _image(path: str, mode: int) -> NDArray[np.uint8]:
    # OpenCV gets bytes: a name that is not UTF-8 would crash the process.
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DecodeError(path, f"cannot be read ({error.strerror})") from None
    try:
        image = cv2.imdecode(content, mode) if content.size else None
    except cv2.error as error:
        raise DecodeError(path, f"is not an image that OpenCV can read ({error.err})") from None
    if image is None:
        raise DecodeError(path, "is not an image that OpenCV can read")
    return np.asarray(image, dtype=np.uint8)
