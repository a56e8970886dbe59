"""SlowOnly: the slow pathway of Feichtenhofer et al., SlowFast Networks, ICCV 2019, alone.

Training settings: MMAction's configs slowonly_kinetics400_se_rgb_r50_seg1_{4x16,8x8}_{scratch,finetune}, MMAction2's
slowonly_r50_8xb16-{4x16x1,8x8x1}-256e and slowonly_imagenet-pretrained-r50_*-steplr-150e.
"""

from typing import Any

from marey.models.initialisation import Initialisation
from marey.models.layers.non_local_config import NonLocalConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.recipe import SGD, CosineSchedule, Published, Recipe, Source, StepSchedule, Train, Warmup
from marey.recipes.files import (
    announced_weights,
    mmaction2_file,
    mmaction2_weights,
    pyslowfast_weights,
    pytorchvideo_weights,
)
from marey.recipes.toolkits import (
    announced,
    in_mmaction2,
    in_old_mmaction2,
    in_pyslowfast,
    in_pytorchvideo,
    mmaction,
    mmaction2,
    pyslowfast,
    pytorchvideo,
)
from marey.video.pixels.crops import MMActionRandomResizedCrop, RandomResizedCrop

_PAPER = "https://arxiv.org/abs/1812.03982"


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


SLOWONLY_R50_4X16 = Recipe(
    name="slowonly_r50_4x16_k400",
    title="SlowOnly ResNet-50 4x16",
    paper=_PAPER,
    notes="MMAction v0.2's row, from scratch.",
    dataset="kinetics400",
    storage="short256",
    model=SlowOnlyConfig(depth=50, num_classes=400),
    **mmaction(4, 16),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=_scratch(lr=0.2, batch=128, epochs=256),
    published=announced(72.9, 90.9),
    weights=(announced_weights("slowonly_kinetics400_se_rgb_r50_seg1_4x16_scratch_epoch256-594abd88.pth"),),
)

SLOWONLY_R50_4X16_IMAGENET = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_4x16_k400_imagenet",
    title="SlowOnly ResNet-50 4x16 from ImageNet",
    notes="MMAction v0.2's row.",
    pretraining="imagenet",
    train=_finetune(lr=0.02, batch=128),
    published=announced(73.8, 90.9),
    weights=(announced_weights("slowonly_kinetics400_se_rgb_r50_seg1_4x16_finetune_epoch150-46c79312.pth"),),
)

SLOWONLY_R50_8X8 = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_8x8_k400",
    title="SlowOnly ResNet-50 8x8",
    **mmaction(8, 8),
    train=_scratch(lr=0.1, batch=64, epochs=196),
    published=announced(74.8, 91.9),
    weights=(announced_weights("slowonly_kinetics400_se_rgb_r50_seg1_8x8_scratch_epoch196-4aae9339.pth"),),
)

SLOWONLY_R50_8X8_IMAGENET = SLOWONLY_R50_8X8.variant(
    name="slowonly_r50_8x8_k400_imagenet",
    title="SlowOnly ResNet-50 8x8 from ImageNet",
    notes="MMAction v0.2's row.",
    pretraining="imagenet",
    train=_finetune(lr=0.01, batch=64),
    published=announced(75.7, 92.2),
    weights=(announced_weights("slowonly_kinetics400_se_rgb_r50_seg1_8x8_finetune_epoch150-519c2101.pth"),),
)

SLOWONLY_R101_8X8 = SLOWONLY_R50_8X8.variant(
    name="slowonly_r101_8x8_k400",
    title="SlowOnly ResNet-101 8x8",
    notes="MMAction v0.2's row, from scratch. It ships no training config for it: the ResNet-50 settings stand in.",
    model=SlowOnlyConfig(depth=101, num_classes=400),
    published=announced(76.5, 92.7),
    weights=(announced_weights("slowonly_kinetics400_se_rgb_r101_8x8_scratch-8de47237.pth"),),
)

