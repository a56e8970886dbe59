"""Colours and RandAugment: the toolkits' arithmetic restated, Pillow's results to the last bit, one draw for all frames."""

import cv2
import numpy as np
import pytest

from marey.base.errors import DataError, RecipeError
from marey.base.random import random_for
from marey.data.lists.class_folders import list_folder
from marey.data.loading.datasets import ClipDataset, collate
from marey.data.loading.workers import AheadLoader
from marey.recipes import get_recipe
from marey.video.pixels import colour as appearance
from marey.video.pixels import randaugment
from marey.video.pixels.colour import AppearanceStep, ColourJitter, Lighting, MMAction2ColourJitter, RandAugment
from marey.video.pixels.crops import RandomCrop
from marey.video.pixels.randaugment import OPERATIONS, Strength
from marey.video.sampling import MMAction2Train
from marey.video.source import Frames
from marey.video.writing.writer import write_video
from tests.support.made_videos import coded_frame
from tests.support.recorded import synthetic_frames

STEPS = (ColourJitter(), MMAction2ColourJitter(), Lighting(), RandAugment(), RandAugment(probability=1, layers=6))
WITHOUT_STRENGTH = ("auto_contrast", "equalize", "invert", "posterize")
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


def clip_of_noise(frames: int = 3, size: int = 40) -> Frames:
    return synthetic_frames("land")[:frames, 60 : 60 + size, 80 : 80 + size + 7]


# RandAugment's operations


def images() -> list[np.ndarray]:
    """Noise, a pattern, little contrast, one colour, a smooth image."""
    random = np.random.RandomState(0)
    noise = random.randint(0, 256, (61, 83, 3)).astype(np.uint8)
    dull = random.randint(40, 90, (50, 50, 3)).astype(np.uint8)
    smooth = cv2.GaussianBlur(random.randint(0, 256, (120, 160, 3)).astype(np.uint8), (0, 0), 5)
    return [noise, synthetic_frames("odd")[0], dull, np.full((20, 30, 3), 77, np.uint8), smooth]


def by_pillow(name: str, picture: np.ndarray, level: float, sign: int) -> np.ndarray:
    """The calls of Pillow by timm and PySlowFast at magnitude 10 * level."""
    from PIL import Image, ImageEnhance, ImageOps

    image, strength, grey = Image.fromarray(picture), 1 + sign * level * 0.9, (128, 128, 128)
    add = [min(255, i + int(level * 110)) if i < 128 else i for i in range(256)]
    moved = {
        "shear_x": (1, sign * level * 0.3, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, sign * level * 0.3, 1, 0),
        "translate_x": (1, 0, sign * level * 0.45 * image.size[0], 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, sign * level * 0.45 * image.size[1]),
    }
    if name in moved:
        affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
        return np.asarray(image.transform(image.size, affine, moved[name], resample=bilinear, fillcolor=grey))
    done = {
        "auto_contrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "invert": lambda: ImageOps.invert(image),
        "rotate": lambda: image.rotate(sign * level * 30, resample=Image.Resampling.BILINEAR, fillcolor=grey),
        "posterize": lambda: ImageOps.posterize(image, max(4 - int(level * 4), 1)),
        "solarize": lambda: ImageOps.solarize(image, 256 - int(level * 256)),
        "solarize_add": lambda: image.point(add * 3),
        "colour": lambda: ImageEnhance.Color(image).enhance(strength),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(strength),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(strength),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(strength),
    }
    return np.asarray(done[name]())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
@pytest.mark.parametrize("sign", [1, -1])
def test_operations_are_pillows(operation, sign) -> None:
    pytest.importorskip("PIL")
    for picture in images():
        for level in (0, 0.13, 0.5, 0.7, 1):
            ours = operation(picture, Strength(level, sign)).astype(int)
            theirs = by_pillow(operation.__name__, picture, level, sign).astype(int)
            if operation.__name__ in GEOMETRIC:
                # OpenCV rounds its weights to 1/32 and blends the fill in at the image's edge.
                assert abs(ours - theirs).mean() < 1.5
                assert np.median(abs(ours - theirs)) <= 1
            else:
                np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda o: o.__name__)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_no_strength_no_change(operation, interpolation) -> None:
    for picture in images():
        changed = operation(picture, Strength(0, -1, interpolation))
        assert changed.dtype == np.uint8
        if operation.__name__ not in WITHOUT_STRENGTH:
            np.testing.assert_array_equal(changed, picture)


