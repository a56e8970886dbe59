"""Stored flow can be read again: as image pairs of the older toolkits, and as video files."""

import json
import re

import cv2
import numpy as np
import pytest

from marey.base.errors import DataError, DecodeError
from marey.video.flow import DIS
from marey.video.flow.files import FlowVideo, check_template, flow_path, write_flow
from marey.video.flow.live import LiveFlow
from marey.video.flow.rule import FlowRule
from marey.video.open import open_source
from marey.video.reading.image_folders import FlowFolder, FrameFolder
from marey.video.source import Box
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame


def smooth_fields(count: int = 9, height: int = 45, width: int = 61) -> np.ndarray:
    """Odd sides, smooth content, uint8 [T, H, W, 2]."""
    grain = np.random.RandomState(0).standard_normal((count, height, width, 2)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(field, (0, 0), 4) for field in grain])
    return np.clip(128 + smooth / smooth.std() * 30, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("storage", "most"), [("png", 0), ("lossless", 0), ("jpg", 1.0), ("video", 1.0)])
def test_flow_is_read_as_it_was_written(tmp_path, storage, most) -> None:
    fields = smooth_fields()
    place = flow_path(tmp_path, "run/v0", storage)
    assert write_flow(place, [fields[:4], fields[4:]], 12.5, storage=storage) == 9
    with open_source(place, flow=FlowRule()) as flow:
        assert isinstance(flow, FlowVideo if storage in ("video", "lossless") else FlowFolder)
        assert (len(flow), flow.height, flow.width) == (9, 45, 61)
        assert flow.fps == pytest.approx(12.5)
        np.testing.assert_allclose(flow.timestamps, np.arange(9) / 12.5, atol=1e-3)
        back = flow.read([7, 2, 2])
        assert back.shape == (3, 45, 61, 2)
        assert abs(back.astype(int) - fields[[7, 2, 2]]).mean() <= most
        assert abs(back.astype(int) - fields[[6, 1, 1]]).mean() > 10
        assert abs(back[..., ::-1].astype(int) - fields[[7, 2, 2]]).mean() > 10
        assert flow.read([1], crop=Box(5, 6, 20, 31), size=(10, 12)).shape == (1, 10, 12, 2)
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_names_are_the_toolkits(tmp_path) -> None:
    write_flow(tmp_path / "a", [smooth_fields(2)], 30, storage="jpg")
    assert sorted(p.name for p in (tmp_path / "a").glob("*.jpg")) == [
        "flow_x_00001.jpg", "flow_x_00002.jpg", "flow_y_00001.jpg", "flow_y_00002.jpg",
    ]  # fmt: skip
    write_flow(tmp_path / "b", [smooth_fields(2)], 24, storage="png", template="{}_{:03d}")
    assert (tmp_path / "b" / "y_002.png").exists()
    with FlowFolder(tmp_path / "b") as flow:
        np.testing.assert_array_equal(flow.read([0, 1]), smooth_fields(2))
        assert flow.fps == 24
    assert json.loads((tmp_path / "b" / "flow.json").read_text()) == {"fps": 24, "fields": 2}
    for template in ("{}-{:05d}", "flow_{}_{}", "flow"):
        with pytest.raises(DataError, match="--template"):
            check_template(template)


def test_a_failed_write_leaves_nothing(tmp_path) -> None:
    def breaks_off():
        yield smooth_fields(3)
        raise DecodeError("v.mp4", "frame 3 of 9")

    for storage in ("png", "video"):
        with pytest.raises(DecodeError):
            write_flow(flow_path(tmp_path, "v", storage), breaks_off(), 30, storage=storage)
        with pytest.raises(DataError, match="no flow to write"):
            write_flow(flow_path(tmp_path, "v", storage), [], 30, storage=storage)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("storage", ["jpg", "video"])
def test_an_error_of_a_full_disk_names_the_path(tmp_path, storage, full_disk) -> None:
    place = flow_path(tmp_path / "out", "v", storage)
    fields = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 2), dtype=np.uint8)
    with full_disk(2000), pytest.raises(OSError, match=re.escape(f"File too large: '{place}'")):
        write_flow(place, [fields], 30, storage=storage)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("note", ["", "{}", "[1]", '{"fps": "many"}'])
def test_an_invalid_note_is_refused(tmp_path, note) -> None:
    write_flow(tmp_path / "a", [smooth_fields(2)], 30, storage="jpg")
    (tmp_path / "a" / "flow.json").write_text(note)
    with pytest.raises(DecodeError, match=r"flow\.json: is not a note of a frame rate .* remove it"):
        FlowFolder(tmp_path / "a")
    assert FlowFolder(tmp_path / "a", fps=10).fps == 10


def test_flow_of_every_kind_of_source(tmp_path) -> None:
    """A folder of frames and the same frames as video are computed; a folder with frames and flow shows its flow."""
    rule = FlowRule(method=DIS())
    (tmp_path / "frames").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "frames" / f"img_{i + 1:05d}.png"), coded_frame(i)[:, :, ::-1])
    with open_source(tmp_path / "frames", flow=rule) as flow:
        assert isinstance(flow, LiveFlow)
        computed = flow.read([0, 1])
    write_flow(tmp_path / "stored", [computed], 30, storage="png")
    for path in (tmp_path / "stored").glob("*.png"):
        path.rename(tmp_path / "frames" / path.name)
    with open_source(tmp_path / "frames", flow=rule) as flow, FrameFolder(tmp_path / "frames") as frames:
        assert isinstance(flow, FlowFolder)
        np.testing.assert_array_equal(flow.read([0, 1]), computed)
        assert len(frames) == 3
    write_video(tmp_path / "v.mp4", [coded_frame(i) for i in range(3)])
    with open_source(tmp_path / "v.mp4", flow=rule) as flow:
        assert isinstance(flow, LiveFlow)
    write_video(tmp_path / "v.flow.mkv", [coded_frame(0)[:46]])
    with open_source(tmp_path / "v.flow.mkv", flow=rule) as flow:
        assert flow.height == 23
    with pytest.raises(DecodeError, match="no such file"):
        open_source(tmp_path / "none.mp4", flow=rule)
