"""A calibration fitted to out-of-fold answers: a temperature, and the thresholds of the task."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from marey.classifier import Calibration
from marey.tasks.task import Task

TURNED_AWAY = 0.05
"""Of new videos whose class is answered rightly at most this share lies below the threshold for "none of these"."""
_MOST = 20.0
"""Temperatures lie between its inverse and it."""
_DEVIATION = math.log(2)
"""Of the logarithm of a temperature, before anything is known of the answers."""


def fit_calibration(
    task: Task, answers: NDArray[np.float32], labels: NDArray[np.int64], *, fitted_on: str
) -> Calibration:
    """The calibration of a classifier, from answers to videos that it was not fitted on.

    The temperature T makes the logarithmic loss of the answers least (Guo et al., On Calibration of Modern Neural Networks,
    ICML 2017, section 4.2), of one label a video under a softmax, of several by sigmoids. Few answers that are all right
    would ask for a temperature of 0: a normal distribution of log T around 0, with a deviation of log 2, is taken to be
    known before (a penalty of (log T / log 2)^2 / 2 beside the summed loss, which many answers outweigh), and T lies between
    1/20 and 20. It changes no first answer. The thresholds are the task's (`Task.with_thresholds`).

    Args:
        answers: Out-of-fold probabilities [N, K], not calibrated.
        labels: As a score file holds them: [N] classes, or [N, K] of zeros and ones.
        fitted_on: Which videos these are, in words for a person.
    """
    plain = Calibration(fitted_on=fitted_on)
    if not len(answers):
        return plain

    def objective(logarithm: float) -> float:
        tried = plain.model_copy(update={"temperature": math.exp(logarithm)})
        return task.log_loss(task.calibrated(answers, tried), labels) + (logarithm / _DEVIATION) ** 2 / 2

    temperature = math.exp(lowest(objective, -math.log(_MOST), math.log(_MOST)))
    found = plain.model_copy(update={"temperature": temperature})
    return task.with_thresholds(found, task.calibrated(answers, found), labels, TURNED_AWAY)


def lowest(function: Callable[[float], float], low: float, high: float, *, steps: int = 40) -> float:
    """Where a function that falls and then rises is lowest, between `low` and `high`; by golden sections."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2
