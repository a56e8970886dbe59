"""Which videos an epoch has: shares of classes, how often each video of a class occurs, the same in every run."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marey.data.loading.epoch_order import ByClass, EachOnce
from marey.data.loading.loader import _BatchSampler

LABELS = np.array([0] * 90 + [1] * 9 + [2])


def shares(draw: ByClass, epochs: int) -> np.ndarray:
    """[epochs, classes]: how often each class occurs."""
    return np.array([np.bincount(LABELS[draw.order(LABELS, 0, epoch)], minlength=3) for epoch in range(epochs)])


def test_each_once() -> None:
    order = EachOnce().order(LABELS, 3, 1)
    assert sorted(order) == list(range(100))
    assert not np.array_equal(order, EachOnce().order(LABELS, 3, 2))


@pytest.mark.parametrize(("power", "expected"), [(1, [1, 1, 1]), (0.5, [90**0.5, 3, 1]), (0, [90, 9, 1])])
def test_shares_of_classes_follow_the_power(power, expected) -> None:
    """Rounded up or down in each epoch, and exact in the mean."""
    exact = 100 * np.array(expected) / np.sum(expected)
    found = shares(ByClass(power=power), 400)
    assert (found.sum(axis=1) == 100).all()
    assert (np.abs(found - exact) < 1 + 1e-6).all()
    np.testing.assert_allclose(found.mean(axis=0), exact, atol=0.1)


def test_another_power_changes_the_shares() -> None:
    assert np.abs(shares(ByClass(power=0.9), 50).mean(axis=0) - 100 / 3).max() > 3


@settings(max_examples=40)
@given(seed=st.integers(0, 99), epoch=st.integers(0, 99), power=st.floats(0, 1))
def test_videos_of_a_class_occur_equally_often(seed, epoch, power) -> None:
    """Videos of one class occur equally often, give or take one; a pure function of seed and epoch."""
    order = ByClass(power=power).order(LABELS, seed, epoch)
    np.testing.assert_array_equal(order, ByClass(power=power).order(LABELS, seed, epoch))
    times = np.bincount(order, minlength=100)
    for label in range(3):
        of_class = times[label == LABELS]
        assert of_class.max() - of_class.min() <= 1


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("draw", [EachOnce(), ByClass()])
def test_no_clip_twice_over_all_processes(world, repeats, draw) -> None:
    """A video may occur several times in an epoch, each time as another clip."""
    plan = partial(_BatchSampler, LABELS, 12, 2, seed=5, draw=draw, repeats=repeats)
    keys = [key for rank in range(world) for batch in plan(rank=rank, world=world) for key in batch]
    assert len(keys) == len(set(keys)) == 2 * 100 * repeats
    alone = [key for batch in plan(rank=0, world=1) for key in batch]
    assert sorted(alone) == sorted(keys)


def test_repeats_are_next_to_each_other() -> None:
    plan = _BatchSampler(np.zeros(5, np.int64), 2, 1, seed=0, rank=0, world=1, draw=None, repeats=3)
    assert next(iter(plan)) == [(0, i, repeat, 0) for i in (0, 1) for repeat in range(3)]
    assert [plan.size(index) for index in plan.indices()] == [6, 6, 3]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_batches_of_several_sizes_in_turn(world) -> None:
    """Each epoch has its own cycle; a last batch with fewer videos than processes joins the batch before it."""

    def cycle(epoch: int) -> list[tuple[int, int]]:
        return [[(6, 2), (3, 1)], [(4, 0)]][epoch]

    plans = [
        _BatchSampler(np.zeros(13, np.int64), 1, 2, seed=0, rank=rank, world=world, draw=None, cycle=cycle)
        for rank in range(world)
    ]
    sizes = [plans[0].size(index) for index in plans[0].indices()]
    assert sizes == [6, 3, 4] + ([4, 4, 4, 1] if world == 1 else [4, 4, 5])
    keys = sorted(key for plan in plans for batch in plan for key in batch)
    shapes = [2] * 6 + [1] * 3 + [2] * 4 + [0] * 13
    assert keys == [(place // 13, place % 13, 0, shape) for place, shape in enumerate(shapes)]
