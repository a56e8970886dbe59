"""Pairs of frames a short time apart, spread over a video, for difference images. Marey's own rule."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from marey.base.random import RandomSource
from marey.video.sampling.mmaction2 import draw_offsets, middles
from marey.video.sampling.rule import Indices, SamplingRule, require_random, seconds_of


class _PairRule(SamplingRule, ABC):
    """`segments` frames, each preceded by the frame that is shown about `seconds` earlier.

    The earlier frame is the one nearest to that time, but always an earlier one, except that the first frame forms a pair
    with itself. The frames of a clip are: earlier frame 0, frame 0, earlier frame 1, frame 1, ...
    """

    frames: Literal[2] = 2
    """Number of frames from each segment: the two of a pair."""
    stride: Literal[1] = 1
    """Not used: `seconds` is the distance of the two frames."""
    seconds: PositiveFloat = 1 / 12
    """Time from the earlier frame to the later one, in seconds, above 0."""

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        times = seconds_of(timestamps, self)
        later = np.asarray(self._offsets(num_frames, random)).astype(np.int64)
        wanted = times[later] - self.seconds
        after = np.minimum(np.searchsorted(times, wanted), later)
        before = np.maximum(after - 1, 0)
        nearest = np.where(wanted - times[before] <= times[after] - wanted, before, after)
        earlier = np.maximum(np.minimum(nearest, later - 1), 0)
        return np.stack([earlier, later], axis=1)

    @abstractmethod
    def _offsets(self, num_frames: int, random: RandomSource | None) -> NDArray[np.integer]:
        """The later frame of each of the K pairs."""


class FramePairs(_PairRule):
    """Test: frames from the middles of K equal sections."""

    rule: Literal["frame_pairs"] = "frame_pairs"

    def _offsets(self, num_frames: int, random: RandomSource | None) -> NDArray[np.integer]:
        return middles(num_frames, self.offsets)


class FramePairsTrain(_PairRule):
    """Training: random frames, one in each of K equal sections, as MMAction2 draws segments."""

    rule: Literal["frame_pairs_train"] = "frame_pairs_train"

    def validation(self) -> FramePairs:
        """The rule for testing after training with this one."""
        return FramePairs(clips=self.clips, segments=self.segments, seconds=self.seconds)

    def _offsets(self, num_frames: int, random: RandomSource | None) -> NDArray[np.integer]:
        return draw_offsets(num_frames, 1, self.offsets, require_random(random, self))
