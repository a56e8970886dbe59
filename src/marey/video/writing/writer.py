"""Writes frames to a video file."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import atomic_path


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: float = 30,
    *,
    codec: str = "libx264",
    crf: int = 18,
    qp: int | None = None,
    preset: str = "medium",
    gop: int | None = None,
    bframes: int | None = None,
) -> None:
    """Write RGB frames as 4:2:0 video, atomically. The same frames and options give the same bytes.

    Args:
        path: The file; its suffix selects the container.
        frames: Frames, each uint8 [H, W, 3] with even sides.
        fps: Frame rate, in frames per second.
        codec: FFmpeg's name of the encoder.
        crf: Constant rate factor; lower values give better quality.
        qp: Constant quantiser for every frame, instead of `crf`.
        preset: The encoder's preset of speed and compression.
        gop: Distance of key frames; 1: every frame is a key frame. None: the encoder's default.
        bframes: Most consecutive B-frames; None: the encoder's default.

    Raises:
        DataError: there are no frames, a side is odd, sizes differ, or the container or codec is unknown.
        OSError: the file cannot be written.
    """
    rate = {"crf": str(crf)} if qp is None else {"qp": str(qp)}
    options = rate | {"preset": preset, "threads": "1"}
    if bframes is not None:
        options["bf"] = str(bframes)
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise DataError(f"{path}: there are no frames to write.")
    height, width = _checked_size(first, path)
    try:
        with atomic_path(path) as temporary, av.open(str(temporary), "w") as container:
            stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.thread_type = "NONE"
            if gop is not None:
                stream.codec_context.gop_size = gop
            # BT.601 in limited range, with tags: the default of swscale, and what readers assume.
            stream.codec_context.colorspace, stream.codec_context.color_range = 6, 1
            scaler = VideoReformatter()
            for frame in _checked_all(first, source, (height, width), path):
                picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                container.mux(
                    stream.encode(scaler.reformat(picture, format="yuv420p", dst_colorspace=5, dst_color_range=1))
                )
            container.mux(stream.encode(None))
    except OSError:  # includes FFmpeg's: a full disk is not a fault of the frames
        raise
    except (av.FFmpegError, ValueError) as error:
        raise DataError(f"{path}: cannot be written as video with {codec} ({error}).") from None


def _checked_all(
    first: NDArray[np.uint8], rest: Iterable[NDArray[np.uint8]], size: tuple[int, int], path: str | Path
) -> Iterable[NDArray[np.uint8]]:
    yield first
    for frame in rest:
        if _checked_size(frame, path) != size:
            raise DataError(f"{path}: frames change size from {size} to {frame.shape[:2]} (height, width).")
        yield frame


def _checked_size(frame: NDArray[np.uint8], path: str | Path) -> tuple[int, int]:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise DataError(f"{path}: frames must be uint8 [H, W, 3], got {frame.dtype} {list(frame.shape)}.")
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        raise DataError(f"{path}: 4:2:0 video needs even sides, got {height}x{width}: crop or pad one row or column.")
    return height, width
