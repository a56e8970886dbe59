"""Every recipe builds, trains an epoch, resumes, and is tested by its own protocol: at reduced sizes, on real files."""

from pathlib import Path

import numpy as np
import pytest

from marey.data.lists.class_folders import list_folder
from marey.evaluation.run import evaluate
from marey.recipe import Recipe
from marey.recipes import RECIPES
from marey.training.fit import fit
from marey.weights.load import load_model
from tests.support.made_videos import write_videos

SIDE = 64


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"), 2, frames=40, size=(96, 128), fps=25)


def reduced(recipe: Recipe) -> Recipe:
    """The same recipe at sizes that a test can bear: thin network, short clips, few views, one epoch."""
    model = dict(recipe.model)
    changes = {"num_classes": 2}
    if "backbone" in model:
        changes["backbone"] = {"width": 8}
    elif model["width"] >= 32:
        changes["width"] = 8
    if model.get("pool_window"):
        changes["pool_window"] = 1
    clip, sampling = recipe.clip, recipe.test.sampling
    frames = min(clip.frames, 16)
    segments = {"segments": min(sampling.segments, clip.segments)} if sampling.segments > 1 else {"clips": 2}
    if sampling.clips == 1 and sampling.segments == 1:
        segments = {}
    augment = {"size": SIDE} | ({"short_side": SIDE} if hasattr(recipe.augment, "short_side") else {})
    if hasattr(recipe.augment, "short_sides"):
        augment["short_sides"] = (SIDE, SIDE + 8)
    train = {"epochs": 1, "base_batch": 2, "norm_batch": None, "clip_norm": 5.0, "optimizer": {"lr": 1e-4}}
    flow = {} if recipe.flow is None else {"flow_method": {"method": "dis"}}
    return recipe.variant(
        model=changes,
        clip={"frames": frames, "stride": min(clip.stride, 2)},
        test={
            "sampling": {"frames": min(sampling.frames, 16), "stride": min(sampling.stride, 2)} | segments,
            "size": SIDE,
        },
        pixels={"short_side": SIDE},
        augment=augment,
        train=train,
        **flow,
    )


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.name)
def test_an_epoch_a_resume_and_a_test(recipe, videos, tmp_path) -> None:
    small = reduced(recipe)
    manifest = list_folder(videos)
    how = {"train": manifest, "val": manifest, "out": tmp_path, "init": "none", "workers": 0, "device": "cpu"}
    fitted = fit(small, **how)
    assert (fitted.epochs, fitted.steps) == (1, 2)
    again = fit(small, **how, resume=True)  # nothing is left to do, and nothing is lost
    assert again.steps == 2
    network = load_model(fitted.last)
    assert network.recipe == small
    result = evaluate(network, manifest, workers=0, batch=4, device="cpu")
    assert result.num_videos == 4
    assert np.isfinite(result.scores.probabilities).all()
    np.testing.assert_allclose(result.scores.probabilities.sum(axis=1), 1, atol=1e-5)
