"""SlowOnly: the slow pathway of Feichtenhofer et al., SlowFast Networks, ICCV 2019, alone.

Training settings: MMAction's configs slowonly_kinetics400_se_rgb_r50_seg1_{4x16,8x8}_{scratch,finetune}, MMAction2's
slowonly_r50_8xb16-{4x16x1,8x8x1}-256e and slowonly_imagenet-pretrained-r50_*-steplr-150e.
"""

from typing import Any, Literal

from marey.models.initialisation import Initialisation
from marey.models.non_local.config import NonLocalConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.recipe import (
    SGD,
    CosineSchedule,
    Published,
    Recipe,
    StepSchedule,
    Test,
    Train,
    Warmup,
    Weights,
)
from marey.recipes.toolkits import in_mmaction2, in_zoo, mmaction2_weights, pyslowfast, pytorchvideo
from marey.video.augment import MMActionRandomResizedCrop, RandomResizedCrop
from marey.video.sampling import MMAction2Test, MMAction2Train, MMActionTest, MMActionTrain

_PAPER = "https://arxiv.org/abs/1812.03982"
_PROTOCOL = "10 clips x 3 crops of 256"
_BUCKET = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmaction/models/kinetics400/"


def _scratch(*, lr: float, batch: int, epochs: int) -> Train:
    return Train(
        epochs=epochs,
        base_batch=batch,
        norm_batch=batch // 8,
        optimizer=SGD(lr=lr),
        schedule=CosineSchedule(warmup=Warmup(epochs=34)),
        clip_norm=40,
    )


def _finetune(*, lr: float, batch: int) -> Train:
    return Train(
        epochs=150,
        base_batch=batch,
        norm_batch=batch // 8,
        optimizer=SGD(lr=lr),
        schedule=StepSchedule(milestones=(90, 130), warmup=Warmup(epochs=10)),
        clip_norm=40,
    )


def _published(top1: float, top5: float) -> Published:
    source = "MMAction v0.2.0 announcement"
    return Published(top1=top1, top5=top5, source=source, protocol=_PROTOCOL, split="val", videos=19796)


def _weights(file: str) -> Weights:
    digits = file.removesuffix(".pth").rpartition("-")[2]
    return Weights(url=_BUCKET + file, sha256=digits, layout="mmaction", licence="Apache-2.0")


def _clip(frames: int, stride: int) -> dict[str, object]:
    return {
        "clip": MMActionTrain(frames=frames, stride=stride),
        "test": Test(
            sampling=MMActionTest(clips=10, frames=frames, stride=stride),
            crops="three",
            size=256,
            averaging="probabilities",
        ),
    }


SLOWONLY_R50_4X16 = Recipe(
    name="slowonly_r50_4x16_k400",
    title="SlowOnly ResNet-50 4x16",
    paper=_PAPER,
    notes="MMAction v0.2's row, from scratch.",
    dataset="kinetics400",
    storage="short256",
    model=SlowOnlyConfig(depth=50, num_classes=400),
    **_clip(4, 16),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=_scratch(lr=0.2, batch=128, epochs=256),
    published=_published(72.9, 90.9),
    weights=_weights("slowonly_kinetics400_se_rgb_r50_seg1_4x16_scratch_epoch256-594abd88.pth"),
)

SLOWONLY_R50_4X16_IMAGENET = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_4x16_k400_imagenet",
    title="SlowOnly ResNet-50 4x16 from ImageNet",
    notes="MMAction v0.2's row.",
    pretraining="imagenet",
    train=_finetune(lr=0.02, batch=128),
    published=_published(73.8, 90.9),
    weights=_weights("slowonly_kinetics400_se_rgb_r50_seg1_4x16_finetune_epoch150-46c79312.pth"),
)

SLOWONLY_R50_8X8 = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_8x8_k400",
    title="SlowOnly ResNet-50 8x8",
    **_clip(8, 8),
    train=_scratch(lr=0.1, batch=64, epochs=196),
    published=_published(74.8, 91.9),
    weights=_weights("slowonly_kinetics400_se_rgb_r50_seg1_8x8_scratch_epoch196-4aae9339.pth"),
)

SLOWONLY_R50_8X8_IMAGENET = SLOWONLY_R50_8X8.variant(
    name="slowonly_r50_8x8_k400_imagenet",
    title="SlowOnly ResNet-50 8x8 from ImageNet",
    notes="MMAction v0.2's row.",
    pretraining="imagenet",
    train=_finetune(lr=0.01, batch=64),
    published=_published(75.7, 92.2),
    weights=_weights("slowonly_kinetics400_se_rgb_r50_seg1_8x8_finetune_epoch150-519c2101.pth"),
)

