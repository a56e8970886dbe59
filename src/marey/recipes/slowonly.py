"""SlowOnly: the slow pathway of Feichtenhofer et al., SlowFast Networks, ICCV 2019, alone.

Training settings: MMAction's configs slowonly_kinetics400_se_rgb_r50_seg1_{4x16,8x8}_{scratch,finetune}; MMAction2's
slowonly_r50_8xb16-{4x16x1,8x8x1}-256e and slowonly_imagenet-pretrained-r50_*-steplr-150e; PySlowFast's
settings, which all its networks share.
"""

from marey.models.layers.config import Initialisation, NonLocalConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.recipe import SGD, CosineSchedule, Recipe, StepSchedule, Test, Train, Warmup
from marey.recipes.toolkits import (
    PYSLOWFAST_TRAIN,
    mmaction2_weights,
    mmaction2_zoo,
    mmaction_announcement,
    mmaction_weights,
    old_mmaction2_weights,
    old_mmaction2_zoo,
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

# MMAction's recipes --------------------------------------------------------------------------------------------------

SLOWONLY_R50_4X16 = Recipe(
    name="slowonly_r50_4x16_k400",
    title="SlowOnly ResNet-50 4x16",
    paper="https://arxiv.org/abs/1812.03982",
    notes="MMAction v0.2's row, from scratch.",
    dataset="kinetics400",
    storage="short256",
    model=SlowOnlyConfig(depth=50, num_classes=400),
    clip=MMActionTrain(frames=4, stride=16),
    test=Test(sampling=MMActionTest(clips=10, frames=4, stride=16), crops="three", size=256, averaging="probabilities"),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=Train(
        epochs=256,
        base_batch=128,
        norm_batch=16,
        optimizer=SGD(lr=0.2),
        schedule=CosineSchedule(warmup=Warmup(epochs=34)),
        clip_norm=40,
    ),
    published=mmaction_announcement(top1=72.9, top5=90.9),
    weights=(mmaction_weights("slowonly_kinetics400_se_rgb_r50_seg1_4x16_scratch_epoch256-594abd88.pth"),),
)
SLOWONLY_R50_4X16_IMAGENET = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_4x16_k400_imagenet",
    title="SlowOnly ResNet-50 4x16 from ImageNet",
    notes="MMAction v0.2's row.",
    pretraining="imagenet",
    train=Train(
        epochs=150,
        base_batch=128,
        norm_batch=16,
        optimizer=SGD(lr=0.02),
        schedule=StepSchedule(milestones=(90, 130), warmup=Warmup(epochs=10)),
        clip_norm=40,
    ),
    published=mmaction_announcement(top1=73.8, top5=90.9),
    weights=(mmaction_weights("slowonly_kinetics400_se_rgb_r50_seg1_4x16_finetune_epoch150-46c79312.pth"),),
)
SLOWONLY_R50_8X8 = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_8x8_k400",
    title="SlowOnly ResNet-50 8x8",
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    train={"epochs": 196, "base_batch": 64, "norm_batch": 8, "optimizer": {"lr": 0.1}},
    published=mmaction_announcement(top1=74.8, top5=91.9),
    weights=(mmaction_weights("slowonly_kinetics400_se_rgb_r50_seg1_8x8_scratch_epoch196-4aae9339.pth"),),
)
SLOWONLY_R50_8X8_IMAGENET = SLOWONLY_R50_4X16_IMAGENET.variant(
    name="slowonly_r50_8x8_k400_imagenet",
    title="SlowOnly ResNet-50 8x8 from ImageNet",
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    train={"base_batch": 64, "norm_batch": 8, "optimizer": {"lr": 0.01}},
    published=mmaction_announcement(top1=75.7, top5=92.2),
    weights=(mmaction_weights("slowonly_kinetics400_se_rgb_r50_seg1_8x8_finetune_epoch150-519c2101.pth"),),
)
SLOWONLY_R101_8X8 = SLOWONLY_R50_8X8.variant(
    name="slowonly_r101_8x8_k400",
    title="SlowOnly ResNet-101 8x8",
    notes="MMAction v0.2's row, from scratch. It ships no training config for it: the ResNet-50 settings stand in.",
    model={"depth": 101},
    published=mmaction_announcement(top1=76.5, top5=92.7),
    weights=(mmaction_weights("slowonly_kinetics400_se_rgb_r101_8x8_scratch-8de47237.pth"),),
)
SLOWONLY_R101_8X8_IMAGENET = SLOWONLY_R50_8X8_IMAGENET.variant(
    name="slowonly_r101_8x8_k400_imagenet",
    title="SlowOnly ResNet-101 8x8 from ImageNet",
    notes="MMAction v0.2's row. It ships no training config for it: the ResNet-50 settings stand in.",
    model={"depth": 101},
    published=mmaction_announcement(top1=76.8, top5=92.8),
    weights=(mmaction_weights("slowonly_kinetics400_se_rgb_r101_8x8_finetune-b8455f97.pth"),),
)

