"""A re-encoded video has the same frames at the same times, the same colours, and close key frames."""

import re

import av
import cv2
import numpy as np
import pytest

from marey.base.errors import DecodeError
from marey.video.reading.image_folders import FrameFolder
from marey.video.reading.reader import open_video
from marey.video.writing.images import extract_frames
from marey.video.writing.transcode import even_size, transcode
from marey.video.writing.writer import write_video
from tests.support.made_videos import (
    avi_with_b_frames,
    coded_frame,
    constant_rate,
    decoded_number,
    edit_list,
    variable_rate,
)


@pytest.mark.parametrize("maker", [constant_rate, variable_rate, avi_with_b_frames, edit_list])
def test_frames_and_times_are_kept(maker, tmp_path) -> None:
    source = maker(tmp_path)
    transcode(source, tmp_path / "new" / "a.mp4", short_side=32, preset="ultrafast", crf=10)
    with open_video(source) as old, open_video(tmp_path / "new" / "a.mp4") as new:
        assert (new.height, new.width) == (32, 42)
        assert len(new) == len(old)
        np.testing.assert_allclose(new.timestamps, old.timestamps - old.timestamps[0], atol=1e-9)
        numbers = [[decoded_number(cv2.resize(f, (64, 48))) for f in v.read(range(len(old)))] for v in (old, new)]
    assert numbers[0] == numbers[1]


def test_a_lost_frame_is_seen(tmp_path, monkeypatch) -> None:
    source = constant_rate(tmp_path)
    with open_video(source) as video:
        whole = list(video.pictures())
    monkeypatch.setattr("marey.video.writing.transcode._ticks", lambda since, base: (2 * np.arange(len(whole)), base))
    with pytest.raises(DecodeError, match="their times changed"):
        transcode(source, tmp_path / "out" / "a.mp4", short_side=32, preset="ultrafast")
    assert list((tmp_path / "out").iterdir()) == []


def test_key_frames_and_no_sound(tmp_path) -> None:
    source = constant_rate(tmp_path)
    transcode(source, tmp_path / "a.mp4", short_side=32, gop=10, preset="ultrafast")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [s.type for s in container.streams] == ["video"]
        keys = [n for n, p in enumerate(p for p in container.demux(video=0) if p.size) if p.is_keyframe]
    assert np.diff([*keys, 60]).max() <= 10


@pytest.mark.parametrize(("space", "full"), [("bt709", False), ("bt709", True), ("bt470bg", True), (None, False)])
def test_colours_are_kept(space, full, tmp_path) -> None:
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        if space:
            stream.codec_context.colorspace = {"bt709": 1, "bt470bg": 5}[space]
        stream.codec_context.color_range = 2 if full else 1
        picture = av.VideoFrame(64, 64, "yuv420p")
        for number, value in enumerate((90, 170, 60)):
            np.asarray(picture.planes[number])[:] = value
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    transcode(path, tmp_path / "a.mp4", short_side=32, crf=4)
    with open_video(path) as old, open_video(tmp_path / "a.mp4") as new:
        pair = [v.read([0], size=(8, 8))[0].mean((0, 1)) for v in (old, new)]
    np.testing.assert_allclose(pair[0], pair[1], atol=1.5)


def test_sizes() -> None:
    assert even_size(1080, 1920, 256) == (256, 456)
    assert even_size(1920, 1080, 256) == (456, 256)
    assert even_size(240, 320, 256) == (240, 320)
    assert even_size(241, 321, 256) == (240, 320)
    assert even_size(4, 4, 256) == (4, 4)


def test_rotation_is_applied(shared, tmp_path) -> None:
    for name in ("decord_video_90.mov", "decord_video_180.mov", "decord_video_270.mov"):
        source = shared / "videos" / "decoder" / name
        transcode(source, tmp_path / f"{name}.mp4", short_side=128, crf=10)
        with open_video(source) as old, open_video(tmp_path / f"{name}.mp4") as new:
            size = (new.height, new.width)
            assert (new.height > new.width) == (old.height > old.width)
            difference = old.read([1], size=size).astype(int) - new.read([1])
        assert np.abs(difference).mean() < 6


def test_extract(tmp_path) -> None:
    write_video(tmp_path / "a.mp4", [coded_frame(n) for n in range(30)], fps=10, crf=5)
    extract_frames(tmp_path / "a.mp4", tmp_path / "all")
    extract_frames(tmp_path / "a.mp4", tmp_path / "part", size=(96, 128), seconds=(0.5, 1.0), template="{:03d}.png")
    with FrameFolder(tmp_path / "all") as folder:
        assert [decoded_number(f) for f in folder.read(range(30))] == list(range(30))
        with open_video(tmp_path / "a.mp4") as video:
            assert np.abs(folder.read([3]).astype(int) - video.read([3])).mean() < 6
    with FrameFolder(tmp_path / "part") as folder:
        assert (folder.height, folder.width) == (96, 128)
        assert [decoded_number(cv2.resize(f, (64, 48))) for f in folder.read(range(len(folder)))] == [5, 6, 7, 8, 9]
    assert sorted(p.name for p in (tmp_path / "part").iterdir())[0] == "001.png"


def test_a_broken_video_leaves_nothing(tmp_path) -> None:
    write_video(tmp_path / "a.mp4", [coded_frame(n) for n in range(30)], fps=10, gop=1)
    spoilt = bytearray((tmp_path / "a.mp4").read_bytes())
    spoilt[len(spoilt) // 2 : len(spoilt) // 2 + 5000] = b"\xff" * 5000
    (tmp_path / "a.mp4").write_bytes(spoilt)
    with pytest.raises(DecodeError, match="of 30"):
        extract_frames(tmp_path / "a.mp4", tmp_path / "out" / "all")
    with pytest.raises(DecodeError, match="of 30"):
        transcode(tmp_path / "a.mp4", tmp_path / "out" / "b.mp4", short_side=32)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_no_fault_of_the_video(tmp_path, full_disk) -> None:
    write_video(tmp_path / "a.mp4", [coded_frame(n) for n in range(30)], fps=10)
    for target, write in {
        "b.mp4": lambda path: transcode(tmp_path / "a.mp4", path, short_side=48),
        "c.mp4": lambda path: write_video(path, [coded_frame(n) for n in range(30)]),
        "frames": lambda path: extract_frames(tmp_path / "a.mp4", path, quality=100),
    }.items():
        path = tmp_path / "out" / target
        with full_disk(2000), pytest.raises(OSError, match=re.escape(f"File too large: '{path}'")) as caught:
            write(path)
        assert not isinstance(caught.value, av.FFmpegError)
    assert list((tmp_path / "out").iterdir()) == []
