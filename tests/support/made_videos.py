"""Generated video files with known content: each frame shows its index in binary."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from marey.video.writing.writer import write_video

HEIGHT, WIDTH = 48, 64


def coded_frame(number: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A frame whose columns show `number` in binary, over a moving texture."""
    rng = np.random.default_rng(number)
    frame = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    for bit in range(8):
        if number >> bit & 1:
            frame[: height // 2, bit * width // 8 : (bit + 1) * width // 8] += 160
    return frame


def decoded_number(frame: NDArray[np.uint8]) -> int:
    """The number that `coded_frame` wrote, read from the pixels."""
    height, width = frame.shape[:2]
    columns = frame[2 : height // 2 - 2].mean(axis=(0, 2)).reshape(8, width // 8)[:, 1:-1].mean(axis=1)
    return sum(1 << bit for bit in range(8) if columns[bit] > 110)


def write_videos(
    folder: Path,
    per_class: int,
    *,
    classes: Sequence[str] = ("jump", "run"),
    frames: int | Sequence[int] = 8,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    fps: float = 10,
    suffix: str = ".mp4",
) -> Path:
    """Videos v0, v1 and so on in a folder of each class; no two have the same content. Returns `folder`.

    Args:
        folder: Where the folders of the classes are made.
        per_class: Number of videos of each class.
        classes: Names of the classes.
        frames: Number of frames of every video, or of each video of a class. Video i of class c begins with frame 7 i + c.
        size: Height and width.
        fps: Frame rate, in frames per second.
        suffix: Of the files; it selects the container.
    """
    lengths = [frames] * per_class if isinstance(frames, int) else frames
    for place, label in enumerate(classes):
        for i, length in zip(range(per_class), lengths, strict=True):
            coded = [coded_frame(n + 7 * i + place, *size) for n in range(length)]
            write_video(folder / label / f"v{i}{suffix}", coded, fps=fps, preset="ultrafast")
    return folder


def encode(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pts: list[int] | None = None,
    gop: int = 12,
) -> Path:
    """`count` coded frames; `pts` in milliseconds makes the frame rate variable."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"threads": "1", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = gop
        if pts:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(count):
            picture = av.VideoFrame.from_ndarray(coded_frame(number), format="rgb24")
            if pts:
                picture.pts, picture.time_base = pts[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def constant_rate(folder: Path) -> Path:
    return encode(folder / "cfr.mp4", 60, options={"bf": "3"})


def variable_rate(folder: Path) -> Path:
    steps = np.random.default_rng(1).integers(10, 120, 60)
    return encode(folder / "vfr.mp4", 60, options={"bf": "2"}, pts=np.cumsum(steps).tolist())


def avi_with_b_frames(folder: Path) -> Path:
    return encode(folder / "bframes.avi", 50, codec="mpeg4", options={"bf": "2", "q": "2"})


def avi_without_b_frames(folder: Path) -> Path:
    return encode(folder / "plain.avi", 50, codec="mpeg4", options={"q": "2"})


def open_gop(folder: Path) -> Path:
    params = "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"
    return encode(folder / "opengop.mp4", 60, options={"x264-params": params})


def long_gop(folder: Path) -> Path:
    return encode(folder / "longgop.mkv", 120, options={"bf": "3"}, gop=250)


def hevc(folder: Path) -> Path:
    return encode(folder / "hevc.mp4", 40, codec="libx265", options={"x265-params": "log-level=none:keyint=10"})


def edit_list(folder: Path, cut: int = 17) -> Path:
    """A stream copy cut in the middle of a group of pictures: an edit list hides some of its packets."""
    source = encode(folder / "whole.mp4", 60, options={"bf": "2"}, gop=12)
    path = folder / "cut.mp4"
    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        base = old.streams.video[0].time_base
        start = round(Fraction(cut, 25) / base)
        key = 0
        packets = [p for p in old.demux(video=0) if p.size]
        for number, packet in enumerate(packets):
            if packet.is_keyframe and packet.pts <= start:
                key = number
        for packet in packets[key:]:
            packet.stream = stream
            packet.pts, packet.dts = packet.pts - start, packet.dts - start
            new.mux(packet)
    return path


MAKERS = (
    constant_rate,
    variable_rate,
    avi_with_b_frames,
    avi_without_b_frames,
    open_gop,
    long_gop,
    hevc,
    edit_list,
)


def without_head(source: Path, path: Path, packets: int) -> Path:
    """A stream copy without the first packets, as tools make it that cut without re-encoding."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            if number >= packets:
                packet.stream = stream
                new.mux(packet)
    return path
