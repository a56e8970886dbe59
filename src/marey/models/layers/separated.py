"""Convolutions in two steps: R(2+1)D separates space from time, CSN channels from places."""

from typing import Protocol

from torch import Tensor, nn

from marey.models.layers.resnet import BasicBlock, Block, Bottleneck, ConvNorm, Residual


class TwoSteps(nn.Module):
    """Two convolutions, each with its norm, in the place of one; ReLU between them unless `relu` is off."""

    def __init__(self, first: ConvNorm, second: ConvNorm, *, relu: bool = True) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    @property
    def norm(self) -> nn.Module:
        """The last one."""
        return self.second.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.relu(self.first(x)))  # type: ignore[no-any-return]


class Layer(Protocol):
    """What stands for a 3x3x3 convolution and its norm: one convolution, or two steps."""

    def __call__(
        self, in_channels: int, out_channels: int, *, temporal: int, step: tuple[int, ...], entering: int
    ) -> nn.Module:
        """A layer of that temporal length and stride, in a block that so many channels are `entering`."""


class Shortcut(Protocol):
    """What stands beside a block's branch."""

    def __call__(self, in_channels: int, out_channels: int, step: tuple[int, ...], *, eps: float) -> nn.Module | None:
        """A change of shape, or None, the identity, where it does not change."""


def basic_blocks(layer: Layer, shortcut: Shortcut, *, eps: float) -> Block:
    """Makes basic blocks of two layers."""

    def build(in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> Residual:
        temporal = temporal or 1
        return BasicBlock(
            a=layer(in_channels, width, temporal=temporal, step=step, entering=in_channels),
            b=layer(width, width, temporal=temporal, step=(1, 1, 1), entering=in_channels),
            shortcut=shortcut(in_channels, width, step, eps=eps),
        )

    return build


def bottlenecks(layer: Layer, shortcut: Shortcut, *, eps: float) -> Block:
    """Makes bottlenecks: a layer between pointwise convolutions."""

    def build(in_channels: int, width: int, *, temporal: int | None, step: tuple[int, ...]) -> Residual:
        out_channels = width * Bottleneck.expansion
        return Bottleneck(
            a=ConvNorm(in_channels, width, (1, 1, 1), eps=eps),
            b=layer(width, width, temporal=temporal or 1, step=step, entering=in_channels),
            c=ConvNorm(width, out_channels, (1, 1, 1), eps=eps),
            shortcut=shortcut(in_channels, out_channels, step, eps=eps),
        )

    return build
