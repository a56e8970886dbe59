"""What all sampling rules share: their fields, and the folding of offsets into clips."""

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


class SamplingRule(Declaration, ABC):
    """A published way to choose frames. `rule` (of each subclass) names it in YAML."""

    spreads_both: ClassVar[bool] = False
    """Whether the rule has a formula for several clips of several segments each."""
    clips: PositiveInt = 1
    """How many clips: separate passes of the network whose scores are averaged."""
    segments: PositiveInt = 1
    """How many parts of the video one clip draws from (TSN)."""
    frames: PositiveInt = 1
    """Consecutive samples from each part."""
    stride: PositiveInt = 1
    """Video frames from one sample to the next."""

    @model_validator(mode="after")
    def _one_of_clips_and_segments(self) -> Self:
        if self.clips > 1 and self.segments > 1 and not self.spreads_both:
            raise ValueError("this rule spreads either clips or segments over the video: one of them must be 1")
        return self

    @property
    def span(self) -> int:
        """Frames * stride: the length that the toolkits reserve for a run of frames."""
        return self.frames * self.stride

    @property
    def offsets(self) -> int:
        """K: how many runs of frames are spread over the video."""
        return self.clips * self.segments

    @property
    def clip_frames(self) -> int:
        """Frames in one clip, all segments together."""
        return self.segments * self.frames

    def sample(
        self,
        num_frames: int,
        timestamps: NDArray[np.float64] | None = None,
        random: RandomSource | None = None,
    ) -> Indices:
        """Frame indices [clips, segments * frames], from 0, for a video of `num_frames` frames.

        `timestamps` are seconds [num_frames], for rules in seconds; `random` is needed by training rules.

        Raises:
            DataError: the video has no frames.
        """
        if num_frames < 1:
            raise DataError(f"cannot sample from a video of {counted(num_frames, 'frame')}.")
        runs = self.runs(num_frames, timestamps, random)
        return runs.reshape(self.clips, self.clip_frames)

    @abstractmethod
    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        """Frame indices [K, frames]: one row per offset."""


def drawn(random: RandomSource | None, rule: SamplingRule) -> RandomSource:
    """`random`, which a training rule cannot do without."""
    if random is None:
        raise DataError(
            f"{type(rule).__name__} draws at random: pass a random source, for example random_for(seed, i)."
        )
    return random


def seconds_of(timestamps: NDArray[np.float64] | None, rule: SamplingRule) -> NDArray[np.float64]:
    """Time stamps from 0, which a rule in seconds cannot do without."""
    if timestamps is None:
        raise DataError(f"{type(rule).__name__} counts in seconds: pass the video's timestamps (seconds, one a frame).")
    relative: NDArray[np.float64] = timestamps - timestamps[0]
    return relative


def rate(timestamps: NDArray[np.float64] | None, rule: SamplingRule) -> float:
    """Frames per second on average; a single frame counts as one at 30.

    To nine decimals: 25 must not come out as 25.000000000000004, since the rules take whole parts of products with it.
    """
    times = seconds_of(timestamps, rule)
    return round((len(times) - 1) / float(times[-1]), 9) if len(times) > 1 and times[-1] > 0 else 30.0


def evenly(start: float, end: float, count: int) -> NDArray[np.float32]:
    """`count` places evenly from start to end, both included, in float32 and from both ends as torch.linspace does.

    The toolkits take whole parts of such places: one rounding apart is another frame.
    """
    first, last = np.float32(start), np.float32(end)
    if count == 1:
        return np.array([first])
    step = np.float64((last - first) / np.float32(count - 1))
    ahead = np.arange(count)
    # Fused multiply and add: rounded once, as torch computes it.
    return np.where(ahead < count // 2, first + step * ahead, last - step * ahead[::-1]).astype(np.float32)
