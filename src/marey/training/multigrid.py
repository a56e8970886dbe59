"""Multigrid training: the clip shapes, batch sizes and learning rate of each epoch. `marey.recipe.Multigrid` is the rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from marey.recipe import Multigrid, Recipe, StepSchedule
from marey.video.pixels.crops import TrainGeometry
from marey.video.sampling import TrainRule


@dataclass(frozen=True)
class Shape:
    """Frames and side of a clip, and its batch as a multiple of the recipe's base batch."""

    frames: int
    side: int
    batch: int


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs with the same settings, up to epoch `until` (exclusive): a factor of the learning rate, and
    the shapes that batches have in turn.
    """

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

    The epochs of an interval are shared among the shapes of the long cycle so that each shape gets the same number of steps
    (a shape with batches of b times the base batch on average gets epochs in proportion to b). The fine-tuning after the
    last milestone is shortened by the same factor as the rest; its first half has the rate before the last milestone. All
    phases are then stretched to `epoch_factor` times the epochs.
    """
    cycles = [_cycle(multigrid, frames, side, share) for share in multigrid.long]
    average = [_average_batch(multigrid, cycle[-1], frames, side) for cycle in cycles]
    ends = (0, *schedule.milestones)
    planned: list[tuple[float, float, tuple[Shape, ...]]] = []  # (epochs, rate, shapes)
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
    """The phase of an epoch; the last phase for all later epochs."""
    return next((phase for phase in phases if epoch < phase.until), phases[-1])


def views_of(recipe: Recipe, shapes: Sequence[Shape]) -> tuple[tuple[TrainRule, TrainGeometry], ...]:
    """The recipe's sampling and crop at each shape.

    With fewer frames the stride is larger, so that the clip lasts as long. If the short side of frames is drawn from a
    range, the lower end of the range shrinks with the crop (PySlowFast).
    """
    return tuple((_sampling(recipe.clip, shape), _crop(recipe.augment, shape)) for shape in shapes)


def _sampling(rule: TrainRule, shape: Shape) -> TrainRule:
    changes: dict[str, Any] = {"frames": shape.frames}
    if "seconds" not in type(rule).model_fields:  # a rule in seconds has the same length for any number of frames
        changes["stride"] = rule.stride * (rule.frames // shape.frames)
    return rule.model_copy(update=changes)


def _crop(crop: TrainGeometry, shape: Shape) -> TrainGeometry:
    changes: dict[str, Any] = {"size": shape.side}
    if "short_sides" in type(crop).model_fields:
        low, high = crop.short_sides  # type: ignore[union-attr]
        changes["short_sides"] = (round(low * shape.side / crop.size), high)
    return crop.model_copy(update=changes)
