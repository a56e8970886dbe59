"""Temperatures and thresholds fitted to out-of-fold probabilities, tested on simulated ones with known true values."""

import json
import math

import numpy as np
import pytest

from marey.classifier import Calibration
from marey.evaluation.out_of_fold.calibration import FALSE_REJECTIONS, golden_section_minimum
from marey.recipe import Classify, MultiLabel
from marey.tasks.choose import task_of
from tests.support.calibrating import fit_calibration

ONE, SEVERAL = task_of(Classify()), task_of(MultiLabel())


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def drawn(clips: int, *, classes: int = 4, seed: int = 0, strength: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Perfectly calibrated logits [N, K]: each label is drawn by their softmax."""
    random = np.random.default_rng(seed)
    logits = strength * random.normal(size=(clips, classes))
    labels = (softmax(logits).cumsum(axis=1) < random.random((clips, 1))).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


def drawn_several(clips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(clips, 5)) - 1
    return logits, (random.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int64)


@pytest.mark.parametrize("wrong_by", [0.25, 1.0, 3.0])
def test_the_temperature_is_found_that_was_put_in(wrong_by) -> None:
    logits, labels = drawn(4000)
    found = fit_calibration(ONE, softmax(logits * wrong_by).astype(np.float32), labels, fitted_on="drawn")
    assert found.temperature == pytest.approx(wrong_by, rel=0.06)
    logits, several = drawn_several(2000)
    probabilities = (1 / (1 + np.exp(-logits * wrong_by))).astype(np.float32)
    assert fit_calibration(SEVERAL, probabilities, several, fitted_on="drawn").temperature == pytest.approx(
        wrong_by, rel=0.06
    )


def test_the_predicted_classes_stay_and_the_loss_falls() -> None:
    logits, labels = drawn(300)
    probabilities = softmax(logits * 3).astype(np.float32)
    calibrated = ONE.calibrated(probabilities, fit_calibration(ONE, probabilities, labels, fitted_on="drawn"))
    np.testing.assert_array_equal(calibrated.argmax(axis=1), probabilities.argmax(axis=1))
    assert ONE.log_loss(calibrated, labels) < ONE.log_loss(probabilities, labels)


@pytest.mark.parametrize("clips", [1, 4, 12])
def test_a_few_predictions_all_right_or_all_wrong_give_no_extreme_temperature(clips) -> None:
    probabilities = np.tile(np.array([[0.8, 0.2]], np.float32), (clips, 1))
    right = fit_calibration(ONE, probabilities, np.zeros(clips, np.int64), fitted_on="few")
    wrong = fit_calibration(ONE, probabilities, np.ones(clips, np.int64), fitted_on="few")
    assert 0.15 < right.temperature < 1 < wrong.temperature < 15
    certain = ONE.calibrated(probabilities, right)[0, 0]
    assert certain < 1 - 0.3 / (clips + 2)
    assert right.threshold is None and right.turned_away is None  # fewer than 19 right probabilities


def test_without_predictions_nothing_is_fitted() -> None:
    found = fit_calibration(ONE, np.empty((0, 3), np.float32), np.empty(0, np.int64), fitted_on="none")
    assert found == Calibration(fitted_on="none")


def test_certain_predictions_that_are_wrong_stay_finite() -> None:
    probabilities = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    found = fit_calibration(ONE, probabilities, np.array([0, 1, 1]), fitted_on="certain")
    assert 1 < found.temperature <= 20
    several = fit_calibration(SEVERAL, probabilities, np.array([[1, 0], [0, 1], [0, 1]]), fitted_on="certain")
    assert 1 < several.temperature <= 20


def test_about_the_stated_share_of_new_correct_predictions_is_below_the_threshold() -> None:
    below = []
    for seed in range(60):
        logits, labels = drawn(120, seed=seed)
        found = fit_calibration(ONE, softmax(logits).astype(np.float32), labels, fitted_on="drawn")
        assert found.turned_away == FALSE_REJECTIONS and found.threshold is not None
        new, truth = drawn(400, seed=1000 + seed)
        probabilities = ONE.calibrated(softmax(new).astype(np.float32), found)
        right = probabilities.argmax(axis=1) == truth
        below.append((probabilities.max(axis=1)[right] < found.threshold).mean())
    assert 0.03 < np.mean(below) < FALSE_REJECTIONS + 0.01


def test_clips_of_unknown_classes_fall_below_the_threshold_more_often() -> None:
    """Features lie around the centres of known or unknown classes; logits are the distances to known centres."""
    random = np.random.default_rng(0)
    centres = 3 * random.normal(size=(10, 6))

    def probabilities(of: np.ndarray) -> np.ndarray:
        features = centres[of] + random.normal(size=(len(of), 6))
        return softmax(-((features[:, None] - centres[None, :5]) ** 2).sum(axis=2) / 2).astype(np.float32)

    known, new, unknown = (random.integers(*span, 400) for span in ((0, 5), (0, 5), (5, 10)))
    found = fit_calibration(ONE, probabilities(known), known, fitted_on="drawn")
    below_new, below_unknown = ((probabilities(of).max(axis=1) < found.threshold).mean() for of in (new, unknown))
    assert below_new < 0.13
    assert below_unknown > 2 * below_new


def test_thresholds_of_several_labels_are_near_the_best_ones_for_new_predictions() -> None:
    logits, labels = drawn_several(1500)
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    found = fit_calibration(SEVERAL, probabilities, labels, fitted_on="drawn")
    assert found.threshold is None and found.turned_away is None and len(found.thresholds) == 5
    new, truth = drawn_several(4000, seed=1)
    calibrated = SEVERAL.calibrated((1 / (1 + np.exp(-new))).astype(np.float32), found)

    def f1(k: int, threshold: float) -> float:
        above, own = calibrated[:, k] >= threshold, truth[:, k] > 0
        return 2 * (above & own).sum() / (above.sum() + own.sum())

    for k, threshold in enumerate(found.thresholds):
        assert f1(k, threshold) > max(f1(k, one) for one in np.arange(0.05, 1, 0.05)) - 0.02


def test_a_calibration_is_read_back_and_files_of_earlier_versions_too() -> None:
    logits, labels = drawn_several(40)
    found = fit_calibration(SEVERAL, (1 / (1 + np.exp(-logits))).astype(np.float32), labels, fitted_on="drawn")
    assert Calibration.model_validate(json.loads(json.dumps(found.model_dump(mode="json")))) == found
    earlier = {"temperature": 1.5, "threshold": 0.4, "fitted_on": "12 videos"}
    assert Calibration.model_validate(earlier).model_dump(mode="json") == earlier


def test_golden_sections_find_the_lowest_point() -> None:
    assert golden_section_minimum(lambda x: (x - 0.3) ** 2, -3, 3) == pytest.approx(0.3, abs=1e-6)
    assert golden_section_minimum(math.exp, -3, 3) == pytest.approx(-3, abs=1e-6)