SLOWONLY_R101_8X8_IMAGENET = SLOWONLY_R50_8X8_IMAGENET.variant(
    name="slowonly_r101_8x8_k400_imagenet",
    title="SlowOnly ResNet-101 8x8 from ImageNet",
    notes="MMAction v0.2's row. It ships no training config for it: the ResNet-50 settings stand in.",
    model=SlowOnlyConfig(depth=101, num_classes=400),
    published=announced(76.8, 92.8),
    weights=(announced_weights("slowonly_kinetics400_se_rgb_r101_8x8_finetune-b8455f97.pth"),),
)


# MMAction2's: its sampling, its crop, its schedules, whose warm-up moves once an epoch.


def _warmup(epochs: int) -> Warmup:
    return Warmup(epochs=epochs, start=0.1, by="epoch", ends="last")


def _scratch_mmaction2(epochs: int) -> Train:
    schedule = CosineSchedule(begin=34, warmup=_warmup(34))
    return _scratch(lr=0.2, batch=128, epochs=epochs).model_copy(
        update={"schedule": schedule, "initialisation": Initialisation(last_gamma_zero=True)}
    )


_FINETUNE_MMACTION2 = _finetune(lr=0.02, batch=128).model_copy(
    update={"schedule": StepSchedule(milestones=(90, 130), begin=10, warmup=_warmup(10))}
)


def _mmaction2(
    base: Recipe,
    frames: int,
    stride: int,
    train: Train,
    *,
    top1: float,
    top5: float,
    weights: tuple[Source, ...] = (),
    notes: str = "",
) -> Recipe:
    """MMAction2's counterpart of a row."""
    return base.variant(
        name=f"{base.name}_mmaction2",
        title=f"{base.title}, MMAction2's",
        notes=notes,
        **mmaction2(frames, stride),
        augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
        train=train,
        published=in_mmaction2(top1, top5, "slowonly"),
        weights=weights,
    )


def _non_local(
    base: Recipe,
    *,
    top1: float,
    top5: float,
    weights: tuple[Source, ...] = (),
    notes: str = "",
) -> Recipe:
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


_ONE_HASH = (
    "MMAction2's zoo gives the files of slowonly_r50_8x8_k400_imagenet_mmaction2 and "
    "slowonlynl_r50_8x8_k400_imagenet_mmaction2 one hash, df42dc84, which can be right for one of them only: neither row "
    "names weights."
)
_4X16_IMAGENET_MMACTION2 = _mmaction2(
    SLOWONLY_R50_4X16_IMAGENET,
    4,
    16,
    _FINETUNE_MMACTION2,
    top1=75.12,
    top5=91.72,
    weights=(
        mmaction2_weights(
            "slowonly",
            "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
            "20220901-e7b65fad",
        ),
    ),
)
_8X8_IMAGENET_MMACTION2 = _mmaction2(
    SLOWONLY_R50_8X8_IMAGENET, 8, 8, _FINETUNE_MMACTION2, top1=76.45, top5=92.55, notes=_ONE_HASH
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
    published=in_old_mmaction2(61.79, 83.62, "slowonly"),
    weights=(
        mmaction2_file(
            "recognition/slowonly/slowonly_r50_4x16x1_256e_kinetics400_flow/"
            "slowonly_r50_4x16x1_256e_kinetics400_flow_20200704-decb8568.pth"
        ),
    ),
)
_FLOW_8X8_MMACTION2 = _FLOW_4X16_MMACTION2.variant(
    name="slowonly_r50_flow_8x8_k400_imagenet_mmaction2",
    title="SlowOnly ResNet-50 8x8 on flow from ImageNet, MMAction2's",
    notes=(
        "A row of MMAction2 0.x, which 1.x dropped. The settings of 4x16 with its 196 epochs stand in for its config; the "
        "name of its file says 256."
    ),
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    train={"epochs": 196},
    published=in_old_mmaction2(65.76, 86.25, "slowonly"),
    weights=(
        mmaction2_file(
            "recognition/slowonly/slowonly_r50_8x8x1_256e_kinetics400_flow/"
            "slowonly_r50_8x8x1_256e_kinetics400_flow_20200704-6b384243.pth"
        ),
    ),
)


