"""Multigrid training: the clip shapes, batch sizes and learning rate of each epoch. `marey.recipe.Multigrid` is the rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from marey.recipe import Multigrid, Recipe, StepSchedule
from marey.video.pixels.crops import TrainGeometry
from marey.video.sampling import TrainRule


@dataclass(frozen=True)
class ClipShape:
    """Frames and side (in pixels) of the clips of a batch, and its size as a multiple of the recipe's base batch."""

    frames: int
    """Frames of a clip, T."""
    side: int
    """Side of the square crop in pixels."""
    batch: int
    """Size of a batch as a multiple of the recipe's base batch."""


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs with the same learning rate and the same shapes of batches."""

    until: int
    """The epoch, counted from 0, at which the phase ends (exclusive)."""
    rate: float
    """Factor by which the base learning rate is multiplied."""
    shapes: tuple[ClipShape, ...]
    """The shapes that batches have in turn."""


def phases_of(recipe: Recipe) -> tuple[Phase, ...]:
    """The phases of the recipe's training; none without multigrid."""
    train = recipe.train
    if train.multigrid is None:
        return ()
    assert isinstance(train.schedule, StepSchedule)
    return plan_phases(train.multigrid, train.schedule, train.epochs, recipe.clip.frames, recipe.augment.size)


def plan_phases(multigrid: Multigrid, schedule: StepSchedule, epochs: int, frames: int, side: int) -> tuple[Phase, ...]:
    """Distribute the shapes of the long cycle over the intervals between milestones (PySlowFast's `MultigridSchedule`).

    In each interval every shape of the long cycle gets the same number of steps: a shape whose batches are on average b
    times the base batch gets epochs in proportion to b. The fine-tuning after the last milestone is shortened by the
    same factor as the steps before it; its first half keeps the learning rate from before the last milestone. Finally
    all phases are lengthened in proportion, to `epoch_factor` times `epochs` in total.
    """
    cycles = [_cycle(multigrid, frames, side, share) for share in multigrid.long]
    average = [_average_batch(multigrid, cycle[-1], frames, side) for cycle in cycles]
    ends = (0, *schedule.milestones)
    planned: list[tuple[float, float, tuple[ClipShape, ...]]] = []  # (epochs, rate, shapes)
    steps = 0.0
    for interval, (begin, end) in enumerate(pairwise(ends)):
        for cycle, batch in zip(cycles, average, strict=True):
            length = (end - begin) * batch / sum(average)
            steps += length / batch
            planned.append((length, schedule.gamma**interval * cycle[-1].batch, cycle))
    saving = schedule.milestones[-1] / steps
    tuning = (epochs - schedule.milestones[-1]) / saving * average[-1]
    stretch = epochs * multigrid.epoch_factor / (sum(length for length, *_ in planned) + tuning)
    found, done = [], 0.0
    for length, rate, cycle in planned:
        done += length * stretch
        found.append(Phase(round(done), rate, cycle))
    last = round(done + tuning * stretch)
    middle = (found[-1].until + last) // 2
    final_rate = schedule.gamma ** len(schedule.milestones) * cycles[-1][-1].batch
    return (*found, Phase(middle, found[-1].rate, cycles[-1]), Phase(last, final_rate, cycles[-1]))


def _cycle(multigrid: Multigrid, frames: int, side: int, share: tuple[float, float]) -> tuple[ClipShape, ...]:
    """The shapes that the batches of an epoch have in turn: those with the sides of the short cycle, then the shape of
    the long cycle. `share` is the long cycle's shape (frames, side), as shares of the recipe's `frames` and `side`.
    """
    long_frames, long_side = round(frames * share[0]), round(side * share[1])
    batch = round(frames * side**2 / (long_frames * long_side**2))
    shorter = tuple(
        ClipShape(long_frames, round(side * short), batch * round((long_side / (side * short)) ** 2))
        for short in multigrid.short
    )
    return (*shorter, ClipShape(long_frames, long_side, batch))


def _average_batch(multigrid: Multigrid, long: ClipShape, frames: int, side: int) -> float:
    """The mean size of the batches of a short cycle, as a multiple of the base batch. The short cycle's sides are not
    rounded to pixels here.
    """
    sides = [*(side * short for short in multigrid.short), float(long.side)]
    batches = [round(frames * side**2 / (long.frames * s * s)) for s in sides]
    return sum(batches) / len(batches)


def phase_at(phases: Sequence[Phase], epoch: int) -> Phase:
    """The phase of an epoch; the last phase for all later epochs."""
    return next((phase for phase in phases if epoch < phase.until), phases[-1])


def rules_of(recipe: Recipe, shapes: Sequence[ClipShape]) -> tuple[tuple[TrainRule, TrainGeometry], ...]:
    """For each shape, the recipe's sampling rule and crop with that shape's frames and side.

    With fewer frames the stride is larger, so that the clip lasts as long. If the crop draws the short side of
    frames from a range, the lower end of the range shrinks with the crop's side (PySlowFast).
    """
    return tuple((_sampling(recipe.clip, shape), _crop(recipe.augment, shape)) for shape in shapes)


def _sampling(rule: TrainRule, shape: ClipShape) -> TrainRule:
    changes: dict[str, Any] = {"frames": shape.frames}
    if "seconds" not in type(rule).model_fields:  # else a clip lasts equally long with any number of frames
        changes["stride"] = rule.stride * (rule.frames // shape.frames)
    return rule.model_copy(update=changes)


def _crop(crop: TrainGeometry, shape: ClipShape) -> TrainGeometry:
    changes: dict[str, Any] = {"size": shape.side}
    if "short_sides" in type(crop).model_fields:
        low, high = crop.short_sides  # type: ignore[union-attr]
        changes["short_sides"] = (round(low * shape.side / crop.size), high)
    return crop.model_copy(update=changes)
