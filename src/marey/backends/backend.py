"""What runs a network on batches of views: the interface of every backend."""

from typing import Protocol

import torch
from torch import Tensor

from marey.base.precision import Arithmetic


class Backend(Protocol):
    """Takes views as decoded, [V, T, H, W, C] uint8 (float32 grey levels where a pixel rule resizes in float), and gives
    float32 on the CPU. V may differ from call to call; the other sizes stay.
    """

    device: torch.device
    precision: Arithmetic

    def logits(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K], before softmax."""

    def positions(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K, P] at each position of the head, whose mean the logits are."""

    def features(self, views_VTHWC: Tensor) -> Tensor:
        """Pooled features [V, D], before dropout."""

    def tokens(self, views_VTHWC: Tensor) -> Tensor:
        """Tokens [V, N, D] before the head, of networks that have them."""
