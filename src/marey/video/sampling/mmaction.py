"""MMAction v0.2's rules (mmaction/datasets/rawframes_dataset.py of c7e3b7c), counted from 0 instead of 1.

N is the number of frames of the video, K that of the offsets, and D = frames * stride the span. The rules below choose the
offsets. A run takes the frames p, p + stride, ... from its offset p on, up to index N - 2 at most; it then repeats the
frame that it took last. (MMAction counts frames from 1 and takes a further one only if its number is below N. So the last
frame of the video, N - 1, is taken only if it is the offset itself.)
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marey.base.random import RandomSource
from marey.video.sampling.rule import Indices, SamplingRule, require_random


class _MMActionRule(SamplingRule):
    def _frames(self, offsets: Indices, num_frames: int) -> Indices:
        """Frames [K, frames] from offsets [K]; steps that would reach the last frame are not taken."""
        steps = np.arange(self.frames) * self.stride
        allowed = np.maximum((num_frames - 2 - offsets) // self.stride, 0) * self.stride
        frames: Indices = offsets[:, None] + np.minimum(steps, allowed[:, None])
        return frames

    def _spread(self, num_frames: int) -> Indices:
        """The middles of K equal sections of the offsets at which a span fits: int(tick / 2 + tick * k)."""
        tick = (num_frames - self.span + 1) / self.offsets
        return np.array([int(tick / 2.0 + tick * k) for k in range(self.offsets)], dtype=np.int64)

    def _zeros(self) -> Indices:
        return np.zeros(self.offsets, dtype=np.int64)


class MMActionTest(_MMActionRule):
    """Test: offsets in the middles of K equal sections; all are 0 if no span fits (N <= D - 1)."""

    rule: Literal["mmaction_test"] = "mmaction_test"

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        offsets = self._spread(num_frames) if num_frames > self.span - 1 else self._zeros()
        return self._frames(offsets, num_frames)


class MMActionVal(_MMActionRule):
    """Validation: as the test, but all offsets are 0 already if N <= K + D - 1."""

    rule: Literal["mmaction_val"] = "mmaction_val"

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        offsets = self._spread(num_frames) if num_frames > self.offsets + self.span - 1 else self._zeros()
        return self._frames(offsets, num_frames)


class MMActionTrain(_MMActionRule):
    """Training: one random offset in each of K equal sections; in videos too short for that, K sorted random offsets; in
    videos of at most max(K, D) frames, all are 0.
    """

    rule: Literal["mmaction_train"] = "mmaction_train"

    def validation(self) -> MMActionVal:
        """MMAction's rule for validation during training with this one."""
        return MMActionVal(clips=self.clips, segments=self.segments, frames=self.frames, stride=self.stride)

    def runs(self, num_frames: int, timestamps: NDArray[np.float64] | None, random: RandomSource | None) -> Indices:
        return self._frames(self._draw(num_frames, require_random(random, self)), num_frames)

    def _draw(self, num_frames: int, random: RandomSource) -> Indices:
        section = (num_frames - self.span + 1) // self.offsets
        if section > 0:
            inside = np.asarray(random.randint(section, size=self.offsets))
            offsets: Indices = np.arange(self.offsets) * section + inside
            return offsets
        if num_frames > max(self.offsets, self.span):
            return np.sort(np.asarray(random.randint(num_frames - self.span + 1, size=self.offsets)))
        return self._zeros()
