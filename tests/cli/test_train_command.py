"""`marey train` as people call it: folders and lists alike, a second folder, numbers as classes, a dry run."""

import csv
import shutil
from pathlib import Path

import pytest

import marey as package
from marey.base.claim import Command, OutputPath
from marey.base.files import write_json
from marey.recipe import read_recipe
from marey.workflows import train_network
from tests.support.command import marey
from tests.support.made_videos import write_videos

TINY = ["--init", "none", "--workers", "0", "--set", "model.width=4", "--set", "train.epochs=1", "--set",
        "test.sampling.segments=2", "--set", "clip.segments=2", "--set", "augment.size=32", "--set", "test.size=32", "--set",
        "pixels.short_side=36", "--set", "augment.short_side=36"]  # fmt: skip
RECIPE = "slowonly_r18_8seg_folder"


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """train/, valid/ and test/ of the classes 2 and 10, with 3, 1 and 1 videos each."""
    folder = tmp_path_factory.mktemp("data") / "clips"
    for split, count in (("train", 3), ("valid", 1), ("test", 1)):
        write_videos(folder / split, count, classes=("2", "10"), frames=6)
    return folder


def rows(path):
    with path.open(newline="") as file:
        return sorted((row["path"].split("clips/")[1], row["label"], row["split"]) for row in csv.DictReader(file))


EXPECTED = sorted(
    [(f"train/{c}/v{i}.mp4", c, "train") for c in ("2", "10") for i in range(3)]
    + [(f"valid/{c}/v0.mp4", c, "val") for c in ("2", "10")]
)


def test_a_divided_folder_a_list_of_it_and_two_folders_are_one_training(videos, tmp_path) -> None:
    assert marey("data", "list", videos, "--out", tmp_path / "l.csv").exit_code == 0
    for number, words in enumerate(
        (
            [videos],
            [tmp_path / "l.csv"],
            [videos / "train", "--val", videos / "valid"],
            [videos / "train", "--val", videos],
        )
    ):
        run = tmp_path / f"run{number}"
        done = marey("train", *words, *TINY, "--out", run)
        assert done.exit_code == 0, done.output
        assert "8 videos, 2 classes (2, 10): 6 to train on, 2 held out" in done.output
        assert "no recording in both splits" not in done.output  # file names show none
        assert rows(run / "split.csv") == EXPECTED
        assert package.load_model(run / "last.safetensors").class_names == ("2", "10")
    again = marey("train", RECIPE, "--data", tmp_path / "run0" / "split.csv", *TINY, "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert package.load_model(tmp_path / "again" / "last.safetensors").class_names == ("2", "10")
    model, out = tmp_path / "run0" / "last.safetensors", tmp_path / "e"
    tested = marey("evaluate", model, "--data", videos, "--split", "Testing", "--workers", 0, "--out", out)
    assert "(2 videos)" in tested.output, tested.output


def test_python_trains_as_the_command_does(videos, tmp_path) -> None:
    result = package.train(videos, out=tmp_path / "run", settings=[w for w in TINY if "=" in w], init="none", workers=0)
    assert result is not None
    assert len(result.scores.ids) == 2
    assert rows(tmp_path / "run" / "split.csv") == EXPECTED
    recipe = read_recipe(tmp_path / "run" / "recipe.yaml")
    fitted = package.fit(recipe, train=videos, init="none", out=tmp_path / "fit", workers=0)
    assert fitted.best is not None  # the folder's own validation videos were scored


@pytest.mark.parametrize("words", [["CLIPS"], ["CLIPS/train"], [RECIPE, "--data", "CLIPS"], ["LIST"]])
def test_a_dry_run_prints_the_plan_and_writes_nothing(videos, tmp_path, monkeypatch, words) -> None:
    monkeypatch.chdir(tmp_path)
    marey("data", "list", videos, "--out", tmp_path / "l.csv")
    monkeypatch.setattr(train_network, "fit", None)
    before = sorted(tmp_path.rglob("*"))
    places = {"CLIPS": videos, "CLIPS/train": videos / "train", "LIST": tmp_path / "l.csv"}
    done = marey("train", *(places.get(word, word) for word in words), "--init", "none", "--dry-run")
    assert done.exit_code == 0, done.output
    whole = words != ["CLIPS/train"]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["2", "3", "1"] in lines if whole else ["2", "2", "1"] in lines
    assert lines.index(["class", "train", "val"]) < lines.index(["10", *(["3", "1"] if whole else ["2", "1"])])
    assert ("split 'test': 2 videos are not used here" in done.stdout) == whole
    assert done.stdout.count("training and validation: ") == 1
    for part in (
        "recipe: slowonly_r18_8seg_folder",
        "starts from: none",
        "output: runs/",
        "Nothing was trained or written",
    ):
        assert part in done.stdout
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "nosuch: there is no folder or list of this name, and there is no recipe 'nosuch'"),
        (["nosuch/"], "there is no folder or list of this name"),
        (["list.csv"], "there is no folder or list of this name"),
        (["slowonly_r18_8seg_folde"], f"Did you mean {RECIPE}"),
        ([RECIPE], "name the videos with --data"),
        (["CLIPS", "--data", "CLIPS"], "is a folder or a list; with --data the first word is a recipe's name"),
        (["CLIPS", "--epochs", 3, "--set", "train.epochs=3"], "--epochs is short for --set train.epochs=3, and --set"),
        (["CLIPS", "--lr", 1e-5, "--set", "train.optimizer.lr=1"], "--lr is short for --set train.optimizer.lr=1e-05"),
        (["CLIPS", "--init", "none", "--lr", 0], "train.optimizer.lr=0.0"),
        (["CLIPS", "--val", "/none"], "/none: no such list or folder"),
        (["CLIPS", "--classes", "/none"], "/none: no such file of class names"),
        (["CLIPS", "--root", "/none"], "--root /none: is for the relative paths of a list"),
        ([RECIPE, "--init", "none", "--data", "CLIPS", "--root", "/none"], "is a folder: leave it out"),
        (["CLIPS", "--classes", "NAMES"], "the class folder 10 (5 videos) is none of the 2 classes (2, 3)"),
        (["GONE"], "8 of 8 videos are not there, more than the 3 that are tolerated (--max-broken)"),
        ([RECIPE, "--init", "none", "--data", "GONE"], "8 of 8 videos are not there"),
    ],
)
def test_what_can_have_no_effect_or_is_not_there_is_refused_before_work(videos, tmp_path, words, message) -> None:
    (tmp_path / "names.txt").write_text("2\n3\n")
    (tmp_path / "gone.csv").write_text("path,label\n" + "".join(f"gone/{i}.mp4,{'ab'[i % 2]}\n" for i in range(8)))
    places = {"CLIPS": videos, "NAMES": tmp_path / "names.txt", "GONE": tmp_path / "gone.csv"}
    done = marey("train", *(places.get(word, word) for word in words), "--out", tmp_path / "run")
    assert done.exit_code == 1, done.output
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "run").exists()


