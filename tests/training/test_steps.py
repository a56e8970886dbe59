"""Five optimiser steps in float64 through Marey's training loop, against values recorded from each toolkit's own code."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from marey.classifier import Classifier
from marey.data.loading.loader import BatchIndex
from marey.models.network import Network
from marey.models.slowonly.config import SlowOnlyConfig
from marey.recipe import SGD, CosineSchedule, Recipe, TSNGroups, Warmup
from marey.recipes import get_recipe
from marey.tasks.classify import cross_entropy
from marey.training.batches import RunBatches
from marey.training.distributed import start_fabric
from marey.training.folder import RunFolder
from marey.training.loop import TrainingLoop
from marey.training.schedules import Calendar
from marey.weights.layouts import mmaction, mmaction2, pyslowfast
from tests.support.recorded import draw_weight, load
from tests.support.tolerances import TRAINED_TENSOR

RECORDED = {
    "mmaction1": load("training/train_mmaction1_slowonly_r50")["cases"],
    "mmaction2": load("training/train_mmaction2_slowonly_r50")["cases"],
    "pyslowfast": load("training/train_pyslowfast_slow_r50")["cases"],
}
Pairs = Callable[[Network], Iterator[tuple[str, str]]]


def declared(toolkit: str, case: dict) -> tuple[SGD, CosineSchedule, int, float | None]:
    """Optimiser, schedule, epochs and clipping, translated from the toolkit's own config."""
    if toolkit == "pyslowfast":
        solver = case["solver"]
        warmup = Warmup(
            epochs=solver["WARMUP_EPOCHS"], start=solver["WARMUP_START_LR"] / solver["BASE_LR"], towards="end"
        )
        optimizer = SGD(
            lr=solver["BASE_LR"], nesterov=solver["NESTEROV"], weight_decay=solver["WEIGHT_DECAY"], norm_weight_decay=0
        )
        return optimizer, CosineSchedule(by="step", warmup=warmup), solver["MAX_EPOCH"], None
    if toolkit == "mmaction1":
        settings, clip = case["optimizer"], case["grad_clip"]
        schedule = CosineSchedule(warmup=Warmup(epochs=2))
    else:
        settings, clip = (case["optim_wrapper"][key] for key in ("optimizer", "clip_grad"))
        schedule = CosineSchedule(begin=2, warmup=Warmup(epochs=2, by="epoch", start=0.1, ends="last"))
    optimizer = SGD(lr=settings["lr"], weight_decay=settings["weight_decay"])
    return optimizer, schedule, 8, clip and clip["max_norm"]


class Recorded(RunBatches):
    """The recorded batches, which are already normalised, as one epoch of training."""

    def __init__(self, recipe: Recipe, steps: int) -> None:
        self.recipe, self.train, self.val, self.seed, self.phases = recipe, (), None, 0, ()
        self.epochs, self.calendar, self.loader = 1, Calendar([steps] * 8), Loader(batches())


class Loader(list):
    waited = 0.0


def epoch_steps(toolkit: str, case: dict) -> int:
    return case.get("iters_per_epoch", 1)


def batches() -> list[dict]:
    made = []
    for step in range(5):
        clip = np.random.RandomState(1000 + step).standard_normal((8, 3, 4, 32, 32)).astype(np.float32)
        target = np.random.RandomState(2000 + step).randint(0, 5, 8)
        made.append(
            {
                "clip": torch.from_numpy(clip).double(), "target": torch.from_numpy(target), "size": 8,
                "id": [], "broken": [], "index": BatchIndex(0, step, step == 4),
            }
        )  # fmt: skip
    return made


