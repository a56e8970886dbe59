"""A calibration as it is fitted to answers all together."""

import numpy as np
from numpy.typing import NDArray

from marey.classifier import Calibration
from marey.evaluation.out_of_fold.calibration import calibration_at, fit_temperature
from marey.tasks.task import Task


def fit_calibration(
    task: Task, answers: NDArray[np.float32], labels: NDArray[np.int64], *, fitted_on: str
) -> Calibration:
    """The temperature of least loss, and the thresholds at it."""
    return calibration_at(fit_temperature(task, answers, labels), task, answers, labels, fitted_on)
