"""Parts of a network that do not learn."""

from torch import nn

from marey.models.layers.initialise import NORMS
from marey.models.network import Network


def freeze(network: Network, *, stages: int, norms: bool) -> None:
    """Keep the stem and the first `stages` stages as they are (-1: nothing, 0: the stem), and all norms if `norms`.

    What is frozen takes no gradient, and its batch norms use and keep their running statistics, whatever
    `network.train()` says: call `hold_frozen` after each such call.
    """
    for name, parameter in network.named_parameters():
        if network.layer_depth(name) <= stages:
            parameter.requires_grad_(False)
    if norms:
        for module in network.modules():
            if isinstance(module, NORMS):
                module.requires_grad_(False)


def hold_frozen(network: nn.Module) -> None:
    """Put batch norms whose scale is frozen back into eval mode after `network.train()`."""
    for module in network.modules():
        if isinstance(module, NORMS) and not module.weight.requires_grad:
            module.eval()
