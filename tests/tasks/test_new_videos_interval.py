"""The interval for new videos against random draws, tables, and simulations of tested and new groups."""

import math

import numpy as np
import pytest

from marey.tasks.intervals import (
    FEWEST_GROUPS,
    beta_quantile,
    beta_share,
    new_videos_interval,
    share_interval,
    student_t,
)


def rows(right: int, total: int) -> np.ndarray:
    return np.arange(total) < right


@pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 1), (1, 0.25), (7, 3), (60, 0.5), (400, 90)])
def test_the_beta_distribution(a, b) -> None:
    """With b = 1 the distribution is x^a, with a = 1 it is 1 - (1 - x)^b; otherwise against random draws."""
    x = np.array([0.0, 0.01, 0.3, 0.8, 0.99, 1.0])
    found = np.array([beta_share(one, a, b) for one in x])
    assert found[0] == 0 and found[-1] == 1 and (np.diff(found) >= 0).all()
    if b == 1:
        np.testing.assert_allclose(found, x**a, rtol=1e-9)
    if a == 1:
        np.testing.assert_allclose(found, 1 - (1 - x) ** b, rtol=1e-9)
    drawn = np.random.default_rng(0).beta(a, b, 40_000)
    for probability in (0.05, 0.5, 0.95):
        end = beta_quantile(probability, a, b)
        assert beta_share(end, a, b) == pytest.approx(probability, abs=1e-9)
        assert (drawn <= end).mean() == pytest.approx(probability, abs=0.005)


def test_the_beta_distributions_quantiles_by_a_table() -> None:
    """Clopper and Pearson's 95 % interval of 81 right of 263, by beta quantiles: 0.2527 to 0.3676 (Newcombe 1998)."""
    assert beta_quantile(0.025, 81, 183) == pytest.approx(0.2527, abs=5e-5)
    assert beta_quantile(0.975, 82, 182) == pytest.approx(0.3676, abs=5e-5)


def test_over_videos_by_hand() -> None:
    """n = 180 / (1 + 5/4) = 80, share 3/4: mean 60.5 / 81; 1 / (1/81 + 1/100) = 44.751 as the sum of both parameters."""
    found = new_videos_interval(rows(135, 180), None, 100)
    weight, mean = 8100 / 181, 60.5 / 81
    assert found.low == pytest.approx(math.floor(100 * beta_quantile(0.05, mean * weight, (1 - mean) * weight)) / 100)
    assert found.high == pytest.approx(math.ceil(100 * beta_quantile(0.95, mean * weight, (1 - mean) * weight)) / 100)
    assert (found.low, found.high) == (0.63, 0.85)
    assert (found.over, found.count) == ("videos", 180)
    assert found == new_videos_interval(rows(135, 180), np.full(180, ""), 100)


def test_over_groups_by_hand() -> None:
    """Six groups of four with 4, 4, 3, 2, 4, 1 right: D = 6/5 * 8 / (24 * 3/16) = 32/15; t with 5 degrees is 2.015."""
    groups = np.repeat([f"g{i}" for i in range(6)], 4)
    right = np.concatenate([np.arange(4) < count for count in (4, 4, 3, 2, 4, 1)])
    fewer = (1.6449 / student_t(0.95, 5)) ** 2
    known, new = fewer * 24 / (32 / 15 + 1.25), fewer * 50 * 15 / 32
    mean, weight = (0.75 * known + 0.5) / (known + 1), 1 / (1 / (known + 1) + 1 / new)
    found = new_videos_interval(right, groups, 50)
    low, high = (beta_quantile(p, mean * weight, (1 - mean) * weight) for p in (0.05, 0.95))
    assert found.low == pytest.approx(low, abs=0.02) and found.low <= low
    assert found.high == pytest.approx(high, abs=0.02) and found.high >= high
    assert (found.over, found.count) == ("groups", 6)


