"""MMAction2 1.2's rules (mmaction/datasets/transforms/loading.py: SampleFrames, DenseSampleFrames), counted from 0.

Indices beyond the end of the video continue at its beginning (mod N), or repeat the last frame that fits.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveFloat, PositiveInt

from marey.base.random import RandomSource
from marey.video.sampling.rule import Indices, SamplingRule, rate, require_random


class _MMAction2Rule(SamplingRule):
    """Fields of the rules with a stride in frames, and how frames follow from offsets."""

    beyond: Literal["loop", "repeat_last"] = "loop"
    """Frames beyond the end of a short video: "loop": the video from its beginning; "repeat_last": its last frame that
    fits."""

    def _frames(self, offsets: NDArray[np.integer], num_frames: int) -> Indices:
        """Frames [K, frames] from offsets [K]."""
        indices = offsets.astype(np.int64)[:, None] + np.arange(self.frames) * self.stride
        if self.beyond == "loop":
            return indices % num_frames
        last = np.where(indices < num_frames, indices, 0).max(axis=1, keepdims=True)
        return np.where(indices < num_frames, indices, last)


class MMAction2Test(_MMAction2Rule):
    """Test: single frames are the middles of K equal sections. Longer runs begin at evenly spaced frames, from 0 to the
    last frame from which a run fits; a single run begins in the middle of these.
    """

    rule: Literal["mmaction2_test"] = "mmaction2_test"

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        return self._frames(self._offsets(num_frames), num_frames)

    def _offsets(self, num_frames: int) -> NDArray[np.integer]:
        if self.frames == 1:
            return middles(num_frames, self.offsets)
        last = max(num_frames - ((self.frames - 1) * self.stride + 1), 0)
        if self.offsets == 1:
            return np.array([last // 2])
        return np.round(np.arange(self.offsets) * (last / (self.offsets - 1))).astype(np.int64)


class _MMAction2FPSRule(SamplingRule, ABC):
    """With `target_fps`: a clip is frames * stride / fps seconds long, which are D frames of this video (a real number).

    Its frames are evenly spaced positions over D, rounded down and added to the clip's offset, modulo N.
    """

    segments: Literal[1] = 1
    """Number of segments; the rule has no formula for several."""
    fps: PositiveFloat = 30.0
    """Frame rate to which `stride` refers (`target_fps`), in frames per second, above 0."""

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        length = max(self.span * (rate(timestamps, self) / self.fps), 1.0)
        inside = np.linspace(0, length - 1, self.frames).astype(np.int64)
        return (self._offsets(num_frames, length, random).astype(np.int64)[:, None] + inside) % num_frames

    @abstractmethod
    def _offsets(self, num_frames: int, length: float, random: RandomSource | None) -> NDArray[Any]:
        """The offsets of the K clips."""


class MMAction2FPSTest(_MMAction2FPSRule):
    """Test with `target_fps`: clips begin floor((N - D) / (K - 1)) frames after each other, the first one at frame 0.

    A single clip begins at floor((N - D) / 2). Single frames come from the middles of K equal sections, as without
    `target_fps`.
    """

    rule: Literal["mmaction2_fps_test"] = "mmaction2_fps_test"

    def _offsets(self, num_frames: int, length: float, random: RandomSource | None) -> NDArray[Any]:
        if self.frames == 1:
            return middles(num_frames, self.clips)
        slack = max(num_frames - length, 0.0)
        if self.clips == 1:
            return np.array([slack // 2])
        return np.arange(self.clips) * (slack // (self.clips - 1))


class MMAction2FPSTrain(_MMAction2FPSRule):
    """Training with `target_fps`: as MMAction2Train, with D for the span."""

    rule: Literal["mmaction2_fps_train"] = "mmaction2_fps_train"

    def validation(self) -> MMAction2FPSTest:
        """MMAction2's rule for validation during training with this one."""
        return MMAction2FPSTest(clips=self.clips, frames=self.frames, stride=self.stride, fps=self.fps)

    def _offsets(self, num_frames: int, length: float, random: RandomSource | None) -> NDArray[Any]:
        return draw_offsets(num_frames, length, self.clips, require_random(random, self))


class MMAction2TwiceTest(_MMAction2Rule):
    """TSM's test ("twice_sample"): one clip from the middles of K equal sections, a second one from their beginnings."""

    rule: Literal["mmaction2_twice_test"] = "mmaction2_twice_test"
    clips: Literal[2] = 2
    """Number of clips: one from the middles, one from the beginnings."""
    frames: Literal[1] = 1
    """Number of frames from each segment; the rule has no formula for several."""
    spreads_both: ClassVar[bool] = True
    """True, because the rule has both clips and segments."""

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        beginnings = np.array([int(num_frames / self.segments * k) for k in range(self.segments)])
        return self._frames(np.concatenate([middles(num_frames, self.segments), beginnings]), num_frames)


class MMAction2DenseTest(_MMAction2Rule):
    """Dense test: `clips` windows of `window` frames begin evenly from frame 0 to the last that fits; the segments of a
    clip are spread over its window.
    """

    rule: Literal["mmaction2_dense_test"] = "mmaction2_dense_test"
    clips: PositiveInt = 10
    """Number of clips, each with its own window, whose scores are averaged."""
    window: PositiveInt = 64
    """Length of a window in frames, at least 1."""
    spreads_both: ClassVar[bool] = True
    """True, because the rule has both clips and segments."""

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        starts = np.linspace(0, max(num_frames - self.window, 0), num=self.clips, dtype=np.int64)
        inside = np.arange(self.segments) * (self.window // self.segments)
        return self._frames((starts[:, None] + inside).ravel() % num_frames, num_frames)


class MMAction2Train(_MMAction2Rule):
    """Training: one random offset in each of K equal sections; in short videos K sorted random or evenly spread ones."""

    rule: Literal["mmaction2_train"] = "mmaction2_train"

    def validation(self) -> MMAction2Test:
        """MMAction2's rule for validation during training with this one."""
        return MMAction2Test(
            clips=self.clips,
            segments=self.segments,
            frames=self.frames,
            stride=self.stride,
            beyond=self.beyond,
        )

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        return self._frames(draw_offsets(num_frames, self.span, self.offsets, require_random(random, self)), num_frames)


def draw_offsets(num_frames: int, span: float, count: int, random: RandomSource) -> NDArray[Any]:
    """`count` offsets of runs of `span` frames: a random one in each of `count` equal sections of the offsets that fit.

    If fewer than `count` offsets fit, random ones of these are drawn and sorted. If moreover the video has at most
    max(`count`, `span`) frames, evenly spread ones are taken, or zeros if no run fits.
    """
    choices = num_frames - span + 1
    section = choices // count
    if section > 0:
        in_sections: NDArray[Any] = np.arange(count) * section + np.asarray(random.randint(int(section), size=count))
        return in_sections
    if num_frames > max(count, span):
        anywhere: NDArray[Any] = np.sort(np.asarray(random.randint(int(choices), size=count)))
        return anywhere
    if section == 0:
        return np.around(np.arange(count) * (choices / count)).astype(np.int64)
    return np.zeros(count, dtype=np.int64)


def middles(num_frames: int, count: int) -> NDArray[np.integer]:
    """The middle frames of `count` equal sections of a video: int(N / K * k + N / 2K)."""
    section = num_frames / count
    return np.array([int(section * k + section / 2.0) for k in range(count)])
