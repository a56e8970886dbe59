"""The interface of every network: what testing, training, probes and detection may rely on."""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from marey.models.initialisation import Initialisation
from marey.models.layers.drop_path import set_drop_path
from marey.models.layers.initialise import initialise
from marey.models.layers.positions import ResizedPositions


@runtime_checkable
class NamesNoDecay(Protocol):
    """A module that names further parameters without weight decay, besides norms, biases and one-dimensional ones.

    Any module may do so: a whole network, a user's own module, or one layer inside.
    """

    def no_decay(self) -> frozenset[str]:
        """Names of parameters as in the module's own `named_parameters()`: position embeddings, class tokens, tables of
        relative positions.
        """


@runtime_checkable
class NamesLayerDepth(Protocol):
    """A module that gives the depth of the layer of each of its parameters, for learning rates by layer."""

    def layer_depth(self, parameter_name: str) -> int:
        """See `Network.layer_depth`."""


@runtime_checkable
class ResizesPositions(Protocol):
    """A module whose position embeddings have one grid, and that makes them of another grid's when weights are loaded.

    Any module may do so: a whole network, a user's own module, or one layer inside.
    """

    def resize_positions(self, parameter_name: str, theirs: Tensor) -> ResizedPositions | None:
        """What a file's tensor of another shape becomes; None where its shape is wrong.

        Args:
            parameter_name: One of the names of its own `state_dict()`; of any parameter whose shape differs.
            theirs: The file's tensor, in the network's order of axes.

        Returns:
            A tensor of the parameter's shape, as `marey.models.layers.positions.resize_positions` makes it.
        """


@runtime_checkable
class GivesFeatures(Protocol):
    """A module that gives pooled features; `Network` does."""

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """See `Network.features`."""


@runtime_checkable
class GivesPositions(Protocol):
    """A module that gives logits at each position of its head; `Network` does."""

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """See `Network.positions`."""


@runtime_checkable
class GivesTokens(Protocol):
    """A module that gives tokens, as transformers do."""

    def tokens(self, clip_BCTHW: Tensor) -> Tensor:
        """Tokens [B, N, D] before the head."""


class Network(nn.Module, ABC):
    """A network from a clip to logits. What surrounds it (pixels, class names, recipe) is a `marey.Classifier`'s.

    `clip` is float32 or bfloat16 [B, C, T, H, W], C = 3 for RGB and 2 for flow (x, y). Shapes: K classes,
    T' x H' x W' positions of the head (1 x 1 x 1 after a global pool), D features.
    """

    strides: tuple[tuple[int, int, int], ...]
    """For each map of `trunk`: input frames, rows and columns per position of the map."""
    head: nn.Module
    dropout: nn.Dropout

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K], before softmax: the mean of `positions`."""
        return self.positions(clip_BCTHW).mean(dim=(2, 3, 4))

    @abstractmethod
    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last maps before pooling, each [B, D, T / t, H / h, W / w] for its (t, h, w) of `strides`."""

    @abstractmethod
    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before dropout."""

    @abstractmethod
    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits at each position of the head, [B, K, T', H', W']."""

    @abstractmethod
    def reset_head(self, num_classes: int) -> None:
        """Replace the classifier by a new one for `num_classes` classes (weights normal 0.01, bias 0)."""

    @abstractmethod
    def layer_depth(self, parameter_name: str) -> int:
        """How deep a parameter lies: 0 for the stem, n for stage n, the largest value for the head.

        In a transformer (BEiT's rule, which PySlowFast and MMAction2 follow; D blocks): 0 for the patch embedding, the
        position embeddings and the tokens, n for block n counted from 1, D + 1 for the final norm and the head.
        """

    def no_decay(self) -> frozenset[str]:
        """Names of its own parameters without weight decay, besides those of its layers (`NamesNoDecay`); here none."""
        return frozenset()

    def pathways(self) -> tuple[nn.Module, ...]:
        """The parallel pathways of the network; `set_drop_path` counts the blocks of each one separately."""
        return (self,)

    def regularise(self, *, dropout: float, drop_path: float = 0.0) -> None:
        """Set the probability of dropout before the head, and the rate of stochastic depth (`set_drop_path`).

        Raises:
            RecipeError: `drop_path` is not 0, but the network has no `DropPath`.
        """
        self.dropout.p = dropout
        drop_paths(self, drop_path)

    def initialise(self, how: Initialisation) -> None:
        """Give all parameters their initial values: `marey.models.layers.initialise.initialise`."""
        initialise(self, how, head=self.head)

    def initialise_head(self, how: Initialisation) -> None:
        """Initialise the parameters of the head again."""
        initialise(self.head, how, head=self.head)

    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device


def drop_paths(network: nn.Module, rate: float) -> None:
    """Set the rates of all paths of a network, or of a module built of the same layers, by depth (`set_drop_path`).

    Raises:
        RecipeError: `rate` is not 0, and there is no path to drop.
    """
    for pathway in network.pathways() if isinstance(network, Network) else (network,):
        set_drop_path(pathway, rate)
