"""Crops, pixels and draws against those that the toolkits' own code made."""

import json
import random

import numpy as np
import pytest
import torch
from recorded import HERE, load, sha, synthetic_frames

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.video import transforms
from marey.video.augment import (
    CentreCrop,
    Geometry,
    MMActionRandomResizedCrop,
    MultiScaleCrop,
    RandomCrop,
    RandomResizedCrop,
    ScaledCrop,
    corner_offsets,
)
from marey.video.pixels import Pixels
from marey.video.source import Box
from marey.video.transforms import crop, flip, resize, short_side_size, to_clip

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def views(source: str, short: int, size: int, crops: str) -> np.ndarray:
    frames = synthetic_frames(source)
    frames = resize(frames, short_side_size(*frames.shape[1:3], short))
    cut = [(crop(frames, v.box), v.flip) for v in transforms.test_boxes(*frames.shape[1:3], size, crops)]
    return np.stack([flip(f) if mirrored else f for f, mirrored in cut])


PIXELS = load("clips/mmaction2_pixels_synthetic")["items"]


@pytest.mark.parametrize("source", ["land", "odd", "portrait"])
@pytest.mark.parametrize(
    ("case", "size", "crops"),
    [("short256_three256_NCTHW", 256, "three"), ("short256_center256_NCTHW", 256, "centre")],
)
def test_mmaction2_pixels(source, case, size, crops) -> None:
    recorded = PIXELS[f"{source}/{case}"]
    cut = views(source, 256, size, crops)
    assert sha(cut.transpose(0, 4, 1, 2, 3)) == recorded["uint8_stage"]["sha256"]
    clip = to_clip(torch.from_numpy(cut), MEAN, STD).contiguous().numpy()
    places = np.random.RandomState(20261122).randint(0, clip.size, 64)
    np.testing.assert_allclose(clip.ravel()[places], recorded["float_stage"]["probe"], atol=1e-5)


@pytest.mark.parametrize("source", ["land", "odd", "portrait"])
def test_ten_crop_pixels(source) -> None:
    recorded = PIXELS[f"{source}/short256_ten224_NCHW"]
    cut = views(source, 256, 224, "ten").transpose(0, 1, 4, 2, 3)
    assert orders_that_match(recorded, cut)


def orders_that_match(recorded, cut) -> list[str]:
    """MMAction2 puts all plain crops of a frame first and the mirrored ones after: compared as a set of pictures."""
    clip_places = np.random.RandomState(20261122).randint(0, cut.size, 64)
    orders = {"view-major": cut, "plain then mirrored": np.concatenate([cut[0::2], cut[1::2]])}
    return [
        name
        for name, value in orders.items()
        if np.array_equal(value.reshape(-1)[clip_places], np.array(recorded["uint8_stage"]["probe"], np.uint8))
        or sha(value.reshape(-1, *value.shape[2:])) == recorded["uint8_stage"]["sha256"]
    ]


@pytest.mark.parametrize("source", ["land", "odd", "portrait"])
@pytest.mark.parametrize(
    ("case", "size", "crops"), [("short256_three256", 256, "three"), ("short256_center224", 224, "centre")]
)
def test_mmaction_pixels(source, case, size, crops) -> None:
    """MMAction multiplies by 1 / deviation; the difference to dividing is below 1e-6."""
    recorded = load("clips/mmaction1_pixels_synthetic")["items"][f"{source}/{case}"]
    clip = to_clip(torch.from_numpy(views(source, 256, size, crops)), MEAN, STD)
    images = clip.permute(0, 2, 1, 3, 4).reshape(recorded["shape"]).contiguous().numpy()
    places = np.random.RandomState(20261122).randint(0, images.size, 64)
    np.testing.assert_allclose(images.ravel()[places], recorded["probe"], atol=1e-5)


def test_antialias_would_be_seen() -> None:
    import cv2

    frames = synthetic_frames("odd")
    size = short_side_size(*frames.shape[1:3], 128)
    area = np.stack([cv2.resize(f, size[::-1], interpolation=cv2.INTER_AREA) for f in frames])
    assert not np.array_equal(resize(frames, size), area)


def test_corner_offsets() -> None:
    for name, recorded in json.loads((HERE / "sampling" / "mmaction1_crops.json").read_text()).items():
        width, height = map(int, name.split("_")[0].split("x"))
        count = 5 if name.endswith("ten") else 13
        assert [[left, top] for top, left in corner_offsets((height, width), (224, 224), count)] == recorded


