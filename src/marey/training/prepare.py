"""What a recipe's `train` asks of the network itself."""

from torch import nn

from marey.models.layers.checkpointing import recompute_blocks
from marey.models.layers.drop_path import set_drop_path
from marey.models.network import Network
from marey.recipe import Train


def prepare_network(network: nn.Module, train: Train) -> None:
    """Drop paths and recompute blocks as declared, in networks of ours and in modules built of the same layers.

    Raises:
        RecipeError: the recipe asks for one of them, and the network has no layer for it.
    """
    if train.drop_path:
        for pathway in network.pathways() if isinstance(network, Network) else (network,):
            set_drop_path(pathway, train.drop_path)
    if train.checkpointing:
        recompute_blocks(network)
