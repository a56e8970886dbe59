"""Pairs of frames a short time apart, spread over a video: what difference images are made of. A rule of Marey's own."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from marey.base.random import RandomSource
from marey.video.sampling.mmaction2 import draw_offsets, middles
from marey.video.sampling.rule import Indices, SamplingRule, drawn, seconds_of


class _PairRule(SamplingRule, ABC):
    """`segments` frames, and before each of them the frame that is shown `seconds` earlier: the nearest to that time, but
    an earlier one where the video has any. The first frame of a video is a pair with itself.

    A clip is earlier 0, frame 0, earlier 1, frame 1, ...
    """

    frames: Literal[2] = 2
    stride: Literal[1] = 1
    seconds: PositiveFloat = 1 / 12
    """From the earlier frame to the frame, in seconds."""

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
    """Test: frames from the middles of K equal parts."""

    rule: Literal["frame_pairs"] = "frame_pairs"

    def _offsets(self, num_frames: int, random: RandomSource | None) -> NDArray[np.integer]:
        return middles(num_frames, self.offsets)


class FramePairsTrain(_PairRule):
    """Training: frames at random, one in each of K equal parts, as MMAction2 draws segments."""

    rule: Literal["frame_pairs_train"] = "frame_pairs_train"

    def validation(self) -> FramePairs:
        """The rule that tests what this one trains."""
        return FramePairs(clips=self.clips, segments=self.segments, seconds=self.seconds)

    def _offsets(self, num_frames: int, random: RandomSource | None) -> NDArray[np.integer]:
        return draw_offsets(num_frames, 1, self.offsets, drawn(random, self))
