"""`kind_of` decides what a path holds, and all kinds of sources check their arguments in the same way."""

import numpy as np
import pytest

from marey.base.errors import DataError, DecodeError
from marey.data.extract_flow import extract_flow
from marey.data.files.video_info import inspect_video
from marey.data.lists.read_manifest import read_manifest
from marey.video.flow import DIS
from marey.video.flow.live import LiveFlow
from marey.video.flow.rule import FlowRule
from marey.video.open import kind_of, open_source, open_stored
from marey.video.source import Box
from marey.video.writing.images import extract_frames
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame

FRAMES, FPS = 8, 10
RULE = FlowRule(method=DIS())


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """One video as a file, as frames, and its flow as images and as a file."""
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "a" / "v.mp4", [coded_frame(n) for n in range(FRAMES)], fps=FPS, preset="ultrafast")
    extract_frames(folder / "a" / "v.mp4", folder / "frames", template="img_{:05d}.png")
    (folder / "list.csv").write_text("path,label\na/v.mp4,a\n")
    for storage in ("png", "lossless"):
        extract_flow(read_manifest(folder / "list.csv"), folder / storage, RULE, storage=storage, workers=0)
    return folder


@pytest.fixture(params=["video", "frames", "flow images", "flow video", "live"])
def source(clips, request):
    paths = {
        "video": "a/v.mp4",
        "frames": "frames",
        "flow images": "png/a/v",
        "flow video": "lossless/a/v.flow.mkv",
        "live": "a/v.mp4",
    }
    path = clips / paths[request.param]
    if request.param == "live":
        return open_source(path, flow=RULE)
    assert kind_of(path) == request.param
    return open_stored(path)


def test_every_source_reads_and_refuses_in_the_same_way(source) -> None:
    flow = isinstance(source, LiveFlow) or "flow" in kind_of_name(source.name)
    channels, count = (2, FRAMES - 1) if flow else (3, FRAMES)
    rate = 30 if source.name.endswith("frames") else FPS  # images have no times
    with source as opened:
        assert opened is source
        assert len(source) == len(source.timestamps) == count
        assert source.fps == pytest.approx(rate, rel=1e-3)
        assert source.duration_seconds == pytest.approx(count / rate, rel=1e-2)
        whole = source.read(range(count))
        assert whole.shape == (count, source.height, source.width, channels)
        np.testing.assert_array_equal(source.read([3, 0, 3]), whole[[3, 0, 3]])
        np.testing.assert_array_equal(source.read(np.array([2]), crop=(4, 6, 8, 10)), whole[2:3, 4:12, 6:16])
        assert source.read([], size=(5, 7), crop=Box(0, 0, 8, 8)).shape == (0, 5, 7, channels)
        for wrong in ([count], [0, -1]):
            with pytest.raises(
                DataError, match=rf"there is no frame {wrong[-1]}; frames are numbered 0 to {count - 1}"
            ):
                source.read(wrong)
        with pytest.raises(DataError, match="is not inside a frame of"):
            source.read([0], crop=Box(0, 0, source.height + 1, 4))
        with pytest.raises(DataError, match=r"size is \(height, width\) in pixels, at least 1 each, got \(0, 3\)"):
            source.read([0], size=(0, 3))
        with pytest.raises(TypeError):
            source.read([0.5])


def kind_of_name(name: str) -> str:
    return "flow" if "png" in name or "lossless" in name else "frames"


def test_a_folder_of_both_holds_frames(clips, tmp_path) -> None:
    for image in [*(clips / "frames").iterdir(), *(clips / "png" / "a" / "v").iterdir()]:
        (tmp_path / image.name).write_bytes(image.read_bytes())
    assert kind_of(tmp_path) == "frames"
    assert kind_of(tmp_path, "flow") == "flow images"
    with open_stored(tmp_path) as frames, open_source(tmp_path, flow=RULE) as flow:
        assert (len(frames), len(flow)) == (FRAMES, FRAMES - 1)


@pytest.mark.parametrize("name", ["png/a/v", "lossless/a/v.flow.mkv"])
def test_frames_requested_from_flow(clips, name) -> None:
    with pytest.raises(DecodeError, match=r"of optical flow, and frames are needed: use a recipe whose modality is"):
        open_source(clips / name)
    for wanted in ("frames", "flow"):
        assert "flow" in kind_of(clips / name, wanted)


def test_a_path_without_video_or_images_is_refused(tmp_path) -> None:
    for name in ("none.mp4", "none.flow.mkv"):
        with pytest.raises(DecodeError, match=f"{name}: no such file"):
            open_stored(tmp_path / name)
    with pytest.raises(DecodeError, match="holds no images of this kind"):
        open_stored(tmp_path)


@pytest.mark.parametrize("storage", ["png", "lossless"])
def test_stored_flow_is_probed_as_flow(clips, storage) -> None:
    (sample,) = read_manifest(clips / storage / "flow.csv")
    found = inspect_video(str(sample.path), "decode")
    assert found.error == ""
    assert found.frames == FRAMES - 1
    height, width = coded_frame(0).shape[:2]
    assert (found.height, found.width) == (height, width)
