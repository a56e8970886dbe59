"""PyTorchVideo's rules, in seconds (pytorchvideo/data/clip_sampling.py, encoded_video_pyav.py, UniformTemporalSubsample).

A clip consists of the frames shown from a start s (included) to s + `seconds` (excluded); `frames` of them are taken evenly,
including the first and the last. So the rule applies to any frame rate, also a variable one.
"""

from abc import ABC
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat

from marey.base.random import RandomSource
from marey.video.sampling.rule import Indices, SamplingRule, evenly, rate, require_random, seconds_of


class _PyTorchVideoRule(SamplingRule, ABC):
    """Fields of the rules, and how frames follow from starts."""

    segments: Literal[1] = 1
    """Number of segments; the rule has no formula for several."""
    stride: Literal[1] = 1
    """Not used: frames are spread over `seconds`."""
    seconds: PositiveFloat = 2.0
    """Length of a clip in seconds, above 0."""

    def _latest(self, timestamps: NDArray[np.float64] | None) -> float:
        """The latest start, in seconds, at which a complete clip fits; 0 in a shorter video."""
        times = seconds_of(timestamps, self)
        duration = times[-1] + 1 / rate(times, self)
        return max(float(duration) - self.seconds, 0.0)

    def _frames(self, starts: NDArray[np.float64], timestamps: NDArray[np.float64] | None) -> Indices:
        times = seconds_of(timestamps, self)
        clips = []
        for start in starts:
            # Half a microsecond of tolerance: a start that was computed from time stamps must find the frame at that time.
            first, end = np.searchsorted(times, [start - 5e-7, start + self.seconds - 5e-7])
            # Within a gap longer than the clip, the frame before the gap is shown.
            first, last = (first, end - 1) if end > first else (max(end - 1, 0),) * 2
            clips.append(first + evenly(0, last - first, self.frames).astype(np.int64))
        return np.stack(clips)


class PyTorchVideoTest(_PyTorchVideoRule):
    """Test ("constant_clips_per_video"): clip k of K starts at latest * k / K seconds, so that none ends with the video."""

    rule: Literal["pytorchvideo_test"] = "pytorchvideo_test"

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        return self._frames(self._latest(timestamps) * np.arange(self.clips) / self.clips, timestamps)


class PyTorchVideoTrain(_PyTorchVideoRule):
    """Training ("random"): the start is uniform between 0 and the latest possible."""

    rule: Literal["pytorchvideo_train"] = "pytorchvideo_train"

    def validation(self) -> PyTorchVideoTest:
        """The test rule with one clip, from the beginning, of the same length."""
        return PyTorchVideoTest(frames=self.frames, seconds=self.seconds)

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        source, latest = require_random(random, self), self._latest(timestamps)
        return self._frames(np.array([float(source.uniform(0, latest)) for _ in range(self.clips)]), timestamps)
