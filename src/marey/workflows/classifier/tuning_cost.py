"""What fine-tuning a classifier's network takes on this machine, by a measurement, and whether that is within the budget.

Costs are in the unit of `marey.workflows.classifier.budget`.
"""

import copy
import time
from dataclasses import dataclass

import torch

from marey.backends.compute import Compute
from marey.backends.device import on_device, pick_training_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.base.errors import MareyError
from marey.base.finetune import Finetune
from marey.base.processes import decoding_workers, usable_cores
from marey.base.reporter import SilentReporter, reporting
from marey.base.words import about, counted
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest
from marey.data.loading.clips import ClipDataset
from marey.data.loading.workers import timed
from marey.evaluation.out_of_fold.cost import Cost
from marey.models.layers.freeze import freeze, hold_frozen
from marey.recipe import Recipe
from marey.workflows.classifier.budget import Budget, unit
from marey.workflows.classifier.tuning import tuning_recipe


@dataclass(frozen=True)
class TuningCost:
    """What tuning takes, by a measurement."""

    seconds: float
    """Core-seconds on a CPU, else seconds on the clock."""
    epochs: int
    """Of each of the two trainings."""
    on_cpu: bool

    @property
    def trainings(self) -> str:
        """What is trained, in words."""
        epochs = counted(self.epochs, "epoch")
        return f"{epochs} without the fold that judges, and {epochs} on all clips if it is kept"

    def __str__(self) -> str:
        if not self.on_cpu:
            return f"{counted(round(self.seconds), 'second')} ({self.trainings})"
        cores = usable_cores()
        wall = f"{about(self.seconds / cores)} on {counted(cores, 'core')}"
        return f"{counted(round(self.seconds), 'core-second')}, {wall} ({self.trainings})"


@dataclass(frozen=True)
class Decision:
    """Whether to tune, and the message about it."""

    tunes: bool
    sentence: str
    """"" where there is nothing to say."""


def decide(finetune: Finetune, cost: TuningCost | None, budget: Budget, *, spent: Cost, command: str) -> Decision:
    """Whether a network is tuned.

    "auto" tunes within the budget: on a GPU; on a CPU only where the user named a budget, since tuning there takes many
    times as long as the rest.

    Args:
        cost: None where it could not be measured: then only "always" tunes.
        spent: What was spent of the budget already: its core-seconds count on a CPU, else its seconds on the clock.
        command: The command line that tunes the run later.
    """
    if finetune == "never":
        return Decision(False, "")
    if cost is None:
        if finetune == "always":
            return Decision(True, "fine-tuning the network; how long that takes could not be measured")
        return Decision(
            False, f"the network is not fine-tuned: what that costs could not be measured; {_way_out(command)}"
        )
    gone = spent.core_seconds if cost.on_cpu else spent.seconds
    left = max(budget.seconds(on_cpu=cost.on_cpu) - gone, 0)
    of_budget = f"the {left:,.0f} {unit(on_cpu=cost.on_cpu)} that are left of the budget (--minutes)"
    if finetune == "always":
        beyond = budget.minutes is not None and cost.seconds > left
        longer = f", more than {of_budget}; --finetune always does it all the same" if beyond else ""
        return Decision(True, f"fine-tuning the network: expected to take {cost}{longer}")
    if cost.seconds <= left and (not cost.on_cpu or budget.minutes is not None):
        return Decision(True, f"fine-tuning the network, within the budget: expected to take {cost}")
    why = (
        f", more than {of_budget}" if cost.seconds > left else " (on a CPU it is done by itself only within --minutes)"
    )
    return Decision(False, f"the network is not fine-tuned, which would take {cost}{why}; {_way_out(command)}")


def _way_out(command: str) -> str:
    return f"{command} does it, here or on another machine to which the run and its clips are copied"


def tuning_cost(classifier: Classifier, videos: Manifest, judged: int, compute: Compute) -> TuningCost | None:
    """What `tune` will take, by a forward and a backward pass of a clip of the first video on this machine; None where it
    cannot be measured: the video cannot be read, or the device not be used.

    The classifier and torch's random states stay as they are.

    Args:
        videos: All N videos.
        judged: How many of them are in the fold that is judged.
    """
    recipe = tuning_recipe(classifier)
    try:
        device = pick_training_device(compute.device)
        precision = pick_precision(compute.precision, device, declared=recipe.train.precision, tell=False)
        used = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(used, device_type=device.type), reporting(SilentReporter()), computing_in(precision):
            clips = ClipDataset(videos, recipe.clip, recipe.augment, pixels=recipe.pixels, flow=recipe.flow)
            taken = list(timed(clips, [0], workers=compute.workers))
            frames_THWC, decoding = taken[0][0]["clip"], taken[0][1]
            with autocast(device, precision):
                step = _step_seconds(classifier, recipe, torch.from_numpy(frames_THWC)[None], device)
    except (MareyError, OSError, RuntimeError, IndexError):
        return None
    on_cpu = device.type == "cpu"
    each = step + decoding if on_cpu else max(step, decoding / max(1, decoding_workers(compute.workers)))
    passes = recipe.train.epochs * (2 * len(videos) - judged) + judged
    return TuningCost(passes * each, recipe.train.epochs, on_cpu)


def _step_seconds(classifier: Classifier, recipe: Recipe, clips_BTHWC: torch.Tensor, device: torch.device) -> float:
    """Seconds that a clip takes forward and backward: of all cores together on a CPU, else of the device. The first pass
    sets up much, so that the second one counts.
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
        on_device(torch.zeros(1), device).item()  # waits until the device has done all of it
        seconds = (clock() - start) / many
    return seconds
