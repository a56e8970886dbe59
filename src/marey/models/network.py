"""The interface of every network, and what networks with a pool and one linear layer behind the trunk share.

Shape suffixes: B batch, C channels, T frames, H height, W width, D features, K classes.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from marey.models.layers.config import Initialisation
from marey.models.layers.drop_path import set_drop_path
from marey.models.layers.efficientnet import EfficientNetLiteTrunk
from marey.models.layers.inception import BNInceptionTrunk, InceptionV1Trunk
from marey.models.layers.initialise import initialise, new_head
from marey.models.layers.resnet import ResNetTrunk
from marey.models.layers.trunk import Trunk


class Network(nn.Module, ABC):
    """A network from a clip to logits. `marey.Classifier` adds recipe, class names and preprocessing to it.

    `clip` is float32 or bfloat16 [B, C, T, H, W], C = 3 for RGB and 2 for flow (x, y). The head has T' x H' x W' positions:
    1 x 1 x 1 after a global pool.
    """

    strides: tuple[tuple[int, int, int], ...]
    """For each map of `trunk`: input frames, rows and columns per position of the map."""
    head: nn.Module
    """The last layer, from features to logits."""
    dropout: nn.Dropout
    """Dropout before the head."""

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
        """Replace the head by a new one for `num_classes` classes (weights normal with deviation 0.01, bias 0)."""

    @abstractmethod
    def layer_depth(self, parameter_name: str) -> int:
        """The depth of a parameter: 0 in the stem, n in stage n, the largest value in the head.

        In a transformer of N blocks (BEiT's rule, which PySlowFast and MMAction2 follow): 0 for the patch embedding, the
        position embeddings and the tokens, n for block n counted from 1, N + 1 for the final norm and the head.
        """

    def no_decay(self) -> frozenset[str]:
        """Names of parameters to exclude from weight decay, besides those that layers of the network name
        (`NamesNoDecay`).
        """
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
        set_drop_path(self, drop_path)

    def initialise(self, how: Initialisation) -> None:
        """Give all parameters initial values, by `marey.models.layers.initialise`."""
        initialise(self, how, head=self.head)

    def initialise_head(self, how: Initialisation) -> None:
        """Give the parameters of the head initial values again."""
        initialise(self.head, how, head=self.head)

    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device


class LinearClassifier(Network, ABC):
    """A network whose last maps are pooled, concatenated and classified by one linear layer.

    Args:
        features: D, the channels of the last maps together.
        num_classes: K.
        window: Side of a square pool that slides over the last maps with stride 1 and averages all frames. A map smaller
            than it is pooled completely. None pools every map completely.
    """

    head: nn.Linear

    def __init__(self, *, features: int, num_classes: int, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.dropout = nn.Dropout(0.5)
        self.head = new_head(features, num_classes)

    @property
    @abstractmethod
    def num_stages(self) -> int:
        """Number of stages between stem and head."""

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before dropout; the maps in the order of `trunk`."""
        return torch.cat([map_BDTHW.mean(dim=(2, 3, 4)) for map_BDTHW in self.trunk(clip_BCTHW)], dim=1)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits at each position of the window, [B, K, 1, H', W']: 1 x 1 where the maps are pooled completely."""
        pooled = torch.cat([self._pooled(map_BDTHW) for map_BDTHW in self.trunk(clip_BCTHW)], dim=1)
        return self._classify(pooled.movedim(1, -1)).movedim(-1, 1)

    def reset_head(self, num_classes: int) -> None:
        self.head = new_head(self.head.in_features, num_classes, device=self.head.weight.device)

    def layer_depth(self, parameter_name: str) -> int:
        """0 for the stem, n for stage n counted from 1, and one more than the last stage for the head.

        Names are `head...` or, in a trunk, `TRUNK.stages.INDEX...` and `TRUNK.stem...`.
        """
        first, second, *rest = parameter_name.split(".")
        if first == "head":
            return self.num_stages + 1
        return int(rest[0]) + 1 if second == "stages" else 0

    def _pooled(self, map_BDTHW: Tensor) -> Tensor:
        if self.window is None:
            return map_BDTHW.mean(dim=(2, 3, 4), keepdim=True)
        # Time first: torch has no bfloat16 average pool in three dimensions on a CPU.
        map_BDHW = map_BDTHW.mean(dim=2)
        height, width = map_BDHW.shape[2:]
        return avg_pool2d(map_BDHW, (min(self.window, height), min(self.window, width)), stride=1)[:, :, None]

    def _classify(self, features_BD: Tensor) -> Tensor:
        return self.head(self.dropout(features_BD))  # type: ignore[no-any-return]

    def _store_channels_last(self, *, flat: bool = False) -> None:
        """Store weights channels-last, as clips come from `to_clip`; `flat` is for a 2D network.

        If weights and clips have the same order, pointwise convolutions are several times faster on a CPU
        (docs/performance/networks.md).
        """
        self.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]


class PooledClassifier(LinearClassifier):
    """A linear classifier on one trunk. The trunk is a submodule under the name that its class gives it (`Trunk.name`)."""

    channels_last: ClassVar[bool] = True
    """Whether weights and maps are stored channels-last, which makes pointwise convolutions several times faster on a CPU.
    Off for networks of factorised convolutions, which are faster with contiguous maps (docs/performance/networks.md)."""
    # Each network has only one of these attributes: its trunk, under the name of the trunk.
    resnet: ResNetTrunk
    inception: InceptionV1Trunk | BNInceptionTrunk
    efficientnet: EfficientNetLiteTrunk

    def __init__(self, trunk: Trunk, *, num_classes: int, window: int | None = None) -> None:
        super().__init__(features=trunk.out_channels, num_classes=num_classes, window=window)
        self.add_module(trunk.name, trunk)
        self._name = trunk.name
        self.strides = (trunk.strides,)
        if self.channels_last:
            self._store_channels_last(flat=next(trunk.parameters()).ndim == 4)

    @property
    def backbone(self) -> Trunk:
        """The trunk."""
        return cast(Trunk, self._modules[self._name])

    @property
    def num_stages(self) -> int:
        return len(self.backbone.stages)

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map, [B, D, T / t, H / h, W / w]."""
        return (self.backbone(clip_BCTHW if self.channels_last else clip_BCTHW.contiguous()),)
