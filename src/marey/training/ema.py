"""The exponential moving average of a network's weights."""

import copy

import torch
from torch import nn

from marey.recipe import EMA


class AveragedWeights:
    """A copy of a network that follows it. Formula: `marey.recipe.EMA`."""

    def __init__(self, network: nn.Module, declared: EMA) -> None:
        self.declared = declared
        self.network = copy.deepcopy(network).eval().requires_grad_(False)

    def decay(self, step: int) -> float:
        """What the average keeps of itself after optimiser step `step`, from 1."""
        return min(self.declared.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move a step towards `network`, which is on the same device."""
        weight = 1 - self.decay(step)
        current = network.state_dict()
        for name, average in self.network.state_dict().items():
            if average.is_floating_point():
                average.lerp_(current[name], weight)
            else:
                average.copy_(current[name])