# MMAction2's recipes: on RGB the rate rises once an epoch in the warm-up, and the schedule begins after it ------------

_ONE_HASH = (
    "MMAction2's zoo gives the files of slowonly_r50_8x8_k400_imagenet_mmaction2 and "
    "slowonlynl_r50_8x8_k400_imagenet_mmaction2 one hash, df42dc84, which can be right for one of them only: neither row "
    "names weights."
)

SLOWONLY_R50_4X16_MMACTION2 = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_4x16_k400_mmaction2",
    title="SlowOnly ResNet-50 4x16, MMAction2's",
    notes="",
    clip=MMAction2Train(frames=4, stride=16),
    test={"sampling": MMAction2Test(clips=10, frames=4, stride=16)},
    augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
    train=Train(
        epochs=256,
        base_batch=128,
        norm_batch=16,
        optimizer=SGD(lr=0.2),
        schedule=CosineSchedule(begin=34, warmup=Warmup(epochs=34, start=0.1, by="epoch", ends="last")),
        clip_norm=40,
        initialisation=Initialisation(last_gamma_zero=True),
    ),
    published=mmaction2_zoo("slowonly", top1=72.97, top5=90.88),
    weights=(
        mmaction2_weights(
            "slowonly",
            "slowonly_r50_4x16x1_256e_8xb16_kinetics400-rgb_20220901-f6a40d08.pth",
            config="slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb",
        ),
    ),
)
SLOWONLY_R50_4X16_IMAGENET_MMACTION2 = SLOWONLY_R50_4X16_MMACTION2.variant(
    name="slowonly_r50_4x16_k400_imagenet_mmaction2",
    title="SlowOnly ResNet-50 4x16 from ImageNet, MMAction2's",
    pretraining="imagenet",
    train=Train(
        epochs=150,
        base_batch=128,
        norm_batch=16,
        optimizer=SGD(lr=0.02),
        schedule=StepSchedule(
            milestones=(90, 130), begin=10, warmup=Warmup(epochs=10, start=0.1, by="epoch", ends="last")
        ),
        clip_norm=40,
    ),
    published=mmaction2_zoo("slowonly", top1=75.12, top5=91.72),
    weights=(
        mmaction2_weights(
            "slowonly",
            "slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb_20220901-e7b65fad.pth",
        ),
    ),
)
SLOWONLY_R50_8X8_MMACTION2 = SLOWONLY_R50_4X16_MMACTION2.variant(
    name="slowonly_r50_8x8_k400_mmaction2",
    title="SlowOnly ResNet-50 8x8, MMAction2's",
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    published=mmaction2_zoo("slowonly", top1=75.15, top5=92.11),
    weights=(mmaction2_weights("slowonly", "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb_20220901-2132fc87.pth"),),
)
SLOWONLY_R50_8X8_IMAGENET_MMACTION2 = SLOWONLY_R50_4X16_IMAGENET_MMACTION2.variant(
    name="slowonly_r50_8x8_k400_imagenet_mmaction2",
    title="SlowOnly ResNet-50 8x8 from ImageNet, MMAction2's",
    notes=_ONE_HASH,
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    published=mmaction2_zoo("slowonly", top1=76.45, top5=92.55),
    weights=(),
)
SLOWONLY_R101_8X8_MMACTION2 = SLOWONLY_R50_8X8_MMACTION2.variant(
    name="slowonly_r101_8x8_k400_mmaction2",
    title="SlowOnly ResNet-101 8x8, MMAction2's",
    model={"depth": 101},
    train={"epochs": 196},
    published=mmaction2_zoo("slowonly", top1=76.59, top5=92.80),
    weights=(mmaction2_weights("slowonly", "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb_20220901-e6281431.pth"),),
)
SLOWONLY_R50_NON_LOCAL_4X16_IMAGENET_MMACTION2 = SLOWONLY_R50_4X16_IMAGENET_MMACTION2.variant(
    name="slowonlynl_r50_4x16_k400_imagenet_mmaction2",
    title="Non-local SlowOnly ResNet-50 4x16 from ImageNet, MMAction2's",
    model={
        "non_local": NonLocalConfig(pairwise="embedded_gaussian", places=((), (0, 2), (0, 2, 4), ()), scaled=True),
    },
    train={"optimizer": {"lr": 0.01}},
    published=mmaction2_zoo("slowonly", top1=75.07, top5=91.69),
    weights=(
        mmaction2_weights(
            "slowonly",
            "slowonly_r50-in1k-pre-nl-embedded-gaussian_8xb16-4x16x1-steplr-150e_kinetics400-rgb_20220901-cf739c75.pth",
        ),
    ),
)
SLOWONLY_R50_NON_LOCAL_8X8_IMAGENET_MMACTION2 = SLOWONLY_R50_NON_LOCAL_4X16_IMAGENET_MMACTION2.variant(
    name="slowonlynl_r50_8x8_k400_imagenet_mmaction2",
    title="Non-local SlowOnly ResNet-50 8x8 from ImageNet, MMAction2's",
    notes=_ONE_HASH,
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    published=mmaction2_zoo("slowonly", top1=76.65, top5=92.47),
    weights=(),
)
SLOWONLY_R50_FLOW_4X16_IMAGENET_MMACTION2 = SLOWONLY_R50_4X16_IMAGENET_MMACTION2.variant(
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
    published=old_mmaction2_zoo("slowonly", top1=61.79, top5=83.62),
    weights=(
        old_mmaction2_weights(
            "recognition/slowonly/slowonly_r50_4x16x1_256e_kinetics400_flow/"
            "slowonly_r50_4x16x1_256e_kinetics400_flow_20200704-decb8568.pth"
        ),
    ),
)
SLOWONLY_R50_FLOW_8X8_IMAGENET_MMACTION2 = SLOWONLY_R50_FLOW_4X16_IMAGENET_MMACTION2.variant(
    name="slowonly_r50_flow_8x8_k400_imagenet_mmaction2",
    title="SlowOnly ResNet-50 8x8 on flow from ImageNet, MMAction2's",
    notes=(
        "A row of MMAction2 0.x, which 1.x dropped. The settings of 4x16 with its 196 epochs stand in for its config; the "
        "name of its file says 256."
    ),
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    train={"epochs": 196},
    published=old_mmaction2_zoo("slowonly", top1=65.76, top5=86.25),
    weights=(
        old_mmaction2_weights(
            "recognition/slowonly/slowonly_r50_8x8x1_256e_kinetics400_flow/"
            "slowonly_r50_8x8x1_256e_kinetics400_flow_20200704-6b384243.pth"
        ),
    ),
)

