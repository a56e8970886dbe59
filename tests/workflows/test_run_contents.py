"""Run folders: no file is there twice, README.txt names exactly the files, and results of a run are inside it."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

import marey as package
from marey.base import files
from marey.base.readme import README, write_readme
from marey.base.runs import results_folder
from marey.data.lists.class_folders import list_folder
from marey.training.fit import fit
from marey.weights.checkpoint import read_checkpoint
from tests.support import command
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE

TINY = ("--set", "model.width=4", "--set", "train.epochs=1", "--set", "augment.size=32", "--set", "test.size=32",
        "--set", "augment.short_side=36", "--set", "pixels.short_side=36", "--workers", 0, "--device", "cpu")  # fmt: skip
HERE = ("--workers", 0, "--device", "cpu")


def marey(*words: object) -> Result:
    """What the command gives where it succeeds."""
    done = command.marey(*words)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with clips, and a run that was trained on them by the command."""
    folder = tmp_path_factory.mktemp("work")
    write_videos(folder / "clips", 5)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        marey("train", "clips", "--out=runs/a", "--init", "none", *TINY)
    return folder


@pytest.fixture
def workdir(work, tmp_path, monkeypatch) -> Path:
    shutil.copytree(work, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def listed(folder: Path) -> set[str]:
    """The names that README.txt gives in its first list."""
    part = (folder / README).read_text().split("What is here:\n")[1].split("\n\n")[0]
    return {line.split()[0] for line in part.splitlines()}


def there(folder: Path) -> set[str]:
    """Files, and folders with "/" at the end, that are not hidden."""
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != README]
    return {path.name + "/" * path.is_dir() for path in found}


def test_a_run_describes_each_of_its_files(work) -> None:
    run = work / "runs" / "a"
    assert listed(run) == there(run)
    assert "parts/" not in there(run)
    assert not [name for name in os.listdir(run) if name.startswith(".")]
    assert (run / "best.safetensors").samefile(run / "last.safetensors"), "one epoch is the best and the last one"
    steps = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert all("loss" in step for step in steps)


def test_the_commands_of_a_readme_work_as_they_are(tmp_path, monkeypatch) -> None:
    workdir = tmp_path
    monkeypatch.chdir(workdir)
    write_videos(workdir / "clips", 5)
    marey("train", "clips", "--init", "none", *TINY, "--out", "runs/a")
    text = (workdir / "runs" / "a" / README).read_text()
    lines = re.findall(r"^ {6}(?:marey|python -m marey) (.*)$", text, flags=re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["predict", "evaluate", "train", "report"]
    for line in lines:
        words = shlex.split(line)
        assert "--resume" in words or words[0] != "train"
        marey(*words, *(() if words[0] in ("report", "train") else HERE))
    inside = workdir / "runs" / "a" / "evaluate-val-1"
    assert listed(inside) == there(inside) == {"evaluate.json", "report.html", "result.json", "scores.npz"}
    assert listed(workdir / "runs" / "a") == there(workdir / "runs" / "a"), "the run names its new test"


@pytest.mark.parametrize("checkpoint", ["runs/a", "runs/a/last.safetensors", "runs/a/last.ckpt", "./runs/a/"])
def test_results_of_a_run_go_inside_it(checkpoint, workdir) -> None:
    split = ("--data", "runs/a/split.csv", "--split", "val")
    marey("evaluate", checkpoint, *split, *HERE)
    marey("evaluate", checkpoint, *split, *HERE)
    marey("evaluate", checkpoint, "--data", "clips", *HERE)
    marey("features", checkpoint, "--data", "clips", *HERE)
    run = workdir / "runs" / "a"
    made = ("evaluate-val-1", "evaluate-val-2", "evaluate-clips-1", "features-clips-1")
    assert {name for name in os.listdir(run) if (run / name).is_dir()} == set(made)
    assert os.listdir(workdir / "runs") == ["a"]
    assert listed(run / "features-clips-1") == {"index.csv", "*.npy", "features.json"}
    marey("report", "runs/a")
    marey("fuse", "runs/a/evaluate-val-1", "runs/a/evaluate-val-2")


def test_weights_of_a_named_recipe_are_a_run_too(workdir) -> None:
    weights = "runs/a/best.safetensors"
    found = results_folder("reproduce", weights, None, data=Path("clips"), of="a_row")
    assert found == Path("runs/a/reproduce-clips-1")
    assert results_folder("reproduce", None, None, of="a_row") == Path("runs/a_row-reproduce-1")


def test_other_checkpoints_and_two_models_have_folders_of_their_own(workdir) -> None:
    shutil.copy(workdir / "runs" / "a" / "last.safetensors", workdir / "mine.safetensors")
    marey("evaluate", "mine.safetensors", "--data", "clips", *HERE)
    marey("evaluate", "runs/a", "--fuse", "mine.safetensors", "--data", "clips", *HERE)
    marey("features", "mine.safetensors", "--data", "clips", *HERE)
    assert set(os.listdir("runs")) == {"a", "mine-evaluate-1", "a-evaluate-1", "mine-features-1"}
    assert not [path for path in (workdir / "runs" / "a").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("val", "evaluate-val-1"),
        ("a:b?c", "evaluate-a_b_c-1"),
        ("con", "evaluate-con-1"),
        ("x. ", "evaluate-x-1"),
        ("跑步", "evaluate-跑步-1"),
        ("e\u0301", "evaluate-\u00e9-1"),
        ("\udcff", "evaluate-_-1"),
    ],
)
def test_names_that_every_file_system_takes(name, folder, workdir) -> None:
    found = results_folder("evaluate", "runs/a", data=Path("clips"), split=name)
    assert found.name == folder


