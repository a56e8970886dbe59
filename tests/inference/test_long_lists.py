"""Long lists: predict and features are resumed after a kill, name broken files, and equal single predictions."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.backends import choose
from marey.backends.eager import EagerBackend
from marey.base.errors import DataError, RunError
from marey.base.files import locked, mend_lines
from marey.data.lists.class_folders import list_folder
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.read_videos import read_videos
from marey.data.loading.datasets import ViewDataset
from marey.evaluation.views import Views
from marey.inference.features import features, file_name
from marey.inference.predict import predict, predict_many
from marey.recipes import get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model, load_model
from tests.support.command import marey
from tests.support.made_videos import write_videos
from tests.support.planted import Planted
from tests.support.platforms import posix

RECIPE = get_recipe("slowonly_r18_8x2_motions").variant(
    model={"width": 4, "num_classes": 2}, test={"size": 32, "crops": "three"}, pixels={"short_side": 32}
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Five videos in one folder."""
    return write_videos(tmp_path_factory.mktemp("clips"), 5, classes=["any"], frames=12) / "any"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, build_model(RECIPE), RECIPE, ("jump", "run"))
    return path


@pytest.fixture
def long_list(videos, tmp_path) -> Path:
    """60 names of 5 videos, and one that is broken."""
    (tmp_path / "long").mkdir()
    for i in range(60):
        (tmp_path / "long" / f"{i:02}.mp4").symlink_to(videos / f"v{i % 5}.mp4")
    (tmp_path / "long" / "07b.mp4").write_text("no video")
    return tmp_path / "long"


# -- which videos


def test_lists_of_every_kind_name_the_same_videos(videos, tmp_path) -> None:
    names = [f"v{i}.mp4" for i in range(5)]
    (tmp_path / "a.txt").write_text("\n".join(names))
    (tmp_path / "b.txt").write_text("\n".join(f"{name} {i % 2}" for i, name in enumerate(names)))
    (tmp_path / "c.csv").write_text("path,label\n" + "\n".join(f"{name},x{i % 2}" for i, name in enumerate(names)))
    expected = [str(videos / name) for name in names]
    for word in (videos, tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.csv"):
        assert [str(sample.path) for sample in read_videos([word], root=videos)] == expected
    assert len(read_videos([videos, tmp_path / "a.txt", videos / "v0.mp4"], root=videos)) == 5
    (tmp_path / "empty.txt").write_text("\n")
    for word in ("empty.txt", "none.mp4"):
        with pytest.raises(DataError, match=word):
            read_videos([tmp_path / word])


def test_segments_of_a_video_are_separate_videos(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "parts.csv").write_text("path,label,start,end\nv0.mp4,x,0,0.5\nv0.mp4,x,0.5,\nv1.mp4,y,,\n")
    out = tmp_path / "a.jsonl"
    done = marey("predict", checkpoint, tmp_path / "parts.csv", "--root", videos, "--out", out, "--workers", "0")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(line.get("start"), line.get("end")) for line in lines] == [(0, 0.5), (0.5, None), (None, None)]
    assert lines[0]["top"] != lines[1]["top"]
    assert "resuming: 3 of 3" in marey(
        "predict", checkpoint, tmp_path / "parts.csv", "--root", videos, "--out", out, "--workers", "0"
    ).stderr  # fmt: skip


# -- predict


def test_predictions_for_a_list_equal_those_for_each_video(videos, checkpoint, tmp_path) -> None:
    out = tmp_path / "a.jsonl"
    assert marey("predict", checkpoint, videos, "--out", out, "--workers", "2").exit_code == 0
    network = load_model(checkpoint)
    for line in map(json.loads, out.read_text().splitlines()):
        top = predict(network, line["path"]).top(5)
        assert [(t["label"], t["probability"]) for t in line["top"]] == top


