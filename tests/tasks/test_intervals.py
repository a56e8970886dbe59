"""Intervals of a share of right predictions against tables, values computed by hand, and simulations."""

import math

import numpy as np
import pytest

from marey.tasks.intervals import FEWEST_GROUPS, group_numbers, share_interval, student_t
from marey.tasks.metrics import wilson_interval


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_by_a_table(right, total, low, high) -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion, Statistics in Medicine 1998, table I, method 3."""
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [
        (1, 6.314),
        (2, 2.920),
        (4, 2.132),
        (5, 2.015),
        (9, 1.833),
        (11, 1.796),
        (30, 1.697),
        (120, 1.658),
        (10**5, 1.645),
    ],
)
def test_students_t_by_a_table(freedom, quantile) -> None:
    """The column 0.95 of any printed table."""
    assert student_t(0.95, freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize(("right", "total"), [(18, 25), (0, 7), (7, 7), (1, 1), (5000, 20000)])
def test_over_videos_the_ends_solve_the_score_equation(right, total) -> None:
    """|share - p| = z sqrt(p (1 - p) / n) at both ends p; 1.6449 leaves 5 % of a normal distribution on each side."""
    found = share_interval(np.arange(total) < right)
    assert (found.over, found.count) == ("videos", total)
    share = right / total
    for end in (found.low, found.high):
        assert abs(share - end) == pytest.approx(1.6449 * math.sqrt(end * (1 - end) / total), abs=1e-4)
    assert 0 <= found.low < found.high <= 1


def test_over_groups_by_hand() -> None:
    """Six groups of four videos with 4, 4, 3, 2, 4, 1 right: share 3/4, squares of (right - 3) sum to 8.

    D = 6/5 * 8 / (24 * 3/16) = 32/15; 24 / D = 11.25 videos in effect; t with 5 degrees of freedom is 2.015.
    """
    groups = np.repeat([f"g{i}" for i in range(6)], 4)
    right = np.concatenate([np.arange(4) < count for count in (4, 4, 3, 2, 4, 1)])
    found = share_interval(right, groups)
    for end in (found.low, found.high):
        assert abs(0.75 - end) == pytest.approx(2.015 * math.sqrt(end * (1 - end) / 11.25), abs=1e-3)
    assert (found.over, found.count) == ("groups", 6)
    order = np.random.default_rng(0).permutation(24)
    assert share_interval(right[order], groups[order]).low == pytest.approx(found.low)


def test_if_all_are_right_each_group_counts_as_one_video() -> None:
    """8 groups of 50: 8 of 8 with t of 7 degrees, 1.895; the lower end is 8 / (8 + t^2)."""
    groups = np.repeat([f"g{i}" for i in range(8)], 50)
    for right in (np.ones(400, bool), np.zeros(400, bool)):
        found = share_interval(right, groups)
        ends = (found.low, found.high) if right[0] else (1 - found.high, 1 - found.low)
        assert ends == pytest.approx((8 / (8 + 1.895**2), 1), abs=1e-3)
    nearly = np.ones(400, bool)
    nearly[0] = False  # one wrong prediction does not show more about how groups differ
    assert share_interval(nearly, groups).low < 0.7
    assert share_interval(np.ones(400, bool)).low > 0.99


def test_few_groups_give_no_interval() -> None:
    right = np.arange(40) % 3 > 0
    for count in (1, 2, FEWEST_GROUPS - 1):
        assert share_interval(right, np.array([f"g{i % count}" for i in range(40)])) is None
    assert share_interval(right, np.array([f"g{i % FEWEST_GROUPS}" for i in range(40)])) is not None
    assert share_interval(np.ones(0, bool)) is None


def test_unequal_groups_by_hand() -> None:
    """Groups of 2, 2, 2, 4, 6 and 8 videos, of which 2, 1, 2, 3, 3 and 4 are right: share 15/24 = 5/8.

    right - share n: 3/4, -1/4, 3/4, 1/2, -3/4, -1; N - n: 22, 22, 22, 20, 18, 16. The squares of the quotients sum to
    0.008721; times 5/6 and 24 and over 15/64, D is below 1, so that 24 videos count. N^2 / sum n^2 = 576 / 128 = 4.5: t has
    3 degrees of freedom, 2.353.
    """
    sizes = (2, 2, 2, 4, 6, 8)
    groups = np.repeat([f"g{i}" for i in range(6)], sizes)
    right = np.concatenate([np.arange(n) < count for n, count in zip(sizes, (2, 1, 2, 3, 3, 4), strict=True)])
    found = share_interval(right, groups)
    for end in (found.low, found.high):
        assert abs(0.625 - end) == pytest.approx(2.353 * math.sqrt(end * (1 - end) / 24), abs=1e-3)


def test_the_design_effect_is_the_jackknifes() -> None:
    """The variance of the share when one group after the other is left out, computed by its definition."""
    random = np.random.default_rng(1)
    sizes = random.integers(5, 40, 15)
    groups = np.repeat([f"g{i}" for i in range(15)], sizes)
    right = random.random(len(groups)) < np.repeat(random.random(15), sizes)
    without = [right[groups != name].mean() for name in np.unique(groups)]
    variance = 14 / 15 * sum((one - right.mean()) ** 2 for one in without)
    freedom = int(len(groups) ** 2 / (sizes**2).sum()) - 1
    share, t = right.mean(), student_t(0.95, freedom)
    found = share_interval(right, groups)
    for end in (found.low, found.high):
        spread = math.sqrt(end * (1 - end) * variance / (share * (1 - share)))
        assert abs(share - end) == pytest.approx(t * spread, abs=1e-6)


def test_groups_of_which_one_has_nearly_all_videos_give_no_interval() -> None:
    right = np.arange(110) % 3 > 0
    assert share_interval(right, np.array(["big"] * 100 + [f"g{i}" for i in range(10)])) is None
    assert share_interval(right, np.array(["big"] * 20 + [f"g{i % 10}" for i in range(90)])) is not None


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_intervals_over_very_unequal_groups_contain_the_share_as_often_as_claimed(share) -> None:
    """Sizes by Pareto's law, up to 300: an interval that assumes equal groups holds in 70 %."""
    random = np.random.default_rng(0)
    inside = rounds = 0
    for _ in range(400):
        sizes = np.minimum(np.ceil(3 * random.pareto(1.0, 12) + 0.1), 300).astype(int)
        own = random.beta(share * 4, (1 - share) * 4, 12)  # correlation 0.2
        names = np.repeat([f"g{i}" for i in range(12)], sizes)
        found = share_interval(random.random(len(names)) < np.repeat(own, sizes), names)
        if found is not None:
            rounds += 1
            inside += found.low <= share <= found.high
    assert rounds > 200 and inside / rounds > 0.87


