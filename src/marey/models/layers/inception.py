"""The Inception family: GoogLeNet in three dimensions (I3D) and BN-Inception in two (TSN).

Szegedy et al., Going Deeper with Convolutions, CVPR 2015 (table 1); Ioffe and Szegedy, Batch Normalization, ICML 2015
(figure 5); Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017 (figure 3). Blocks have GoogLeNet's letters;
its stage 3 (3a, 3b, ...) is `stages[0]`.

Shape suffixes: B batch, C channels, T frames, H height, W width.
"""

from collections import OrderedDict
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from marey.models.layers.checkpointing import Blocks
from marey.models.layers.convolutions import Conv2d, Conv3d
from marey.models.layers.trunk import Trunk


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's 'SAME' padding (before, after) of one axis, for ceil(length / stride) outputs; the odd zero comes after.

    Unlike a fixed padding it depends on the length: for kernel 7 and stride 2 it is (2, 3) on even lengths, (3, 3) on
    odd ones.
    """
    total = max(kernel - (length % stride or stride), 0)
    return total // 2, total - total // 2


class SamePad(nn.Module):
    """Pads the last axes with zeros as TensorFlow's 'SAME'; kernel and stride are the same on all of them."""

    def __init__(self, axes: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.axes, self.kernel, self.stride = axes, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        # F.pad counts axes from the last one.
        sides = [same_padding(x.shape[-axis], self.kernel, self.stride) for axis in range(1, self.axes + 1)]
        return F.pad(x, [side for front_back in sides for side in front_back])


class SamePool(nn.Module):
    """Max pool padded as TensorFlow's 'SAME'. The padding is never the maximum.

    It makes no padded copy of the map: the padding before is an argument of the pool, and the padding after follows from
    rounding the number of windows up. That equals 'SAME' if the window's size is odd or equal to its stride.
    """

    def __init__(self, size: tuple[int, ...], step: tuple[int, ...]) -> None:
        super().__init__()
        self.size, self.step = size, step

    def forward(self, x: Tensor) -> Tensor:
        lengths = x.shape[-len(self.size) :]
        before = [same_padding(*axis)[0] for axis in zip(lengths, self.size, self.step, strict=True)]
        pool = F.max_pool2d if len(self.size) == 2 else F.max_pool3d
        return pool(x, self.size, self.step, before, ceil_mode=True)


class ConvNormReLU(nn.Module):
    """A convolution, batch norm and ReLU; 2D or 3D by `axes`. `padded` keeps the size (divided by the stride).

    In 2D the convolution has a bias, because MMAction's checkpoints of BN-Inception have one; the norm cancels the bias.
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
    """Branches by name that see the same map; their outputs are concatenated along the channels in the given order."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.values()], dim=1)


class _V1(NamedTuple):
    """Channels of a GoogLeNet block: 1x1; 3x3 and the 1x1 before it; 5x5 and the 1x1 before it; the 1x1 after the pool."""

    one: int
    """Channels of the 1x1 branch."""
    three_reduce: int
    """Channels of the 1x1 before the 3x3."""
    three: int
    """Channels of the 3x3."""
    five_reduce: int
    """Channels of the 1x1 before the 5x5."""
    five: int
    """Channels of the 5x5."""
    pool: int
    """Channels of the 1x1 after the pool."""


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
"""Size and stride of the pool before each stage; the pool inside the stem has those of the first one."""


class InceptionV1Trunk(Trunk):
    """GoogLeNet with a third axis in every kernel: [B, C, T, H, W] to [B, 1024, T / 8, H / 32, W / 32].

    `padding` is "same", TensorFlow's, or "mmaction", which pads the first convolution by 2 before and 4 after,
    and the pools only after; the two differ on odd lengths. The 5x5 branches have kernels of 3, as in I3D.
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


def _v1_block(in_channels: int, block: _V1, eps: float) -> Mixed:
    def layer(inputs: int, outputs: int, size: int) -> ConvNormReLU:
        return ConvNormReLU(inputs, outputs, size, axes=3, eps=eps)

    return Mixed(
        OrderedDict(
            one=layer(in_channels, block.one, 1),
            three=_chain(a=layer(in_channels, block.three_reduce, 1), b=layer(block.three_reduce, block.three, 3)),
            five=_chain(a=layer(in_channels, block.five_reduce, 1), b=layer(block.five_reduce, block.five, 3)),
            pool=_chain(pool=nn.MaxPool3d(3, 1, 1), a=layer(in_channels, block.pool, 1)),
        )
    )


class _BN(NamedTuple):
    """Channels of a BN-Inception block: 1x1; 3x3 and the 1x1 before it; two 3x3 and the 1x1 before; the 1x1 after the pool.

    `one` and `pool` are 0 in a block that halves height and width: it has no 1x1 branch, and no convolution after the pool.
    """

    one: int
    """Channels of the 1x1 branch; 0: no branch."""
    three_reduce: int
    """Channels of the 1x1 before the 3x3."""
    three: int
    """Channels of the 3x3."""
    pair_reduce: int
    """Channels of the 1x1 before the two 3x3."""
    pair: int
    """Channels of each of the two 3x3."""
    pool: int
    """Channels of the 1x1 after the pool; 0: no convolution."""


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
    """BN-Inception with MMAction's biased convolutions: [B, C, H, W] to [B, 1024, H / 32, W / 32]."""

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
                # Only the last block of the network has a max pool; the others have an average pool.
                last = block is _BN_STAGES[-1][-1]
                stage[letter] = _bn_block(in_channels, scaled, nn.MaxPool2d(3, 1, 1) if last else nn.AvgPool2d(3, 1, 1))
                in_channels = scaled.three + scaled.pair + (scaled.one + scaled.pool or in_channels)
            self.stages.append(Blocks(stage))
        self.out_channels = in_channels


def _bn_block(in_channels: int, block: _BN, pool: nn.Module) -> Mixed:
    def layer(inputs: int, outputs: int, size: int, stride: int = 1) -> ConvNormReLU:
        return ConvNormReLU(inputs, outputs, size, stride, axes=2)

    stride = 1 if block.one else 2
    branches = OrderedDict[str, nn.Module]()
    if block.one:
        branches["one"] = layer(in_channels, block.one, 1)
    branches["three"] = _chain(
        a=layer(in_channels, block.three_reduce, 1), b=layer(block.three_reduce, block.three, 3, stride)
    )
    branches["pair"] = _chain(
        a=layer(in_channels, block.pair_reduce, 1),
        b=layer(block.pair_reduce, block.pair, 3),
        c=layer(block.pair, block.pair, 3, stride),
    )
    if block.pool:
        branches["pool"] = _chain(pool=pool, a=layer(in_channels, block.pool, 1))
    else:
        # MMAction rounds up without padding. On even maps that is the same; on odd ones its pool has one row fewer than
        # its convolutions, so that its network cannot run there.
        branches["pool"] = SamePool((3, 3), (2, 2))
    return Mixed(branches)


def _chain(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _scaled(channels: int, width: int) -> int:
    return max(1, channels * width // 64)
