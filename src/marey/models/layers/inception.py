"""The Inception family: GoogLeNet in three dimensions (I3D) and BN-Inception in two (TSN).

Szegedy et al., Going Deeper with Convolutions, CVPR 2015 (table 1); Ioffe and Szegedy, Batch Normalization, ICML 2015
(figure 5); Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017 (figure 3). Stages and blocks bear
GoogLeNet's numbers: stage 3 holds 3a, 3b, ... and is `stages[0]`.

Shape suffixes: B batch, C channels, T frames, H height, W width.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layers.checkpointing import Blocks
from marey.models.layers.convolutions import Conv2d, Conv3d
from marey.models.layers.trunk import Trunk


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's 'SAME' padding (front, back) of one axis: ceil(length / stride) steps, the odd zero at the back.

    Unlike a fixed padding it depends on the length: 7 / 2 pads (2, 3) on even lengths and (3, 3) on odd ones.
    """
    total = max(kernel - (length % stride or stride), 0)
    return total // 2, total - total // 2


class SamePad(nn.Module):
    """Zeros around the last axes, as TensorFlow's 'SAME' has them for a kernel and stride alike on all axes."""

    def __init__(self, axes: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.axes, self.kernel, self.stride = axes, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        # F.pad counts axes from the last one.
        sides = [same_padding(x.shape[-axis], self.kernel, self.stride) for axis in range(1, self.axes + 1)]
        return F.pad(x, [side for front_back in sides for side in front_back])


class SamePool(nn.Module):
    """Max pool padded as TensorFlow's 'SAME'.

    The front is padded explicitly, the back by rounding the number of windows up, so that no copy of the map is made
    (which holds for windows of odd size, and for those as wide as their step). What is padded never is the maximum, as
    in TensorFlow.
    """

    def __init__(self, size: tuple[int, ...], step: tuple[int, ...]) -> None:
        super().__init__()
        self.size, self.step = size, step

    def forward(self, x: Tensor) -> Tensor:
        lengths = x.shape[-len(self.size) :]
        front = [same_padding(*axis)[0] for axis in zip(lengths, self.size, self.step, strict=True)]
        pool = F.max_pool2d if len(self.size) == 2 else F.max_pool3d
        return pool(x, self.size, self.step, front, ceil_mode=True)


class ConvNormReLU(nn.Module):
    """A convolution, batch norm and ReLU. 2D or 3D by `axes`; `padded` keeps the size (divided by the stride).

    MMAction's BN-Inception has biases before its norms, which its checkpoints hold; they change nothing that is learnt.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        stride: int = 1,
        *,
        axes: Literal[2, 3],
        padded: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        convolution, norm = (Conv2d, nn.BatchNorm2d) if axes == 2 else (Conv3d, nn.BatchNorm3d)
        padding = size // 2 if padded else 0
        self.conv = convolution(in_channels, out_channels, size, stride, padding, bias=axes == 2)
        self.norm = norm(out_channels, eps=eps, momentum=0.1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(x)))  # type: ignore[no-any-return]


class Mixed(nn.ModuleDict):
    """Branches by name, each from the same map, joined along the channels in the order in which they are given."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.values()], dim=1)


class _V1(NamedTuple):
    """Channels of a GoogLeNet block: 1x1; 3x3 and what reduces before it; 5x5 likewise; behind the pool."""

    one: int
    three_reduce: int
    three: int
    five_reduce: int
    five: int
    pool: int


_V1_STAGES = (
    (_V1(64, 96, 128, 16, 32, 32), _V1(128, 128, 192, 32, 96, 64)),
    (
        _V1(192, 96, 208, 16, 48, 64),
        _V1(160, 112, 224, 24, 64, 64),
        _V1(128, 128, 256, 24, 64, 64),
        _V1(112, 144, 288, 32, 64, 64),
        _V1(256, 160, 320, 32, 128, 128),
    ),
    (_V1(256, 160, 320, 32, 128, 128), _V1(384, 192, 384, 48, 128, 128)),
)
_V1_POOLS = (((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2)))
"""Size and stride of the pool before each stage; the one inside the stem is the first one, too."""


class InceptionV1Trunk(Trunk):
    """GoogLeNet with a third axis in every kernel: [B, C, T, H, W] to [B, 1024, T / 8, H / 32, W / 32].

    `padding` matters on odd lengths only: "same" is TensorFlow's; "mmaction" pads the first convolution (2, 4) and
    the pools at the back. The 5x5 branches have kernels of 3, as in I3D.
    """

    name, strides = "inception", (8, 32, 32)

    def __init__(self, *, channels: int, width: int, padding: Literal["same", "mmaction"], eps: float) -> None:
        super().__init__()
        same = padding == "same"
        pools = [SamePool(*p) if same else nn.MaxPool3d(*p, ceil_mode=True) for p in (_V1_POOLS[0], *_V1_POOLS)]
        first, second, third = (_scaled(c, width) for c in (64, 64, 192))
        self.stem = nn.Sequential(
            OrderedDict(
                pad=SamePad(3, kernel=7, stride=2) if same else nn.ConstantPad3d((2, 4) * 3, 0.0),
                a=ConvNormReLU(channels, first, 7, 2, axes=3, padded=False, eps=eps),
                pool=pools[0],
                b=ConvNormReLU(first, second, 1, axes=3, eps=eps),
                c=ConvNormReLU(second, third, 3, axes=3, eps=eps),
            )
        )
        self.stages = nn.ModuleList()
        in_channels = third
        for blocks, pool in zip(_V1_STAGES, pools[1:], strict=True):
            stage = OrderedDict[str, nn.Module](pool=pool)
            for letter, block in zip("abcde", blocks, strict=False):
                scaled = _V1(*(_scaled(c, width) for c in block))
                stage[letter] = _v1_block(in_channels, scaled, eps)
                in_channels = scaled.one + scaled.three + scaled.five + scaled.pool
            self.stages.append(Blocks(stage))
        self.out_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        return _through(self.stem, self.stages, x)


def _v1_block(in_channels: int, block: _V1, eps: float) -> Mixed:
    def unit(before: int, after: int, size: int) -> ConvNormReLU:
        return ConvNormReLU(before, after, size, axes=3, eps=eps)

    return Mixed(
        OrderedDict(
            one=unit(in_channels, block.one, 1),
            three=_chain(a=unit(in_channels, block.three_reduce, 1), b=unit(block.three_reduce, block.three, 3)),
            five=_chain(a=unit(in_channels, block.five_reduce, 1), b=unit(block.five_reduce, block.five, 3)),
            pool=_chain(pool=nn.MaxPool3d(3, 1, 1), a=unit(in_channels, block.pool, 1)),
        )
    )


class _BN(NamedTuple):
    """Channels of a BN-Inception block: 1x1; 3x3 and what reduces before it; two 3x3 likewise; behind the pool.

    A block without the first and the last halves the picture.
    """

    one: int
    three_reduce: int
    three: int
    pair_reduce: int
    pair: int
    pool: int


_BN_STAGES = (
    (_BN(64, 64, 64, 64, 96, 32), _BN(64, 64, 96, 64, 96, 64), _BN(0, 128, 160, 64, 96, 0)),
    (
        _BN(224, 64, 96, 96, 128, 128),
        _BN(192, 96, 128, 96, 128, 128),
        _BN(160, 128, 160, 128, 160, 128),
        _BN(96, 128, 192, 160, 192, 128),
        _BN(0, 128, 192, 192, 256, 0),
    ),
    (_BN(352, 192, 320, 160, 224, 128), _BN(352, 192, 320, 192, 224, 128)),
)


class BNInceptionTrunk(Trunk):
    """BN-Inception in MMAction's form (biased convolutions): [B, C, H, W] to [B, 1024, H / 32, W / 32]."""

    name, strides = "inception", (1, 32, 32)

    def __init__(self, *, channels: int, width: int) -> None:
        super().__init__()
        first, second, third = (_scaled(c, width) for c in (64, 64, 192))
        self.stem = nn.Sequential(
            OrderedDict(
                a=ConvNormReLU(channels, first, 7, 2, axes=2),
                pool=nn.MaxPool2d(3, 2, ceil_mode=True),
                b=ConvNormReLU(first, second, 1, axes=2),
                c=ConvNormReLU(second, third, 3, axes=2),
                pool_c=nn.MaxPool2d(3, 2, ceil_mode=True),
            )
        )
        self.stages = nn.ModuleList()
        in_channels = third
        for blocks in _BN_STAGES:
            stage = OrderedDict[str, nn.Module]()
            for letter, block in zip("abcde", blocks, strict=False):
                scaled = _BN(*(c and _scaled(c, width) for c in block))
                # Only the very last block looks for the maximum around each place; the others average.
                last = block is _BN_STAGES[-1][-1]
                stage[letter] = _bn_block(in_channels, scaled, nn.MaxPool2d(3, 1, 1) if last else nn.AvgPool2d(3, 1, 1))
                in_channels = scaled.three + scaled.pair + (scaled.one + scaled.pool or in_channels)
            self.stages.append(Blocks(stage))
        self.out_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        return _through(self.stem, self.stages, x)


def _bn_block(in_channels: int, block: _BN, pool: nn.Module) -> Mixed:
    def unit(before: int, after: int, size: int, stride: int = 1) -> ConvNormReLU:
        return ConvNormReLU(before, after, size, stride, axes=2)

    stride = 1 if block.one else 2
    branches = OrderedDict[str, nn.Module]()
    if block.one:
        branches["one"] = unit(in_channels, block.one, 1)
    branches["three"] = _chain(
        a=unit(in_channels, block.three_reduce, 1), b=unit(block.three_reduce, block.three, 3, stride)
    )
    branches["pair"] = _chain(
        a=unit(in_channels, block.pair_reduce, 1),
        b=unit(block.pair_reduce, block.pair, 3),
        c=unit(block.pair, block.pair, 3, stride),
    )
    if block.pool:
        branches["pool"] = _chain(pool=pool, a=unit(in_channels, block.pool, 1))
    else:
        # MMAction rounds up without padding, which is the same on even maps and one row short of the convolutions on
        # odd ones, where its network cannot run.
        branches["pool"] = SamePool((3, 3), (2, 2))
    return Mixed(branches)


def _chain(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _scaled(channels: int, width: int) -> int:
    return max(1, channels * width // 64)


def _through(stem: nn.Module, stages: Sequence[nn.Module] | nn.ModuleList, x: Tensor) -> Tensor:
    x = stem(x)
    for stage in stages:
        x = stage(x)
    return x