def test_a_video_without_a_group_is_a_group_by_itself() -> None:
    assert group_numbers(np.array(["a", "", "b", "a", ""])).tolist() == [0, 2, 1, 0, 3]
    right = np.arange(40) % 3 > 0
    assert share_interval(right, np.full(40, "")) == share_interval(right)
    assert share_interval(right, np.array(["a", "a"] + [""] * 38)).count == 39


@pytest.mark.parametrize("groups", [6, 12, 30])
@pytest.mark.parametrize("alike", [0.0, 0.2, 0.8])
@pytest.mark.parametrize("share", [0.6, 0.9])
def test_intervals_over_groups_contain_the_share_about_as_often_as_claimed(groups, alike, share) -> None:
    """Groups of 3 to 20 videos whose shares are drawn from a beta distribution: `alike` is the correlation inside them."""
    random = np.random.default_rng(0)
    inside, rounds = 0, 300
    for _ in range(rounds):
        spread = 1 / alike - 1 if alike else 0
        own = random.beta(share * spread, (1 - share) * spread, groups) if alike else np.full(groups, share)
        sizes = random.choice([3, 5, 10, 20], groups)
        names = np.repeat([f"g{i}" for i in range(groups)], sizes)
        found = share_interval(random.random(len(names)) < np.repeat(own, sizes), names)
        inside += found.low <= share <= found.high
    assert inside / rounds > 0.83  # nominally 0.9; the deviation of 300 draws is 0.017


def test_an_interval_over_videos_would_be_too_narrow_for_groups() -> None:
    """Why groups matter: with videos of a group alike, an interval over videos holds in far fewer than 90 %."""
    random, inside = np.random.default_rng(0), 0
    for _ in range(300):
        right = random.random(240) < np.repeat(random.beta(1.2, 0.8, 12), 20)  # share 0.6, correlation 1/3
        found = share_interval(right)
        inside += found.low <= 0.6 <= found.high
    assert inside / 300 < 0.6
