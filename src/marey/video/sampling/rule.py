"""`SamplingRule`: the fields of all sampling rules, and how runs of frames form clips.

An offset is a frame at which a run begins. A run is `frames` frames from there on, mostly `stride` apart. A clip is the
runs of its `segments`, one after the other.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt, model_validator

from marey.base.declaration import Declaration
from marey.base.errors import DataError
from marey.base.random import RandomSource
from marey.base.words import counted

Indices = NDArray[np.int64]
"""Frame indices."""


class SamplingRule(Declaration, ABC):
    """A published way to choose frames. The field `rule` of each subclass names it in YAML."""

    spreads_both: ClassVar[bool] = False
    """Whether the rule has a formula for several clips of several segments each."""
    clips: PositiveInt = 1
    """Number of clips, which pass the network separately and whose scores are averaged."""
    segments: PositiveInt = 1
    """Number of segments of the video from which one clip takes frames (TSN)."""
    frames: PositiveInt = 1
    """Number of frames from each segment, `stride` apart."""
    stride: PositiveInt = 1
    """Distance of these frames in the video, in frames."""

    @model_validator(mode="after")
    def _one_of_clips_and_segments(self) -> Self:
        if self.clips > 1 and self.segments > 1 and not self.spreads_both:
            raise ValueError("this rule spreads either clips or segments over the video: one of them must be 1")
        return self

    @property
    def span(self) -> int:
        """`frames` * `stride`: the length of a run of frames in the toolkits."""
        return self.frames * self.stride

    @property
    def offsets(self) -> int:
        """K: the number of runs of frames in the video."""
        return self.clips * self.segments

    @property
    def clip_frames(self) -> int:
        """Number of frames in one clip, over all segments."""
        return self.segments * self.frames

    def sample(
        self,
        num_frames: int,
        timestamps: NDArray[np.float64] | None = None,
        random: RandomSource | None = None,
    ) -> Indices:
        """Frame indices [clips, segments * frames], from 0, for one video.

        Args:
            num_frames: Number of frames of the video.
            timestamps: Time of each frame in seconds [num_frames]; required by rules in seconds.
            random: Random source; required by rules for training.

        Raises:
            DataError: the video has no frames.
        """
        if num_frames < 1:
            raise DataError(f"cannot sample from a video of {counted(num_frames, 'frame')}.")
        runs = self.runs(num_frames, timestamps, random)
        return runs.reshape(self.clips, self.clip_frames)

    @abstractmethod
    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        """Frame indices [K, frames], one row for each run. The arguments are those of `sample`."""


def require_random(random: RandomSource | None, rule: SamplingRule) -> RandomSource:
    """Return `random`.

    Raises:
        DataError: it is None, and the rule needs it.
    """
    if random is None:
        raise DataError(
            f"{type(rule).__name__} draws at random: pass a random source, for example random_for(seed, i)."
        )
    return random


def seconds_of(timestamps: NDArray[np.float64] | None, rule: SamplingRule) -> NDArray[np.float64]:
    """The time stamps relative to the first one.

    Raises:
        DataError: there are none, and the rule needs them.
    """
    if timestamps is None:
        raise DataError(f"{type(rule).__name__} counts in seconds: pass the video's timestamps (seconds, one a frame).")
    relative: NDArray[np.float64] = timestamps - timestamps[0]
    return relative


def rate(timestamps: NDArray[np.float64] | None, rule: SamplingRule) -> float:
    """Mean frame rate in frames per second; 30 for a single frame.

    It is rounded to nine decimals, because the rules round products with it down: 25.000000000000004 must be 25.
    """
    times = seconds_of(timestamps, rule)
    return round((len(times) - 1) / float(times[-1]), 9) if len(times) > 1 and times[-1] > 0 else 30.0


def evenly(start: float, end: float, count: int) -> NDArray[np.float32]:
    """`count` evenly spaced positions from start to end, both included, in float32 with the arithmetic of torch.linspace.

    The toolkits round such positions down, so that a rounding difference would select another frame.
    """
    first, last = np.float32(start), np.float32(end)
    if count == 1:
        return np.array([first])
    step = np.float64((last - first) / np.float32(count - 1))
    ahead = np.arange(count)
    # torch uses a fused multiply-add, which rounds once: here by float64.
    return np.where(ahead < count // 2, first + step * ahead, last - step * ahead[::-1]).astype(np.float32)