SLOWONLY_R101_8X8 = SLOWONLY_R50_8X8.variant(
    name="slowonly_r101_8x8_k400",
    title="SlowOnly ResNet-101 8x8",
    notes="MMAction v0.2's row, from scratch. It ships no training config for it: the ResNet-50 settings stand in.",
    model=SlowOnlyConfig(depth=101, num_classes=400),
    published=_published(76.5, 92.7),
    weights=_weights("slowonly_kinetics400_se_rgb_r101_8x8_scratch-8de47237.pth"),
)

SLOWONLY_R101_8X8_IMAGENET = SLOWONLY_R50_8X8_IMAGENET.variant(
    name="slowonly_r101_8x8_k400_imagenet",
    title="SlowOnly ResNet-101 8x8 from ImageNet",
    notes="MMAction v0.2's row. It ships no training config for it: the ResNet-50 settings stand in.",
    model=SlowOnlyConfig(depth=101, num_classes=400),
    published=_published(76.8, 92.8),
    weights=_weights("slowonly_kinetics400_se_rgb_r101_8x8_finetune-b8455f97.pth"),
)


def _mmaction2_warmup(epochs: int) -> Warmup:
    return Warmup(epochs=epochs, start=0.1, by="epoch", ends="last")


def _mmaction2(
    base: Recipe,
    *,
    frames: int,
    stride: int,
    epochs: int,
    top1: float,
    top5: float,
    start: Literal["scratch", "imagenet"],
) -> Recipe:
    """MMAction2's counterpart of a row: its sampling, its crop, its schedule (warm-up moved once an epoch)."""
    if start == "scratch":
        train = base.train.model_copy(
            update={
                "epochs": epochs,
                "base_batch": 128,
                "norm_batch": 16,
                "optimizer": SGD(lr=0.2),
                "schedule": CosineSchedule(begin=34, warmup=_mmaction2_warmup(34)),
                "initialisation": Initialisation(last_gamma_zero=True),
            }
        )
    else:
        schedule = StepSchedule(milestones=(90, 130), begin=10, warmup=_mmaction2_warmup(10))
        train = _finetune(lr=0.02, batch=128).model_copy(update={"schedule": schedule})
    return base.variant(
        name=f"{base.name}_mmaction2",
        title=f"{base.title}, MMAction2's",
        notes="",
        clip=MMAction2Train(frames=frames, stride=stride),
        test=Test(
            sampling=MMAction2Test(clips=10, frames=frames, stride=stride),
            crops="three",
            size=256,
            averaging="probabilities",
        ),
        augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
        train=train,
        published=Published(
            top1=top1,
            top5=top5,
            source="MMAction2 1.2 configs/recognition/slowonly",
            protocol=_PROTOCOL,
            split="val",
        ),
        weights=None,
    )


def _non_local(base: Recipe, *, top1: float, top5: float, notes: str = "", weights: Weights | None = None) -> Recipe:
    """MMAction2's non-local form of its ImageNet row."""
    attention = NonLocalConfig(pairwise="embedded_gaussian", places=((), (0, 2), (0, 2, 4), ()), scaled=True)
    return base.variant(
        name=base.name.replace("slowonly", "slowonlynl"),
        title=f"Non-local {base.title}",
        notes=notes,
        model={"non_local": attention},
        train={"optimizer": {"lr": 0.01}},
        published=in_mmaction2(top1, top5, "slowonly"),
        weights=weights,
    )


def _facebook(base: Recipe, toolkit: str, protocol: dict[str, Any], published: Published) -> Recipe:
    """PySlowFast's and PyTorchVideo's counterpart of a row from scratch."""
    name = {"pyslowfast": "PySlowFast", "pytorchvideo": "PyTorchVideo"}[toolkit]
    return base.variant(
        name=f"{base.name}_{toolkit}",
        title=f"{base.title}, {name}'s",
        notes="",
        model={"pool_window": 7},
        **protocol,
        published=published,
    )


