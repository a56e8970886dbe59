"""Learning rates as pure functions of the step. Formulas: docs of each declaration in `marey.recipe`."""

import math

from marey.recipe import CosineSchedule, StepSchedule, Warmup

Schedule = CosineSchedule | StepSchedule


def lr_factor(schedule: Schedule, step: int, *, epoch_steps: int, epochs: int) -> float:
    """What the base learning rate is multiplied by at optimiser step `step` (from 0)."""
    factor = _scheduled(schedule, step / epoch_steps, step // epoch_steps, epochs)
    warmup = schedule.warmup
    if warmup is None:
        return factor
    length = warmup.steps or (warmup.epochs or 0) * epoch_steps
    done = _done(warmup, step, length, epoch_steps)
    if warmup.towards == "schedule":
        return factor * (1 - (1 - done) * (1 - warmup.start))
    if step >= length:
        return factor
    end = _scheduled(schedule, length / epoch_steps, int(length // epoch_steps), epochs)
    return warmup.start + (end - warmup.start) * done


def _scheduled(schedule: Schedule, time: float, epoch: int, epochs: int) -> float:
    """The schedule's own factor at `time` in epochs, in the whole epoch `epoch`."""
    if isinstance(schedule, StepSchedule):
        return float(schedule.gamma ** sum(epoch - schedule.begin >= milestone for milestone in schedule.milestones))
    at = epoch if schedule.by == "epoch" else time
    progress = max(at - schedule.begin, 0) / (epochs - schedule.begin)
    return schedule.end + (1 - schedule.end) * (1 + math.cos(math.pi * progress)) / 2


def _done(warmup: Warmup, step: int, length: float, epoch_steps: int) -> float:
    """The part of a warm-up of `length` steps that lies behind, 0 to 1."""
    unit = epoch_steps if warmup.by == "epoch" else 1
    units = length / unit - (warmup.ends == "last")
    return min(step // unit / units, 1.0) if units > 0 else 1.0
