"""Position embeddings of one grid made into those of another, as checkpoints for another input size need it.

A grid is (T, H, W): positions along time, height and width, in this order, the width fastest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, prod

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from marey.base.errors import WeightsError

Grid = tuple[int, int, int]

_MOST = 64
"""A file's grid has at most so many times as many positions as ours: a small file can name a tensor of any size."""


@dataclass(frozen=True)
class Interpolation:
    """How values between positions are found; `resize` takes [1, D, T, H, W] in float32 to a grid."""

    name: str
    resize: Callable[[Tensor, Grid], Tensor]


def _in_space(maps_1DTHW: Tensor, size: tuple[int, int], *, antialias: bool) -> Tensor:
    """Each step of time resized by itself, bicubic."""
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
"""UMT, InternVideo2 (interpolate_pos_embed of their utils), MAE and DINOv2 (pictures)."""

BICUBIC_ANTIALIASED = Interpolation(
    "bicubic with antialiasing in space, linear in time",
    lambda maps, grid: _in_time(_in_space(maps, grid[1:], antialias=True), grid[0]),
)
"""timm (resample_abs_pos_embed), DINOv2 with registers: a smaller grid takes means over the larger one."""

TRILINEAR = Interpolation(
    "trilinear", lambda maps, grid: interpolate(maps, size=grid, mode="trilinear", align_corners=False)
)
"""Linear along all three axes."""

NEAREST = Interpolation("nearest", lambda maps, grid: interpolate(maps, size=grid, mode="nearest"))
"""TimeSformer, in space and in time."""


@dataclass(frozen=True)
class ResizedPositions:
    """Position embeddings that were made of another grid's."""

    tensor: Tensor
    source: Grid
    grid: Grid
    interpolation: Interpolation

    def __str__(self) -> str:
        source, grid = (" x ".join(map(str, sizes)) for sizes in (self.source, self.grid))
        return f"{source} positions resized to {grid}, {self.interpolation.name}"


def resize_positions(
    theirs_1ND: Tensor, grid: Grid, interpolation: Interpolation, *, tokens: int = 0, source: Grid | None = None
) -> ResizedPositions | None:
    """Learned absolute position embeddings [1, tokens + N, D] for `grid`; None where they cannot be of any other grid.

    A file does not say its grid. It is inferred from N: as many steps in time and a square picture, or as many rows and
    columns and another length; both at once only where `source` says so. A grid of as many positions as ours has the
    same shape, so that nothing asks for it to be resized.

    Args:
        theirs_1ND: The file's tensor.
        grid: Ours.
        interpolation: What the network's authors resize by.
        tokens: Class tokens and the like, whose rows come first and stay as they are.
        source: The file's grid, where it is known.

    Raises:
        WeightsError: N fits two grids, as 4 times as many positions are twice the side or 4 times the frames.
    """
    count = theirs_1ND.shape[1] - tokens if theirs_1ND.ndim == 3 and len(theirs_1ND) == 1 else 0
    if not 0 < count <= _MOST * prod(grid) or not theirs_1ND.is_floating_point():
        return None
    sources = _grids(count, grid) if source is None else [source] * (prod(source) == count)
    if len(sources) > 1:
        first, second = (" x ".join(map(str, sizes)) for sizes in sources)
        raise WeightsError(
            f"{count} position embeddings can be {first} or {second} (time, height, width): resize them to "
            f"{' x '.join(map(str, grid))} by marey.models.layers.positions.resize_positions(..., source=...) beforehand."
        )
    if not sources:
        return None
    first_tokens, positions_1ND = theirs_1ND[:, :tokens].float(), theirs_1ND[:, tokens:].float()
    maps_1DTHW = positions_1ND.transpose(1, 2).reshape(1, -1, *sources[0])
    resized_1ND = interpolation.resize(maps_1DTHW, grid).flatten(2).transpose(1, 2)
    return ResizedPositions(torch.cat([first_tokens, resized_1ND], dim=1), sources[0], grid, interpolation)


def _grids(count: int, grid: Grid) -> list[Grid]:
    """The grids of `count` positions that differ from ours in space alone or in time alone."""
    frames, height, width = grid
    found: list[Grid] = []
    side = isqrt(count // frames)
    if side * side * frames == count:
        found.append((frames, side, side))
    length = count // (height * width)
    if length * height * width == count:
        found.append((length, height, width))
    return list(dict.fromkeys(found))
