"""Freeze stages and batch norms: exclude them from training."""

from typing import Literal

from torch import nn

from marey.models.layers.norms import batch_norms
from marey.models.network import Network

FrozenNorms = Literal["none", "statistics", "all", "all_but_first"]
"""What stays fixed in batch norms. "none": nothing. "statistics": running mean and variance of every batch norm. "all": also
scale and shift of every one. "all_but_first": like "all", but the first batch norm of the network is trained as usual."""


def freeze(network: nn.Module, *, stages: int = -1, norms: FrozenNorms = "none") -> None:
    """Turn off gradients in the stem and the first `stages` stages (-1: none, 0: the stem) and in batch norms.

    Frozen batch norms must be in eval mode, so that they use their running statistics and do not update them. Call
    `hold_frozen` after each `network.train()`, which puts them into training mode. Only a `Network` has stages.
    """
    if isinstance(network, Network):
        for name, parameter in network.named_parameters():
            if network.layer_depth(name) <= stages:
                parameter.requires_grad_(False)
    first_frozen = {"none": None, "statistics": None, "all": 0, "all_but_first": 1}[norms]
    if first_frozen is not None:
        for module in batch_norms(network)[first_frozen:]:
            module.requires_grad_(False)


def hold_frozen(network: nn.Module, norms: FrozenNorms = "none") -> None:
    """Put batch norms that keep their statistics into eval mode again, after `network.train()`."""
    for module in batch_norms(network):
        if norms == "statistics" or (module.affine and not module.weight.requires_grad):
            module.eval()
