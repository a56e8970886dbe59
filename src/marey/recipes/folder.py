"""Recipes of `marey train FOLDER` that train a complete network, for some hundreds or thousands of the user's videos."""

from collections.abc import Sequence

from marey.data.loading.mirrored_classes import mirror_swaps, one_sided, safe_flip
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig
from marey.models.tsn.config import LiteTSNConfig
from marey.recipe import AdamW, CosineSchedule, Recipe, Test, Train, Warmup
from marey.video.pixels import Pixels
from marey.video.pixels.crops import RandomResizedCrop
from marey.video.sampling import MMAction2Test, MMAction2Train

FOLDER = Recipe(
    name="slowonly_r18_8seg_folder",
    title="SlowOnly ResNet-18, 8 frames spread over the clip",
    paper="https://arxiv.org/abs/1812.03982",
    notes="Small, from scratch, sees the whole clip however long it is.",
    dataset="folder",
    model=SlowOnlyConfig(depth=18, width=32, num_classes=2),
    clip=MMAction2Train(segments=8),
    test=Test(sampling=MMAction2Test(segments=8), crops="three", size=112, averaging="probabilities"),
    pixels=Pixels(conversion="planes", short_side=128),
    augment=RandomResizedCrop(short_side=128, size=112, flip=0.5),
    train=Train(
        epochs=40,
        base_batch=16,
        optimizer=AdamW(lr=1e-3),
        schedule=CosineSchedule(by="step", warmup=Warmup(epochs=2)),
        clip_norm=5,
        label_smoothing=0.1,
    ),
)

FOLDER_TSM = FOLDER.variant(
    name="tsm_lite0_8seg_folder_imagenet",
    title="TSM EfficientNet-Lite0, 8 frames spread over the clip",
    paper="https://arxiv.org/abs/1811.08383",
    notes="Starts from ImageNet, sees the whole clip however long it is.",
    pretraining="imagenet",
    model=LiteTSMConfig(num_classes=2),
    test={"size": 128},
    pixels={"short_side": 144, "mean": (127.0, 127.0, 127.0), "std": (128.0, 128.0, 128.0)},
    augment={"short_side": 144, "size": 128},
    train={"epochs": 20, "optimizer": {"lr": 3e-4}},
)

FOLDER_TSN = FOLDER_TSM.variant(
    name="tsn_lite0_8seg_folder_imagenet",
    title="TSN EfficientNet-Lite0, 8 frames spread over the clip",
    paper="https://arxiv.org/abs/1608.00859",
    notes="Starts from ImageNet, sees each of the frames by itself: enough where a single picture shows the class.",
    model=LiteTSNConfig(num_classes=2),
)

FOLDERS = (FOLDER, FOLDER_TSM, FOLDER_TSN)

_CLIPS = 6000
"""Number of clips in all epochs together from which the number of epochs is computed (`folder_recipe`)."""


def folder_recipe(class_names: Sequence[str], videos: int, *, base: Recipe = FOLDER) -> Recipe:
    """`base`, one of `FOLDERS`, for these classes and this number of training videos.

    The fewer videos, the more epochs: `_CLIPS` / videos, at least 30 and at most 100, and half of that if training
    starts from pretrained weights. Below 64 videos batches are smaller. If class names contain left and right, a
    mirrored clip gets the label of the other side; if a class has no counterpart, no clip is mirrored.
    """
    epochs = max(30, min(100, _CLIPS // max(videos, 1))) // (2 if base.pretraining else 1)
    swaps, alone = mirror_swaps(class_names), one_sided(class_names)
    flip, flip_classes = safe_flip(class_names)
    note = ""
    if alone:
        note = f" No mirrored clips: {alone[0]} has no class for its mirror image."
    elif swaps:
        one, other = next(iter(swaps.items()))
        note = f" A mirrored clip changes its class where the mirror does: {class_names[one]}, {class_names[other]}."
    return base.variant(
        model={"num_classes": len(class_names)},
        train={"epochs": epochs, "base_batch": 16 if videos >= 64 else 8},
        augment={"flip": flip, "flip_classes": flip_classes},
        notes=base.notes + note,
    )


FOLDERS_PARAMETERS = {
    "slowonly_r18_8seg_folder": 5_011_234,
    "tsm_lite0_8seg_folder_imagenet": 3_373_570,
    "tsn_lite0_8seg_folder_imagenet": 3_373_570,
}
"""The number of parameters of each network; a test counts them."""
