"""Learning rates as pure functions of the step. The formulas are in the docstrings of `marey.recipe.train`."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from marey.recipe import CosineSchedule, StepSchedule, Train, Warmup
from marey.training.multigrid import Phase, phase_at

Schedule = CosineSchedule | StepSchedule


class Calendar:
    """Maps a step of the run to its epoch and its index in the epoch; epochs may have different numbers of steps."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self.lengths = tuple(lengths)
        self._begins = (0, *accumulate(self.lengths))

    def locate(self, step: int) -> tuple[int, int, int]:
        """(epoch, index of the step in the epoch, number of steps of the epoch), the first two counted from 0. All
        steps after the last epoch are in one more epoch, which has the length of the last one.
        """
        epoch = min(bisect_right(self._begins, step) - 1, len(self.lengths))
        return epoch, step - self._begins[epoch], self.lengths[min(epoch, len(self.lengths) - 1)]


def learning_rate(train: Train, calendar: Calendar, step: int, phases: Sequence[Phase] = ()) -> float:
    """The learning rate of optimiser step `step` (from 0). Factors of multigrid's `phases` replace the schedule's."""
    epoch, index, length = calendar.locate(step)
    at = epoch * length + index  # the step if all epochs were as long as this one
    return train.optimizer.lr * lr_factor(train.schedule, at, epoch_steps=length, epochs=train.epochs, phases=phases)


def lr_factor(schedule: Schedule, step: int, *, epoch_steps: int, epochs: int, phases: Sequence[Phase] = ()) -> float:
    """The factor by which the base learning rate is multiplied at optimiser step `step` (from 0)."""

    def scheduled(time: float, epoch: int) -> float:
        return phase_at(phases, epoch).rate if phases else _scheduled(schedule, time, epoch, epochs)

    factor = scheduled(step / epoch_steps, step // epoch_steps)
    warmup = schedule.warmup
    if warmup is None:
        return factor
    length = warmup.steps or (warmup.epochs or 0) * epoch_steps
    done = _done(warmup, step, length, epoch_steps)
    if warmup.towards == "schedule":
        return factor * (1 - (1 - done) * (1 - warmup.start))
    if step >= length:
        return factor
    end = scheduled(length / epoch_steps, int(length // epoch_steps))
    return warmup.start + (end - warmup.start) * done


def _scheduled(schedule: Schedule, time: float, epoch: int, epochs: int) -> float:
    """The schedule's factor, without warm-up, at `time` (in epochs, with fraction) inside epoch `epoch` (from 0)."""
    if isinstance(schedule, StepSchedule):
        return float(schedule.gamma ** sum(epoch - schedule.begin >= milestone for milestone in schedule.milestones))
    at = epoch if schedule.by == "epoch" else time
    progress = max(at - schedule.begin, 0) / (schedule.length or epochs - schedule.begin)
    return schedule.end + (1 - schedule.end) * (1 + math.cos(math.pi * progress)) / 2


def _done(warmup: Warmup, step: int, length: float, epoch_steps: int) -> float:
    """The completed share of a warm-up of `length` steps, 0 to 1."""
    unit = epoch_steps if warmup.by == "epoch" else 1
    units = length / unit - (warmup.ends == "last")
    return min(step // unit / units, 1.0) if units > 0 else 1.0
