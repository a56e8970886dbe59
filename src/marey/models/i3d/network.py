"""I3D on Inception-V1. Shape suffixes: B batch, C channels, T frames, H height, W width, D features, K classes."""

from torch import Tensor

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.classifier import PooledClassifier
from marey.models.layers.inception import InceptionV1Trunk

_WINDOW = (2, 7, 7)
"""What DeepMind's head averages: the whole picture at 224 pixels, and two neighbouring steps of time."""


class InceptionI3D(PooledClassifier):
    """64 frames in training, any number in testing; time is halved three times, by the stem and by two pools."""

    def __init__(self, config: InceptionI3DConfig) -> None:
        trunk = InceptionV1Trunk(
            channels=config.channels, width=config.width, padding=config.padding, eps=config.norm_eps
        )
        super().__init__(trunk, num_classes=config.num_classes)
        self.pool = config.pool

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before dropout. Windows overlap: inner places count more often than outer ones."""
        return self._windows(clip_BCTHW).mean(dim=(2, 3, 4))

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits of each window, [B, K, T / 8 - 1, H / 32 - 6, W / 32 - 6]; of the global pool [B, K, 1, 1, 1]."""
        return self._classify(self._windows(clip_BCTHW).movedim(1, -1)).movedim(-1, 1)

    def _windows(self, clip_BCTHW: Tensor) -> Tensor:
        """Means over the windows [B, D, T', H', W']. On a map smaller than the window it is the whole map."""
        (last,) = self.trunk(clip_BCTHW)
        if self.pool == "global":
            return last.mean(dim=(2, 3, 4), keepdim=True)
        # Views of all windows: PyTorch has no 3D average pool in bfloat16 on a CPU.
        for axis, size in enumerate(_WINDOW, start=2):
            last = last.unfold(axis, min(size, last.shape[axis]), 1)
        return last.mean(dim=(-3, -2, -1))
