"""The directions in which clips differ: coordinates in place of features, from which heads are fitted."""

import numpy as np
import pytest
import torch

from marey.models.probe.pooled import PooledFeatures
from marey.training.heads import directions
from marey.training.heads.directions import Directions


def _pooled(clips: int = 60, features: int = 90) -> PooledFeatures:
    random = np.random.default_rng(0)
    values = random.normal(size=(clips, 12)) @ random.normal(size=(12, features)) + 0.1 * random.normal(
        size=(clips, features)
    )
    return PooledFeatures(values.astype(np.float32), (features,))


def test_coordinates_keep_the_inner_products_of_clips():
    pooled, rows, others = _pooled(), np.arange(0, 60, 2), np.arange(1, 60, 2)
    found = Directions.of(pooled, rows)
    x = pooled.features.astype(np.float64)
    x = (x - x[rows].mean(axis=0)) / x[rows].std(axis=0) / np.sqrt(90)
    own, other = found.coordinates.numpy(), found.coordinates_of(others).numpy()
    np.testing.assert_allclose(own @ own.T, x[rows] @ x[rows].T, atol=1e-9)
    np.testing.assert_allclose(other @ own.T, x[others] @ x[rows].T, atol=1e-9)


def test_weights_along_directions_are_those_of_the_features():
    pooled, rows = _pooled(), np.arange(30)
    found = Directions.of(pooled, rows)
    along = torch.randn(len(found.squares), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = found.weight(along)
    answers = (torch.from_numpy(pooled.features).double() - found.mean) @ weight
    torch.testing.assert_close(answers, found.coordinates_of(np.arange(60)) @ along, atol=1e-9, rtol=1e-9)


def test_many_clips_keep_the_leading_directions(monkeypatch):
    pooled, rows = _pooled(), np.arange(60)
    exact = Directions.of(pooled, rows)
    monkeypatch.setattr(directions, "MOST_DIRECTIONS", 16)
    leading = Directions.of(pooled, rows)
    assert leading.coordinates.shape == (60, 16)
    np.testing.assert_allclose(leading.squares[-12:], exact.squares[-12:], rtol=1e-3)
    products = leading.coordinates.T @ leading.coordinates
    torch.testing.assert_close(products, products.diag().diag(), atol=0.05, rtol=0)
    torch.testing.assert_close(leading.coordinates_of(rows), leading.coordinates, atol=1e-4, rtol=1e-4)


def test_fewer_features_than_directions_are_kept_completely(monkeypatch):
    pooled, rows = PooledFeatures(_pooled().features[:, :5].copy(), (5,)), np.arange(60)
    exact = Directions.of(pooled, rows)
    monkeypatch.setattr(directions, "MOST_DIRECTIONS", 16)
    leading = Directions.of(pooled, rows)
    assert len(exact.squares) == len(leading.squares) == 5
    found, expected = (of.coordinates @ of.coordinates.T for of in (leading, exact))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_nearly_constant_features_give_new_clips_no_large_coordinates():
    pooled = _pooled()
    pooled.features[:, 0] = 1.0
    pooled.features[0, 0] = 1.0 + 1e-6
    pooled.features[59, 0] = 2.0  # not among the training clips
    found = Directions.of(pooled, np.arange(59))
    assert found.scale[0] <= 1.01 * 100 / (pooled.features[:59, 1:].std(axis=0).min() * np.sqrt(90))


@pytest.mark.parametrize("clips", [1, 2])
def test_equal_clips_have_no_directions(clips):
    found = Directions.of(PooledFeatures(np.ones((3, 4), np.float32), (2, 2)), np.arange(clips))
    assert found.coordinates.shape == (clips, 0)
    assert found.coordinates_of(np.arange(3)).shape == (3, 0)
    assert found.weight(torch.zeros(0, 2, dtype=torch.float64)).shape == (4, 2)
