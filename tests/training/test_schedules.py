"""Learning rates of the toolkits' configs, recorded from their own hooks and schedulers; and deliberate mistakes."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR

from marey.base.errors import RecipeError
from marey.recipe import CosineSchedule, StepSchedule, Warmup
from marey.recipes import get_recipe
from marey.training.schedules import lr_factor
from tests.support.recorded import load
from tests.support.tolerances import LEARNING_RATE

MMACTION = load("training/lr_mmaction1")["curves"]
MMACTION2 = load("training/lr_mmaction2")["curves"]
PYSLOWFAST = load("training/lr_pyslowfast")["curves"]


def worst(schedule, curve, *, base: float, epochs: int, epoch_steps: int = 100) -> float:
    """The largest relative difference from the recorded rates; rates of 0 must be 0."""
    largest = 0.0
    for step, lr in zip(curve["iters"], curve["lr"], strict=True):
        ours = base * lr_factor(schedule, step, epoch_steps=epoch_steps, epochs=epochs)
        largest = max(largest, abs(ours - lr) / lr if lr else float(ours != 0))
    return largest


def mmaction(curve):
    """The two readings of warm-up: iterations in the v0.2.0 release, epochs afterwards."""
    config, warmup = curve["lr_config"], None
    if config.get("warmup"):
        length = {"epochs" if config.get("warmup_by_epoch") else "steps": config["warmup_iters"]}
        warmup = Warmup(**length, start=config["warmup_ratio"])
    if config["policy"] == "cosine":
        return CosineSchedule(warmup=warmup)
    return StepSchedule(milestones=tuple(config["step"]), warmup=warmup)


def mmaction2(curve):
    warmup = None
    for scheduler in curve["param_scheduler"]:
        if scheduler["type"] == "LinearLR":
            by = "step" if scheduler.get("convert_to_iter_based") else "epoch"
            warmup = Warmup(epochs=scheduler["end"], start=scheduler["start_factor"], by=by, ends="last")
        elif scheduler["type"] == "MultiStepLR":
            schedule = StepSchedule(milestones=scheduler["milestones"], begin=scheduler["begin"])
        else:
            schedule = CosineSchedule(begin=scheduler.get("begin", 0))
    return schedule.model_copy(update={"warmup": warmup})


def pyslowfast(curve):
    base = curve["base_lr"]
    warmup = Warmup(epochs=curve["warmup_epochs"], start=curve["warmup_start_lr"] / base, towards="end")
    if curve["policy"] == "cosine":
        begin = curve["warmup_epochs"] if curve["cosine_after_warmup"] else 0
        return CosineSchedule(by="step", begin=begin, end=curve["cosine_end_lr"] / base, warmup=warmup)
    return StepSchedule(milestones=tuple(curve["steps"][1:]), warmup=warmup)


@pytest.mark.parametrize("name", MMACTION)
def test_learning_rates_are_mmactions(name) -> None:
    curve = MMACTION[name]
    settings = {"base": curve["optimizer"]["lr"], "epochs": curve["total_epochs"]}
    assert worst(mmaction(curve), curve, epoch_steps=curve["iters_per_epoch"], **settings) < LEARNING_RATE


@pytest.mark.parametrize("name", MMACTION2)
def test_learning_rates_are_mmaction2s(name) -> None:
    curve = MMACTION2[name]
    base = curve["optim_wrapper"]["optimizer"]["lr"]
    assert worst(mmaction2(curve), curve, base=base, epochs=curve["max_epochs"]) < LEARNING_RATE


@pytest.mark.parametrize("name", PYSLOWFAST)
def test_learning_rates_are_pyslowfasts(name) -> None:
    curve = PYSLOWFAST[name]
    assert worst(pyslowfast(curve), curve, base=curve["base_lr"], epochs=curve["max_epoch"]) < LEARNING_RATE


DECLARED = [
    (MMACTION, "slowonly_r50_4x16_scratch", "slowonly_r50_4x16_k400"),
    (MMACTION, "slowonly_r50_4x16_finetune", "slowonly_r50_4x16_k400_imagenet"),
    (MMACTION, "i3d_r50_32x2", "i3d_r50_32x2_k400"),
    (MMACTION, "tsn_r50", "tsn_r50_3seg_k400"),
    (MMACTION, "tsn_bninception_flow_ucf101", "tsn_bninception_flow_3seg_ucf101"),
    (MMACTION2, "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb", "slowonly_r50_4x16_k400_mmaction2"),
    (
        MMACTION2,
        "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        "slowonly_r50_4x16_k400_imagenet_mmaction2",
    ),
    (MMACTION2, "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb", "i3d_r50_32x2_k400_mmaction2"),
    (MMACTION2, "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb", "tsn_r50_3seg_k400_mmaction2"),
    (MMACTION2, "r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb", "r2plus1d_r34_8x8_k400_mmaction2"),
    (MMACTION2, "ircsn_r152_32x2x1-180e_kinetics400-rgb", "ircsn_r152_32x2_k400_mmaction2"),
    (MMACTION2, "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb", "slowfast_r50_4x16_k400_mmaction2"),
    (PYSLOWFAST, "SLOW_4x16_R50", "slowonly_r50_4x16_k400_pyslowfast"),
    (PYSLOWFAST, "SLOWFAST_4x16_R50", "slowfast_r50_4x16_k400_pyslowfast"),
    (PYSLOWFAST, "I3D_8x8_R50", "i3d_r50_8x8_k400_pyslowfast"),
]


@pytest.mark.parametrize(("curves", "config", "name"), DECLARED, ids=[name for *_, name in DECLARED])
def test_recipes_declare_the_values_of_their_configs(curves, config, name) -> None:
    """Rates, epochs, batch, momentum, decay and clipping of the shipped recipe equal those of the recorded config."""
    curve, train = curves[config], get_recipe(name).train
    settings = {"base": train.optimizer.lr, "epochs": train.epochs}
    assert worst(train.schedule, curve, epoch_steps=curve.get("iters_per_epoch", 100), **settings) < LEARNING_RATE
    wrapper = curve.get("optim_wrapper", curve)
    optimizer = wrapper.get("optimizer", curve)
    clip = wrapper.get("clip_grad") or curve.get("grad_clip") or {}
    device_batch = curve.get("videos_per_gpu") or curve.get("batch_per_gpu")
    declared = train.optimizer
    assert train.epochs == next(curve[key] for key in ("total_epochs", "max_epochs", "max_epoch") if key in curve)
    assert train.base_batch == (8 * device_batch if device_batch else curve["batch_size"])
    assert train.clip_norm == clip.get("max_norm")
    assert declared.nesterov == optimizer.get("nesterov", False)
    assert (declared.momentum, declared.weight_decay) == (optimizer["momentum"], optimizer["weight_decay"])
    assert declared.norm_weight_decay == curve.get("bn_weight_decay")


# Deliberate mistakes: each must be detected.

STEPLR = "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb"


@pytest.mark.parametrize(
    "change",
    [{"begin": 0}, {"milestones": (89, 130)}, {"gamma": 0.11}, {"warmup": None}],
)
def test_a_wrong_step_schedule_is_detected(change) -> None:
    curve = MMACTION2[STEPLR]
    schedule = mmaction2(curve).model_copy(update=change)
    assert worst(schedule, curve, base=0.02, epochs=150) > 1e-3


def test_mmaction2_drops_ten_epochs_late() -> None:
    """Its configs say 90 and 130; its engine counts from the end of the warm-up."""
    schedule = mmaction2(MMACTION2[STEPLR])
    factors = [lr_factor(schedule, epoch * 100, epoch_steps=100, epochs=150) for epoch in (99, 100, 139, 140)]
    assert factors == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("change", [{"by": "epoch"}, {"ends": "after"}, {"start": 0.01}, {"towards": "end"}])
def test_a_wrong_warm_up_is_detected(change) -> None:
    curve = MMACTION2["slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb"]
    schedule = mmaction2(curve)
    broken = schedule.model_copy(update={"warmup": schedule.warmup.model_copy(update=change)})
    assert worst(broken, curve, base=0.1, epochs=256) > LEARNING_RATE


def test_a_warm_up_by_step_instead_of_epoch_is_detected() -> None:
    schedule = mmaction2(MMACTION2[STEPLR])
    broken = schedule.model_copy(update={"warmup": schedule.warmup.model_copy(update={"by": "step"})})
    assert worst(broken, MMACTION2[STEPLR], base=0.02, epochs=150) > 1e-3


@pytest.mark.parametrize("name", ["slowonly_r50_4x16_finetune", "i3d_r50_32x2"])
def test_a_milestone_off_by_one_is_detected(name) -> None:
    curve = MMACTION[name]
    schedule = mmaction(curve)
    first, second = schedule.milestones
    broken = schedule.model_copy(update={"milestones": (first, second + 1)})
    settings = {"base": curve["optimizer"]["lr"], "epochs": curve["total_epochs"]}
    assert worst(broken, curve, epoch_steps=curve["iters_per_epoch"], **settings) > 1e-3


def test_the_other_toolkits_cosine_is_detected() -> None:
    curve = PYSLOWFAST["SLOW_4x16_R50"]
    for change in ({"by": "epoch"}, {"begin": 34}, {"end": 0.01}):
        broken = pyslowfast(curve).model_copy(update=change)
        assert worst(broken, curve, base=0.1, epochs=196) > 1e-3


def test_mmactions_two_readings_differ_at_another_batch() -> None:
    """18,800 iterations are ten epochs only with 1,880 iterations per epoch."""
    released, later = (
        StepSchedule(milestones=(90, 130), warmup=warmup) for warmup in (Warmup(steps=18_800), Warmup(epochs=10))
    )
    assert lr_factor(released, 9_000, epoch_steps=1880, epochs=150) == lr_factor(
        later, 9_000, epoch_steps=1880, epochs=150
    )
    assert lr_factor(released, 9_000, epoch_steps=940, epochs=150) != lr_factor(
        later, 9_000, epoch_steps=940, epochs=150
    )


# MMAction2's MViT: mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb.py, 200 epochs.

MVIT = CosineSchedule(by="step", begin=30, length=200, end=0.01, warmup=Warmup(epochs=30, start=0.01, ends="last"))
MVIT_LR = 1.6e-3


def chained(epoch_steps: int) -> list[float]:
    """What torch's schedulers set at each step. mmengine's do the same arithmetic: one step of the linear one less, so that
    its last step is at the full rate, and the cosine one begins where that ends, on the step of its milestone.
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=MVIT_LR)
    scheduler = LinearLR(optimizer, start_factor=0.01, total_iters=30 * epoch_steps - 1)
    rates = []
    for step in range(200 * epoch_steps):
        if step == 30 * epoch_steps:
            scheduler = CosineAnnealingLR(optimizer, T_max=200 * epoch_steps, eta_min=MVIT_LR / 100)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step != 30 * epoch_steps - 1:
            scheduler.step()
    return rates


