"""Initial values of parameters. Those of torch's layers depend on the kind of layer; other modules set their own."""

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from marey.models.layers.config import Initialisation
from marey.models.layers.norms import Norm

LINEAR_STD = 0.02
"""Standard deviation of linear layers other than the head: as in BEiT, timm's transformers, PySlowFast's MViT, VideoMAE."""


@runtime_checkable
class SetsInitialValues(Protocol):
    """A module that sets initial values by itself, because those for its kind of torch layer do not apply."""

    def set_initial_values(self, how: Initialisation) -> None:
        """Set the initial values. It is called after the layers and modules inside have theirs."""


def initialise(root: nn.Module, how: Initialisation, *, head: nn.Module) -> None:
    """Give the parameters of `root` and of all modules inside it their initial values.

    Layers of torch come first, each by its kind (`initialise_layer`; a linear layer that is the `head` by
    `initialise_head`). Then every `SetsInitialValues` sets its values, inner modules before outer ones. All other parameters
    remain as they were constructed.
    """
    for module in root.modules():
        if module is head and isinstance(module, nn.Linear):
            initialise_head(module, how.head_std)
        else:
            initialise_layer(module)

    def set_own(module: nn.Module) -> None:
        if isinstance(module, SetsInitialValues):
            module.set_initial_values(how)

    root.apply(set_own)


def initialise_layer(layer: nn.Module) -> None:
    """Convolutions: Kaiming normal (fan out, ReLU). Linear layers: normal with standard deviation 0.02, truncated at -2
    and 2. Norms: scale 1, shift 0. Biases: 0. Other modules are not changed.
    """
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=LINEAR_STD)
    elif isinstance(layer, Norm):
        for name, parameter in layer.named_parameters(recurse=False):
            (nn.init.ones_ if name == "weight" else nn.init.zeros_)(parameter)
        return
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def new_head(features: int, num_classes: int, device: torch.device | None = None) -> nn.Linear:
    """A linear layer from `features` to `num_classes`, initialised by `initialise_head`."""
    head = nn.Linear(features, num_classes, device=device)
    initialise_head(head)
    return head


def initialise_head(head: nn.Linear, std: float = 0.01) -> None:
    """Weights normal with standard deviation `std`, bias 0."""
    if head.weight.is_meta:
        return  # nothing to draw on the meta device, where torch would import its compiler, which takes seconds
    nn.init.normal_(head.weight, std=std)
    nn.init.zeros_(head.bias)
