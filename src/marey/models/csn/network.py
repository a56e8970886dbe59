"""CSN on a 3D ResNet of bottlenecks."""

from functools import partial

from torch import nn

from marey.models.csn.config import CSNConfig
from marey.models.layers.factorised import MakeLayer, TwoSteps, bottlenecks
from marey.models.layers.resnet import ConvNorm, ResNetTrunk, kernel, projection
from marey.models.network import PooledClassifier


class CSN(PooledClassifier):
    """Pointwise convolutions mix channels, depthwise ones positions; only the stem is a full convolution."""

    channels_last = False

    def __init__(self, config: CSNConfig) -> None:
        trunk = ResNetTrunk(
            config.depth,
            channels=config.channels,
            width=config.width,
            temporal_kernels=((3,),) * 5,
            temporal_strides=(1, 1, 1, 2, 2, 2),
            block=bottlenecks(_make_layer(config), projection, eps=config.norm_eps),
            stem=partial(_stem, eps=config.norm_eps),
            spatial_pool=config.first_pool,
        )
        super().__init__(trunk, num_classes=config.num_classes, window=config.pool_window)
        self.config = config


def _stem(channels: int, width: int, *, eps: float) -> nn.Module:
    return ConvNorm(channels, width, kernel(3, 7), (1, 2, 2), eps=eps)


def _make_layer(config: CSNConfig) -> MakeLayer:
    eps = config.norm_eps

    def make(
        in_channels: int, out_channels: int, *, temporal: int, step: tuple[int, ...], block_channels: int
    ) -> nn.Module:
        groups = out_channels if config.depthwise else 1
        depthwise = ConvNorm(out_channels, out_channels, kernel(temporal, 3), step, groups=groups, eps=eps)
        if config.interaction == "reduced":
            return depthwise
        pointwise = ConvNorm(in_channels, out_channels, (1, 1, 1), eps=eps)
        return TwoSteps(pointwise, depthwise, relu=config.preserved_relu)

    return make