def test_classes_give_the_order(videos, tmp_path) -> None:
    (tmp_path / "names.txt").write_text("10\n2\n")
    done = marey("train", videos, "--classes", tmp_path / "names.txt", "--init", "none", "--dry-run")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines.index(["10", "3", "1"]) < lines.index(["2", "3", "1"])


def test_a_list_without_splits_holds_a_fifth_out(videos, tmp_path) -> None:
    (tmp_path / "l.txt").write_text("".join(f"{c}/v{i}.mp4 {n}\n" for n, c in enumerate(("2", "10")) for i in range(3)))
    done = marey("train", tmp_path / "l.txt", "--root", videos / "train", "--init", "none", "--dry-run")
    assert "6 videos, 2 classes (0, 1): 4 to train on, 2 held out" in done.stdout, done.output
    assert "output: runs/l-1" in done.stdout


def test_data_split_keeps_a_split_that_is_there(videos, tmp_path) -> None:
    done = marey("data", "split", videos, "--out", tmp_path / "s.csv")
    assert "is divided already, and its split is kept" in done.output
    assert [row for row in rows(tmp_path / "s.csv") if row[2] != "test"] == EXPECTED


def test_predict_and_features_take_folders_of_frames(videos, tmp_path) -> None:
    shutil.copytree(videos / "train", tmp_path / "v")
    assert marey("data", "frames", tmp_path / "v", "--out", tmp_path / "f", "--workers", 0).exit_code == 0
    run = marey("train", tmp_path / "f", *TINY, "--out", tmp_path / "run")
    assert "6 videos, 2 classes" in run.output, run.output
    model = tmp_path / "run" / "last.safetensors"
    for folder, count in ((tmp_path / "f", 6), (tmp_path / "f" / "2", 3), (tmp_path / "f" / "2" / "v0", 1)):
        answered = marey("predict", model, folder, "--workers", 0)
        assert answered.exit_code == 0, answered.output
        assert sum(line.startswith(str(tmp_path / "f")) for line in answered.stdout.splitlines()) == count
    found = marey("features", model, "--data", tmp_path / "f", "--workers", 0, "--out", tmp_path / "feat")
    assert "features of 6 videos" in found.stdout


