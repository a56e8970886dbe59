"""Stochastic depth: Huang et al., Deep Networks with Stochastic Depth, ECCV 2016."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from marey.base.errors import RecipeError


class DropPath(nn.Module):
    """Sets the branch of a residual block to 0 for some samples in training, and divides it by 1 - `rate` for the others.

        x = x + self.drop_path(self.branch(x))

    A block with several branches calls one `DropPath` for each of them: every call draws again which samples are dropped. In
    eval mode nothing is dropped or scaled (as in timm, MMAction2 and PySlowFast; the paper scales in testing instead).

    Args:
        rate: Probability that a sample loses its branch, at least 0 and below 1. `set_drop_path` sets it by depth.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """[B, ...] to the same shape; each of the B samples is kept or dropped."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty(x.shape[0], *(1,) * (x.ndim - 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (mask / keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


@runtime_checkable
class HasPathways(Protocol):
    """A network of several pathways side by side; `Network` is one."""

    def pathways(self) -> tuple[nn.Module, ...]:
        """The parallel pathways, each with residual blocks that are counted separately."""


def set_drop_path(network: nn.Module, rate: float) -> None:
    """Set the rate of each `DropPath` by its depth: block i of N, from 0, drops with probability rate * i / (N - 1).

    The first block never drops and the last one drops with `rate` (timm's rule, as in BEiT, VideoMAE, MViT and Swin; the
    paper's equation 4 counts the stem as block 0 instead). Blocks are counted in the order of `modules()`, separately in
    each pathway of a network.

    Raises:
        RecipeError: `rate` is not 0, but a pathway has no `DropPath`.
    """
    for pathway in network.pathways() if isinstance(network, HasPathways) else (network,):
        layers = [module for module in pathway.modules() if isinstance(module, DropPath)]
        if rate and not layers:
            raise RecipeError(
                f"train.drop_path={rate:g}: {type(pathway).__name__} has no residual block with a DropPath "
                "(marey.models.layers.drop_path): leave train.drop_path at 0."
            )
        for index, layer in enumerate(layers):
            layer.rate = rate * index / max(len(layers) - 1, 1)
