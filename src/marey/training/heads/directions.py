"""Principal directions of the standardised features of training videos, and the videos' coordinates along them.

The weights of a linear model with an L2 penalty lie in the space that the training videos span. The N x N matrix of the
videos' inner products gives orthogonal directions of that space, at a cost that grows only linearly with the number of
features. If there are more than `MOST_DIRECTIONS` directions, only the leading ones are kept. They are found from
random combinations of the videos with one step of subspace iteration (Halko, Martinsson and Tropp, Finding Structure
with Randomness, SIAM Review 2011, algorithms 4.4 and 5.1), which bounds memory and time, for example for 10,000 videos
of 20,480 features.

A pooling gives several kinds of features (`PooledFeatures.widths`). Standardised features are also divided by the
square root of the number of features of their kind.

Shapes: N training videos, M other videos, F features, R directions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marey.models.probe.pooled import PooledFeatures

MOST_DIRECTIONS = 1024
"""Largest number of directions that are kept."""
_MORE = 64
"""Number of additional random combinations: the last directions of such a decomposition are inexact and are not kept."""
_LEAST_DEVIATION = 0.01
"""Least standard deviation by which a feature is divided, as a share of the root mean square deviation of the features
of its kind. A nearly constant feature, divided by its own deviation, would turn small differences of new videos into
large numbers."""
_ROUNDING, _ROUNDING_FLOAT32 = 1e-10, 1e-5
"""Directions with at most this share of the largest variance are left out, because they may be rounding error; with
float64, and with float32."""
_COLUMNS = 512
"""Number of features that are standardised at a time, which bounds memory."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Orthogonal directions of unit length, sorted by the variance of the training videos along them, the least first."""

    pooled: PooledFeatures
    """The features of all videos."""
    rows: NDArray[np.int64]
    """[N]: the rows of the training videos among them."""
    mean: Tensor
    """[F], float64: the mean of each feature over the training videos."""
    scale: Tensor
    """[F], float64: a standardised feature is the feature less its mean, multiplied by this."""
    coordinates: Tensor
    """[N, R], float64: the coordinates of the training videos. The columns are orthogonal."""
    squares: Tensor
    """[R]: the sum of squares of each column of the coordinates."""
    combinations: Tensor
    """[N, R]: each direction as a linear combination of the standardised training videos."""

    @classmethod
    def of(cls, pooled: PooledFeatures, rows: NDArray[np.int64]) -> "Directions":
        """The directions of the training videos, given by their rows [N]."""
        mean, scale = _standard(pooled, rows)
        if len(rows) <= MOST_DIRECTIONS:
            products = torch.zeros(len(rows), len(rows), dtype=torch.float64)
            for _, videos in _standardised(pooled, rows, mean, scale):
                products += videos @ videos.T
            squares, vectors = torch.linalg.eigh(products)
            kept = squares > _ROUNDING * squares[-1]
            lengths, vectors = squares[kept].sqrt(), vectors[:, kept]
            return cls(pooled, rows, mean, scale, vectors * lengths, lengths.square(), vectors / lengths)
        vectors, images = _leading(pooled, rows, mean, scale)
        lengths = (vectors * images).sum(dim=0).sqrt()
        return cls(
            pooled, rows, mean, scale, images / lengths, (images / lengths).square().sum(dim=0), vectors / lengths
        )

    def coordinates_only(self, indices: NDArray[np.int64]) -> "Directions":
        """The same directions with only the coordinates of some training videos, to fit heads on these videos.

        `indices` [M] are their indices among the training videos. The columns are then no longer orthogonal.
        """
        some = self.coordinates[indices]
        return replace(self, coordinates=some, squares=some.square().sum(dim=0))

    def coordinates_of(self, rows: NDArray[np.int64]) -> Tensor:
        """[M, R]: the coordinates of other videos, given by their rows [M]."""
        products = torch.zeros(len(rows), len(self.rows), dtype=torch.float64)
        own, others = (_standardised(self.pooled, some, self.mean, self.scale) for some in (self.rows, rows))
        for (_, videos), (_, other) in zip(own, others, strict=True):
            products += other @ videos.T
        return products @ self.combinations

    def weight(self, along: Tensor) -> Tensor:
        """The weights [F, K], float64, of features that are not standardised, from weights along the directions [R, K]."""
        weight_FK, of_videos = along.new_empty(len(self.mean), along.shape[1]), self.combinations @ along
        for columns, videos in _standardised(self.pooled, self.rows, self.mean, self.scale):
            weight_FK[columns] = self.scale[columns, None] * (videos.T @ of_videos)
        return weight_FK


def _standard(pooled: PooledFeatures, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """The mean and scale of each feature ([F] each) over the videos in these rows."""
    mean, deviation = (torch.empty(pooled.features.shape[1], dtype=torch.float64) for _ in range(2))
    for columns in _column_slices(pooled):
        variance, mean[columns] = torch.var_mean(_read_block(pooled, rows, columns), dim=0, correction=0)
        deviation[columns] = variance.sqrt()
    scales = []
    for of_kind in torch.split(deviation, list(pooled.widths)):
        usual = of_kind.square().mean().sqrt()
        least = _LEAST_DEVIATION * usual if usual > 0 else 1.0
        scales.append(1 / (of_kind.clamp(min=least) * math.sqrt(len(of_kind))))
    return mean, torch.cat(scales)


def _leading(pooled: PooledFeatures, rows: NDArray[np.int64], mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The leading directions as combinations of the videos [N, R], and the N x N matrix of inner products times these.

    The matrix itself is never computed. The results are float64, with the precision of float32.
    """
    random = torch.Generator().manual_seed(0)
    products = torch.randn(len(rows), min(MOST_DIRECTIONS + _MORE, len(rows)), generator=random)
    for _ in range(2):
        basis = torch.linalg.qr(products).Q
        products = torch.zeros_like(basis)
        for _, videos in _standardised(pooled, rows, mean, scale):
            few = videos.float()
            products += few @ (few.T @ basis)
    squares, vectors = torch.linalg.eigh((basis.T @ products).double())
    vectors = vectors[:, squares > _ROUNDING_FLOAT32 * squares[-1]][:, -MOST_DIRECTIONS:]
    return basis.double() @ vectors, products.double() @ vectors


def _standardised(
    pooled: PooledFeatures, rows: NDArray[np.int64], mean: Tensor, scale: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the standardised features of the videos in these rows, `_COLUMNS` at a time: a slice of columns, and the
    features [N, columns] in float64.
    """
    for columns in _column_slices(pooled):
        yield columns, (_read_block(pooled, rows, columns) - mean[columns]) * scale[columns]


def _column_slices(pooled: PooledFeatures) -> list[slice]:
    return [slice(first, first + _COLUMNS) for first in range(0, pooled.features.shape[1], _COLUMNS)]


def _read_block(pooled: PooledFeatures, rows: NDArray[np.int64], columns: slice) -> Tensor:
    return torch.from_numpy(pooled.features[:, columns][rows]).double()
