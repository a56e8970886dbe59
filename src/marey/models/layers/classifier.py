"""What TSN, SlowOnly, SlowFast and similar networks share behind the trunk: a pool, dropout and one linear layer."""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from marey.models.layers.efficientnet import EfficientNetLiteTrunk
from marey.models.layers.inception import BNInceptionTrunk, InceptionV1Trunk
from marey.models.layers.initialise import initialise_head
from marey.models.layers.resnet import ResNetTrunk
from marey.models.layers.trunk import Trunk
from marey.models.network import Network


class LinearClassifier(Network, ABC):
    """A network whose last maps are pooled and joined, and classified by one linear layer.

    Args:
        features: D, channels of the last maps together.
        num_classes: K.
        window: Rows and columns of a pool that slides over the last maps one step at a time, over all frames at once;
            smaller maps are pooled whole. None pools every map whole.
    """

    head: nn.Linear

    def __init__(self, *, features: int, num_classes: int, window: int | None = None) -> None:
        super().__init__()
        self.window = window
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(features, num_classes)
        initialise_head(self.head)

    @property
    @abstractmethod
    def num_stages(self) -> int:
        """How many stages lie between the stem and the head."""

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before dropout; the maps in the order of `trunk`."""
        return torch.cat([map_BDTHW.mean(dim=(2, 3, 4)) for map_BDTHW in self.trunk(clip_BCTHW)], dim=1)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits at each position of the window, [B, K, 1, H', W']: 1 x 1 where the maps are pooled whole."""
        pooled = torch.cat([self._pooled(map_BDTHW) for map_BDTHW in self.trunk(clip_BCTHW)], dim=1)
        return self._classify(pooled.movedim(1, -1)).movedim(-1, 1)

    def reset_head(self, num_classes: int) -> None:
        """A fresh classifier for `num_classes` classes (weights normal 0.01, bias 0)."""
        fresh = nn.Linear(self.head.in_features, num_classes, device=self.head.weight.device)
        initialise_head(fresh)
        self.head = fresh

    def layer_depth(self, parameter_name: str) -> int:
        """0 for the stem, n for the stages from 1 on and what leads on from them, one more than the last for the head."""
        parts = parameter_name.split(".")
        if parts[0] == "head":
            return self.num_stages + 1
        if parts[0] == "laterals":
            return int(parts[1])
        return int(parts[2]) + 1 if parts[1] == "stages" else 0

    def _pooled(self, map_BDTHW: Tensor) -> Tensor:
        if self.window is None:
            return map_BDTHW.mean(dim=(2, 3, 4), keepdim=True)
        # Time first: torch has no bfloat16 average pool in three dimensions on a CPU.
        still = map_BDTHW.mean(dim=2)
        height, width = still.shape[2:]
        return avg_pool2d(still, (min(self.window, height), min(self.window, width)), stride=1)[:, :, None]

    def _classify(self, features_BD: Tensor) -> Tensor:
        return self.head(self.dropout(features_BD))  # type: ignore[no-any-return]

    def _store_channels_last(self, *, flat: bool = False) -> None:
        """Clips come channels-last from `to_clip`; weights in the same layout make pointwise convolutions several
        times faster on a CPU (docs/performance/networks.md).
        """
        self.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]


class PooledClassifier(LinearClassifier):
    """A linear classifier on one trunk, which is a child of the trunk's own name."""

    channels_last: ClassVar[bool] = True
    """How weights and maps lie in memory: channels together, which makes pointwise convolutions several times faster on a
    CPU, or frame by frame, which factorised ones prefer (docs/performance/networks.md)."""
    # The trunk is one of these, under its name, for code that knows which it is: layouts of weights.
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
        """What makes the maps."""
        return cast(Trunk, self._modules[self._name])

    @property
    def num_stages(self) -> int:
        return len(self.backbone.stages)

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map, [B, D, T / t, H / h, W / w]."""
        return (self.backbone(clip_BCTHW if self.channels_last else clip_BCTHW.contiguous()),)
