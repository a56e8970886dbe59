"""First values of parameters: torch's own layers by kind, everything else by the module that holds it."""

from typing import Protocol, runtime_checkable

from torch import nn

from marey.models.initialisation import Initialisation
from marey.models.layers.norms import Norm

LINEAR_STD = 0.02
"""Deviation of linear layers that are no classifier: BEiT, timm's vision transformers, PySlowFast's MViT, VideoMAE."""


@runtime_checkable
class SetsInitialValues(Protocol):
    """A module that has first values of its own, where those of torch's layers by kind are not the right ones."""

    def set_initial_values(self, how: Initialisation) -> None:
        """Set them. Called after the layers inside have theirs, and after inner modules have set their own."""


def initialise(root: nn.Module, how: Initialisation, *, head: nn.Module) -> None:
    """Give the parameters of `root` and of all modules inside it their first values.

    Layers of torch come first, each by its kind (`initialise_layer`; a linear layer that is the `head` itself by
    `initialise_head`). Then every module that is a `SetsInitialValues` sets its own, inner ones before outer ones.
    Parameters of no such layer or module stay as they were constructed.
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
    """Convolutions normal by Kaiming (fan out, ReLU), norms 1 and 0, linear layers normal with deviation 0.02, cut off at
    -2 and 2; biases 0. Any other module is left alone.
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


def initialise_head(head: nn.Linear, std: float = 0.01) -> None:
    """A fresh classifier: weights normal with deviation `std`, bias 0."""
    nn.init.normal_(head.weight, std=std)
    nn.init.zeros_(head.bias)
