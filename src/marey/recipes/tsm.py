"""TSM: Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019.

Training settings: MMAction2's tsm_imagenet-pretrained-r50_8xb16-1x1x{8,16}-50e: 8 GPUs of 16 clips, 50 epochs.
"""

from marey.models.layers.config import Initialisation
from marey.models.tsm.config import TSMConfig
from marey.recipe import SGD, Recipe, StepSchedule, Test, Train, TSNGroups, Warmup
from marey.recipes.toolkits import mmaction2_weights, mmaction2_zoo
from marey.video.pixels.crops import MultiScaleCrop
from marey.video.sampling import MMAction2Test, MMAction2Train

TSM_R50_8SEG_MMACTION2 = Recipe(
    name="tsm_r50_8seg_k400_mmaction2",
    title="TSM ResNet-50, 8 segments, MMAction2's",
    paper="https://arxiv.org/abs/1811.08383",
    notes="MMAction2's row.",
    dataset="kinetics400",
    storage="short320",
    pretraining="imagenet",
    model=TSMConfig(depth=50, num_classes=400),
    clip=MMAction2Train(segments=8),
    test=Test(sampling=MMAction2Test(segments=8), crops="ten", size=224, averaging="probabilities"),
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.875, 0.75, 0.66), offsets=13),
    train=Train(
        epochs=50,
        base_batch=128,
        norm_batch=16,
        optimizer=SGD(lr=0.02),
        groups=TSNGroups(head=5),
        schedule=StepSchedule(milestones=(25, 45), warmup=Warmup(epochs=5, start=0.1, by="epoch", ends="last")),
        clip_norm=20,
        initialisation=Initialisation(head_std=0.001),
    ),
    published=mmaction2_zoo("tsm", top1=73.18, top5=90.56, protocol="8 segments x 10 crops of 224"),
    weights=(
        mmaction2_weights("tsm", "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb_20220831-64d69186.pth"),
    ),
)
TSM_R50_16SEG_MMACTION2 = TSM_R50_8SEG_MMACTION2.variant(
    name="tsm_r50_16seg_k400_mmaction2",
    title="TSM ResNet-50, 16 segments, MMAction2's",
    model={"segments": 16},
    clip={"segments": 16},
    test={"sampling": {"segments": 16}},
    published=mmaction2_zoo("tsm", top1=75.12, top5=91.55, protocol="16 segments x 10 crops of 224"),
    weights=(
        mmaction2_weights("tsm", "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb_20220831-042b1748.pth"),
    ),
)

TSM = (TSM_R50_8SEG_MMACTION2, TSM_R50_16SEG_MMACTION2)

TSM_PARAMETERS = {
    "tsm_r50_8seg_k400_mmaction2": 24_327_632,
    "tsm_r50_16seg_k400_mmaction2": 24_327_632,
}
"""The number of parameters of each network; a test counts them."""
