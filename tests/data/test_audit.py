"""Faults planted in a data set are all found, and nothing else is."""

import json
import shutil

import cv2
import pytest
from typer.testing import CliRunner

from marey.base.errors import DataError
from marey.cli.app import app
from marey.data.audit import audit, read_together
from marey.data.files.video_info import VideoInfoCache, content_hash
from marey.data.lists.read_manifest import read_manifest
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame, encode, without_head


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MAREY_CACHE", str(tmp_path / "cache"))


def write(path, first: int, *, count: int = 16, fps: float = 25, size: tuple[int, int] = (112, 160)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [coded_frame(first + n, *size) for n in range(count)], fps=fps, preset="ultrafast")


@pytest.fixture(scope="module")
def faultless(tmp_path_factory):
    """A data set without faults: two classes, two splits, one recording each."""
    folder = tmp_path_factory.mktemp("faultless")
    lines = ["path,label,split,group"]
    for i, (label, split) in enumerate([("jump", "train"), ("run", "train"), ("jump", "val"), ("run", "val")]):
        write(folder / f"{label}_{split}.mp4", 20 * i)
        lines.append(f"{label}_{split}.mp4,{label},{split},source{i}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return folder


def audited(path, **options):
    return audit([read_manifest(path)], cache=VideoInfoCache(None), **options)


def test_a_data_set_without_faults(faultless) -> None:
    found = audited(faultless / "list.csv")
    assert found.faults == 0
    kinds = (
        "missing",
        "unreadable",
        "short",
        "duplicates",
        "leaks",
        "variable_rate",
        "odd_rate",
        "odd_size",
        "outside",
    )
    assert not any(getattr(found, kind) for kind in kinds)
    assert (found.rates, found.sizes) == ({"25": 4}, {"160x112": 4})
    assert found.seconds["sum"] == pytest.approx(4 * 16 / 25)
    assert [(b.split, b.videos, b.smallest, b.largest) for b in found.balance] == [("train", 2, 1, 1), ("val", 2, 1, 1)]
    assert found.fingerprint == read_manifest(faultless / "list.csv").fingerprint


def test_planted_faults(faultless, tmp_path) -> None:
    folder = shutil.copytree(faultless, tmp_path / "set")
    lines = (folder / "list.csv").read_text()
    shutil.copy(folder / "jump_train.mp4", folder / "copy.mp4")  # in another split, with another label
    (folder / "cut.mp4").write_bytes((folder / "run_val.mp4").read_bytes()[:200])
    write(folder / "slow.mp4", 100, fps=5)
    write(folder / "tiny.mp4", 110, size=(48, 64), count=15)
    encode(folder / "vfr.mp4", 30, pts=[n * 40 + (n % 3) * 11 for n in range(30)])
    write(folder / "swim.mp4", 200)
    lines += "copy.mp4,run,val,source9\ncut.mp4,run,train,a\ngone.mp4,run,train,b\nslow.mp4,run,train,c\n"
    lines += "tiny.mp4,run,train,d\nvfr.mp4,run,train,source0\nswim.mp4,swim,val,source0\n"
    (folder / "list.csv").write_text(lines)
    found = audited(folder / "list.csv")
    assert found.missing == ["gone.mp4"]
    assert list(found.unreadable) == ["cut.mp4"]
    assert found.short == {"tiny.mp4": 15}
    assert found.duplicates == found.leaks == found.contradictions == [["jump_train.mp4", "copy.mp4"]]
    assert found.leaking_groups == {"source0": {"train": 2, "val": 1}}
    assert found.variable_rate == ["vfr.mp4"]
    assert found.odd_rate == {"slow.mp4": 5}
    assert set(found.odd_size) == {"tiny.mp4", "vfr.mp4"}
    assert found.untrained == ["swim"]
    assert found.faults == 6
    assert found.contents != audited(faultless / "list.csv").contents


def test_copies_contradict_each_other_only_in_the_same_segment(tmp_path) -> None:
    write(tmp_path / "a.mp4", 7)
    shutil.copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    head = "path,label,start,end\n"
    agreeing = "a.mp4,run,0,0.3\na.mp4,jump,0.3,\nb.mp4,run,0,0.3\nb.mp4,jump,0.3,\n"
    (tmp_path / "list.csv").write_text(head + agreeing)
    found = audited(tmp_path / "list.csv")
    assert (found.duplicates, found.contradictions) == ([["a.mp4", "b.mp4"]], [])
    (tmp_path / "list.csv").write_text(head + agreeing.replace("b.mp4,jump", "b.mp4,run"))
    assert audited(tmp_path / "list.csv").contradictions == [["a.mp4", "b.mp4"]]


def test_files_that_are_not_read_completely_are_no_fault(tmp_path) -> None:
    encode(tmp_path / "complete.mkv", 40, options={"bf": "3"})
    without_head(tmp_path / "complete.mkv", tmp_path / "cut.mkv", 3)
    (tmp_path / "frames").mkdir()
    for name in ["cover", *(f"img_{n:03d}" for n in (1, 2, 3, 5))]:
        cv2.imwrite(str(tmp_path / "frames" / f"{name}.png"), coded_frame(len(name)))
    (tmp_path / "list.csv").write_text("path,label\ncomplete.mkv,a\ncut.mkv,a\nframes,b\n")
    words = {
        "cut.mkv": "the first 9 frames have no key frame and are left out",
        "frames": "1 image is no frame of the series img_001.png to img_005.png and left out (cover.png); "
        "1 number is missing between img_001.png and img_005.png, the first after img_003.png",
    }
    for check in ("open", "decode"):
        found = audited(tmp_path / "list.csv", check=check)
        assert (found.faults, found.unreadable, found.left_out) == (0, {}, words)
    for _ in range(2):  # the second time from the cache of the first
        done = CliRunner().invoke(app, ["data", "audit", str(tmp_path / "list.csv"), "--workers", "0"])
        assert done.exit_code == 0
        assert "left out" not in done.stderr
        assert f"not read whole: 2\n    cut.mkv: {words['cut.mkv']}\n    frames: {words['frames']}\n" in done.stdout


def test_several_lists_are_one_data_set(faultless, tmp_path) -> None:
    (faultless / "train.csv").write_text("path,label\njump_train.mp4,jump\nrun_train.mp4,run\n")
    (faultless / "val.csv").write_text("path,label\njump_val.mp4,jump\nrun_train.mp4,run\n")
    found = audit(read_together([faultless / "train.csv", faultless / "val.csv"]), cache=VideoInfoCache(None))
    assert found.leaks == [["run_train.mp4"]]
    (faultless / "other.csv").write_text("path,label\nrun_val.mp4,run\n")
    alone = read_together([faultless / "train.csv", faultless / "other.csv"])
    assert {m.class_names for m in alone} == {("jump", "run")}
    with pytest.raises(DataError, match="classes are not those"):
        audit(
            [read_manifest(faultless / "train.csv"), read_manifest(faultless / "other.csv")], cache=VideoInfoCache(None)
        )


def test_segments_and_groups_by_name(faultless, tmp_path) -> None:
    (faultless / "segments.csv").write_text(
        "path,label,start,end\njump_train.mp4,jump,0.2,0.5\nrun_train.mp4,run,9,12\n"
    )
    found = audited(faultless / "segments.csv")
    assert (found.outside, found.faults) == (["run_train.mp4"], 1)
    lines = ["path,label,split"]
    for number, split in ((1, "train"), (2, "test")):
        name = f"v_Archery_g07_c0{number}.avi"
        write(tmp_path / name, number)
        lines.append(f"{name},Archery,{split}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    assert audited(tmp_path / "list.csv").leaking_groups == {"Archery_g07": {"train": 1, "test": 1}}


def test_several_labels_per_video(faultless) -> None:
    (faultless / "multi.csv").write_text("path,label\njump_train.mp4,jump|run\nrun_train.mp4,run\n")
    (balance,) = audited(faultless / "multi.csv").balance
    assert (balance.videos, balance.smallest, balance.largest) == (2, 1, 2)


def test_folders_of_frames(tmp_path) -> None:
    for video in ("a", "b", "c"):
        (tmp_path / video).mkdir()
        for n in range(3):
            cv2.imwrite(str(tmp_path / video / f"img_{n:05d}.png"), coded_frame(n if video != "c" else n + 9))
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") != content_hash(tmp_path / "c")
    (tmp_path / "list.csv").write_text("path,label\na,x\nb,x\nc,y\n")
    found = audited(tmp_path / "list.csv", check="decode")
    assert found.duplicates == [["a", "b"]]
    assert found.short == {"a": 3, "b": 3, "c": 3}


def test_command(faultless, tmp_path) -> None:
    done = CliRunner().invoke(app, ["data", "audit", str(faultless / "list.csv"), "--workers", "0"])
    assert done.exit_code == 0, done.output
    assert "4 entries, 0 faults" in done.stdout
    (faultless / "faulty.csv").write_text("path,label\njump_train.mp4,jump\ngone.mp4,run\n")
    faulty = CliRunner().invoke(app, ["data", "audit", str(faultless / "faulty.csv"), "--workers", "0", "--json"])
    assert faulty.exit_code == 1
    assert json.loads(faulty.stdout)["missing"] == ["gone.mp4"]
