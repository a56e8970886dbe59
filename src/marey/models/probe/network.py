"""A linear classifier on the pooled maps of a backbone.

Between backbone and pooling lie cells: maps that are reduced to a small grid, which is all that any pooling needs, so that
they can be kept and pooled in several ways without the network.

Shape suffixes: B batch, C channels, T frames of a clip, H height, W width; S streams (frames; and difference images, where
there are any), P places in time, G rows and columns of the grid, D channels of the backbone's maps, F pooled features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from marey.models.layers.classifier import LinearClassifier
from marey.models.layers.initialise import initialise_head
from marey.models.network import Network
from marey.models.probe.config import ClipProbeConfig, FrameMean, FrameProbeConfig, Halves, Moments, Pooling

GRID = 2
"""Rows and columns to which maps are reduced."""
PLACES = 8
"""Places in time to which longer maps of clip networks are reduced."""


class Probe(Network, ABC):
    """A backbone, a pooling of its maps, and one linear layer."""

    head: nn.Linear

    def __init__(self, config: FrameProbeConfig | ClipProbeConfig) -> None:
        super().__init__()
        backbone = config.backbone.build()
        assert isinstance(backbone, LinearClassifier)
        self.backbone, self.pooling = backbone, config.pooling
        self.channels = backbone.head.in_features
        """D"""
        width = _WIDTHS[type(config.pooling)](self.channels, self.streams)
        backbone.head = nn.Identity()  # type: ignore[assignment]
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(width, config.num_classes)
        initialise_head(self.head)

    @property
    @abstractmethod
    def streams(self) -> int:
        """S: 1, the clip itself; or 2, frames and difference images."""

    @abstractmethod
    def cells(self, clip_BCTHW: Tensor) -> Tensor:
        """The maps of the backbone, reduced to [B, S, P, G, G, D]."""

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """Pooled features [B, F]."""
        return torch.cat(blocks(self.pooling, self.cells(clip_BCTHW)), dim=1)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K, 1, 1, 1]."""
        return self.head(self.dropout(self.features(clip_BCTHW)))[..., None, None, None]  # type: ignore[no-any-return]

    def reset_head(self, num_classes: int) -> None:
        fresh = nn.Linear(self.head.in_features, num_classes, device=self.head.weight.device)
        initialise_head(fresh)
        self.head = fresh

    def layer_depth(self, parameter_name: str) -> int:
        """That of the backbone; the head lies where the backbone's own would."""
        return self.backbone.layer_depth(parameter_name.removeprefix("backbone."))

    def pathways(self) -> tuple[nn.Module, ...]:
        return self.backbone.pathways()


class FrameProbe(Probe):
    """On a network of single frames. The clip is pairs of frames: earlier 0, frame 0, earlier 1, frame 1, ..., T = 2 P."""

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
        reduced_BPGGD = _reduced(self.backbone.trunk(both)[0])
        return torch.stack(reduced_BPGGD.chunk(2, dim=1), dim=1)


class ClipProbe(Probe):
    """On a network of whole clips. Where it has several maps, as SlowFast, their channels are joined."""

    def __init__(self, config: ClipProbeConfig) -> None:
        super().__init__(config)
        self.strides = self.backbone.strides

    @property
    def streams(self) -> int:
        return 1

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        return self.backbone.trunk(clip_BCTHW)

    def cells(self, clip_BCTHW: Tensor) -> Tensor:
        maps = [_reduced(found) for found in self.backbone.trunk(clip_BCTHW)]
        places = min(PLACES, *(reduced.shape[1] for reduced in maps))
        return torch.cat([_areas(reduced, 1, places) for reduced in maps], dim=-1)[:, None]


def blocks(pooling: Pooling, cells_BSPGGD: Tensor) -> list[Tensor]:
    """What a pooling makes of cells: features [B, F'] of each kind. A classifier gives each kind the same weight, however
    many features it has.
    """
    return _BLOCKS[type(pooling)](cells_BSPGGD)


def _mean(cells_BSPGGD: Tensor) -> list[Tensor]:
    return [cells_BSPGGD[:, 0].mean(dim=(1, 2, 3))]


def _moments(cells_BSPGGD: Tensor) -> list[Tensor]:
    over_time_BSPD = cells_BSPGGD.mean(dim=(3, 4))
    frames, *differences = over_time_BSPD.unbind(1)
    change = (frames[:, 1:] - frames[:, :-1]).abs().sum(dim=1) / max(frames.shape[1] - 1, 1)
    found = [frames.mean(dim=1), change]
    for of_stream in differences:
        found += [of_stream.mean(dim=1), of_stream.std(dim=1, correction=0)]
    return found


def _halves(cells_BSPGGD: Tensor) -> list[Tensor]:
    first, second = _areas(cells_BSPGGD, 2, 2).unbind(2)
    found = []
    for one, other in zip(first.unbind(1), second.unbind(1), strict=True):
        found += [((one + other) / 2).flatten(1), (other - one).flatten(1)]
    return found


_BLOCKS: dict[type, Callable[[Tensor], list[Tensor]]] = {FrameMean: _mean, Moments: _moments, Halves: _halves}
_WIDTHS: dict[type, Callable[[int, int], int]] = {
    FrameMean: lambda channels, streams: channels,
    Moments: lambda channels, streams: 2 * channels * streams,
    Halves: lambda channels, streams: 2 * channels * streams * GRID**2,
}
"""F, for D channels and S streams."""


def _reduced(map_BDPHW: Tensor) -> Tensor:
    """A map on the grid, [B, P, G, G, D]."""
    return _areas(_areas(map_BDPHW.movedim(1, -1), 2, GRID), 3, GRID)


def _areas(x: Tensor, dim: int, parts: int) -> Tensor:
    """The means of so many equal parts of a dimension. A part may begin or end inside an entry, of which it then takes as
    much: the mean of the parts is the mean of all entries.
    """
    size = x.shape[dim]
    if size == parts:
        return x
    edges = torch.arange(size + 1, dtype=torch.float64)
    starts = torch.arange(parts, dtype=torch.float64)[:, None] * (size / parts)
    covered = torch.minimum(edges[1:], starts + size / parts) - torch.maximum(edges[:-1], starts)
    shares = (covered.clamp(min=0) * (parts / size)).to(x)
    means: Tensor = torch.tensordot(x, shares, dims=([dim], [1])).movedim(-1, dim)
    return means
