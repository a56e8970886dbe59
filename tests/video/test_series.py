"""Which images of a folder are frames: the series of numbered names; all others are reported."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from marey.base.errors import DecodeError
from marey.base.reporter import CollectingReporter, reporting
from marey.data.files.video_info import inspect_video
from marey.video.flow.files import write_flow
from marey.video.open import kind_of
from marey.video.reading.image_folders import FlowFolder, FrameFolder, holds_flow, holds_frames
from marey.video.reading.image_series import frame_series
from marey.video.writing.images import extract_frames
from tests.support.made_videos import coded_frame, decoded_number, encode

FRAMES = [f"img_{n:05d}.jpg" for n in range(1, 13)]
SERIES = "img_00001.jpg to img_00012.jpg"


@pytest.mark.parametrize(
    ("stray", "words"),
    [
        (["cover.jpg"], f"1 image is no frame of the series {SERIES} and left out (cover.jpg)"),
        (
            ["Folder.JPG", "poster.png"],
            f"2 images are no frames of the series {SERIES} and left out (Folder.JPG, poster.png)",
        ),
        (["thumb_1.jpg"], f"1 image is no frame of the series {SERIES} and left out (thumb_1.jpg)"),
        (
            [f"sheet{n}.png" for n in range(4)],
            f"4 images are no frames of the series {SERIES} and left out (sheet0.png, sheet1.png, sheet2.png, ...)",
        ),
        (["a_img_00003.jpg", "img_00003_mask.png"], f"2 images are no frames of the series {SERIES}"),
        (["img_00003.png"], f"1 image is no frame of the series {SERIES} and left out (img_00003.png)"),
        (["zz.webp"], f"1 image is no frame of the series {SERIES} and left out (zz.webp)"),
    ],
    ids=lambda value: value[0],
)
def test_other_images_are_left_out_and_counted(stray, words) -> None:
    found = frame_series([*reversed(FRAMES), *stray], "f")
    assert found.names == FRAMES
    assert found.left_out.startswith(words)


@pytest.mark.parametrize(
    "names",
    [
        FRAMES,
        [f"{n}.jpg" for n in range(1, 13)],
        [f"frame{n}.PNG" for n in range(8, 120)],
        [f"img_{n:05d}.{'jpg' if n % 2 else 'JPEG'}" for n in range(12)],
        [f"IMG_{n}.jpg" if n % 2 else f"img_{n}.jpg" for n in range(12)],
        [f"130503110{n}.{n * 7 % 10}5304.png" for n in range(10)],
        [f"v2_{n:03d}_480p.png" for n in range(10)],
        [f"img_{n:05d}.jpg" for n in range(0, 100, 5)],
        ["b.jpg", "c.jpg", "a.jpg"],
        ["cover.jpg", "img_1.jpg"],
        ["only.png"],
        [f"a_{n}.jpg" for n in range(5)] + [f"b_{n}.jpg" for n in range(5, 10)],
        [f"x_{n:05d}.jpg" for n in range(1, 9)],
        [f"y_{n:05d}.jpg" for n in range(1, 9)],
    ],
    ids=lambda names: names[0],
)
def test_all_images_of_such_names_are_frames(names) -> None:
    found = frame_series(names, "f")
    assert sorted(found.names) == sorted(names)
    assert found.left_out == ""


def test_natural_order() -> None:
    assert frame_series(["f10.jpg", "f9.jpg", "f1.jpg", "f0.jpg"], "f").names[:2] == ["f0.jpg", "f1.jpg"]
    assert frame_series(["1.10.png", "1.9.png", "0.11.png"], "f").names == ["0.11.png", "1.9.png", "1.10.png"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("left_{:05d}.jpg", "right_{:05d}.jpg"), ("{}.jpg", "{}.png"), ("rgb{:03d}.png", "depth{:03d}.png")],
)
@pytest.mark.parametrize("count", [12, 9])
def test_two_series_are_refused(one, other, count, tmp_path) -> None:
    names = [one.format(n) for n in range(12)] + [other.format(n) for n in range(count)]
    with pytest.raises(
        DecodeError, match=r"f: holds two series of images, .* \(12\) and .*: move one of them to another folder"
    ):
        frame_series(names, "f")


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ([5], f"1 number is missing between {SERIES.replace(' to ', ' and ')}, the first after img_00004.jpg"),
        ([3, 8, 9], f"3 numbers are missing between {SERIES.replace(' to ', ' and ')}, the first after img_00002.jpg"),
    ],
)
def test_gaps_are_counted(missing, words) -> None:
    names = [name for number, name in enumerate(FRAMES, start=1) if number not in missing]
    assert frame_series(names, "f").left_out == words
    assert words in frame_series([*names, "cover.jpg"], "f").left_out
    every_fifth = [f"img_{n:05d}.jpg" for n in range(0, 100, 5) if n != 45]
    assert frame_series(every_fifth, "f").left_out.startswith("1 number is missing")


def test_several_videos_in_one_folder_are_mentioned() -> None:
    found = frame_series([f"v{v}_{n:05d}.jpg" for v in (1, 2) for n in range(10)], "f")
    assert len(found.names) == 20
    assert found.left_out.startswith("10 of its 20 images have the last number of another one")


def images(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        content = cv2.imencode(Path(name).suffix, coded_frame(number)[:, :, ::-1])[1].tobytes()
        Path(folder, name).write_bytes(content)
    return folder


def test_one_warning_and_a_finding_of_the_audit(tmp_path) -> None:
    folder = images(tmp_path / "f", [f"img_{n}.png" for n in range(9)])
    (folder / "cover.jpg").write_bytes(cv2.imencode(".jpg", np.zeros((5, 5, 3), np.uint8))[1].tobytes())
    with reporting(reporter := CollectingReporter()):
        for _ in range(3):
            frames = FrameFolder(folder).read(range(9))
    assert [decoded_number(frame) for frame in frames] == list(range(9))
    (message,) = [message for _, message in reporter.take()]
    assert message.startswith(f"{folder}: 1 image is no frame")
    assert f"{folder}: {inspect_video(str(folder), 'decode').left_out}" == message


def test_frames_called_x(tmp_path) -> None:
    """Flow has pairs of images: if there is no y, images named x_00001 are frames."""
    folder = images(tmp_path / "f", [f"x_{n:05d}.png" for n in range(5)])
    assert holds_frames(folder)
    assert not holds_flow(folder)
    assert (kind_of(folder), kind_of(folder, "flow")) == ("frames", "frames")
    assert len(FrameFolder(folder)) == 5
    for n in range(5):
        shutil.copy(folder / f"x_{n:05d}.png", folder / f"y_{n:05d}.png")
    assert holds_flow(folder)
    assert not holds_frames(folder)
    assert len(FlowFolder(folder)) == 5


def test_flow_is_paired_by_number(tmp_path) -> None:
    write_flow(tmp_path / "f", [np.zeros((4, 8, 8, 2), np.uint8)], 25, storage="png")
    (tmp_path / "f" / "flow_x_00002.png").unlink()
    shutil.copytree(tmp_path / "f", tmp_path / "gap")
    (tmp_path / "gap" / "flow_y_00002.png").unlink()
    assert FlowFolder(tmp_path / "gap").left_out.startswith(
        "1 number is missing between flow_x_00001.png and flow_x_00004.png"
    )
    (tmp_path / "f" / "flow_y_00003.png").unlink()
    with pytest.raises(
        DecodeError, match=r"f: holds x and y images of different numbers \(first 2\); flow needs pairs"
    ):
        FlowFolder(tmp_path / "f")


@pytest.mark.skipif(os.name == "nt", reason="names are no bytes there")
def test_names_that_are_no_utf8(tmp_path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    film = encode(tmp_path / os.fsdecode(b"film\xe9.mp4"), 5)
    extract_frames(film, folder, template="img_{:05d}.png")
    shutil.move(folder / "img_00003.png", folder / os.fsdecode(b"img\xe9_00003.png"))
    assert len(FrameFolder(folder)) == 4
    for name in sorted(folder.iterdir()):
        name.rename(folder / os.fsdecode(b"\xe9_" + os.fsencode(name.name[-9:])))
    assert [decoded_number(frame) for frame in FrameFolder(folder).read(range(5))] == list(range(5))
    write_flow(tmp_path / os.fsdecode(b"flow\xe9"), [np.zeros((4, 8, 8, 2), np.uint8)], 25, storage="jpg")
    assert FlowFolder(tmp_path / os.fsdecode(b"flow\xe9")).read([3]).shape == (1, 8, 8, 2)
    write_flow(tmp_path / os.fsdecode(b"flow\xe9.flow.mkv"), [np.zeros((4, 8, 8, 2), np.uint8)], 25, storage="video")
    broken = folder / os.fsdecode(b"\xe9_00001.png")
    broken.write_bytes(b"no image")
    with pytest.raises(DecodeError, match="is not an image"):
        FrameFolder(folder)


def test_kinds_of_images(tmp_path) -> None:
    """16 bits, grey, alpha and EXIF orientation are read as OpenCV reads files."""
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    kinds = [grey, (grey >> 8).astype(np.uint8), np.dstack([coded_frame(3), np.full((48, 64), 9, np.uint8)])]
    (tmp_path / "f").mkdir()
    for number, image in enumerate(kinds):
        cv2.imwrite(str(tmp_path / "f" / f"{number}.png"), image)
    frames = FrameFolder(tmp_path / "f").read(range(len(kinds)))
    for number, frame in enumerate(frames):
        expected = cv2.imread(str(tmp_path / "f" / f"{number}.png"), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(frame[:, :, ::-1], expected)
