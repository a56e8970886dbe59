"""The ResNet family in two and three dimensions: He et al., Deep Residual Learning, CVPR 2016.

One trunk serves TSN (2D) and the 3D networks. A temporal kernel of None makes a layer two-dimensional, so that a 3D
network is the same arrangement with a third number in every kernel. The stride of 2 sits on the 3x3 convolution.

Shape suffixes: B batch, C channels, T frames, H height, W width.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from torch import Tensor, nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Residual blocks in each of the four stages, by depth (table 1)."""


def kernel(temporal: int | None, spatial: int) -> tuple[int, ...]:
    """(spatial, spatial), with the temporal length in front in 3D."""
    return (spatial, spatial) if temporal is None else (temporal, spatial, spatial)


def stride(like: tuple[int, ...], spatial: int) -> tuple[int, ...]:
    """A spatial stride in as many dimensions as the kernel `like`; time is never strided here."""
    return (1,) * (len(like) - 2) + (spatial, spatial)


class ConvNorm(nn.Module):
    """A convolution without bias, padded to keep the size, and batch norm. 2D or 3D by the length of the kernel."""

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, ...], step: int = 1) -> None:
        super().__init__()
        flat = len(size) == 2
        convolution, norm = (nn.Conv2d, nn.BatchNorm2d) if flat else (nn.Conv3d, nn.BatchNorm3d)
        padding = tuple(k // 2 for k in size)
        self.conv = convolution(in_channels, out_channels, size, stride(size, step), padding, bias=False)  # type: ignore[arg-type]
        self.norm = norm(out_channels, eps=1e-5, momentum=0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """relu(branch(x) + shortcut(x)); subclasses say what the branch is. `last` is the branch's last batch norm."""

    shortcut: ConvNorm | None

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def branch(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    @property
    def last(self) -> nn.Module:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.shortcut is None else self.shortcut(x)
        return self.relu(self.branch(x) + kept)  # type: ignore[no-any-return]


class BasicBlock(Residual):
    """Two 3x3 convolutions; in 3D the first one has the temporal kernel."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, *, temporal: int | None, step: int) -> None:
        super().__init__()
        self.a = ConvNorm(in_channels, width, kernel(temporal, 3), step)
        self.b = ConvNorm(width, width, kernel(temporal and 1, 3))
        self.shortcut = _shortcut(in_channels, width, temporal, step)

    @property
    def last(self) -> nn.Module:
        return self.b.norm

    def branch(self, x: Tensor) -> Tensor:
        return self.b(self.relu(self.a(x)))  # type: ignore[no-any-return]


class Bottleneck(Residual):
    """1x1, 3x3 and 1x1 convolutions; in 3D the first one has the temporal kernel."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, temporal: int | None, step: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.a = ConvNorm(in_channels, width, kernel(temporal, 1))
        self.b = ConvNorm(width, width, kernel(temporal and 1, 3), step)
        self.c = ConvNorm(width, out_channels, kernel(temporal and 1, 1))
        self.shortcut = _shortcut(in_channels, out_channels, temporal, step)

    @property
    def last(self) -> nn.Module:
        return self.c.norm

    def branch(self, x: Tensor) -> Tensor:
        return self.c(self.relu(self.b(self.relu(self.a(x)))))  # type: ignore[no-any-return]


def _shortcut(in_channels: int, out_channels: int, temporal: int | None, step: int) -> ConvNorm | None:
    """A 1x1 projection where the shape changes; None, the identity, where it does not."""
    if step == 1 and in_channels == out_channels:
        return None
    return ConvNorm(in_channels, out_channels, kernel(temporal and 1, 1), step)


class ResNetTrunk(nn.Module):
    """Stem and four stages: [B, C, (T,) H, W] to [B, 8 * width * expansion, (T,) H / 32, W / 32].

    `temporal_kernels` gives, for the stem and each stage, the lengths that its blocks' temporal kernels take in turn;
    None builds the 2D network.
    """

    def __init__(
        self,
        depth: int,
        *,
        channels: int,
        width: int,
        temporal_kernels: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        block = Bottleneck if depth >= 50 else BasicBlock
        kernels: Sequence[Sequence[int | None]] = temporal_kernels or [(None,)] * 5
        first = kernels[0][0]
        self.stem = ConvNorm(channels, width, kernel(first, 7), 2)
        self.relu = nn.ReLU(inplace=True)
        # The pool looks at single frames, whatever the kernel of the stem.
        window = kernel(first and 1, 3)
        pool = nn.MaxPool2d if first is None else nn.MaxPool3d
        self.pool = pool(window, stride(window, 2), tuple(k // 2 for k in window))
        self.stages = nn.ModuleList()
        in_channels = width
        for number, (count, cycled) in enumerate(zip(BLOCKS[depth], kernels[1:], strict=True)):
            stage_width = width * 2**number
            blocks = []
            for place, temporal in enumerate(islice(cycle(cycled), count)):
                step = 2 if place == 0 and number > 0 else 1
                blocks.append(block(in_channels, stage_width, temporal=temporal, step=step))
                in_channels = stage_width * block.expansion
            self.stages.append(nn.Sequential(*blocks))
        self.out_channels = in_channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.stem(x)))
        for stage in self.stages:
            x = stage(x)
        return x

    def residuals(self) -> Iterator[Residual]:
        """All residual blocks, in the order of depth."""
        return (module for module in self.modules() if isinstance(module, Residual))
