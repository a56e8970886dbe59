"""Pixel rules against the toolkits' own preprocessing of the same frames; and broken rules, which must differ."""

import math

import numpy as np
import pytest
import torch

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.video.pixels import CentreView, FloatPixels, Pixels
from marey.video.pixels.crops import Geometry, PySlowFastCrop
from marey.video.pixels.transforms import flip, resize_float, to_clip
from marey.video.source import Box
from tests.support.recorded import load, synthetic_frames


def normalised(frames: np.ndarray, rule: Pixels | FloatPixels) -> np.ndarray:
    """[C, T, H, W]."""
    return to_clip(torch.from_numpy(np.ascontiguousarray(frames))[None], *rule.normalisation)[0].contiguous().numpy()


def test_pyslowfast_draws() -> None:
    seen = 0
    for name, case in load("clips/pyslowfast_draws")["cases"].items():
        width, height = map(int, name.split("/")[0].split("x"))
        declared = PySlowFastCrop(size=case["crop"], inverse=case["inverse_uniform_sampling"])
        for seed, row in enumerate(case["rows"]):
            plan = declared.plan(height, width, np.random.RandomState(seed))
            assert [*plan.size, plan.window.left, plan.window.top, int(plan.flip)] == row
            seen += 1
    assert seen >= 800


def test_mirrored_flow() -> None:
    """A mirrored scene moves in the opposite direction; MMAction does not invert x when it mirrors in training."""
    flow = np.full((1, 4, 6, 2), 128, np.uint8)
    flow[..., 0] = 200
    assert (flip(flow)[..., 0] == 55).all()
    assert (flip(flow)[..., 1] == 128).all()
    plain, quirk = Pixels(mean=(128, 128), std=(1, 1)), Pixels(mean=(128, 128), std=(1, 1), flow_x="mmaction")
    straight, mirrored = Geometry(), Geometry(flip=True)
    x = {
        (name, plan.flip): float(normalised(rule.apply(flow, plan), rule)[0, 0, 0, 0])
        for name, rule in (("plain", plain), ("quirk", quirk))
        for plan in (straight, mirrored)
    }
    assert x == {("plain", False): 72, ("plain", True): -73, ("quirk", False): -73, ("quirk", True): -73}


# Broken on purpose: each must be seen (more of them: test_recorded_pixels.py).


def test_antialias_is_seen() -> None:
    def antialiased(frames, size):
        image = torch.from_numpy(frames).permute(0, 3, 1, 2)
        small = torch.nn.functional.interpolate(image, size=size, mode="bilinear", antialias=True)
        return small.permute(0, 2, 3, 1).numpy()

    frames = synthetic_frames("odd").astype(np.float32)
    assert abs(antialiased(frames, (128, 210)) - resize_float(frames, (128, 210))).max() > 10


def test_a_crop_off_by_one_is_seen(monkeypatch) -> None:
    monkeypatch.setattr("marey.video.pixels.rules.math.ceil", math.floor)
    rule = FloatPixels(short_side=257)
    assert rule.views(257, 420, 256, "centre")[0].box != Box(1, 82, 256, 256)
    monkeypatch.undo()
    assert rule.views(257, 420, 256, "centre")[0].box == Box(1, 82, 256, 256)


def test_the_other_toolkits_long_side_is_seen() -> None:
    """PySlowFast rounds the long side down, MMAction to the nearest: another image, not another crop."""
    sizes = [(Pixels().size(h, w), FloatPixels().size(h, w)) for h, w in ((193, 317), (193, 318), (211, 317))]
    assert any(a != b for a, b in sizes)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="no ten crops"):
        FloatPixels().views(256, 340, 224, "ten")
    with pytest.raises(DataError, match="is not inside"):
        FloatPixels().views(200, 340, 224, "three")
    with pytest.raises(DataError, match="does not fit frames of short side 200"):
        PySlowFastCrop(size=224, short_sides=(200, 320)).plan(100, 100, random_for(0))


@pytest.mark.parametrize("rule", [Pixels(short_side=16), FloatPixels(short_side=16)])
def test_a_frame_one_pixel_wide(rule) -> None:
    frames = np.full((2, 40, 1, 3), 7, np.uint8)
    height, width = rule.size(40, 1)
    assert (height, width) == (640, 16)
    plan = CentreView(rule, 16).plan(40, 1, random_for(0))
    assert (rule.apply(frames, plan) == 7).all()
