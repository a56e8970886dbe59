"""SlowFast: Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019.

Training settings: MMAction2's slowfast_r50_8xb8-4x16x1-256e, on which its others stand (8 GPUs of 8 clips; 32 of them
for R101-R50); PySlowFast's configs Kinetics/c2/SLOWFAST_*. MMAction ships no training config: MMAction2's stand in.
The names give the slow pathway's frames and stride; the fast one sees alpha times more.
"""

from typing import Literal

from marey.models.initialisation import Initialisation
from marey.models.slowfast.config import SlowFastConfig
from marey.recipe import SGD, CosineSchedule, Recipe, Train, Warmup
from marey.recipes.files import announced_weights, mmaction2_weights, pyslowfast_weights, pytorchvideo_weights
from marey.recipes.toolkits import (
    announced,
    in_mmaction2,
    in_pyslowfast,
    in_pytorchvideo,
    mmaction,
    mmaction2,
    pyslowfast,
    pytorchvideo,
)
from marey.video.pixels.crops import MMActionRandomResizedCrop, RandomResizedCrop

_PAPER = "https://arxiv.org/abs/1812.03982"
_TRAIN = Train(
    epochs=256,
    base_batch=64,
    norm_batch=8,
    optimizer=SGD(lr=0.1),
    schedule=CosineSchedule(warmup=Warmup(epochs=34, start=0.1, ends="last")),
    clip_norm=40,
    initialisation=Initialisation(last_gamma_zero=True),
)

SLOWFAST_R50_4X16 = Recipe(
    name="slowfast_r50_4x16_k400",
    title="SlowFast ResNet-50 4x16",
    paper=_PAPER,
    notes="MMAction v0.2's row, from scratch. It ships no training config for it: MMAction2's settings stand in.",
    dataset="kinetics400",
    storage="short256",
    model=SlowFastConfig(),
    **mmaction(32, 2),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=_TRAIN,
    published=announced(75.4, 92.1),
    weights=(announced_weights("slowfast_kinetics400_se_rgb_r50_4x16_scratch-2448c56c.pth"),),
)

SLOWFAST_R50_4X16_IMAGENET = SLOWFAST_R50_4X16.variant(
    name="slowfast_r50_4x16_k400_imagenet",
    title="SlowFast ResNet-50 4x16 from ImageNet",
    notes="MMAction v0.2's row. It ships no training config for it: MMAction2's settings from scratch stand in.",
    pretraining="imagenet",
    train={"initialisation": {"last_gamma_zero": False}},
    published=announced(75.9, 92.3),
    weights=(announced_weights("slowfast_kinetics400_se_rgb_r50_4x16_finetune-4623cf03.pth"),),
)


def _mmaction2(
    backbone: str,
    title: str,
    model: SlowFastConfig,
    *,
    top1: float,
    top5: float,
    config: str,
    stamp: str,
    train: Train = _TRAIN,
) -> Recipe:
    """MMAction2's form; `config` and `stamp` are the parts of its file's name."""
    return SLOWFAST_R50_4X16.variant(
        name=f"slowfast_{backbone}_k400_mmaction2",
        title=f"SlowFast {title}, MMAction2's",
        notes="",
        model=model,
        **mmaction2(32, 2),
        augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
        train=train,
        published=in_mmaction2(top1, top5, "slowfast"),
        weights=(mmaction2_weights("slowfast", f"slowfast_{config}-256e_kinetics400-rgb", stamp),),
    )


