"""Videos whose first key frame was cut away begin with the first frame that can be decoded; a warning counts the others."""

from pathlib import Path

import av
import numpy as np
import pytest

from marey.base.errors import DecodeError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.files.video_info import inspect_video
from marey.video.reading.conversion import Converter
from marey.video.reading.reader import open_video
from marey.video.writing.images import extract_frames
from marey.video.writing.transcode import transcode
from tests.support.made_videos import decoded_number, encode, without_head

CODED = {
    "h264": ("libx264", {"bf": "3"}),
    "h264_open": ("libx264", {"x264-params": "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0"}),
    "h264_refresh": ("libx264", {"x264-params": "intra-refresh=1:keyint=12:bframes=0:scenecut=0"}),
    "hevc_open": ("libx265", {"x265-params": "log-level=none:keyint=12:min-keyint=12:open-gop=1:bframes=3"}),
    "mpeg4": ("mpeg4", {"q": "2", "bf": "2"}),
    "mpeg4_plain": ("mpeg4", {"q": "2", "sc_threshold": "1000000000"}),
    "mpeg2": ("mpeg2video", {"q": "2", "bf": "2"}),
    "vp9": ("libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    "vp8": ("libvpx", {"deadline": "realtime"}),
}
"""Codec and options."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Makes each complete video once: 40 frames with a key frame at least every 12."""
    folder, made = tmp_path_factory.mktemp("whole"), {}

    def make(kind: str, suffix: str) -> Path:
        codec, options = CODED[kind]
        if (kind, suffix) not in made:
            made[kind, suffix] = encode(folder / f"{kind}.{suffix}", 40, codec=codec, options=options)
        return made[kind, suffix]

    return make


def sequential(path: Path) -> list[np.ndarray]:
    """The frames that FFmpeg shows from the beginning, continuing after errors as its command does."""
    converter, shown = Converter("rgb"), []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        for packet in container.demux(stream):
            try:
                shown += [converter.convert(p, None, None).copy() for p in stream.codec_context.decode(packet)]
            except av.FFmpegError:
                continue
    return shown


def assert_begins_at(path: Path, first: int, *, lacking: int) -> None:
    """The video is frames `first` to 39, the last ones of a sequential decode; the warning counts `lacking` frames."""
    expected = sequential(path)[first - 40 :]
    with reporting(reporter := CollectingReporter()):
        for _ in range(2):
            with open_video(path) as video:
                assert len(video) == 40 - first
                assert [decoded_number(frame) for frame in video.read(range(len(video)))] == list(range(first, 40))
                np.testing.assert_array_equal(video.read(range(len(video))), expected)
                for number in np.random.default_rng(0).permutation(len(video)).tolist():
                    np.testing.assert_array_equal(video.read([number])[0], expected[number])
                assert len(list(video.pictures())) == len(video)
    frames = (
        "first frame has no key frame and is" if lacking == 1 else f"first {lacking} frames have no key frame and are"
    )
    assert [message for _, message in reporter.take()] == [f"{path}: the {frames} left out"]


@pytest.mark.parametrize(
    ("kind", "suffix", "first", "lacking"),
    [
        ("h264", "mkv", 12, 9),
        ("h264", "ts", 12, 9),
        ("h264_open", "mkv", 12, 9),
        ("h264_open", "mp4", 12, 9),
        ("h264_refresh", "mkv", 14, 11),
        ("h264_refresh", "mp4", 14, 11),
        ("hevc_open", "mkv", 12, 9),
        ("hevc_open", "mp4", 12, 9),
        ("hevc_open", "ts", 12, 9),
        ("mpeg4", "avi", 12, 9),
        ("mpeg4_plain", "avi", 12, 9),
        ("mpeg4", "mkv", 12, 9),
        ("mpeg4", "mp4", 12, 9),
        ("mpeg2", "ts", 12, 9),
        ("mpeg2", "mkv", 12, 9),
        ("vp9", "mkv", 12, 9),
        ("vp8", "webm", 12, 9),
    ],
)
def test_cut_within_the_first_group(kind, suffix, first, lacking, whole, tmp_path) -> None:
    path = without_head(whole(kind, suffix), tmp_path / f"a.{suffix}", 3)
    assert_begins_at(path, first, lacking=lacking)


@pytest.mark.parametrize(
    ("kind", "first", "lacking"), [("h264_open", 12, 3), ("h264_refresh", 14, 2), ("hevc_open", 12, 2)]
)
def test_cut_at_a_later_key_frame(kind, first, lacking, whole, tmp_path) -> None:
    """Frames displayed before it refer to the previous group; an intra refresh takes some frames to complete."""
    source = whole(kind, "mkv")
    with av.open(str(source)) as container:
        keys = [number for number, packet in enumerate(container.demux(video=0)) if packet.is_keyframe]
    assert_begins_at(without_head(source, tmp_path / "a.mkv", keys[1]), first, lacking=lacking)


@pytest.mark.parametrize("kind", ["mpeg4", "vp9", "hevc_open"])
def test_no_key_frame_at_all(kind, whole, tmp_path) -> None:
    codec, options = CODED[kind]
    options = {name: value.replace("keyint=12", "keyint=60") for name, value in options.items()}
    source = encode(tmp_path / "long.mkv", 10, codec=codec, options=options, gop=60)
    path = without_head(source, tmp_path / "a.mkv", 3)
    with pytest.raises(DecodeError, match="a.mkv: holds no frames: it does not begin with a key frame"):
        open_video(path)


def test_key_frames_that_the_container_does_not_list(whole, tmp_path) -> None:
    """The stream has its key frame, the container marks another one: nothing was cut away."""
    path = tmp_path / "a.mkv"
    with av.open(str(whole("h264", "mkv"))) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(p for p in old.demux(video=0) if p.size):
            packet.stream, packet.is_keyframe = stream, number == 12
            new.mux(packet)
    with open_video(path) as video:
        assert [decoded_number(frame) for frame in video.read(range(len(video)))] == list(range(40))
        assert not video.left_out


def test_reading_at_random_across_an_intra_refresh(whole) -> None:
    """After a seek the decoder shows nothing until the refresh is complete: these frames need an earlier key frame."""
    path = whole("h264_refresh", "mkv")
    expected = sequential(path)
    for number in range(40):
        with open_video(path) as video:
            np.testing.assert_array_equal(video.read([number])[0], expected[number])


def test_times_begin_with_the_first_frame(whole, tmp_path) -> None:
    path = without_head(whole("h264", "mkv"), tmp_path / "a.mkv", 3)
    with open_video(path) as video:
        assert video.timestamps - video.timestamps[0] == pytest.approx(np.arange(28) / 25)
        assert video.fps == pytest.approx(25)
        assert video.duration_seconds == pytest.approx(28 / 25)


def test_every_command_reads_the_same_frames(whole, tmp_path) -> None:
    path = without_head(whole("h264", "mkv"), tmp_path / "a.mkv", 3)
    for check in ("open", "decode"):
        found = inspect_video(str(path), check)
        assert (found.frames, found.error, found.left_out) == (
            28,
            "",
            "the first 9 frames have no key frame and are left out",
        )
    transcode(path, tmp_path / "b.mp4", short_side=48)
    with open_video(tmp_path / "b.mp4") as video:
        assert decoded_number(video.read([0])[0]) == 12
        assert len(video) == 28
    extract_frames(path, tmp_path / "frames")
    assert len(list((tmp_path / "frames").iterdir())) == 28
