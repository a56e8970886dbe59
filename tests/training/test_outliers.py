"""Outliers: videos that are far from all others of their class, by their features."""

import numpy as np

from marey.models.probe.pooled import PooledFeatures
from marey.training.heads.directions import Directions
from marey.training.heads.outliers import class_outliers

LABELS = np.arange(40) % 2
GROUPS = np.arange(40)


def _values() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(40, 30))
    values[:, 0] += 6 * LABELS
    return values


def _directions(values: np.ndarray) -> Directions:
    return Directions.of(PooledFeatures(values.astype(np.float32), (30,)), np.arange(len(values)))


def test_a_clip_far_from_its_class_is_found_with_its_distance():
    values = _values()
    values[4] += 12 * np.random.default_rng(1).normal(size=30)
    (found,) = class_outliers(_directions(values), LABELS, GROUPS)
    assert (found.row, found.label) == (4, 0)
    assert found.times > 2


def test_classes_of_equal_or_of_equally_distant_clips_have_no_outliers():
    assert class_outliers(_directions(_values()), LABELS, GROUPS) == []
    assert class_outliers(_directions(np.zeros((40, 30))), LABELS, GROUPS) == []


def test_other_clips_of_its_recording_do_not_hide_an_outlier():
    values = _values()
    values[[4, 6]] += 12 * np.random.default_rng(1).normal(size=30)
    groups = GROUPS.copy()
    groups[6] = 4
    found = class_outliers(_directions(values), LABELS, groups)
    assert found == []  # two of twenty: more than one in twenty, so no outliers
    more = np.concatenate([values, _values() + 0.01])
    found = class_outliers(_directions(more), np.tile(LABELS, 2), np.concatenate([groups, GROUPS + 100]))
    assert {one.row for one in found} == {4, 6}


def test_classes_of_few_recordings_have_no_outliers():
    values = _values()
    values[4] += 12 * np.random.default_rng(1).normal(size=30)
    assert class_outliers(_directions(values), LABELS, GROUPS % 8) == []


def test_with_several_labels_an_outlier_is_one_of_each_class():
    values = _values()
    values[4] += 12 * np.random.default_rng(1).normal(size=30)
    targets = np.stack([LABELS == 0, LABELS == 1, np.ones(40, np.bool_)], axis=1)
    assert [one.row for one in class_outliers(_directions(values), targets, GROUPS)] == [4]
