"""R(2+1)D, R3D and MC3 on 3D ResNets."""

from functools import partial

from torch import nn

from marey.models.layers.factorised import MakeLayer, MakeShortcut, TwoSteps, basic_blocks, bottlenecks
from marey.models.layers.resnet import ConvNorm, ResNetTrunk, kernel, projection
from marey.models.network import PooledClassifier
from marey.models.r2plus1d.config import R2Plus1DConfig

_MIXED = ((3,), (3,), (1,), (1,), (1,))
"""MC3's temporal kernels of the stem and the four stages."""


class R2Plus1D(PooledClassifier):
    """A 3D ResNet with temporal kernels in every block; in MC3 in the stem and the first stage only."""

    channels_last = False

    def __init__(self, config: R2Plus1DConfig) -> None:
        make_blocks = bottlenecks if config.depth >= 50 else basic_blocks
        trunk = ResNetTrunk(
            config.depth,
            channels=config.channels,
            width=config.width,
            temporal_kernels=_MIXED if config.convolutions == "mixed" else ((3,),) * 5,
            temporal_strides=(1, 1, *config.temporal_strides),
            spatial_strides=(config.first_stride, 2, 2, 2),
            block=make_blocks(_make_layer(config), _make_shortcut(config), eps=config.norm_eps),
            stem=partial(_stem, config=config),
            spatial_pool=config.first_pool,
        )
        super().__init__(trunk, num_classes=config.num_classes, window=config.pool_window)
        self.config = config


def middle_channels(in_channels: int, out_channels: int, side: int) -> int:
    """Channels between a 1 x side x side and a 3x1x1 convolution, for which both together have as many parameters as one of
    3 x side x side. Rounded down (section 3.5).
    """
    return 3 * side**2 * in_channels * out_channels // (side**2 * in_channels + 3 * out_channels)


def space_time(
    in_channels: int,
    middle: int,
    out_channels: int,
    size: tuple[int, int],
    step: tuple[int, ...],
    *,
    eps: float,
    middle_eps: float | None,
) -> TwoSteps:
    """A spatial convolution and a temporal one, each with its share of the stride; `size` is (temporal, spatial)."""
    (temporal, side), (time, space, _) = size, step
    return TwoSteps(
        ConvNorm(in_channels, middle, (1, side, side), (1, space, space), eps=middle_eps or eps),
        ConvNorm(middle, out_channels, (temporal, 1, 1), (time, 1, 1), eps=eps),
    )


def _stem(channels: int, width: int, *, config: R2Plus1DConfig) -> nn.Module:
    if not config.stem_middle:
        return ConvNorm(channels, width, kernel(config.stem_frames, 7), (1, 2, 2), eps=config.norm_eps)
    size = (config.stem_frames, 7)
    eps, middle_eps = config.norm_eps, config.middle_eps
    return space_time(channels, config.stem_middle, width, size, (1, 2, 2), eps=eps, middle_eps=middle_eps)


def _make_layer(config: R2Plus1DConfig) -> MakeLayer:
    eps = config.norm_eps

    def whole(
        in_channels: int, out_channels: int, *, temporal: int, step: tuple[int, ...], block_channels: int
    ) -> nn.Module:
        return ConvNorm(in_channels, out_channels, kernel(temporal, 3), step, eps=eps)

    def time_first(
        in_channels: int, out_channels: int, *, temporal: int, step: tuple[int, ...], block_channels: int
    ) -> nn.Module:
        time, space, _ = step
        return TwoSteps(
            ConvNorm(in_channels, out_channels, (temporal, 1, 1), (time, 1, 1), eps=config.middle_eps or eps),
            ConvNorm(out_channels, out_channels, (1, 3, 3), (1, space, space), eps=eps),
        )

    def space_first(
        in_channels: int, out_channels: int, *, temporal: int, step: tuple[int, ...], block_channels: int
    ) -> nn.Module:
        counted = block_channels if config.convolutions == "block_space_time" else in_channels
        middle = middle_channels(counted, out_channels, 3)
        return space_time(in_channels, middle, out_channels, (temporal, 3), step, eps=eps, middle_eps=config.middle_eps)

    if config.convolutions in ("whole", "mixed"):
        return whole
    return time_first if config.convolutions == "time_space" else space_first


def _make_shortcut(config: R2Plus1DConfig) -> MakeShortcut:
    def factorised(in_channels: int, out_channels: int, step: tuple[int, ...], *, eps: float) -> nn.Module | None:
        if projection(in_channels, out_channels, step) is None:
            return None
        middle = middle_channels(in_channels, out_channels, 1)
        return space_time(in_channels, middle, out_channels, (1, 1), step, eps=eps, middle_eps=config.middle_eps)

    return projection if config.shortcut == "pointwise" else factorised
