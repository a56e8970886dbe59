"""Multigrid training: which shape of clip, batch and learning rate each epoch has. Rule: `marey.recipe.Multigrid`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from marey.recipe import Multigrid, Recipe, StepSchedule
from marey.video.pixels.crops import TrainGeometry
from marey.video.sampling import TrainRule


@dataclass(frozen=True)
class Shape:
    """Frames and side of a clip, and how many times the recipe's base batch is passed of it."""

    frames: int
    side: int
    batch: int


@dataclass(frozen=True)
class Phase:
    """Epochs that are alike, up to epoch `until`: what the rate is multiplied by, and the shapes in turn."""

    until: int
    rate: float
    shapes: tuple[Shape, ...]


def phases_of(recipe: Recipe) -> tuple[Phase, ...]:
    """The phases of the recipe's training; none without multigrid."""
    train = recipe.train
    if train.multigrid is None:
        return ()
    assert isinstance(train.schedule, StepSchedule)
    return plan_phases(train.multigrid, train.schedule, train.epochs, recipe.clip.frames, recipe.augment.size)


def plan_phases(multigrid: Multigrid, schedule: StepSchedule, epochs: int, frames: int, side: int) -> tuple[Phase, ...]:
    """Lay the cycles out over the schedule's intervals (PySlowFast's `MultigridSchedule`).

    A shape of the long cycle whose batches are b times the base batch on average lasts so many epochs that each shape
    gets as many steps. Fine-tuning saves as many steps as the rest, half of it at the rate before the last milestone.
    All of it is then stretched to `epoch_factor` times the epochs.
    """
    cycles = [_cycle(multigrid, frames, side, share) for share in multigrid.long]
    average = [_average_batch(multigrid, cycle[-1], frames, side) for cycle in cycles]
    ends = (0, *schedule.milestones)
    parts: list[tuple[float, float, tuple[Shape, ...]]] = []  # (epochs, rate, shapes)
    steps = 0.0
    for interval, (begin, end) in enumerate(pairwise(ends)):
        for cycle, batch in zip(cycles, average, strict=True):
            length = (end - begin) * batch / sum(average)
            steps += length / batch
            parts.append((length, schedule.gamma**interval * cycle[-1].batch, cycle))
    saving = schedule.milestones[-1] / steps
    tuning = (epochs - schedule.milestones[-1]) / saving * average[-1]
    stretch = epochs * multigrid.epoch_factor / (sum(length for length, *_ in parts) + tuning)
    found, done = [], 0.0
    for length, rate, cycle in parts:
        done += length * stretch
        found.append(Phase(round(done), rate, cycle))
    last = round(done + tuning * stretch)
    middle = (found[-1].until + last) // 2
    final_rate = schedule.gamma ** len(schedule.milestones) * cycles[-1][-1].batch
    return (*found, Phase(middle, found[-1].rate, cycles[-1]), Phase(last, final_rate, cycles[-1]))


def _cycle(multigrid: Multigrid, frames: int, side: int, share: tuple[float, float]) -> tuple[Shape, ...]:
    """The shapes that the batches of an epoch have in turn: the short cycle, then the shape of the long one."""
    long_frames, long_side = round(frames * share[0]), round(side * share[1])
    batch = round(frames * side**2 / (long_frames * long_side**2))
    shorter = tuple(
        Shape(long_frames, round(side * short), batch * round((long_side / (side * short)) ** 2))
        for short in multigrid.short
    )
    return (*shorter, Shape(long_frames, long_side, batch))


def _average_batch(multigrid: Multigrid, long: Shape, frames: int, side: int) -> float:
    """The mean over the short cycle, by the volume of each clip; sides not yet rounded."""
    sides = [*(side * short for short in multigrid.short), float(long.side)]
    batches = [round(frames * side**2 / (long.frames * s * s)) for s in sides]
    return sum(batches) / len(batches)


def phase_at(phases: Sequence[Phase], epoch: int) -> Phase:
    """The phase of an epoch; the last one holds on."""
    return next((phase for phase in phases if epoch < phase.until), phases[-1])


def views_of(recipe: Recipe, shapes: Sequence[Shape]) -> tuple[tuple[TrainRule, TrainGeometry], ...]:
    """The recipe's sampling and crop at each shape.

    A clip with fewer frames has them further apart, so that it lasts as long. A crop whose short side is drawn between
    two ends has the lower end shrink with the clip (PySlowFast).
    """
    return tuple((_sampling(recipe.clip, shape), _crop(recipe.augment, shape)) for shape in shapes)


def _sampling(rule: TrainRule, shape: Shape) -> TrainRule:
    changes: dict[str, Any] = {"frames": shape.frames}
    if "seconds" not in type(rule).model_fields:  # a rule in seconds keeps its length by itself
        changes["stride"] = rule.stride * (rule.frames // shape.frames)
    return rule.model_copy(update=changes)


def _crop(crop: TrainGeometry, shape: Shape) -> TrainGeometry:
    changes: dict[str, Any] = {"size": shape.side}
    if "short_sides" in type(crop).model_fields:
        low, high = crop.short_sides  # type: ignore[union-attr]
        changes["short_sides"] = (round(low * shape.side / crop.size), high)
    return crop.model_copy(update=changes)