def test_stronger_is_further_away() -> None:
    picture = images()[1].astype(int)
    for operation in OPERATIONS:
        if operation.__name__ in WITHOUT_STRENGTH or operation.__name__ in GEOMETRIC:
            continue
        for sign in (1, -1):
            weak, strong = (operation(picture.astype(np.uint8), Strength(level, sign)) for level in (0.2, 0.9))
            assert abs(strong - picture).mean() > abs(weak - picture).mean() > 0


def test_draws_of_randaugment(monkeypatch) -> None:
    """All 15 operations equally often, each carried out with probability one half, magnitudes from N(7, 0.5), both signs."""
    seen: list[tuple[int, Strength]] = []

    def noting(place: int):
        def operation(picture, strength):
            seen.append((place, strength))
            return picture

        return operation

    monkeypatch.setattr(appearance, "OPERATIONS", tuple(noting(place) for place in range(15)))
    clips = 1500
    for seed in range(clips):
        RandAugment().change(np.zeros((1, 2, 2, 3), np.uint8), random_for(seed))
    assert len(seen) / clips == pytest.approx(2, abs=0.1)
    counts = np.bincount([place for place, _ in seen], minlength=15) / len(seen)
    assert abs(counts - 1 / 15).max() < 0.015
    levels = np.array([strength.level for _, strength in seen]) * 10
    assert levels.mean() == pytest.approx(7, abs=0.05)
    assert levels.std() == pytest.approx(0.5, abs=0.03)
    assert np.mean([strength.sign for _, strength in seen]) == pytest.approx(0, abs=0.06)
    assert {strength.interpolation for _, strength in seen} == {"bicubic"}
    RandAugment(magnitude=10, deviation=5).change(np.zeros((1, 2, 2, 3), np.uint8), random_for(0))
    assert max(strength.level for _, strength in seen) <= 1


# Colours


def test_colour_jitter_restated() -> None:
    """PySlowFast's color_jitter_list, frame by frame in float64."""
    orders = set()
    for seed in range(40):
        random = np.random.RandomState(seed)
        order = random.permutation(3)
        orders.add(tuple(order))
        expected = clip_of_noise(2, 20).astype(np.float64)
        for place in order:
            alpha = 1 + random.uniform(-0.4, 0.4)
            for t, frame in enumerate(expected):
                grey = frame @ [0.299, 0.587, 0.114]
                nothing = [np.zeros_like(frame), np.full_like(frame, grey.mean()), np.stack([grey] * 3, -1)][place]
                expected[t] = frame * alpha + nothing * (1 - alpha)
        got = ColourJitter().change(clip_of_noise(2, 20), np.random.RandomState(seed))
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-2)
    assert len(orders) == 6


