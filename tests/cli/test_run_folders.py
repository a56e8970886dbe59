"""A run's folder instead of a checkpoint, last.ckpt in it, and --classes for checkpoints without class names."""

import json
import shutil

import pytest
import torch

import marey as package
from marey.recipes import get_recipe
from marey.weights.checkpoint import read_checkpoint
from marey.weights.layouts import mmaction2
from marey.weights.load import build_model, load_model
from tests.support.command import marey
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE

VIDEOS_PER_CLASS = 2


@pytest.fixture(scope="module")
def trained(videos, tmp_path_factory):
    """A run whose best epoch is its second of three, by its log; and one without validation."""
    folder = tmp_path_factory.mktemp("runs")
    for name, val in (("judged", videos), ("unjudged", None)):
        package.fit(RECIPE, train=videos, val=val, out=folder / name, init="none", workers=0)
    log = (folder / "judged" / "log.csv").read_text().splitlines()
    column = log[0].split(",").index("val_top1")
    rows = [line.split(",") for line in log[1:]]
    for row, top1 in zip(rows, ("0.25", "0.8125", "0.5"), strict=True):
        row[column] = top1
    (folder / "judged" / "log.csv").write_text("\n".join([log[0], *map(",".join, rows)]) + "\n")
    return folder


@pytest.fixture
def runs(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


HERE = ("--device", "cpu", "--workers", 0)


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "tiny.yaml").write_text(RECIPE.variant(train={"epochs": 1}).to_yaml())
    return tmp_path / "tiny.yaml"


def test_the_best_checkpoint_of_a_run_is_used_and_named(runs, videos, recipe, tmp_path) -> None:
    run, clip = runs / "judged", videos / "run" / "v0.mp4"
    for words in (
        ("predict", run, clip, *HERE),
        ("predict", run, clip, "--fuse", run, *HERE),
        ("evaluate", run, "--data", videos, "--out", tmp_path / "e", *HERE),
        ("features", run, "--data", videos, "--out", tmp_path / "f", *HERE),
        ("convert", run, "--out", tmp_path / "c.safetensors"),
        ("train", recipe, "--data", videos, "--init", run, "--out", tmp_path / "t", *HERE),
    ):
        done = marey(*words)
        assert done.exit_code == 0, done.output
        assert f"{run}: best.safetensors, epoch 2 by validation top-1 81.2 %" in done.stderr, words
    best = read_checkpoint(run / "best.safetensors").tensors
    converted = read_checkpoint(tmp_path / "c.safetensors")
    assert all(torch.equal(value, best[name]) for name, value in converted.tensors.items())
    assert converted.provenance["converted_from"] == "best.safetensors"
    assert json.loads((tmp_path / "t" / "run.json").read_text())["started_from"]["file"] == "best.safetensors"
    assert marey("report", run).exit_code == 0
    loaded = load_model(run).network.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in best.items())


def test_without_validation_the_last_one(runs, videos) -> None:
    done = marey("predict", runs / "unjudged", videos / "run" / "v0.mp4", *HERE)
    assert f"{runs / 'unjudged'}: last.safetensors, epoch 3 (the run had no validation)" in done.stderr
    (runs / "judged" / "log.csv").unlink()  # a copy of the weights alone
    done = marey("predict", runs / "judged", videos / "run" / "v0.mp4", *HERE)
    assert f"{runs / 'judged'}: best.safetensors\n" in done.stderr


def test_a_missing_best_checkpoint_is_reported(runs, videos) -> None:
    (runs / "judged" / "best.safetensors").unlink()
    done = marey("predict", runs / "judged", videos / "run" / "v0.mp4", *HERE)
    assert done.exit_code == 0, done.output
    assert "last.safetensors, epoch 3 (the run had validation, but best.safetensors is not there)" in done.stderr


def test_weights_of_another_network_are_named_alone(runs, videos) -> None:
    done = marey("predict", "slowonly_r50_8x8_k400", "--weights", runs / "judged", videos / "run" / "v0.mp4")
    assert done.exit_code == 1
    assert (
        f"The file holds {RECIPE.name}, another network than slowonly_r50_8x8_k400: name the file alone" in done.stderr
    )


