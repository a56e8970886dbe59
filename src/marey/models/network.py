"""The interface of every network: what testing, training, probes and detection may rely on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from marey.models.initialisation import Initialisation
from marey.models.layers.drop_path import set_drop_path
from marey.models.layers.initialise import initialise
from marey.video.transforms import to_clip


@runtime_checkable
class NamesNoDecay(Protocol):
    """A module that names parameters which do not decay though they are no norm's, no bias and not one-dimensional.

    Any module may: a whole network, a user's own, or one layer inside.
    """

    def no_decay(self) -> frozenset[str]:
        """Names of parameters as in the module's own `named_parameters()`: position embeddings, class tokens, tables of
        relative positions.
        """


@runtime_checkable
class NamesLayerDepth(Protocol):
    """A network that knows in which layer each of its parameters lies."""

    def layer_depth(self, parameter_name: str) -> int:
        """See `Network.layer_depth`."""


class Preprocess(nn.Module):
    """uint8 clips [B, T, H, W, C] to normalised ones [B, C, T, H, W]; part of every export.

    Mean and deviation, in grey levels 0..255, belong to the weights and so are no parameters of a checkpoint.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], order: Literal["rgb", "bgr"] = "rgb") -> None:
        super().__init__()
        self.order = order
        self.mean = tuple(mean)
        self.std = tuple(std)

    def forward(self, clip_BTHWC: Tensor) -> Tensor:
        return to_clip(clip_BTHWC, self.mean, self.std, order=self.order)


class Network(nn.Module, ABC):
    """A network from a clip to logits.

    `clip` is float32 or bfloat16 [B, C, T, H, W], C = 3 for RGB and 2 for flow (x, y). Shapes: K classes,
    T' x H' x W' positions of the head (1 x 1 x 1 after a global pool), D features.
    """

    strides: tuple[tuple[int, int, int], ...]
    """Of each map of `trunk`: input frames, rows and columns per step of the map."""
    preprocess: nn.Module
    head: nn.Module
    dropout: nn.Dropout
    class_names: tuple[str, ...] | None = None
    recipe: Any = None
    """The `marey.Recipe` that the weights belong to; set by `load_model`. (A network does not know recipes.)"""

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K], before softmax: the mean of `positions`."""
        return self.positions(clip_BCTHW).mean(dim=(2, 3, 4))

    load_report: object | None = None
    """What became of every tensor of the file that the weights came from."""

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
        """Replace the classifier by a fresh one for `num_classes` classes (weights normal 0.01, bias 0)."""

    @abstractmethod
    def layer_depth(self, parameter_name: str) -> int:
        """How deep a parameter lies: 0 for the stem, n for stage n, the largest value for the head.

        Of a transformer (BEiT's rule, which PySlowFast and MMAction2 follow; D blocks): 0 for the patch embedding, the
        position embeddings and the tokens, n for block n counted from 1, D + 1 for the final norm and the head.
        """

    def no_decay(self) -> frozenset[str]:
        """Names of parameters of its own that do not decay, besides what its layers name (`NamesNoDecay`); here none."""
        return frozenset()

    def pathways(self) -> tuple[nn.Module, ...]:
        """The parts through which a clip passes side by side: blocks are counted in each of them from its first one."""
        return (self,)

    def regularise(self, *, dropout: float, drop_path: float = 0.0) -> None:
        """Set the probabilities of dropout before the head and of dropping paths (stochastic depth, `set_drop_path`).

        Raises:
            RecipeError: `drop_path` is not 0, and the network has no path to drop.
        """
        self.dropout.p = dropout
        for pathway in self.pathways():
            set_drop_path(pathway, drop_path)

    def initialise(self, how: Initialisation) -> None:
        """Give all parameters their first values: `marey.models.layers.initialise.initialise`."""
        initialise(self, how, head=self.head)

    def initialise_head(self, how: Initialisation) -> None:
        """Give the head's parameters their first values again."""
        initialise(self.head, how, head=self.head)

    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device
