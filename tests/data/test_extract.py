"""Flow of all videos of a list: written atomically, resumed after a kill, broken files listed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from marey.base.errors import DataError, RunError
from marey.data.extract_flow import extract_flow
from marey.data.lists.read_manifest import read_manifest
from marey.data.loading.datasets import ViewDataset, open_source
from marey.video.flow import DIS, TVL1
from marey.video.flow.rule import FlowRule
from marey.video.pixels import Pixels
from marey.video.reading.image_folders import FlowFolder
from marey.video.sampling import MMActionTest
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame, write_videos
from tests.support.platforms import posix

RULE = FlowRule(method=DIS())
FRAMES = 8


@pytest.fixture
def videos(tmp_path) -> Path:
    """Each test changes its own."""
    return write_videos(tmp_path / "clips", 4, frames=FRAMES)


def complete_flow(out, storage: str = "png") -> dict[str, float]:
    """The videos with flow, each checked to be complete, and when it was written."""
    found = {}
    for note in out.glob("*/[!.]*/flow.json"):  # names of unfinished folders begin with a point
        with FlowFolder(note.parent) as flow:
            assert len(flow) == json.loads(note.read_text())["fields"] == FRAMES - 1
            flow.read(range(len(flow)))
        found[note.parent.relative_to(out).as_posix()] = note.stat().st_mtime
    return found


def test_a_list_with_broken_files(videos, tmp_path) -> None:
    (videos / "run" / "bad.mp4").write_text("no video")
    write_video(videos / "run" / "short.mp4", [coded_frame(0)])
    out = tmp_path / "flow"
    found = extract_flow(read_manifest(videos), out, RULE, storage="png", workers=0)
    assert len(complete_flow(out)) == len(found.manifest) == 8
    assert {(b.id, b.path) for b in found.broken} == {
        (f"run/{n}", str(videos / "run" / f"{n}.mp4")) for n in ("bad", "short")
    }
    again = read_manifest(out / "flow.csv")
    assert again.ids.tolist() == found.manifest.ids.tolist()
    assert again.class_names == ("jump", "run")
    assert again.labels.tolist() == [0] * 4 + [1] * 4


def test_stored_and_live_flow_are_one(videos, tmp_path) -> None:
    out = extract_flow(read_manifest(videos), tmp_path / "flow", RULE, storage="png", workers=0).manifest
    sampling, pixels = MMActionTest(segments=2, frames=3), Pixels(short_side=40, mean=(128.0,) * 2, std=(1.0,) * 2)
    stored, live = (ViewDataset(m, sampling, pixels, RULE)[5] for m in (out, read_manifest(videos)))
    np.testing.assert_array_equal(stored.frames, live.frames)
    assert stored.frames.shape[1:] == (40, 53, 2)
    another = ViewDataset(read_manifest(videos), sampling, pixels, FlowRule(method=DIS(), size=(24, 32)))[5]
    assert another.frames.shape == (5, 40, 53, 2)
    assert (another.frames != live.frames).any()


def test_a_second_call_computes_what_is_missing(videos, tmp_path, capsys) -> None:
    out, manifest = tmp_path / "flow", read_manifest(videos)
    extract_flow(manifest[np.arange(3)], out, RULE, storage="png", workers=0)
    first = complete_flow(out)
    (out / "run").mkdir()
    (out / "run" / ".v0-abc.unfinished").mkdir()
    (out / "run" / ".v0.flow-abc.mkv").write_text("half")
    extract_flow(manifest, out, RULE, storage="png", workers=0)
    assert "3 of 8 videos have their flow already" in capsys.readouterr().err
    assert len(complete_flow(out)) == 8
    assert first.items() <= complete_flow(out).items()
    assert not list(out.glob("*/.*"))


def test_other_settings_need_another_folder(videos, tmp_path) -> None:
    manifest = read_manifest(videos)[np.arange(1)]
    extract_flow(manifest, tmp_path / "flow", RULE, storage="video", workers=0)
    with pytest.raises(RunError, match=r"holds another run \(flow\.method.*; storage: there video, here png\)"):
        extract_flow(manifest, tmp_path / "flow", FlowRule(method=DIS(preset="fast")), storage="png", workers=0)


def test_segments_share_the_flow_of_their_video_and_paths_are_distinct(videos, tmp_path) -> None:
    rows = "path,label,split,start,end\nrun/v0.mp4,run,train,0,0.3\nrun/v0.mp4,run,val,0.3,0.7\njump/v1.mp4,jump,val,0,0.5\n"
    (videos / "segments.csv").write_text(rows)
    out = tmp_path / "flow"
    found = extract_flow(read_manifest(videos / "segments.csv"), out, RULE, storage="lossless", workers=0).manifest
    assert found.ids.tolist() == ["run/v0.flow.mkv", "run/v0.flow.mkv", "jump/v1.flow.mkv"]
    assert read_manifest(out / "flow.csv")[1].split == "val"
    with open_source(out / "run" / "v0.flow.mkv", flow=RULE) as flow:
        assert len(flow) == FRAMES - 1
    (videos / "twins.csv").write_text("path,label\nrun/v0.mp4,run\nrun/v0.avi,jump\n")
    with pytest.raises(DataError, match=r"run/v0.mp4 and of run/v0.avi would have the same path"):
        extract_flow(read_manifest(videos / "twins.csv"), tmp_path / "twins", RULE, workers=0)
    (videos / "bad.csv").write_text("path,label\nrun/none.mp4,run\n")
    with pytest.raises(DataError, match="not one video could be read"):
        extract_flow(read_manifest(videos / "bad.csv"), tmp_path / "bad", RULE, workers=0)


def test_frames_are_not_read_from_flow(videos, tmp_path) -> None:
    extract_flow(read_manifest(videos)[np.arange(1)], tmp_path / "flow", RULE, storage="video", workers=0)
    with pytest.raises(Exception, match="a video of optical flow"):
        open_source(tmp_path / "flow" / "jump" / "v0.flow.mkv")


@posix
def test_killed_in_the_middle(videos, tmp_path, capsys) -> None:
    """After SIGKILL no incomplete flow is left, and no complete flow is computed again."""
    out = tmp_path / "flow"
    rule = FlowRule(method=TVL1(scales=1, warps=2, outer_iterations=4))
    words = [
        "--set",
        "scales=1",
        "--set",
        "warps=2",
        "--set",
        "outer_iterations=4",
        "--storage",
        "png",
        "--workers",
        "1",
        "--no-compile",
    ]
    killed = subprocess.Popen(
        [sys.executable, "-m", "marey", "data", "flow", str(videos), "--out", str(out), *words],
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (len(complete_flow(out)) >= 2 and list(out.glob("*/.*.unfinished"))):
        assert killed.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    first = complete_flow(out)
    assert 2 <= len(first) < 8
    time.sleep(1)  # until the worker has noticed
    extract_flow(read_manifest(videos), out, rule, storage="png", workers=0)
    assert f"{len(first)} of 8 videos have their flow already" in capsys.readouterr().err
    assert len(complete_flow(out)) == 8
    assert first.items() <= complete_flow(out).items()
    assert not list(out.glob("*/.*"))
