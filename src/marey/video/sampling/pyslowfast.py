"""PySlowFast's rules (slowfast/datasets/decoder.py: get_start_end_idx, temporal_sampling), counted from 0.

With N frames at r frames per second, a clip spans D = frames * stride * r / fps frames, at least one, so that clips have the
same duration at any frame rate. From its start s, a real number, `frames` positions are spaced evenly from s to s + D - 1,
both included, rounded down and clipped to the video. So neighbouring frames are up to (D - 1) / (frames - 1) apart, not
`stride`.
"""

from abc import ABC
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from marey.base.random import RandomSource
from marey.video.sampling.rule import Indices, SamplingRule, evenly, rate, require_random


class _PySlowFastRule(SamplingRule, ABC):
    """Fields of the rules, and how frames follow from starts."""

    segments: Literal[1] = 1
    """Number of segments; the rule has no formula for several."""
    fps: PositiveFloat = 30.0
    """Frame rate to which `stride` refers, in frames per second, above 0."""

    def _length(self, timestamps: NDArray[np.float64] | None) -> float:
        """D: the length of a clip in frames of this video."""
        return max(self.span * rate(timestamps, self) / self.fps, 1.0)

    def _frames(self, starts: NDArray[np.float64], length: float, num_frames: int) -> Indices:
        clips = [evenly(start, start + length - 1, self.frames) for start in starts]
        return np.clip(np.stack(clips), 0, num_frames - 1).astype(np.int64)


class PySlowFastTest(_PySlowFastRule):
    """Test: clip k of K starts at (N - D) * k / K, so that none ends with the video; all start at 0 if N <= D."""

    rule: Literal["pyslowfast_test"] = "pyslowfast_test"

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        length = self._length(timestamps)
        starts = max(num_frames - length, 0) * np.arange(self.clips) / self.clips
        return self._frames(starts, length, num_frames)


class PySlowFastTrain(_PySlowFastRule):
    """Training: the start is uniform between 0 and N - D, a real number."""

    rule: Literal["pyslowfast_train"] = "pyslowfast_train"

    def validation(self) -> PySlowFastTest:
        """The test rule with one clip. (PySlowFast draws that clip at random in validation; this is its test's first
        clip.)
        """
        return PySlowFastTest(frames=self.frames, stride=self.stride, fps=self.fps)

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        length = self._length(timestamps)
        source = require_random(random, self)
        starts = np.array([float(source.uniform(0, max(num_frames - length, 0))) for _ in range(self.clips)])
        return self._frames(starts, length, num_frames)
