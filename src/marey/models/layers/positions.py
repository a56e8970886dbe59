"""Position embeddings resized to another grid, so that checkpoints of another input size can be loaded.

A grid is (T, H, W): the numbers of positions along time, height and width. Positions are ordered by time, then height, then
width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, prod

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from marey.base.errors import WeightsError

Grid = tuple[int, int, int]
"""(T, H, W)."""

_MAX_RATIO = 64
"""Largest number of positions in a file, as a multiple of the network's. More are not resized: a small file can declare a
tensor of any size."""


@dataclass(frozen=True)
class Interpolation:
    """How values between positions are computed."""

    name: str
    """The name in the load report."""
    resize: Callable[[Tensor, Grid], Tensor]
    """From maps [1, D, T, H, W] in float32 and a grid to maps of that grid."""


def _in_space(maps_1DTHW: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    """Each time step resized by itself, bicubic."""
    frames_TDHW = maps_1DTHW[0].movedim(1, 0)
    resized = interpolate(frames_TDHW, size=size, mode="bicubic", align_corners=False, antialias=antialias)
    return resized.movedim(0, 1)[None]


def _in_time(maps_1DTHW: Tensor, length: int) -> Tensor:
    height, width = maps_1DTHW.shape[3:]
    return interpolate(maps_1DTHW, size=(length, height, width), mode="trilinear", align_corners=False)


BICUBIC = Interpolation(
    "bicubic in space, linear in time",
    lambda maps, grid: _in_time(_in_space(maps, grid[1:], antialias=False), grid[0]),
)
"""As in UMT and InternVideo2 (interpolate_pos_embed of their utils), and for images in MAE and DINOv2."""

BICUBIC_ANTIALIASED = Interpolation(
    "bicubic with antialiasing in space, linear in time",
    lambda maps, grid: _in_time(_in_space(maps, grid[1:], antialias=True), grid[0]),
)
"""As in timm (resample_abs_pos_embed) and DINOv2 with registers: a smaller grid has means over the larger one."""

TRILINEAR = Interpolation(
    "trilinear", lambda maps, grid: interpolate(maps, size=grid, mode="trilinear", align_corners=False)
)
"""Linear along all three axes."""

NEAREST = Interpolation("nearest", lambda maps, grid: interpolate(maps, size=grid, mode="nearest"))
"""As in TimeSformer, in space and in time."""


@dataclass(frozen=True)
class ResizedPositions:
    """Position embeddings that were resized to another grid."""

    tensor: Tensor
    """The resized tensor, [1, tokens + N, D]: tokens without a position, N positions of `grid`, D channels."""
    source: Grid
    """The file's grid."""
    grid: Grid
    """The network's grid."""
    interpolation: Interpolation
    """How they were resized."""

    def __str__(self) -> str:
        source, grid = (" x ".join(map(str, sizes)) for sizes in (self.source, self.grid))
        return f"{source} positions resized to {grid}, {self.interpolation.name}"


def resize_positions(
    theirs_1ND: Tensor, grid: Grid, interpolation: Interpolation, *, tokens: int = 0, source: Grid | None = None
) -> ResizedPositions | None:
    """Learned absolute position embeddings [1, tokens + N, D] resized to `grid`; None if the file's grid is unknown.

    A file does not contain its grid, which is therefore inferred from N: it has either the T of `grid` and H = W, or
    the H and W of `grid` and another T. A given `source` can be any grid of N positions. Loading does not call this
    function for a file with as many positions as the network: the tensors then have the same shape.

    Args:
        theirs_1ND: The file's tensor.
        grid: The network's grid.
        interpolation: How the network's authors resize.
        tokens: Number of first rows that are no positions, such as class tokens; they are not changed.
        source: The file's grid; None: it is inferred.

    Raises:
        WeightsError: N fits two grids, such as 2 H x 2 W and 4 T for 4 times as many positions.
    """
    count = theirs_1ND.shape[1] - tokens if theirs_1ND.ndim == 3 and len(theirs_1ND) == 1 else 0
    if not 0 < count <= _MAX_RATIO * prod(grid) or not theirs_1ND.is_floating_point():
        return None
    sources = _grids(count, grid) if source is None else [source] * (prod(source) == count)
    if len(sources) > 1:
        first, second = (" x ".join(map(str, sizes)) for sizes in sources)
        raise WeightsError(
            f"{count} position embeddings can be {first} or {second} (time, height, width): resize them to "
            f"{' x '.join(map(str, grid))} beforehand, with marey.models.layers.positions.resize_positions(..., source=...)."
        )
    if not sources:
        return None
    first_tokens, positions_1ND = theirs_1ND[:, :tokens].float(), theirs_1ND[:, tokens:].float()
    maps_1DTHW = positions_1ND.transpose(1, 2).reshape(1, -1, *sources[0])
    resized_1ND = interpolation.resize(maps_1DTHW, grid).flatten(2).transpose(1, 2)
    return ResizedPositions(torch.cat([first_tokens, resized_1ND], dim=1), sources[0], grid, interpolation)


def _grids(count: int, grid: Grid) -> list[Grid]:
    """The grids of `count` positions that differ from `grid` in space alone or in time alone."""
    frames, height, width = grid
    grids: list[Grid] = []
    side = isqrt(count // frames)
    if side * side * frames == count:
        grids.append((frames, side, side))
    length = count // (height * width)
    if length * height * width == count:
        grids.append((length, height, width))
    return list(dict.fromkeys(grids))
