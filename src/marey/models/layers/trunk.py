"""What lies between a clip and the pool before the head: the interface of every such part of a network."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class Trunk(nn.Module, ABC):
    """A stem and stages. `PooledClassifier` makes a network of one; its weights go over to other networks that have such
    a trunk (`marey.weights.pretraining`).
    """

    name: ClassVar[str]
    """What its tensors are called in the checkpoints of a network of one trunk: `name.stem...`."""
    stages: nn.ModuleList
    out_channels: int
    """D, the channels of the last map."""
    strides: tuple[int, int, int]
    """Input frames, rows and columns per position of the last map; one frame in networks of pictures."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """[B, C, (T,) H, W] to the last map [B, D, (T',) H', W']."""
