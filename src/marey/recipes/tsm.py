"""TSM: Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019.

Training settings: MMAction2's tsm_imagenet-pretrained-r50_8xb16-1x1x{8,16}-50e: 8 GPUs of 16 clips, 50 epochs.
"""

from marey.models.initialisation import Initialisation
from marey.models.tsm.config import TSMConfig
from marey.recipe import SGD, Recipe, StepSchedule, Test, Train, TSNGroups, Warmup
from marey.recipes.files import mmaction2_weights
from marey.recipes.toolkits import in_mmaction2
from marey.video.pixels.crops import MultiScaleCrop
from marey.video.sampling import MMAction2Test, MMAction2Train


def _test(segments: int) -> Test:
    return Test(sampling=MMAction2Test(segments=segments), crops="ten", size=224, averaging="probabilities")


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
    test=_test(8),
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
    published=in_mmaction2(73.18, 90.56, "tsm", "8 segments x 10 crops of 224"),
    weights=(
        mmaction2_weights("tsm", "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb", "20220831-64d69186"),
    ),
)

TSM_R50_16SEG_MMACTION2 = TSM_R50_8SEG_MMACTION2.variant(
    name="tsm_r50_16seg_k400_mmaction2",
    title="TSM ResNet-50, 16 segments, MMAction2's",
    model={"segments": 16},
    clip=MMAction2Train(segments=16),
    test=_test(16),
    published=in_mmaction2(75.12, 91.55, "tsm", "16 segments x 10 crops of 224"),
    weights=(
        mmaction2_weights("tsm", "tsm_imagenet-pretrained-r50_8xb16-1x1x16-50e_kinetics400-rgb", "20220831-042b1748"),
    ),
)

TSM = (TSM_R50_8SEG_MMACTION2, TSM_R50_16SEG_MMACTION2)
