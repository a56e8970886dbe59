"""SlowFast: Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019.

Training settings: MMAction2's slowfast_r50_8xb8-4x16x1-256e, on which its other configs are based (8 GPUs of 8 clips;
32 GPUs for R101-R50). MMAction's recipes have the same settings, because MMAction published no training config.
PySlowFast's configs are Kinetics/c2/SLOWFAST_*. Names of recipes have frames and stride of the slow pathway (4x16); the
fast pathway sees alpha times as many frames.
"""

from marey.models.layers.config import Initialisation
from marey.models.slowfast.config import SlowFastConfig
from marey.recipe import SGD, CosineSchedule, Recipe, Test, Train, Warmup
from marey.recipes.toolkits import (
    PYSLOWFAST_TRAIN,
    mmaction2_weights,
    mmaction2_zoo,
    mmaction_announcement,
    mmaction_weights,
    pyslowfast_weights,
    pyslowfast_zoo,
    pytorchvideo_weights,
    pytorchvideo_zoo,
)
from marey.video.pixels import FloatPixels
from marey.video.pixels.crops import MMActionRandomResizedCrop, PySlowFastCrop, RandomResizedCrop
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

SLOWFAST_R50_4X16 = Recipe(
    name="slowfast_r50_4x16_k400",
    title="SlowFast ResNet-50 4x16",
    paper="https://arxiv.org/abs/1812.03982",
    notes="MMAction v0.2's row, from scratch. It ships no training config for it: MMAction2's settings stand in.",
    dataset="kinetics400",
    storage="short256",
    model=SlowFastConfig(depth=50, alpha=8, lateral_kernel=5),
    clip=MMActionTrain(frames=32, stride=2),
    test=Test(sampling=MMActionTest(clips=10, frames=32, stride=2), crops="three", size=256, averaging="probabilities"),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=Train(
        epochs=256,
        base_batch=64,
        norm_batch=8,
        optimizer=SGD(lr=0.1),
        schedule=CosineSchedule(warmup=Warmup(epochs=34, start=0.1, ends="last")),
        clip_norm=40,
        initialisation=Initialisation(last_gamma_zero=True),
    ),
    published=mmaction_announcement(top1=75.4, top5=92.1),
    weights=(mmaction_weights("slowfast_kinetics400_se_rgb_r50_4x16_scratch-2448c56c.pth"),),
)
SLOWFAST_R50_4X16_IMAGENET = SLOWFAST_R50_4X16.variant(
    name="slowfast_r50_4x16_k400_imagenet",
    title="SlowFast ResNet-50 4x16 from ImageNet",
    notes="MMAction v0.2's row. It ships no training config for it: MMAction2's settings from scratch stand in.",
    pretraining="imagenet",
    train={"initialisation": {"last_gamma_zero": False}},
    published=mmaction_announcement(top1=75.9, top5=92.3),
    weights=(mmaction_weights("slowfast_kinetics400_se_rgb_r50_4x16_finetune-4623cf03.pth"),),
)

SLOWFAST_R50_4X16_MMACTION2 = SLOWFAST_R50_4X16.variant(
    name="slowfast_r50_4x16_k400_mmaction2",
    title="SlowFast ResNet-50 4x16, MMAction2's",
    notes="",
    clip=MMAction2Train(frames=32, stride=2),
    test={"sampling": MMAction2Test(clips=10, frames=32, stride=2)},
    augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
    published=mmaction2_zoo("slowfast", top1=75.55, top5=92.35),
    weights=(mmaction2_weights("slowfast", "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb_20220901-701b0f6f.pth"),),
)
SLOWFAST_R50_8X8_MMACTION2 = SLOWFAST_R50_4X16_MMACTION2.variant(
    name="slowfast_r50_8x8_k400_mmaction2",
    title="SlowFast ResNet-50 8x8, MMAction2's",
    model={"alpha": 4, "lateral_kernel": 7},
    published=mmaction2_zoo("slowfast", top1=76.80, top5=92.99),
    weights=(mmaction2_weights("slowfast", "slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb_20220818-1cb6dfc8.pth"),),
)
SLOWFAST_R101_8X8_MMACTION2 = SLOWFAST_R50_8X8_MMACTION2.variant(
    name="slowfast_r101_8x8_k400_mmaction2",
    title="SlowFast ResNet-101 8x8, MMAction2's",
    model={"depth": 101},
    published=mmaction2_zoo("slowfast", top1=78.65, top5=93.88),
    weights=(mmaction2_weights("slowfast", "slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb_20220818-9c0e09bd.pth"),),
)
SLOWFAST_R101_R50_4X16_MMACTION2 = SLOWFAST_R50_4X16_MMACTION2.variant(
    name="slowfast_r101r50_4x16_k400_mmaction2",
    title="SlowFast ResNet-101 (slow) and ResNet-50 (fast) 4x16, MMAction2's",
    model={"depth": 101, "fast_depth": 50},
    train={"base_batch": 256, "optimizer": {"lr": 0.4}},
    published=mmaction2_zoo("slowfast", top1=77.03, top5=92.99),
    weights=(
        mmaction2_weights("slowfast", "slowfast_r101-r50_32xb8-4x16x1-256e_kinetics400-rgb_20220901-a77ac3ee.pth"),
    ),
)

