"""Stored flow: folders of image pairs, which the older toolkits read, or one video file. Both are written atomically."""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from marey.base.address import Address, Location
from marey.base.errors import DataError, DecodeError
from marey.base.files import atomic_folder, atomic_path, write_json
from marey.video.pixels import transforms
from marey.video.reading.image_folders import FLOW_NOTE
from marey.video.reading.reader import open_video
from marey.video.source import Box, Frames, FrameSource, Size
from marey.video.writing.images import write_image

Storage = Literal["jpg", "png", "video", "lossless"]
"""How flow is stored. "jpg": images of JPEG quality 95; "png": PNG images; "video": H.264 whose loss is half as
large as that of rounding to 8 bits; "lossless": H.264 without loss."""

VIDEO_SUFFIX = ".flow.mkv"
"""End of the names of video files of flow."""
TEMPLATE = "flow_{}_{:05d}"
"""MMAction's names of flow images: x or y, then a number from 1."""
UNFINISHED = ".unfinished"
"""End of the names of folders that are being written. They begin with a dot."""

_CRF = {"video": 12, "lossless": 0}
"""H.264 quality (constant rate factor) by storage."""
_KEY_FRAMES = 32
"""Distance of key frames, in fields: at most so many are decoded before the first one of a clip."""


def is_flow_video(path: Location) -> bool:
    """Whether a path names a video file of flow, as `marey data flow` writes it."""
    return path.name.endswith(VIDEO_SUFFIX)


def flow_path(folder: Path, stem: str, storage: Storage) -> Path:
    """The path of the stored flow of a video: a folder of images, or a video file."""
    return folder / (stem if storage in ("jpg", "png") else stem + VIDEO_SUFFIX)


def check_template(template: str) -> None:
    """Refuse names of images that readers of flow folders do not recognise.

    Raises:
        DataError: the template is not of the form flow_{}_{:05d} or {}_{:05d}.
    """
    if not re.fullmatch(r"(flow_)?\{\}_\{:0[1-9]d\}", template):
        raise DataError(
            f"--template {template}: expected flow_{{}}_{{:05d}} or {{}}_{{:05d}}: x or y, then the number."
        )


def write_flow(
    path: Path, chunks: Iterable[NDArray[np.uint8]], fps: float, *, storage: Storage, template: str = TEMPLATE
) -> int:
    """Write chunks of fields uint8 [T, H, W, 2] to `path`, atomically; returns the number of fields.

    Raises:
        DataError: there are no fields.
    """
    write = _write_images if storage in ("jpg", "png") else _write_video
    return write(path, chunks, fps, storage, template)


def _write_images(
    target: Path, chunks: Iterable[NDArray[np.uint8]], fps: float, storage: Storage, template: str
) -> int:
    count = 0
    with atomic_folder(target, suffix=UNFINISHED) as temporary:
        for field in _single_fields(chunks):
            count += 1
            for axis, levels in zip("xy", np.moveaxis(field, -1, 0), strict=True):
                path = temporary / f"{template.format(axis, count)}.{storage}"
                write_image(path, np.ascontiguousarray(levels))
        if not count:
            raise DataError(f"{target}: there is no flow to write.")
        write_json(temporary / FLOW_NOTE, {"fps": fps, "fields": count})
    return count


def _write_video(path: Path, chunks: Iterable[NDArray[np.uint8]], fps: float, storage: Storage, template: str) -> int:
    """Write grey H.264, with x above y in one frame of twice the height: both are decoded at once, and any size is valid."""
    count = 0
    options = {"crf": str(_CRF[storage]), "preset": "medium", "threads": "1"}
    with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        for field in _single_fields(chunks):
            if not count:
                stream.width, stream.height, stream.pix_fmt = field.shape[1], 2 * field.shape[0], "gray"
                stream.codec_context.color_range = 2  # full range: all of 0..255 are levels
                stream.codec_context.gop_size = _KEY_FRAMES
            picture = VideoFrame.from_ndarray(np.concatenate((field[..., 0], field[..., 1])), format="gray")
            container.mux(stream.encode(picture))
            count += 1
        if not count:
            raise DataError(f"{path}: there is no flow to write.")
        container.mux(stream.encode(None))
    return count


def _single_fields(chunks: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    for chunk in chunks:
        yield from chunk


class FlowVideo(FrameSource):
    """A video file of flow as `marey data flow` writes it, read as fields [T, H, W, 2] (x, y) like those of a `FlowFolder`.

    Raises:
        DecodeError: there is no such file, or its height is odd.
    """

    _unit = "flow field"

    def __init__(self, path: str | Path | Address) -> None:
        self._video = open_video(path)
        if self._video.height % 2:
            self._video.close()
            raise DecodeError(self._video.name, "is not a video of flow: with x above y, its height would be even")
        super().__init__(
            self._video.name, timestamps=self._video.timestamps, fps=self._video.fps, seconds=self._video.duration_seconds,
            size=(self._video.height // 2, self._video.width), left_out=self._video.left_out,
        )  # fmt: skip

    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        grey = self._video.read(numbers)[..., 0]
        both = np.stack((grey[:, : self.height], grey[:, self.height :]), axis=-1)
        cropped = transforms.crop(both, crop or Box(0, 0, self.height, self.width))
        return transforms.resize(np.ascontiguousarray(cropped), self._size_of(size, crop))

    def close(self) -> None:
        """Close the video."""
        self._video.close()
