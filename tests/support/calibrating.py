"""Fit a calibration to all predictions at once."""

import numpy as np
from numpy.typing import NDArray

from marey.classifier import Calibration
from marey.evaluation.out_of_fold.calibration import calibration_at, fit_temperature
from marey.tasks.task import Task


def fit_calibration(
    task: Task, probabilities: NDArray[np.float32], labels: NDArray[np.int64], *, fitted_on: str
) -> Calibration:
    """The calibration with the temperature of least loss, and the thresholds at it."""
    return calibration_at(fit_temperature(task, probabilities, labels), task, probabilities, labels, fitted_on)
