"""A calibration fitted to out-of-fold answers, a temperature and the thresholds of the task, and its worth on others."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.jsonable import Json
from marey.classifier import Calibration
from marey.tasks.task import Task

TURNED_AWAY = 0.05
"""Of new videos whose class is answered rightly at most this share lies below the threshold for "none of these"."""
_MOST = 20.0
"""Temperatures lie between its inverse and it."""
_DEVIATION = math.log(2)
"""Of the logarithm of a temperature, before anything is known of the answers."""


def fit_temperature(task: Task, answers: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature T that makes the logarithmic loss of answers least (Guo et al., On Calibration of Modern Neural
    Networks, ICML 2017, section 4.2), of one label a video under a softmax, of several by sigmoids; 1 without answers. It
    changes no first answer.

    Few answers that are all right would ask for a temperature of 0: a normal distribution of log T around 0, with a
    deviation of log 2, is taken to be known before (a penalty of (log T / log 2)^2 / 2 beside the summed loss, which many
    answers outweigh), and T lies between 1/20 and 20.

    Args:
        answers: Probabilities [N, K] for videos that the classifier was not fitted on, not calibrated.
        labels: As a score file holds them: [N] classes, or [N, K] of zeros and ones.
    """
    return temperature_of(lambda at: _loss_at(at, task, answers, labels)) if len(answers) else 1.0


def temperature_of(loss: Callable[[float], float]) -> float:
    """As `fit_temperature`, of any answers: `loss` gives their logarithmic loss at a temperature, summed."""

    def objective(logarithm: float) -> float:
        return loss(math.exp(logarithm)) + (logarithm / _DEVIATION) ** 2 / 2

    return math.exp(lowest(objective, -math.log(_MOST), math.log(_MOST)))


def calibration_at(
    temperature: float, task: Task, answers: NDArray[np.float32], labels: NDArray[np.int64], fitted_on: str
) -> Calibration:
    """The calibration of this temperature, and of the task's thresholds (`Task.with_thresholds`) for what it makes of the
    answers, which are taken as by `fit_temperature`; `fitted_on` says which videos these are, in words for a person.
    """
    found = Calibration(temperature=temperature, fitted_on=fitted_on)
    if not len(answers):
        return found
    return task.with_thresholds(found, task.calibrated(answers, found), labels, TURNED_AWAY)


def _loss_at(temperature: float, task: Task, answers: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The logarithmic loss, summed over the answers."""
    return task.log_loss(task.calibrated(answers, Calibration(temperature=temperature, fitted_on="")), labels)


def of_all_classes(calibration: Calibration, judged: NDArray[np.int64], classes: int) -> Calibration:
    """A calibration of the classes in the places `judged`, with thresholds for all classes: of those that no answer shows
    the median of the others. One without a threshold for each class stays as it is.
    """
    if calibration.thresholds is None:
        return calibration
    thresholds = np.full(classes, np.median(calibration.thresholds))
    thresholds[judged] = calibration.thresholds
    return calibration.model_copy(update={"thresholds": tuple(thresholds.tolist())})


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """A calibration that is fitted on all answers, and others by which it is judged, since on the answers that it was fitted
    on a calibration looks better than on new ones: the answers are in parts, and each part is judged by a calibration that
    was fitted on the other parts.
    """

    final: Calibration
    """Fitted on all answers."""
    of_row: NDArray[np.int64]
    """The part of each answer [N], from 0."""
    without: tuple[Calibration, ...]
    """For each part the calibration that was fitted on the other parts."""

    @classmethod
    def of(
        cls,
        task: Task,
        answers: NDArray[np.float32],
        labels: NDArray[np.int64],
        parts: NDArray[np.int64],
        *,
        fitted_on: str,
    ) -> "CrossFitted":
        """Of answers as `fit_temperature` takes them; `parts` [N] are any numbers, clips of one recording in one.

        The temperature is 1, in all of them, unless those of the other parts make the logarithmic loss less.
        """
        _, of_row = np.unique(parts, return_inverse=True)
        rows = [of_row != part for part in range(int(of_row.max(initial=-1)) + 1)]
        temperatures = [fit_temperature(task, answers[others], labels[others]) for others in rows]
        loss = sum(
            _loss_at(temperature, task, answers[~others], labels[~others])
            for temperature, others in zip(temperatures, rows, strict=True)
        )
        temperature = fit_temperature(task, answers, labels)
        if loss >= _loss_at(1.0, task, answers, labels):
            temperature, temperatures = 1.0, [1.0] * len(rows)
        without = tuple(
            calibration_at(one, task, answers[others], labels[others], f"{fitted_on}, without a part")
            for one, others in zip(temperatures, rows, strict=True)
        )
        return cls(calibration_at(temperature, task, answers, labels, fitted_on), of_row, without)

    def calibrated(self, task: Task, answers: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answers [N, K] that are not calibrated, each by the calibration that was fitted without its part."""
        found = np.empty_like(answers)
        for part, calibration in enumerate(self.without):
            rows = self.of_row == part
            found[rows] = task.calibrated(answers[rows], calibration)
        return found

    @property
    def threshold(self) -> NDArray[np.float64]:
        """By which each answer [N] is judged to be none of the classes; NaN where the other parts show none."""
        found = [np.nan if one.threshold is None else one.threshold for one in self.without]
        return np.array(found, np.float64)[self.of_row]

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """Of each class, by which each answer [N, K] is judged; None where classes have none."""
        found = [one.thresholds for one in self.without if one.thresholds is not None]
        return np.array(found, np.float64)[self.of_row] if found and len(found) == len(self.without) else None

    def as_json(self) -> dict[str, Json]:
        """The fields `calibration` and `calibration_parts` of out_of_fold.json."""
        without: list[Json] = [one.model_dump(mode="json") for one in self.without]
        parts: Json = {"of_row": self.of_row.tolist(), "without": without}
        return {"calibration": self.final.model_dump(mode="json"), "calibration_parts": parts}

    @classmethod
    def from_json(cls, final: Json, parts: Mapping[str, Any]) -> "CrossFitted":
        """From the values of these two fields.

        Raises:
            ValueError, KeyError, TypeError: they are none.
        """
        without = tuple(Calibration.model_validate(one) for one in parts["without"])
        of_row = np.array(parts["of_row"], np.int64)
        if len(of_row) and not 0 <= of_row.min() <= of_row.max() < len(without):
            raise ValueError("calibration_parts: a part has no calibration")
        return cls(Calibration.model_validate(final), of_row, without)


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