def test_long_names_are_cut(workdir) -> None:
    found = results_folder("evaluate", "runs/a", data=Path("跑" * 80 + ".csv"))
    assert len(found.name.encode()) < 90
    found.mkdir(parents=True)


def test_a_folder_that_cannot_be_chosen_names_the_way_out(workdir, monkeypatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("marey.base.claim.tempfile.TemporaryFile", refused)
    done = command.marey("evaluate", "runs/a", "--data", "clips")
    assert done.exit_code == 1
    assert "runs/a/evaluate-clips-1 cannot be written (Permission denied)" in done.stderr
    assert "another folder is named: --out FOLDER" in done.stderr


def test_a_finished_test_is_read_from_its_scores(workdir, monkeypatch) -> None:
    marey("evaluate", "runs/a", "--data", "clips", "--out", "e", *HERE)
    before = {name: (workdir / "e" / name).read_bytes() for name in ("result.json", README)}
    with np.load("e/scores.npz") as file:
        scores = dict(file)
    model = package.load_model("runs/a")
    monkeypatch.setattr("marey.evaluation.run.score_video", None)
    package.evaluate(model, "clips", out="e", workers=0, device="cpu")
    assert {name: (workdir / "e" / name).read_bytes() for name in before} == before
    with np.load("e/scores.npz") as file:
        assert all(np.array_equal(file[name], scores[name]) for name in scores)
    assert not (workdir / "e" / "parts").exists()


def test_without_hard_links_the_last_weights_are_a_copy(work, tmp_path, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(files.os, "link", refused)
    videos = list_folder(work / "clips")
    once = RECIPE.variant(train={"epochs": 1})
    found = fit(once, train=videos, val=videos, out=tmp_path / "a", workers=0)
    assert not found.last.samefile(found.best)
    one, two = (read_checkpoint(path) for path in (found.last, found.best))
    assert one.description == two.description
    assert all(np.array_equal(value, two.tensors[name]) for name, value in one.tensors.items())
    assert listed(tmp_path / "a") == there(tmp_path / "a")


def test_a_better_epoch_later_leaves_the_last_weights_alone(work, tmp_path, monkeypatch) -> None:
    """Of three epochs the first and the third are the best so far; between them the two files differ."""
    videos = list_folder(work / "clips")
    seen: list[bool] = []
    told = "marey.training.loop.TrainingLoop._tell"
    monkeypatch.setattr(
        told, lambda self, record: seen.append((tmp_path / "last.safetensors").samefile(tmp_path / "best.safetensors"))
    )
    scores = iter((0.5, 0.25, 0.75))
    judged = package.training.loop.validate

    def scored(*given):
        found = judged(*given)
        first = found.metrics[0].__class__(**{**vars(found.metrics[0]), "value": next(scores)})
        return found.__class__(found.loss, (first, *found.metrics[1:]))

    monkeypatch.setattr("marey.training.loop.validate", scored)
    fit(RECIPE, train=videos, val=videos, out=tmp_path, workers=0)
    assert seen == [True, False, True]


def test_a_readme_of_the_user_stays(work, tmp_path, capsys) -> None:
    (tmp_path / README).write_text("mine")
    fit(RECIPE.variant(train={"epochs": 1}), train=list_folder(work / "clips"), out=tmp_path, workers=0)
    assert (tmp_path / README).read_text() == "mine"
    assert "is not of Marey and stays as it is" in capsys.readouterr().err


def test_small_folders_explain_themselves(tmp_path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    write_readme(tmp_path)
    assert not (tmp_path / README).exists()
    (tmp_path / "scores.npz").touch()
    write_readme(tmp_path)
    assert "a, b, c" in (tmp_path / README).read_text()


def test_predictions_in_a_folder_are_explained(workdir) -> None:
    marey("predict", "runs/a", "clips/run/v0.mp4", "--out", "answers/", *HERE)
    assert listed(workdir / "answers") == there(workdir / "answers")


def test_the_logger_is_named_or_refused_before_work(workdir, monkeypatch) -> None:
    marey("train", "clips", "--out", "runs/b", "--init", "none", *TINY, "--logger", "csv", "--logger", "tensorboard")
    assert list((workdir / "runs" / "b" / "tensorboard").iterdir())
    assert "tensorboard/" in listed(workdir / "runs" / "b")
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    for words in (("--logger", "tensorboard"), ("--tensorboard",), ("--tensorboard", "--logger", "csv")):
        done = command.marey("train", "clips", "--init", "none", "--out", "runs/c", *words)
        assert "pip install 'marey[tensorboard]'" in done.stderr
        assert not (workdir / "runs" / "c").exists()
    assert command.marey("train", "clips", "--logger", "wandb").exit_code == 2


def test_the_size_of_a_pass_changes_neither_step_nor_learning_rate(workdir) -> None:
    done = marey("train", "clips", "--out", "runs/b", "--init", "none", *TINY, "--batch", 3)
    assert "--batch 3: at most 3 clips per forward pass; a step stays 8 clips (train.base_batch)" in done.stderr
    one, two = (read_checkpoint(workdir / "runs" / run / "last.safetensors").tensors for run in ("a", "b"))
    for name, value in one.items():
        if "norm" not in name:
            np.testing.assert_allclose(value, two[name], atol=5e-2)


def test_short_names_in_python(workdir) -> None:
    settings = [word for word in map(str, TINY) if "=" in word and "epochs" not in word]
    package.train(
        "clips", out="runs/p", init="none", settings=settings, epochs=2, lr=1e-4, batch=4, logger="csv", workers=0,
        device="cpu",
    )  # fmt: skip
    train = read_checkpoint(workdir / "runs" / "p" / "last.safetensors").recipe.train
    assert (train.epochs, train.optimizer.lr, train.base_batch) == (2, 1e-4, 8)
    with pytest.raises(package.MareyError, match="--epochs is short for --set train.epochs=2"):
        package.train("clips", out="runs/q", settings=["train.epochs=3"], epochs=2)
    with pytest.raises(package.MareyError, match=r"logger='wandb': expected 'csv' or 'tensorboard'"):
        package.train("clips", out="runs/q", logger="wandb")
    assert not (workdir / "runs" / "q").exists()


def test_an_interruption_before_the_first_step_leaves_nothing(workdir, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("marey.training.fit.TrainingLoop", interrupted)
    done = command.marey("train", "clips", "--out", "runs/b", "--init", "none", *TINY)
    assert done.exit_code == 130
    assert not (workdir / "runs" / "b").exists()


def test_a_run_of_version_0_1_0_is_resumed(work, tmp_path) -> None:
    """It has start.json, and files `parts` beside the scores; temporary files of a killed process are removed."""
    videos = list_folder(work / "clips")
    once = RECIPE.variant(train={"epochs": 1})
    first = fit(once, train=videos, val=videos, out=tmp_path / "first", workers=0)
    fit(once, train=videos, val=videos, init=first.last, out=tmp_path / "a", workers=0)
    run = tmp_path / "a"
    note = json.loads((run / "run.json").read_text())
    start = note["started_from"]
    assert start["file"] == "last.safetensors"
    (run / "start.json").write_text(json.dumps(start))
    added = {"working_folder", "out", "example", "held_out", "held_out_split", "held_out_root", "started_from"}
    old = {name: value for name, value in note.items() if name not in added | {"command", "marey"}}
    (run / "run.json").write_text(json.dumps(old))
    (run / README).unlink()
    shutil.copy(run / "last.safetensors", run / ".last-abcdefgh.safetensors")
    (run / ".mine-abcdefgh.safetensors").touch()
    longer = RECIPE.variant(train={"epochs": 2})
    found = fit(longer, train=videos, val=videos, out=run, workers=0, resume=True)
    assert read_checkpoint(found.last).provenance["started_from"] == start
    assert json.loads((run / "run.json").read_text())["started_from"] == start
    assert listed(run) == there(run)
    assert "start.json" not in there(run)
    assert [name for name in os.listdir(run) if name.startswith(".")] == [".mine-abcdefgh.safetensors"]


def test_a_test_with_files_of_version_0_1_0_is_not_repeated(workdir, monkeypatch) -> None:
    """Its files `parts` beside its scores are removed, and the metrics stay."""
    with monkeypatch.context() as patched:
        patched.setattr("marey.evaluation.resumable.ResumableTest._remove_parts", lambda self, out: None)
        marey("evaluate", "runs/a", "--data", "clips", "--out", "e", *HERE)
    before = (workdir / "e" / "result.json").read_bytes()
    assert (workdir / "e" / "parts").exists()
    monkeypatch.setattr("marey.evaluation.run.score_video", None)
    marey("evaluate", "runs/a", "--data", "clips", "--out", "e", *HERE)
    assert (workdir / "e" / "result.json").read_bytes() == before
    assert (
        listed(workdir / "e") == there(workdir / "e") == {"evaluate.json", "report.html", "result.json", "scores.npz"}
    )


def test_two_streams_are_explained(workdir) -> None:
    marey("evaluate", "runs/a", "--fuse", "runs/a/last.safetensors", "--data", "clips", "--out", "e", *HERE)
    found = there(workdir / "e")
    assert listed(workdir / "e") == found
    (one, two) = (name for name in found if name.startswith("stream"))
    for name in (one, two):
        assert listed(workdir / "e" / name) == there(workdir / "e" / name)


@pytest.mark.parametrize("text", ['{"run": 7}', '{"recipe": "cake"}', "[1]", "no JSON"])
def test_a_folder_with_a_file_of_another_program_is_no_training(workdir, text) -> None:
    (workdir / "runs" / "run.json").write_text(text)
    marey("evaluate", "runs/a", "--data", "clips", "--out", "runs/e", *HERE)
    assert not (workdir / "runs" / README).exists()
    for name in ("report.html", "log.csv", "recipe.yaml"):
        (workdir / "runs" / name).touch()
    write_readme(workdir / "runs")
    assert "It holds a training of" not in (workdir / "runs" / README).read_text()


def test_classes_named_like_folders_of_a_run_are_videos(tmp_path) -> None:
    """Folders of videos are not listed, since there may be a million."""
    for name in ("parts", "tensorboard", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "parts" / "run.json").write_text("{}")
    (tmp_path / "conversion.json").write_text("{}")
    write_readme(tmp_path, always=True)
    assert "parts/, run/, tensorboard/  results for the videos" in (tmp_path / README).read_text()


def test_lists_and_videos_in_a_folder_are_explained(workdir) -> None:
    for name in ("one", "two", "three"):
        marey("data", "list", "clips", "--out", f"{name}.csv")
        marey("data", "resize", f"{name}.csv", "--out", "small", "--short-side", 32, "--workers", 0)
    text = (workdir / "small" / README).read_text()
    assert "*.csv (3)" in text
    assert "clips/  " in text
