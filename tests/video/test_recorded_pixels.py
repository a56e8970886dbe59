"""Every recorded pixel case of the toolkits' preprocessing: uint8 bit for bit, float to 1e-5; and broken rules.

The synthetic cases need nothing else; those on a real video run where the reference data lies beside the repository.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from marey.video.pixels import FloatPixels, Pixels, transforms
from marey.video.pixels.crops import (
    Geometry,
    MMActionRandomResizedCrop,
    MultiScaleCrop,
    PySlowFastCrop,
    RandomResizedCrop,
    ScaledCrop,
    TrainCrop,
    corner_offsets,
)
from marey.video.pixels.transforms import Crops, crop, flip, to_clip
from marey.video.source import Box, Frames
from tests.support.old_draws import PythonRandom
from tests.support.recorded import load, sha, synthetic_frames
from tests.support.tolerances import PIXELS_FLOAT

CROPS: dict[str | None, Crops] = {None: "centre", "three_crop": "three", "ten_crop": "ten"}


def clip_of(frames: Frames, rule: Pixels | FloatPixels) -> np.ndarray:
    """[C, T, H, W], normalised."""
    clips = to_clip(torch.from_numpy(np.ascontiguousarray(frames))[None], *rule.normalisation, order=rule.order)
    return clips[0].contiguous().numpy()


def views_of(frames: Frames, rule: Pixels | FloatPixels, size: int, crops: Crops) -> list[Frames]:
    cut = [(crop(frames, view.box), view.flip) for view in rule.views(*frames.shape[1:3], size, crops)]
    return [flip(picture) if mirrored else picture for picture, mirrored in cut]


def probe(clip: np.ndarray) -> np.ndarray:
    return clip.ravel()[np.random.RandomState(20261122).randint(0, clip.size, 64)]


def assert_recorded(got: np.ndarray, case: dict, *, bits: bool) -> None:
    assert list(got.shape) == case["shape"]
    if bits:
        assert sha(got) == case["sha256"]
    np.testing.assert_allclose(probe(got), case["probe"], atol=PIXELS_FLOAT)


# The cases of each toolkit as our rules.


def drawn(declared: MultiScaleCrop | RandomResizedCrop | TrainCrop, height: int, width: int, seed: int) -> Geometry:
    """The toolkit's own draw: MMAction and MMAction2 choose from lists with Python's generator."""
    random = PythonRandom(seed)
    if isinstance(declared, MultiScaleCrop):
        full = transforms.short_side_size(height, width, 256)
        w, h = random.python.choice(declared.pairs(min(full)))
        top, left = random.python.choice(corner_offsets(full, (h, w), declared.offsets))
        return Geometry(size=full, window=Box(top, left, h, w), stretch=declared.square)
    return declared.model_copy(update={"flip": 0.0}).plan(height, width, random)


def mmaction(frames: Frames, name: str, case: dict) -> np.ndarray:
    """[images, C, H, W]."""
    how = case["params"]
    norm = how["norm"]
    channels = 2 if how["is_flow"] else 1  # one mean for both components of flow
    rule = Pixels(
        mean=norm["mean"] * channels,
        std=norm["std"] * channels,
        order="rgb" if norm["to_rgb"] or how["is_flow"] else "bgr",
        flow_x="mmaction" if how["is_flow"] else "plain",
    )
    frames = frames[..., [1, 0]] if how["is_flow"] else frames
    height, width = frames.shape[1:3]
    if "/train_" in name:
        plan = drawn(mmaction_crop(how), height, width, int(name[-1]))
        cut = [rule.apply(frames, dataclasses.replace(plan, flip=how["flip"]))]
    else:
        size = rule.size(height, width) if how["keep_ratio"] else (256, 340)
        cut = views_of(rule.resize(frames, size), rule, how["crop_size"][0], CROPS[how.get("oversample")])
        cut = [rule.mirror(picture) for picture in cut] if how["flip"] else cut
    return np.concatenate([clip_of(picture, rule).swapaxes(0, 1) for picture in cut])


def mmaction_crop(how: dict) -> TrainCrop:
    if how.get("resize_crop"):
        return MMActionRandomResizedCrop(size=224)
    if how.get("rescale_crop"):
        return ScaledCrop(size=224)
    return MultiScaleCrop(
        size=224, offsets=13 if how["more_fix_crop"] else 5, scales=how["scales"], max_distort=how["max_distort"]
    )


def mmaction2(frames: Frames, name: str, case: dict) -> np.ndarray:
    """The uint8 stage: [views, C, T, H, W], or [images, C, H, W] for 2D networks."""
    rule, how = Pixels(), name.split("/")[1]
    if "seed" in case:
        scales = {"scales": (1, 0.8), "max_distort": 0} if "_.8_" in how else {}
        declared = MultiScaleCrop(size=224, offsets=13 if "msc13" in how else 5, **scales)
        plan = drawn(RandomResizedCrop(size=224) if "rrc" in how else declared, *frames.shape[1:3], case["seed"])
        cut = [rule.apply(frames, dataclasses.replace(plan, flip=bool(case["flip"])))]
    else:
        crops: Crops = next(
            ours for ours, theirs in (("three", "three"), ("ten", "ten"), ("centre", "center")) if theirs in how
        )
        resized = rule.resize(frames, rule.size(*frames.shape[1:3]))
        cut = views_of(resized, rule, case["uint8_stage"]["shape"][-1], crops)
    if how.endswith("NCHW"):
        return np.concatenate(cut).transpose(0, 3, 1, 2)
    stacked = np.stack(cut).transpose(0, 4, 1, 2, 3)
    # Two clips of four frames come view by view, and clip by clip inside a view.
    return (
        np.concatenate(np.split(stacked[:, None], 2, axis=3), axis=1).reshape(-1, 3, 4, *stacked.shape[3:])
        if "clip4x2" in how
        else stacked
    )


def pyslowfast(frames: Frames, name: str, case: dict) -> np.ndarray:
    how = case["params"]
    rule = FloatPixels(short_side=how["min_scale"])
    if how["spatial_idx"] == -1:
        sides = (how["min_scale"], how["max_scale"])
        declared = PySlowFastCrop(size=how["crop_size"], short_sides=sides, inverse=how["inverse_uniform_sampling"])
        plan = declared.plan(*frames.shape[1:3], np.random.RandomState(how["seed"]))
        return clip_of(rule.apply(frames, plan), rule)
    resized = rule.resize(frames, rule.size(*frames.shape[1:3]))
    return clip_of(views_of(resized, rule, how["crop_size"], "three")[how["spatial_idx"]], rule)


def pytorchvideo(frames: Frames, name: str, case: dict) -> np.ndarray:
    how, rule = case["params"], FloatPixels(short_side=case["params"]["size"])
    resized = rule.resize(frames, rule.size(*frames.shape[1:3]))
    if "spatial_idx" in how:
        resized = views_of(resized, rule, 256, "three")[how["spatial_idx"]]
    elif "centercrop" in name:
        (resized,) = views_of(resized, rule, 256, "centre")
    return clip_of(resized, rule)


Restated = Callable[[Frames, str, dict], np.ndarray]
TOOLKITS: dict[str, Restated] = {
    "mmaction1": mmaction,
    "mmaction2": mmaction2,
    "pyslowfast": pyslowfast,
    "pytorchvideo": pytorchvideo,
}


def has_pixels(name: str, case: dict) -> bool:
    """Whether a case has pixels that are compared. Left out: what the toolkit could not do; mere statements of equality;
    PyTorchVideo's OpenCV backend (an option that rounds the weights of the resize, 5e-5 from the default).
    """
    return "failed" not in case and "opencv_backend" not in name and ("probe" in case or "uint8_stage" in case)


def assert_all(toolkit: str, items: dict, frames: dict[str, Frames]) -> int:
    cases = {name: case for name, case in items.items() if has_pixels(name, case)}
    for name, case in cases.items():
        got = TOOLKITS[toolkit](frames[name.split("/")[0]], name, case)
        if toolkit == "mmaction2":
            assert_recorded(got, case["uint8_stage"], bits=True)
        else:
            # MMAction multiplies by 1 / deviation: the uint8 image before is the same, the last bit of the result is not.
            assert_recorded(got, case, bits=False)
    return len(cases)


@pytest.mark.parametrize(
    ("toolkit", "least"), [("mmaction1", 50), ("mmaction2", 36), ("pyslowfast", 25), ("pytorchvideo", 8)]
)
def test_synthetic(toolkit, least) -> None:
    items = load(f"clips/{toolkit}_pixels_synthetic")["items"]
    frames = {source: synthetic_frames(source) for source in ("land", "odd", "portrait")}
    assert assert_all(toolkit, items, frames) >= least


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_a_real_video(toolkit, shared) -> None:
    folder = shared / "golden" / "clips"
    land = np.load(folder / "source_frames.npz")["land"]
    frames = {"land": land, "odd": land[:, 31:224, 11:328], "portrait": land.transpose(0, 2, 1, 3)}
    assert assert_all(toolkit, json.loads((folder / f"{toolkit}_pixels.json").read_text())["items"], frames)


def test_the_float_stage_of_mmaction2() -> None:
    case = load("clips/mmaction2_pixels_synthetic")["items"]["odd/short256_three256_NCTHW"]
    got = mmaction2(synthetic_frames("odd"), "odd/short256_three256_NCTHW", case)
    clips = to_clip(torch.from_numpy(np.ascontiguousarray(got.transpose(0, 2, 3, 4, 1))), *Pixels().normalisation)
    assert_recorded(clips.contiguous().numpy()[None], case["float_stage"], bits=False)


# Broken on purpose: each rule's comparison must see it.


def antialiased(frames: Frames, size: tuple[int, int]) -> Frames:
    image = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(image, size=size, mode="bilinear", antialias=True)
    return small.permute(0, 2, 3, 1).round().numpy().astype(frames.dtype)


def corners_aligned(frames: Frames, size: tuple[int, int]) -> Frames:
    image = torch.from_numpy(frames.astype(np.float32)).permute(0, 3, 1, 2)
    return (
        torch.nn.functional.interpolate(image, size=size, mode="bilinear", align_corners=True)
        .permute(0, 2, 3, 1)
        .numpy()
    )


def one_column_right(boxes: Callable[..., list[transforms.View]]) -> Callable[..., list[transforms.View]]:
    return lambda *how: [v._replace(box=v.box._replace(left=max(v.box.left - 1, 0))) for v in boxes(*how)]


def uint8_bilinear(frames: Frames, size: tuple[int, int]) -> Frames:
    return real_resize(frames, size).astype(np.float32)


real_resize = transforms.resize


def breakages() -> Iterator[tuple[str, str, str, object]]:
    yield (
        "mmaction1",
        "crop off by one",
        "marey.video.pixels.transforms.test_boxes",
        one_column_right(transforms.test_boxes),
    )
    yield "mmaction1", "antialias", "marey.video.pixels.transforms.resize", antialiased
    yield (
        "mmaction2",
        "crop off by one",
        "marey.video.pixels.transforms.test_boxes",
        one_column_right(transforms.test_boxes),
    )
    yield "mmaction2", "antialias", "marey.video.pixels.transforms.resize", antialiased
    yield "pyslowfast", "floor for ceil", "marey.video.pixels.rules.math.ceil", math.floor
    yield "pyslowfast", "uint8 for float", "marey.video.pixels.transforms.resize_float", uint8_bilinear
    yield "pyslowfast", "corners aligned", "marey.video.pixels.transforms.resize_float", corners_aligned
    yield "pytorchvideo", "uint8 for float", "marey.video.pixels.transforms.resize_float", uint8_bilinear


@pytest.mark.parametrize(
    ("toolkit", "what", "target", "broken"), [pytest.param(*b, id=f"{b[0]}-{b[1]}") for b in breakages()]
)
def test_a_broken_rule_is_seen(toolkit, what, target, broken, monkeypatch) -> None:
    monkeypatch.setattr(target, broken)
    frames = {source: synthetic_frames(source) for source in ("land", "odd", "portrait")}
    with pytest.raises(AssertionError):
        assert_all(toolkit, load(f"clips/{toolkit}_pixels_synthetic")["items"], frames)


def test_blue_for_red_is_seen() -> None:
    frames = {source: synthetic_frames(source)[..., ::-1] for source in ("land", "odd", "portrait")}
    for toolkit in TOOLKITS:
        with pytest.raises(AssertionError):
            assert_all(toolkit, load(f"clips/{toolkit}_pixels_synthetic")["items"], frames)


def test_flow_without_inversion_is_seen(monkeypatch) -> None:
    monkeypatch.setattr(Pixels, "normalisation", property(lambda rule: (rule.mean, rule.std)))
    items = load("clips/mmaction1_pixels_synthetic")["items"]
    flow = {name: case for name, case in items.items() if "flow" in name}
    frames = {source: synthetic_frames(source) for source in ("land", "odd", "portrait")}
    with pytest.raises(AssertionError):
        assert_all("mmaction1", flow, frames)