@pytest.mark.parametrize("words", [["CLIPS"], [RECIPE, "--data", "CLIPS"]])
def test_epochs_and_learning_rate_have_short_forms(videos, tmp_path, words) -> None:
    words = [videos if word == "CLIPS" else word for word in words]
    tiny = [word for word in TINY if "epochs" not in str(word)]
    del tiny[max(i for i, word in enumerate(tiny[:-1]) if word == tiny[i + 1] == "--set")]
    done = marey("train", *words, *tiny, "--epochs", 1, "--lr", "1e-5", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    recipe = read_recipe(tmp_path / "run" / "recipe.yaml")
    assert (recipe.train.epochs, recipe.train.optimizer.lr) == (1, 1e-5)
    assert "1 epoch of 2 steps of" in done.output or "1 epoch of 1 step of" in done.output


def test_a_split_in_the_output_folder_that_is_read_is_not_written_over(videos, tmp_path) -> None:
    split = tmp_path / "run" / "split.csv"
    split.parent.mkdir()
    assert marey("data", "split", videos, "--out", split).exit_code == 0
    before = split.read_bytes()
    for words in ([split], [videos / "train", "--val", split]):
        done = marey("train", *words, *TINY, "--out", tmp_path / "run")
        assert done.exit_code == 1
        assert "split.csv is read by this command" in done.stderr
        assert split.read_bytes() == before


@pytest.mark.parametrize("named", [False, True])
def test_a_run_that_is_resumed_ends_where_it_was_to_end(named, videos, tmp_path) -> None:
    """It keeps its own number of epochs, not that of Marey or of the recipe; `--epochs` adds more."""
    tiny = [word for word in TINY if word != "train.epochs=1"]
    tiny.pop(tiny.index("model.width=4") + 1)  # the --set of the epochs
    words = ["train", *([RECIPE, "--data", videos] if named else [videos]), *tiny, "--out", tmp_path / "run"]
    assert marey(*words, "--epochs", 1).exit_code == 0
    again = marey(*words, "--resume")
    assert again.exit_code == 0, again.output
    assert "continues to" not in again.stderr
    assert "trained to its end already, 1 epoch;" in again.stderr
    assert "resumed in epoch" not in again.stderr
    assert read_recipe(tmp_path / "run" / "recipe.yaml").train.epochs == 1
    planned = marey(*words, "--resume", "--dry-run")
    assert ", 1 epoch\n" in planned.stdout
    recipe = RECIPE if named else None
    package.train(
        videos, recipe=recipe, settings=[word for word in tiny if "=" in word], init="none", workers=0, resume=True,
        out=tmp_path / "run",
    )  # fmt: skip
    assert read_recipe(tmp_path / "run" / "recipe.yaml").train.epochs == 1
    more = marey(*words, "--resume", "--epochs", 2)
    assert "continues to 2 epochs in place of 1" in more.stderr


def test_a_dry_run_of_a_resume_needs_a_run(videos, tmp_path) -> None:
    done = marey("train", videos, "--init", "none", "--resume", "--dry-run", "--out", tmp_path / "none")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "none holds no run to resume" in done.stderr


def test_a_training_that_is_refused_leaves_nothing(videos, tmp_path) -> None:
    done = marey("train", videos, *TINY, "--set", "train.frozen_stages=99", "--out", tmp_path / "run")
    assert done.exit_code == 1, done.output
    assert "every parameter is frozen" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_process_that_starts_late_finds_the_first_one_at_work(videos, tmp_path, monkeypatch) -> None:
    """The first process of a training writes for all, and may have begun before another one has started."""
    out = OutputPath.folder(tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with out.held():
        write_json(out.note(Command.TRAIN), {"command": "train"})
        for rank, code in ((0, 1), (1, 0)):
            monkeypatch.setenv("RANK", str(rank))
            for data in ([videos], [RECIPE, "--data", videos]):
                done = marey("train", *data, "--out", out.path, "--dry-run", "--init", "none")
                assert done.exit_code == code, done.output
                assert ("another process is writing there" in done.output) == (rank == 0)
