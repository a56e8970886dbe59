"""Videos are rotated and mirrored as by the ffmpeg command, in all eight ways, wherever frames are used."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from marey.data.files.video_info import inspect_video
from marey.video.reading.conversion import Converter
from marey.video.reading.image_folders import FrameFolder
from marey.video.reading.reader import open_video
from marey.video.source import Box
from marey.video.writing.images import extract_frames
from marey.video.writing.transcode import transcode
from tests.support.made_videos import coded_frame, encode

ONE = 1 << 16
EIGHT = {
    "as stored": (ONE, 0, 0, ONE),
    "mirrored": (-ONE, 0, 0, ONE),
    "upside down": (ONE, 0, 0, -ONE),
    "half a turn": (-ONE, 0, 0, -ONE),
    "clockwise": (0, ONE, -ONE, 0),
    "counter-clockwise": (0, -ONE, ONE, 0),
    "transposed": (0, ONE, ONE, 0),
    "transposed along the other diagonal": (0, -ONE, -ONE, 0),
}
"""Entries a, b, c, d of the matrix."""

FILTERS = {
    "as stored": [],
    "mirrored": ["hflip"],
    "upside down": ["vflip"],
    "half a turn": ["hflip", "vflip"],
    "clockwise": ["transpose=clock"],
    "counter-clockwise": ["transpose=cclock"],
    "transposed": ["transpose=cclock_flip"],
    "transposed along the other diagonal": ["transpose=clock_flip"],
}
"""What ffmpeg's command puts in front of its own filters for these matrices (configure_input_video_filter)."""


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """An MP4 whose track header has this matrix (ISO/IEC 14496-12, 8.3.2)."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    assert content[at : at + 4] == struct.pack(">i", ONE)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def filtered(path: Path, filters: list[str]) -> list[np.ndarray]:
    """All frames as FFmpeg's filters show them."""
    shown = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            rgb = Converter("rgb")._full_rgb(picture)
            for name in filters:
                graph = av.filter.Graph()
                source = graph.add_buffer(width=rgb.shape[1], height=rgb.shape[0], format="rgb24", time_base=1)
                step, sink = graph.add(*name.split("=")), graph.add("buffersink")
                source.link_to(step)
                step.link_to(sink)
                graph.configure()
                graph.push(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24"))
                rgb = graph.pull().to_ndarray()
            shown.append(rgb.copy())
    return shown


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> bytes:
    return encode(tmp_path_factory.mktemp("stored") / "a.mp4", 6, options={"qp": "0"}).read_bytes()


@pytest.fixture(params=EIGHT)
def oriented(request, stored, tmp_path) -> tuple[Path, list[np.ndarray]]:
    """A video in one of the eight orientations, and its frames as they should be displayed."""
    path = tmp_path / "a.mp4"
    path.write_bytes(stored)
    return with_matrix(path, *EIGHT[request.param]), filtered(path, FILTERS[request.param])


@pytest.mark.parametrize("conversion", ["rgb", "planes"])
def test_read_shows_what_ffmpeg_shows(oriented, conversion) -> None:
    path, expected = oriented
    with open_video(path, conversion=conversion) as video:
        assert (video.height, video.width) == expected[0].shape[:2]
        np.testing.assert_array_equal(video.read(range(6)), expected)
        box = Box(3, 5, 20, 30)
        np.testing.assert_array_equal(video.read([4], crop=box)[0], expected[4][3:23, 5:35])


def test_every_other_use_shows_the_same(oriented, tmp_path) -> None:
    path, expected = oriented
    height, width = expected[0].shape[:2]
    found = inspect_video(str(path), "open")
    assert (found.height, found.width) == (height, width)
    extract_frames(path, tmp_path / "frames", template="img_{:05d}.png")
    np.testing.assert_array_equal(FrameFolder(tmp_path / "frames").read(range(6)), expected)
    transcode(path, tmp_path / "b.mp4", short_side=48, crf=1)
    with open_video(tmp_path / "b.mp4") as video:
        assert (video.height, video.width) == (height, width)
        assert np.abs(video.read(range(6)).astype(int) - expected).mean() < 6


@pytest.mark.parametrize("turn", [1, 30, 45, 50, 89, 135])
def test_other_angles_are_left_as_stored(turn, stored, tmp_path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(stored)
    cosine, sine = (round(ONE * f(np.radians(turn))) for f in (np.cos, np.sin))
    with_matrix(path, cosine, sine, -sine, cosine)
    with open_video(path) as video:
        np.testing.assert_array_equal(video.read(range(6)), filtered(path, []))


def test_a_matrix_that_also_scales(stored, tmp_path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(stored)
    with_matrix(path, -2 * ONE, 0, 0, ONE // 2)
    with open_video(path) as video:
        np.testing.assert_array_equal(video.read(range(6)), filtered(path, ["hflip"]))


def test_a_matrix_of_zeros(stored, tmp_path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(stored)
    with_matrix(path, 0, 0, 0, 0)
    with open_video(path) as video:
        np.testing.assert_array_equal(video.read(range(6)), filtered(path, []))


@pytest.mark.parametrize(("options", "name"), [("flip=horizontal", "mirrored"), ("flip=vertical", "upside down")])
def test_a_message_in_the_stream(options, name, stored, tmp_path) -> None:
    """H.264's display orientation message, which FFmpeg returns as a display matrix of the frames."""
    (tmp_path / "a.mp4").write_bytes(stored)
    path = tmp_path / "b.mkv"
    with av.open(str(tmp_path / "a.mp4")) as source, av.open(str(path), "w") as target:
        old = source.streams.video[0]
        new = target.add_stream_from_template(old)
        insert = BitStreamFilterContext(f"h264_metadata=display_orientation=insert:{options}", old)
        for packet in source.demux(old):
            for changed in insert.filter(packet if packet.size else None):
                changed.stream = new
                target.mux(changed)
    with open_video(path) as video:
        np.testing.assert_array_equal(video.read([0])[0], filtered(path, FILTERS[name])[0])


def test_coded_frames_differ_in_all_eight_ways() -> None:
    frame = coded_frame(5)
    ways = [np.rot90(way, turns) for way in (frame, frame[:, ::-1]) for turns in range(4)]
    assert len({way.tobytes() for way in ways}) == 8
