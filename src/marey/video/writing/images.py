"""A video file as a folder of images."""

from pathlib import Path

import cv2
import numpy as np

from marey.base.errors import DataError
from marey.base.files import atomic_folder
from marey.video.pixels.transforms import short_side_size
from marey.video.reading.frames import write_image
from marey.video.reading.reader import open_video
from marey.video.source import Size

_AT_ONCE = 64
"""Frames in memory."""


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
    """Write every frame of `source`, or those shown from `seconds[0]` to `seconds[1]`, or from frame `frames[0]` up to the
    one before `frames[1]` (from 0; None: to the end), as images numbered from 1.

    `size` (height, width) stretches, `short_side` keeps the ratio; both bilinear, as the reader resizes. `quality` is
    JPEG's, 1 to 100. The folder `target` is whole or absent.

    Raises:
        DecodeError: a frame of the source cannot be decoded.
        DataError: no frame lies in that part, or OpenCV cannot write such images.
        OSError: `target` cannot be written.
    """
    with atomic_folder(target) as partial, open_video(source) as video:
        times = video.timestamps - video.timestamps[0]
        first, last = (0, len(video)) if seconds is None else np.searchsorted(times, np.array(seconds) - 1e-6)
        if frames is not None:
            first, last = frames[0], len(video) if frames[1] is None else min(frames[1], len(video))
        if last <= first:
            part = f"between {seconds} s" if frames is None else f"from frame {frames[0]} on: it has {len(video)}"
            raise DataError(f"{source}: no frame lies {part}.")
        if short_side is not None:
            size = short_side_size(video.height, video.width, short_side)
        for start in range(first, last, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, last))
            for number, frame in zip(numbers, video.read(numbers, size=size), strict=True):
                path = partial / template.format(number - first + 1)
                write_image(path, frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
