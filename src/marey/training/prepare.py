"""What a recipe's `train` changes in the network: frozen parameters, drop path and gradient checkpointing."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from marey.base.errors import RecipeError
from marey.models.freeze import freeze
from marey.models.layers.checkpointing import Blocks, recompute_blocks
from marey.models.layers.drop_path import DropPath, set_drop_path
from marey.models.network import Network
from marey.recipe import Train


@contextmanager
def prepared(network: nn.Module, train: Train) -> Iterator[None]:
    """Freeze parameters as the recipe declares, for good, and apply its `drop_path` and `checkpointing` within the block.

    A user's module can have drop path and checkpointing, too, if it has Marey's layers for them.

    Raises:
        RecipeError: the recipe declares one of these, and the network has no layers or stages for it.
    """
    if train.frozen_stages >= 0 and not isinstance(network, Network):
        raise RecipeError(
            f"train.frozen_stages={train.frozen_stages}: {type(network).__name__} is not a marey Network and has "
            "no stages: freeze its parameters yourself (requires_grad_(False))."
        )
    freeze(network, stages=train.frozen_stages, norms=train.frozen_norms)
    rates = [(layer, layer.rate) for layer in network.modules() if isinstance(layer, DropPath)]
    recomputing = [(blocks, blocks.recompute) for blocks in network.modules() if isinstance(blocks, Blocks)]
    try:
        if train.drop_path:
            set_drop_path(network, train.drop_path)
        if train.checkpointing:
            recompute_blocks(network)
        yield
    finally:
        for layer, rate in rates:
            layer.rate = rate
        for blocks, recompute in recomputing:
            blocks.recompute = recompute
