"""Pairs of frames: the later one as MMAction2 samples segments, the earlier one a twelfth of a second before."""

import numpy as np
import pytest

from marey.video.sampling import FramePairs, FramePairsTrain, MMAction2Test, MMAction2Train


def pairs(rule: FramePairs, times: np.ndarray) -> list[list[int]]:
    return rule.sample(len(times), times).reshape(-1, 2).tolist()


def test_the_later_frames_are_those_of_segments() -> None:
    times = np.arange(50) / 25
    later = FramePairs(segments=8).sample(50, times)[:, 1::2]
    assert np.array_equal(later, MMAction2Test(segments=8).sample(50))


@pytest.mark.parametrize(("rate", "frames"), [(12, 1), (24, 2), (25, 2), (30, 2), (60, 5), (6, 1)])
def test_the_earlier_frame_is_the_nearest_to_a_twelfth_of_a_second_before(rate: int, frames: int) -> None:
    # At 30 frames per second the distance is 2.5 frames. The earlier of two equally near frames is 3 before, but rounding of
    # the time stamps decides.
    found = pairs(FramePairs(segments=4), np.arange(200) / rate)
    distances = {later - earlier for earlier, later in found}
    assert distances == {frames} or (rate == 30 and distances <= {2, 3})


def test_a_variable_rate_is_followed_by_time_stamps() -> None:
    times = np.concatenate([np.arange(10) / 10, 1 + np.arange(30) / 60])
    found = pairs(FramePairs(segments=4), times)
    assert [times[later] - times[earlier] for earlier, later in found] == pytest.approx(
        [0.1, 0.1, 1 / 12, 1 / 12], abs=0.02
    )


def test_short_videos_pair_a_frame_with_the_one_before_it_and_the_first_with_itself() -> None:
    assert pairs(FramePairs(segments=4), np.arange(2) / 25) == [[0, 0], [0, 0], [0, 1], [0, 1]]
    assert pairs(FramePairs(segments=2), np.zeros(1)) == [[0, 0], [0, 0]]


def test_training_draws_the_later_frames_of_mmaction2() -> None:
    times = np.arange(90) / 25
    drawn = FramePairsTrain(segments=8).sample(90, times, np.random.RandomState(3))
    assert np.array_equal(drawn[:, 1::2], MMAction2Train(segments=8).sample(90, random=np.random.RandomState(3)))
    assert (drawn[:, ::2] <= drawn[:, 1::2]).all() and FramePairsTrain(segments=8).validation() == FramePairs(
        segments=8
    )