_ZOO = "PySlowFast MODEL_ZOO.md"
_VIDEO_ZOO = "PyTorchVideo docs/source/model_zoo.md"
_4X16_IMAGENET_MMACTION2 = _mmaction2(
    SLOWONLY_R50_4X16_IMAGENET, frames=4, stride=16, epochs=150, top1=75.12, top5=91.72, start="imagenet"
)
_8X8_IMAGENET_MMACTION2 = _mmaction2(
    SLOWONLY_R50_8X8_IMAGENET, frames=8, stride=8, epochs=150, top1=76.45, top5=92.55, start="imagenet"
)

_FLOW_4X16_MMACTION2 = _4X16_IMAGENET_MMACTION2.variant(
    name="slowonly_r50_flow_4x16_k400_imagenet_mmaction2",
    title="SlowOnly ResNet-50 4x16 on flow from ImageNet, MMAction2's",
    notes="A row of MMAction2 0.x, which 1.x dropped; 8 GPUs of 24 clips.",
    modality="flow",
    storage="short320",
    model={"channels": 2},
    pixels={"mean": (128.0, 128.0), "std": (128.0, 128.0)},
    train={
        "epochs": 256,
        "base_batch": 192,
        "norm_batch": 24,
        "optimizer": {"lr": 0.06},
        "schedule": CosineSchedule(warmup=Warmup(epochs=34, start=0.1)),
    },
    published=in_zoo(61.79, 83.62, "MMAction2 0.24 configs/recognition/slowonly", _PROTOCOL),
    weights=Weights(
        url="https://download.openmmlab.com/mmaction/recognition/slowonly/slowonly_r50_4x16x1_256e_kinetics400_flow/"
        "slowonly_r50_4x16x1_256e_kinetics400_flow_20200704-decb8568.pth",
        sha256="decb8568",
        layout="mmaction2",
        licence="Apache-2.0",
    ),
)
_FLOW_8X8_MMACTION2 = _FLOW_4X16_MMACTION2.variant(
    name="slowonly_r50_flow_8x8_k400_imagenet_mmaction2",
    title="SlowOnly ResNet-50 8x8 on flow from ImageNet, MMAction2's",
    notes="A row of MMAction2 0.x, which 1.x dropped. The settings of 4x16 with its 196 epochs stand in for its config.",
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    train={"epochs": 196},
    published=in_zoo(65.76, 86.25, "MMAction2 0.24 configs/recognition/slowonly", _PROTOCOL),
    weights=None,
)

SLOWONLY = (
    SLOWONLY_R50_4X16,
    SLOWONLY_R50_4X16_IMAGENET,
    SLOWONLY_R50_8X8,
    SLOWONLY_R50_8X8_IMAGENET,
    SLOWONLY_R101_8X8,
    SLOWONLY_R101_8X8_IMAGENET,
    _mmaction2(SLOWONLY_R50_4X16, frames=4, stride=16, epochs=256, top1=72.97, top5=90.88, start="scratch"),
    _4X16_IMAGENET_MMACTION2,
    _mmaction2(SLOWONLY_R50_8X8, frames=8, stride=8, epochs=256, top1=75.15, top5=92.11, start="scratch"),
    _8X8_IMAGENET_MMACTION2,
    _mmaction2(SLOWONLY_R101_8X8, frames=8, stride=8, epochs=196, top1=76.59, top5=92.80, start="scratch"),
    _non_local(
        _4X16_IMAGENET_MMACTION2,
        top1=75.07,
        top5=91.69,
        weights=mmaction2_weights(
            "slowonly",
            "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
            "20220901-cf739c75",
        ),
    ),
    _non_local(
        _8X8_IMAGENET_MMACTION2,
        top1=76.65,
        top5=92.47,
        notes="Its zoo gives the file the hash of another row's file, so no weights are named here.",
    ),
    _FLOW_4X16_MMACTION2,
    _FLOW_8X8_MMACTION2,
    _facebook(SLOWONLY_R50_4X16, "pyslowfast", pyslowfast(4, 16), in_zoo(72.7, 90.3, _ZOO)),
    _facebook(SLOWONLY_R50_8X8, "pyslowfast", pyslowfast(8, 8), in_zoo(74.8, 91.6, _ZOO)),
    _facebook(SLOWONLY_R50_4X16, "pytorchvideo", pytorchvideo(4, 16), in_zoo(72.40, 90.18, _VIDEO_ZOO)),
    _facebook(SLOWONLY_R50_8X8, "pytorchvideo", pytorchvideo(8, 8), in_zoo(74.58, 91.63, _VIDEO_ZOO)),
)
