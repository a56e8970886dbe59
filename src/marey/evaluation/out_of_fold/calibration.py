"""Calibration fitted to out-of-fold probabilities: a temperature, thresholds, and how well they do on other videos."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.jsonable import Json
from marey.classifier import Calibration
from marey.tasks.task import Task

FALSE_REJECTIONS = 0.05
"""Largest share of the correct predictions, 0 to 1, that may lie below the threshold for "none of these"."""
_MOST = 20.0
"""Largest temperature; its inverse is the smallest one."""
_DEVIATION = math.log(2)
"""Standard deviation of the prior of log T."""


def fit_temperature(task: Task, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature T with the least log loss (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section
    4.2), of a softmax for one label per video, or of sigmoids for several. It never changes the predicted class. Without
    videos it is 1.

    If all predictions are right, the least loss is at T = 0, even if they are few. So log T has a normal prior around 0
    with a standard deviation of log 2 (a penalty of (log T / log 2)^2 / 2, added to the summed loss; with many
    predictions it hardly counts), and T lies between 1/20 and 20.

    Args:
        task: The task.
        probabilities: [N, K]: uncalibrated, for videos that the classifier was not fitted on.
        labels: As a score file holds them: [N] classes, or [N, K] of zeros and ones.
    """
    return temperature_of(lambda at: _loss_at(at, task, probabilities, labels)) if len(probabilities) else 1.0


def temperature_of(loss: Callable[[float], float]) -> float:
    """The temperature as in `fit_temperature` for any log loss, given as a function of the temperature and summed over
    videos.
    """

    def objective(logarithm: float) -> float:
        return loss(math.exp(logarithm)) + (logarithm / _DEVIATION) ** 2 / 2

    return math.exp(golden_section_minimum(objective, -math.log(_MOST), math.log(_MOST)))


def calibration_at(
    temperature: float, task: Task, probabilities: NDArray[np.float32], labels: NDArray[np.int64], fitted_on: str
) -> Calibration:
    """The calibration with this temperature, and with the task's thresholds (`Task.with_thresholds`) fitted to the
    probabilities that it corrected.

    Args:
        temperature: The temperature.
        task: The task.
        probabilities: As in `fit_temperature`.
        labels: As in `fit_temperature`.
        fitted_on: Which videos these are, in words.
    """
    calibration = Calibration(temperature=temperature, fitted_on=fitted_on)
    if not len(probabilities):
        return calibration
    return task.with_thresholds(calibration, task.calibrated(probabilities, calibration), labels, FALSE_REJECTIONS)


def _loss_at(temperature: float, task: Task, probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The log loss at a temperature, summed over the videos."""
    return task.log_loss(task.calibrated(probabilities, Calibration(temperature=temperature, fitted_on="")), labels)


def of_all_classes(calibration: Calibration, judged: NDArray[np.int64], classes: int) -> Calibration:
    """Extend a calibration of some classes to all: the other classes get the median of the thresholds.

    Args:
        calibration: Has a threshold for each of some classes; else it is returned unchanged.
        judged: The indices of these classes.
        classes: The number of all classes.
    """
    if calibration.thresholds is None:
        return calibration
    thresholds = np.full(classes, np.median(calibration.thresholds))
    thresholds[judged] = calibration.thresholds
    return calibration.model_copy(update={"thresholds": tuple(thresholds.tolist())})


@dataclass(frozen=True, eq=False)
class CrossFittedCalibration:
    """A calibration fitted on all predictions, and one for each fold that was fitted without the fold, to evaluate it.

    A calibration looks better on the predictions that it was fitted on than on new ones. So each fold is
    evaluated with a calibration that was fitted on the predictions of the other folds.
    """

    final: Calibration
    """The calibration fitted on all predictions."""
    of_row: NDArray[np.int64]
    """[N]: the fold of each prediction, from 0."""
    without: tuple[Calibration, ...]
    """For each fold, the calibration fitted on the other folds."""

    @classmethod
    def of(
        cls,
        task: Task,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        folds: NDArray[np.int64],
        *,
        fitted_on: str,
    ) -> "CrossFittedCalibration":
        """Fit the calibrations. All temperatures are 1 unless temperatures fitted on the other folds lower the log loss.

        Args:
            task: The task.
            probabilities: As in `fit_temperature`.
            labels: As in `fit_temperature`.
            folds: [N]: a number for each fold; the videos of one recording must have the same number.
            fitted_on: Which videos these are, in words for a person.
        """
        _, of_row = np.unique(folds, return_inverse=True)
        others_of = [of_row != fold for fold in range(int(of_row.max(initial=-1)) + 1)]
        temperatures = [fit_temperature(task, probabilities[others], labels[others]) for others in others_of]
        loss = sum(
            _loss_at(temperature, task, probabilities[~others], labels[~others])
            for temperature, others in zip(temperatures, others_of, strict=True)
        )
        temperature = fit_temperature(task, probabilities, labels)
        if loss >= _loss_at(1.0, task, probabilities, labels):
            temperature, temperatures = 1.0, [1.0] * len(others_of)
        without = tuple(
            calibration_at(one, task, probabilities[others], labels[others], f"{fitted_on}, without a fold")
            for one, others in zip(temperatures, others_of, strict=True)
        )
        return cls(calibration_at(temperature, task, probabilities, labels, fitted_on), of_row, without)

    def calibrated(self, task: Task, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate probabilities [N, K], each row by the calibration fitted without its fold."""
        calibrated = np.empty_like(probabilities)
        for fold, calibration in enumerate(self.without):
            rows = self.of_row == fold
            calibrated[rows] = task.calibrated(probabilities[rows], calibration)
        return calibrated

    @property
    def threshold(self) -> NDArray[np.float64]:
        """[N]: the threshold for "none of these" that the other folds give for each prediction; NaN where they give none."""
        thresholds = [np.nan if one.threshold is None else one.threshold for one in self.without]
        return np.array(thresholds, np.float64)[self.of_row]

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """[N, K]: for each prediction the threshold of each class that the other folds give; None where classes have
        none.
        """
        thresholds = [one.thresholds for one in self.without if one.thresholds is not None]
        complete = thresholds and len(thresholds) == len(self.without)
        return np.array(thresholds, np.float64)[self.of_row] if complete else None

    def as_json(self) -> dict[str, Json]:
        """The fields `calibration` and `calibration_parts` of out_of_fold.json."""
        without: list[Json] = [one.model_dump(mode="json") for one in self.without]
        parts: Json = {"of_row": self.of_row.tolist(), "without": without}
        return {"calibration": self.final.model_dump(mode="json"), "calibration_parts": parts}

    @classmethod
    def from_json(cls, final: Json, parts: Mapping[str, Any]) -> "CrossFittedCalibration":
        """Read the values of the two fields that `as_json` writes.

        Raises:
            ValueError, KeyError, TypeError: they are not as `as_json` writes them.
        """
        without = tuple(Calibration.model_validate(one) for one in parts["without"])
        of_row = np.array(parts["of_row"], np.int64)
        if len(of_row) and not 0 <= of_row.min() <= of_row.max() < len(without):
            raise ValueError("calibration_parts: a part has no calibration")
        return cls(Calibration.model_validate(final), of_row, without)


def golden_section_minimum(function: Callable[[float], float], low: float, high: float, *, steps: int = 40) -> float:
    """Where a function that first falls and then rises is lowest between `low` and `high`, by golden-section search."""
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
