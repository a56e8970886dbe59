"""TSN on BN-Inception: Wang et al., Temporal Segment Networks, ECCV 2016.

Training settings: MMAction's configs/TSN/ucf101/tsn_{rgb,flow}_bninception: 8 GPUs of 32 clips.
"""

from marey.models.initialisation import Initialisation
from marey.models.tsn.config import BNInceptionTSNConfig
from marey.recipe import SGD, Recipe, StepSchedule, Test, Train
from marey.recipes.files import announced_weights
from marey.video.pixels import Pixels
from marey.video.pixels.crops import MultiScaleCrop
from marey.video.sampling import MMActionTest, MMActionTrain

_NOTES = "MMAction's network on UCF101, split 1, which the announcement does not list."


def _test(frames: int) -> Test:
    return Test(sampling=MMActionTest(segments=25, frames=frames), crops="ten", size=224, averaging="logits")


TSN_BNINCEPTION_RGB = Recipe(
    name="tsn_bninception_rgb_3seg_ucf101",
    title="TSN BN-Inception, 3 segments",
    paper="https://arxiv.org/abs/1608.00859",
    notes=_NOTES,
    dataset="ucf101",
    storage="frames340x256",
    pretraining="imagenet",
    model=BNInceptionTSNConfig(num_classes=101),
    clip=MMActionTrain(segments=3),
    test=_test(frames=1),
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
    weights=(announced_weights("tsn_2d_rgb_bninception_seg3_f1s1_b32_g8-98160339.pth", "ucf101"),),
)

TSN_BNINCEPTION_FLOW = TSN_BNINCEPTION_RGB.variant(
    name="tsn_bninception_flow_3seg_ucf101",
    title="TSN BN-Inception on 5 flow fields, 3 segments",
    modality="flow",
    model={"channels": 2, "stack": 5},
    clip=MMActionTrain(segments=3, frames=5),
    test=_test(frames=5),
    pixels=Pixels(mean=(128.0, 128.0), std=(1.0, 1.0), flow_x="mmaction"),
    train={
        "epochs": 340,
        "optimizer": SGD(lr=0.005, weight_decay=5e-4),
        "schedule": StepSchedule(milestones=(190, 300)),
        "dropout": 0.7,
    },
    weights=(announced_weights("tsn_2d_flow_bninception_seg3_f1s1_b32_g8-151870b7.pth", "ucf101"),),
)

TSN_BNINCEPTION = (TSN_BNINCEPTION_RGB, TSN_BNINCEPTION_FLOW)
