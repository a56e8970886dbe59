"""The temporal shift: Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019 (section 3)."""

import torch
from torch import Tensor, nn


class Shift(nn.Module):
    """Moves some channels of the frames of a clip one frame ahead and as many one frame back; zeros come in.

    Args:
        segments: Frames of a clip. More frames than that are several clips, between which nothing moves.
        divisor: The first 1 / divisor of the channels come from the next frame, as many after them from the one before.
    """

    def __init__(self, segments: int, divisor: int) -> None:
        super().__init__()
        self.segments, self.divisor = segments, divisor

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """[B * S, C, H, W] to the same shape."""
        x_BSCHW = x_NCHW.reshape(-1, self.segments, *x_NCHW.shape[1:])
        share = x_NCHW.shape[1] // self.divisor
        ahead, back, still = x_BSCHW.tensor_split((share, 2 * share), dim=2)
        zeros = torch.zeros_like(ahead[:, :1])
        moved = (torch.cat([ahead[:, 1:], zeros], dim=1), torch.cat([zeros, back[:, :-1]], dim=1), still)
        return torch.cat(moved, dim=2).flatten(0, 1)

    def extra_repr(self) -> str:
        return f"segments={self.segments}, divisor={self.divisor}"
