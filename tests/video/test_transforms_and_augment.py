"""Crops, pixels and draws against those of the toolkits' own code."""

import json

import numpy as np
import pytest
import torch

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.video.pixels import FloatPixels, Pixels, transforms
from marey.video.pixels.crops import (
    CentreCrop,
    Geometry,
    MMAction2RandomCrop,
    MMActionRandomResizedCrop,
    MultiScaleCrop,
    PySlowFastCrop,
    RandomCrop,
    RandomResizedCrop,
    ScaledCrop,
    corner_offsets,
)
from marey.video.pixels.transforms import crop, floor_size, short_side_size, to_clip
from marey.video.source import Box
from tests.support.old_draws import PythonRandom
from tests.support.recorded import HERE, load, synthetic_frames

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def test_corner_offsets() -> None:
    for name, recorded in json.loads((HERE / "sampling" / "mmaction1_crops.json").read_text()).items():
        width, height = map(int, name.split("_")[0].split("x"))
        count = 5 if name.endswith("ten") else 13
        assert [[left, top] for top, left in corner_offsets((height, width), (224, 224), count)] == recorded


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


def test_mmaction2_sizes() -> None:
    """14 sizes of videos by 5 short sides."""
    sizes = load("clips/mmaction2_draws")["resize_sizes_WxH"]["cases"]
    assert len(sizes) == 70
    wrong = 0
    for name, recorded in sizes.items():
        film, _, short = name.partition("->")
        width, height = map(int, film.split("x"))
        assert [*reversed(short_side_size(height, width, int(short)))] == recorded
        wrong += [*reversed(floor_size(height, width, int(short)))] != recorded
    assert wrong > 10, "a side that is rounded down would not be seen"


def test_mmaction2_random_crop_draws() -> None:
    seen = 0
    for height, width, _, rows in cases("mmaction2", "random_crop224"):
        for seed, row in enumerate(rows):
            window = MMAction2RandomCrop(size=224).plan(height, width, np.random.RandomState(seed)).window
            assert [*window] == [row[1], row[0], row[3], row[2]]
            seen += 1
    for height, width, _, rows in cases("mmaction2", "random_rescale_256_320"):
        for seed, row in enumerate(rows):
            declared = MMAction2RandomCrop(size=224, short_sides=(256, 320))
            assert [*declared.plan(height, width, np.random.RandomState(seed)).size] == row[:2]
            seen += 1
    assert seen >= 200


def test_the_last_position_is_never_drawn() -> None:
    """As by the toolkit's exclusive bound; our own rule draws it."""
    lefts = {
        declared.geometry: {declared.plan(40, 50, random_for(seed)).window.left for seed in range(300)}
        for declared in (MMAction2RandomCrop(size=40, short_sides=(40, 40)), RandomCrop(size=40, short_side=40))
    }
    assert lefts == {"mmaction2_random": set(range(10)), "random": set(range(11))}


def test_mmaction_scaled_draws() -> None:
    for height, width, _, rows in cases("mmaction1", "random_rescaled"):
        for seed, row in enumerate(rows):
            plan = ScaledCrop(size=224, flip=0).plan(height, width, PythonRandom(seed))
            assert [plan.window.top, plan.window.left, *plan.size] == [*row[:2], *row[5:]]


def test_multi_scale_draws_at_any_position() -> None:
    for toolkit, kind in (("mmaction1", "multiscale_1_.875"), ("mmaction2", "multiscale_1_.8_gap0_random")):
        for height, width, name, rows in cases(toolkit, kind):
            if not name.endswith("random"):
                continue
            scales = {"scales": (1.0, 0.8), "max_distort": 0} if "_.8_" in name else {}
            declared = MultiScaleCrop(size=224, offsets="any", **scales)
            for seed, row in enumerate(rows):
                source = PythonRandom(seed)
                w, h = source.python.choice(declared.pairs(min(height, width)))
                top, left = declared.position((height, width), (h, w), source)
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
        MMAction2RandomCrop(short_sides=(34, 40), size=32),
        PySlowFastCrop(short_sides=(32, 40), size=32),
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


@pytest.mark.parametrize("size", [(40, 1), (1, 40), (1, 1), (33, 47)])
@pytest.mark.parametrize(
    "declared",
    [
        CentreCrop(short_side=16, size=16),
        RandomCrop(short_side=16, size=16),
        MultiScaleCrop(short_side=16, size=16),
        ScaledCrop(short_sides=(16, 18), size=16),
        MMActionRandomResizedCrop(size=16),
        RandomResizedCrop(short_side=16, size=16),
        PySlowFastCrop(short_sides=(16, 18), size=16),
        MMAction2RandomCrop(short_sides=(16, 18), size=16),
    ],
    ids=lambda d: d.geometry,
)
def test_frames_one_pixel_wide(declared, size) -> None:
    """The one row or column, stretched."""
    frames = np.full((2, *size, 3), 9, np.uint8)
    for rule in (Pixels(), FloatPixels()):
        for seed in range(12):
            clip = rule.apply(frames, declared.plan(*size, random_for(seed)))
            assert clip.shape == (2, 16, 16, 3)
            np.testing.assert_allclose(clip, 9, atol=1e-4)


def test_bad_input() -> None:
    for too_large in (ScaledCrop(short_sides=(20, 40), size=32), MMAction2RandomCrop(short_sides=(20, 40), size=32)):
        with pytest.raises(DataError, match="a crop of 32 does not fit frames of short side 20"):
            too_large.plan(100, 100, random_for(0))
    frames = synthetic_frames("odd")
    with pytest.raises(DataError, match="is not inside"):
        crop(frames, Box(0, 0, 194, 10))
    with pytest.raises(DataError, match="choose a smaller crop"):
        transforms.test_boxes(100, 100, 101, "three")
    with pytest.raises(DataError, match="does not fit"):
        RandomCrop(short_side=30, size=32).plan(100, 100, random_for(0))
    with pytest.raises(DataError, match="uint8, or in float32"):
        to_clip(torch.zeros(1, 1, 2, 2, 3, dtype=torch.float64), MEAN, STD)
    with pytest.raises(DataError, match="2 channels"):
        to_clip(torch.zeros(1, 1, 2, 2, 2, dtype=torch.uint8), MEAN, STD)
