"""Thresholds against counts, and against values computed by hand."""

import math

import numpy as np
import pytest

from marey.tasks.thresholds import f1_at, of_best_f1, turning_away


@pytest.mark.parametrize(("videos", "rank"), [(18, None), (19, 1), (38, 1), (39, 2), (199, 10)])
def test_the_rank_of_a_threshold(videos, rank) -> None:
    """floor(0.05 * (N + 1)): of 19 the smallest, of 199 the tenth smallest."""
    confidences = np.linspace(0.3, 0.9, videos, dtype=np.float32)
    found = turning_away(np.random.default_rng(0).permutation(confidences), 0.05)
    assert found == (None if rank is None else float(confidences[rank - 1]))
    if found is not None:
        assert (confidences < found).sum() == rank - 1


def test_a_class_with_many_videos_has_the_threshold_that_separates_it_best() -> None:
    answers = np.concatenate([np.full((100, 1), 0.32), np.full((100, 1), 0.28)]).astype(np.float32)
    positives = np.repeat([True, False], 100)[:, None]
    (found,) = of_best_f1(answers, positives)
    assert 0.28 < found <= 0.32
    assert f1_at(answers, positives, np.array([found])).tolist() == [1.0]
    assert f1_at(answers, positives, np.array([0.5])).tolist() == [0.0]


def test_a_class_with_few_videos_follows_the_others() -> None:
    """One video of the second class has 0.9, none of the third: by itself the second would get a threshold near 0.9."""
    random = np.random.default_rng(0)
    positives = np.zeros((200, 3), bool)
    positives[:100, 0], positives[0, 1] = True, True
    answers = random.uniform(0, 0.4, (200, 3)).astype(np.float32)
    answers[:100, 0] = random.uniform(0.45, 0.8, 100)
    answers[0, 1] = 0.9
    first, second, third = of_best_f1(answers, positives)
    assert 0.4 <= first <= 0.46
    assert 0.4 <= second < 0.6 and 0.4 <= third < 0.6


def test_nothing_to_fit_gives_one_half() -> None:
    assert of_best_f1(np.empty((0, 2), np.float32), np.empty((0, 2), bool)) == (0.5, 0.5)
    assert of_best_f1(np.full((4, 1), 0.001, np.float32), np.zeros((4, 1), bool)) == (0.5,)


def test_f1_of_a_class_without_videos_and_predictions_is_nan() -> None:
    found = f1_at(np.full((3, 2), 0.6, np.float32), np.zeros((3, 2), bool), np.array([0.7, 0.5]))
    assert math.isnan(found[0]) and found[1] == 0


def test_each_video_may_have_its_own_thresholds() -> None:
    answers, positives = np.array([[0.6], [0.6]], np.float32), np.array([[True], [False]])
    assert f1_at(answers, positives, np.array([[0.5], [0.7]])).tolist() == [1.0]
    assert f1_at(answers, positives, np.array([[0.7], [0.5]])).tolist() == [0.0]
