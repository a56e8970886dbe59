"""R(2+1)D, R3D and MC3: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018.

Training settings: for MMAction2, and for MMAction, which published no training config, MMAction2's configs
r2plus1d_r34_8xb8-{8x8x1,32x2x1}-180e; for VMZ and torchvision, the defaults of their training scripts in PyTorch; for
PyTorchVideo, PySlowFast's configs.
"""

from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.recipe import SGD, CosineSchedule, Recipe, Test, Train
from marey.recipes.toolkits import (
    PYSLOWFAST_TRAIN,
    VMZ_PIXELS,
    VMZ_TRAIN,
    mmaction2_weights,
    mmaction2_zoo,
    mmaction_announcement,
    mmaction_weights,
    moabitcoin_weights,
    pytorchvideo_weights,
    pytorchvideo_zoo,
    torchvision_docs,
    torchvision_weights,
    vmz_release,
    vmz_zoo,
)
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.crops import MMActionRandomResizedCrop, PySlowFastCrop, RandomCrop, RandomResizedCrop
from marey.video.sampling import (
    MMAction2FPSTest,
    MMAction2FPSTrain,
    MMAction2Test,
    MMAction2Train,
    MMActionTest,
    MMActionTrain,
    PyTorchVideoTest,
    PyTorchVideoTrain,
)

_NO_CONFIG = "It ships no training config for it: MMAction2's settings from scratch stand in."

R2PLUS1D_R34_8X8 = Recipe(
    name="r2plus1d_r34_8x8_k400",
    title="R(2+1)D-34 8x8",
    paper="https://arxiv.org/abs/1711.11248",
    notes=f"MMAction v0.2's row, from scratch. {_NO_CONFIG}",
    dataset="kinetics400",
    storage="short256",
    model=R2Plus1DConfig(first_pool=True),
    clip=MMActionTrain(frames=8, stride=8),
    test=Test(sampling=MMActionTest(clips=10, frames=8, stride=8), crops="three", size=256, averaging="probabilities"),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=Train(
        epochs=180,
        base_batch=64,
        optimizer=SGD(lr=0.01),
        schedule=CosineSchedule(),
        clip_norm=40,
    ),
    published=mmaction_announcement(top1=63.7, top5=85.9),
    weights=(mmaction_weights("r2plus1d_kinetics400_se_rgb_r34_f8s8_scratch-1f576444.pth"),),
)
R2PLUS1D_R34_8X8_IG65M = R2PLUS1D_R34_8X8.variant(
    name="r2plus1d_r34_8x8_k400_ig65m",
    title="R(2+1)D-34 8x8 from IG-65M",
    notes=f"MMAction v0.2's row. {_NO_CONFIG}",
    pretraining="ig65m",
    published=mmaction_announcement(top1=74.4, top5=91.7),
    weights=(mmaction_weights("r2plus1d_kinetics400_se_rgb_r34_f8s8_finetune-c3abbbfc.pth"),),
)
R2PLUS1D_R34_32X2 = R2PLUS1D_R34_8X8.variant(
    name="r2plus1d_r34_32x2_k400",
    title="R(2+1)D-34 32x2",
    clip={"frames": 32, "stride": 2},
    test={"sampling": {"frames": 32, "stride": 2}},
    published=mmaction_announcement(top1=71.8, top5=90.4),
    weights=(mmaction_weights("r2plus1d_kinetics400_se_rgb_r34_f32s2_scratch-97f56158.pth"),),
)
R2PLUS1D_R34_32X2_IG65M = R2PLUS1D_R34_8X8_IG65M.variant(
    name="r2plus1d_r34_32x2_k400_ig65m",
    title="R(2+1)D-34 32x2 from IG-65M",
    clip={"frames": 32, "stride": 2},
    test={"sampling": {"frames": 32, "stride": 2}},
    published=mmaction_announcement(top1=80.3, top5=94.7),
    weights=(mmaction_weights("r2plus1d_kinetics400_se_rgb_r34_f32s2_finetune-9baa39ea.pth"),),
)

