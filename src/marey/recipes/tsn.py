"""TSN: Wang et al., Temporal Segment Networks, ECCV 2016.

Training settings: MMAction's config tsn_kinetics400_2d_rgb_r50_seg3_f1s1, MMAction2's
tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e. Both: 8 GPUs of 32 clips, 100 epochs, steps at 40 and 80.
"""

from marey.models.tsn.config import TSNConfig
from marey.recipe import SGD, Recipe, StepSchedule, Test, Train
from marey.recipes.files import announced_weights, hub_copy, mmaction2_weights
from marey.recipes.toolkits import TEN_CROPS, announced, in_mmaction2
from marey.video.pixels.crops import MultiScaleCrop
from marey.video.sampling import MMAction2Test, MMAction2Train, MMActionTest, MMActionTrain

_PAPER = "https://arxiv.org/abs/1608.00859"
_SCALES = (1.0, 0.875, 0.75, 0.66)
_TRAIN = Train(
    epochs=100,
    base_batch=256,
    norm_batch=32,
    optimizer=SGD(lr=0.01),
    schedule=StepSchedule(milestones=(40, 80)),
    clip_norm=40,
    dropout=0.4,
)
_8SEG_MMACTION2 = "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb"

TSN_R50_3SEG = Recipe(
    name="tsn_r50_3seg_k400",
    title="TSN ResNet-50, 3 segments",
    paper=_PAPER,
    notes="MMAction v0.2's row.",
    dataset="kinetics400",
    storage="frames340x256",
    pretraining="imagenet",
    model=TSNConfig(depth=50, num_classes=400),
    clip=MMActionTrain(segments=3),
    test=Test(sampling=MMActionTest(segments=25), crops="ten", size=224, averaging="logits"),
    augment=MultiScaleCrop(size=224, scales=_SCALES),
    train=_TRAIN,
    published=announced(70.6, 89.4, TEN_CROPS),
    weights=(announced_weights("tsn2d_kinetics400_rgb_r50_seg3_f1s1-b702e12f.pth"),),
)

TSN_R50_8SEG = TSN_R50_3SEG.variant(
    name="tsn_r50_8seg_k400",
    title="TSN ResNet-50, 8 segments",
    notes="The announcement names its top-1 ('around 71.6') and gives no weights.",
    clip=MMActionTrain(segments=8),
    published=announced(71.6, None, TEN_CROPS),
    weights=(),
)

TSN_R50_3SEG_MMACTION2 = TSN_R50_3SEG.variant(
    name="tsn_r50_3seg_k400_mmaction2",
    title="TSN ResNet-50, 3 segments, MMAction2's",
    notes="Starts from newer ImageNet weights (torchvision's second ResNet-50): about two points.",
    storage="short256",
    clip=MMAction2Train(segments=3),
    test=Test(sampling=MMAction2Test(segments=25), crops="ten", size=224, averaging="logits"),
    augment=MultiScaleCrop(size=224, scales=_SCALES),
    published=in_mmaction2(72.83, 90.65, "tsn", TEN_CROPS),
    weights=(
        mmaction2_weights("tsn", "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb", "20220906-cd10898e"),
    ),
)

TSN_R50_8SEG_MMACTION2 = TSN_R50_3SEG_MMACTION2.variant(
    name="tsn_r50_8seg_k400_mmaction2",
    title="TSN ResNet-50, 8 segments, MMAction2's",
    clip={"segments": 8},
    published=in_mmaction2(74.12, 91.34, "tsn", TEN_CROPS),
    weights=(
        hub_copy(
            "RaphaelLiu/EvalCrafter-Models",
            f"{_8SEG_MMACTION2}_20220906-2692d16c.pth",
            "mmaction2",
            "2692d16c712e24994aaa3cfb48f957a521e053ffb81c474e2c0b3e579c888650",
            size=97_641_409,
            licence="Apache-2.0",
        ),
        mmaction2_weights("tsn", _8SEG_MMACTION2, "20220906-2692d16c"),
    ),
)

TSN = (TSN_R50_3SEG, TSN_R50_8SEG, TSN_R50_3SEG_MMACTION2, TSN_R50_8SEG_MMACTION2)