def five_steps(recipe: Recipe, pairs: Pairs, out: Path, *, steps: int) -> tuple[Network, list[dict]]:
    torch.set_default_dtype(torch.float64)
    try:
        network = recipe.model.build()
    finally:
        torch.set_default_dtype(torch.float32)
    network.dropout.p = 0.0
    state = network.state_dict()
    for theirs, ours in pairs(network):
        if not theirs.endswith("num_batches_tracked"):
            state[ours].copy_(torch.from_numpy(draw_weight(theirs, tuple(state[ours].shape))))
    loop = TrainingLoop(
        start_fabric(torch.device("cpu"), "float32"), Classifier(network, recipe), Recorded(recipe, steps), cross_entropy,
        RunFolder(out, recipe, [], {}, writes=False),
        micro_batch=recipe.train.norm_batch or 8, max_broken=0.0, checkpoint_minutes=60.0, tensorboard=False,
    )  # fmt: skip
    loop.step.normalise = lambda clip: clip
    loop.run(resume=False)
    seen = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()][:5]
    return network, seen


def worst(toolkit: str, name: str, pairs: Pairs, out: Path, **changed) -> float:
    """The largest difference after five steps, relative for losses, divided by the rms for tensors."""
    case = RECORDED[toolkit][name]
    optimizer, schedule, epochs, clip = declared(toolkit, case)
    train = {"optimizer": optimizer, "schedule": schedule, "epochs": epochs, "clip_norm": clip, "norm_batch": None}
    train |= changed
    width = case.get("width_per_group", case.get("base_channels", 64))
    recipe = get_recipe("slowonly_r50_4x16_k400").variant(
        model=SlowOnlyConfig(depth=50, width=width, num_classes=5), train=train
    )
    network, seen = five_steps(recipe, pairs, out, steps=epoch_steps(toolkit, case))
    largest = 0.0
    for ours, theirs in zip(seen, case["steps_float64"], strict=True):
        largest = max(largest, abs(ours["loss"] - theirs["loss"]) / theirs["loss"])
        assert ours["lr"] == pytest.approx(theirs["lr"], rel=1e-9)
    state, after = network.state_dict(), case["state_after_step5_float64"]
    names = dict(pairs(network))
    for key, recorded in after.items():
        if key.endswith("num_batches_tracked"):
            continue
        values = state[names[key]].numpy().ravel()
        rms = recorded["l2"] / math.sqrt(values.size)
        probe = values[np.random.RandomState(20261122).randint(0, values.size, 16)]
        largest = max(largest, float(abs(probe - recorded["probe"]).max() / rms))
    return largest


CASES = [
    ("mmaction1", "cosine_lr.01_clip40", mmaction.pairs),
    ("mmaction1", "cosine_lr.0005_noclip_wd.1", mmaction.pairs),
    ("mmaction2", "cosine_lr.01_clip40", mmaction2.pairs),
    ("pyslowfast", "w8_lr1e-4_wd.1", pyslowfast.pairs),
    ("pyslowfast", "w64_lr1e-4", pyslowfast.pairs),
]


WIDE = [pytest.param(*case, marks=pytest.mark.slow) for case in CASES if "w8" not in case[1]]
NARROW = [case for case in CASES if "w8" in case[1]]


@pytest.mark.parametrize(("toolkit", "name", "pairs"), WIDE + NARROW)
def test_five_optimiser_steps_equal_the_toolkits(toolkit, name, pairs, tmp_path) -> None:
    assert worst(toolkit, name, pairs, tmp_path) < TRAINED_TENSOR


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": SGD(lr=1e-4, weight_decay=0.1, norm_weight_decay=0)},
        {"optimizer": SGD(lr=1e-4, weight_decay=0.1, nesterov=True)},
        {"clip_norm": 40},
        {"base_batch": 8, "norm_batch": 4},
        {"groups": TSNGroups()},
    ],
    ids=["no Nesterov", "decay of norms too", "clipping", "norms of two devices", "biases twice as fast"],
)
def test_another_optimiser_is_detected(changed, tmp_path) -> None:
    assert worst("pyslowfast", "w8_lr1e-4_wd.1", pyslowfast.pairs, tmp_path, **changed) > 100 * TRAINED_TENSOR
