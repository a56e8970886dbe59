"""SlowOnly on a 3D ResNet."""

from torch import Tensor

from marey.models.layers.classifier import PooledClassifier
from marey.models.layers.resnet import ResNetTrunk
from marey.models.slowonly.config import SlowOnlyConfig

_TEMPORAL_KERNELS = ((1,), (1,), (1,), (3,), (3,))
"""Of the stem and the four stages: no time before spatial stride 16, since motion there is larger than a kernel."""


class SlowOnly(PooledClassifier):
    """Every frame is kept to the end: no temporal stride, no temporal pool but the last, global one."""

    strides = ((1, 32, 32),)

    def __init__(self, config: SlowOnlyConfig) -> None:
        trunk = ResNetTrunk(
            config.depth, channels=config.channels, width=config.width, temporal_kernels=_TEMPORAL_KERNELS
        )
        super().__init__(trunk, channels=config.channels, num_classes=config.num_classes)

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map, [B, D, T, H / 32, W / 32]."""
        return (self.resnet(clip_BCTHW),)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits after the global pool, [B, K, 1, 1, 1]."""
        return self._classify(self.features(clip_BCTHW))[..., None, None, None]
