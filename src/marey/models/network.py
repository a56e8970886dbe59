"""The face of every network: what testing, training, probes and detection may rely on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from marey.video.transforms import to_clip


class Preprocess(nn.Module):
    """uint8 clips [B, T, H, W, C] to normalised ones [B, C, T, H, W]; part of every export.

    Mean and deviation, in grey levels 0..255, belong to the weights and so are no parameters of a checkpoint.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], order: Literal["rgb", "bgr"] = "rgb") -> None:
        super().__init__()
        self.order = order
        self.mean = tuple(mean)
        self.std = tuple(std)

    def forward(self, clip_BTHWC: Tensor) -> Tensor:
        return to_clip(clip_BTHWC, self.mean, self.std, order=self.order)


class Network(nn.Module, ABC):
    """A network from a clip to logits.

    `clip` is float32 or bfloat16 [B, C, T, H, W], C = 3 for RGB and 2 for flow (x, y). Shapes: K classes,
    T' x H' x W' positions of the head (1 x 1 x 1 after a global pool), D features.
    """

    strides: tuple[tuple[int, int, int], ...]
    """Of each map of `trunk`: input frames, rows and columns per step of the map."""
    preprocess: nn.Module
    head: nn.Module
    dropout: nn.Dropout
    class_names: tuple[str, ...] | None = None
    recipe: Any = None
    """The `marey.Recipe` that the weights belong to; set by `load_model`. (A network does not know recipes.)"""

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K], before softmax: the mean of `positions`."""
        return self.positions(clip_BCTHW).mean(dim=(2, 3, 4))

    load_report: object | None = None
    """What became of every tensor of the file that the weights came from."""

    @abstractmethod
    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last maps before pooling, each [B, D, T / t, H / h, W / w] for its (t, h, w) of `strides`."""

    @abstractmethod
    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before dropout."""

    @abstractmethod
    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits at each position of the head, [B, K, T', H', W']."""

    @abstractmethod
    def reset_head(self, num_classes: int) -> None:
        """Replace the classifier by a fresh one for `num_classes` classes (weights normal 0.01, bias 0)."""

    @abstractmethod
    def layer_depth(self, parameter_name: str) -> int:
        """How deep a parameter lies: 0 for the stem, n for stage n, the largest value for the head."""

    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
