"""The demo's recipes, on the generated data set `motions`: one network that sees motion, one that sees single frames."""

from typing import TypedDict

from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.recipe import AdamW, CosineSchedule, Recipe, Test, Train, Warmup
from marey.video.pixels import Pixels
from marey.video.pixels.crops import RandomCrop
from marey.video.sampling import MMAction2Test, MMAction2Train


class MotionsData(TypedDict):
    """Size of a data set `motions`, as arguments of `write_motions`: videos, side in pixels, frames per video."""

    train: int
    """Number of videos for training, a multiple of 12."""
    test: int
    """Number of videos for testing, a multiple of 12."""
    size: int
    """Side of a frame, in pixels."""
    frames: int
    """Number of frames of each video."""


DEMO_SIZES: tuple[MotionsData, ...] = (
    {"train": 2016, "test": 504, "size": 72, "frames": 20},
    {"train": 2520, "test": 504, "size": 72, "frames": 20},
    {"train": 4032, "test": 504, "size": 72, "frames": 20},
)
"""The data sets among which the demo chooses, the smallest first. With the smallest one, training sees 10,080 clips in
all epochs, and the accuracy on the test videos is 99 % or more. It is 82 to 93 % after 6,000 to 7,000 clips, and 97.6 %
after 8,400 (docs/motions.md)."""

MOTIONS_SLOWONLY = Recipe(
    name="slowonly_r18_8x2_motions",
    title="SlowOnly ResNet-18, 8 frames, on generated motions",
    paper="https://arxiv.org/abs/1812.03982",
    notes="No mirrored crops: a mirror turns left into right.",
    dataset="motions",
    model=SlowOnlyConfig(depth=18, width=16, num_classes=12),
    clip=MMAction2Train(frames=8, stride=2),
    test=Test(
        sampling=MMAction2Test(clips=3, frames=8, stride=2),
        crops="centre",
        size=64,
        averaging="probabilities",
    ),
    pixels=Pixels(conversion="planes", short_side=72),
    augment=RandomCrop(short_side=72, size=64, flip=0.0),
    train=Train(
        epochs=5,
        base_batch=12,  # with 32, about twice as many clips are needed for the same accuracy
        optimizer=AdamW(lr=2e-3),
        schedule=CosineSchedule(by="step", warmup=Warmup(epochs=1)),
        clip_norm=5,
        dropout=0.2,
    ),
)

MOTIONS_TSN = MOTIONS_SLOWONLY.variant(
    name="tsn_r18_8seg_motions",
    title="TSN ResNet-18, the same 8 frames one by one",
    paper="https://arxiv.org/abs/1608.00859",
    notes="Sees single frames only: inside a mirrored pair it can do no better than chance.",
    model=TSNConfig(depth=18, width=16, num_classes=12),
)

MOTIONS = (MOTIONS_SLOWONLY, MOTIONS_TSN)

MOTIONS_PARAMETERS = {
    "slowonly_r18_8x2_motions": 1_256_604,
    "tsn_r18_8seg_motions": 703_644,
}
"""The number of parameters of each network; a test counts them."""
