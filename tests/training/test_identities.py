"""The identities of training videos in a checkpoint: with resumes, initial weights, files and several processes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import marey
from marey.data.files.identity import Identities, file_identity
from marey.data.lists.class_folders import list_folder
from marey.training.fit import fit
from marey.weights.checkpoint import read_checkpoint, save_checkpoint, save_folder
from tests.support.crashing import CrashError, crash_after
from tests.support.tiny import RECIPE

VIDEOS_PER_CLASS = 5


def contents(manifest) -> Identities:
    return Identities.of(file_identity(video.path) for video in manifest)


def noted(file: Path) -> Identities | None:
    return read_checkpoint(file).description.trained_on


def test_every_checkpoint_records_the_training_videos(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    train, val = manifest[::2], manifest[1::2]
    for workers in (0, 2):
        fit(RECIPE, train=train, val=val, out=tmp_path / f"{workers}", workers=workers)
        for name in ("last.safetensors", "best.safetensors"):
            assert noted(tmp_path / f"{workers}" / name) == contents(train)


def test_a_resumed_run_keeps_the_earlier_identities(videos, tmp_path, monkeypatch) -> None:
    """After part of an epoch only the videos of its steps; after the resume the others, too."""
    manifest, recipe = list_folder(videos), RECIPE.variant(train={"epochs": 1})
    with monkeypatch.context() as patched, pytest.raises(CrashError):
        crash_after(2, patched)
        fit(recipe, train=manifest, out=tmp_path, workers=0, checkpoint_minutes=0)
    before = noted(tmp_path / "last.safetensors")
    assert before is not None
    assert 0 < len(before) < len(manifest)
    fit(recipe, train=manifest, out=tmp_path, workers=0, resume=True)
    assert noted(tmp_path / "last.safetensors") == contents(manifest)


def test_after_a_state_of_version_0_1_0_they_are_unknown(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    fit(RECIPE.variant(train={"epochs": 1}), train=manifest, out=tmp_path, workers=0)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del state["trained_on"]
    torch.save(state, tmp_path / "last.ckpt")
    fit(RECIPE.variant(train={"epochs": 2}), train=manifest, out=tmp_path, workers=0, resume=True)
    assert noted(tmp_path / "last.safetensors") is None


def test_the_identities_of_initial_weights_count(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    first = fit(RECIPE, train=manifest[:6], out=tmp_path / "a", workers=0)
    fit(RECIPE, train=manifest[6:], init=first.last, out=tmp_path / "b", workers=0)
    assert noted(tmp_path / "b" / "last.safetensors") == contents(manifest)
    model = marey.load_model(first.last)
    assert model.trained_on == contents(manifest[:6])
    assert model.with_recipe(model.recipe).trained_on == model.trained_on
    fit(model, train=manifest[6:], out=tmp_path / "c", workers=0)
    assert model.trained_on == contents(manifest), "the classifier was trained in place"


def test_files_hold_them(videos, tmp_path) -> None:
    fit(RECIPE, train=list_folder(videos), out=tmp_path / "a", workers=0)
    model = marey.load_model(tmp_path / "a" / "last.safetensors")
    save_checkpoint(tmp_path / "b.safetensors", model)
    save_folder(tmp_path / "c", model)
    assert noted(tmp_path / "b.safetensors") == noted(tmp_path / "c") == contents(list_folder(videos))
    save_checkpoint(tmp_path / "d.safetensors", model.network, model.recipe, model.class_names)
    assert noted(tmp_path / "d.safetensors") is None
    assert marey.load_model(tmp_path / "d.safetensors").trained_on is None


def test_broken_videos_are_not_trained_on(videos, tmp_path) -> None:
    shutil.copytree(videos, tmp_path / "videos")
    (tmp_path / "videos" / "jump" / "v0.mp4").write_bytes(b"no video")
    manifest = list_folder(tmp_path / "videos")
    fit(RECIPE, train=manifest, out=tmp_path / "a", workers=0, max_broken=0.5)
    assert noted(tmp_path / "a" / "last.safetensors") == contents(manifest[1:])


@pytest.mark.slow
def test_two_processes_record_the_videos_of_both(videos, tmp_path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(RECIPE.variant(train={"epochs": 1}).to_yaml())
    list_folder(videos).write_csv(tmp_path / "list.csv")
    words = [
        "train",
        str(recipe),
        "--data",
        str(tmp_path / "list.csv"),
        "--out",
        str(tmp_path / "two"),
        "--init",
        "none",
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "marey"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*torchrun, *words, "--workers", "0"], check=False, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    assert noted(tmp_path / "two" / "last.safetensors") == contents(list_folder(videos))


# -- more epochs


def rates(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["lr"] for line in lines if "loss" in line]


COSINE = RECIPE.variant(train={"schedule": {"kind": "cosine", "by": "step"}})


def test_a_finished_run_is_resumed_with_more_epochs(videos, tmp_path, capsys) -> None:
    manifest = list_folder(videos)
    short, long = (COSINE.variant(train={"epochs": count}) for count in (2, 4))
    fit(short, train=manifest, val=manifest, out=tmp_path / "a", workers=0)
    capsys.readouterr()
    result = fit(long, train=manifest, val=manifest, out=tmp_path / "a", workers=0, resume=True)
    assert (
        "continues to 4 epochs in place of 2; the learning rate follows the schedule of 4 epochs from step 6 on"
        in capsys.readouterr().err
    )
    assert (result.epochs, result.steps) == (4, 12)
    fit(long, train=manifest, val=manifest, out=tmp_path / "b", workers=0)
    assert rates(tmp_path / "a")[6:] == rates(tmp_path / "b")[6:]
    assert len((tmp_path / "a" / "log.csv").read_text().splitlines()) == 5
    note = json.loads((tmp_path / "a" / "run.json").read_text())
    assert note["recipe"]["train"]["epochs"] == 4
    assert read_checkpoint(result.last).recipe.train.epochs == 4
    again = fit(long, train=manifest, val=manifest, out=tmp_path / "a", workers=0, resume=True)
    assert again.steps == 12
    assert "in place of" not in capsys.readouterr().err


def test_an_unfinished_run_is_resumed_with_more_epochs(videos, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    with monkeypatch.context() as patched, pytest.raises(CrashError):
        crash_after(5, patched)
        fit(COSINE, train=manifest, out=tmp_path / "a", workers=0, checkpoint_minutes=0)
    result = fit(COSINE.variant(train={"epochs": 4}), train=manifest, out=tmp_path / "a", workers=0, resume=True)
    assert (result.epochs, result.steps) == (4, 12)
    shorter = COSINE.variant(train={"epochs": 2})
    with pytest.raises(
        marey.MareyError, match=r"is in epoch 4 of 4 already, and train.epochs=2 is less: give at least 4"
    ):
        fit(shorter, train=manifest, out=tmp_path / "a", workers=0, resume=True)


def test_a_run_that_stopped_early_is_resumed_where_it_stopped(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    stopping = RECIPE.variant(train={"epochs": 9, "stop_after": 1, "optimizer": {"lr": 1e-9}})
    first = fit(stopping, train=manifest, val=manifest, out=tmp_path, workers=0)
    assert first.steps < 27
    done = first.steps // 3
    going_on = stopping.variant(train={"epochs": 10})
    second = fit(going_on, train=manifest, val=manifest, out=tmp_path, workers=0, resume=True)
    assert second.steps > first.steps
    epochs = [int(row.split(",")[0]) for row in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert epochs == list(range(1, second.steps // 3 + 1))
    assert epochs[-1] > done


def test_a_difference_is_named_with_a_remedy(videos, tmp_path) -> None:
    manifest = list_folder(videos)
    fit(RECIPE, train=manifest, out=tmp_path, workers=0)
    other = RECIPE.variant(train={"optimizer": {"lr": 0.5}, "epochs": 5})
    lr = RECIPE.train.optimizer.lr
    with pytest.raises(marey.MareyError) as refused:
        fit(other, train=manifest, out=tmp_path, workers=0, resume=True)
    assert str(refused.value) == (
        f"{tmp_path} holds another run (recipe.train.optimizer.lr: there {lr}, here 0.5): resume it with the same settings, "
        f"or choose another --out (from its weights: --init {tmp_path / 'last.safetensors'} --out OTHER)."
    )
    with pytest.raises(
        marey.MareyError, match="its training list is another one, 10 videos there, 8 here: resume it with"
    ):
        fit(RECIPE, train=manifest[:8], out=tmp_path, workers=0, resume=True)
    with pytest.raises(
        marey.MareyError, match="10 videos there, 10 here, of which names, labels, times or classes differ"
    ):
        fit(RECIPE, train=manifest[::-1], out=tmp_path, workers=0, resume=True)
    with pytest.raises(marey.MareyError, match="its validation list is another one, 0 videos there, 10 here"):
        fit(RECIPE, train=manifest, val=manifest, out=tmp_path, workers=0, resume=True)
