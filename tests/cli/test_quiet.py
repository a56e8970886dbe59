"""`--quiet` prints results alone: nothing on standard error but the line of a command that fails."""

import functools
import json
import shutil
from pathlib import Path

import pytest
import typer

from marey.cli.app import app
from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from marey.workflows import demo
from tests.support.command import marey
from tests.support.made_videos import coded_frame

SMALL = ("model.width=4", "train.epochs=1", "test.size=32", "augment.size=32", "augment.short_side=36",
         "pixels.short_side=36")  # fmt: skip
TINY = [*(word for setting in SMALL for word in ("--set", setting)), "--init", "none", "--workers", "0"]
DEMO = ({"train": 24, "test": 12, "size": 72, "frames": 20},)


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """A folder with all that commands are given: clips/, tiny.safetensors, scores.npz, run/ and split.csv."""
    folder = tmp_path_factory.mktemp("given")
    for number, label in enumerate(("jump", "run")):
        (folder / "clips" / label).mkdir(parents=True)
        for i in range(3):
            frames = [coded_frame(n + 7 * i + 100 * number) for n in range(8)]
            write_video(folder / "clips" / label / f"v{i}.mp4", frames, fps=10, preset="ultrafast")
    (folder / "UCF101" / "Archery").mkdir(parents=True)
    shutil.copy(folder / "clips" / "run" / "v0.mp4", folder / "UCF101" / "Archery" / "v_Archery_g01_c01.avi")
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        model={"width": 4, "num_classes": 2}, test={"size": 32}, pixels={"short_side": 32}
    )
    save_checkpoint(folder / "tiny.safetensors", build_model(recipe), recipe, ("jump", "run"))
    words = ("--data", folder / "clips", "--out", folder / "run", "--workers", "0")
    assert marey("evaluate", folder / "tiny.safetensors", *words).exit_code == 0
    shutil.copy(folder / "run" / "scores.npz", folder / "scores.npz")
    assert marey("data", "split", folder / "clips", "--out", folder / "split.csv", "--val", "0.34").exit_code == 0
    text = (folder / "split.csv").read_text()
    (folder / "motions.csv").write_text(text.replace(",jump", ",opening").replace(",run", ",closing"))
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["show", "slowonly_r50_8x8_k400"],
        ["predict", "tiny.safetensors", "clips/run/v0.mp4"],
        ["predict", "tiny.safetensors", "clips", "--workers", "1", "--json"],
        ["predict", "tiny.safetensors", "clips", "--out", "OUT.jsonl", "--workers", "0"],
        ["predict", "tiny.safetensors", "clips/run", "--fuse", "tiny.safetensors", "--workers", "0"],
        ["features", "tiny.safetensors", "--data", "clips", "--out", "OUT", "--workers", "0"],
        ["evaluate", "tiny.safetensors", "--data", "split.csv", "--out", "OUT", "--workers", "1"],
        ["train", "clips", "--out", "OUT", *TINY],
        ["reproduce", "slowonly_r18_8x2_motions", "--data", "motions.csv", "--out", "OUT", "--train", *TINY],
        ["demo", "--out", "OUT", "--workers", "0"],
        ["weights", "list"],
        ["weights", "scan", "run"],
        ["doctor"],
        ["convert", "tiny.safetensors", "--out", "OUT.safetensors"],
        ["report", "run"],
        ["fuse", "scores.npz", "scores.npz", "--search-on", "scores.npz", "--search-on", "scores.npz"],
        ["data", "list", "clips", "--out", "OUT.csv"],
        ["data", "split", "clips", "--out", "OUT.csv", "--val", "0.34"],
        ["data", "prepare", "ucf101", "UCF101", "--out", "OUT", "--workers", "1"],
        ["data", "audit", "split.csv", "--workers", "1", "--short", "2"],
        ["data", "resize", "clips", "--out", "OUT", "--short-side", "32", "--workers", "0"],
        ["data", "frames", "clips", "--out", "OUT", "--workers", "1"],
        ["data", "flow", "clips", "--out", "OUT", "--method", "dis", "--workers", "1"],
    ],
    ids=lambda words: " ".join(words[: 2 + (words[0] in ("data", "weights"))]),
)  # fmt: skip
def test_results_alone(words, given, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(given)
    monkeypatch.setattr(demo, "run_demo", functools.partial(demo.run_demo, sizes=DEMO))
    placed = [str(tmp_path / word) if word.startswith("OUT") else word for word in words]
    done = marey(*placed, "--quiet")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert capfd.readouterr() == ("", ""), "nor by libraries below Python"
    assert done.stdout.strip()
    for told in ("next:", "resumed"):
        assert told not in done.stdout


def test_what_is_loud_without_it(given, tmp_path) -> None:
    """Without --quiet the same commands print more."""
    clips = given / "clips"
    assert "Predicting: 6 videos" in marey("predict", given / "tiny.safetensors", clips, "--workers", "0").stderr
    assert "next:" in marey("train", clips, "--out", tmp_path / "run", *TINY).stderr


def test_an_error_is_still_one_line(given, tmp_path) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    video = given / "clips" / "run" / "v0.mp4"
    done = marey("predict", given / "tiny.safetensors", tmp_path / "bad.mp4", video, "--quiet", "--json")
    assert done.exit_code == 1
    assert done.stderr == "marey predict: 1 of 2 videos could not be read (named above).\n"
    assert [sorted(answer) for answer in json.loads(done.stdout)] == [["error", "path"], ["path", "top"]]


def commands(group: typer.Typer) -> list[list[str]]:
    """The words of every command there is."""
    found = [[command.name] for command in group.registered_commands]
    for inner in group.registered_groups:
        found += [[inner.name, *words] for words in commands(inner.typer_instance)]
    return found


@pytest.mark.parametrize("words", commands(app), ids=" ".join)
def test_every_command_can_be_quiet_and_offline(words) -> None:
    shown = marey(*words, "--help").stdout
    assert "--quiet" in shown and "--offline" in shown