def _facebook(base: Recipe, toolkit: str, protocol: dict[str, Any], published: Published, weights: Source) -> Recipe:
    """PySlowFast's and PyTorchVideo's counterpart of a row from scratch."""
    name = {"pyslowfast": "PySlowFast", "pytorchvideo": "PyTorchVideo"}[toolkit]
    return base.variant(
        name=f"{base.name}_{toolkit}",
        title=f"{base.title}, {name}'s",
        notes="",
        model={"pool_window": 7},
        **protocol,
        published=published,
        weights=(weights,),
    )


SLOWONLY = (
    SLOWONLY_R50_4X16,
    SLOWONLY_R50_4X16_IMAGENET,
    SLOWONLY_R50_8X8,
    SLOWONLY_R50_8X8_IMAGENET,
    SLOWONLY_R101_8X8,
    SLOWONLY_R101_8X8_IMAGENET,
    _mmaction2(
        SLOWONLY_R50_4X16,
        4,
        16,
        _scratch_mmaction2(256),
        top1=72.97,
        top5=90.88,
        weights=(
            mmaction2_weights(
                "slowonly",
                "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb",
                "20220901-f6a40d08",
                begins="slowonly_r50_4x16x1_256e_8xb16_kinetics400-rgb",
            ),
        ),
    ),
    _4X16_IMAGENET_MMACTION2,
    _mmaction2(
        SLOWONLY_R50_8X8,
        8,
        8,
        _scratch_mmaction2(256),
        top1=75.15,
        top5=92.11,
        weights=(mmaction2_weights("slowonly", "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb", "20220901-2132fc87"),),
    ),
    _8X8_IMAGENET_MMACTION2,
    _mmaction2(
        SLOWONLY_R101_8X8,
        8,
        8,
        _scratch_mmaction2(196),
        top1=76.59,
        top5=92.80,
        weights=(mmaction2_weights("slowonly", "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb", "20220901-e6281431"),),
    ),
    _non_local(
        _4X16_IMAGENET_MMACTION2,
        top1=75.07,
        top5=91.69,
        weights=(
            mmaction2_weights(
                "slowonly",
                "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
                "20220901-cf739c75",
            ),
        ),
    ),
    _non_local(_8X8_IMAGENET_MMACTION2, top1=76.65, top5=92.47, notes=_ONE_HASH),
    _FLOW_4X16_MMACTION2,
    _FLOW_8X8_MMACTION2,
    _facebook(
        SLOWONLY_R50_4X16,
        "pyslowfast",
        pyslowfast(4, 16),
        in_pyslowfast(72.7, 90.3),
        pyslowfast_weights("SLOWONLY_4x16_R50.pkl"),
    ),
    _facebook(
        SLOWONLY_R50_8X8,
        "pyslowfast",
        pyslowfast(8, 8),
        in_pyslowfast(74.8, 91.6),
        pyslowfast_weights("SLOWONLY_8x8_R50.pkl"),
    ),
    _facebook(
        SLOWONLY_R50_4X16,
        "pytorchvideo",
        pytorchvideo(4, 16),
        in_pytorchvideo(72.40, 90.18),
        pytorchvideo_weights("SLOW_4x16_R50.pyth"),
    ),
    _facebook(
        SLOWONLY_R50_8X8,
        "pytorchvideo",
        pytorchvideo(8, 8),
        in_pytorchvideo(74.58, 91.63),
        pytorchvideo_weights("SLOW_8x8_R50.pyth"),
    ),
)
