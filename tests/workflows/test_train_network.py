"""`marey.train` in Python: what `marey train` does, by the names of its parameters."""

from pathlib import Path

import pytest
import torch

import marey
from marey.recipe import read_recipe
from marey.workflows.training_time import training_seconds
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE


@pytest.fixture(autouse=True)
def workdir(tmp_path, monkeypatch) -> Path:
    """The working folder, with clips/ in it."""
    write_videos(tmp_path / "clips", 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(monkeypatch) -> list[marey.Recipe]:
    """The recipes that `train` would train by, after all is checked; nothing is trained."""
    plans = []
    monkeypatch.setattr("marey.workflows.train.train_folder", plans.append)
    monkeypatch.setattr("marey.workflows.train.train_and_test", plans.append)
    return plans


@pytest.mark.parametrize(("data", "name"), [("clips/", "clips"), (Path("clips"), "clips"), ("list.csv", "list")])
def test_without_out_a_run_is_named_after_its_videos(data, name, monkeypatch) -> None:
    plans = asked(monkeypatch)
    marey.read_manifest("clips").write_csv("list.csv")
    Path(f"runs/{name}-1").mkdir(parents=True)
    marey.train(data, init="none")
    marey.train(marey.read_manifest(data), init="none")
    assert [plan.out for plan in plans] == [Path(f"runs/{name}-2")] * 2
    marey.train(data, init="none", recipe=RECIPE)
    assert plans[2].out == Path("runs/tiny-1")
    monkeypatch.chdir("clips")
    marey.train(".", init="none")
    assert plans[3].out == Path("runs/clips-1")


def test_short_names_of_settings(monkeypatch) -> None:
    plans = asked(monkeypatch)
    marey.train("clips", epochs=7, lr=3e-5, settings=["train.clip_norm=5"], init="none", batch=3, workers=0)
    marey.train("clips", recipe=RECIPE, epochs=7, lr=3e-5, init="none")
    for plan in plans:
        assert (plan.recipe.train.epochs, plan.recipe.train.optimizer.lr) == (7, 3e-5)
    assert plans[0].recipe.train.clip_norm == 5
    assert (plans[0].options.compute.batch, plans[0].options.compute.workers) == (3, 0)
    with pytest.raises(marey.RecipeError, match=r"^--epochs is short for --set train\.epochs=7, and"):
        marey.train("clips", epochs=7, settings=["train.epochs=8"])
    with pytest.raises(marey.RecipeError, match=r"^--lr is short for --set train\.optimizer\.lr=0\.1, and"):
        marey.train("clips", lr=0.1, settings=["train.optimizer.lr=1"])


def test_the_measurement_restores_random_states_without_warnings(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)  # torch warns when it saves the states of all of them
    videos, before = marey.read_manifest("clips"), torch.get_rng_state()
    compute = marey.Compute(device="cpu", workers=0)
    for recipe in (RECIPE, RECIPE.variant(train={"precision": "bfloat16"})):
        seconds = training_seconds(recipe, videos, videos, compute, epochs=2)
        assert seconds is not None
        assert seconds > 0
    assert torch.equal(torch.get_rng_state(), before)


def test_a_recipe_by_name_by_file_or_itself(monkeypatch) -> None:
    plans = asked(monkeypatch)
    Path("mine.yaml").write_text(RECIPE.to_yaml(), encoding="utf-8")
    for recipe in (RECIPE, "mine.yaml", Path("mine.yaml"), "slowonly_r18_8x2_motions"):
        marey.train("clips", recipe=recipe, init="none")
    assert [plan.recipe for plan in plans[:3]] == [read_recipe("mine.yaml")] * 3
    assert plans[3].recipe.name == "slowonly_r18_8x2_motions"
    with pytest.raises(marey.RecipeError, match="there is no recipe 'slowonly_r18'"):
        marey.train("clips", recipe="slowonly_r18")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        ({"data": "none"}, marey.DataError, "none: no such list or folder"),
        ({"data": marey.VideoList.from_paths(["a.mp4"])}, marey.DataError, "^data: .* not a VideoList"),
        ({"data": ["a.mp4"]}, marey.DataError, "^data: .* not a list"),
        ({"data": "clips", "resume": True}, marey.RunError, "^resume=True: name the run to resume"),
    ],
)
def test_what_cannot_be_trained_is_refused(call, error, words, workdir) -> None:
    with pytest.raises(error, match=words):
        marey.train(**call)
    assert not (workdir / "runs").exists()


def test_several_processes_do_not_choose_a_folder(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(marey.RunError, match=r"name it with out=\.$"):
        marey.train("clips")


def test_a_recipe_is_trained_tested_and_reported(capsys) -> None:
    manifest = marey.read_manifest("clips")
    result = marey.train(manifest, val=manifest, recipe=RECIPE, epochs=1, init="none", workers=0)
    assert isinstance(result, marey.EvaluationResult)
    assert result.num_videos == 6
    assert Path("runs/tiny-1/report.html").exists()
    assert marey.predict("runs/tiny-1", "clips/run/v0.mp4").class_names == ("jump", "run")
    assert marey.train("clips", recipe=RECIPE, epochs=1, init="none", workers=0) is None, "nothing is held out"
