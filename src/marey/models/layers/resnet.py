"""The ResNet family in two and three dimensions: He et al., Deep Residual Learning, CVPR 2016.

TSN (2D) and the 3D networks have the same trunk. A temporal kernel of None makes a layer two-dimensional; a 3D network has
the same layers with a third number in every kernel. In a block that halves the map, the 3x3 convolution (of two, the first)
has the spatial stride of 2.

Shape suffixes: B batch, C channels, T frames, H height, W width.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from math import prod
from typing import Protocol, cast

from torch import Tensor, nn

from marey.models.layers.checkpointing import Blocks
from marey.models.layers.config import Initialisation
from marey.models.layers.convolutions import Conv2d, Conv3d
from marey.models.layers.drop_path import DropPath
from marey.models.layers.trunk import Trunk

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Residual blocks in each of the four stages, by depth (table 1)."""


def kernel(temporal: int | None, spatial: int) -> tuple[int, ...]:
    """(spatial, spatial) in 2D, (temporal, spatial, spatial) in 3D. Strides are made in the same way."""
    return (spatial, spatial) if temporal is None else (temporal, spatial, spatial)


class ConvNorm(nn.Module):
    """A convolution without bias, padded to keep the size, and batch norm; 2D or 3D by the length of `size`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: tuple[int, ...],
        step: tuple[int, ...] | None = None,
        *,
        groups: int = 1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        flat = len(size) == 2
        convolution, norm = (Conv2d, nn.BatchNorm2d) if flat else (Conv3d, nn.BatchNorm3d)
        padding = tuple(k // 2 for k in size)
        step = step or (1,) * len(size)
        self.conv = convolution(in_channels, out_channels, size, step, padding, groups=groups, bias=False)  # type: ignore[arg-type]
        self.norm = norm(out_channels, eps=eps, momentum=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """relu(drop_path(branch(x)) + shortcut(x)); subclasses define the branch.

    Networks insert modules by setting `after`, `before` or `before_branch`.
    """

    shortcut: nn.Module | None
    """Changes the shape of the input for the sum; None: the identity."""
    after: nn.Module | None
    """Follows the block: a non-local block. None: nothing."""
    before: nn.Module | None
    """Precedes the block: TSM's shift "in place". None: nothing."""
    before_branch: nn.Module | None
    """Precedes the branch alone: TSM's residual shift. None: nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.drop_path = DropPath()
        self.after = self.before = self.before_branch = None

    def branch(self, x: Tensor) -> Tensor:
        """The layers whose output is added to the shortcut."""
        raise NotImplementedError

    def layers(self) -> dict[str, nn.Module]:
        """The layers of the branch by name, in the order of depth: a, b and, in a bottleneck, c."""
        raise NotImplementedError

    @property
    def last(self) -> nn.Module:
        """The branch's last batch norm."""
        raise NotImplementedError

    def set_initial_values(self, how: Initialisation) -> None:
        """The scale of the last batch norm is 0 if the recipe says so (Goyal et al. 2017, section 5.1; PySlowFast,
        MMAction2).
        """
        if how.last_gamma_zero:
            nn.init.zeros_(self.last.weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        x = x if self.before is None else self.before(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = x if self.before_branch is None else self.before_branch(x)
        x = self.relu(self.drop_path(self.branch(x)) + shortcut)
        return x if self.after is None else self.after(x)


class Block(Protocol):
    """A function that makes a residual block; the trunk builds its stages with it."""

    def __call__(self, in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> Residual:
        """A block from `in_channels` to `width` * expansion channels.

        Args:
            in_channels: Channels of the input.
            width: Inner channels.
            temporal: Length of the temporal kernel; None: 2D.
            step: Stride in each dimension.
        """


class BasicBlock(Residual):
    """Two layers, each a convolution and its norm, with ReLU between."""

    def __init__(self, a: nn.Module, b: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.a, self.b, self.shortcut = a, b, shortcut

    def layers(self) -> dict[str, nn.Module]:
        return {"a": self.a, "b": self.b}

    @property
    def last(self) -> nn.Module:
        return self.b.norm  # type: ignore[return-value]

    def branch(self, x: Tensor) -> Tensor:
        return self.b(self.relu(self.a(x)))  # type: ignore[no-any-return]


class Bottleneck(Residual):
    """Three layers, each a convolution and its norm, with ReLU between; the outer ones are pointwise in space."""

    expansion = 4
    """Output channels per inner channel."""

    def __init__(self, a: nn.Module, b: nn.Module, c: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.a, self.b, self.c, self.shortcut = a, b, c, shortcut

    def layers(self) -> dict[str, nn.Module]:
        return {"a": self.a, "b": self.b, "c": self.c}

    @property
    def last(self) -> nn.Module:
        return self.c.norm  # type: ignore[return-value]

    def branch(self, x: Tensor) -> Tensor:
        return self.c(self.relu(self.b(self.relu(self.a(x)))))  # type: ignore[no-any-return]


def basic_block(in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> BasicBlock:
    """Two 3x3 convolutions; in 3D the first one has the temporal kernel."""
    return BasicBlock(
        a=ConvNorm(in_channels, width, kernel(temporal, 3), step),
        b=ConvNorm(width, width, kernel(temporal and 1, 3)),
        shortcut=projection(in_channels, width, step),
    )


def bottleneck(in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> Bottleneck:
    """1x1, 3x3 and 1x1 convolutions; in 3D the first one has the temporal kernel."""
    out_channels = width * Bottleneck.expansion
    return Bottleneck(
        a=ConvNorm(in_channels, width, kernel(temporal, 1)),
        b=ConvNorm(width, width, kernel(temporal and 1, 3), step),
        c=ConvNorm(width, out_channels, kernel(temporal and 1, 1)),
        shortcut=projection(in_channels, out_channels, step),
    )


def projection(in_channels: int, out_channels: int, step: tuple[int, ...], *, eps: float = 1e-5) -> ConvNorm | None:
    """A shortcut of one 1x1 convolution if the shape changes; None, the identity, if it does not."""
    if in_channels == out_channels and all(s == 1 for s in step):
        return None
    return ConvNorm(in_channels, out_channels, (1,) * len(step), step, eps=eps)


class ResNetTrunk(Trunk):
    """Stem and four stages: [B, C, (T,) H, W] to [B, 8 * width * expansion, (T',) H', W'].

    By default H' = H / 32 and W' = W / 32; see `strides`.

    Args:
        depth: Layers of the ResNet, a key of `BLOCKS`. From 50 on the blocks are bottlenecks, below basic blocks.
        channels: Input channels.
        width: Channels of the stem and inner channels of the first stage; each later stage has twice as many.
        temporal_kernels: Lengths of the temporal kernels: a sequence for the stem and one for each stage, whose blocks
            use its lengths in turn. None builds the 2D network.
        temporal_strides: Temporal strides of the stem, the pool after it, and each stage's first block.
        spatial_strides: Spatial strides of each stage's first block.
        second_pool: Length and stride of a temporal max pool after the first stage (I3D, C2D); 1: none.
        lateral_channels: Channels that lateral connections add to the input of each stage (SlowFast).
        block: Makes the blocks; None: He et al.'s.
        stem: Makes the first layer from (channels, width); None: one 7x7 convolution.
        spatial_pool: Whether a 3x3 max pool of stride 2 follows the stem.
        pool_padding: Rows and columns that this pool adds at each border.
    """

    name = "resnet"

    def __init__(
        self,
        depth: int,
        *,
        channels: int,
        width: int,
        temporal_kernels: Sequence[Sequence[int]] | None = None,
        temporal_strides: Sequence[int] = (1, 1, 1, 1, 1, 1),
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        second_pool: int = 1,
        lateral_channels: Sequence[int] = (0, 0, 0, 0),
        block: Block | None = None,
        stem: Callable[[int, int], nn.Module] | None = None,
        spatial_pool: bool = True,
        pool_padding: int = 1,
    ) -> None:
        super().__init__()
        build: Block = block or (bottleneck if depth >= 50 else basic_block)
        expansion = Bottleneck.expansion if depth >= 50 else 1
        kernels: Sequence[Sequence[int | None]] = temporal_kernels or [(None,)] * 5
        self.flat = temporal_kernels is None
        first, *strides = [None if self.flat else s for s in temporal_strides]
        if stem is None:
            self.stem = ConvNorm(channels, width, kernel(kernels[0][0], 7), kernel(first, 2))
        else:
            self.stem = stem(channels, width)
        self.relu = nn.ReLU(inplace=True)
        self.pool = _spatial_pool(strides[0], pool_padding) if spatial_pool else nn.Identity()
        self.second_pool = nn.MaxPool3d((second_pool, 1, 1)) if second_pool > 1 else nn.Identity()
        self.stages = nn.ModuleList()
        self.stage_channels = tuple(width * 2**index * expansion for index in range(4))
        in_channels = width
        for index, (count, in_turn) in enumerate(zip(BLOCKS[depth], kernels[1:], strict=True)):
            in_channels += lateral_channels[index]
            step = kernel(strides[index + 1], spatial_strides[index])
            blocks = []
            for temporal in islice(cycle(in_turn), count):
                blocks.append(build(in_channels, width * 2**index, temporal=temporal, step=step))
                in_channels = self.stage_channels[index]
                step = (1,) * len(step)
            self.stages.append(Blocks(*blocks))
        self.out_channels = in_channels
        time = second_pool * prod(temporal_strides)
        side = (4 if spatial_pool else 2) * prod(spatial_strides)
        self.strides = (time, side, side)

    def begin(self, x: Tensor) -> Tensor:
        """The stem and the pool after it."""
        return self.pool(self.relu(self.stem(x)))  # type: ignore[no-any-return]

    def stage(self, index: int, x: Tensor) -> Tensor:
        """The output of a stage by its index, from 0; the first stage includes the second pool."""
        x = super().stage(index, x)
        return self.second_pool(x) if index == 0 else x

    def residuals(self) -> Iterator[Residual]:
        """All residual blocks, in the order of depth."""
        return (module for module in self.modules() if isinstance(module, Residual))

    def residual(self, stage: int, index: int) -> Residual:
        """A residual block by its stage and its index in the stage, both from 0."""
        return cast(Residual, cast(nn.Sequential, self.stages[stage])[index])


def _spatial_pool(temporal_stride: int | None, padding: int) -> nn.Module:
    """A 3x3 max pool of stride 2 over single frames."""
    if temporal_stride is None:
        return nn.MaxPool2d(3, 2, padding)
    return nn.MaxPool3d((1, 3, 3), (temporal_stride, 2, 2), (0, padding, padding))