R2PLUS1D_R34_8X8_MMACTION2 = R2PLUS1D_R34_8X8.variant(
    name="r2plus1d_r34_8x8_k400_mmaction2",
    title="R(2+1)D-34 8x8, MMAction2's",
    notes="",
    model={"stem_middle": 83, "shortcut": "space_time", "middle_eps": 1e-5},
    clip=MMAction2Train(frames=8, stride=8),
    test={"sampling": MMAction2Test(clips=10, frames=8, stride=8)},
    augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
    published=mmaction2_zoo("r2plus1d", top1=69.76, top5=88.41),
    weights=(mmaction2_weights("r2plus1d", "r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb_20220812-47cfe041.pth"),),
)
R2PLUS1D_R34_32X2_MMACTION2 = R2PLUS1D_R34_8X8_MMACTION2.variant(
    name="r2plus1d_r34_32x2_k400_mmaction2",
    title="R(2+1)D-34 32x2, MMAction2's",
    clip={"frames": 32, "stride": 2},
    test={"sampling": {"frames": 32, "stride": 2}},
    published=mmaction2_zoo("r2plus1d", top1=75.46, top5=92.28),
    weights=(mmaction2_weights("r2plus1d", "r2plus1d_r34_8xb8-32x2x1-180e_kinetics400-rgb_20220812-4270588c.pth"),),
)

R2PLUS1D_R50_PYTORCHVIDEO = R2PLUS1D_R34_8X8.variant(
    name="r2plus1d_r50_16x4_k400_pytorchvideo",
    title="R(2+1)D-50 16x4, PyTorchVideo's",
    notes="Its network ends in probabilities at each position of the head; here these are the test's averaging.",
    storage="original",
    model=R2Plus1DConfig(
        depth=50,
        convolutions="time_space",
        stem_middle=0,
        stem_frames=1,
        first_stride=2,
        temporal_strides=(1, 1, 2, 2),
        norm_eps=1e-5,
        pool_window=7,
    ),
    clip=PyTorchVideoTrain(frames=16, seconds=64 / 30),
    test={"sampling": PyTorchVideoTest(clips=10, frames=16, seconds=64 / 30), "averaging": "position_probabilities"},
    pixels=FloatPixels(),
    augment=PySlowFastCrop(size=224, flip=0.5),
    train=PYSLOWFAST_TRAIN,
    published=pytorchvideo_zoo(top1=76.01, top5=92.23),
    weights=(pytorchvideo_weights("R2PLUS1D_16x4_R50.pyth"),),
)

R2PLUS1D_R34_8X1_VMZ = R2PLUS1D_R34_8X8.variant(
    name="r2plus1d_r34_8x1_k400_ig65m_vmz",
    title="R(2+1)D-34 8x1 from IG-65M, VMZ's",
    notes=(
        "VMZ's row, trained at 112 pixels. Its fine-tuning takes smaller learning rates for the stages (0.001) and a "
        "larger one for the head (0.1) than its training from scratch, which stands here."
    ),
    storage="original",
    pretraining="ig65m",
    model={"first_pool": False},
    clip=MMAction2Train(frames=8, stride=1),
    test={"sampling": MMAction2Test(clips=10, frames=8, stride=1), "size": 128},
    pixels=Pixels(short_side=128, mean=VMZ_PIXELS.mean, std=VMZ_PIXELS.std),
    augment=RandomCrop(short_side=128, size=112),
    train=VMZ_TRAIN,
    published=vmz_zoo(top1=74.9, top5=91.8, size=128),
    weights=(moabitcoin_weights("r2plus1d_34_clip8_ft_kinetics_from_ig65m-0aa0550b.pth"),),
)
R2PLUS1D_R34_32X1_VMZ = R2PLUS1D_R34_8X1_VMZ.variant(
    name="r2plus1d_r34_32x1_k400_ig65m_vmz",
    title="R(2+1)D-34 32x1 from IG-65M, VMZ's",
    clip={"frames": 32},
    test={"sampling": {"frames": 32}},
    published=vmz_zoo(top1=80.0, top5=94.2, size=128),
    weights=(moabitcoin_weights("r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth", size=255_061_555),),
)
# VMZ's weights before it fine-tuned them on Kinetics.
R2PLUS1D_R34_8X1_IG65M_VMZ = R2PLUS1D_R34_8X1_VMZ.variant(
    name="r2plus1d_r34_8x1_ig65m_vmz",
    title="R(2+1)D-34 8x1 on IG-65M, VMZ's",
    notes="VMZ's weights before fine-tuning, for 487 hashtags whose names were not published.",
    dataset="ig65m",
    pretraining=None,
    model={"num_classes": 487},
    weights=(moabitcoin_weights("r2plus1d_34_clip8_ig65m_from_scratch-9bae36ae.pth"),),
)
R2PLUS1D_R34_32X1_IG65M_VMZ = R2PLUS1D_R34_32X1_VMZ.variant(
    name="r2plus1d_r34_32x1_ig65m_vmz",
    title="R(2+1)D-34 32x1 on IG-65M, VMZ's",
    notes="VMZ's weights before fine-tuning, for 359 hashtags whose names were not published.",
    dataset="ig65m",
    pretraining=None,
    model={"num_classes": 359},
    weights=(moabitcoin_weights("r2plus1d_34_clip32_ig65m_from_scratch-449a7af9.pth"),),
)
R2PLUS1D_R152_32X1_VMZ = R2PLUS1D_R34_32X1_VMZ.variant(
    name="r2plus1d_r152_32x1_k400_ig65m_vmz",
    title="R(2+1)D-152 32x1 from IG-65M, VMZ's",
    notes="VMZ's row. Its FLOPs say that no pool follows the stem; VMZ's PyTorch code puts one there (model.first_pool).",
    model={"depth": 152},
    published=vmz_zoo(top1=81.6, top5=95.3, size=128),
    weights=(vmz_release("r2plus1d_152_ft_kinetics_from_ig65m_f107107466.pth"),),
)

