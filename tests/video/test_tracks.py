"""The video track is read and not an image beside it, in every container that can hold pictures."""

import base64
import struct
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition

from marey.base.errors import DecodeError
from marey.video.reading.reader import open_video
from tests.support.made_videos import coded_frame, decoded_number

Part = Callable[[av.container.OutputContainer], Callable[[], None]]
"""Adds a track to a container; what it returns writes the track's packets."""

UNMARKED = Disposition(0)

JPEG = cv2.imencode(".jpg", coded_frame(255))[1].tobytes()


def video_track(count: int, *, first: int = 0, codec: str = "libx264", marks: Disposition | None = None) -> Part:
    """`count` coded frames, numbered from `first`."""

    def add(container):
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if marks is not None:
            stream.disposition = marks

        def write():
            for number in range(first, first + count):
                image_track = av.VideoFrame.from_ndarray(coded_frame(number), format="rgb24")
                container.mux(stream.encode(image_track.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode(None))

        return write

    return add


def image_track(marks: Disposition = UNMARKED) -> Part:
    """A JPEG as a track of one packet."""

    def add(container):
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt, stream.disposition = 64, 48, "yuvj420p", marks

        def write():
            packet = av.Packet(JPEG)
            packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
            container.mux(packet)

        return write

    return add


def attachment(container):
    container.add_attachment("cover.jpg", "image/jpeg", JPEG)
    return lambda: None


def sound(codec: str, *, cover: bool = False) -> Part:
    """A fifth of a second of silence; `cover` puts an image into its comments, as in OGG."""

    def add(container):
        stream = container.add_stream(codec, rate=48000)
        stream.codec_context.layout = "mono"
        if cover:
            head = struct.pack(">II10sI", 3, 10, b"image/jpeg", 0) + struct.pack(">5I", 64, 48, 24, 0, len(JPEG))
            stream.metadata["METADATA_BLOCK_PICTURE"] = base64.b64encode(head + JPEG).decode()

        def write():
            context = stream.codec_context
            resampler = av.AudioResampler(
                format=context.format.name, layout="mono", rate=48000, frame_size=context.frame_size or 1024
            )
            for number in range(10):
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
                silence.sample_rate, silence.pts = 48000, 1024 * number
                for frame in resampler.resample(silence):
                    container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

        return write

    return add


def made(path: Path, *parts: Part) -> Path:
    with av.open(str(path), "w") as container:
        for write in [part(container) for part in parts]:
            write()
    return path


def shown(path: Path) -> list[int]:
    """The indices of the frames of a file, read in order and at random."""
    with open_video(path) as video:
        numbers = [decoded_number(frame) for frame in video.read(range(len(video)))]
        for number in np.random.default_rng(0).permutation(len(video)).tolist():
            assert decoded_number(video.read([number])[0]) == numbers[number]
    return numbers


COVER = Disposition.attached_pic


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *[(f"jpeg_first.{kind}", (image_track(), video_track(30))) for kind in ("mp4", "mov", "mkv", "avi", "wmv")],
        *[(f"jpeg_default.{kind}", (image_track(Disposition.default), video_track(30))) for kind in ("mp4", "mkv")],
        *[
            (f"preview.{kind}", (video_track(5, first=90, codec="mjpeg"), video_track(30)))
            for kind in ("mp4", "mov", "mkv", "avi")
        ],
        *[(f"one_frame_first.{kind}", (video_track(1, first=90), video_track(30))) for kind in ("mp4", "mkv", "avi")],
        *[(f"motion_jpeg.{kind}", (image_track(), video_track(30, codec="mjpeg"))) for kind in ("mov", "mkv", "avi")],
        *[(f"cover.{kind}", (image_track(COVER), video_track(30))) for kind in ("mp4", "mov", "mkv")],
        ("cover_last.mp4", (video_track(30), image_track(COVER))),
        ("attachment.mkv", (video_track(30), attachment)),
        ("with_sound.mp4", (sound("aac"), image_track(), video_track(30))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_video_and_not_an_image_beside_it(name, parts, tmp_path) -> None:
    assert shown(made(tmp_path / name, *parts)) == list(range(30))


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_the_default_one_of_two_videos(kind, tmp_path) -> None:
    marked, plain = Disposition.default, UNMARKED
    second = made(tmp_path / f"second.{kind}", video_track(20, first=40, marks=plain), video_track(10, marks=marked))
    assert shown(second) == list(range(10))
    both = made(tmp_path / f"both.{kind}", video_track(5, marks=marked), video_track(20, first=40, marks=marked))
    assert shown(both) == list(range(5))
    if kind == "mkv":  # MP4 marks at least one track
        none = made(tmp_path / f"none.{kind}", video_track(5, marks=plain), video_track(20, first=40, marks=plain))
        assert shown(none) == list(range(5))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("song.mp3", (sound("libmp3lame"), image_track(COVER))),
        ("song.flac", (sound("flac"), image_track(COVER))),
        ("song.mp4", (sound("aac"), image_track(COVER))),
        ("song.ogg", (sound("libopus", cover=True),)),
        ("song.mka", (sound("aac"), attachment)),
        ("song.mkv", (sound("aac"), image_track())),
        ("song.avi", (sound("libmp3lame"), image_track())),
        ("song.mov", (sound("aac"), image_track(Disposition.default))),
    ],
)
def test_a_song_with_a_cover_is_no_video(name, parts, tmp_path) -> None:
    path = made(tmp_path / name, *parts)
    with pytest.raises(DecodeError, match=rf"{name}: holds sound and a cover picture, but no video$"):
        open_video(path)
    with pytest.raises(DecodeError, match="holds sound and a cover picture, but no video$"):
        open_video(path.read_bytes())


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("one.mp4", (video_track(1),)),
        ("one.mkv", (image_track(),)),
        ("one_with_sound.mp4", (sound("aac"), video_track(1))),
        ("motion_jpeg_with_sound.mov", (sound("aac"), video_track(1, codec="mjpeg"), video_track(1))),
    ],
)
def test_a_video_of_one_frame_is_a_video(name, parts, tmp_path) -> None:
    with open_video(made(tmp_path / name, *parts)) as video:
        assert len(video) == 1
