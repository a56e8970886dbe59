"""The exponential moving average of a network's weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from marey.recipe import EMA
from marey.training.sharding import shard_like


class AveragedWeights:
    """The average of every parameter and buffer of a network. Formula: `marey.recipe.EMA`.

    The averages are on the network's device, and sharded as the network's tensors are.
    """

    def __init__(self, network: nn.Module, declared: EMA) -> None:
        self.network, self.declared = network, declared
        first: dict[int, str] = {}
        self._names = {name: first.setdefault(id(t), name) for name, t in network.state_dict(keep_vars=True).items()}
        """For each name in the state dict, the first name of the same tensor, because modules may share a tensor."""
        self._average = {name: tensor.clone() for name, tensor in self._tensors().items()}

    def _tensors(self) -> dict[str, Tensor]:
        state = self.network.state_dict()
        return {name: state[name] for name in self._names.values()}

    def decay(self, step: int) -> float:
        """The weight of the previous average in the update after optimiser step `step`, counted from 1."""
        return min(self.declared.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after optimiser step `step` (from 1); integer buffers are copied."""
        weight = 1 - self.decay(step)
        for name, current in self._tensors().items():
            if current.is_floating_point():
                self._average[name].lerp_(current, weight)
            else:
                self._average[name].copy_(current)

    @contextmanager
    def in_network(self) -> Iterator[None]:
        """Within the block the network has the averaged weights; running statistics set there become part of the average."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, current in self._tensors().items():
            own = current.clone()
            current.copy_(self._average[name])
            self._average[name].copy_(own)

    def state_dict(self) -> dict[str, Tensor]:
        """The average under the names of the network's own state dict."""
        return {name: self._average[first] for name, first in self._names.items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load the average from complete tensors, as `state_dict` names them."""
        for name, average in self._average.items():
            average.copy_(shard_like(state[name], average))
