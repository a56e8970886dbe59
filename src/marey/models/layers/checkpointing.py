"""Gradient checkpointing: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from marey.base.errors import RecipeError
from marey.models.layers.norms import statistics_kept


class Blocks(nn.Sequential):
    """Blocks in a row that keep their inputs alone for the backward pass if `recompute` is on, and run again there.

    Gradients are the same numbers: random draws are repeated, autocast is as it was, and batch norms normalise by the
    same batch and do not move their running statistics a second time. Other modules that write into their buffers in a
    forward pass, or into their own input, must not be recomputed. A network whose blocks take more than one map
    overrides `forward` and calls `run` for each block.
    """

    recompute: bool = False

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = self.run(block, x)
        return x

    def run(self, block: nn.Module, *inputs: Any) -> Any:
        """The outputs of one block."""
        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return block(*inputs)

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), statistics_kept(block)

        return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


def recompute_blocks(network: nn.Module) -> None:
    """Let all `Blocks` of a network recompute in training.

    Raises:
        RecipeError: it has none.
    """
    found = [module for module in network.modules() if isinstance(module, Blocks)]
    if not found:
        raise RecipeError(
            f"train.checkpointing: {type(network).__name__} has no Blocks to recompute "
            "(marey.models.layers.checkpointing): leave train.checkpointing off."
        )
    for blocks in found:
        blocks.recompute = True