def test_folders_that_evaluate_left_are_fused(runs, videos, tmp_path) -> None:
    for name in ("a", "b"):
        assert marey("evaluate", runs / "judged", "--data", videos, "--out", tmp_path / name, *HERE).exit_code == 0
    done = marey("fuse", tmp_path / "a", tmp_path / "b", "--json")
    assert done.exit_code == 0, done.output
    assert done.stdout == marey("fuse", tmp_path / "a" / "scores.npz", tmp_path / "b" / "scores.npz", "--json").stdout
    assert "runs/scores.npz: no such score file" in marey("fuse", tmp_path / "a", runs).stderr


def test_last_ckpt_stands_for_the_weights_that_were_saved_with_it(runs, videos, recipe, tmp_path) -> None:
    state, clip = runs / "judged" / "last.ckpt", videos / "run" / "v0.mp4"
    for words in (
        ("predict", state, clip, *HERE),
        ("train", recipe, "--data", videos, "--init", state, "--out", tmp_path / "t", *HERE),
    ):
        done = marey(*words)
        assert done.exit_code == 0, done.output
        assert (
            f"{state} is the state that --resume uses: last.safetensors beside it is used as the checkpoint"
            in done.stderr
        )
    last = read_checkpoint(runs / "judged" / "last.safetensors").tensors
    loaded = load_model(state).network.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in last.items())
    shutil.copy(state, tmp_path / "mine.ckpt")
    for words in (
        ("predict", tmp_path / "mine.ckpt", clip),
        ("convert", tmp_path / "mine.ckpt", "--out", tmp_path / "x"),
    ):
        done = marey(*words)
        assert "the state that --resume uses, not a checkpoint: name last.safetensors" in done.stderr


def empty(folder):
    pass


def begun(folder):
    (folder / "run.json").write_text("{}")


def kept_state(folder):
    begun(folder)
    (folder / "last.ckpt").write_bytes(b"")


def of_videos(folder):
    (folder / "jump").mkdir()
    (folder / "jump" / "a.mp4").write_bytes(b"")


def of_checkpoints(folder):
    for name in ("epoch_1.pth", "epoch_2.pth"):
        (folder / name).write_bytes(b"")


def of_runs(folder):
    (folder / "mine-1").mkdir()
    (folder / "mine-1" / "last.safetensors").write_bytes(b"")


def judged(folder):
    (folder / "scores.npz").write_bytes(b"")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (empty, "an empty folder"),
        (begun, "a run that has saved no checkpoint yet: resume it, marey train ... --resume --out"),
        (
            kept_state,
            "a run without last.safetensors, only the state that --resume uses: marey train ... --resume",
        ),
        (of_videos, "a folder of videos: the model comes first"),
        (of_checkpoints, "a folder with epoch_1.pth, epoch_2.pth: name the file"),
        (of_runs, "a folder of runs: name one of them, such as"),
        (judged, "a folder of results that evaluate wrote"),
    ],
)
def test_the_error_names_what_a_folder_holds_that_is_no_run(fill, message, videos, recipe, tmp_path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder)
    for words in (
        ("predict", folder, videos / "run" / "v0.mp4"),
        ("evaluate", folder, "--data", videos, "--out", tmp_path / "e"),
        ("train", recipe, "--data", videos, "--init", folder, "--out", tmp_path / "t"),
        ("convert", folder, "--out", tmp_path / "x.safetensors"),
    ):
        done = marey(*words)
        assert done.exit_code == 1
        (line,) = done.stderr.splitlines()
        assert f"{folder}: no such checkpoint file: {message}" in line
    assert not (tmp_path / "e").exists()
    assert not (tmp_path / "t").exists()


# -- --classes, for checkpoints of other toolkits


FOREIGN = get_recipe("tsn_r50_3seg_k400_mmaction2").variant(model={"num_classes": 3, "depth": 18, "width": 4})
PROTOCOL = (
    "--set", "pixels.short_side=40", "--set", "test.size=32", "--set", "test.sampling.segments=1", "--set",
    "test.crops=centre",
)  # fmt: skip


@pytest.fixture
def mine(tmp_path):
    """A fine-tuned checkpoint that always predicts its second class, and the names of its classes."""
    torch.manual_seed(0)
    state = build_model(FOREIGN).network.state_dict()
    tensors = {theirs: state[ours].clone() for theirs, ours in mmaction2.pairs(build_model(FOREIGN).network)}
    tensors["cls_head.fc_cls.bias"][:] = torch.tensor([0, 99.0, 0])
    torch.save({"state_dict": tensors}, tmp_path / "mine.pth")
    (tmp_path / "names.txt").write_text("walk\nrun\njump\n")
    return tmp_path / "mine.pth"


