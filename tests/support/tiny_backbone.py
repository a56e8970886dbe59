"""A tiny 2D backbone, videos of three classes that its features tell apart, and a classifier that is fitted on them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import marey
from marey.evaluation.out_of_fold.result import OutOfFold
from marey.models.layers.config import Initialisation
from marey.models.network import Network
from marey.recipes import get_recipe
from marey.video.writing.writer import write_video
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model

BACKBONE = get_recipe("tsn_lite0_8seg_folder_imagenet").variant(
    name="tiny_backbone", pretraining=None, model={"width": 8}, pixels={"short_side": 40}, test={"size": 32}
)
CLASSES = ("bars", "spots", "waves")
HERE = {"workers": 0, "device": "cpu"}


def save_backbone(path: Path) -> None:
    """A checkpoint with random weights, the same in each call."""
    torch.manual_seed(0)
    network = build_model(BACKBONE).network
    assert isinstance(network, Network)
    network.initialise(Initialisation())
    save_checkpoint(path, network, BACKBONE)


def picture(label: str, random: np.random.RandomState) -> NDArray[np.uint8]:
    """A frame [48, 64, 3] that shows its class."""
    rows, columns = np.mgrid[:48, :64]
    shapes = {
        "bars": np.sin(columns / 3), "spots": np.sin(rows / 4) * np.sin(columns / 4), "waves": np.sin((rows + columns) / 9)
    }  # fmt: skip
    grey = 128 + 90 * shapes[label] + random.normal(0, 25, (48, 64))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def write_clip(path: Path, label: str, seed: int) -> None:
    random = np.random.RandomState(seed)
    write_video(path, [picture(label, random) for _ in range(10)], fps=12, preset="ultrafast")


def add_clips(folder: Path, first: int, end: int, classes: tuple[str, ...] = CLASSES) -> None:
    for number, label in enumerate(classes):
        for i in range(first, end):
            write_clip(folder / label / f"{i:03}.mp4", label, 1000 * number + i)


def trained(out: str = "run", data: str = "clips", **options: object) -> OutOfFold:
    given = {"backbone": "backbone.safetensors", "finetune": "never", **HERE, **options}
    marey.train(data, out=out, **given)  # type: ignore[arg-type]
    return OutOfFold.load(out)
