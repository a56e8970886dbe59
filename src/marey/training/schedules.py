"""Learning rates as pure functions of the step. Formulas: docs of each declaration in `marey.recipe`."""

import math

from marey.recipe import CosineSchedule, StepSchedule, Warmup


def lr_factor(schedule: CosineSchedule | StepSchedule, step: int, *, epoch_steps: int, epochs: int) -> float:
    """What the base learning rate is multiplied by at optimiser step `step` (from 0)."""
    factor = _regular(schedule, step, epoch_steps=epoch_steps, epochs=epochs)
    return factor * _warm(schedule.warmup, step, epoch_steps) if schedule.warmup else factor


def _regular(schedule: CosineSchedule | StepSchedule, step: int, *, epoch_steps: int, epochs: int) -> float:
    epoch = step // epoch_steps
    if isinstance(schedule, StepSchedule):
        return float(schedule.gamma ** sum(epoch >= milestone for milestone in schedule.milestones))
    progress = epoch / epochs if schedule.by == "epoch" else step / (epoch_steps * epochs)
    return (1 + math.cos(math.pi * progress)) / 2


def _warm(warmup: Warmup, step: int, epoch_steps: int) -> float:
    """From `start` in a straight line to 1, which is reached after the warm-up's last step or epoch."""
    done = step // epoch_steps if warmup.by == "epoch" else step / epoch_steps
    return 1 - (1 - min(done / warmup.epochs, 1.0)) * (1 - warmup.start)
