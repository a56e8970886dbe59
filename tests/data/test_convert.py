"""All videos of a list converted: paths and labels stay, broken files are listed, a killed run resumes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from marey.base.errors import DataError, RunError
from marey.cli.app import app
from marey.data.convert import Extract, Resize, convert
from marey.data.lists.class_folders import list_folder
from marey.data.lists.read_manifest import read_manifest
from marey.data.loading.datasets import ClipDataset, open_source
from marey.video.pixels.crops import RandomCrop
from marey.video.reading.reader import open_video
from marey.video.sampling import MMAction2Train
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame, decoded_number, variable_rate, write_videos
from tests.support.platforms import posix

HOW = Resize(short_side=32, preset="ultrafast")


@pytest.fixture
def videos(tmp_path) -> Path:
    """Each test changes its own."""
    return write_videos(tmp_path / "videos", 3, classes=("jump", "run fast"), frames=10, suffix=".mkv")


def everything(folder) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_resize_a_data_set(videos, tmp_path) -> None:
    variable_rate(videos / "jump")
    (videos / "jump" / "broken.mp4").write_bytes(b"no video")
    done = convert(list_folder(videos), tmp_path / "small", HOW, workers=0)
    assert (done.written, done.there) == (7, 0)
    assert [b.id for b in done.broken] == ["jump/broken.mp4"]
    (line,) = (tmp_path / "small" / "broken.jsonl").read_text().splitlines()
    assert "not a video" in json.loads(line)["reason"]
    done.manifest.write_csv(tmp_path / "small" / "list.csv")
    small = read_manifest(tmp_path / "small" / "list.csv")
    assert small.class_names == ("jump", "run fast")
    assert small[0].id == "jump/v0.mp4"
    with open_video(tmp_path / "small/jump/vfr.mp4") as new, open_video(videos / "jump/vfr.mp4") as old:
        assert new.height == 32
        assert new.timestamps == pytest.approx(old.timestamps - old.timestamps[0])
    before = everything(tmp_path / "small")
    write_video(videos / "jump" / "broken.mp4", [coded_frame(1)] * 3, preset="ultrafast")
    again = convert(list_folder(videos), tmp_path / "small", HOW, workers=0)
    assert (again.written, again.there, len(again.manifest)) == (1, 7, 8)
    after = everything(tmp_path / "small")
    assert all(after[name] == stamp for name, stamp in before.items() if name.endswith(".mp4"))
    with pytest.raises(RunError, match=r"another run \(short_side: there 32, here 48; preset: there ultrafast"):
        convert(list_folder(videos), tmp_path / "small", Resize(short_side=48), workers=0)


def test_segments_groups_and_paths_are_kept(videos, tmp_path) -> None:
    (tmp_path / "lists").mkdir()
    text = "path,label,split,start,end,group\n../videos/jump/v0.mkv,jump,train,0.2,0.5,a\n"
    text += f"../videos/jump/v0.mkv,jump,train,0.5,,a\n{videos}/run fast/v1.mkv,run,val,,,b\n"
    (tmp_path / "lists" / "list.csv").write_text(text)
    manifest = read_manifest(tmp_path / "lists" / "list.csv")
    small = convert(manifest, tmp_path / "small", HOW, workers=0).manifest
    assert small.ids.tolist() == ["jump/v0.mp4", "jump/v0.mp4", "run fast/v1.mp4"]
    assert (small[0].start, small[0].end, small[1].end) == (0.2, 0.5, None)
    assert (small.splits.tolist(), small.groups.tolist()) == (["train", "train", "val"], ["a", "a", "b"])
    frames = convert(manifest, tmp_path / "frames", Extract(size=(24, 34), template="{:03d}.png"), workers=0).manifest
    assert frames.ids.tolist() == ["jump/v0_0.2_0.5", "jump/v0_0.5_end", "run fast/v1"]
    assert frames.times is None
    lengths = []
    for sample in frames:
        with open_source(sample.path, "rgb") as source:
            assert (source.height, source.width) == (24, 34)
            lengths.append(len(source))
    assert lengths == [3, 5, 10]


def test_several_labels_are_kept(videos, tmp_path) -> None:
    (videos / "multi.csv").write_text("path,label\njump/v0.mkv,jump|run\njump/v1.mkv,run\n")
    small = convert(read_manifest(videos / "multi.csv"), tmp_path / "small", HOW, workers=0).manifest
    small.write_csv(tmp_path / "small" / "list.csv")
    assert (tmp_path / "small" / "list.csv").read_text() == "path,label\njump/v0.mp4,jump|run\njump/v1.mp4,run\n"


def test_two_videos_never_become_one(videos, tmp_path) -> None:
    write_video(videos / "jump" / "v0.mp4", [coded_frame(0)] * 3, preset="ultrafast")
    with pytest.raises(RunError, match="holds the videos themselves"):
        convert(list_folder(videos)[np.array([1])], videos, HOW, workers=0)
    with pytest.raises(DataError, match=r"jump/v0.mkv and jump/v0.mp4 would both become jump/v0.mp4"):
        convert(list_folder(videos), tmp_path / "small", HOW, workers=0)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", [HOW, Extract(quality=100)])
def test_a_full_disk_stops_the_work_and_breaks_no_video(how, workers, videos, tmp_path, full_disk) -> None:
    out = tmp_path / "new"
    with full_disk(2000), pytest.raises(OSError, match=f"File too large: '{out}"):
        convert(list_folder(videos), out, how, workers=workers)
    assert not (out / "broken.jsonl").exists()
    done = convert(list_folder(videos), out, how, workers=0)
    assert (done.written, done.broken) == (6, ())


def test_nothing_readable(tmp_path) -> None:
    for label in ("a", "b"):
        (tmp_path / "v" / label).mkdir(parents=True)
        (tmp_path / "v" / label / "x.mp4").write_bytes(b"x")
    with pytest.raises(DataError, match="not one video could be read"):
        convert(list_folder(tmp_path / "v"), tmp_path / "small", HOW, workers=0)


def test_frames_train_like_videos(videos, tmp_path) -> None:
    done = CliRunner().invoke(
        app,
        ["data", "frames", str(videos), "--out", str(tmp_path / "f"), "--short-side", "48", "--quality", "100",
         "--workers", "0"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rule, geometry = MMAction2Train(frames=3, stride=2), RandomCrop(short_side=48, size=40)
    stored = ClipDataset(read_manifest(tmp_path / "f" / "videos.csv"), rule, geometry)
    direct = ClipDataset(list_folder(videos), rule, geometry)
    for i in range(6):
        assert abs(stored[i]["clip"].astype(int) - direct[i]["clip"]).mean() < 4
        assert stored[i]["target"] == direct[i]["target"]
    with open_source(tmp_path / "f" / "jump" / "v0", "rgb") as source:
        assert [decoded_number(f) for f in source.read(range(10))] == list(range(10))
    assert (tmp_path / "f" / "jump" / "v0" / "img_00010.jpg").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frames", "--size", "340"], "--size 340: expected WIDTHxHEIGHT"),
        (["frames", "--size", "340x256", "--short-side", "256"], "choose one"),
        (["frames", "--template", "img.jpg"], "expected a file name with a number"),
        (["frames", "--template", "img_{:05d}.xyz"], "an image's suffix, for example img_{:05d}.jpg"),
        (["resize", "--short-side", "255"], "even sides"),
    ],
)
def test_bad_options(words, message, videos, tmp_path) -> None:
    command, *options = words
    done = CliRunner().invoke(app, ["data", command, str(videos), "--out", str(tmp_path / "o"), *options])
    assert done.exit_code == 1
    assert message in done.stderr


@posix
@pytest.mark.parametrize(
    ("command", "workers", "option"), [("resize", "2", "--preset=fast"), ("frames", "0", "--quality=99")]
)
def test_killed_in_the_middle(command, workers, option, tmp_path) -> None:
    """After SIGKILL no incomplete file is used, and no complete file is written again."""
    videos, out = tmp_path / "videos", tmp_path / "out"
    for label in ("a", "b"):
        (videos / label).mkdir(parents=True)
        for i in range(4):
            frames = [coded_frame(n, 240, 320) for n in range(30)]
            write_video(videos / label / f"{i}.mp4", frames, fps=25, preset="ultrafast")
    words = ["data", command, str(videos), "--out", str(out), "--short-side", "200", option]
    running = subprocess.Popen(
        [sys.executable, "-m", "marey", *words, "--workers", workers],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out / "a").exists():
        time.sleep(0.002)
    while time.monotonic() < deadline and len(list((out / "a").glob("[0-9]*"))) < 2:
        time.sleep(0.002)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    time.sleep(0.3)  # until the workers have noticed that the main process is gone
    complete = {p: p.stat().st_mtime_ns for p in out.glob("*/[0-9]*")}
    assert 2 <= len(complete) < 8
    time.sleep(0.5)
    assert len(list(out.glob("*/[0-9]*"))) == len(complete)
    done = CliRunner().invoke(app, [*words, "--workers", "0"])
    assert done.exit_code == 0, done.output
    assert f"{len(complete)} were there" in done.stdout
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in complete.items())
    assert not list(out.rglob(".*"))
    manifest = read_manifest(out / "videos.csv")
    assert len(manifest) == 8
    for sample in manifest:
        with open_source(sample.path, "rgb") as source:
            assert len(source) == 30
            assert source.read([29]).shape == (1, 200, 266 if command == "resize" else 267, 3)
