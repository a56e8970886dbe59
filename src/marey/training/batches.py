"""The batches of a run: for training, for validation, and for the statistics of batch norms."""

from collections.abc import Iterator
from itertools import islice

from marey.base.processes import processes
from marey.base.words import counted
from marey.data.lists.manifest import Manifest
from marey.data.loading.datasets import ClipDataset
from marey.data.loading.loader import Batch, ClipLoader
from marey.data.loading.mirrored_classes import swaps_of
from marey.recipe import Recipe
from marey.tasks.choose import task_of
from marey.training.multigrid import phase_at, phases_of, rules_of
from marey.training.schedules import Calendar, learning_rate
from marey.video.pixels import CentreView


class RunBatches:
    """The share of a run's batches that this process trains on, and the learning rate of each step.

    Args:
        recipe: The recipe, which decides how clips are drawn and how many form a batch.
        train: The videos for training.
        val: The videos for validation; None: no validation.
        seed: Seed of the run. The order of videos, the clips and the crops depend on it.
        workers: Decoding processes; None: one per core, at most eight.
    """

    def __init__(
        self, recipe: Recipe, train: Manifest, val: Manifest | None, *, seed: int, workers: int | None
    ) -> None:
        self.recipe, self.train, self.val = recipe, train, val
        self.seed, self.workers = seed, workers
        self.phases = phases_of(recipe)
        self.shapes = list(dict.fromkeys(shape for phase in self.phases for shape in phase.shapes))
        self.epochs = self.phases[-1].until if self.phases else recipe.train.epochs
        task = task_of(recipe.task)
        self._clips = ClipDataset(
            train, recipe.clip, recipe.augment, seed=seed, pixels=recipe.pixels,
            shapes=rules_of(recipe, self.shapes),
            appearance=recipe.appearance, swaps=swaps_of(recipe.augment, train.class_names), flow=recipe.flow,
            target=task.target, mirrored=task.mirrored,
        )  # fmt: skip
        self.loader = self._training(self.epochs)
        if val is not None:
            self.validation(val)  # raises now, before training begins, if the list is too short
        self.calendar = Calendar([self.loader.epoch_batches(epoch) for epoch in range(self.epochs)])

    def learning_rate(self, step: int) -> float:
        """The learning rate of optimiser step `step`, counted from 0."""
        return learning_rate(self.recipe.train, self.calendar, step, self.phases)

    def first(self, epoch: int, count: int) -> Iterator[Batch]:
        """Read the first `count` training batches of an epoch (counted from 0) once more."""
        loader = self._training(epoch + 1)
        loader.load_state_dict({"epoch": epoch, "batch": 0})
        return islice(loader, count)

    def validation(self, val: Manifest) -> ClipLoader:
        """A loader of the centre clip of every video of the list, once."""
        recipe = self.recipe
        centre = CentreView(recipe.pixels, recipe.augment.size)
        clips = ClipDataset(
            val, recipe.clip.validation(), centre, seed=self.seed, pixels=recipe.pixels, flow=recipe.flow,
            target=task_of(recipe.task).target,
        )  # fmt: skip
        return ClipLoader(
            clips, global_batch=recipe.train.base_batch, epochs=1, seed=self.seed, workers=self.workers,
            rank=processes().rank, world=processes().world, draw=None,
        )  # fmt: skip

    def describe(self) -> str:
        """The length of training as text: epochs, steps, and clips per step."""
        clips, lengths = self.recipe.train.base_batch * self.recipe.train.repeats, self.calendar.lengths
        if not self.phases:
            epochs, steps = counted(self.epochs, "epoch"), counted(lengths[0], "step")
            return f"{epochs} of {steps} of {counted(clips, 'clip')}"
        sizes = ", ".join(f"{frames}x{side}" for frames, side in sorted({(s.frames, s.side) for s in self.shapes}))
        most = clips * max(shape.batch for shape in self.shapes)
        steps = counted(sum(lengths), "step")
        return f"{counted(self.epochs, 'epoch')}, {steps} of {clips} to {counted(most, 'clip')} of {sizes}"

    def _training(self, epochs: int) -> ClipLoader:
        train = self.recipe.train
        return ClipLoader(
            self._clips, global_batch=train.base_batch, epochs=epochs, seed=self.seed, workers=self.workers,
            rank=processes().rank, world=processes().world, draw=train.draw, repeats=train.repeats,
            cycle=self._cycle if self.phases else None,
        )  # fmt: skip

    def _cycle(self, epoch: int) -> tuple[tuple[int, int], ...]:
        """The cycle of batches in an epoch of multigrid training: the number of videos and the shape's index of each."""
        base = self.recipe.train.base_batch
        return tuple((base * s.batch, self.shapes.index(s)) for s in phase_at(self.phases, epoch).shapes)