@pytest.mark.parametrize("total", [1, 10, 100, 5000])
@pytest.mark.parametrize("videos", [1, 7, 100])
def test_all_right_and_all_wrong_have_a_width(total, videos) -> None:
    best, worst = (new_videos_interval(np.full(total, right), None, videos) for right in (True, False))
    assert best.high == 1 and worst.low == 0
    assert best.low == pytest.approx(1 - worst.high)
    if videos == 100:
        assert best.low <= {1: 0.1, 10: 0.7, 100: 0.97, 5000: 1.0}[total]


def test_it_is_wider_than_that_of_the_share_and_narrows_with_tested_and_new_videos() -> None:
    groups = np.repeat([f"g{i}" for i in range(40)], 5)
    right = np.random.default_rng(0).random(200) < 0.7
    share = share_interval(right, groups)
    widths = []
    for count in (10, 100, 10_000):
        found = new_videos_interval(right, groups, count)
        assert found.low <= share.low and found.high >= share.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    more = new_videos_interval(np.tile(right, 10), np.concatenate([np.char.add(groups, f"-{i}") for i in range(10)]))
    assert more.high - more.low < widths[1]


def test_the_order_of_videos_does_not_matter() -> None:
    random = np.random.default_rng(1)
    groups, right = random.choice(["a", "b", "c", "d", "e", "f", ""], 60), random.random(60) < 0.6
    order = random.permutation(60)
    assert new_videos_interval(right, groups) == new_videos_interval(right[order], groups[order])


def test_too_few_groups_have_none() -> None:
    right = np.arange(40) % 3 > 0
    assert new_videos_interval(np.ones(0, bool), None) is None
    assert new_videos_interval(right, np.array([f"g{i % (FEWEST_GROUPS - 1)}" for i in range(40)])) is None
    assert new_videos_interval(right, np.array(["big"] * 35 + [f"g{i}" for i in range(5)])) is None
    assert new_videos_interval(right, np.array([f"g{i % FEWEST_GROUPS}" for i in range(40)])) is not None


@pytest.mark.parametrize("sizes", [(1,), (2,), (3, 5, 10, 20), (1, 1, 1, 1, 1, 1, 2, 4, 30)], ids=str)
@pytest.mark.parametrize(("share", "alike"), [(0.75, 0.0), (0.75, 0.3), (0.92, 0.3), (0.3, 0.6)])
def test_new_videos_of_new_groups_are_inside_as_often_as_claimed(sizes, share, alike) -> None:
    """Tested and new groups are drawn alike; `alike` is the correlation inside groups. Half as many new groups."""
    random = np.random.default_rng(0)

    def drawn(groups: int) -> tuple[np.ndarray, np.ndarray]:
        of_group = random.choice(sizes, groups)
        more = 1 / alike - 1 if alike else 0
        own = random.beta(share * more, (1 - share) * more, groups) if alike else np.full(groups, share)
        names = np.repeat([f"g{i}" for i in range(groups)], of_group)
        return random.random(len(names)) < np.repeat(own, of_group), names

    inside = rounds = 0
    for _ in range(100):
        right, groups = drawn(40)
        new, _ = drawn(20)
        found = new_videos_interval(right, groups, len(new))
        if found is not None:
            rounds += 1
            inside += found.low <= new.mean() <= found.high
    assert rounds > 50 and inside / rounds > 0.81  # nominally 0.9; the deviation of 100 draws is 0.03


def test_the_interval_of_the_share_would_be_too_narrow() -> None:
    """Half as many new videos are inside the interval of the share far less often."""
    random, inside, missed = np.random.default_rng(0), 0, 0
    for _ in range(200):
        right, new = random.random(100) < 0.7, random.random(50) < 0.7
        share, found = share_interval(right), new_videos_interval(right, None, 50)
        missed += not share.low <= new.mean() <= share.high
        inside += found.low <= new.mean() <= found.high
    assert missed > 50 and inside > 180
