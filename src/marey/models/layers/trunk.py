"""The interface of trunks: everything between a clip, or a frame, and the pool before the head."""

from typing import ClassVar

from torch import Tensor, nn


class Trunk(nn.Module):
    """A stem and stages in sequence.

    `PooledClassifier` makes a network of one trunk. Its weights can be loaded into other networks that have a trunk of the
    same name (`marey.weights.pretraining`).
    """

    name: ClassVar[str]
    """First part of its keys in the checkpoint of a network of one trunk: `name.stem...`."""
    stem: nn.Module
    stages: nn.ModuleList
    out_channels: int
    """D, the channels of the last map."""
    strides: tuple[int, int, int]
    """Input frames, rows and columns per position of the last map; one frame in 2D networks."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, (T,) H, W] to the last map [B, D, (T',) H', W']."""
        x = self.begin(x)
        for index in range(len(self.stages)):
            x = self.stage(index, x)
        return x

    def begin(self, x: Tensor) -> Tensor:
        """The output of the stem, and of what lies between it and the first stage."""
        return self.stem(x)  # type: ignore[no-any-return]

    def stage(self, index: int, x: Tensor) -> Tensor:
        """The output of a stage by its index, from 0."""
        return self.stages[index](x)  # type: ignore[no-any-return]
