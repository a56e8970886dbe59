"""Written videos can be read again; folders of images are read like videos."""

import cv2
import numpy as np
import pytest

from marey.base.errors import DataError, DecodeError
from marey.video.reading.image_folders import FlowFolder, FrameFolder, _size_in_header
from marey.video.reading.reader import open_video
from marey.video.source import Box
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame, decoded_number


def test_frames_are_read_as_they_were_written(tmp_path) -> None:
    path = tmp_path / "a.mp4"
    write_video(path, (coded_frame(i) for i in range(30)), fps=24)
    with open_video(path) as video:
        assert len(video) == 30
        assert video.fps == pytest.approx(24)
        frames = video.read(range(30))
    assert [decoded_number(f) for f in frames] == list(range(30))
    colour = np.zeros((4, 32, 32, 3), np.uint8)
    colour[..., 0], colour[..., 1] = 200, 60
    write_video(tmp_path / "b.mp4", colour, crf=5)
    with open_video(tmp_path / "b.mp4") as video:
        assert abs(video.read([2]).mean(axis=(0, 1, 2)) - [200, 60, 0]).max() < 4


def test_same_frames_same_bytes(tmp_path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_video(tmp_path / name, [coded_frame(i) for i in range(8)])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path) -> None:
    frames = [coded_frame(0), coded_frame(1)[:40]]
    with pytest.raises(DataError, match="change size"):
        write_video(tmp_path / "a.mp4", frames)
    with pytest.raises(DataError, match="even sides"):
        write_video(tmp_path / "a.mp4", [coded_frame(0)[:47]])
    with pytest.raises(DataError, match="no frames"):
        write_video(tmp_path / "a.mp4", [])
    with pytest.raises(DataError, match="cannot be written"):
        write_video(tmp_path / "a.mp4", [coded_frame(0)], codec="nonsense")
    assert list(tmp_path.iterdir()) == []


def test_frame_folder(tmp_path) -> None:
    for i in range(12):
        cv2.imwrite(str(tmp_path / f"img_{i + 1}.png"), coded_frame(i)[:, :, ::-1])
    with FrameFolder(tmp_path, fps=10) as folder:
        assert (len(folder), folder.height, folder.width, folder.fps) == (12, 48, 64, 10)
        frames = folder.read([11, 0, 0, 5])
        np.testing.assert_array_equal(frames[0], coded_frame(11))
        assert folder.read([1], crop=Box(0, 0, 20, 30), size=(10, 10)).shape == (1, 10, 10, 3)
        assert folder.read([]).shape == (0, 48, 64, 3)
        with pytest.raises(DataError, match="no frame 12"):
            folder.read([12])
    (tmp_path / "img_3.png").write_bytes(b"no image")
    with pytest.raises(DecodeError, match="img_3.png"):
        FrameFolder(tmp_path).read([2])
    with pytest.raises(DecodeError, match="no such folder"):
        FrameFolder(tmp_path / "none")


@pytest.mark.parametrize(
    "names",
    [
        [f"img_{n:05d}.jpg" for n in range(1, 13)],
        [f"img_{n}.jpg" for n in range(1, 13)],
        [f"{n}.png" for n in range(1, 13)],
        [f"{n}.{n % 7:03d}.jpeg" for n in range(12)],
        ["a.jpg", "b.jpg", "c.jpg"],
    ],
)
def test_images_come_in_natural_order(names, tmp_path) -> None:
    for number, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), np.full((24, 32, 3), 10 * number, np.uint8))
    assert [round(f.mean() / 10) for f in FrameFolder(tmp_path).read(range(len(names)))] == list(range(len(names)))


def test_size_without_decoding(tmp_path) -> None:
    """The header of a JPEG states it; an EXIF orientation rotates the image, as in OpenCV."""
    cv2.imwrite(str(tmp_path / "a.jpg"), np.zeros((24, 32, 3), np.uint8))
    assert _size_in_header(str(tmp_path / "a.jpg")) == (24, 32)
    jpeg = (tmp_path / "a.jpg").read_bytes()
    turn = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(turn) + 2).to_bytes(2, "big") + turn + jpeg[2:])
    with FrameFolder(tmp_path) as folder:
        assert (folder.height, folder.width) == folder.read([0]).shape[1:3] == (32, 24)
    (tmp_path / "a.jpg").write_bytes(jpeg[:30])
    with pytest.raises(DecodeError, match="a.jpg"):
        FrameFolder(tmp_path)


def test_flow_folder(tmp_path) -> None:
    for i in range(1, 5):
        cv2.imwrite(str(tmp_path / f"flow_x_{i:05d}.png"), np.full((20, 30), 100 + i, np.uint8))
        cv2.imwrite(str(tmp_path / f"flow_y_{i:05d}.png"), np.full((20, 30), 150 + i, np.uint8))
    with FlowFolder(tmp_path) as flow:
        fields = flow.read([3, 0])
    assert fields.shape == (2, 20, 30, 2)
    assert fields[:, 0, 0].tolist() == [[104, 154], [101, 151]]
    (tmp_path / "flow_y_00002.png").unlink()
    with pytest.raises(DecodeError, match="flow needs pairs"):
        FlowFolder(tmp_path)
