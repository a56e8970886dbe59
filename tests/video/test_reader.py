"""Every read is bit-identical to a sequential decode by the same conversion; every error states where and why."""

import contextlib
import gc
import io
import os
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from marey.base.errors import DataError, DecodeError
from marey.video.reading.conversion import Conversion, Converter
from marey.video.reading.image_folders import FrameFolder
from marey.video.reading.reader import Video, open_video
from marey.video.source import Box
from tests.support.made_videos import (
    MAKERS,
    avi_with_b_frames,
    constant_rate,
    decoded_number,
    edit_list,
    encode,
    long_gop,
    variable_rate,
)
from tests.support.platforms import posix

SIZE = (40, 56)


def sequential(path: Path, conversion: Conversion, size=None, crop=None) -> list[np.ndarray]:
    """All frames, by a separate decoder that never seeks or skips."""
    converter = Converter(conversion)
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        return [converter.convert(picture, crop, size).copy() for picture in container.decode(video=0)]


def orders(count: int) -> list[np.ndarray]:
    """Random, strided, repeated, last, backwards: the orders in which samplers read."""
    rng = np.random.default_rng(count)
    return [
        rng.integers(0, count, 8),
        np.arange(0, count, max(count // 7, 1)),
        np.array([count - 1]),
        np.array([0, 0, count - 1, count // 2, count // 2, 0]),
        np.arange(min(count, 20)),
        np.arange(min(count, 40), min(count, 60)),
        np.arange(count - 1, -1, -max(count // 5, 1)),
        rng.integers(0, count, 3),
    ]


def assert_reads_equal(path: Path, conversion: Conversion, size=SIZE, crop=None) -> None:
    expected = sequential(path, conversion, size, crop)
    with open_video(path, conversion=conversion) as video:
        assert len(video) == len(expected) == len(video.timestamps)
        assert (np.diff(video.timestamps) > 0).all()
        for indices in orders(len(video)) * 2:
            frames = video.read(indices, size=size, crop=crop)
            for frame, index in zip(frames, indices, strict=True):
                np.testing.assert_array_equal(frame, expected[index])


@pytest.mark.parametrize("conversion", ["rgb", "planes"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda m: m.__name__)
def test_generated_files_read_equal_to_a_sequential_decode(make, conversion, tmp_path) -> None:
    assert_reads_equal(make(tmp_path), conversion)


BROKEN = {"decord_corrupted.mp4"}
LARGE = {
    "testsrc2.mp4",
    "testsrc2_h265.mp4",
    "testsrc2_mpeg4.avi",
    "bt709_full_range.mp4",
    "testsrc2_vp8.webm",
}
LARGE |= {"testsrc2_vp9.webm", "one-by-one-person-detection.mp4"}


@pytest.mark.parametrize("folder", ["decoder", "clips"])
def test_real_files_read_equal_to_a_sequential_decode(shared, folder) -> None:
    for path in sorted((shared / "videos" / folder).iterdir()):
        if path.name not in BROKEN | LARGE:
            assert_reads_equal(path, "rgb")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["decoder", "clips"])
def test_real_files_read_equal_in_both_conversions_and_cropped(shared, folder) -> None:
    for path in sorted((shared / "videos" / folder).iterdir()):
        if path.name in BROKEN:
            continue
        assert_reads_equal(path, "planes")
        with open_video(path) as video:
            crop = Box(video.height // 8, video.width // 4, max(video.height // 2, 1), max(video.width // 2, 1))
        for conversion in ("rgb", "planes"):
            assert_reads_equal(path, conversion, size=None, crop=crop)
            assert_reads_equal(path, conversion, size=(33, 47), crop=crop)
        if path.name in LARGE:
            assert_reads_equal(path, "rgb")


def test_content_is_the_frame_asked_for(tmp_path) -> None:
    with open_video(constant_rate(tmp_path)) as video:
        indices = [5, 59, 0, 31, 31]
        assert [decoded_number(f) for f in video.read(indices)] == indices


def test_edit_list_shows_what_players_show(tmp_path) -> None:
    with open_video(edit_list(tmp_path, cut=17)) as video:
        assert decoded_number(video.read([0])[0]) == 17
        assert len(video) == 43


def test_variable_rate_has_true_times(tmp_path) -> None:
    with open_video(variable_rate(tmp_path)) as video:
        steps = np.diff(video.timestamps) * 1000
        assert np.allclose(steps, np.random.default_rng(1).integers(10, 120, 60)[1:], atol=1.0)
        assert video.fps == pytest.approx(59 / (video.timestamps[-1] - video.timestamps[0]))


def test_sequential_reads_decode_no_frame_twice(tmp_path, monkeypatch) -> None:
    fed = []
    feed = Video._feed
    monkeypatch.setattr(Video, "_feed", lambda self, wanted: fed.append(1) or feed(self, wanted))
    with open_video(long_gop(tmp_path)) as video:
        for start in range(0, 120, 10):
            video.read(range(start, start + 10), size=SIZE)
    assert len(fed) <= 122


def test_a_distant_read_seeks_to_a_key_frame(tmp_path, monkeypatch) -> None:
    fed = []
    feed = Video._feed
    monkeypatch.setattr(Video, "_feed", lambda self, wanted: fed.append(1) or feed(self, wanted))
    with open_video(constant_rate(tmp_path)) as video:
        fed.clear()
        video.read([50])
        group = int(video._index.keys[video._index.keys <= 50].max())
    assert group > 0
    assert len(fed) <= 50 - group + 1 + 3, "from the key frame on, and what the decoder holds back for B-frames"


def test_bytes_and_open_files(tmp_path) -> None:
    path = constant_rate(tmp_path)
    with open_video(path) as video:
        expected = video.read([7, 40])
    with open_video(path.read_bytes()) as video:
        np.testing.assert_array_equal(video.read([7, 40]), expected)
    with path.open("rb") as file, open_video(io.BytesIO(file.read())) as video:
        np.testing.assert_array_equal(video.read([7, 40]), expected)


@pytest.mark.parametrize(("name", "size"), [("decord_video_90.mov", (568, 320)), ("decord_video_0.mov", (320, 568))])
def test_rotation_is_applied(shared, name, size) -> None:
    with open_video(shared / "videos" / "decoder" / name) as video:
        assert (video.height, video.width) == size
        assert video.read([0]).shape == (1, *size, 3)


def test_rotated_frames_are_upright(shared) -> None:
    folder = shared / "videos" / "decoder"
    with open_video(folder / "decord_video_0.mov") as video:
        upright = video.read([0], size=(320, 568))[0].astype(int)
    for name in ("decord_video_180.mov",):
        with open_video(folder / name) as video:
            assert video.read([0]).shape[1:3] == upright.shape[:2]


def test_the_error_of_a_broken_file_names_the_frame(shared) -> None:
    path = shared / "videos" / "decoder" / "decord_corrupted.mp4"
    with open_video(path) as video:
        assert len(video) == 50
        assert video.read([27, 3]).shape[0] == 2
        with pytest.raises(DecodeError, match=r"decord_corrupted.mp4: frame 28 of 50: Invalid data"):
            video.read([40])
        assert video.read([5]).shape[0] == 1, "the reader goes on after an error"


def first_not_shown(path: Path) -> int:
    """The number of the first frame that a sequential decode by PyAV alone does not show, or conceals errors in."""
    shown = 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "NONE"
        with contextlib.suppress(av.FFmpegError):
            for picture in container.decode(video=0):
                if picture.is_corrupt:
                    break
                shown += 1
    return shown


def numbers_named(path: Path) -> set[str]:
    """The frame numbers in the errors of single reads, of strided ones and of one of everything."""
    with open_video(path) as video:
        count = len(video)
    named = set()
    for wanted in [*([number] for number in range(1, count, 3)), *orders(count), np.arange(count)]:
        with open_video(path) as video:
            try:
                video.read(wanted)
            except DecodeError as error:
                named.add(re.search(r"frame \d+ of \d+", error.reason)[0])
    return named


def test_a_fault_has_one_number_whichever_frames_are_read(shared) -> None:
    path = shared / "videos" / "decoder" / "decord_corrupted.mp4"
    assert first_not_shown(path) == 28
    assert numbers_named(path) == {"frame 28 of 50"}


def test_a_file_that_was_cut_off_has_one_number_whichever_frames_are_read(tmp_path) -> None:
    path = encode(tmp_path / "film.avi", 40, options={"x264-params": "bframes=0:scenecut=0"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with open_video(path) as video:
        expected = f"frame {first_not_shown(path)} of {len(video)}"
    assert numbers_named(path) <= {expected}


def test_a_broken_image_is_named_with_its_frame(tmp_path) -> None:
    for number in range(1, 7):
        picture = np.full((40, 56, 3), 30 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"img_{number:05d}.jpg"), picture)
    broken = tmp_path / "img_00004.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    with FrameFolder(tmp_path) as folder:
        for wanted in ([3], [0, 3], range(6)):
            with pytest.raises(DecodeError, match=r"img_00004\.jpg: frame 3 of 6: is not an image"):
                folder.read(wanted)


def damaged(path: Path, frame: int) -> Path:
    """The file with the second half of one frame's packet overwritten."""
    with av.open(str(path)) as container:
        packets = sorted((p for p in container.demux(video=0) if p.size), key=lambda p: p.pts)
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys == [0, 12, 24, 36, 48]
    half = packets[frame].size // 2
    place = packets[frame].pos + half
    content = path.read_bytes()
    path.write_bytes(content[:place] + b"\x55" * half + content[place + half :])
    return path


@pytest.mark.parametrize("options", ["bframes=0:scenecut=0", "bframes=2:b-adapt=0:scenecut=0:open-gop=0"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_damaged_packet_has_one_number_whichever_frames_are_read(tmp_path, suffix, options) -> None:
    path = damaged(encode(tmp_path / f"film{suffix}", 60, options={"x264-params": options}), 12)
    assert (number := first_not_shown(path)) < 60
    assert numbers_named(path) == {f"frame {number} of 60"}


@pytest.mark.parametrize("frame", [12, 36])
def test_damage_is_never_concealed(tmp_path, frame) -> None:
    """FFmpeg would conceal the error with neighbouring frames, depending on which of them were decoded."""
    path = damaged(encode(tmp_path / "ipp.mp4", 60, options={"x264-params": "bframes=0:scenecut=0"}), frame)
    shown, refused = sequential(path, "rgb"), []
    with open_video(path) as video:
        assert len(video) == 60
        for number in np.random.default_rng(0).permutation(60).tolist():
            try:
                np.testing.assert_array_equal(video.read([number])[0], shown[number])
            except DecodeError as error:
                assert re.search(r"ipp\.mp4: frame \d+ of 60: ", str(error))
                refused.append(number)
    # The overwritten half of frame 36 happens to be valid data: the error cannot be detected.
    assert sorted(refused) == (list(range(12, 24)) if frame == 12 else [])


def test_a_broken_first_frame_leaves_the_others(tmp_path) -> None:
    path = encode(tmp_path / "ipp.mp4", 60, options={"x264-params": "bframes=0:scenecut=0"})
    whole = sequential(path, "rgb")
    with open_video(damaged(path, 0)) as video:
        np.testing.assert_array_equal(video.read([12, 59]), [whole[12], whole[59]])
        with pytest.raises(DecodeError, match=r"ipp\.mp4: frame \d of 60: "):
            video.read([5])


def test_an_unknown_codec(tmp_path) -> None:
    path = constant_rate(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(DecodeError, match="no decoder for"):
        open_video(path)


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text")], ids=["None", "3", "text"])
def test_an_invalid_conversion(source) -> None:
    with pytest.raises(DataError, match="path, an address, bytes or a file opened in binary mode"):
        open_video(source)


def test_a_stream_that_is_not_seekable(tmp_path) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as pipe, pytest.raises(DataError, match="is not seekable"):  # noqa: PTH123
        open_video(pipe)


def test_a_closed_video_cannot_be_read(tmp_path) -> None:
    with open_video(constant_rate(tmp_path)) as video:
        video.read([0])
    with pytest.raises(DecodeError, match=r"cfr\.mp4: is closed"):
        video.read([0])
    with pytest.raises(DecodeError, match=r"cfr\.mp4: is closed"):
        next(video.pictures())
    video.close()


def test_a_video_that_is_closed_during_iteration_raises(tmp_path) -> None:
    video = open_video(constant_rate(tmp_path))
    pictures = video.pictures()
    next(pictures)
    video.close()
    with pytest.raises(DecodeError, match=r"cfr\.mp4: is closed"):
        list(pictures)


@pytest.mark.parametrize("change", [Path.unlink, lambda path: os.truncate(path, 4000)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_file_that_is_lost_while_it_is_open(suffix, change, tmp_path) -> None:
    """Each later read either returns the frame or raises an error, also when it is repeated."""
    codec = "mpeg4" if suffix == "avi" else "libx264"
    path = encode(tmp_path / f"a.{suffix}", 60, codec=codec, options={"bf": "2"})
    with open_video(path) as video:
        change(path)
        for number in (59, 5, 40, 0, 59):
            try:
                frame = video.read([number])[0]
            except DecodeError as error:
                assert str(error).startswith(f"{path}: ")
            else:
                assert decoded_number(frame) == number


@posix
def test_a_pipe_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(DecodeError, match=r"a\.mp4: is a device or a pipe, and only files and folders are read"):
        open_video(tmp_path / "a.mp4")


def test_an_invalid_file_name() -> None:
    with pytest.raises(DecodeError, match=r"aaa\.mp4: cannot be read \(.*long\)"):
        open_video("a" * 300 + ".mp4")


def test_the_callers_file_stays_open(tmp_path) -> None:
    with constant_rate(tmp_path).open("rb") as file:
        with open_video(file) as video:
            video.read([7])
        assert not file.closed


def test_two_readers_of_one_file(tmp_path) -> None:
    path = constant_rate(tmp_path)
    with open_video(path) as one, open_video(path) as two:
        assert [decoded_number(video.read([n])[0]) for n in (3, 40, 12) for video in (one, two)] == [
            3,
            3,
            40,
            40,
            12,
            12,
        ]


def test_an_image_is_a_video_of_one_frame(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.full((10, 12, 3), 77, np.uint8))
    with open_video(tmp_path / "one.png") as video:
        assert (len(video), video.height, video.width) == (1, 10, 12)
        assert (video.read([0, 0]) == 77).all()
        assert video.duration_seconds > 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"not a video at all, just words", "not a video that FFmpeg can read"),
        (b"", r"not a video that FFmpeg can read \(the file is empty\)"),
        (None, "no such file"),
    ],
    ids=["text", "empty", "missing"],
)
def test_no_video(tmp_path, content, reason) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DecodeError, match=reason) as caught:
        open_video(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_video(tmp_path) -> None:
    with pytest.raises(DecodeError, match="is a folder"):
        open_video(tmp_path)


def test_half_a_file(tmp_path) -> None:
    path = constant_rate(tmp_path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DecodeError):
        open_video(path)


def test_sound_alone_is_no_video(tmp_path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(DecodeError, match="no video stream"):
        open_video(path)


def test_wrong_numbers_and_boxes(tmp_path) -> None:
    with open_video(constant_rate(tmp_path)) as video:
        with pytest.raises(DataError, match="no frame 60; frames are numbered 0 to 59"):
            video.read([0, 60])
        with pytest.raises(DataError, match="no frame -1"):
            video.read([-1])
        with pytest.raises(DataError, match="is not inside"):
            video.read([0], crop=Box(0, 0, 49, 10))
        with pytest.raises(DataError, match=r"size is \(height, width\) in pixels, at least 1 each, got \(0, 8\)"):
            video.read([0], size=(0, 8))
        assert video.read([]).shape == (0, 48, 64, 3)
    with pytest.raises(DataError, match="conversion='yuv': expected rgb or planes"):
        open_video(constant_rate(tmp_path), conversion="yuv")


def test_nothing_stays_open(tmp_path) -> None:
    path = avi_with_b_frames(tmp_path)
    handles = Path("/proc/self/fd")
    if not handles.is_dir():
        pytest.skip("counts handles by /proc")
    before = len(os.listdir(handles))
    for _ in range(100):
        with open_video(path) as video:
            video.read([3], size=SIZE)
    gc.collect()
    assert len(os.listdir(handles)) <= before + 2
