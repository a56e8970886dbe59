"""EfficientNet-Lite in two dimensions: the variant for small devices of Tan and Le, EfficientNet, ICML 2019 (table 1).

Its authors released it in tensorflow/tpu, efficientnet/lite. It differs from the paper's B0 to B2 in three ways: no squeeze
and excitation, ReLU6 instead of swish, and a stem, a last convolution and first and last blocks that are not scaled. The
paper's stage 2 is `stages[0]`, and the last convolution `stages[7]`.

Shape suffixes: B batch, C channels, H height, W width.
"""

from collections import OrderedDict
from collections.abc import Iterator
from math import ceil
from typing import Literal, NamedTuple

from torch import Tensor, nn

from marey.models.layers.checkpointing import Blocks
from marey.models.layers.config import Initialisation
from marey.models.layers.convolutions import Conv2d
from marey.models.layers.drop_path import DropPath
from marey.models.layers.inception import SamePad
from marey.models.layers.trunk import Trunk

Padding = Literal["same", "symmetric"]


class _Stage(NamedTuple):
    """A row of table 1: `repeats` blocks with kernels of `size` x `size`, of which the first has the stride."""

    expansion: int
    """Channels inside a block per channel of its input."""
    size: int
    """Side of the depthwise kernels."""
    stride: int
    """Stride of the first block, in height and width; the others have 1."""
    channels: int
    """Output channels of each block, in Lite0 of width 32."""
    repeats: int
    """Number of blocks in Lite0."""


_STAGES = (
    _Stage(expansion=1, size=3, stride=1, channels=16, repeats=1),
    _Stage(expansion=6, size=3, stride=2, channels=24, repeats=2),
    _Stage(expansion=6, size=5, stride=2, channels=40, repeats=2),
    _Stage(expansion=6, size=3, stride=2, channels=80, repeats=3),
    _Stage(expansion=6, size=5, stride=1, channels=112, repeats=3),
    _Stage(expansion=6, size=5, stride=2, channels=192, repeats=4),
    _Stage(expansion=6, size=3, stride=1, channels=320, repeats=1),
)
_STEM, _LAST = 32, 1280
_SCALES = {0: (1.0, 1.0), 1: (1.0, 1.1), 2: (1.1, 1.2)}
"""(factor of the channels, factor of the repeats) of Lite0, Lite1 and Lite2."""


class ConvNorm6(nn.Module):
    """A convolution without bias, a batch norm, and a ReLU6 if `active`.

    The output has the size of the input divided by the stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        stride: int = 1,
        *,
        padding: Padding,
        eps: float,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        # With a stride of 1 the padding is the same on both sides, whatever the length of the input.
        by_length = padding == "same" and stride > 1
        self.pad = SamePad(2, size, stride) if by_length else nn.Identity()
        border = 0 if by_length else size // 2
        self.conv = Conv2d(in_channels, out_channels, size, stride, border, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=eps, momentum=0.1)
        self.act = nn.ReLU6(inplace=True) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(self.pad(x))))  # type: ignore[no-any-return]


class InvertedResidual(nn.Module):
    """1x1 to more channels, a depthwise convolution, 1x1 to fewer without ReLU; the input is added if the shapes allow."""

    before_branch: nn.Module | None
    """Precedes the branch: TSM's shift. None: nothing."""

    def __init__(
        self, in_channels: int, out_channels: int, size: int, stride: int, expansion: int, padding: Padding, eps: float
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.expand = ConvNorm6(in_channels, inner, 1, padding=padding, eps=eps) if expansion > 1 else None
        self.depthwise = ConvNorm6(inner, inner, size, stride, padding=padding, eps=eps, groups=inner)
        self.project = ConvNorm6(inner, out_channels, 1, padding=padding, eps=eps, active=False)
        self.residual = stride == 1 and in_channels == out_channels
        self.before_branch = None
        self.drop_path = DropPath()

    def set_initial_values(self, how: Initialisation) -> None:
        """Depthwise filters of k x k are normal with deviation sqrt(2) / k, as in the authors' code.

        This is Kaiming's deviation for a fan out of k * k, because each filter has one output channel.
        """
        filters = self.depthwise.conv
        nn.init.normal_(filters.weight, std=(2 / (filters.kernel_size[0] * filters.kernel_size[1])) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = x if self.before_branch is None else self.before_branch(x)
        inner = inner if self.expand is None else self.expand(inner)
        inner = self.project(self.depthwise(inner))
        return x + self.drop_path(inner) if self.residual else inner


class EfficientNetLiteTrunk(Trunk):
    """[B, C, H, W] to [B, 1280, H / 32, W / 32].

    Args:
        size: The network's number: 0, 1 or 2.
        channels: Input channels.
        width: Channels of the stem; all others scale with it. The published weights have 32.
        padding: "same" pads as TensorFlow; "symmetric" by half a kernel on all sides. They differ if the stride is 2.
        eps: Epsilon of the batch norms.
    """

    name, strides = "efficientnet", (1, 32, 32)

    def __init__(self, size: Literal[0, 1, 2], *, channels: int, width: int, padding: Padding, eps: float) -> None:
        super().__init__()
        wider, deeper = _SCALES[size]
        self.stem = ConvNorm6(channels, width, 3, 2, padding=padding, eps=eps)
        self.stages = nn.ModuleList()
        in_channels = width
        for index, stage in enumerate(_STAGES):
            first_or_last = index in (0, len(_STAGES) - 1)
            repeats = stage.repeats if first_or_last else ceil(stage.repeats * deeper)
            out_channels = max(1, _round_to_eights(stage.channels * wider) * width // _STEM)
            blocks = []
            for block in range(repeats):
                stride = 1 if block else stage.stride
                blocks.append(
                    InvertedResidual(in_channels, out_channels, stage.size, stride, stage.expansion, padding, eps)
                )
                in_channels = out_channels
            self.stages.append(Blocks(*blocks))
        self.out_channels = _LAST * width // _STEM
        last = ConvNorm6(in_channels, self.out_channels, 1, padding=padding, eps=eps)
        self.stages.append(nn.Sequential(OrderedDict(last=last)))

    def residuals(self) -> Iterator[InvertedResidual]:
        """The blocks that add their input to their output, in the order of depth."""
        return (module for module in self.modules() if isinstance(module, InvertedResidual) and module.residual)


def _round_to_eights(channels: float) -> int:
    """The nearest multiple of 8 that is at least nine tenths of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
