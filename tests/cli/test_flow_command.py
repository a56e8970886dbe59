"""`marey data flow`, and flow recipes that are given plain video, stored flow or frames."""

import json

import numpy as np
import pytest

from marey.evaluation.scores import Scores
from marey.recipe import Recipe
from marey.recipes import RECIPES, get_recipe
from marey.video.flow import DIS, TVL1
from marey.video.flow.rule import FlowRule
from marey.video.pixels import Pixels
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model
from tests.support.command import marey

VIDEOS_PER_CLASS = 2
FRAMES_PER_VIDEO = 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small network on flow; its images are stored at their own size."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        modality="flow", storage="original", flow_method=DIS(),
        model={"width": 4, "num_classes": 2, "channels": 2}, test={"size": 32},
        pixels=Pixels(short_side=32, mean=(128.0, 128.0), std=(128.0, 128.0)),
    )  # fmt: skip
    save_checkpoint(path, build_model(recipe), recipe, ("jump", "run"))
    return path


def probabilities(checkpoint, data, out) -> np.ndarray:
    done = marey("evaluate", checkpoint, "--data", data, "--out", out, "--workers", "0", "--json")
    assert done.exit_code == 0, done.output
    return Scores.load(out / "scores.npz").probabilities


def test_stored_and_live_flow_score_alike(videos, checkpoint, tmp_path) -> None:
    live = probabilities(checkpoint, videos, tmp_path / "live")
    for storage in ("png", "lossless", "jpg"):
        out = tmp_path / storage
        done = marey("data", "flow", videos, "--out", out, "--method", "dis", "--storage", storage, "--workers", "0")
        assert done.exit_code == 0, done.output
        assert "flow of 4 videos." in done.stdout
        stored = probabilities(checkpoint, out / "flow.csv", tmp_path / f"e-{storage}")
        assert abs(stored - live).max() < (5e-3 if storage == "jpg" else 1e-7)
    protocol = json.loads((tmp_path / "live" / "evaluate.json").read_text())
    assert protocol["flow"]["method"] == {"method": "dis", "preset": "medium"}
    done = marey("predict", checkpoint, videos / "run" / "v0.mp4", tmp_path / "png" / "run" / "v0", "--json")
    plain, folder = json.loads(done.stdout)
    assert plain["top"] == folder["top"]
    assert plain["top"][0]["probability"] == pytest.approx(live[2].max(), abs=1e-6)
    other = marey("predict", checkpoint, videos / "run" / "v0.mp4", "--json", "--set", "flow_method.method=farneback")
    assert json.loads(other.stdout)[0]["top"] != plain["top"]
    assert marey("predict", checkpoint, videos, "--out", tmp_path / "a.jsonl").exit_code == 0
    mixed = marey("predict", checkpoint, videos, "--out", tmp_path / "a.jsonl", "--set", "flow_method.preset=fast")
    assert "(flow.method.preset: there medium, here fast)" in mixed.stderr
    done = marey("features", checkpoint, "--data", videos, "--out", tmp_path / "features", "--workers", "0")
    assert done.exit_code == 0, done.output


def test_training_on_plain_video_and_on_stored_flow(videos, checkpoint, tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text(
        marey("show", "slowonly_r18_8x2_motions", "--set", "train.epochs=1", "--set", "model.width=4", "--set",
              "model.num_classes=2", "--set", "model.channels=2", "--set", "modality=flow", "--set",
              "storage=original", "--set", "pixels.mean=[128, 128]", "--set", "pixels.std=[128, 128]", "--set",
              "flow_method.method=dis", "--set", "augment.size=32", "--set", "pixels.short_side=32").stdout
    )  # fmt: skip
    assert marey("data", "flow", videos, "--out", tmp_path / "f", "--method", "dis", "--workers", "0").exit_code == 0
    for name, data in (("live", videos), ("stored", tmp_path / "f" / "flow.csv")):
        done = marey("train", tmp_path / "mine.yaml", "--data", data, "--out", tmp_path / name, "--workers", "0")
        assert done.exit_code == 0, done.output


def test_the_flow_of_a_recipe() -> None:
    assert get_recipe("slowonly_r50_8x8_k400").flow is None
    assert get_recipe("i3d_incv1_flow_64x1_k400").flow == FlowRule(method=TVL1(), short_side=256)
    assert get_recipe("tsn_bninception_flow_3seg_ucf101").flow == FlowRule(method=TVL1(), size=(256, 340))
    edited = get_recipe("i3d_incv1_flow_64x1_k400").with_settings(["flow_method.method=dis", "storage=original"])
    assert edited.flow == FlowRule(method=DIS())
    for recipe in RECIPES:
        assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
        assert (recipe.flow is not None) == (recipe.model.channels == 2) if hasattr(recipe.model, "channels") else True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--short-side", "64", "--size", "64x48"], "both set the size"),
        (["--size", "64"], "expected WIDTHxHEIGHT"),
        (["--method", "dis", "--set", "preset=slow"], "--method dis --set preset=slow"),
        (["--method", "dis", "--device", "cuda:7"], "--device"),
        (["--template", "flow_%05d"], "--template flow_%05d"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_line(words, message, videos, tmp_path) -> None:
    done = marey("data", "flow", videos, "--out", tmp_path / "out", *words)
    assert done.exit_code == 1, done.output
    assert message in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("marey ")]) == 1
