"""Gradient checkpointing: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from marey.base.errors import RecipeError
from marey.models.layers.convolutions import SafeConvolutions


class Blocks(nn.Sequential):
    """Blocks in sequence. If `recompute` is on, only their inputs are stored for the backward pass, which runs them again.

    Gradients are bit-exact: random numbers are repeated, autocast is restored, and what a block writes into its buffers in
    its second forward pass is discarded, so that running statistics are updated once. A block must not modify its input in
    place. A network whose blocks take more than one map overrides `forward` and calls `run` for each block.
    """

    recompute: bool = False
    """Set by `recompute_blocks`."""

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = self.run(block, x)
        return x

    def run(self, block: nn.Module, *inputs: Any) -> Any:
        """The outputs of one block."""
        if not (self.recompute and self.training and torch.is_grad_enabled()):
            return block(*inputs)
        on_cpu = any(isinstance(value, Tensor) and value.device.type == "cpu" for value in inputs)

        def passes() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
            first = SafeConvolutions() if on_cpu else nullcontext()
            return first, _again(block, SafeConvolutions() if on_cpu else nullcontext())

        return checkpoint(block, *inputs, use_reentrant=False, context_fn=passes)


@contextmanager
def _again(block: nn.Module, convolutions: AbstractContextManager[Any]) -> Iterator[None]:
    """Context of a block's second forward pass: the block has copies of its buffers, which are discarded afterwards.

    `statistics_kept` cannot replace it: without running statistics a batch norm saves two tensors fewer for its gradient,
    and torch requires that both passes save the same tensors.
    """
    buffers = [
        (module, name, value) for module in block.modules() for name, value in module.named_buffers(recurse=False)
    ]
    for module, name, value in buffers:
        setattr(module, name, value.clone())
    try:
        with convolutions:
            yield
    finally:
        for module, name, value in buffers:
            setattr(module, name, value)


def recompute_blocks(network: nn.Module) -> None:
    """Turn on recomputation in all `Blocks` of a network.

    Raises:
        RecipeError: the network has no `Blocks`.
    """
    sequences = [module for module in network.modules() if isinstance(module, Blocks)]
    if not sequences:
        raise RecipeError(
            f"train.checkpointing: {type(network).__name__} has no Blocks to recompute "
            "(marey.models.layers.checkpointing): leave train.checkpointing off."
        )
    for blocks in sequences:
        blocks.recompute = True
