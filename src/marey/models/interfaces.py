"""What training, loading and prediction can use of any module, whether it is Marey's network or a user's own.

Each interface is optional. `NamesNoDecay` and `ResizesPositions` may also belong to a layer inside a network.
"""

from typing import Protocol, runtime_checkable

from torch import Tensor

from marey.models.layers.positions import ResizedPositions


@runtime_checkable
class NamesNoDecay(Protocol):
    """A module that names parameters to exclude from weight decay, besides norms, biases and one-dimensional parameters."""

    def no_decay(self) -> frozenset[str]:
        """Names of parameters as in the module's own `named_parameters()`.

        For example position embeddings, class tokens and tables of relative positions.
        """


@runtime_checkable
class NamesLayerDepth(Protocol):
    """A module that gives the depth of each of its parameters, for learning rates by depth (`DepthGroups`)."""

    def layer_depth(self, parameter_name: str) -> int:
        """See `Network.layer_depth`."""


@runtime_checkable
class ResizesPositions(Protocol):
    """A module that can resize position embeddings of another clip size when weights are loaded."""

    def resize_positions(self, parameter_name: str, theirs: Tensor) -> ResizedPositions | None:
        """A file's tensor resized to the shape of a parameter; None if it cannot be resized, so that loading fails.

        Loading calls it for each parameter whose shape differs from the file's.

        Args:
            parameter_name: A name of the module's own `state_dict()`.
            theirs: The file's tensor, with the axes in the parameter's order.

        Returns:
            The resized tensor and both grids: what `marey.models.layers.positions.resize_positions` returns.
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