SLOWFAST_R50_4X16_MMACTION2 = _mmaction2(
    "r50_4x16",
    "ResNet-50 4x16",
    SlowFastConfig(),
    top1=75.55,
    top5=92.35,
    config="r50_8xb8-4x16x1",
    stamp="20220901-701b0f6f",
)
SLOWFAST_R50_8X8_MMACTION2 = _mmaction2(
    "r50_8x8",
    "ResNet-50 8x8",
    SlowFastConfig(alpha=4, lateral_kernel=7),
    top1=76.80,
    top5=92.99,
    config="r50_8xb8-8x8x1",
    stamp="20220818-1cb6dfc8",
)
SLOWFAST_R101_8X8_MMACTION2 = _mmaction2(
    "r101_8x8",
    "ResNet-101 8x8",
    SlowFastConfig(depth=101, alpha=4, lateral_kernel=7),
    top1=78.65,
    top5=93.88,
    config="r101_8xb8-8x8x1",
    stamp="20220818-9c0e09bd",
)
SLOWFAST_R101_R50_4X16_MMACTION2 = _mmaction2(
    "r101r50_4x16",
    "ResNet-101 (slow) and ResNet-50 (fast) 4x16",
    SlowFastConfig(depth=101, fast_depth=50),
    top1=77.03,
    top5=92.99,
    config="r101-r50_32xb8-4x16x1",
    stamp="20220901-a77ac3ee",
    train=_TRAIN.model_copy(update={"base_batch": 256, "optimizer": SGD(lr=0.4)}),
)


def _facebook(alpha: int, lateral_kernel: Literal[5, 7], **changes: object) -> SlowFastConfig:
    """The network as PySlowFast and PyTorchVideo have it."""
    return SlowFastConfig.model_validate(
        {
            "alpha": alpha,
            "lateral_kernel": lateral_kernel,
            "lateral_norm": True,
            "slow_frames": "spread",
            "pool_window": 7,
        }
        | changes
    )


def _pyslowfast(name: str, title: str, model: SlowFastConfig, *, top1: float, top5: float, file: str) -> Recipe:
    return SLOWFAST_R50_4X16.variant(
        name=f"slowfast_{name}_k400_pyslowfast",
        title=f"SlowFast {title}, PySlowFast's",
        notes="",
        model=model,
        **pyslowfast(32, 2),
        published=in_pyslowfast(top1, top5),
        weights=(pyslowfast_weights(file),),
    )


def _pytorchvideo(
    name: str, title: str, model: SlowFastConfig, *, top1: float, top5: float, file: str, frames: int = 32
) -> Recipe:
    return SLOWFAST_R50_4X16.variant(
        name=f"slowfast_{name}_k400_pytorchvideo",
        title=f"SlowFast {title}, PyTorchVideo's",
        notes="",
        model=model,
        **pytorchvideo(frames, 2),
        published=in_pytorchvideo(top1, top5),
        weights=(pytorchvideo_weights(file),),
    )


_4X16, _8X8 = _facebook(8, 5), _facebook(4, 7)

SLOWFAST = (
    SLOWFAST_R50_4X16,
    SLOWFAST_R50_4X16_IMAGENET,
    SLOWFAST_R50_4X16_MMACTION2,
    SLOWFAST_R50_8X8_MMACTION2,
    SLOWFAST_R101_8X8_MMACTION2,
    SLOWFAST_R101_R50_4X16_MMACTION2,
    _pyslowfast("r50_4x16", "ResNet-50 4x16", _4X16, top1=75.6, top5=92.0, file="SLOWFAST_4x16_R50.pkl"),
    _pyslowfast("r50_8x8", "ResNet-50 8x8", _8X8, top1=77.0, top5=92.6, file="SLOWFAST_8x8_R50.pkl"),
    _pytorchvideo("r50_4x16", "ResNet-50 4x16", _4X16, top1=75.34, top5=91.89, file="SLOWFAST_4x16_R50.pyth"),
    _pytorchvideo("r50_8x8", "ResNet-50 8x8", _8X8, top1=76.94, top5=92.69, file="SLOWFAST_8x8_R50.pyth"),
    _pytorchvideo(
        "r101_8x8", "ResNet-101 8x8", _facebook(4, 5, depth=101), top1=77.90, top5=93.27, file="SLOWFAST_8x8_R101.pyth"
    ),
    _pytorchvideo(
        "r101_16x8",
        "ResNet-101 16x8",
        _facebook(4, 5, depth=101, slow_inflated=6, fast_inflated=6),
        top1=78.70,
        top5=93.61,
        file="SLOWFAST_16x8_R101_50_50.pyth",
        frames=64,
    ),
)
