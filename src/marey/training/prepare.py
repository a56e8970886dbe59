"""Settings of a recipe's `train` that change the network, and checks of a user's own module before training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from marey.base.errors import RecipeError
from marey.models.layers.checkpointing import Blocks, recompute_blocks
from marey.models.layers.drop_path import DropPath
from marey.models.network import drop_paths
from marey.recipe import Train


@contextmanager
def prepared(network: nn.Module, train: Train) -> Iterator[None]:
    """Within the block set `drop_path` and `checkpointing` of the recipe in a network of Marey or a module that uses the
    same layers; afterwards restore the earlier settings.

    Raises:
        RecipeError: the recipe asks for one of them, but the network has no layer that supports it.
    """
    rates = [(layer, layer.rate) for layer in network.modules() if isinstance(layer, DropPath)]
    recomputing = [(blocks, blocks.recompute) for blocks in network.modules() if isinstance(blocks, Blocks)]
    try:
        if train.drop_path:
            drop_paths(network, train.drop_path)
        if train.checkpointing:
            recompute_blocks(network)
        yield
    finally:
        for layer, rate in rates:
            layer.rate = rate
        for blocks, recompute in recomputing:
            blocks.recompute = recompute


def refuse_unfinished(module: nn.Module) -> None:
    """Refuse a module whose state cannot be trained or saved.

    Raises:
        RecipeError: a parameter has no shape yet, or an entry of the state dict is not a tensor.
    """
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise RecipeError(
                f"{type(module).__name__}: parameter {name} has no shape yet: pass a clip through the module first."
            )
    for name, value in module.state_dict().items():
        if not isinstance(value, Tensor):
            raise RecipeError(
                f"{type(module).__name__}: {name} in its state is a {type(value).__name__}, and a checkpoint keeps tensors: "
                "make it a tensor, or leave it out of the state (get_extra_state)."
            )