def test_class_names_get_into_predictions_and_files(mine, videos, tmp_path) -> None:
    names, clip = tmp_path / "names.txt", videos / "run" / "v0.mp4"
    assert "class 1" in marey("predict", mine, clip, *PROTOCOL, *HERE).stdout
    assert "100.0 %  run" in marey("predict", mine, clip, "--classes", names, *PROTOCOL, *HERE).stdout
    assert marey("convert", mine, "--classes", names, "--out", tmp_path / "m.safetensors").exit_code == 0
    assert load_model(tmp_path / "m.safetensors").class_names == ("walk", "run", "jump")
    (tmp_path / "two.txt").write_text("walk\nrun\n")
    for words in (("predict", mine, clip), ("convert", mine, "--out", tmp_path / "n.safetensors")):
        done = marey(*words, "--classes", tmp_path / "two.txt")
        assert "2 class names, but the network has 3 classes" in done.stderr
    (tmp_path / "turned.txt").write_text("jump\nrun\nwalk\n")
    done = marey("predict", tmp_path / "m.safetensors", clip, "--classes", tmp_path / "turned.txt")
    assert "names its 3 classes itself, in another order: leave out" in done.stderr


def test_a_list_of_names_is_tested_by_names_only(mine, videos, tmp_path) -> None:
    words = ("evaluate", mine, "--data", videos, "--out", tmp_path / "e", *PROTOCOL, *HERE)
    done = marey(*words)
    assert done.exit_code == 1
    assert "--classes FILE" in done.stderr
    done = marey(*words, "--classes", tmp_path / "names.txt", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["top1"] == 0.5  # it predicts run for all, and half of them show it


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """Checkpoints of a published network's size under names of their own: for 400 classes, and for 5."""
    folder = tmp_path_factory.mktemp("full")
    network = build_model(get_recipe("tsn_r50_3seg_k400_mmaction2")).network
    state = network.state_dict()
    tensors = {theirs: state[ours] for theirs, ours in mmaction2.pairs(network)}
    torch.save({"state_dict": tensors}, folder / "400.pth")
    five = {f"cls_head.fc_cls.{part}": tensors[f"cls_head.fc_cls.{part}"][:5].clone() for part in ("weight", "bias")}
    torch.save({"state_dict": tensors | five}, folder / "5.pth")
    return folder


def test_the_advice_for_a_file_with_other_classes_works(full_size, videos) -> None:
    clip = videos / "run" / "v0.mp4"
    done = marey("predict", "tsn_r50_3seg_k400_mmaction2", "--weights", full_size / "5.pth", clip)
    assert "allow" not in done.stderr
    assert "The file holds 5 classes; tsn_r50_3seg_k400_mmaction2 has 400 classes" in done.stderr
    assert "name the file alone, without the recipe: marey predict FILE VIDEO" in done.stderr
    assert marey("predict", full_size / "5.pth", clip, *PROTOCOL, *HERE).exit_code == 0


def test_assumed_classes_are_reported_and_can_be_named(full_size, tmp_path, capsys) -> None:
    """As many classes as a public set has: a guess, unless the file is the published one."""
    assumed = load_model(full_size / "400.pth")
    assert assumed.class_names[0] == "abseiling"
    said = (
        "its 400 classes are assumed to be those of kinetics400, in their order: the file does not name them; --classes"
    )
    assert said in capsys.readouterr().err
    assert said in str(assumed.load_report)
    names = [f"mine {number}" for number in range(400)]
    assert load_model(full_size / "400.pth", classes=names).class_names == tuple(names)
    (tmp_path / "names.csv").write_text("id,name\n" + "".join(f"{n},{name}\n" for n, name in enumerate(names)))
    clip = write_videos(tmp_path / "clips", 1) / "run" / "v0.mp4"
    done = marey("predict", full_size / "400.pth", clip, "--classes", tmp_path / "names.csv", *PROTOCOL, *HERE)
    assert "mine " in done.stdout
    assert "are assumed to be those of" not in done.stderr + capsys.readouterr().err
    assert done.stderr.count("read as a header") == 1
    done = marey("predict", full_size / "400.pth", clip, "--classes", tmp_path / "none.txt")
    assert "none.txt: no such file of class names" in done.stderr
