"""Measure what fine-tuning would cost on this machine, and decide whether it is within the budget.

Costs are in the unit of `budget_unit`: core-seconds on a CPU, seconds on another device.
"""

import copy
import time
from dataclasses import dataclass

import torch

from marey.backends.compute import Compute
from marey.backends.device import on_device, pick_training_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.base.errors import MareyError
from marey.base.options import Finetune
from marey.base.processes import decoding_workers, usable_cores
from marey.base.reporter import SilentReporter, reporting
from marey.base.words import about, counted
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.data.loading.datasets import ClipDataset
from marey.data.loading.workers import timed_items
from marey.evaluation.out_of_fold.cost import Cost
from marey.models.freeze import freeze, hold_frozen
from marey.recipe import Recipe
from marey.workflows.classifier.affordable import Budget, budget_unit
from marey.workflows.classifier.finetuning.judge import tuning_recipe


@dataclass(frozen=True)
class TuningCost:
    """The measured cost of fine-tuning: two trainings and a test."""

    seconds: float
    """Core-seconds where a CPU computes, else elapsed seconds."""
    epochs: int
    """Epochs of each of the two trainings."""
    on_cpu: bool
    """Whether a CPU computes, so that `seconds` are core-seconds."""

    @property
    def trainings(self) -> str:
        """The two trainings in words."""
        epochs = counted(self.epochs, "epoch")
        return f"{epochs} without the judging fold, and {epochs} on all videos if it is kept"

    def __str__(self) -> str:
        if not self.on_cpu:
            return f"{counted(round(self.seconds), 'second')} ({self.trainings})"
        cores = usable_cores()
        wall = f"{about(self.seconds / cores)} on {counted(cores, 'core')}"
        return f"{counted(round(self.seconds), 'core-second')}, {wall} ({self.trainings})"


@dataclass(frozen=True)
class Decision:
    """Whether to fine-tune, and the message about it."""

    tunes: bool
    """Whether the network is fine-tuned now."""
    sentence: str
    """The message to the user, without a full stop; "" for none."""


def decide_tuning(
    finetune: Finetune, cost: TuningCost | None, budget: Budget, *, spent: Cost, command: str
) -> Decision:
    """Decide whether to fine-tune.

    "always" does, "never" does not. "auto" does within the budget: on a GPU always, on a CPU only if --minutes was given,
    because fine-tuning there takes many times as long as the rest.

    Args:
        cost: None: it could not be measured, and then only "always" fine-tunes.
        spent: What was already spent of the budget: its core-seconds on a CPU, else its seconds.
        command: The command line that fine-tunes the run later, for the message.
    """
    if finetune == "never":
        return Decision(False, "")
    if cost is None:
        if finetune == "always":
            return Decision(True, "fine-tuning the network; how long that takes could not be measured")
        return Decision(
            False, f"the network is not fine-tuned: what that costs could not be measured; {_later(command)}"
        )
    used = spent.core_seconds if cost.on_cpu else spent.seconds
    left = max(budget.seconds(on_cpu=cost.on_cpu) - used, 0)
    of_budget = f"the {left:,.0f} {budget_unit(on_cpu=cost.on_cpu)} that are left of the budget (--minutes)"
    if finetune == "always":
        exceeds = budget.minutes is not None and cost.seconds > left
        note = f", more than {of_budget}; --finetune always does it anyway" if exceeds else ""
        return Decision(True, f"fine-tuning the network: expected to take {cost}{note}")
    if cost.seconds <= left and (not cost.on_cpu or budget.minutes is not None):
        return Decision(True, f"fine-tuning the network, within the budget: expected to take {cost}")
    why = (
        f", more than {of_budget}"
        if cost.seconds > left
        else " (on a CPU it is done automatically only within --minutes)"
    )
    return Decision(False, f"the network is not fine-tuned, which would take {cost}{why}; {_later(command)}")


def _later(command: str) -> str:
    return f"{command} does it, here or on another machine to which the run and its videos are copied"


def measure_cost(classifier: Classifier, videos: Manifest, judged: int, compute: Compute) -> TuningCost | None:
    """The cost of `tune_and_judge`, from a forward and a backward pass of a clip of the first video; None if the video
    cannot be read or the device cannot be used.

    The classifier is not changed, and torch's random states are restored.

    Args:
        videos: All N videos.
        judged: The number of videos in the fold on which fine-tuning is judged.
    """
    recipe = tuning_recipe(classifier)
    try:
        device = pick_training_device(compute.device)
        precision = pick_precision(compute.precision, device, declared=recipe.train.precision, tell=False)
        used = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(used, device_type=device.type), reporting(SilentReporter()), computing_in(precision):
            clips = ClipDataset(videos, recipe.clip, recipe.augment, pixels=recipe.pixels, flow=recipe.flow)
            item, decoding = next(iter(timed_items(clips, [0], workers=compute.workers)))
            frames_THWC = item["clip"]
            with autocast(device, precision):
                step = _step_seconds(classifier, recipe, torch.from_numpy(frames_THWC)[None], device)
    except (MareyError, OSError, RuntimeError, StopIteration):
        return None
    on_cpu = device.type == "cpu"
    each = step + decoding if on_cpu else max(step, decoding / max(1, decoding_workers(compute.workers)))
    passes = recipe.train.epochs * (2 * len(videos) - judged) + judged
    return TuningCost(passes * each, recipe.train.epochs, on_cpu)


def _step_seconds(classifier: Classifier, recipe: Recipe, clips_BTHWC: torch.Tensor, device: torch.device) -> float:
    """Seconds per clip of a forward and backward pass: core-seconds on a CPU, else seconds. The first pass includes setup,
    so the second one counts.
    """
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    many = 1 if on_cpu else recipe.train.base_batch
    network = copy.deepcopy(classifier.network).to(device)
    freeze(network, stages=recipe.train.frozen_stages, norms=recipe.train.frozen_norms)
    network.train()
    hold_frozen(network, recipe.train.frozen_norms)
    seconds = 0.0
    for _ in range(2):
        start = clock()
        frames = on_device(clips_BTHWC.repeat_interleave(many, dim=0), device)
        network(classifier.preprocess(frames)).float().logsumexp(dim=1).sum().backward()
        on_device(torch.zeros(1), device).item()  # waits until the device has finished
        seconds = (clock() - start) / many
    return seconds
