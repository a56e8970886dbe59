"""TSM on a 2D ResNet or on EfficientNet-Lite.

Shape suffixes: B batch, C channels, T frames, H height, W width, S segments, N = B * S frames, D features.
"""

import torch
from torch import Tensor, nn

from marey.base.errors import RecipeError
from marey.base.words import counted
from marey.models.layers.resnet import BLOCKS
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.network import TSN


class Shift(nn.Module):
    """The temporal shift (section 3): moves some channels of each frame to the next frame, and as many to the one before.

    Zeros come in at the ends of a clip.

    Args:
        segments: Frames of a clip. An input of more frames is several clips, between which nothing is shifted.
        divisor: The first 1 / divisor of the channels come from the next frame, as many after them from the one before.
    """

    def __init__(self, segments: int, divisor: int) -> None:
        super().__init__()
        self.segments, self.divisor = segments, divisor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """[B * S, C, H, W] to the same shape."""
        x_BSCHW = x_NCHW.reshape(-1, self.segments, *x_NCHW.shape[1:])
        count = x_NCHW.shape[1] // self.divisor
        from_next, from_previous, fixed = x_BSCHW.tensor_split((count, 2 * count), dim=2)
        zeros = torch.zeros_like(from_next[:, :1])
        shifted = (torch.cat([from_next[:, 1:], zeros], dim=1), torch.cat([zeros, from_previous[:, :-1]], dim=1), fixed)
        return torch.cat(shifted, dim=2).flatten(0, 1)

    def extra_repr(self) -> str:
        return f"segments={self.segments}, divisor={self.divisor}"


class TSM(TSN):
    """TSN whose frames exchange some of their channels. It has the parameters of TSN and no others."""

    def __init__(self, config: TSMConfig | LiteTSMConfig) -> None:
        super().__init__(config)
        self.segments = config.segments
        shift = Shift(config.segments, config.shift_div)
        if isinstance(config, TSMConfig):
            for stage, count in enumerate(BLOCKS[config.depth]):
                for index in range(0, count, _every(config)):
                    block = self.resnet.residual(stage, index)
                    if config.style == "block":
                        block.before = shift
                    else:
                        block.before_branch = shift
        else:
            for inverted in self.efficientnet.residuals():
                inverted.before_branch = shift

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map of every segment, [B, D, S, H / 32, W / 32].

        Raises:
            RecipeError: T is no multiple of the frames among which channels are shifted.
        """
        if clip_BCTHW.shape[2] % (self.segments * self.stack):
            raise RecipeError(
                f"a clip of {counted(clip_BCTHW.shape[2], 'frame')}: this network shifts channels among "
                f"{counted(self.segments * self.stack, 'frame')}; change the sampling rule or model.segments."
            )
        return super().trunk(clip_BCTHW)


def _every(config: TSMConfig) -> int:
    """n, if every n-th block of a stage has a shift: 2 with "blockres" from ResNet-101 on, else 1.

    This is the authors' rule, which MMAction2 follows.
    """
    return 2 if config.style == "blockres" and BLOCKS[config.depth][2] >= 23 else 1