def test_broken_videos_are_counted(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "l.txt").write_text(f"{videos / 'v0.mp4'}\n/nowhere.mp4\n{videos / 'v1.mp4'}")
    out = tmp_path / "a.jsonl"
    for _ in range(2):
        done = marey("predict", checkpoint, tmp_path / "l.txt", "--out", out, "--workers", "1")
        assert done.exit_code == 1
        assert f"1 of 3 videos could not be read ({out})" in done.stderr
    told = marey("predict", checkpoint, tmp_path / "l.txt", "--out", out, "--json")
    assert [line.get("error", "")[:12] for line in json.loads(told.stdout)] == ["", "/nowhere.mp4", ""]
    assert len(out.read_text().splitlines()) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_not_utf_8_are_read_and_written_everywhere(videos, checkpoint, tmp_path) -> None:
    odd = os.fsdecode(b"b\xe4d\xff.mp4")
    for label in ("jump", "run"):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / odd).symlink_to(videos / "v0.mp4")
    (tmp_path / "set" / "run" / os.fsdecode(b"no\xff.mp4")).write_bytes(b"no video")
    assert marey("data", "list", tmp_path / "set", "--out", tmp_path / "set.csv").exit_code == 0
    assert b"jump/b\xe4d\xff.mp4,jump" in (tmp_path / "set.csv").read_bytes()
    assert [one.path for one in read_manifest(tmp_path / "set.csv")] == [
        one.path for one in list_folder(tmp_path / "set")
    ]
    here, out = ("--workers", "0"), tmp_path / "a.jsonl"
    for _ in range(2):
        answered = marey("predict", checkpoint, tmp_path / "set.csv", "--out", out, *here)
        assert "1 of 3 videos could not be read" in answered.stderr
    assert "resuming: 2 of 3" in answered.stderr
    paths = [json.loads(line)["path"] for line in out.read_text(encoding="utf-8").splitlines()]
    assert paths[0] == str(tmp_path / "set" / "jump" / odd)
    told = marey("predict", checkpoint, tmp_path / "set.csv", "--json", *here)
    assert [one["path"] for one in json.loads(told.stdout_bytes.decode("utf-8"))] == paths
    assert b"b\xe4d\xff.mp4\n" in marey("predict", checkpoint, tmp_path / "set.csv", *here).stdout_bytes
    seen = marey("features", checkpoint, "--data", tmp_path / "set.csv", "--out", tmp_path / "f", "--json", *here)
    assert json.loads(seen.stdout_bytes.decode("utf-8"))["broken"][0]["path"] == paths[2]
    assert b"b\xe4d\xff.mp4,," in (tmp_path / "f" / "index.csv").read_bytes()
    judged = (
        "evaluate",
        checkpoint,
        "--data",
        tmp_path / "set.csv",
        "--out",
        tmp_path / "e",
        "--max-broken",
        "1",
        *here,
    )
    for words in (judged, (*judged, "--json")):
        done = marey(*words)
        assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "e" / "result.json").read_text(encoding="utf-8"))["broken"][0]["path"] == paths[2]


def test_output_files_that_differ_by_suffix_are_never_mixed_up(videos, checkpoint, tmp_path) -> None:
    save_checkpoint(tmp_path / "b.safetensors", build_model(RECIPE), RECIPE, ("jump", "run"))
    models = {"r.a.jsonl": checkpoint, "r.b.jsonl": tmp_path / "b.safetensors", "r.jsonl": checkpoint}

    def say(name: str, model: Path, video: str):
        return marey("predict", model, videos / video, "--out", tmp_path / name, "--workers", "0")

    for name, model in models.items():
        assert say(name, model, "v0.mp4").exit_code == 0
        assert (tmp_path / f"{name}.run.json").exists()
    assert "holds another run (weights_sha256 differs)" in say("r.a.jsonl", models["r.b.jsonl"], "v1.mp4").stderr
    for name, model in models.items():
        assert say(name, model, "v1.mp4").exit_code == 0
        assert len((tmp_path / name).read_text().splitlines()) == 2


