"""Weights of a network for another input size: positions are resized if the network defines how, nothing else."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import marey
from marey.base.errors import WeightsError
from marey.base.reporter import reporting
from marey.models.layers.positions import BICUBIC, Grid, ResizedPositions, resize_positions
from marey.weights.checkpoint import save_checkpoint
from tests.support import tiny
from tests.support.collecting import Collecting

WIDTH = 4


class Fixed(nn.Module):
    """[B, 3, T, H, W] to [B, 2]: patches of 8 x 8 with a class token and positions of one grid."""

    def __init__(self, grid: Grid, width: int = WIDTH) -> None:
        super().__init__()
        self.grid = grid
        self.patch_embed = nn.Conv3d(3, width, (1, 8, 8), stride=(1, 8, 8))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + grid[0] * grid[1] * grid[2], width))
        self.head = nn.Linear(width, 2)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        patches_BND = self.patch_embed(clip_BCTHW).flatten(2).transpose(1, 2)
        return self.head((nn.functional.pad(patches_BND, (0, 0, 1, 0)) + self.pos_embed).relu().mean(dim=1))


class Resizing(Fixed):
    """The same, and says how its positions are resized."""

    def resize_positions(self, parameter_name: str, theirs: Tensor) -> ResizedPositions | None:
        if parameter_name != "pos_embed":
            return None
        return resize_positions(theirs, self.grid, BICUBIC, tokens=1)


def saved(module: nn.Module, path):
    """A checkpoint of the module."""
    classifier = marey.Classifier(module, tiny.RECIPE, classes=["jump", "run"])
    save_checkpoint(path, classifier)
    return path


def test_positions_of_another_grid_are_resized_and_named(tmp_path) -> None:
    trained = Resizing((2, 4, 4))
    path = saved(trained, tmp_path / "a.safetensors")
    ours = Resizing((2, 6, 6))
    with reporting(kept := Collecting()):
        loaded = marey.load_model(path, model=ours)
    line = "pos_embed: 2 x 4 x 4 positions resized to 2 x 6 x 6, bicubic in space, linear in time"
    assert loaded.load_report.notes == (line,)
    assert kept.notices == [f"{path}: {line}"]
    theirs = trained.pos_embed.detach()[0, 1:].reshape(2, 4, 4, WIDTH).numpy()
    expected = np.stack([cv2.resize(frame, (6, 6), interpolation=cv2.INTER_CUBIC) for frame in theirs])
    assert np.abs(expected - ours.pos_embed.detach()[0, 1:].reshape(2, 6, 6, WIDTH).numpy()).max() < 1e-5
    assert torch.equal(ours.head.weight, trained.head.weight)
    assert loaded(torch.zeros(1, 3, 2, 48, 48)).shape == (1, 2)


def test_positions_of_the_same_grid_are_taken_as_they_are(tmp_path) -> None:
    trained, ours = Resizing((2, 4, 4)), Resizing((2, 4, 4))
    assert marey.load_model(saved(trained, tmp_path / "a.safetensors"), model=ours).load_report.notes == ()
    assert torch.equal(ours.pos_embed, trained.pos_embed)


def test_a_layer_inside_may_say_how(tmp_path) -> None:
    trained, ours = nn.Sequential(Resizing((4, 3, 3))), nn.Sequential(Resizing((2, 3, 3)))
    notes = marey.load_model(saved(trained, tmp_path / "a.safetensors"), model=ours).load_report.notes
    assert notes == ("0.pos_embed: 4 x 3 x 3 positions resized to 2 x 3 x 3, bicubic in space, linear in time",)


@pytest.mark.parametrize(
    ("theirs", "ours", "problem"),
    [
        (Fixed((2, 4, 4)), Fixed((2, 6, 6)), r"1 of another shape: pos_embed is \[1, 33, 4\], expected \[1, 73, 4\]"),
        (Resizing((2, 4, 5)), Resizing((2, 6, 6)), r"1 of another shape: pos_embed is \[1, 41, 4\]"),
        (Resizing((2, 4, 4), width=8), Resizing((2, 6, 6)), r"of another shape: pos_embed is \[1, 33, 8\]"),
        (Resizing((4, 2, 2)), Resizing((4, 4, 4)), r"a\.safetensors: pos_embed: 16 .* can be 4 x 2 x 2 or 1 x 4 x 4"),
    ],
    ids=["not said how", "no square", "another width", "two grids"],
)
def test_what_the_network_does_not_resize_is_refused(theirs, ours, problem, tmp_path) -> None:
    with pytest.raises(WeightsError, match=problem):
        marey.load_model(saved(theirs, tmp_path / "a.safetensors"), model=ours)


def test_positions_that_are_no_numbers_are_refused(tmp_path) -> None:
    trained = Resizing((2, 4, 4))
    with torch.no_grad():
        trained.pos_embed[0, 5, 1] = torch.nan
    with pytest.raises(WeightsError, match="1 not finite: pos_embed"):
        marey.load_model(saved(trained, tmp_path / "a.safetensors"), model=Resizing((2, 6, 6)))
