"""MMAction2 1.2's rules (mmaction/datasets/transforms/loading.py: SampleFrames, DenseSampleFrames), counted from 0.

Indices beyond the video's end loop back to its beginning (mod N), or repeat the last frame that fits.
"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from marey.base.random import RandomSource
from marey.video.sampling.rule import Indices, SamplingRule, drawn


class _MMAction2Rule(SamplingRule):
    beyond: Literal["loop", "repeat_last"] = "loop"
    """What stands for frames past the end of a short video: the video again, or its last frame that fits."""

    def _frames(self, offsets: NDArray[np.integer], num_frames: int) -> Indices:
        """Frames [K, frames] from offsets [K]."""
        indices = offsets.astype(np.int64)[:, None] + np.arange(self.frames) * self.stride
        if self.beyond == "loop":
            return indices % num_frames
        last = np.where(indices < num_frames, indices, 0).max(axis=1, keepdims=True)
        return np.where(indices < num_frames, indices, last)


class MMAction2Test(_MMAction2Rule):
    """Test: single frames from the middle of K equal parts; longer runs evenly from the first to the last that fits."""

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


class MMAction2TwiceTest(_MMAction2Rule):
    """TSM's test ("twice_sample"): one clip from the middles of K equal parts, a second one from their beginnings."""

    rule: Literal["mmaction2_twice_test"] = "mmaction2_twice_test"
    clips: Literal[2] = 2
    frames: Literal[1] = 1
    spreads_both: ClassVar[bool] = True

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        beginnings = np.array([int(num_frames / self.segments * k) for k in range(self.segments)])
        return self._frames(np.concatenate([middles(num_frames, self.segments), beginnings]), num_frames)


class MMAction2DenseTest(_MMAction2Rule):
    """Dense test: `clips` windows of `window` frames, evenly from first to last; each is spread over by the segments."""

    rule: Literal["mmaction2_dense_test"] = "mmaction2_dense_test"
    clips: PositiveInt = 10
    window: PositiveInt = 64
    spreads_both: ClassVar[bool] = True

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        starts = np.linspace(0, max(num_frames - self.window, 0), num=self.clips, dtype=np.int64)
        inside = np.arange(self.segments) * (self.window // self.segments)
        return self._frames((starts[:, None] + inside).ravel() % num_frames, num_frames)


class MMAction2Train(_MMAction2Rule):
    """Training: one place at random in each of K equal parts; in short videos K sorted places, or evenly spread ones."""

    rule: Literal["mmaction2_train"] = "mmaction2_train"

    def validation(self) -> MMAction2Test:
        """The rule by which MMAction2 validates what this one trains."""
        return MMAction2Test(
            clips=self.clips,
            segments=self.segments,
            frames=self.frames,
            stride=self.stride,
            beyond=self.beyond,
        )

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        return self._frames(self._draw(num_frames, drawn(random, self)), num_frames)

    def _draw(self, num_frames: int, random: RandomSource) -> NDArray[np.integer]:
        places = num_frames - self.span + 1
        part = places // self.offsets
        if part > 0:
            drawn_places: Indices = np.arange(self.offsets) * part + np.asarray(random.randint(part, size=self.offsets))
            return drawn_places
        if num_frames > max(self.offsets, self.span):
            return np.sort(np.asarray(random.randint(places, size=self.offsets)))
        if part == 0:
            return np.around(np.arange(self.offsets) * (places / self.offsets)).astype(np.int64)
        return np.zeros(self.offsets, dtype=np.int64)


def middles(num_frames: int, parts: int) -> NDArray[np.integer]:
    """The middle frame of each of `parts` equal parts: int(N / K * k + N / 2K)."""
    part = num_frames / parts
    return np.array([int(part * k + part / 2.0) for k in range(parts)])
