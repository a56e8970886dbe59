"""What the recipes of one toolkit share: sampling, crops, pixels, sources of numbers. No recipe of its own."""

from typing import Any, Literal

from marey.models.initialisation import Initialisation
from marey.recipe import SGD, CosineSchedule, Published, StepSchedule, Test, Train, Warmup
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.crops import PySlowFastCrop, RandomCrop
from marey.video.sampling import (
    MMAction2Test,
    MMAction2Train,
    MMActionTest,
    MMActionTrain,
    PySlowFastTest,
    PySlowFastTrain,
    PyTorchVideoTest,
    PyTorchVideoTrain,
)

TEN_BY_THREE = "10 clips x 3 crops of 256"
TEN_CROPS = "25 segments x 10 crops of 224"

FACEBOOK_TRAIN = Train(
    epochs=196,
    base_batch=64,
    norm_batch=8,
    precise_norms=200,
    optimizer=SGD(lr=0.1, nesterov=True, norm_weight_decay=0.0),
    schedule=CosineSchedule(by="step", warmup=Warmup(epochs=34, start=0.1, towards="end")),
    initialisation=Initialisation(last_gamma_zero=True),
)
"""PySlowFast's configs of Kinetics, 8 GPUs of 8 clips; PyTorchVideo's networks were trained with them too."""


def mmaction(frames: int, stride: int) -> dict[str, Any]:
    """How MMAction v0.2 picks frames for 3D networks, and its 30 views."""
    return {
        "clip": MMActionTrain(frames=frames, stride=stride),
        "test": Test(
            sampling=MMActionTest(clips=10, frames=frames, stride=stride),
            crops="three",
            size=256,
            averaging="probabilities",
        ),
    }


def mmaction2(frames: int, stride: int, *, size: int = 256) -> dict[str, Any]:
    """How MMAction2 picks frames for 3D networks, and its 30 views."""
    return {
        "clip": MMAction2Train(frames=frames, stride=stride),
        "test": Test(
            sampling=MMAction2Test(clips=10, frames=frames, stride=stride),
            crops="three",
            size=size,
            averaging="probabilities",
        ),
    }


def pyslowfast(frames: int, stride: int) -> dict[str, Any]:
    """PySlowFast's 30 views, whose scores are probabilities of each position of the head."""
    return {
        "clip": PySlowFastTrain(frames=frames, stride=stride),
        "test": Test(
            sampling=PySlowFastTest(clips=10, frames=frames, stride=stride),
            crops="three",
            size=256,
            averaging="position_probabilities",
        ),
        "pixels": FloatPixels(),
        "augment": PySlowFastCrop(size=224, flip=0.5),
        "train": FACEBOOK_TRAIN,
    }


def pytorchvideo(
    frames: int,
    stride: int,
    *,
    averaging: Literal["probabilities", "position_probabilities"] = "probabilities",
) -> dict[str, Any]:
    """PyTorchVideo's clips, in seconds of `stride` frames at 30 a second, tested as PySlowFast does with its networks.

    These average the logits over the head's positions, unless `averaging` says otherwise.
    """
    seconds = frames * stride / 30
    return {
        **pyslowfast(frames, stride),
        "clip": PyTorchVideoTrain(frames=frames, seconds=seconds),
        "test": Test(
            sampling=PyTorchVideoTest(clips=10, frames=frames, seconds=seconds),
            crops="three",
            size=256,
            averaging=averaging,
        ),
    }


VMZ_PIXELS = Pixels(mean=(110.2008, 100.63983, 95.99475), std=(58.14765, 56.46975, 55.332195))
"""How VMZ and torchvision normalise, and MMAction2 with most weights that VMZ trained."""