R2PLUS1D_R18_TORCHVISION = R2PLUS1D_R34_8X1_VMZ.variant(
    name="r2plus1d_r18_16x1_k400_torchvision",
    title="R(2+1)D-18 16x1 at 15 frames a second, torchvision's",
    notes="Frames are resized to 128x171 there whatever their shape, here to a short side of 128.",
    pretraining=None,
    model=R2Plus1DConfig(depth=18, convolutions="block_space_time", norm_eps=1e-5),
    clip=MMAction2FPSTrain(frames=16, fps=15),
    test=Test(
        sampling=MMAction2FPSTest(clips=5, frames=16, fps=15), crops="centre", size=112, averaging="probabilities"
    ),
    augment=RandomCrop(short_side=128, size=112),
    published=torchvision_docs(top1=67.46),
    weights=(torchvision_weights("r2plus1d_18-91a641e6.pth"),),
)
R3D_R18_TORCHVISION = R2PLUS1D_R18_TORCHVISION.variant(
    name="r3d_r18_16x1_k400_torchvision",
    title="R3D-18 16x1 at 15 frames a second, torchvision's",
    model={"convolutions": "whole", "stem_middle": 0},
    published=torchvision_docs(top1=63.20),
    weights=(torchvision_weights("r3d_18-b3b3357e.pth"),),
)
MC3_R18_TORCHVISION = R2PLUS1D_R18_TORCHVISION.variant(
    name="mc3_r18_16x1_k400_torchvision",
    title="MC3-18 16x1 at 15 frames a second, torchvision's",
    model={"convolutions": "mixed", "stem_middle": 0, "temporal_strides": (1, 1, 1, 1)},
    published=torchvision_docs(top1=63.96),
    weights=(torchvision_weights("mc3_18-a90a0ba3.pth"),),
)

R2PLUS1D = (
    R2PLUS1D_R34_8X8,
    R2PLUS1D_R34_8X8_IG65M,
    R2PLUS1D_R34_32X2,
    R2PLUS1D_R34_32X2_IG65M,
    R2PLUS1D_R34_8X8_MMACTION2,
    R2PLUS1D_R34_32X2_MMACTION2,
    R2PLUS1D_R50_PYTORCHVIDEO,
    R2PLUS1D_R34_8X1_VMZ,
    R2PLUS1D_R34_32X1_VMZ,
    R2PLUS1D_R34_8X1_IG65M_VMZ,
    R2PLUS1D_R34_32X1_IG65M_VMZ,
    R2PLUS1D_R152_32X1_VMZ,
    R2PLUS1D_R18_TORCHVISION,
    R3D_R18_TORCHVISION,
    MC3_R18_TORCHVISION,
)

R2PLUS1D_PARAMETERS = {
    "r2plus1d_r34_8x8_k400": 63_697_175,
    "r2plus1d_r34_8x8_k400_ig65m": 63_697_175,
    "r2plus1d_r34_32x2_k400": 63_697_175,
    "r2plus1d_r34_32x2_k400_ig65m": 63_697_175,
    "r2plus1d_r34_8x8_k400_mmaction2": 63_759_281,
    "r2plus1d_r34_32x2_k400_mmaction2": 63_759_281,
    "r2plus1d_r50_16x4_k400_pytorchvideo": 28_107_600,
    "r2plus1d_r34_8x1_k400_ig65m_vmz": 63_697_175,
    "r2plus1d_r34_32x1_k400_ig65m_vmz": 63_697_175,
    "r2plus1d_r34_8x1_ig65m_vmz": 63_741_806,
    "r2plus1d_r34_32x1_ig65m_vmz": 63_676_142,
    "r2plus1d_r152_32x1_k400_ig65m_vmz": 118_226_785,
    "r2plus1d_r18_16x1_k400_torchvision": 31_505_325,
    "r3d_r18_16x1_k400_torchvision": 33_371_472,
    "mc3_r18_16x1_k400_torchvision": 11_695_440,
}
"""The number of parameters of each network; a test counts them."""
