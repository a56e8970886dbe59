"""Learning curves of generated features whose gain is known, and the gain that is read from them."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from marey.data.splits.folds import Folds
from marey.evaluation.out_of_fold.learning_curve import CurvePoint, Gain
from marey.models.probe.pooled import PooledFeatures
from marey.recipe import Classify, MultiLabel
from marey.training.heads import learning_curve as curves
from marey.training.heads.learning_curve import learning_curve


def folds_of(groups: np.ndarray, count: int = 5) -> Folds:
    return cast(Folds, SimpleNamespace(of_row=groups % count, count=count, groups=groups, judged=np.ones(3, bool)))


def made(
    clips: int, *, classes: int = 3, apart: float = 1.0, width: int = 60, seed: int = 0
) -> tuple[PooledFeatures, np.ndarray]:
    """Features [N, F] in two blocks: classes lie `apart` deviations from each other in each of a few features."""
    random = np.random.default_rng(seed)
    labels = np.arange(clips) % classes
    features = random.normal(size=(clips, width)).astype(np.float32)
    features[:, :10] += apart * random.normal(size=(classes, 10))[labels]
    return PooledFeatures(features, (20, width - 20)), labels


def curve_of(
    pooled: PooledFeatures, labels: np.ndarray, groups: np.ndarray, classes: int = 3
) -> tuple[CurvePoint, ...]:
    return learning_curve(pooled, labels, folds_of(groups), classes=classes, task=Classify(), strength=1.0)


def test_more_clips_help_where_there_is_more_to_learn() -> None:
    pooled, labels = made(180, classes=6, apart=0.7, width=200)
    found = curve_of(pooled, labels, np.random.default_rng(0).permutation(180) // 2, 6)
    assert [point.videos for point in found] == [36, 72, 108, 144]
    assert all(point.low <= point.share <= point.high for point in found)
    assert found[-1].low == found[-1].share == found[-1].high
    gain = Gain.of(found)
    assert (gain.before.videos, gain.after.videos) == (72, 144)
    assert gain.gain > max(gain.error, 0.05)
    assert gain.sentence(recordings=False).endswith("labelling more videos will help.")


def test_more_clips_of_noise_or_of_learned_classes_do_not_help() -> None:
    for apart in (0.0, 6.0):
        pooled, labels = made(120, apart=apart)
        gain = Gain.of(curve_of(pooled, labels, np.arange(120) // 2))
        assert gain.gain <= gain.error


def test_the_curve_repeats() -> None:
    pooled, labels = made(60)
    first, second = (curve_of(pooled, labels, np.arange(60) // 2) for _ in range(2))
    assert first == second


def test_clips_of_a_recording_stay_together_and_each_class_keeps_one(monkeypatch) -> None:
    """40 recordings of two clips; the third class has only two of them, and is still in every draw."""
    groups = np.arange(80) // 2
    labels = np.where(np.isin(groups, (3, 4)), 2, groups % 2)
    seen = []
    real = curves.Directions.of

    def noted(pooled: PooledFeatures, rows: np.ndarray) -> curves.Directions:
        seen.append(rows)
        return real(pooled, rows)

    monkeypatch.setattr(curves.Directions, "of", noted)
    pooled, _ = made(80)
    found = curve_of(pooled, labels, groups)
    assert len(seen) == 5 * (3 * 3 + 1)
    assert {len(rows) for rows in seen} == {16, 32, 48, 64}
    assert [point.videos for point in found] == [16, 32, 48, 64]
    for rows in seen:
        assert (np.bincount(groups[rows])[np.unique(groups[rows])] == 2).all()
        assert len(np.unique(groups[rows] % 5)) <= 4  # one fold is held out
        counts = np.bincount(labels[rows], minlength=3)
        assert counts[2] >= 2 and abs(counts[0] - counts[1]) <= 4


def test_clips_that_are_never_held_out_are_trained_on_and_not_judged() -> None:
    pooled, labels = made(60)
    folds = folds_of(np.arange(60))
    folds.of_row[:6] = -1
    found = learning_curve(pooled, labels, folds, classes=3, task=Classify(), strength=1.0)
    assert found[-1].videos == round(6 + 54 * 4 / 5)
    assert all((point.share * 54 * 3) % 1 == pytest.approx(0, abs=1e-6) or point.share for point in found)


def test_several_labels_have_a_curve_of_mean_average_precision() -> None:
    pooled, labels = made(90, apart=1.5)
    targets = np.arange(3) == labels[:, None]
    targets[::4, 0] = True
    targets[5] = False  # a clip without any label
    found = learning_curve(pooled, targets, folds_of(np.arange(90) // 2), classes=3, task=MultiLabel(), strength=1.0)
    assert len(found) == 4 and 0.4 < found[0].share < found[-1].share <= 1


def test_two_clips_a_class_give_one_point_and_no_gain() -> None:
    pooled, labels = made(6)
    found = learning_curve(pooled, labels, folds_of(np.arange(6) // 3, 2), classes=3, task=Classify(), strength=1.0)
    assert [point.videos for point in found] == [3]
    assert Gain.of(found) is None
