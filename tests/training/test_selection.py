"""The choice of a head among candidates by out-of-fold predictions, and its regularisation."""

import numpy as np
import pytest

from marey.base.errors import DataError
from marey.base.reporter import CollectingReporter, reporting
from marey.models.probe.config import FrameMean, Halves, Moments
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import Classify, MultiLabel
from marey.training.heads import selection
from marey.training.heads.logistic import fit_head
from marey.training.heads.selection import HeadCandidate, choose_head

CLASSIFY, MULTILABEL = Classify(), MultiLabel()
CLIPS = 60
TARGETS = np.arange(CLIPS) % 3
FOLDS = np.arange(CLIPS) // 3 % 3


def _pooled(signal: float, seed: int) -> PooledFeatures:
    """Features that show the class by `signal`, in noise of standard deviation 1."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(CLIPS, 12))
    values[:, :3] += signal * np.eye(3)[TARGETS]
    return PooledFeatures(values.astype(np.float32), (6, 6))


def _candidates(*signals: float, yardstick: float = 0.0) -> list[HeadCandidate]:
    poolings = (Moments(), Halves())
    found = [
        HeadCandidate(pooling.kind, pooling, _pooled(signal, seed))
        for seed, (signal, pooling) in enumerate(zip(signals, poolings, strict=False))
    ]
    return [*found, HeadCandidate("frame_mean", FrameMean(), _pooled(yardstick, 7), chosen_if_better=False)]


def _right(logits: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == TARGETS).mean())


def test_the_first_candidate_is_kept_where_another_is_no_better():
    choice = choose_head(_candidates(1.0, 1.0), TARGETS, FOLDS, classes=3, task=CLASSIFY)
    assert choice.candidate.name == "moments"
    np.testing.assert_array_equal(choice.out_of_fold, choice.of_candidates[0][1])


def test_a_candidate_that_is_better_in_all_folds_but_one_is_not_chosen():
    candidates = _candidates(0.5, 2.0)
    features = candidates[1].pooled.features
    features[FOLDS == 1, :3] = np.roll(features[FOLDS == 1, :3], 1, axis=1)  # misleading in this fold
    assert choose_head(candidates, TARGETS, FOLDS, classes=3, task=CLASSIFY).candidate.name == "moments"


def test_another_candidate_that_is_clearly_better_is_chosen_and_predicts():
    choice = choose_head(_candidates(0.0, 3.0), TARGETS, FOLDS, classes=3, task=CLASSIFY)
    assert choice.candidate.name == "halves"
    np.testing.assert_array_equal(choice.out_of_fold, choice.of_candidates[1][1])
    assert _right(choice.out_of_fold) > 0.8


def test_the_candidate_for_comparison_predicts_and_is_never_chosen():
    choice = choose_head(_candidates(0.0, 0.0, yardstick=3.0), TARGETS, FOLDS, classes=3, task=CLASSIFY)
    assert choice.candidate.name == "moments"
    (*_, (candidate, logits)) = choice.of_candidates
    assert candidate.name == "frame_mean"
    assert _right(logits) > 0.8


def test_the_head_is_fitted_on_all_clips_at_a_strength_of_the_list():
    candidates = _candidates(2.0)
    choice = choose_head(candidates, TARGETS, FOLDS, classes=3, task=CLASSIFY)
    assert choice.head.strength in selection.STRENGTHS
    expected = fit_head(candidates[0].pooled, TARGETS, classes=3, strength=choice.head.strength, task=CLASSIFY)
    np.testing.assert_array_equal(choice.head.weight, expected.weight)


def test_out_of_fold_predictions_come_from_fits_on_the_other_folds(monkeypatch):
    monkeypatch.setattr(selection, "STRENGTHS", (10.0,))
    candidates = _candidates(2.0)
    choice = choose_head(candidates, TARGETS, FOLDS, classes=3, task=CLASSIFY)
    for fold in range(3):
        own, others = np.flatnonzero(fold == FOLDS), np.flatnonzero(fold != FOLDS)
        head = fit_head(candidates[0].pooled.rows(others), TARGETS[others], classes=3, strength=10.0, task=CLASSIFY)
        logits = head.logits(candidates[0].pooled.features[own])
        np.testing.assert_allclose(choice.out_of_fold[own], logits, atol=1e-4)


def test_labels_of_a_fold_change_none_of_its_predictions():
    changed = TARGETS.copy()
    changed[FOLDS == 2] = (changed[FOLDS == 2] + 1) % 3
    found = [choose_head(_candidates(1.0, 2.0), some, FOLDS, classes=3, task=CLASSIFY) for some in (TARGETS, changed)]
    np.testing.assert_array_equal(found[0].out_of_fold[FOLDS == 2], found[1].out_of_fold[FOLDS == 2])


def test_noise_gets_the_weakest_strength():
    assert (
        choose_head(_candidates(0.0), TARGETS, FOLDS, classes=3, task=CLASSIFY).head.strength == selection.STRENGTHS[0]
    )


def test_a_choice_repeats_bit_for_bit_and_the_order_of_clips_does_not_matter():
    candidates, order = _candidates(1.0, 1.5), np.random.default_rng(0).permutation(CLIPS)
    shuffled = [HeadCandidate(of.name, of.pooling, of.pooled.rows(order), of.chosen_if_better) for of in candidates]
    first, again = (choose_head(candidates, TARGETS, FOLDS, classes=3, task=CLASSIFY) for _ in range(2))
    other = choose_head(shuffled, TARGETS[order], FOLDS[order], classes=3, task=CLASSIFY)
    assert first.out_of_fold.tobytes() == again.out_of_fold.tobytes()
    assert first.head.weight.tobytes() == again.head.weight.tobytes()
    assert other.candidate.name == first.candidate.name
    np.testing.assert_allclose(other.out_of_fold, first.out_of_fold[order], atol=1e-3)


def test_a_class_of_a_single_fold_has_finite_logits_there():
    targets = np.where(FOLDS == 1, np.where(TARGETS == 0, 3, TARGETS), TARGETS)
    choice = choose_head(_candidates(2.0), targets, FOLDS, classes=4, task=CLASSIFY)
    assert np.isfinite(choice.out_of_fold).all()
    assert (choice.out_of_fold[FOLDS == 1].argmax(axis=1) != 3).all()


def test_several_labels_a_clip_are_treated_in_the_same_way():
    labels = np.stack([TARGETS == 0, TARGETS != 1, np.zeros(CLIPS, bool)], axis=1)
    choice = choose_head(_candidates(0.0, 3.0), labels, FOLDS, classes=3, task=MULTILABEL)
    assert choice.candidate.name == "halves"
    predicted = choice.out_of_fold > 0
    assert (predicted[:, 0] == labels[:, 0]).mean() > 0.8
    assert (predicted[:, 1] == labels[:, 1]).mean() > 0.8
    assert not predicted[:, 2].any()


def test_with_two_folds_the_first_candidate_is_chosen():
    candidates = _candidates(1.0, 3.0)
    choice = choose_head(candidates, TARGETS, FOLDS % 2, classes=3, task=CLASSIFY)
    np.testing.assert_array_equal(choice.out_of_fold, choice.of_candidates[0][1])
    assert (choice.candidate.name, choice.head.strength) == ("moments", selection.USUAL_STRENGTH)


def test_folds_may_have_any_numbers():
    one, other = (
        choose_head(_candidates(1.0), TARGETS, some, classes=3, task=CLASSIFY) for some in (FOLDS, 3 * FOLDS + 2)
    )
    np.testing.assert_array_equal(one.out_of_fold, other.out_of_fold)


def test_where_comparing_strengths_would_take_long_the_usual_one_is_used_with_a_notice(monkeypatch):
    monkeypatch.setattr(selection, "MOST_WORK", CLIPS * CLIPS * 3 - 1)
    reporter = CollectingReporter()
    with reporting(reporter):
        choice = choose_head(_candidates(0.0), TARGETS, FOLDS, classes=3, task=CLASSIFY)
    assert choice.head.strength == selection.USUAL_STRENGTH
    ((_, message),) = reporter.take()
    assert message.startswith("60 videos of 3 classes: comparing")


def test_one_fold_is_refused():
    with pytest.raises(DataError, match="at least two folds are needed"):
        choose_head(_candidates(1.0), TARGETS, np.zeros(CLIPS, np.int64), classes=3, task=CLASSIFY)
