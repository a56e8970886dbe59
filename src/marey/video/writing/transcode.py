"""Re-encodes a video file for training: smaller, with close key frames, and the same frames at the same times."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from marey.base.errors import DataError, DecodeError
from marey.base.files import atomic_path
from marey.base.words import counted
from marey.video.reading.conversion import plane_array
from marey.video.reading.orientation import AS_STORED, Orientation, orientation_of
from marey.video.reading.reader import open_video

_FINE = Fraction(1, 90_000)
"""Time base, in seconds per tick, if the file's own cannot represent the times of its frames."""

_UNSPECIFIED, _BT601, _LIMITED, _FULL = 2, 5, 1, 2
"""AVColorSpace and AVColorRange."""


def transcode(
    source: Path, target: Path, *, short_side: int, crf: int = 20, gop: int = 32, preset: str = "medium"
) -> None:
    """Write `source` as H.264 without sound, with its shorter side reduced to `short_side` pixels (bicubic), atomically.

    All frames are written, at their times relative to the first one, also with a variable rate. Videos are never enlarged.
    Sides are rounded to even numbers. Rotation and mirroring are applied to the pixels; colour space and range stay.
    Before the file is renamed to `target`, its frames are counted.

    Args:
        source: The video file.
        target: The file to write.
        short_side: Length of the shorter side, in pixels.
        crf: Constant rate factor; lower values give better quality.
        gop: Largest distance of key frames, in frames.
        preset: The encoder's preset of speed and compression.

    Raises:
        DecodeError: a frame of the source cannot be decoded.
        DataError: it cannot be written as H.264.
        OSError: `target` cannot be written.
    """
    with open_video(source) as video:
        size = even_size(video.height, video.width, short_side)
        since = video.timestamps - video.timestamps[0]
        ticks, base = _ticks(since, Fraction(next(video.pictures()).time_base or _FINE))
        try:
            with atomic_path(target) as temporary:
                with av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container:
                    options = {"crf": str(crf), "preset": preset, "threads": "1"}
                    stream: Any = container.add_stream("libx264", options=options)
                    stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
                    codec = stream.codec_context
                    codec.time_base, codec.framerate = base, Fraction(video.fps).limit_denominator(1001)
                    codec.thread_type, codec.gop_size = "NONE", gop
                    scaler = _Scaler(size)
                    for tick, picture in zip(ticks.tolist(), video.pictures(), strict=True):
                        small = scaler.scale(picture)
                        if not tick:
                            _tag(codec, small)
                        small.pts, small.time_base = tick, base
                        container.mux(stream.encode(small))
                    container.mux(stream.encode(None))
                _compare_with_source(temporary, since, source)
        except OSError:  # includes FFmpeg's: a full disk is not a fault of the video
            raise
        except (av.FFmpegError, ValueError) as error:
            raise DataError(f"{target}: cannot be written as H.264 ({error}).") from None


def even_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) with the given shorter side, or the original one if that is smaller, rounded to even numbers."""
    scale = min(1.0, short_side / min(height, width))
    return max(2, round(height * scale / 2) * 2), max(2, round(width * scale / 2) * 2)


def _ticks(since: NDArray[np.float64], base: Fraction) -> tuple[NDArray[np.int64], Fraction]:
    """The frames' times in ticks of a time base: `base` if it can represent them, else a finer one."""
    for unit in (base, _FINE):
        ticks = np.rint(since / float(unit)).astype(np.int64)
        if (np.diff(ticks) > 0).all() and np.abs(ticks * float(unit) - since).max() < 1e-5:
            return ticks, unit
    raise ValueError("the times of its frames do not ascend")


class _Scaler:
    """Scales the pictures of one video, and rotates and mirrors them as displayed."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._reformatter = VideoReformatter()

    def scale(self, picture: VideoFrame) -> VideoFrame:
        orientation = orientation_of(picture)
        height, width = self._size[::-1] if orientation.transposed else self._size
        yuv = picture.format.name.startswith("yuv")
        # RGB has no YUV matrix: it becomes BT.601 in limited range, which readers assume without tags.
        space = int(picture.colorspace) if yuv else _BT601
        full = yuv and (int(picture.color_range) == _FULL or picture.format.name.startswith("yuvj"))
        small = self._reformatter.reformat(
            picture,
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=space if yuv else None,
            dst_colorspace=space,
            src_color_range=_FULL if full or not yuv else _LIMITED,
            dst_color_range=_FULL if full else _LIMITED,
            interpolation="BICUBIC",
        )
        return _untyped(small) if orientation == AS_STORED else _upright(small, orientation)


def _upright(picture: VideoFrame, orientation: Orientation) -> VideoFrame:
    """The picture rotated and mirrored as displayed, plane by plane."""
    planes = [orientation.upright(plane_array(picture, number)) for number in range(3)]
    upright = VideoFrame(planes[0].shape[1], planes[0].shape[0], "yuv420p")
    for number, plane in enumerate(planes):
        plane_array(upright, number)[:] = plane
    upright.colorspace, upright.color_range = picture.colorspace, picture.color_range
    return upright


def _untyped(picture: VideoFrame) -> VideoFrame:
    """The picture without the source's picture type, so that the encoder chooses key frames."""
    picture.pict_type = 0
    return picture


def _tag(codec: Any, picture: VideoFrame) -> None:
    """Write the colour tags into the file."""
    if int(picture.colorspace) != _UNSPECIFIED:
        codec.colorspace = int(picture.colorspace)
    codec.color_range = int(picture.color_range)


def _compare_with_source(path: Path, times: NDArray[np.float64], source: Path) -> None:
    """Compare the number of written frames and their times with the source.

    Raises:
        DecodeError: they differ.
    """
    with open_video(path) as written:
        times_written = written.timestamps - written.timestamps[0]
    if len(times_written) != len(times) or np.abs(times_written - times).max() > 1e-4:
        raise DecodeError(source, f"{counted(len(times), 'frame')} became {len(times_written)}, or their times changed")
