"""Parts of a network that do not learn."""

from typing import Literal

from torch import nn

from marey.models.layers.norms import batch_norms
from marey.models.network import Network

FrozenNorms = Literal["none", "statistics", "all", "all_but_first"]
"""Which batch norms keep something: of all of them the running statistics; of all, or of all but the first in the
network, the scale and shift, too."""


def freeze(network: nn.Module, *, stages: int = -1, norms: FrozenNorms = "none") -> None:
    """Keep the stem and the first `stages` stages as they are (-1: nothing, 0: the stem), and norms as `norms` says.

    What is frozen takes no gradient, and its batch norms use and keep their running statistics, whatever
    `network.train()` says: call `hold_frozen` after each such call. Stages are those of a `Network`.
    """
    if isinstance(network, Network):
        for name, parameter in network.named_parameters():
            if network.layer_depth(name) <= stages:
                parameter.requires_grad_(False)
    kept = {"none": None, "statistics": None, "all": 0, "all_but_first": 1}[norms]
    if kept is not None:
        for module in batch_norms(network)[kept:]:
            module.requires_grad_(False)


def hold_frozen(network: nn.Module, norms: FrozenNorms = "none") -> None:
    """Put batch norms that keep their statistics back into eval mode after `network.train()`."""
    for module in batch_norms(network):
        if norms == "statistics" or (module.affine and not module.weight.requires_grad):
            module.eval()
