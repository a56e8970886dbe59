"""How fast this machine makes and learns `motions`, by a short measurement, and what it can do in the demo's time."""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from marey.backends.compute import Compute
from marey.backends.device import on_device, pick_training_device
from marey.backends.precision import computing_in
from marey.base.processes import decoding_workers, usable_cores
from marey.data.clips import ClipDataset
from marey.data.manifest import make_manifest
from marey.data.motions import write_examples
from marey.recipe import Recipe
from marey.recipes.motions import MotionsData
from marey.training.optimizers import build_optimizer
from marey.weights.load import build_model

_STEPS = 6
_START = 10.0
"""Seconds that no measurement of videos and clips covers: processes that start, the report, the answers."""


@dataclass(frozen=True)
class Pace:
    """Seconds that this machine takes, measured with nothing else of ours running."""

    write: float
    """To render and encode a video, on one core."""
    decode: float
    """To decode a clip, on one core."""
    train: float
    """To learn from a clip: forward, backward and its share of an optimiser step, on the device."""
    cores: int
    writers: int
    """Processes that write videos."""
    workers: int
    """Processes that decode beside the training; 0 is the training process itself."""

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


def measure_pace(recipe: Recipe, data: MotionsData, *, compute: Compute) -> Pace:
    """Write twelve videos of `data`'s kind, decode them and take a few training steps with them: about a second."""
    with tempfile.TemporaryDirectory() as first:  # pays for what is set up once
        write_examples(first, size=data["size"], frames=data["frames"])
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        rows = write_examples(folder, size=data["size"], frames=data["frames"])
        write = (time.perf_counter() - start) / len(rows)
        manifest = make_manifest(rows, root=Path(folder), source=folder)
        videos = ClipDataset(manifest, recipe.clip, recipe.augment, pixels=recipe.pixels)
        clips = [videos[0]["clip"]]  # the first one pays for what is set up once
        start = time.perf_counter()
        clips += [videos[row]["clip"] for row in range(1, len(videos))]
        decode = (time.perf_counter() - start) / (len(videos) - 1)
    size = recipe.train.base_batch
    batch = torch.from_numpy(np.stack([clips[number % len(clips)] for number in range(size)]))
    with computing_in(recipe.train.precision):
        train = _step_seconds(recipe, batch, pick_training_device(compute.device)) / size
    cores = usable_cores()
    writers = cores if compute.workers is None else compute.workers
    return Pace(write, decode, train, cores, writers, decoding_workers(compute.workers))


def _step_seconds(recipe: Recipe, batch_BTHWC: torch.Tensor, device: torch.device) -> float:
    """One optimiser step of a network with random weights: the median, without the first, which sets up much."""
    model = build_model(recipe).to(device).train()
    optimizer = build_optimizer(model.network, recipe.train)
    target = torch.zeros(len(batch_BTHWC), dtype=torch.int64, device=device)
    times = []
    for _ in range(_STEPS):
        start = time.perf_counter()
        loss = cross_entropy(model(model.preprocess(on_device(batch_BTHWC, device))), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # waits until the device has done all of the step
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
