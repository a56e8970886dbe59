"""Pixel rules against what the toolkits' own preprocessing made of the same frames, and each broken on purpose."""

import math

import numpy as np
import pytest
import torch
from recorded import load, synthetic_frames

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.video import transforms
from marey.video.augment import Geometry, PySlowFastCrop
from marey.video.pixels import CentreView, FloatPixels, Pixels
from marey.video.source import Box
from marey.video.transforms import crop, flip, resize, resize_float, to_clip
from tolerances import PIXELS_FLOAT

PYSLOWFAST = load("clips/pyslowfast_pixels_synthetic")["items"]
PYTORCHVIDEO = load("clips/pytorchvideo_pixels_synthetic")["items"]
"""Without its OpenCV backend, an option that rounds the weights of the resize (5e-5 from the default)."""
PYTORCHVIDEO = {name: case for name, case in PYTORCHVIDEO.items() if "opencv" not in name}
MMACTION = load("clips/mmaction1_pixels_synthetic")["items"]
FLOW_128 = {"mean": (128, 128), "std": (128, 128), "flow_x": "mmaction"}


def probe(clip: np.ndarray) -> np.ndarray:
    return clip.ravel()[np.random.RandomState(20261122).randint(0, clip.size, 64)]


def normalised(frames: np.ndarray, rule: Pixels | FloatPixels) -> np.ndarray:
    """[C, T, H, W]."""
    return to_clip(torch.from_numpy(np.ascontiguousarray(frames))[None], *rule.normalisation)[0].contiguous().numpy()


def views(source: str, rule: Pixels | FloatPixels, size: int, crops: str) -> list[np.ndarray]:
    frames = synthetic_frames(source)
    frames = rule.resize(frames, rule.size(*frames.shape[1:3]))
    cut = [(crop(frames, view.box), view.flip) for view in rule.views(*frames.shape[1:3], size, crops)]
    return [normalised(flip(frames) if mirrored else frames, rule) for frames, mirrored in cut]


def pyslowfast_tests():
    for name, case in PYSLOWFAST.items():
        if "/train" not in name:
            yield pytest.param(name.split("/")[0], case, id=name)


@pytest.mark.parametrize(("source", "case"), list(pyslowfast_tests()))
def test_pyslowfast(source, case) -> None:
    params = case["params"]
    rule = FloatPixels(short_side=params["min_scale"])
    if params["crop_size"] == params["min_scale"]:
        clip = views(source, rule, params["crop_size"], "three")[params["spatial_idx"]]
    else:
        (clip,) = views(source, rule, params["crop_size"], "centre")
    assert list(clip.shape) == case["shape"]
    np.testing.assert_allclose(probe(clip), case["probe"], atol=PIXELS_FLOAT)


def pyslowfast_training():
    for name, case in PYSLOWFAST.items():
        if "/train" in name:
            yield pytest.param(name.split("/")[0], case, id=name)


@pytest.mark.parametrize(("source", "case"), list(pyslowfast_training()))
def test_pyslowfast_training(source, case) -> None:
    frames, params, rule = synthetic_frames(source), case["params"], FloatPixels()
    declared = PySlowFastCrop(size=params["crop_size"], inverse=params["inverse_uniform_sampling"])
    plan = declared.plan(*frames.shape[1:3], np.random.RandomState(params["seed"]))
    clip = normalised(rule.apply(frames, plan), rule)
    np.testing.assert_allclose(probe(clip), case["probe"], atol=PIXELS_FLOAT)


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


@pytest.mark.parametrize(("name", "case"), list(PYTORCHVIDEO.items()), ids=list(PYTORCHVIDEO))
def test_pytorchvideo(name, case) -> None:
    source, _, what = name.partition("/")
    frames, rule = synthetic_frames(source), FloatPixels()
    resized = rule.resize(frames, rule.size(*frames.shape[1:3]))
    if "uniform_crop" in what:
        clip = views(source, rule, 256, "three")[case["params"]["spatial_idx"]]
    elif "centercrop" in what:
        (clip,) = views(source, rule, 256, "centre")
    elif "probe" in case:
        clip = normalised(resized, rule)
    else:
        assert case["max_abs_diff"] == 0
        return
    np.testing.assert_allclose(probe(clip), case["probe"], atol=PIXELS_FLOAT)


@pytest.mark.parametrize("source", ["land", "odd", "portrait"])
@pytest.mark.parametrize("deviation", [1, 128])
def test_mmaction_flow(source, deviation) -> None:
    """x turned around in every picture; mirrored test crops, turned twice, show it as it is."""
    rule = Pixels(mean=(128, 128), std=(deviation, deviation), flow_x="mmaction")
    frames = synthetic_frames(source)[..., [1, 0]]
    frames = rule.resize(frames, rule.size(*frames.shape[1:3]))
    for crops, name in (("centre", "center224"), ("ten", "ten224")):
        case = MMACTION.get(f"{source}/flow_std{deviation}_{name}")
        if case is None or "failed" in case:
            continue
        cut = [(crop(frames, v.box), v.flip) for v in rule.views(*frames.shape[1:3], 224, crops)]
        clips = [normalised(flip(f) if mirrored else f, rule).transpose(1, 0, 2, 3) for f, mirrored in cut]
        np.testing.assert_allclose(probe(np.concatenate(clips)), case["probe"], atol=PIXELS_FLOAT)


def test_mirrored_flow() -> None:
    """A scene in a mirror moves the other way; MMAction's training pictures keep x where they mirror."""
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


# Broken on purpose: each must be seen.


def broken_float(monkeypatch, **changed) -> float:
    """Largest difference on `odd`, three crops, when parts of the rule are replaced."""
    for name, value in changed.items():
        monkeypatch.setattr(transforms, name, value)
    rule = FloatPixels()
    case = PYSLOWFAST["odd/test256_idx1"]
    clip = views("odd", rule, 256, "three")[1]
    return float(abs(probe(clip) - case["probe"]).max())


def test_rounding_to_uint8_is_seen(monkeypatch) -> None:
    def rounded(frames, size):
        return resize(frames, size).astype(np.float32)

    assert broken_float(monkeypatch, resize_float=rounded) > 100 * PIXELS_FLOAT


def test_antialias_is_seen() -> None:
    def antialiased(frames, size):
        image = torch.from_numpy(frames).permute(0, 3, 1, 2)
        small = torch.nn.functional.interpolate(image, size=size, mode="bilinear", antialias=True)
        return small.permute(0, 2, 3, 1).numpy()

    frames = synthetic_frames("odd").astype(np.float32)
    assert abs(antialiased(frames, (128, 210)) - resize_float(frames, (128, 210))).max() > 10


def test_a_crop_off_by_one_is_seen(monkeypatch) -> None:
    monkeypatch.setattr("marey.video.pixels.math.ceil", math.floor)
    rule = FloatPixels(short_side=257)
    assert rule.views(257, 420, 256, "centre")[0].box != Box(1, 82, 256, 256)
    monkeypatch.undo()
    assert rule.views(257, 420, 256, "centre")[0].box == Box(1, 82, 256, 256)


def test_the_other_toolkits_long_side_is_seen() -> None:
    """PySlowFast cuts the long side down where MMAction rounds it: another picture, not another crop."""
    sizes = [(Pixels().size(h, w), FloatPixels().size(h, w)) for h, w in ((193, 317), (193, 318), (211, 317))]
    assert any(a != b for a, b in sizes)


def test_bad_input() -> None:
    with pytest.raises(DataError, match="no ten crops"):
        FloatPixels().views(256, 340, 224, "ten")
    with pytest.raises(DataError, match="does not lie inside"):
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
