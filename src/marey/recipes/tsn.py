"""TSN: Wang et al., Temporal Segment Networks, ECCV 2016.

Training settings, each for 8 GPUs of 32 clips. ResNet-50: MMAction's config tsn_kinetics400_2d_rgb_r50_seg3_f1s1 and
MMAction2's tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e. BN-Inception: MMAction's
configs/TSN/ucf101/tsn_{rgb,flow}_bninception.
"""

from marey.models.layers.config import Initialisation
from marey.models.tsn.config import BNInceptionTSNConfig, TSNConfig
from marey.recipe import SGD, Recipe, StepSchedule, Test, Train
from marey.recipes.toolkits import (
    TEN_CROPS,
    hub_copy,
    mmaction2_weights,
    mmaction2_zoo,
    mmaction_announcement,
    mmaction_weights,
)
from marey.video.pixels import Pixels
from marey.video.pixels.crops import MultiScaleCrop
from marey.video.sampling import MMAction2Test, MMAction2Train, MMActionTest, MMActionTrain

TSN_R50_3SEG = Recipe(
    name="tsn_r50_3seg_k400",
    title="TSN ResNet-50, 3 segments",
    paper="https://arxiv.org/abs/1608.00859",
    notes="MMAction v0.2's row.",
    dataset="kinetics400",
    storage="frames340x256",
    pretraining="imagenet",
    model=TSNConfig(depth=50, num_classes=400),
    clip=MMActionTrain(segments=3),
    test=Test(sampling=MMActionTest(segments=25), crops="ten", size=224, averaging="logits"),
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.875, 0.75, 0.66)),
    train=Train(
        epochs=100,
        base_batch=256,
        norm_batch=32,
        optimizer=SGD(lr=0.01),
        schedule=StepSchedule(milestones=(40, 80)),
        clip_norm=40,
        dropout=0.4,
    ),
    published=mmaction_announcement(top1=70.6, top5=89.4, protocol=TEN_CROPS),
    weights=(mmaction_weights("tsn2d_kinetics400_rgb_r50_seg3_f1s1-b702e12f.pth"),),
)
TSN_R50_8SEG = TSN_R50_3SEG.variant(
    name="tsn_r50_8seg_k400",
    title="TSN ResNet-50, 8 segments",
    notes="The announcement names its top-1 ('around 71.6') and gives no weights.",
    clip={"segments": 8},
    published=mmaction_announcement(top1=71.6, protocol=TEN_CROPS),
    weights=(),
)
TSN_R50_3SEG_MMACTION2 = TSN_R50_3SEG.variant(
    name="tsn_r50_3seg_k400_mmaction2",
    title="TSN ResNet-50, 3 segments, MMAction2's",
    notes="Starts from newer ImageNet weights (torchvision's second ResNet-50): about two points.",
    storage="short256",
    clip=MMAction2Train(segments=3),
    test={"sampling": MMAction2Test(segments=25)},
    published=mmaction2_zoo("tsn", top1=72.83, top5=90.65, protocol=TEN_CROPS),
    weights=(
        mmaction2_weights("tsn", "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb_20220906-cd10898e.pth"),
    ),
)
TSN_R50_8SEG_MMACTION2 = TSN_R50_3SEG_MMACTION2.variant(
    name="tsn_r50_8seg_k400_mmaction2",
    title="TSN ResNet-50, 8 segments, MMAction2's",
    clip={"segments": 8},
    published=mmaction2_zoo("tsn", top1=74.12, top5=91.34, protocol=TEN_CROPS),
    weights=(
        hub_copy(
            "RaphaelLiu/EvalCrafter-Models",
            "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb_20220906-2692d16c.pth",
            "mmaction2",
            "2692d16c712e24994aaa3cfb48f957a521e053ffb81c474e2c0b3e579c888650",
            size=97_641_409,
            licence="Apache-2.0",
        ),
        mmaction2_weights("tsn", "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb_20220906-2692d16c.pth"),
    ),
)

TSN_BNINCEPTION_RGB = Recipe(
    name="tsn_bninception_rgb_3seg_ucf101",
    title="TSN BN-Inception, 3 segments",
    paper="https://arxiv.org/abs/1608.00859",
    notes="MMAction's network on UCF101, split 1, which the announcement does not list.",
    dataset="ucf101",
    storage="frames340x256",
    pretraining="imagenet",
    model=BNInceptionTSNConfig(num_classes=101),
    clip=MMActionTrain(segments=3),
    test=Test(sampling=MMActionTest(segments=25), crops="ten", size=224, averaging="logits"),
    pixels=Pixels(order="bgr", mean=(104.0, 117.0, 128.0), std=(1.0, 1.0, 1.0)),
    augment=MultiScaleCrop(size=224),
    train=Train(
        epochs=80,
        base_batch=256,
        norm_batch=32,
        optimizer=SGD(lr=0.001, weight_decay=5e-4),
        schedule=StepSchedule(milestones=(30, 60)),
        clip_norm=20,
        dropout=0.8,
        initialisation=Initialisation(head_std=0.001),
        frozen_norms="all_but_first",
    ),
    weights=(mmaction_weights("tsn_2d_rgb_bninception_seg3_f1s1_b32_g8-98160339.pth", "ucf101"),),
)
TSN_BNINCEPTION_FLOW = TSN_BNINCEPTION_RGB.variant(
    name="tsn_bninception_flow_3seg_ucf101",
    title="TSN BN-Inception on 5 flow fields, 3 segments",
    modality="flow",
    model={"channels": 2, "stack": 5},
    clip={"frames": 5},
    test={"sampling": {"frames": 5}},
    pixels=Pixels(mean=(128.0, 128.0), std=(1.0, 1.0), flow_x="mmaction"),
    train={
        "epochs": 340,
        "optimizer": {"lr": 0.005},
        "schedule": {"milestones": (190, 300)},
        "dropout": 0.7,
    },
    weights=(mmaction_weights("tsn_2d_flow_bninception_seg3_f1s1_b32_g8-151870b7.pth", "ucf101"),),
)

TSN = (
    TSN_R50_3SEG,
    TSN_R50_8SEG,
    TSN_R50_3SEG_MMACTION2,
    TSN_R50_8SEG_MMACTION2,
    TSN_BNINCEPTION_RGB,
    TSN_BNINCEPTION_FLOW,
)

TSN_PARAMETERS = {
    "tsn_r50_3seg_k400": 24_327_632,
    "tsn_r50_8seg_k400": 24_327_632,
    "tsn_r50_3seg_k400_mmaction2": 24_327_632,
    "tsn_r50_8seg_k400_mmaction2": 24_327_632,
    "tsn_bninception_rgb_3seg_ucf101": 10_373_765,
    "tsn_bninception_flow_3seg_ucf101": 10_395_717,
}
"""The number of parameters of each network; a test counts them."""
