"""C2D and I3D on 3D ResNets."""

from marey.models.layers.non_local import insert_non_local
from marey.models.layers.resnet import ResNetTrunk
from marey.models.network import PooledClassifier
from marey.models.non_local.config import C2DConfig, I3DResNetConfig

_SINGLE_FRAMES = ((1,),) * 5
_TEMPORAL_KERNELS = {
    "alternately": ((5,), (3,), (3, 1), (3, 1), (1, 3)),
    "everywhere": ((5,), (3,), (3,), (3,), (3,)),
}
"""Lengths of the temporal kernels of the stem and of the four stages; the blocks of a stage take them in turn."""


class C2D(PooledClassifier):
    """All kernels are one frame long; only the second pool and the head's pool join frames."""

    def __init__(self, config: C2DConfig) -> None:
        trunk = ResNetTrunk(
            config.depth,
            channels=config.channels,
            width=config.width,
            temporal_kernels=_SINGLE_FRAMES,
            second_pool=config.second_pool,
            pool_padding=config.pool_padding,
        )
        super().__init__(trunk, num_classes=config.num_classes, window=config.pool_window)


class I3DResNet(PooledClassifier):
    """A ResNet with temporal kernels. Stem, pool and second pool may each halve the number of frames."""

    def __init__(self, config: I3DResNetConfig) -> None:
        trunk = ResNetTrunk(
            config.depth,
            channels=config.channels,
            width=config.width,
            temporal_kernels=_TEMPORAL_KERNELS[config.inflated],
            temporal_strides=(config.stem_stride, config.pool_stride, 1, 1, 1, 1),
            second_pool=config.second_pool,
        )
        insert_non_local(trunk, config.non_local)
        super().__init__(trunk, num_classes=config.num_classes, window=config.pool_window)