def vmz(frames: int, stride: int, *, short_side: Literal[128, 256]) -> dict[str, Any]:
    """VMZ's clips and, as far as they are told, its tests and its training.

    It does not say how many crops its numbers stand on; their FLOPs are those of crops as high as the resized frame. Its
    own rule of spreading clips is not restated: they run from the first to the last that fits.
    """
    return {
        "clip": MMAction2Train(frames=frames, stride=stride),
        "test": Test(
            sampling=MMAction2Test(clips=10, frames=frames, stride=stride),
            crops="three",
            size=short_side,
            averaging="probabilities",
        ),
        "pixels": VMZ_PIXELS.model_copy(update={"short_side": short_side}),
        "augment": RandomCrop(short_side=short_side, size=short_side * 7 // 8),
        "train": VMZ_TRAIN,
    }


VMZ_TRAIN = Train(
    epochs=45,
    base_batch=24,
    optimizer=SGD(lr=0.01),
    schedule=StepSchedule(milestones=(20, 30, 40), warmup=Warmup(epochs=10, start=1e-5)),
    dropout=0,
)
"""VMZ's and torchvision's PyTorch training by its defaults, which are for one GPU."""


# Sources of numbers ----------------------------------------------------------------------------------------------------


def announced(
    top1: float,
    top5: float | None = None,
    protocol: str = TEN_BY_THREE,
    *,
    split: str = "val",
    videos: int = 19796,
) -> Published:
    """A row of the announcement that it measured."""
    source = "MMAction v0.2.0 announcement"
    return Published(top1=top1, top5=top5, source=source, protocol=protocol, split=split, videos=videos)


def quoted_by_announcement(numbers: Published) -> Published:
    """A row of the announcement that it did not measure."""
    return numbers.model_copy(update={"source": "MMAction v0.2.0 announcement", "kind": "quoted"})


def in_mmaction2(top1: float, top5: float, family: str, protocol: str = TEN_BY_THREE) -> Published:
    """A row of MMAction2's zoo, measured on the announcement's videos."""
    source = f"MMAction2 1.2 configs/recognition/{family}"
    return Published(top1=top1, top5=top5, source=source, protocol=protocol, split="val", videos=19796)


def in_old_mmaction2(top1: float, top5: float, family: str) -> Published:
    """A row of MMAction2's zoo before 1.0, which does not give the number of videos."""
    source = f"MMAction2 0.24 configs/recognition/{family}"
    return Published(top1=top1, top5=top5, source=source, protocol=TEN_BY_THREE, split="val")


def in_pyslowfast(top1: float, top5: float) -> Published:
    """A row of PySlowFast's zoo."""
    return Published(top1=top1, top5=top5, source="PySlowFast MODEL_ZOO.md", protocol=TEN_BY_THREE, split="val")


def in_pytorchvideo(top1: float, top5: float) -> Published:
    """A row of PyTorchVideo's zoo."""
    source = "PyTorchVideo docs/source/model_zoo.md"
    return Published(top1=top1, top5=top5, source=source, protocol=TEN_BY_THREE, split="val")


def in_vmz(top1: float, top5: float, *, size: Literal[128, 256]) -> Published:
    """A row of VMZ's zoo; `size` is the side of the crops that its FLOPs are those of."""
    protocol = f"not stated; crops of {size} by its FLOPs"
    return Published(top1=top1, top5=top5, source="VMZ c2/tutorials/model_zoo.md", protocol=protocol, split="val")


def in_torchvision(top1: float) -> Published:
    """A row of torchvision's documentation."""
    source = "torchvision's documentation of its video classification weights"
    protocol = "5 clips of 16 frames at 15 a second, centre crop of 112"
    return Published(top1=top1, source=source, protocol=protocol, split="val")


def in_deepmind(top1: float, top5: float, fusion: str = "") -> Published:
    """What DeepMind printed, on Kinetics' test set; `fusion` ends the protocol of two streams."""
    protocol = f"the whole video at 25 frames per second, centre crop of 224{fusion}"
    return Published(top1=top1, top5=top5, source="README of deepmind/kinetics-i3d", protocol=protocol, split="test")