# PySlowFast's and PyTorchVideo's recipes -----------------------------------------------------------------------------

SLOWONLY_R50_4X16_PYSLOWFAST = SLOWONLY_R50_4X16.variant(
    name="slowonly_r50_4x16_k400_pyslowfast",
    title="SlowOnly ResNet-50 4x16, PySlowFast's",
    notes="",
    model={"pool_window": 7},
    clip=PySlowFastTrain(frames=4, stride=16),
    test={"sampling": PySlowFastTest(clips=10, frames=4, stride=16), "averaging": "position_probabilities"},
    pixels=FloatPixels(),
    augment=PySlowFastCrop(size=224, flip=0.5),
    train=PYSLOWFAST_TRAIN,
    published=pyslowfast_zoo(top1=72.7, top5=90.3),
    weights=(pyslowfast_weights("SLOWONLY_4x16_R50.pkl"),),
)
SLOWONLY_R50_8X8_PYSLOWFAST = SLOWONLY_R50_4X16_PYSLOWFAST.variant(
    name="slowonly_r50_8x8_k400_pyslowfast",
    title="SlowOnly ResNet-50 8x8, PySlowFast's",
    clip={"frames": 8, "stride": 8},
    test={"sampling": {"frames": 8, "stride": 8}},
    published=pyslowfast_zoo(top1=74.8, top5=91.6),
    weights=(pyslowfast_weights("SLOWONLY_8x8_R50.pkl"),),
)
SLOWONLY_R50_4X16_PYTORCHVIDEO = SLOWONLY_R50_4X16_PYSLOWFAST.variant(
    name="slowonly_r50_4x16_k400_pytorchvideo",
    title="SlowOnly ResNet-50 4x16, PyTorchVideo's",
    clip=PyTorchVideoTrain(frames=4, seconds=64 / 30),
    test={"sampling": PyTorchVideoTest(clips=10, frames=4, seconds=64 / 30), "averaging": "probabilities"},
    published=pytorchvideo_zoo(top1=72.40, top5=90.18),
    weights=(pytorchvideo_weights("SLOW_4x16_R50.pyth"),),
)
SLOWONLY_R50_8X8_PYTORCHVIDEO = SLOWONLY_R50_4X16_PYTORCHVIDEO.variant(
    name="slowonly_r50_8x8_k400_pytorchvideo",
    title="SlowOnly ResNet-50 8x8, PyTorchVideo's",
    clip={"frames": 8},
    test={"sampling": {"frames": 8}},
    published=pytorchvideo_zoo(top1=74.58, top5=91.63),
    weights=(pytorchvideo_weights("SLOW_8x8_R50.pyth"),),
)

