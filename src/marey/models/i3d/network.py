"""I3D on Inception-V1. Shape suffixes: B batch, C channels, T frames, H height, W width, D features, K classes."""

from torch import Tensor

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.inception import InceptionV1Trunk
from marey.models.network import PooledClassifier

_WINDOW = (2, 7, 7)
"""Time steps, rows and columns of the last map that DeepMind's head pools. 7x7 is the complete map of a 224-pixel frame."""


class InceptionI3D(PooledClassifier):
    """Inception-V1 in 3D. It trains on 64 frames; stem and two pools halve the number of frames three times."""

    def __init__(self, config: InceptionI3DConfig) -> None:
        trunk = InceptionV1Trunk(
            channels=config.channels, width=config.width, padding=config.padding, eps=config.norm_eps
        )
        super().__init__(trunk, num_classes=config.num_classes)
        self.pool = config.pool

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Mean of the pool's windows [B, D], before dropout.

        Windows overlap: inner positions of the map count more than outer ones.
        """
        return self._windows(clip_BCTHW).mean(dim=(2, 3, 4))

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits of each window, [B, K, T / 8 - 1, H / 32 - 6, W / 32 - 6]; of the global pool [B, K, 1, 1, 1]."""
        return self._classify(self._windows(clip_BCTHW).movedim(1, -1)).movedim(-1, 1)

    def _windows(self, clip_BCTHW: Tensor) -> Tensor:
        """The mean of each window, [B, D, T', H', W']. On an axis where the map is smaller, the window is as long as it."""
        (last,) = self.trunk(clip_BCTHW)
        if self.pool == "global":
            return last.mean(dim=(2, 3, 4), keepdim=True)
        # Views of all windows, because PyTorch has no 3D average pool in bfloat16 on a CPU.
        for axis, size in enumerate(_WINDOW, start=2):
            last = last.unfold(axis, min(size, last.shape[axis]), 1)
        return last.mean(dim=(-3, -2, -1))
