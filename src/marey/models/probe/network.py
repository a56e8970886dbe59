"""A linear classifier on the pooled maps of a backbone.

The maps are first reduced to cells, a small grid that suffices for every pooling. Cells can be cached, and pooled in several
ways without running the backbone again.

Shape suffixes: B batch, C channels, T frames of a clip, H height, W width; S streams (frames, and in a frame probe
difference images), P time steps, G rows and columns of the grid, D channels of the backbone's maps, F pooled features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from marey.models.layers.initialise import new_head
from marey.models.network import LinearClassifier, Network
from marey.models.probe.config import ClipProbeConfig, FrameMean, FrameProbeConfig, Halves, Moments, Pooling

GRID = 2
"""Rows and columns of a cell grid."""
TIME_STEPS = 8
"""Largest number of time steps of a cell grid; longer maps of clip networks are reduced to it."""


class Probe(Network, ABC):
    """A backbone, a pooling of its maps, and one linear layer."""

    head: nn.Linear

    def __init__(self, config: FrameProbeConfig | ClipProbeConfig) -> None:
        super().__init__()
        backbone = config.backbone.build()
        assert isinstance(backbone, LinearClassifier)
        self.backbone, self.pooling = backbone, config.pooling
        self.channels = backbone.head.in_features
        """D, the channels of the backbone's maps."""
        width = _WIDTHS[type(config.pooling)](self.channels, self.streams)
        backbone.head = nn.Identity()  # type: ignore[assignment]
        self.dropout = nn.Dropout(0.5)
        self.head = new_head(width, config.num_classes)

    @property
    @abstractmethod
    def streams(self) -> int:
        """S: 1 (the clip) or 2 (frames and difference images)."""

    @abstractmethod
    def cells(self, clip_BCTHW: Tensor) -> Tensor:
        """The maps of the backbone, reduced to [B, S, P, G, G, D]."""

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, F]."""
        return torch.cat(pool_cells(self.pooling, self.cells(clip_BCTHW)), dim=1)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K, 1, 1, 1]."""
        return self.head(self.dropout(self.features(clip_BCTHW)))[..., None, None, None]  # type: ignore[no-any-return]

    def reset_head(self, num_classes: int) -> None:
        self.head = new_head(self.head.in_features, num_classes, device=self.head.weight.device)

    def layer_depth(self, parameter_name: str) -> int:
        """As in the backbone; the probe's head has the depth of the backbone's."""
        return self.backbone.layer_depth(parameter_name.removeprefix("backbone."))

    def pathways(self) -> tuple[nn.Module, ...]:
        return self.backbone.pathways()


class FrameProbe(Probe):
    """A probe on a network of single frames.

    The clip has T = 2 P frames, which are P pairs of an earlier frame and a later one: earlier 0, later 0, earlier 1, ...
    """

    def __init__(self, config: FrameProbeConfig) -> None:
        super().__init__(config)
        self.strides = tuple((2, height, width) for _, height, width in self.backbone.strides)

    @property
    def streams(self) -> int:
        return 2

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map of each later frame, [B, D, P, H / h, W / w]."""
        return self.backbone.trunk(clip_BCTHW[:, :, 1::2])

    def cells(self, clip_BCTHW: Tensor) -> Tensor:
        later = clip_BCTHW[:, :, 1::2]
        both = torch.cat([later, later - clip_BCTHW[:, :, ::2]], dim=2)
        grid_BPGGD = _to_grid(self.backbone.trunk(both)[0])
        return torch.stack(grid_BPGGD.chunk(2, dim=1), dim=1)


class ClipProbe(Probe):
    """A probe on a network of clips. The channels of several maps, as SlowFast has them, are concatenated."""

    def __init__(self, config: ClipProbeConfig) -> None:
        super().__init__(config)
        self.strides = self.backbone.strides

    @property
    def streams(self) -> int:
        return 1

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        return self.backbone.trunk(clip_BCTHW)

    def cells(self, clip_BCTHW: Tensor) -> Tensor:
        grids = [_to_grid(map_BDPHW) for map_BDPHW in self.backbone.trunk(clip_BCTHW)]
        steps = min(TIME_STEPS, *(grid.shape[1] for grid in grids))
        return torch.cat([_interval_means(grid, 1, steps) for grid in grids], dim=-1)[:, None]


def pool_cells(pooling: Pooling, cells_BSPGGD: Tensor) -> list[Tensor]:
    """Pooled features: one tensor [B, F'] for each kind, such as means over time and changes.

    A fitted probe gives each kind the same weight, however many features the kind has.
    """
    return _POOLINGS[type(pooling)](cells_BSPGGD)


def _mean(cells_BSPGGD: Tensor) -> list[Tensor]:
    return [cells_BSPGGD[:, 0].mean(dim=(1, 2, 3))]


def _moments(cells_BSPGGD: Tensor) -> list[Tensor]:
    over_time_BSPD = cells_BSPGGD.mean(dim=(3, 4))
    frames, *differences = over_time_BSPD.unbind(1)
    change = (frames[:, 1:] - frames[:, :-1]).abs().sum(dim=1) / max(frames.shape[1] - 1, 1)
    features = [frames.mean(dim=1), change]
    for difference in differences:
        features += [difference.mean(dim=1), difference.std(dim=1, correction=0)]
    return features


def _halves(cells_BSPGGD: Tensor) -> list[Tensor]:
    first_half, second_half = _interval_means(cells_BSPGGD, 2, 2).unbind(2)
    features = []
    for first, second in zip(first_half.unbind(1), second_half.unbind(1), strict=True):
        features += [((first + second) / 2).flatten(1), (second - first).flatten(1)]
    return features


_POOLINGS: dict[type, Callable[[Tensor], list[Tensor]]] = {FrameMean: _mean, Moments: _moments, Halves: _halves}
_WIDTHS: dict[type, Callable[[int, int], int]] = {
    FrameMean: lambda channels, streams: channels,
    Moments: lambda channels, streams: 2 * channels * streams,
    Halves: lambda channels, streams: 2 * channels * streams * GRID**2,
}
"""F, from the D channels and S streams."""


def _to_grid(map_BDPHW: Tensor) -> Tensor:
    """A map reduced to the grid, [B, P, G, G, D]."""
    return _interval_means(_interval_means(map_BDPHW.movedim(1, -1), 2, GRID), 3, GRID)


def _interval_means(x: Tensor, dim: int, intervals: int) -> Tensor:
    """The means of equal intervals of a dimension.

    If the edge of an interval lies within an element, the element counts in proportion in both intervals: the mean of the
    interval means is the mean of all elements.
    """
    size = x.shape[dim]
    if size == intervals:
        return x
    edges = torch.arange(size + 1, dtype=torch.float64)
    starts = torch.arange(intervals, dtype=torch.float64)[:, None] * (size / intervals)
    covered = torch.minimum(edges[1:], starts + size / intervals) - torch.maximum(edges[:-1], starts)
    shares = (covered.clamp(min=0) * (intervals / size)).to(x)
    means: Tensor = torch.tensordot(x, shares, dims=([dim], [1])).movedim(-1, dim)
    return means