def test_output_files_of_0_1_0_are_resumed(videos, checkpoint, tmp_path) -> None:
    """It named the note without the suffix of the file; if two files may be meant, neither is used."""
    out, older = tmp_path / "a.jsonl", tmp_path / "a.run.json"
    words = (videos / "v0.mp4", videos / "v1.mp4", "--out", out, "--workers", "0")
    assert marey("predict", checkpoint, *words).exit_code == 0
    (tmp_path / "a.jsonl.run.json").rename(older)
    (tmp_path / "a.mp4").write_bytes(b"no answers")
    assert "resuming: 2 of 2" in marey("predict", checkpoint, *words).stderr
    save_checkpoint(tmp_path / "b.safetensors", build_model(RECIPE), RECIPE, ("jump", "run"))
    assert "weights_sha256 differs" in marey("predict", tmp_path / "b.safetensors", *words).stderr
    (tmp_path / "a.txt").write_bytes(out.read_bytes())
    refused = marey("predict", checkpoint, *words)
    assert refused.exit_code == 1
    assert f"{older} may describe {out} or a.txt: rename it to NAME.run.json" in refused.stderr
    older.rename(tmp_path / "a.jsonl.run.json")
    assert "resuming: 2 of 2" in marey("predict", checkpoint, *words).stderr


def test_outputs_of_two_models_are_never_mixed_up(videos, checkpoint, tmp_path) -> None:
    out = tmp_path / "a.jsonl"
    words = ("predict", videos / "v0.mp4", "--out", out, "--workers", "0")
    assert marey(words[0], checkpoint, *words[1:]).exit_code == 0
    save_checkpoint(tmp_path / "b.safetensors", build_model(RECIPE), RECIPE, ("jump", "run"))
    other = marey(words[0], tmp_path / "b.safetensors", *words[1:])
    assert other.exit_code == 1
    assert "holds another run (weights_sha256 differs)" in other.stderr
    with locked(out.with_name(f".{out.name}.lock")):
        assert "another process is writing" in marey(words[0], checkpoint, *words[1:]).stderr
    out.unlink()
    assert marey(words[0], tmp_path / "b.safetensors", *words[1:]).exit_code == 0
    out.write_text("hello\n")
    assert f"{out}:1: no prediction" in marey(words[0], tmp_path / "b.safetensors", *words[1:]).stderr