class PythonRandom:
    """Draws as MMAction makes them: crops from Python's generator."""

    def __init__(self, seed: int) -> None:
        self.python, self.numpy = random.Random(seed), np.random.RandomState(seed)

    def randint(self, low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        return self.python.randint(low, high - 1)

    def uniform(self, low=0.0, high=1.0, size=None):
        return self.numpy.uniform(low, high, size) if size is not None else self.python.uniform(low, high)


def cases(toolkit: str, kind: str):
    for name, case in load(f"clips/{toolkit}_draws")["cases"].items():
        size, _, rest = name.partition("/")
        if kind in rest:
            width, height = map(int, size.split("x"))
            yield height, width, rest, case["rows"]


def test_multi_scale_draws() -> None:
    seen = 0
    for height, width, name, rows in cases("mmaction1", "multiscale_1_.875"):
        if name.endswith("random"):
            continue
        declared = MultiScaleCrop(size=224, offsets=13 if name.endswith("13") else 5)
        for seed, row in enumerate(rows):
            source = PythonRandom(seed)
            w, h = source.python.choice(declared.pairs(min(height, width)))
            top, left = source.python.choice(corner_offsets((height, width), (h, w), declared.offsets))
            assert [left, top, w, h] == row[:4]
            seen += 1
    assert seen >= 600


def test_mmaction_scaled_draws() -> None:
    for height, width, _, rows in cases("mmaction1", "random_rescaled"):
        for seed, row in enumerate(rows):
            plan = ScaledCrop(size=224, flip=0).plan(height, width, PythonRandom(seed))
            assert [plan.window.top, plan.window.left, *plan.size] == [*row[:2], *row[5:]]


def test_multi_scale_draws_at_any_place() -> None:
    for toolkit, kind in (("mmaction1", "multiscale_1_.875"), ("mmaction2", "multiscale_1_.8_gap0_random")):
        for height, width, name, rows in cases(toolkit, kind):
            if not name.endswith("random"):
                continue
            scales = {"scales": (1.0, 0.8), "max_distort": 0} if "_.8_" in name else {}
            declared = MultiScaleCrop(size=224, offsets="any", **scales)
            for seed, row in enumerate(rows):
                source = PythonRandom(seed)
                w, h = source.python.choice(declared.pairs(min(height, width)))
                top, left = declared.place((height, width), (h, w), source)
                assert [left, top, w, h] == row[:4]


def test_mmaction_random_resized_draws() -> None:
    for height, width, _, rows in cases("mmaction1", "random_resized"):
        for seed, row in enumerate(rows):
            box = MMActionRandomResizedCrop(size=224).box(height, width, PythonRandom(seed))
            assert [box.left, box.top, box.width, box.height] == row[:4]


def test_mmaction2_random_resized_draws() -> None:
    for height, width, _, rows in cases("mmaction2", "random_resized"):
        for seed, row in enumerate(rows):
            source = PythonRandom(seed)
            box = RandomResizedCrop(size=224).box(height, width, source)
            assert [box.left, box.top, box.width, box.height] == row[:4]
            assert int(source.numpy.rand() < 0.5) == row[4]


@pytest.mark.parametrize(
    "declared",
    [
        CentreCrop(short_side=40, size=32),
        RandomCrop(short_side=40, size=32),
        MultiScaleCrop(short_side=40, size=32),
        MMActionRandomResizedCrop(size=32),
        RandomResizedCrop(short_side=40, size=32),
    ],
    ids=lambda d: d.geometry,
)
def test_plans_stay_inside_and_repeat(declared) -> None:
    frames = synthetic_frames("odd")[:2]
    for seed in range(30):
        plan = declared.plan(193, 317, random_for(seed))
        assert plan == declared.plan(193, 317, random_for(seed))
        assert Pixels().apply(frames, plan).shape == (2, 32, 32, 3)


def test_flip_mirrors_all_frames() -> None:
    frames = synthetic_frames("land")[:3]
    np.testing.assert_array_equal(Pixels().apply(frames, Geometry(flip=True)), frames[:, :, ::-1])


def test_bad_input() -> None:
    frames = synthetic_frames("odd")
    with pytest.raises(DataError, match="does not lie inside"):
        crop(frames, Box(0, 0, 194, 10))
    with pytest.raises(DataError, match="choose a smaller crop"):
        transforms.test_boxes(100, 100, 101, "three")
    with pytest.raises(DataError, match="does not fit"):
        RandomCrop(short_side=30, size=32).plan(100, 100, random_for(0))
    with pytest.raises(DataError, match="uint8 or float32"):
        to_clip(torch.zeros(1, 1, 2, 2, 3, dtype=torch.float64), MEAN, STD)
    with pytest.raises(DataError, match="2 channels"):
        to_clip(torch.zeros(1, 1, 2, 2, 2, dtype=torch.uint8), MEAN, STD)