SLOWFAST_R50_4X16_PYSLOWFAST = SLOWFAST_R50_4X16.variant(
    name="slowfast_r50_4x16_k400_pyslowfast",
    title="SlowFast ResNet-50 4x16, PySlowFast's",
    notes="",
    model={"lateral_norm": True, "slow_frames": "spread", "pool_window": 7},
    clip=PySlowFastTrain(frames=32, stride=2),
    test={"sampling": PySlowFastTest(clips=10, frames=32, stride=2), "averaging": "position_probabilities"},
    pixels=FloatPixels(),
    augment=PySlowFastCrop(size=224, flip=0.5),
    train=PYSLOWFAST_TRAIN,
    published=pyslowfast_zoo(top1=75.6, top5=92.0),
    weights=(pyslowfast_weights("SLOWFAST_4x16_R50.pkl"),),
)
SLOWFAST_R50_8X8_PYSLOWFAST = SLOWFAST_R50_4X16_PYSLOWFAST.variant(
    name="slowfast_r50_8x8_k400_pyslowfast",
    title="SlowFast ResNet-50 8x8, PySlowFast's",
    model={"alpha": 4, "lateral_kernel": 7},
    published=pyslowfast_zoo(top1=77.0, top5=92.6),
    weights=(pyslowfast_weights("SLOWFAST_8x8_R50.pkl"),),
)

SLOWFAST_R50_4X16_PYTORCHVIDEO = SLOWFAST_R50_4X16_PYSLOWFAST.variant(
    name="slowfast_r50_4x16_k400_pytorchvideo",
    title="SlowFast ResNet-50 4x16, PyTorchVideo's",
    clip=PyTorchVideoTrain(frames=32, seconds=64 / 30),
    test={"sampling": PyTorchVideoTest(clips=10, frames=32, seconds=64 / 30), "averaging": "probabilities"},
    published=pytorchvideo_zoo(top1=75.34, top5=91.89),
    weights=(pytorchvideo_weights("SLOWFAST_4x16_R50.pyth"),),
)
SLOWFAST_R50_8X8_PYTORCHVIDEO = SLOWFAST_R50_4X16_PYTORCHVIDEO.variant(
    name="slowfast_r50_8x8_k400_pytorchvideo",
    title="SlowFast ResNet-50 8x8, PyTorchVideo's",
    model={"alpha": 4, "lateral_kernel": 7},
    published=pytorchvideo_zoo(top1=76.94, top5=92.69),
    weights=(pytorchvideo_weights("SLOWFAST_8x8_R50.pyth"),),
)
SLOWFAST_R101_8X8_PYTORCHVIDEO = SLOWFAST_R50_4X16_PYTORCHVIDEO.variant(
    name="slowfast_r101_8x8_k400_pytorchvideo",
    title="SlowFast ResNet-101 8x8, PyTorchVideo's",
    model={"depth": 101, "alpha": 4, "lateral_kernel": 5},
    published=pytorchvideo_zoo(top1=77.90, top5=93.27),
    weights=(pytorchvideo_weights("SLOWFAST_8x8_R101.pyth"),),
)
SLOWFAST_R101_16X8_PYTORCHVIDEO = SLOWFAST_R101_8X8_PYTORCHVIDEO.variant(
    name="slowfast_r101_16x8_k400_pytorchvideo",
    title="SlowFast ResNet-101 16x8, PyTorchVideo's",
    model={"slow_inflated": 6, "fast_inflated": 6},
    clip={"frames": 64, "seconds": 128 / 30},
    test={"sampling": {"frames": 64, "seconds": 128 / 30}},
    published=pytorchvideo_zoo(top1=78.70, top5=93.61),
    weights=(pytorchvideo_weights("SLOWFAST_16x8_R101_50_50.pyth"),),
)

SLOWFAST = (
    SLOWFAST_R50_4X16,
    SLOWFAST_R50_4X16_IMAGENET,
    SLOWFAST_R50_4X16_MMACTION2,
    SLOWFAST_R50_8X8_MMACTION2,
    SLOWFAST_R101_8X8_MMACTION2,
    SLOWFAST_R101_R50_4X16_MMACTION2,
    SLOWFAST_R50_4X16_PYSLOWFAST,
    SLOWFAST_R50_8X8_PYSLOWFAST,
    SLOWFAST_R50_4X16_PYTORCHVIDEO,
    SLOWFAST_R50_8X8_PYTORCHVIDEO,
    SLOWFAST_R101_8X8_PYTORCHVIDEO,
    SLOWFAST_R101_16X8_PYTORCHVIDEO,
)

SLOWFAST_PARAMETERS = {
    "slowfast_r50_4x16_k400": 34_479_288,
    "slowfast_r50_4x16_k400_imagenet": 34_479_288,
    "slowfast_r50_4x16_k400_mmaction2": 34_479_288,
    "slowfast_r50_8x8_k400_mmaction2": 34_565_560,
    "slowfast_r101_8x8_k400_mmaction2": 62_912_312,
    "slowfast_r101r50_4x16_k400_mmaction2": 62_384_312,
    "slowfast_r50_4x16_k400_pyslowfast": 34_480_216,
    "slowfast_r50_8x8_k400_pyslowfast": 34_566_488,
    "slowfast_r50_4x16_k400_pytorchvideo": 34_480_216,
    "slowfast_r50_8x8_k400_pytorchvideo": 34_566_488,
    "slowfast_r101_8x8_k400_pytorchvideo": 62_826_968,
    "slowfast_r101_16x8_k400_pytorchvideo": 53_774_808,
}
"""The number of parameters of each network; a test counts them."""