def ours(schedule: CosineSchedule, epoch_steps: int) -> list[float]:
    steps = range(200 * epoch_steps)
    return [MVIT_LR * lr_factor(schedule, step, epoch_steps=epoch_steps, epochs=200) for step in steps]


@pytest.mark.parametrize("epoch_steps", [1, 2, 7, 40])
def test_mmaction2s_mvit_equals_torchs_schedulers(epoch_steps) -> None:
    assert ours(MVIT, epoch_steps) == pytest.approx(chained(epoch_steps), rel=LEARNING_RATE)


def test_the_mvit_curve_in_numbers() -> None:
    """From 1 % to the full rate on steps 29 n + n - 1 and 30 n, and down to 170 / 200 of the curve, not to its end."""
    rates = [rate / MVIT_LR for rate in ours(MVIT, 10)]
    assert rates[0] == pytest.approx(0.01)
    assert (rates[299], rates[300]) == pytest.approx((1, 1))
    assert rates[301] < 1
    assert rates[-1] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi * 1699 / 2000)) / 2)
    assert rates[-1] > 0.06


@pytest.mark.parametrize(
    "change",
    [
        {"length": None},
        {"length": 201},
        {"begin": 29},
        {"end": 0},
        {"by": "epoch"},
        {"warmup": Warmup(epochs=30, start=0.01)},
        {"warmup": Warmup(epochs=30, start=0.01, ends="last", by="epoch")},
    ],
    ids=str,
)
def test_another_mvit_schedule_is_detected(change) -> None:
    assert ours(MVIT.model_copy(update=change), 7) != pytest.approx(chained(7), rel=LEARNING_RATE)


def test_a_curve_that_ends_before_the_training() -> None:
    train = {"epochs": 200, "schedule": {"begin": 30, "length": 169}}
    with pytest.raises(RecipeError, match=r"schedule.length=169 epochs from epoch 30 ends before epoch 200"):
        get_recipe("slowonly_r50_4x16_k400_mmaction2").variant(train=train)
    get_recipe("slowonly_r50_4x16_k400_mmaction2").variant(train={"epochs": 200, "schedule": {"length": 170}})


def test_a_warm_up_has_one_length() -> None:
    with pytest.raises(ValidationError, match="give one of the two"):
        Warmup()
    with pytest.raises(ValidationError, match="give one of the two"):
        Warmup(epochs=1, steps=10)