SLOWONLY = (
    SLOWONLY_R50_4X16,
    SLOWONLY_R50_4X16_IMAGENET,
    SLOWONLY_R50_8X8,
    SLOWONLY_R50_8X8_IMAGENET,
    SLOWONLY_R101_8X8,
    SLOWONLY_R101_8X8_IMAGENET,
    SLOWONLY_R50_4X16_MMACTION2,
    SLOWONLY_R50_4X16_IMAGENET_MMACTION2,
    SLOWONLY_R50_8X8_MMACTION2,
    SLOWONLY_R50_8X8_IMAGENET_MMACTION2,
    SLOWONLY_R101_8X8_MMACTION2,
    SLOWONLY_R50_NON_LOCAL_4X16_IMAGENET_MMACTION2,
    SLOWONLY_R50_NON_LOCAL_8X8_IMAGENET_MMACTION2,
    SLOWONLY_R50_FLOW_4X16_IMAGENET_MMACTION2,
    SLOWONLY_R50_FLOW_8X8_IMAGENET_MMACTION2,
    SLOWONLY_R50_4X16_PYSLOWFAST,
    SLOWONLY_R50_8X8_PYSLOWFAST,
    SLOWONLY_R50_4X16_PYTORCHVIDEO,
    SLOWONLY_R50_8X8_PYTORCHVIDEO,
)

SLOWONLY_PARAMETERS = {
    "slowonly_r50_4x16_k400": 32_454_096,
    "slowonly_r50_4x16_k400_imagenet": 32_454_096,
    "slowonly_r50_8x8_k400": 32_454_096,
    "slowonly_r50_8x8_k400_imagenet": 32_454_096,
    "slowonly_r101_8x8_k400": 60_359_120,
    "slowonly_r101_8x8_k400_imagenet": 60_359_120,
    "slowonly_r50_4x16_k400_mmaction2": 32_454_096,
    "slowonly_r50_4x16_k400_imagenet_mmaction2": 32_454_096,
    "slowonly_r50_8x8_k400_mmaction2": 32_454_096,
    "slowonly_r50_8x8_k400_imagenet_mmaction2": 32_454_096,
    "slowonly_r101_8x8_k400_mmaction2": 60_359_120,
    "slowonlynl_r50_4x16_k400_imagenet_mmaction2": 39_808_464,
    "slowonlynl_r50_8x8_k400_imagenet_mmaction2": 39_808_464,
    "slowonly_r50_flow_4x16_k400_imagenet_mmaction2": 32_450_960,
    "slowonly_r50_flow_8x8_k400_imagenet_mmaction2": 32_450_960,
    "slowonly_r50_4x16_k400_pyslowfast": 32_454_096,
    "slowonly_r50_8x8_k400_pyslowfast": 32_454_096,
    "slowonly_r50_4x16_k400_pytorchvideo": 32_454_096,
    "slowonly_r50_8x8_k400_pytorchvideo": 32_454_096,
}
"""The number of parameters of each network; a test counts them."""
