"""What TSN, SlowOnly and their kin share behind the trunk: a global pool, dropout and one linear layer."""

from abc import ABC

import torch
from torch import Tensor, nn

from marey.models.layers.initialise import initialise_head
from marey.models.layers.resnet import ResNetTrunk
from marey.models.network import Network, Preprocess


class PooledClassifier(Network, ABC):
    """A network whose last maps are pooled to one feature vector and classified by one linear layer."""

    head: nn.Linear

    def __init__(self, resnet: ResNetTrunk, *, channels: int, num_classes: int) -> None:
        super().__init__()
        # Identity statistics until a recipe gives its own: they belong to the weights.
        self.preprocess = Preprocess((0.0,) * channels, (1.0,) * channels)
        self.resnet = resnet
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(resnet.out_channels, num_classes)
        initialise_head(self.head)
        # Clips come channels-last from `to_clip`; weights in the same layout make pointwise convolutions several
        # times faster on a CPU (docs/performance/networks.md).
        flat = resnet.stem.conv.weight.ndim == 4
        self.to(memory_format=torch.channels_last if flat else torch.channels_last_3d)  # type: ignore[call-overload]

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, D], before dropout."""
        return self.trunk(clip_BCTHW)[-1].mean(dim=(2, 3, 4))

    def reset_head(self, num_classes: int) -> None:
        """A fresh classifier for `num_classes` classes (weights normal 0.01, bias 0)."""
        fresh = nn.Linear(self.head.in_features, num_classes, device=self.head.weight.device)
        initialise_head(fresh)
        self.head = fresh
        self.class_names = None

    def layer_depth(self, parameter_name: str) -> int:
        """0 for the stem, 1 to 4 for the stages, 5 for the head."""
        parts = parameter_name.split(".")
        if parts[0] == "head":
            return 5
        return int(parts[2]) + 1 if parts[1] == "stages" else 0

    def _classify(self, features_BD: Tensor) -> Tensor:
        return self.head(self.dropout(features_BD))  # type: ignore[no-any-return]
