"""Mixup, cutmix and random erasing of a batch on its device, after normalisation.

Random numbers depend only on the run's seed and the step, in erasing also on the clip's index in the global batch. A
resumed run, and a run with other micro-batches, therefore draws the same numbers.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.base.random import random_for, torch_seed
from marey.recipe import Erase, Mix, Train
from marey.video.source import Box

_ERASE, _MIX = 5, 6
"""Components of the random seed, which separate erasing and mixing from other random choices."""
_TRIES = 100
"""Largest number of boxes that are drawn until one fits into the frame."""


@dataclass(frozen=True)
class Blend:
    """How each clip of a batch is mixed with its partner."""

    share: float
    """The weight of the clip itself in its targets, 0 to 1. In mixup also the weight of its pixels; in cutmix the share
    of the frame outside `box`."""
    box: Box | None = None
    """In cutmix the region that comes from the partner, in all frames; None in mixup."""


def draw_blend(mix: Mix, height: int, width: int, random: np.random.RandomState) -> Blend | None:
    """Draw how a batch of clips of height x width pixels is mixed; None: the batch is not mixed."""
    if random.uniform() >= mix.probability:
        return None
    cut = mix.cutmix_alpha > 0 and (mix.mixup_alpha == 0 or random.uniform() < mix.switch)
    alpha = mix.cutmix_alpha if cut else mix.mixup_alpha
    share = float(random.beta(alpha, alpha))
    if not cut:
        return Blend(share)
    side = math.sqrt(1 - share)
    top, bottom = _extent(height, side, random)
    left, right = _extent(width, side, random)
    box = Box(top, left, bottom - top, right - left)
    # The share is computed from the box after it was cut off at the frame's border.
    return Blend(1 - box.height * box.width / (height * width), box)


def _extent(length: int, share: float, random: np.random.RandomState) -> tuple[int, int]:
    """Begin and end of an interval of about share * length pixels around a random pixel, cut off at the frame's ends."""
    half, middle = int(length * share) // 2, int(random.randint(length))
    return max(middle - half, 0), min(middle + half, length)


def draw_boxes(erase: Erase, height: int, width: int, random: np.random.RandomState) -> list[Box]:
    """Draw the regions that are erased from all frames of one clip; none with probability 1 - `erase.probability`."""
    if random.uniform() >= erase.probability:
        return []
    return [box for _ in range(erase.boxes) if (box := _draw_box(erase, height, width, random)) is not None]


def _draw_box(erase: Erase, height: int, width: int, random: np.random.RandomState) -> Box | None:
    flattest = math.log(erase.flattest)
    for _ in range(_TRIES):
        area = random.uniform(*erase.area) * height * width / erase.boxes
        ratio = math.exp(random.uniform(flattest, -flattest))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < h < height and 0 < w < width:
            return Box(int(random.randint(height - h + 1)), int(random.randint(width - w + 1)), h, w)
    return None


class MixedBatch:
    """The batch of one step in one process. Micro-batches are taken from it; their clips are normalised, erased and mixed.

    The partner of clip i is clip n - 1 - i of this process's batch, as in timm and PySlowFast; both are erased before they
    are mixed. The clips do not depend on how the batch is split into micro-batches.

    Args:
        frames: From the loader, [B, T, H, W, C].
        targets: Class indices int64 [B], or a value for each class [B, K].
        normalise: From frames to clips [B, C, T, H, W].
        train: The section `train` of the recipe, with erasing and mixing.
        key: The run's seed and the step (from 0), for random numbers.
        rank: The rank of this process, whose clip i is clip rank + i * world of the global batch.
        world: The number of processes.
    """

    def __init__(
        self, frames: Tensor, targets: Tensor, normalise: Callable[[Tensor], Tensor], train: Train,
        *, key: tuple[int, int], rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        self.frames, self.targets, self.normalise, self.erase = frames, targets, normalise, train.erase
        self.key, self.rank, self.world = key, rank, world
        self.blend: Blend | None = None
        if train.mix is not None:
            height, width = frames.shape[2:4]
            self.blend = draw_blend(train.mix, height, width, random_for(*key, 0, _MIX))

    def clips(self, indices: range) -> Tensor:
        """The clips at these indices of the batch, [b, C, T, H, W]."""
        clips = self._erased(indices)
        if self.blend is None:
            return clips
        partners = self._erased(self._partners(indices))
        if self.blend.box is None:
            return clips * self.blend.share + partners * (1 - self.blend.share)
        top, left, height, width = self.blend.box
        rows, columns = slice(top, top + height), slice(left, left + width)
        clips[..., rows, columns] = partners[..., rows, columns]
        return clips

    def shares(self, indices: range, logits: Tensor) -> Tensor:
        """The targets of these clips for a loss on `logits` [b, K]: with mixing, a share of each class [b, K]; without
        mixing, the loader's targets.
        """
        own = self.targets[list(indices)]
        if self.blend is None:
            return own
        other = self.targets[list(self._partners(indices))]
        if own.ndim == 1:
            own, other = (F.one_hot(target, logits.shape[1]) for target in (own, other))
        dtype = torch.promote_types(logits.dtype, torch.float32)
        return own.to(dtype) * self.blend.share + other.to(dtype) * (1 - self.blend.share)

    def _partners(self, indices: range) -> range:
        """The indices of the partners, counted from the other end of the batch."""
        last = len(self.frames) - 1
        return range(last - indices.start, last - indices.stop, -indices.step)

    def _erased(self, indices: range) -> Tensor:
        ahead = indices.step > 0
        frames = self.frames[indices.start : indices.stop : indices.step] if ahead else self.frames[list(indices)]
        clips = self.normalise(frames)
        if self.erase is not None:
            for clip, index in zip(clips, indices, strict=True):
                self._erase(clip, self.erase, self.rank + index * self.world)
        return clips

    def _erase(self, clip_CTHW: Tensor, erase: Erase, index: int) -> None:
        key = (*self.key, index, _ERASE)
        boxes = draw_boxes(erase, clip_CTHW.shape[2], clip_CTHW.shape[3], random_for(*key))
        if not boxes:
            return
        noise = torch.Generator(clip_CTHW.device).manual_seed(torch_seed(*key))
        for box in boxes:
            target = clip_CTHW[:, :, box.top : box.top + box.height, box.left : box.left + box.width]
            if erase.fill == "mean":
                target.zero_()
            else:
                shape = target.shape if erase.fill == "noise" else (len(target), 1, 1, 1)
                target.copy_(torch.randn(shape, generator=noise, device=target.device, dtype=target.dtype))
