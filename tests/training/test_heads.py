"""Linear heads on pooled features: each fit is the minimum of its objective, for any units and any order of clips."""

import math

import numpy as np
import pytest

from marey.models.probe.pooled import PooledFeatures
from marey.recipe import Classify, MultiLabel
from marey.training.heads.logistic import fit_head

CLASSIFY, MULTILABEL = Classify(), MultiLabel()


def _pooled(clips: int = 40, widths: tuple[int, ...] = (30, 50), seed: int = 0) -> PooledFeatures:
    features = np.random.default_rng(seed).normal(1.0, 2.0, (clips, sum(widths)))
    return PooledFeatures(features.astype(np.float32), widths)


def _classes(clips: int = 40, classes: int = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.arange(clips) % classes)


def _standardised(pooled: PooledFeatures) -> np.ndarray:
    x = pooled.features.astype(np.float64)
    roots = np.concatenate([np.full(width, math.sqrt(width)) for width in pooled.widths])
    return (x - x.mean(axis=0)) / x.std(axis=0) / roots


def _scale(pooled: PooledFeatures) -> np.ndarray:
    roots = np.concatenate([np.full(width, math.sqrt(width)) for width in pooled.widths])
    return pooled.features.astype(np.float64).std(axis=0) * roots


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("widths", [(30, 50), (3, 5)])
@pytest.mark.parametrize("strength", [0.3, 100.0])
def test_the_objective_of_a_softmax_has_no_derivative_at_the_head(widths, strength):
    pooled, targets = _pooled(widths=widths), _classes()
    head = fit_head(pooled, targets, classes=3, strength=strength, task=CLASSIFY)
    off = _softmax(head.logits(pooled.features)) - np.eye(3)[targets]
    weight = head.weight * _scale(pooled)
    np.testing.assert_allclose(off.T @ _standardised(pooled), -weight / strength, atol=2e-4)
    np.testing.assert_allclose(off.sum(axis=0), 0, atol=2e-4)


def test_the_objective_of_sigmoids_has_no_derivative_at_the_head():
    pooled = _pooled()
    targets = np.random.default_rng(3).random((40, 4)) < 0.3
    head = fit_head(pooled, targets, classes=4, strength=10.0, task=MULTILABEL)
    off = 1 / (1 + np.exp(-head.logits(pooled.features))) - targets
    weight = head.weight * _scale(pooled)
    np.testing.assert_allclose(off.T @ _standardised(pooled), -weight / 10.0, atol=2e-4)
    np.testing.assert_allclose(off.sum(axis=0), 0, atol=2e-4)


def test_two_mirrored_clips_have_the_solution_of_one_equation():
    pooled = PooledFeatures(np.array([[3.0], [5.0]], np.float32), (1,))
    head = fit_head(pooled, np.array([0, 1]), classes=2, strength=2.0, task=CLASSIFY)
    logits = head.logits(pooled.features)
    gap = logits[1, 1] - logits[1, 0]  # 2 w, where w = 2 * strength * sigmoid(-2 w)
    assert gap / 2 == pytest.approx(2 * 2.0 / (1 + math.exp(gap)), abs=1e-5)
    np.testing.assert_allclose(logits[0], -logits[1], atol=1e-6)


def test_a_block_in_another_unit_gives_the_same_logits():
    pooled, targets = _pooled(), _classes()
    other = pooled.features.copy()
    other[:, 30:] = other[:, 30:] * 64 + 5
    in_units = (pooled, PooledFeatures(other, (30, 50)))
    heads = [fit_head(found, targets, classes=3, strength=10.0, task=CLASSIFY) for found in in_units]
    np.testing.assert_allclose(heads[0].logits(pooled.features), heads[1].logits(other), atol=1e-3)


def test_a_block_counts_the_same_however_often_it_is_repeated_inside_itself():
    pooled, targets = _pooled(), _classes()
    wide = PooledFeatures(np.concatenate([pooled.features, pooled.features[:, 30:]], axis=1), (30, 100))
    heads = [fit_head(found, targets, classes=3, strength=10.0, task=CLASSIFY) for found in (pooled, wide)]
    np.testing.assert_allclose(heads[0].logits(pooled.features), heads[1].logits(wide.features), atol=1e-3)


def test_constant_features_have_no_weight():
    pooled, targets = _pooled(), _classes()
    pooled.features[:, 7] = 3.7
    pooled.features[:, 30:] = 0.1  # a complete block
    head = fit_head(pooled, targets, classes=3, strength=10.0, task=CLASSIFY)
    assert np.isfinite(head.weight).all()
    np.testing.assert_allclose(head.weight[:, [7, *range(30, 80)]], 0, atol=1e-4)
    moved = pooled.features.copy()
    moved[:, [7, 40]] += 0.01
    np.testing.assert_allclose(head.logits(moved), head.logits(pooled.features), atol=1e-4)


def test_the_order_of_clips_does_not_matter_and_a_fit_repeats_bit_for_bit():
    pooled, targets = _pooled(), _classes()
    order = np.random.default_rng(5).permutation(40)
    first, again = (fit_head(pooled, targets, classes=3, strength=10.0, task=CLASSIFY) for _ in range(2))
    other = fit_head(pooled.rows(order), targets[order], classes=3, strength=10.0, task=CLASSIFY)
    assert first.weight.tobytes() == again.weight.tobytes()
    assert first.bias.tobytes() == again.bias.tobytes()
    np.testing.assert_allclose(first.logits(pooled.features), other.logits(pooled.features), atol=1e-4)


def test_a_class_without_clips_is_as_likely_as_half_a_clip_and_never_predicted():
    pooled, targets = _pooled(), np.where(_classes() == 2, 3, _classes())
    head = fit_head(pooled, targets, classes=5, strength=10.0, task=CLASSIFY)
    assert not head.weight[[2, 4]].any()
    far = np.concatenate([pooled.features, 10 * _pooled(500, seed=9).features])
    assert not np.isin(head.logits(far).argmax(axis=1), [2, 4]).any()
    shares = _softmax(head.logits(pooled.features))[:, [2, 4]]
    assert np.exp(np.log(shares).mean()) == pytest.approx(0.5 / 40, rel=0.1)


def test_labels_of_no_clip_or_of_every_clip_are_predicted_by_their_share():
    pooled = _pooled()
    targets = np.stack([np.arange(40) % 2 == 0, np.zeros(40, bool), np.ones(40, bool)], axis=1)
    head = fit_head(pooled, targets, classes=3, strength=10.0, task=MULTILABEL)
    shares = 1 / (1 + np.exp(-head.logits(pooled.features)))
    np.testing.assert_allclose(shares[:, 1], 0.5 / 41, rtol=1e-5)
    np.testing.assert_allclose(shares[:, 2], 40.5 / 41, rtol=1e-5)


@pytest.mark.parametrize("clips", [1, 3])
def test_clips_that_are_all_alike_or_of_one_class_give_a_head(clips):
    pooled = PooledFeatures(np.ones((clips, 4), np.float32), (4,))
    head = fit_head(pooled, np.zeros(clips, np.int64), classes=2, strength=10.0, task=CLASSIFY)
    assert (head.logits(pooled.features).argmax(axis=1) == 0).all()


def test_labels_one_a_clip_count_as_sigmoids_of_their_own_class():
    pooled, targets = _pooled(), _classes()
    one_hot = np.eye(3, dtype=bool)[targets]
    head = fit_head(pooled, one_hot, classes=3, strength=100.0, task=MULTILABEL)
    assert (head.logits(pooled.features).argmax(axis=1) == targets).all()
