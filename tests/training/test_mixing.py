"""Mixup, cutmix and erasing: draws implemented again, shares that sum to one, any micro-batches, and a resume."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from marey.base.errors import RecipeError
from marey.base.random import random_for
from marey.data.lists.class_folders import list_folder
from marey.recipe import Erase, Mix, Train
from marey.recipes import get_recipe
from marey.training.fit import fit
from marey.training.mixing import Blend, MixedBatch, draw_blend, draw_boxes
from marey.video.pixels.transforms import to_clip
from marey.weights.checkpoint import read_checkpoint
from tests.support.crashing import CrashError, crash_after

VIDEOS_PER_CLASS = 4

HEIGHT, WIDTH = 20, 30
MIX, ERASE = Mix(), Erase(probability=0.7)
BASE = get_recipe("slowonly_r18_8x2_motions")


def declared(mix: Mix | None = None, erase: Erase | None = None) -> Train:
    return BASE.train.model_copy(update={"mix": mix, "erase": erase})


def frames(count: int) -> torch.Tensor:
    """[count, T, H, W, C] of noise, different in each clip."""
    return torch.from_numpy(np.random.RandomState(0).randint(0, 256, (count, 3, HEIGHT, WIDTH, 3)).astype(np.uint8))


def normalise(batch: torch.Tensor) -> torch.Tensor:
    return to_clip(batch, (120, 120, 120), (60, 60, 60))


def mixed(train: Train, count: int = 7, *, step: int = 3, rank: int = 0, world: int = 1) -> MixedBatch:
    batch, targets = frames(count), torch.arange(count) % 4
    return MixedBatch(batch[rank::world], targets[rank::world], normalise, train, key=(0, step), rank=rank, world=world)


# Draws


def test_draws_are_the_toolkits() -> None:
    """In the order of timm and PySlowFast: whether, which, lambda, the centre of the box; lambda is the area outside it."""
    for seed in range(500):
        random = np.random.RandomState(seed)
        random.uniform()
        cut = random.uniform() < 0.5
        share = random.beta(1, 1) if cut else random.beta(0.8, 0.8)
        box = None
        if cut:
            side = math.sqrt(1 - share)
            half_height, half_width = int(HEIGHT * side) // 2, int(WIDTH * side) // 2
            y, x = random.randint(HEIGHT), random.randint(WIDTH)
            top, bottom = np.clip([y - half_height, y + half_height], 0, HEIGHT)
            left, right = np.clip([x - half_width, x + half_width], 0, WIDTH)
            box = (top, left, bottom - top, right - left)
            share = 1 - (bottom - top) * (right - left) / (HEIGHT * WIDTH)
        blend = draw_blend(MIX, HEIGHT, WIDTH, np.random.RandomState(seed))
        assert blend is not None
        assert blend.share == pytest.approx(share, abs=1e-12)
        assert blend.box == box


def test_mixup_and_cutmix_are_as_frequent_and_strong_as_declared() -> None:
    blends = [draw_blend(Mix(probability=0.8, switch=0.3), 224, 224, random_for(seed)) for seed in range(4000)]
    kept = [blend for blend in blends if blend is not None]
    assert len(kept) / len(blends) == pytest.approx(0.8, abs=0.02)
    cuts = [blend for blend in kept if blend.box is not None]
    assert len(cuts) / len(kept) == pytest.approx(0.3, abs=0.03)
    plain = np.array([blend.share for blend in kept if blend.box is None])
    # Beta(0.8, 0.8): mean 1/2, variance 1 / (4 (2 * 0.8 + 1)).
    assert plain.mean() == pytest.approx(0.5, abs=0.02)
    assert plain.var() == pytest.approx(1 / 10.4, abs=0.005)


def test_the_area_of_cutmix() -> None:
    """A box around a uniform middle: of sides a * H and a * W an expected (a - a² / 4)² lies inside, a² = 1 - lambda."""
    blends = [draw_blend(Mix(mixup_alpha=0), 224, 224, random_for(seed)) for seed in range(4000)]
    a = np.sqrt(np.linspace(0, 1, 10001))
    expected = 1 - np.mean((a - a**2 / 4) ** 2)
    assert np.mean([blend.share for blend in blends if blend]) == pytest.approx(expected, abs=0.01)
    for blend in blends:
        assert blend is not None
        assert blend.box is not None
        assert blend.share == 1 - blend.box.height * blend.box.width / 224**2


def test_erased_boxes_have_the_declared_frequency_area_and_ratio() -> None:
    boxes = [draw_boxes(Erase(), 112, 112, random_for(seed)) for seed in range(6000)]
    drawn = [box for some in boxes for box in some]
    assert len(drawn) / len(boxes) == pytest.approx(0.25, abs=0.02)
    areas = np.array([box.height * box.width for box in drawn]) / 112**2
    ratios = np.log([box.height / box.width for box in drawn])
    assert areas.min() > 0.015
    assert areas.max() < 0.345
    assert areas.mean() == pytest.approx((0.02 + 1 / 3) / 2, abs=0.015)
    assert ratios.mean() == pytest.approx(0, abs=0.06)
    assert abs(ratios).max() < math.log(1 / 0.3) + 0.3
    assert all(box.top + box.height <= 112 and box.left + box.width <= 112 for box in drawn)
    pairs = [draw_boxes(Erase(probability=1, boxes=2), 112, 112, random_for(seed)) for seed in range(200)]
    assert {len(pair) for pair in pairs} == {2}
    assert max(box.height * box.width for pair in pairs for box in pair) < 0.18 * 112**2
    # A frame of one pixel has no room for a box.
    assert draw_boxes(Erase(probability=1), 1, 1, random_for(0)) == []


# Mixed batches


def test_mixup_is_the_weighted_sum_of_two_clips() -> None:
    batch = mixed(declared(Mix(cutmix_alpha=0)))
    assert batch.blend is not None
    share, whole = batch.blend.share, normalise(frames(7))
    expected = whole * share + whole.flip(0) * (1 - share)
    torch.testing.assert_close(batch.clips(range(0, 7)), expected)
    # The clip in the middle of an odd batch is its own partner.
    torch.testing.assert_close(batch.clips(range(3, 4)), whole[3:4])


def test_cutmix_is_a_cube() -> None:
    batch = mixed(declared(Mix(mixup_alpha=0)), step=4)
    assert batch.blend is not None
    box, whole = batch.blend.box, normalise(frames(7))
    assert box is not None
    assert 0 < box.height * box.width < HEIGHT * WIDTH
    inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    inside[box.top : box.top + box.height, box.left : box.left + box.width] = True
    torch.testing.assert_close(batch.clips(range(0, 7)), torch.where(inside, whole.flip(0), whole))
    assert 1 - inside.float().mean() == pytest.approx(batch.blend.share)


def test_erasing_is_a_cube() -> None:
    train = declared(erase=Erase(probability=1))
    whole, got = normalise(frames(5)), mixed(train, 5).clips(range(0, 5))
    for place in range(5):
        changed = (got[place] != whole[place]).any(dim=0)
        assert (changed == changed[:1]).all(), "the same place in all frames"
        rows, columns = (changed[0].any(dim=axis).nonzero().flatten() for axis in (1, 0))
        assert changed[0].sum() == (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1), "one full box"
    flat = mixed(declared(erase=Erase(probability=1, fill="mean")), 5).clips(range(0, 5))
    assert ((flat == whole) | (flat == 0)).all()
    colour = mixed(declared(erase=Erase(probability=1, fill="colour")), 5).clips(range(0, 5))
    assert len(colour[0, 1][colour[0, 1] != whole[0, 1]].unique()) == 1
    noise = got[got != whole]
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise.std() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("mix", [None, MIX, Mix(mixup_alpha=0), Mix(cutmix_alpha=0)])
@pytest.mark.parametrize("erase", [None, ERASE])
@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_micro_batches_change_nothing(mix, erase, parts) -> None:
    """Every n-th clip, as in training."""
    train = declared(mix, erase)
    whole, cut, logits = mixed(train), mixed(train), torch.zeros(7, 4)
    clips, shares = whole.clips(range(7)), whole.shares(range(7), logits)
    for number in range(parts):
        places = range(7)[number::parts]
        assert torch.equal(cut.clips(places), clips[number::parts])
        assert torch.equal(cut.shares(places, logits[number::parts]), shares[number::parts])


def mixed_by_micro_batch(train: Train, part: int) -> torch.Tensor:
    """A deliberate mistake: each micro-batch is mixed by itself."""
    parts = [frames(7)[begin : begin + part] for begin in range(0, 7, part)]
    batches = [MixedBatch(p, torch.zeros(len(p)), normalise, train, key=(0, 3)) for p in parts]
    return torch.cat([batch.clips(range(len(batch.frames))) for batch in batches])


def test_partners_inside_a_micro_batch_are_detected() -> None:
    assert not torch.equal(mixed_by_micro_batch(declared(MIX), 2), mixed(declared(MIX)).clips(range(0, 7)))


def test_processes_erase_the_same_clips_and_draw_the_same_lambda() -> None:
    train = declared(erase=ERASE)
    alone = mixed(train).clips(range(0, 7))
    for rank in range(2):
        share = mixed(train, rank=rank, world=2)
        assert torch.equal(share.clips(range(len(share.frames))), alone[rank::2])
    assert mixed(declared(MIX), rank=0, world=2).blend == mixed(declared(MIX), rank=1, world=2).blend


def test_steps_and_seeds_differ() -> None:
    blends = {(b.share, b.box) for step in range(20) for b in [mixed(declared(MIX), step=step).blend] if b is not None}
    assert len(blends) == 20
    assert torch.equal(mixed(declared(MIX, ERASE)).clips(range(0, 7)), mixed(declared(MIX, ERASE)).clips(range(0, 7)))


def test_without_declarations_nothing_is_changed() -> None:
    batch = mixed(declared())
    assert torch.equal(batch.clips(range(0, 7)), normalise(frames(7)))
    assert batch.shares(range(2, 5), torch.zeros(3, 4)).tolist() == [2, 3, 0]
    off = mixed(declared(Mix(probability=0), Erase(probability=0)))
    assert torch.equal(off.clips(range(0, 7)), normalise(frames(7)))
    assert off.shares(range(2, 5), torch.zeros(3, 4)).tolist() == [2, 3, 0]


# Labels


@pytest.mark.parametrize("mix", [MIX, Mix(mixup_alpha=0), Mix(cutmix_alpha=0)])
def test_shares_sum_to_one(mix) -> None:
    for step in range(30):
        batch = mixed(declared(mix), step=step)
        shares = batch.shares(range(0, 7), torch.zeros(7, 4))
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(7))
        assert batch.blend is not None
        # Clip 0 is of class 0, its partner, clip 6, of class 2.
        assert shares[0].tolist() == pytest.approx([batch.blend.share, 0, 1 - batch.blend.share, 0])
        # Clip 1 and its partner, clip 5, are both of class 1.
        assert shares[1].tolist() == pytest.approx([0, 1, 0, 0])


def test_several_labels_are_mixed_with_the_same_shares() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    batch = MixedBatch(frames(2), targets, normalise, declared(MIX), key=(0, 1))
    assert batch.blend is not None
    share = batch.blend.share
    torch.testing.assert_close(
        batch.shares(range(0, 2), torch.zeros(2, 3)), targets * share + targets.flip(0) * (1 - share)
    )


def test_the_loss_is_the_toolkits() -> None:
    """PySlowFast smooths both labels and then mixes with lambda; it equals one cross-entropy with shares and smoothing."""
    logits = torch.from_numpy(np.random.RandomState(1).standard_normal((7, 4)))
    batch = mixed(declared(MIX))
    assert batch.blend is not None
    ours = F.cross_entropy(logits, batch.shares(range(0, 7), logits), label_smoothing=0.1, reduction="sum")
    target, share = torch.arange(7) % 4, batch.blend.share
    smooth = torch.full((7, 4), 0.1 / 4, dtype=torch.float64)
    one, other = (smooth.scatter(1, t[:, None], 0.9 + 0.1 / 4) for t in (target, target.flip(0)))
    theirs = -((one * share + other * (1 - share)) * logits.log_softmax(dim=1)).sum()
    assert float(ours) == pytest.approx(float(theirs), abs=1e-12)


# In a run

TINY = BASE.variant(
    name="tiny",
    model={"width": 4, "num_classes": 2},
    clip={"frames": 2, "stride": 2},
    augment={"short_side": 40, "size": 32},
    pixels={"short_side": 40},
    test={"size": 32, "sampling": {"frames": 2}},
    appearance=[{"kind": "randaugment"}],
    train={"epochs": 2, "base_batch": 4, "mix": {}, "erase": {"probability": 0.5}, "label_smoothing": 0.1},
)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(out / "last.safetensors").tensors


def test_a_resumed_run_mixes_the_same(videos, tmp_path, monkeypatch) -> None:
    manifest = list_folder(videos)
    fit(TINY, train=manifest, out=tmp_path / "whole", workers=0)
    with monkeypatch.context() as patched:
        crash_after(1, patched)
        with pytest.raises(CrashError):
            fit(TINY, train=manifest, out=tmp_path / "cut", workers=0)
    fit(TINY, train=manifest, out=tmp_path / "cut", workers=2, resume=True)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    plain = TINY.variant(train={"mix": None, "erase": None}, appearance=[])
    fit(plain, train=manifest, out=tmp_path / "plain", workers=0)
    assert any(not torch.equal(whole[name], value) for name, value in weights(tmp_path / "plain").items())


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_gradient_accumulation_mixes_the_same(videos, tmp_path) -> None:
    """Without batch norms and dropout, micro-batches of one clip give the loss of the complete batch."""
    for name, batch in (("whole", None), ("parts", 1)):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool3d(2), torch.nn.Flatten(), torch.nn.Linear(24, 2))
        fit(TINY, train=list_folder(videos), out=tmp_path / name, workers=0, batch=batch, model=module)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), abs=1e-5)


def test_bad_input() -> None:
    with pytest.raises(RecipeError, match="both 0"):
        BASE.variant(train={"mix": {"mixup_alpha": 0, "cutmix_alpha": 0}})
    with pytest.raises(RecipeError, match=r"train\.erase\.flattest"):
        BASE.variant(train={"erase": {"flattest": 0}})
    assert BASE.with_settings(["train.mix.switch=0.2"]).train.mix == Mix(switch=0.2)
    assert Blend(0.5).box is None
