"""How long a training, or the demo, will take on this machine, estimated from a short measurement."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from marey.backends.compute import Compute
from marey.backends.device import on_device, pick_training_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.base.errors import DataError, MareyError
from marey.base.processes import decoding_workers, processes, usable_cores
from marey.base.reporter import SilentReporter, reporting
from marey.classifier import Classifier
from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.loading.datasets import ClipDataset
from marey.data.loading.workers import timed_items
from marey.data.motions import write_examples
from marey.evaluation.time_estimate import seconds_per_video
from marey.recipe import Recipe
from marey.recipes.motions import MotionsData
from marey.training.optimizers import build_optimizer
from marey.video.source import Frames
from marey.weights.load import build_model

_STEPS = 6
"""Optimiser steps that are timed for the demo; the first is not counted."""
_LAUNCH = 3.0
"""Seconds added to each estimate of a training: starting processes, loading weights, writing the report."""
_LONG = 0.6
"""If the first clip takes more seconds, no second one is timed, although the first includes one-time setup."""
_START = 10.0
"""Seconds added to each estimate of a demo: starting processes, the report, single predictions."""


@dataclass(frozen=True)
class MachineSpeed:
    """Seconds that this machine takes for each part of the demo, measured while nothing else of Marey runs."""

    write: float
    """Seconds to render and encode a video on one core."""
    decode: float
    """Seconds to decode a clip on one core."""
    train: float
    """Seconds per clip of an optimiser step (forward, backward, update) on the device."""
    cores: int
    """The number of cores that this process may use."""
    writers: int
    """The number of processes that write videos."""
    workers: int
    """The number of processes that decode during training; 0: the training process decodes."""

    def seconds(self, recipe: Recipe, data: MotionsData) -> float:
        """How long writing, training with a validation after each epoch, and testing will take."""
        epochs, clips, videos = recipe.train.epochs, recipe.test.sampling.clips, data["train"] + data["test"]
        decode = self.decode / max(1, min(self.cores, self.workers))
        forward = self.train / 3  # the backward pass takes twice the time of the forward pass
        writing = videos * self.write / max(1, min(self.cores, self.writers))
        training = epochs * data["train"] * (self.train + decode)
        testing = data["test"] * (epochs * (forward + decode) + clips * forward + 2 * decode)
        return _START + writing + training + testing

    def choose(self, recipe: Recipe, sizes: tuple[MotionsData, ...], *, seconds: float) -> MotionsData:
        """The largest of `sizes` (smallest first) that takes at most `seconds`; the smallest where none does."""
        fitting = [data for data in sizes if self.seconds(recipe, data) <= seconds]
        return fitting[-1] if fitting else sizes[0]


def measure_speed(recipe: Recipe, data: MotionsData, *, compute: Compute) -> MachineSpeed:
    """Write twelve videos like those of `data`, decode them and take a few training steps on them: about a second."""
    with tempfile.TemporaryDirectory() as first:  # not timed: includes one-time setup
        write_examples(first, size=data["size"], frames=data["frames"])
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        rows = write_examples(folder, size=data["size"], frames=data["frames"])
        write = (time.perf_counter() - start) / len(rows)
        manifest = make_manifest(rows, root=Path(folder), source=folder)
        videos = ClipDataset(manifest, recipe.clip, recipe.augment, pixels=recipe.pixels)
        clips = [videos[0]["clip"]]  # not timed: includes one-time setup
        start = time.perf_counter()
        clips += [videos[row]["clip"] for row in range(1, len(videos))]
        decode = (time.perf_counter() - start) / (len(videos) - 1)
    size = recipe.train.base_batch
    batch = torch.from_numpy(np.stack([clips[number % len(clips)] for number in range(size)]))
    with computing_in(recipe.train.precision):
        train = _step_seconds(recipe, batch, pick_training_device(compute.device)) / size
    cores = usable_cores()
    writers = cores if compute.workers is None else compute.workers
    return MachineSpeed(write, decode, train, cores, writers, decoding_workers(compute.workers))


def training_seconds(
    recipe: Recipe, train: Manifest, held_out: Manifest | None, compute: Compute, *, epochs: float
) -> float | None:
    """Seconds that `epochs` of training with validation, and the test after them, will take; None if it cannot be measured.

    The estimate decodes clips of two videos and times a network with random weights. It is None if the videos cannot be
    read, if the network is a user's own module, or if it uses optical flow, which may have to be computed. Random states are
    restored afterwards.
    """
    if recipe.flow is not None:
        return None
    device = pick_training_device(compute.device)
    try:
        precision = pick_precision(compute.precision, device, declared=recipe.train.precision, tell=False)
        # Without the list of devices torch would save the state of every GPU, and warn about it.
        used = [] if device.type == "cpu" else [device]
        with (
            torch.random.fork_rng(used, device_type=device.type), reporting(SilentReporter()),
            computing_in(precision), autocast(device, precision),
        ):  # fmt: skip
            clips, decode = _decoded_clips(
                ClipDataset(train, recipe.clip, recipe.augment, pixels=recipe.pixels), compute.workers
            )
            step = _clip_seconds(recipe, clips, device, most=compute.batch or recipe.train.base_batch)
    except (MareyError, OSError, RuntimeError):
        return None  # training itself reports what is wrong
    seconds = epochs * len(train) * seconds_per_video(decode, step, compute, device=str(device))
    if held_out is not None:
        forward = step / 3  # the backward pass takes twice the time of the forward pass
        seconds += epochs * len(held_out) * seconds_per_video(decode, forward, compute, device=str(device))
        views = recipe.test.views
        seconds += len(held_out) * seconds_per_video(
            decode * recipe.test.sampling.clips, views * forward, compute, device=str(device)
        )
    return _LAUNCH + seconds / processes().world


def _decoded_clips(videos: ClipDataset, workers: int | None) -> tuple[list[Frames], float]:
    """A clip of the first video and one of another, and the seconds that the last clip took to decode.

    The first clip includes one-time setup, so the second one is timed, unless the first took longer than `_LONG`.

    Raises:
        DataError: the first video cannot be read.
    """
    clips, decode = [], 0.0
    for item, decode in timed_items(videos, [0, len(videos) // 2], workers=workers):
        clips.append(item["clip"])
        if decode >= _LONG:
            break
    if not clips:
        raise DataError("the first video cannot be read.")
    return clips, decode


def _clip_seconds(recipe: Recipe, clips: Sequence[Frames], device: torch.device, *, most: int) -> float:
    """Seconds per clip of an optimiser step: from a forward pass of one clip, or if that is short, from a step of as many
    clips as fit into about a second.

    Args:
        most: The largest number of clips in that step.
    """
    model = build_model(recipe).to(device).train()
    one = torch.from_numpy(np.stack(clips[:1]))
    with torch.no_grad():
        model.eval()
        start = time.perf_counter()
        model(model.preprocess(on_device(one, device))).sum().item()
        forward = time.perf_counter() - start
    if forward > _LONG:
        return 3 * forward
    model.train()
    count = max(1, min(most, int(0.5 / forward)))
    batch = torch.from_numpy(np.stack([clips[number % len(clips)] for number in range(count)]))
    optimizer = build_optimizer(model.network, recipe.train)
    times = []
    for _ in range(2):  # the first one includes setup of the backward pass
        start = time.perf_counter()
        _step(model, optimizer, batch, device)
        times.append(time.perf_counter() - start)
        if times[-1] > 1:
            break
    return times[-1] / count


def _step_seconds(recipe: Recipe, batch_BTHWC: torch.Tensor, device: torch.device) -> float:
    """Median seconds of an optimiser step of a network with random weights, without the first, which includes setup."""
    model = build_model(recipe).to(device).train()
    optimizer = build_optimizer(model.network, recipe.train)
    times = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        _step(model, optimizer, batch_BTHWC, device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _step(model: Classifier, optimizer: torch.optim.Optimizer, batch_BTHWC: torch.Tensor, device: torch.device) -> None:
    target = torch.zeros(len(batch_BTHWC), dtype=torch.int64, device=device)
    loss = cross_entropy(model(model.preprocess(on_device(batch_BTHWC, device))), target)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    loss.item()  # waits until the device has finished the step
