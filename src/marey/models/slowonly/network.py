"""SlowOnly on a 3D ResNet."""

from marey.models.layers.non_local import insert_non_local
from marey.models.layers.resnet import ResNetTrunk
from marey.models.network import PooledClassifier
from marey.models.slowonly.config import SlowOnlyConfig

_TEMPORAL_KERNELS = ((1,), (1,), (1,), (3,), (3,))
"""For the stem and the four stages. Where maps are finer than stride 16, objects move farther than a kernel of 3 reaches."""


class SlowOnly(PooledClassifier):
    """The slow pathway. The number of frames is the same up to the last pool."""

    def __init__(self, config: SlowOnlyConfig) -> None:
        trunk = ResNetTrunk(
            config.depth, channels=config.channels, width=config.width, temporal_kernels=_TEMPORAL_KERNELS
        )
        insert_non_local(trunk, config.non_local)
        super().__init__(trunk, num_classes=config.num_classes, window=config.pool_window)