def test_mmaction2_colour_jitter_restated() -> None:
    for seed in range(40):
        random = np.random.RandomState(seed)
        b, c, s = (random.uniform(0.5, 1.5) for _ in range(3))
        turn = int(random.uniform(-0.1, 0.1) * 255)
        expected = clip_of_noise(2, 20).astype(np.float64)
        for place in random.permutation(4):
            for t, frame in enumerate(expected):
                grey = frame @ [0.2989, 0.587, 0.114]
                if place == 3:
                    hsv = cv2.cvtColor(np.clip(frame, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
                    hsv[..., 0] = (hsv[..., 0].astype(int) + turn) % 180
                    expected[t] = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
                else:
                    expected[t] = [frame * b, c * frame + (1 - c) * grey.mean(), s * frame + (1 - s) * grey[..., None]][
                        place
                    ]
        got = MMAction2ColourJitter().change(clip_of_noise(2, 20), np.random.RandomState(seed))
        assert got.dtype == np.uint8
        # float32 and float64 may round to different integers, and the hue turns one grey level into several.
        assert np.mean(got != np.clip(expected, 0, 255).astype(np.uint8)) < 0.01


def test_lighting_has_the_covariance_of_its_components() -> None:
    frames = np.full((2, 3, 3, 3), 100, np.uint8)
    shifts = []
    for seed in range(3000):
        moved = Lighting(deviation=0.5).change(frames, np.random.RandomState(seed)) - 100
        assert np.ptp(moved.reshape(-1, 3), axis=0).max() == 0
        shifts.append(moved[0, 0, 0])
    vectors = appearance._EIGENVECTORS
    expected = vectors @ np.diag((0.5 * 255 * np.array([0.2175, 0.0188, 0.0045])) ** 2) @ vectors.T
    np.testing.assert_allclose(np.cov(np.array(shifts).T), expected, rtol=0.08, atol=2)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-3)


@pytest.mark.parametrize(
    "step",
    [
        ColourJitter(brightness=0, contrast=0, saturation=0),
        MMAction2ColourJitter(brightness=0, contrast=0, saturation=0, hue=0),
        Lighting(deviation=0),
        RandAugment(layers=0),
        RandAugment(probability=0),
    ],
)
def test_nothing_to_do_is_nothing_done(step) -> None:
    np.testing.assert_array_equal(step.change(clip_of_noise(), random_for(1)), clip_of_noise())


# One draw for all frames, in any process


def frames_stay_equal(step: AppearanceStep) -> bool:
    """Whether a clip of one repeated frame keeps equal frames."""
    still = np.repeat(clip_of_noise(1), 4, axis=0)
    return all((changed == changed[:1]).all() for s in range(20) for changed in [step.change(still, random_for(s))])


class EachFrameSeparately(RandAugment):
    """Draws again for every frame, which is wrong for videos."""

    def _change(self, frames_THWC, random):
        return np.concatenate([super(EachFrameSeparately, self)._change(frame[None], random) for frame in frames_THWC])


@pytest.mark.parametrize("step", STEPS, ids=lambda s: s.kind)
def test_all_frames_get_the_same_change(step) -> None:
    assert frames_stay_equal(step)
    assert (step.change(clip_of_noise(), random_for(7)) == step.change(clip_of_noise(), random_for(7))).all()
    results = [step.change(clip_of_noise(), random_for(seed)) for seed in range(8)]
    assert any((results[0] != other).any() for other in results[1:])


def test_a_draw_for_each_frame_is_seen() -> None:
    assert not frames_stay_equal(EachFrameSeparately())


def test_the_same_clip_in_any_worker(tmp_path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for i in range(3):
            write_video(tmp_path / label / f"{i}.mp4", [coded_frame(n + 5 * i) for n in range(6)], preset="ultrafast")

    def clips(workers: int) -> np.ndarray:
        dataset = ClipDataset(
            list_folder(tmp_path), MMAction2Train(frames=4), RandomCrop(size=32, short_side=40), seed=3,
            appearance=(ColourJitter(), RandAugment()),
        )  # fmt: skip
        loader = AheadLoader(dataset, workers=workers, collate_fn=collate)
        return np.stack([batch["clip"][0].numpy() for batch in loader])

    alone = clips(0)
    assert alone.dtype == np.uint8
    np.testing.assert_array_equal(alone, clips(2))


def test_bad_input() -> None:
    with pytest.raises(DataError, match="2 channels: leave appearance out"):
        ColourJitter().change(np.zeros((1, 4, 4, 2), np.uint8), random_for(0))
    with pytest.raises(RecipeError, match="flow has none"):
        get_recipe("slowonly_r18_8x2_motions").variant(modality="flow", appearance=[{"kind": "randaugment"}])
    with pytest.raises(RecipeError, match="magnitude"):
        get_recipe("slowonly_r18_8x2_motions").variant(appearance=[{"kind": "randaugment", "magnitude": 11}])
    assert RandAugment(probability=1, layers=9).change(np.full((2, 9, 1, 3), 7, np.uint8), random_for(0)).shape == (
        2,
        9,
        1,
        3,
    )


def test_a_recipe_declares_it() -> None:
    recipe = get_recipe("slowonly_r18_8x2_motions").variant(
        appearance=[{"kind": "colour"}, {"kind": "randaugment", "layers": 2}]
    )
    assert recipe.appearance == (ColourJitter(), RandAugment(layers=2))
    assert recipe.with_settings(["appearance=[{kind: lighting}]"]).appearance == (Lighting(),)
    assert randaugment.OPERATIONS is OPERATIONS
