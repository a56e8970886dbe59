"""Clips that are unlike all others of their class, by their features."""

import numpy as np

from marey.models.probe.pooled import Pooled
from marey.training.heads.directions import Directions
from marey.training.heads.unlike import unlike_their_class

LABELS = np.arange(40) % 2
UNITS = np.arange(40)


def _values() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(40, 30))
    values[:, 0] += 6 * LABELS
    return values


def _directions(values: np.ndarray) -> Directions:
    return Directions.of(Pooled(values.astype(np.float32), (30,)), np.arange(len(values)))


def test_a_clip_far_from_its_class_is_found_with_how_far():
    values = _values()
    values[4] += 12 * np.random.default_rng(1).normal(size=30)
    (found,) = unlike_their_class(_directions(values), LABELS, UNITS)
    assert (found.row, found.label) == (4, 0)
    assert found.times > 2


def test_clips_that_are_all_alike_or_all_apart_are_not_odd():
    assert unlike_their_class(_directions(_values()), LABELS, UNITS) == []
    assert unlike_their_class(_directions(np.zeros((40, 30))), LABELS, UNITS) == []


def test_the_other_clips_of_its_recording_do_not_hide_an_odd_clip():
    values = _values()
    values[[4, 6]] += 12 * np.random.default_rng(1).normal(size=30)
    units = UNITS.copy()
    units[6] = 4
    found = unlike_their_class(_directions(values), LABELS, units)
    assert found == []  # two of twenty: more than one in twenty, and so no oddity
    more = np.concatenate([values, _values() + 0.01])
    found = unlike_their_class(_directions(more), np.tile(LABELS, 2), np.concatenate([units, UNITS + 100]))
    assert {one.row for one in found} == {4, 6}


def test_of_few_recordings_nothing_is_said():
    values = _values()
    values[4] += 12 * np.random.default_rng(1).normal(size=30)
    assert unlike_their_class(_directions(values), LABELS, UNITS % 8) == []


def test_of_several_labels_a_clip_is_odd_if_it_is_in_each():
    values = _values()
    values[4] += 12 * np.random.default_rng(1).normal(size=30)
    targets = np.stack([LABELS == 0, LABELS == 1, np.ones(40, np.bool_)], axis=1)
    assert [one.row for one in unlike_their_class(_directions(values), targets, UNITS)] == [4]
