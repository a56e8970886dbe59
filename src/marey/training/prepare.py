"""Settings of a recipe's `train` that change the network."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

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