@pytest.mark.parametrize("text", [b"", b"a\n", b"a\nb", b"b", b"a\n" + b"c" * 200_000])
def test_a_truncated_line_is_removed(text, tmp_path) -> None:
    (tmp_path / "a").write_bytes(text)
    mend_lines(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == (b"a\n" if b"a\n" in text else b"")
    mend_lines(tmp_path / "none")


def kill_in_the_middle(words: list[str], enough) -> None:
    """Run a command until `enough()`, then kill this process only."""
    with subprocess.Popen(
        [sys.executable, "-m", "marey", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 60
        while not enough():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)


@posix
def test_predict_is_resumed_after_a_kill(long_list, checkpoint, tmp_path) -> None:
    out, whole = tmp_path / "a.jsonl", tmp_path / "whole.jsonl"
    words = [str(word) for word in ("predict", checkpoint, long_list, "--workers", 1, "--device", "cpu", "--out")]
    kill_in_the_middle([*words, str(out)], lambda: out.exists() and len(out.read_bytes().splitlines()) >= 4)
    before = out.read_bytes()
    kept = before[: before.rfind(b"\n") + 1]
    assert 4 <= len(kept.splitlines()) < 61
    out.write_bytes(kept + b'{"path": "cut sh')
    assert marey(*words, out).exit_code == 1  # one file is broken
    assert marey(*words, whole).exit_code == 1
    assert out.read_bytes().startswith(kept)
    assert out.read_bytes() == whole.read_bytes()
    assert len(out.read_bytes().splitlines()) == 61


# -- features


def test_features_are_means_over_views(videos, checkpoint, tmp_path) -> None:
    network = load_model(checkpoint)
    wanted = read_videos([videos])
    features(network, wanted, out=tmp_path / "a", batch=5, workers=0)
    features(network, wanted, out=tmp_path / "b", batch=5, workers=2, per_clip=True)
    item = ViewDataset(wanted, RECIPE.test.sampling, RECIPE.pixels)[2]
    backend = EagerBackend(network)
    cuts = Views.of(item, RECIPE.test, RECIPE.pixels)
    views = torch.cat([backend.features(part) for part in cuts.batches(5)])[cuts.index]
    name = file_name(str(wanted[2].path))
    one, clips = np.load(tmp_path / "a" / name), np.load(tmp_path / "b" / name)
    assert one.dtype == clips.dtype == np.float32
    assert clips.shape == (len(item.clips), 32)
    np.testing.assert_allclose(one, views.mean(0), atol=1e-6)
    np.testing.assert_allclose(clips, views.reshape(len(clips), 3, -1).mean(1), atol=1e-6)
    logits = torch.from_numpy(one) @ network.network.head.weight.T + network.network.head.bias
    answer = torch.tensor([p for _, p in sorted(predict(network, wanted[2].path).top(2))])
    if RECIPE.test.averaging == "logits":
        torch.testing.assert_close(logits.softmax(0), answer, atol=1e-5, rtol=0)


def test_features_of_a_list(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "l.txt").write_text(f"{videos / 'v0.mp4'}\n{tmp_path / 'bad.mp4'}\n{videos / 'v1.mp4'}")
    (tmp_path / "bad.mp4").write_text("no video")
    words = ("features", checkpoint, "--data", tmp_path / "l.txt", "--out", tmp_path / "f", "--workers", "1")
    done = marey(*words)
    assert done.exit_code == 1
    assert "features of 2 videos, 2 written now, 1 broken" in done.stdout
    assert "1 of 3 videos could not be read" in done.stderr
    with (tmp_path / "f" / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["file"]) for row in rows] == [True, False, True]
    assert "not a video" in rows[1]["error"]
    assert np.load(tmp_path / "f" / rows[2]["file"]).shape == (32,)
    times = [(tmp_path / "f" / rows[i]["file"]).stat().st_mtime_ns for i in (0, 2)]
    again = marey(*words, "--json")
    assert json.loads(again.stdout)["computed"] == 0
    assert times == [(tmp_path / "f" / rows[i]["file"]).stat().st_mtime_ns for i in (0, 2)]
    other = marey(*words, "--per-clip")
    assert "holds another run (per_clip: there false, here true)" in other.stderr
    with locked(tmp_path / "f" / ".lock"):
        assert "another process is writing there" in marey(*words).stderr


def test_features_name_the_backend_that_computed_them(videos, checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(choose, "COMPILERS", (Planted("openvino"),))
    how = {"out": tmp_path / "f", "workers": 0, "device": "cpu", "backend": "openvino"}
    computed = features(load_model(checkpoint), videos, **how).as_json()
    assert (computed["computed"], computed["backend"]["ran"]) == (5, "openvino")
    again = features(load_model(checkpoint), videos, **how).as_json()
    assert again["computed"] == 0
    assert "backend" not in again


def test_features_are_read_on_access(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    wanted = read_videos([videos / "v0.mp4", tmp_path / "bad.mp4", videos / "v1.mp4"])
    found = features(load_model(checkpoint), wanted, out=tmp_path / "f", workers=0)
    assert (found.videos, found.computed, len(found)) == (3, 2, 2)
    assert found.paths == (videos / "v0.mp4", videos / "v1.mp4")
    assert found.ids == tuple(map(str, found.paths))
    assert found.read().shape == (2, 32)
    np.testing.assert_array_equal(found[1], np.load(tmp_path / "f" / file_name(str(videos / "v1.mp4"))))
    np.testing.assert_array_equal(list(found), found.read())
    assert [broken.id for broken in found.broken] == [str(tmp_path / "bad.mp4")]
    assert repr(found) == f"Features('{tmp_path / 'f'}': 2 videos, 1 broken)"
    told = found.as_json()
    assert list(told) == ["out", "videos", "computed", "broken"]
    assert json.loads(json.dumps(told))["broken"][0]["path"] == str(tmp_path / "bad.mp4")
    for index in (slice(0, 2), "v0.mp4", None):
        with pytest.raises(
            TypeError, match=r"^features\[.*\]: one video at a time: give a whole number, or `read\(\)` all"
        ):
            found[index]
    np.testing.assert_array_equal(found[np.int64(-1)], found[1])
    assert [entry.path for entry in wanted[1:]] == [entry.path for entry in wanted][1:]
    labelled = list_folder_of(videos, tmp_path / "classes")
    assert len(features(load_model(checkpoint), labelled, out=tmp_path / "g", workers=0, per_clip=True)) == 2


def test_the_index_has_every_digit_of_the_times(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "parts.csv").write_text("path,label,start,end\nv0.mp4,x,0.1234567,0.7654321\nv0.mp4,x,0.5,\n")
    parts = read_videos(tmp_path / "parts.csv", root=videos)
    features(load_model(checkpoint), parts, out=tmp_path / "f", workers=0)
    with (tmp_path / "f" / "index.csv").open() as file:
        assert [(row["start"], row["end"]) for row in csv.DictReader(file)] == [("0.1234567", "0.7654321"), ("0.5", "")]


def test_a_good_video_before_several_broken_ones(videos, checkpoint, tmp_path) -> None:
    network, paths = load_model(checkpoint), [videos / "v0.mp4", tmp_path / "bad.mp4", tmp_path / "none.mp4"]
    paths[1].write_text("no video")
    for workers in (0, 1):
        given = list(predict_many(network, paths, workers=workers))
        assert [(one.path, one.error is None) for one in given] == list(zip(paths, (True, False, False), strict=True))
        found = features(network, paths, out=tmp_path / str(workers), workers=workers)
        assert (len(found), found.paths, len(found.broken)) == (1, (paths[0],), 2)


def test_one_path_is_read(videos, checkpoint, tmp_path) -> None:
    network = load_model(checkpoint)
    names = [str(videos / f"v{i}.mp4") for i in range(5)]
    for kind in (str, Path):
        found = features(network, kind(videos), out=tmp_path / "f", workers=0)
        assert list(found.ids) == names
        assert [str(given.path) for given in predict_many(network, kind(videos))] == names
        assert [str(given.path) for given in predict_many(network, kind(videos / "v1.mp4"))] == [names[1]]
    assert found.computed == 0
    np.testing.assert_array_equal(features(network, names[1:2], out=tmp_path / "f", workers=0)[0], found[1])
    with pytest.raises(DataError, match=r"none\.mp4: no such file"):
        features(network, str(tmp_path / "none.mp4"), out=tmp_path / "g")
    assert not (tmp_path / "g").exists()


def test_a_video_that_is_listed_twice(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    bad, good = str(tmp_path / "bad.mp4"), str(videos / "v0.mp4")
    found = features(load_model(checkpoint), [bad, bad, good, good], out=tmp_path / "f", workers=0)
    assert (found.videos, len(found), len(found.broken), found.computed) == (4, 2, 1, 1)
    assert found.ids == (good, good)
    np.testing.assert_array_equal(found[0], found[-1])
    np.testing.assert_array_equal(list(found), found.read())
    none = features(load_model(checkpoint), [bad, bad], out=tmp_path / "f", workers=0)
    assert (len(none), list(none)) == (0, [])
    with pytest.raises(DataError, match="no features to read: none of 2 videos could be decoded"):
        none.read()


def test_a_second_list_adds_to_a_folder(videos, checkpoint, tmp_path) -> None:
    """The first result still reads its own videos; index.csv lists the videos of the last call."""
    (tmp_path / "bad.mp4").write_text("no video")
    network, out = load_model(checkpoint), tmp_path / "f"
    first = features(network, [videos / "v0.mp4", tmp_path / "bad.mp4", videos / "v1.mp4"], out=out, workers=0)
    before = first.read()
    second = features(network, [videos / "v1.mp4", videos / "v2.mp4"], out=out, workers=0)
    assert (second.computed, len(second), len(first)) == (1, 2, 2)
    np.testing.assert_array_equal(first.read(), before)
    np.testing.assert_array_equal(first[-1], second[0])
    with (out / "index.csv").open() as file:
        assert [row["video"] for row in csv.DictReader(file)] == [str(path) for path in second.paths]
    assert len(list(out.glob("*.npy"))) == 3
    third = features(network, [tmp_path / "bad.mp4"], out=out, workers=0)
    assert [broken.id for broken in third.broken] == [str(tmp_path / "bad.mp4")]
    (out / file_name(str(videos / "v1.mp4"))).unlink()
    with pytest.raises(DataError, match=r"v1-.*\.npy: no such file; `marey\.features` computes"):
        first[-1]


def list_folder_of(videos: Path, folder: Path) -> Manifest:
    for label, name in (("jump", "v0.mp4"), ("run", "v1.mp4")):
        (folder / label).mkdir(parents=True)
        (folder / label / name).symlink_to(videos / name)
    return list_folder(folder)


def test_names_are_safe_and_never_the_same() -> None:
    videos = ["a/b.mp4", "a_b.mp4", "a b.mp4", "A/b.mp4", "../../etc/passwd", "x" * 300 + ".mp4", "ü/é.mp4", ".mp4",
              "a/b.mp4@0-1", "con.mp4", "a\nb.mp4", "b.mp4", "b.avi", "\udcff.mp4"]  # fmt: skip
    names = [file_name(video) for video in videos]
    assert len({name.lower() for name in names}) == len(videos)
    for name in names:
        assert len(name) < 120
        assert name.isascii()
        assert Path(name).name == name
        assert not name.startswith(".")


@posix
def test_features_are_resumed_after_a_kill(long_list, checkpoint, tmp_path) -> None:
    out, whole = tmp_path / "f", tmp_path / "whole"
    words = [str(word) for word in ("features", checkpoint, "--data", long_list, "--workers", 1, "--out")]
    kill_in_the_middle([*words, str(out)], lambda: out.exists() and len(list(out.glob("[0-9]*.npy"))) >= 4)
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("[0-9]*.npy")}
    assert 4 <= len(kept) < 60
    assert not (out / "index.csv").exists()
    (out / ".00-x.npy").write_bytes(b"half")
    with (out / "broken.jsonl").open("a") as file:
        file.write('{"id": "cut sh')
    assert marey(*words, out).exit_code == marey(*words, whole).exit_code == 1
    assert all((out / name).stat().st_mtime_ns == when for name, when in kept.items())
    files = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in out.iterdir()) == files
    files.remove("README.txt")  # it names its own folder
    assert len(files) == 60 + 3
    for name in files:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.slow
def test_features_under_several_processes(long_list, checkpoint, tmp_path) -> None:
    """Each video is computed by exactly one process; the first one waits for all."""
    words = [str(word) for word in ("features", checkpoint, "--data", long_list, "--workers", 0, "--json", "--out")]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "marey", *words, str(tmp_path / "f")],
            env=os.environ | {"RANK": str(n), "WORLD_SIZE": "2"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=120) for process in both]
    assert json.loads(told[0][0])["computed"] in (30, 31), told
    assert told[1][0] == ""
    assert len(list((tmp_path / "f").glob("[0-9]*.npy"))) == 60
    with (tmp_path / "f" / "index.csv").open() as file:
        assert sum(bool(row["error"]) for row in csv.DictReader(file)) == 1


def test_several_processes_have_ranks_or_are_refused(videos, checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = marey("predict", checkpoint, videos, "--out", tmp_path / "a.jsonl")
    assert "runs in one process" in done.stderr


@pytest.mark.usefixtures("forked")
def test_a_dead_decoder_is_reported(videos, checkpoint, tmp_path, monkeypatch) -> None:
    def dies(self, index):
        os._exit(3)

    monkeypatch.setattr(ViewDataset, "__getitem__", dies)
    with pytest.raises(RunError, match="a process that decodes videos died"):
        features(load_model(checkpoint), read_videos([videos]), out=tmp_path / "f", workers=1)
