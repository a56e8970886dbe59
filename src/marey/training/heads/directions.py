"""The directions that standardised features of training clips span, and the clips' coordinates along them.

A linear model with a penalty on the length of its weights has them in the space that the training clips span. Its N x N
matrix of inner products gives orthogonal directions of that space, at a cost that grows with the features only linearly. Of
more than `MOST_DIRECTIONS` the leading ones are kept, found by random combinations of the clips and one step of subspace
iteration (Halko, Martinsson and Tropp, Finding Structure with Randomness, SIAM Review 2011, algorithms 4.4 and 5.1): 10,000
clips of 20,480 features are then bounded in memory and time.

Shapes: N training clips, M other clips, F features, R directions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marey.models.probe.pooled import Pooled

MOST_DIRECTIONS = 1024
_MORE = 64
"""Combinations beyond the directions that are kept: the last ones are not exact."""
_LEAST_DEVIATION = 0.01
"""Of a feature, as a share of the root mean square deviation in its block: one that is all but constant in the training
clips would make large numbers of small differences in new ones."""
_ROUNDING, _ROUNDING_FLOAT32 = 1e-10, 1e-5
"""The spread of a direction, as a share of the widest one's, that may be rounding."""
_COLUMNS = 512
"""Features that are standardised at a time, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Orthogonal directions of unit length, those along which the training clips differ least first."""

    pooled: Pooled
    rows: NDArray[np.int64]
    """The training clips among the pooled ones [N]."""
    mean: Tensor
    """Of each feature in the training clips [F], float64."""
    scale: Tensor
    """[F], float64: a standardised feature is the feature less its mean, multiplied by this."""
    coordinates: Tensor
    """Of the training clips [N, R], float64. Its columns are orthogonal."""
    squares: Tensor
    """Of each column of the coordinates the sum of squares [R]."""
    combinations: Tensor
    """[N, R]: each direction is this combination of the standardised training clips."""

    @classmethod
    def of(cls, pooled: Pooled, rows: NDArray[np.int64]) -> "Directions":
        """The directions of some of the pooled clips, the training clips."""
        mean, scale = _standard(pooled, rows)
        if len(rows) <= MOST_DIRECTIONS:
            products = torch.zeros(len(rows), len(rows), dtype=torch.float64)
            for _, clips in _standardised(pooled, rows, mean, scale):
                products += clips @ clips.T
            squares, vectors = torch.linalg.eigh(products)
            kept = squares > _ROUNDING * squares[-1]
            lengths, vectors = squares[kept].sqrt(), vectors[:, kept]
            return cls(pooled, rows, mean, scale, vectors * lengths, lengths.square(), vectors / lengths)
        vectors, images = _leading(pooled, rows, mean, scale)
        lengths = (vectors * images).sum(dim=0).sqrt()
        return cls(
            pooled, rows, mean, scale, images / lengths, (images / lengths).square().sum(dim=0), vectors / lengths
        )

    def coordinates_only(self, places: NDArray[np.int64]) -> "Directions":
        """The same directions, with the coordinates of those training clips alone that have these places [M] among them, to
        fit heads on these; their columns are no longer orthogonal.
        """
        some = self.coordinates[places]
        return replace(self, coordinates=some, squares=some.square().sum(dim=0))

    def coordinates_of(self, rows: NDArray[np.int64]) -> Tensor:
        """Of other pooled clips [M], [M, R]."""
        found = torch.zeros(len(rows), len(self.rows), dtype=torch.float64)
        own, others = (_standardised(self.pooled, some, self.mean, self.scale) for some in (self.rows, rows))
        for (_, clips), (_, other) in zip(own, others, strict=True):
            found += other @ clips.T
        return found @ self.combinations

    def weight(self, along: Tensor) -> Tensor:
        """Of features as they are [F, K], from weights along the directions [R, K]; float64."""
        found, of_clips = along.new_empty(len(self.mean), along.shape[1]), self.combinations @ along
        for columns, clips in _standardised(self.pooled, self.rows, self.mean, self.scale):
            found[columns] = self.scale[columns, None] * (clips.T @ of_clips)
        return found


def _standard(pooled: Pooled, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Mean and scale of each feature in these clips [F]."""
    mean, deviation = (torch.empty(pooled.features.shape[1], dtype=torch.float64) for _ in range(2))
    for columns in _parts(pooled):
        variance, mean[columns] = torch.var_mean(_read(pooled, rows, columns), dim=0, correction=0)
        deviation[columns] = variance.sqrt()
    scales = []
    for of_block in torch.split(deviation, list(pooled.widths)):
        usual = of_block.square().mean().sqrt()
        least = _LEAST_DEVIATION * usual if usual > 0 else 1.0
        scales.append(1 / (of_block.clamp(min=least) * math.sqrt(len(of_block))))
    return mean, torch.cat(scales)


def _leading(pooled: Pooled, rows: NDArray[np.int64], mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Combinations of the clips [N, R] that give the leading directions, and their products with the N x N matrix of inner
    products, which is never made; float64, with the precision of float32.
    """
    random = torch.Generator().manual_seed(0)
    found = torch.randn(len(rows), min(MOST_DIRECTIONS + _MORE, len(rows)), generator=random)
    for _ in range(2):
        basis = torch.linalg.qr(found).Q
        found = torch.zeros_like(basis)
        for _, clips in _standardised(pooled, rows, mean, scale):
            few = clips.float()
            found += few @ (few.T @ basis)
    squares, turns = torch.linalg.eigh((basis.T @ found).double())
    turns = turns[:, squares > _ROUNDING_FLOAT32 * squares[-1]][:, -MOST_DIRECTIONS:]
    return basis.double() @ turns, found.double() @ turns


def _standardised(
    pooled: Pooled, rows: NDArray[np.int64], mean: Tensor, scale: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """The standardised features of some clips, a few columns at a time: which, and [N, columns] in float64."""
    for columns in _parts(pooled):
        yield columns, (_read(pooled, rows, columns) - mean[columns]) * scale[columns]


def _parts(pooled: Pooled) -> list[slice]:
    return [slice(first, first + _COLUMNS) for first in range(0, pooled.features.shape[1], _COLUMNS)]


def _read(pooled: Pooled, rows: NDArray[np.int64], columns: slice) -> Tensor:
    return torch.from_numpy(pooled.features[:, columns][rows]).double()
