"""Factorised convolutions: in R(2+1)D one in space and one in time, in CSN a pointwise and a depthwise one."""

from typing import Protocol

from torch import Tensor, nn

from marey.models.layers.resnet import BasicBlock, Block, Bottleneck, ConvNorm, Residual


class TwoSteps(nn.Module):
    """Two convolutions, each with its norm, that replace one; with a ReLU between them if `relu` is on."""

    def __init__(self, first: ConvNorm, second: ConvNorm, *, relu: bool = True) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    @property
    def norm(self) -> nn.Module:
        """The norm of the second convolution."""
        return self.second.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.relu(self.first(x)))  # type: ignore[no-any-return]


class MakeLayer(Protocol):
    """A function that makes a 3x3x3 convolution with its norm, as one convolution or in two steps."""

    def __call__(
        self, in_channels: int, out_channels: int, *, temporal: int, step: tuple[int, ...], block_channels: int
    ) -> nn.Module:
        """A layer of a temporal length and a stride, in a block whose input has `block_channels` channels."""


class MakeShortcut(Protocol):
    """A function that makes the shortcut of a residual block."""

    def __call__(self, in_channels: int, out_channels: int, step: tuple[int, ...], *, eps: float) -> nn.Module | None:
        """Layers that change the shape; None, the identity, if it does not change."""


def basic_blocks(layer: MakeLayer, shortcut: MakeShortcut, *, eps: float) -> Block:
    """A function that makes basic blocks of two layers."""

    def build(in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> Residual:
        temporal = temporal or 1
        return BasicBlock(
            a=layer(in_channels, width, temporal=temporal, step=step, block_channels=in_channels),
            b=layer(width, width, temporal=temporal, step=(1, 1, 1), block_channels=in_channels),
            shortcut=shortcut(in_channels, width, step, eps=eps),
        )

    return build


def bottlenecks(layer: MakeLayer, shortcut: MakeShortcut, *, eps: float) -> Block:
    """A function that makes bottlenecks: a layer between two pointwise convolutions."""

    def build(in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> Residual:
        out_channels = width * Bottleneck.expansion
        return Bottleneck(
            a=ConvNorm(in_channels, width, (1, 1, 1), eps=eps),
            b=layer(width, width, temporal=temporal or 1, step=step, block_channels=in_channels),
            c=ConvNorm(width, out_channels, (1, 1, 1), eps=eps),
            shortcut=shortcut(in_channels, out_channels, step, eps=eps),
        )

    return build
