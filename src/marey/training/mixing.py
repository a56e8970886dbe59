"""Mixup, cutmix and random erasing of a batch on its device, after `to_clip`.

All chance derives from the run's seed and the step (erasing: and the clip's place in the global batch), so that a
resumed run draws the same, and so does one that passes a batch in other parts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from marey.base.random import random_for, step_seed
from marey.recipe import Erase, Mix, Train
from marey.video.source import Box

_ERASE, _MIX = 5, 6
"""Tell their random streams from others of the same seed."""
_TRIES = 100


@dataclass(frozen=True)
class Blend:
    """How each clip of a batch takes from its partner.

    `share` is what the clip keeps: of every pixel, or of the picture's area outside `box`, in all frames alike.
    """

    share: float
    box: Box | None = None


def draw_blend(mix: Mix, height: int, width: int, random: np.random.RandomState) -> Blend | None:
    """One draw for a batch of clips of height x width pixels; None leaves it as it is."""
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
    # The box may leave the picture: what lies inside counts.
    return Blend(1 - box.height * box.width / (height * width), box)


def _extent(length: int, share: float, random: np.random.RandomState) -> tuple[int, int]:
    """Begin and end of a stretch of about share * length around a pixel drawn uniformly, cut off at both ends."""
    half, middle = int(length * share) // 2, int(random.randint(length))
    return max(middle - half, 0), min(middle + half, length)


def draw_boxes(erase: Erase, height: int, width: int, random: np.random.RandomState) -> list[Box]:
    """What is erased of one clip, in all its frames; empty for most clips."""
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
    """One step's batch as its parts go to the network: normalised, erased and mixed.

    The partner of clip i is clip n - 1 - i of this process's batch, as timm and PySlowFast pair them; both are erased
    before they meet. Nothing of a batch depends on how it is cut into parts.

    Args:
        frames: As the loader brings them, [B, T, H, W, C].
        targets: Classes int64 [B], or the values of all classes [B, K].
        normalise: Frames to clips [B, C, T, H, W].
        train: Says whether and how.
        key: (seed, step).
        rank: This process; its clip i is clip rank + i * world of the global batch.
        world: How many processes there are.
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

    def clips(self, places: range) -> Tensor:
        """The clips at these places of the batch, [b, C, T, H, W]."""
        clips = self._erased(places)
        if self.blend is None:
            return clips
        partners = self._erased(self._partners(places))
        if self.blend.box is None:
            return clips * self.blend.share + partners * (1 - self.blend.share)
        top, left, height, width = self.blend.box
        rows, columns = slice(top, top + height), slice(left, left + width)
        clips[..., rows, columns] = partners[..., rows, columns]
        return clips

    def shares(self, places: range, logits: Tensor) -> Tensor:
        """Their targets, as a loss on `logits` [b, K] takes them: as they came, or shares of classes [b, K]."""
        own = self.targets[list(places)]
        if self.blend is None:
            return own
        other = self.targets[list(self._partners(places))]
        if own.ndim == 1:
            own, other = (F.one_hot(target, logits.shape[1]) for target in (own, other))
        dtype = torch.promote_types(logits.dtype, torch.float32)
        return own.to(dtype) * self.blend.share + other.to(dtype) * (1 - self.blend.share)

    def _partners(self, places: range) -> range:
        """Counted from the batch's other end."""
        last = len(self.frames) - 1
        return range(last - places.start, last - places.stop, -places.step)

    def _erased(self, places: range) -> Tensor:
        ahead = places.step > 0
        frames = self.frames[places.start : places.stop : places.step] if ahead else self.frames[list(places)]
        clips = self.normalise(frames)
        if self.erase is not None:
            for clip, place in zip(clips, places, strict=True):
                self._erase(clip, self.erase, self.rank + place * self.world)
        return clips

    def _erase(self, clip_CTHW: Tensor, erase: Erase, place: int) -> None:
        key = (*self.key, place, _ERASE)
        boxes = draw_boxes(erase, clip_CTHW.shape[2], clip_CTHW.shape[3], random_for(*key))
        if not boxes:
            return
        noise = torch.Generator(clip_CTHW.device).manual_seed(step_seed(*key))
        for box in boxes:
            target = clip_CTHW[:, :, box.top : box.top + box.height, box.left : box.left + box.width]
            if erase.fill == "mean":
                target.zero_()
            else:
                shape = target.shape if erase.fill == "noise" else (len(target), 1, 1, 1)
                target.copy_(torch.randn(shape, generator=noise, device=target.device, dtype=target.dtype))
