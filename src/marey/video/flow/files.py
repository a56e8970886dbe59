"""Stored flow: folders of image pairs that the older toolkits read, or one video file; written whole or not at all."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from marey.base.address import Address, Place
from marey.base.errors import DataError, DecodeError
from marey.base.files import atomic_folder, atomic_path, write_json
from marey.video.pixels import transforms
from marey.video.reading.frames import FLOW_NOTE, write_image
from marey.video.reading.reader import open_video
from marey.video.source import Box, Frames, FrameSource, Size

Storage = Literal["jpg", "png", "video", "lossless"]
"""Images at JPEG quality 95 or as PNG; H.264 at a quality that loses half as much as the 8 bits do, or without loss."""

VIDEO_SUFFIX = ".flow.mkv"
TEMPLATE = "flow_{}_{:05d}"
"""MMAction's names of flow images: x or y, and a number from 1."""
UNFINISHED = ".unfinished"
"""Ends the names of folders that are being written, which begin with a dot."""

_CRF = {"video": 12, "lossless": 0}
_KEY_FRAMES = 32
"""Fields from one key frame to the next: a clip from the middle decodes no more than these before it begins."""


def is_flow_video(path: Place) -> bool:
    """Whether a path names a video file of flow, as `marey data flow` writes it."""
    return path.name.endswith(VIDEO_SUFFIX)


def place_of(folder: Path, stem: str, storage: Storage) -> Path:
    """Where the flow of a video lies."""
    return folder / (stem if storage in ("jpg", "png") else stem + VIDEO_SUFFIX)


def check_template(template: str) -> None:
    """Refuse names that no reader of flow folders would know.

    Raises:
        DataError: not of the form flow_{}_{:05d} or {}_{:05d}.
    """
    if not re.fullmatch(r"(flow_)?\{\}_\{:0[1-9]d\}", template):
        raise DataError(
            f"--template {template}: expected flow_{{}}_{{:05d}} or {{}}_{{:05d}}: x or y, then the number."
        )


def write_flow(
    place: Path, chunks: Iterable[NDArray[np.uint8]], fps: float, *, storage: Storage, template: str = TEMPLATE
) -> int:
    """Write chunks of fields uint8 [T, H, W, 2] to `place`, which is there whole afterwards or not at all; returns how many.

    Raises:
        DataError: there are no fields.
    """
    write = _write_images if storage in ("jpg", "png") else _write_video
    return write(place, chunks, fps, storage, template)


def _write_images(place: Path, chunks: Iterable[NDArray[np.uint8]], fps: float, storage: Storage, template: str) -> int:
    count = 0
    with atomic_folder(place, suffix=UNFINISHED) as temporary:
        for field in _fields(chunks):
            count += 1
            for axis, levels in zip("xy", np.moveaxis(field, -1, 0), strict=True):
                path = temporary / f"{template.format(axis, count)}.{storage}"
                write_image(path, np.ascontiguousarray(levels))
        if not count:
            raise DataError(f"{place}: there is no flow to write.")
        write_json(temporary / FLOW_NOTE, {"fps": fps, "fields": count})
    return count


def _write_video(place: Path, chunks: Iterable[NDArray[np.uint8]], fps: float, storage: Storage, template: str) -> int:
    """Grey H.264, x above y: one picture twice as high, so that both are decoded at once and any size will do."""
    count = 0
    options = {"crf": str(_CRF[storage]), "preset": "medium", "threads": "1"}
    with atomic_path(place) as temporary, av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        for field in _fields(chunks):
            if not count:
                stream.width, stream.height, stream.pix_fmt = field.shape[1], 2 * field.shape[0], "gray"
                stream.codec_context.color_range = 2  # full: 0..255 are levels, not head and foot room
                stream.codec_context.gop_size = _KEY_FRAMES
            picture = VideoFrame.from_ndarray(np.concatenate((field[..., 0], field[..., 1])), format="gray")
            container.mux(stream.encode(picture))
            count += 1
        if not count:
            raise DataError(f"{place}: there is no flow to write.")
        container.mux(stream.encode(None))
    return count


def _fields(chunks: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    for chunk in chunks:
        yield from chunk


class FlowVideo(FrameSource):
    """A video file of flow as `marey data flow` writes it: [T, H, W, 2], x and y, as a `FlowFolder` has them.

    Raises:
        DecodeError: no such file, or no video of an even height.
    """

    _unit = "flow field"

    def __init__(self, path: str | Path | Address) -> None:
        self._video = open_video(path)
        if self._video.height % 2:
            self._video.close()
            raise DecodeError(self._video.name, "is no video of flow: x above y has an even height")
        super().__init__(
            self._video.name, timestamps=self._video.timestamps, fps=self._video.fps, seconds=self._video.duration_seconds,
            size=(self._video.height // 2, self._video.width), left_out=self._video.left_out,
        )  # fmt: skip

    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        grey = self._video.read(numbers)[..., 0]
        both = np.stack((grey[:, : self.height], grey[:, self.height :]), axis=-1)
        part = transforms.crop(both, crop or Box(0, 0, self.height, self.width))
        return transforms.resize(np.ascontiguousarray(part), self._size_of(size, crop))

    def close(self) -> None:
        """Close the video."""
        self._video.close()
