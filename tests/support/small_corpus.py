"""A tiny network, a few clips and a list of them, among them files that cannot be read."""

import random
from dataclasses import dataclass
from pathlib import Path

import torch

from marey.classifier import Classifier
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_model, load_model
from tests.support.made_videos import write_videos
from tests.support.tiny import RECIPE


@dataclass(frozen=True)
class Corpus:
    """A list of 11 rows, of which rows 3 and 8 cannot be read."""

    folder: Path
    list: Path
    checkpoint: Path

    @property
    def model(self) -> Classifier:
        return load_model(self.checkpoint)


def make_corpus(folder: Path) -> Corpus:
    clips = sorted(write_videos(folder / "clips", per_class=4).rglob("*.mp4"))
    random.Random(0).shuffle(clips)
    (folder / "torn.mp4").write_bytes(clips[0].read_bytes()[:200])
    rows = [f"{clip},," for clip in clips]
    rows[3:3] = ["torn.mp4,,"]
    rows[5:5] = [f"{clips[1]},0.2,0.6"]
    rows[8:8] = ["absent.mp4,,"]
    (folder / "list.csv").write_text("path,start,end\n" + "\n".join(rows) + "\n")
    torch.manual_seed(0)
    save_checkpoint(folder / "m.safetensors", build_model(RECIPE), RECIPE, ["jump", "run"])
    return Corpus(folder, folder / "list.csv", folder / "m.safetensors")
