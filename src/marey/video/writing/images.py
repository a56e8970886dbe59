"""Writes images, and the frames of a video as a folder of images."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import atomic_folder
from marey.video.pixels.transforms import short_side_size
from marey.video.reading.reader import open_video
from marey.video.source import Size

_CHUNK = 64
"""Frames that are in memory at once."""


def extract_frames(
    source: Path,
    target: Path,
    *,
    size: Size | None = None,
    short_side: int | None = None,
    quality: int = 95,
    template: str = "img_{:05d}.jpg",
    seconds: tuple[float, float] | None = None,
    frames: tuple[int, int | None] | None = None,
) -> None:
    """Write the frames of a video as images, numbered from 1, into a folder, atomically.

    Args:
        source: The video file.
        target: The folder.
        size: (height, width) to resize to, bilinearly, without keeping the aspect ratio.
        short_side: Length of the shorter side to resize to, bilinearly, keeping the aspect ratio.
        quality: JPEG quality, 1 to 100.
        template: Format of the file names; the suffix selects the image format.
        seconds: Write only frames shown from the first time to the second (excluded), in seconds after the video's first
            frame.
        frames: Write only frames from the first index to the second (excluded; None: to the end).

    Raises:
        DecodeError: a frame of the source cannot be decoded.
        DataError: the segment has no frame, or OpenCV cannot write such images.
        OSError: `target` cannot be written.
    """
    with atomic_folder(target) as temporary, open_video(source) as video:
        times = video.timestamps - video.timestamps[0]
        first, last = (0, len(video)) if seconds is None else np.searchsorted(times, np.array(seconds) - 1e-6)
        if frames is not None:
            first, last = frames[0], len(video) if frames[1] is None else min(frames[1], len(video))
        if last <= first:
            segment = f"between {seconds} s" if frames is None else f"from frame {frames[0]} on: it has {len(video)}"
            raise DataError(f"{source}: no frame lies {segment}.")
        if short_side is not None:
            size = short_side_size(video.height, video.width, short_side)
        for start in range(first, last, _CHUNK):
            numbers = range(start, min(start + _CHUNK, last))
            for number, frame in zip(numbers, video.read(numbers, size=size), strict=True):
                path = temporary / template.format(number - first + 1)
                write_image(path, frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])


def write_image(path: Path, image: NDArray[np.uint8], options: Sequence[int] = ()) -> None:
    """Write an image uint8 [H, W] or [H, W, 3] (BGR); the suffix selects the format, and `options` are OpenCV's.

    Raises:
        DataError: OpenCV cannot write such images.
        OSError: the file cannot be written.
    """
    try:
        done, content = cv2.imencode(path.suffix, image, options)
    except cv2.error as error:
        raise DataError(f"{path.name}: OpenCV cannot write such images ({error.err}).") from None
    if not done:
        raise DataError(f"{path.name}: OpenCV cannot write such images.")
    path.write_bytes(content.tobytes())
