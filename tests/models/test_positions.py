"""Position embeddings of another grid: interpolations as in OpenCV and Pillow, and grids inferred from a count."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from marey.base.errors import WeightsError
from marey.models.layers.positions import (
    BICUBIC,
    BICUBIC_ANTIALIASED,
    NEAREST,
    TRILINEAR,
    Grid,
    Interpolation,
    resize_positions,
)

WIDTH = 3


def positions(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, count, WIDTH, generator=torch.Generator().manual_seed(seed))


def resized(source: Grid, grid: Grid, interpolation: Interpolation) -> tuple[np.ndarray, np.ndarray]:
    """Random values on a grid, [T, H, W, D], and the same resized to another grid."""
    theirs = positions(source[0] * source[1] * source[2])
    ours = resize_positions(theirs, grid, interpolation, source=source)
    return theirs.reshape(*source, WIDTH).numpy(), ours.tensor.reshape(*grid, WIDTH).numpy()


def test_bicubic_is_opencvs() -> None:
    theirs, ours = resized((2, 7, 7), (2, 14, 10), BICUBIC)
    for before, after in zip(theirs, ours, strict=True):
        assert np.abs(cv2.resize(before, (10, 14), interpolation=cv2.INTER_CUBIC) - after).max() < 1e-5


def test_bicubic_with_antialiasing_is_pillows() -> None:
    theirs, ours = resized((1, 12, 12), (1, 5, 4), BICUBIC_ANTIALIASED)
    for channel in range(WIDTH):
        image = Image.fromarray(np.ascontiguousarray(theirs[0, ..., channel])).resize((4, 5), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(image) - ours[0, ..., channel]).max() < 1e-5


@pytest.mark.parametrize("interpolation", [BICUBIC, TRILINEAR], ids=lambda i: i.name)
def test_time_is_linear_between_the_middles_of_steps(interpolation) -> None:
    theirs, ours = resized((2, 3, 3), (4, 3, 3), interpolation)
    first, second = theirs
    expected = [first, 0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second, second]
    assert np.abs(np.stack(expected) - ours).max() < 1e-6


def test_trilinear_is_opencvs_bilinear_in_space() -> None:
    theirs, ours = resized((1, 4, 5), (1, 9, 8), TRILINEAR)
    assert np.abs(cv2.resize(theirs[0], (8, 9), interpolation=cv2.INTER_LINEAR) - ours[0]).max() < 1e-5


def test_nearest_repeats() -> None:
    theirs, ours = resized((2, 2, 2), (4, 4, 6), NEAREST)
    assert np.array_equal(theirs.repeat(2, 0).repeat(2, 1).repeat(3, 2), ours)


def test_tokens_are_not_changed_and_the_grid_is_inferred() -> None:
    theirs = positions(2 + 8 * 7 * 7)
    larger = resize_positions(theirs, (8, 16, 16), BICUBIC, tokens=2)
    assert torch.equal(larger.tensor[:, :2], theirs[:, :2])
    assert larger.tensor.shape == (1, 2 + 8 * 16 * 16, WIDTH)
    assert str(larger) == "8 x 7 x 7 positions resized to 8 x 16 x 16, bicubic in space, linear in time"
    # The area is the same and no square, the length half.
    assert resize_positions(positions(4 * 6 * 10), (8, 6, 10), NEAREST).source == (4, 6, 10)


def test_shapes_that_fit_no_grid_give_none() -> None:
    grid = (8, 14, 14)
    assert resize_positions(positions(1 + 8 * 14 * 14), grid, BICUBIC) is None  # a class token too many
    assert resize_positions(positions(8 * 14 * 15), grid, BICUBIC) is None
    assert resize_positions(positions(8 * 14 * 14)[0], grid, BICUBIC) is None
    assert resize_positions(positions(8 * 7 * 7), grid, BICUBIC, source=(4, 7, 7)) is None
    assert resize_positions(torch.zeros(1, 8 * 7 * 7, WIDTH, dtype=torch.int64), grid, BICUBIC) is None
    assert resize_positions(torch.zeros(1, 1, WIDTH).expand(1, 10**12, WIDTH), grid, BICUBIC) is None


def test_two_possible_grids_are_refused_and_a_given_one_is_used() -> None:
    theirs, grid = positions(8 * 7 * 7), (8, 14, 14)
    with pytest.raises(
        WeightsError, match=r"392 position embeddings can be 8 x 7 x 7 or 2 x 14 x 14 .*to 8 x 14 x 14 beforehand"
    ):
        resize_positions(theirs, grid, BICUBIC)
    assert resize_positions(theirs, grid, BICUBIC, source=(2, 14, 14)).tensor.shape == (1, 8 * 14 * 14, WIDTH)
