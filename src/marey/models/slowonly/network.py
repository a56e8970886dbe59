"""SlowOnly on a 3D ResNet."""

from marey.models.layers.classifier import PooledClassifier
from marey.models.layers.non_local import insert_non_local
from marey.models.layers.resnet import ResNetTrunk
from marey.models.slowonly.config import SlowOnlyConfig

_TEMPORAL_KERNELS = ((1,), (1,), (1,), (3,), (3,))
"""Of the stem and the four stages: no time before spatial stride 16, since motion there is larger than a kernel."""


class SlowOnly(PooledClassifier):
    """Every frame is kept to the end: no temporal stride, no temporal pool but the last one."""

    def __init__(self, config: SlowOnlyConfig) -> None:
        trunk = ResNetTrunk(
            config.depth, channels=config.channels, width=config.width, temporal_kernels=_TEMPORAL_KERNELS
        )
        insert_non_local(trunk, config.non_local)
        super().__init__(trunk, num_classes=config.num_classes, window=config.pool_window)
