"""R(2+1)D, R3D and MC3: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018.

Training settings: MMAction2's r2plus1d_r34_8xb8-{8x8x1,32x2x1}-180e. MMAction ships no training config: MMAction2's stand
in. VMZ's and torchvision's: the defaults of their training scripts in PyTorch. PyTorchVideo's: PySlowFast's configs.
"""

from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.recipe import SGD, CosineSchedule, Recipe, Source, Test, Train
from marey.recipes.files import (
    announced_weights,
    mmaction2_weights,
    moabitcoin_weights,
    pytorchvideo_weights,
    torchvision_weights,
    vmz_release,
)
from marey.recipes.toolkits import (
    announced,
    in_mmaction2,
    in_pytorchvideo,
    in_torchvision,
    in_vmz,
    mmaction,
    mmaction2,
    pytorchvideo,
    vmz,
)
from marey.video.pixels.crops import MMActionRandomResizedCrop, RandomCrop, RandomResizedCrop
from marey.video.sampling import MMAction2FPSTest, MMAction2FPSTrain

_TRAIN = Train(
    epochs=180,
    base_batch=64,
    optimizer=SGD(lr=0.01),
    schedule=CosineSchedule(),
    clip_norm=40,
)
_STANDS_IN = "It ships no training config for it: MMAction2's settings from scratch stand in."

R2PLUS1D_R34_8X8 = Recipe(
    name="r2plus1d_r34_8x8_k400",
    title="R(2+1)D-34 8x8",
    paper="https://arxiv.org/abs/1711.11248",
    notes=f"MMAction v0.2's row, from scratch. {_STANDS_IN}",
    dataset="kinetics400",
    storage="short256",
    model=R2Plus1DConfig(first_pool=True),
    **mmaction(8, 8),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=_TRAIN,
    published=announced(63.7, 85.9),
    weights=(announced_weights("r2plus1d_kinetics400_se_rgb_r34_f8s8_scratch-1f576444.pth"),),
)
R2PLUS1D_R34_32X2 = R2PLUS1D_R34_8X8.variant(
    name="r2plus1d_r34_32x2_k400",
    title="R(2+1)D-34 32x2",
    **mmaction(32, 2),
    published=announced(71.8, 90.4),
    weights=(announced_weights("r2plus1d_kinetics400_se_rgb_r34_f32s2_scratch-97f56158.pth"),),
)


def _from_ig65m(base: Recipe, *, top1: float, top5: float, file: str) -> Recipe:
    """MMAction's fine-tuning of VMZ's network."""
    return base.variant(
        name=f"{base.name}_ig65m",
        title=f"{base.title} from IG-65M",
        notes=f"MMAction v0.2's row. {_STANDS_IN}",
        pretraining="ig65m",
        published=announced(top1, top5),
        weights=(announced_weights(file),),
    )


def _mmaction2(base: Recipe, frames: int, stride: int, *, top1: float, top5: float, stamp: str) -> Recipe:
    """MMAction2's form; `stamp` is the end of its file's name."""
    config = f"r2plus1d_r34_8xb8-{frames}x{stride}x1-180e_kinetics400-rgb"
    return base.variant(
        name=f"{base.name}_mmaction2",
        title=f"{base.title}, MMAction2's",
        notes="",
        model={"stem_middle": 83, "shortcut": "space_time", "middle_eps": 1e-5},
        **mmaction2(frames, stride),
        augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
        published=in_mmaction2(top1, top5, "r2plus1d"),
        weights=(mmaction2_weights("r2plus1d", config, stamp),),
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
    **pytorchvideo(16, 4, averaging="position_probabilities"),
    published=in_pytorchvideo(76.01, 92.23),
    weights=(pytorchvideo_weights("R2PLUS1D_16x4_R50.pyth"),),
)


def _vmz(frames: int, *, top1: float, top5: float, weights: Source) -> Recipe:
    return R2PLUS1D_R34_8X8.variant(
        name=f"r2plus1d_r34_{frames}x1_k400_ig65m_vmz",
        title=f"R(2+1)D-34 {frames}x1 from IG-65M, VMZ's",
        notes=(
            "VMZ's row, trained at 112 pixels. Its fine-tuning takes smaller learning rates for the stages (0.001) and a "
            "larger one for the head (0.1) than its training from scratch, which stands here."
        ),
        storage="original",
        pretraining="ig65m",
        model=R2Plus1DConfig(),
        **vmz(frames, 1, short_side=128),
        published=in_vmz(top1, top5, size=128),
        weights=(weights,),
    )


R2PLUS1D_R34_8_VMZ = _vmz(
    8,
    top1=74.9,
    top5=91.8,
    weights=moabitcoin_weights("r2plus1d_34_clip8_ft_kinetics_from_ig65m-0aa0550b.pth"),
)
R2PLUS1D_R34_32_VMZ = _vmz(
    32,
    top1=80.0,
    top5=94.2,
    weights=moabitcoin_weights("r2plus1d_34_clip32_ft_kinetics_from_ig65m-ade133f1.pth", size=255_061_555),
)


def _on_ig65m(base: Recipe, frames: int, classes: int, file: str) -> Recipe:
    """What VMZ's fine-tuning started from: hashtags are the classes, whose names were not published."""
    return base.variant(
        name=f"r2plus1d_r34_{frames}x1_ig65m_vmz",
        title=f"R(2+1)D-34 {frames}x1 on IG-65M, VMZ's",
        notes=f"VMZ's weights before fine-tuning, for {classes} hashtags whose names were not published.",
        dataset="ig65m",
        pretraining=None,
        model={"num_classes": classes},
        weights=(moabitcoin_weights(file),),
    )


R2PLUS1D_R152_VMZ = R2PLUS1D_R34_32_VMZ.variant(
    name="r2plus1d_r152_32x1_k400_ig65m_vmz",
    title="R(2+1)D-152 32x1 from IG-65M, VMZ's",
    notes="VMZ's row. Its FLOPs say that no pool follows the stem; VMZ's PyTorch code puts one there (model.first_pool).",
    model={"depth": 152},
    published=in_vmz(81.6, 95.3, size=128),
    weights=(vmz_release("r2plus1d_152_ft_kinetics_from_ig65m_f107107466.pth"),),
)


def _torchvision(name: str, title: str, model: R2Plus1DConfig, *, top1: float, file: str) -> Recipe:
    """One of torchvision's networks of 18 layers, on 15 frames a second."""
    return R2PLUS1D_R34_8_VMZ.variant(
        name=f"{name}_r18_16x1_k400_torchvision",
        title=f"{title}-18 16x1 at 15 frames a second, torchvision's",
        notes="Frames are resized to 128x171 there whatever their shape, here to a short side of 128.",
        pretraining=None,
        model=model,
        clip=MMAction2FPSTrain(frames=16, fps=15),
        test=Test(
            sampling=MMAction2FPSTest(clips=5, frames=16, fps=15), crops="centre", size=112, averaging="probabilities"
        ),
        augment=RandomCrop(short_side=128, size=112),
        published=in_torchvision(top1),
        weights=(torchvision_weights(file),),
    )


R2PLUS1D = (
    R2PLUS1D_R34_8X8,
    _from_ig65m(
        R2PLUS1D_R34_8X8, top1=74.4, top5=91.7, file="r2plus1d_kinetics400_se_rgb_r34_f8s8_finetune-c3abbbfc.pth"
    ),
    R2PLUS1D_R34_32X2,
    _from_ig65m(
        R2PLUS1D_R34_32X2, top1=80.3, top5=94.7, file="r2plus1d_kinetics400_se_rgb_r34_f32s2_finetune-9baa39ea.pth"
    ),
    _mmaction2(R2PLUS1D_R34_8X8, 8, 8, top1=69.76, top5=88.41, stamp="20220812-47cfe041"),
    _mmaction2(R2PLUS1D_R34_32X2, 32, 2, top1=75.46, top5=92.28, stamp="20220812-4270588c"),
    R2PLUS1D_R50_PYTORCHVIDEO,
    R2PLUS1D_R34_8_VMZ,
    R2PLUS1D_R34_32_VMZ,
    _on_ig65m(R2PLUS1D_R34_8_VMZ, 8, 487, "r2plus1d_34_clip8_ig65m_from_scratch-9bae36ae.pth"),
    _on_ig65m(R2PLUS1D_R34_32_VMZ, 32, 359, "r2plus1d_34_clip32_ig65m_from_scratch-449a7af9.pth"),
    R2PLUS1D_R152_VMZ,
    _torchvision(
        "r2plus1d",
        "R(2+1)D",
        R2Plus1DConfig(depth=18, convolutions="block_space_time", norm_eps=1e-5),
        top1=67.46,
        file="r2plus1d_18-91a641e6.pth",
    ),
    _torchvision(
        "r3d",
        "R3D",
        R2Plus1DConfig(depth=18, convolutions="whole", stem_middle=0, norm_eps=1e-5),
        top1=63.20,
        file="r3d_18-b3b3357e.pth",
    ),
    _torchvision(
        "mc3",
        "MC3",
        R2Plus1DConfig(depth=18, convolutions="mixed", stem_middle=0, temporal_strides=(1, 1, 1, 1), norm_eps=1e-5),
        top1=63.96,
        file="mc3_18-a90a0ba3.pth",
    ),
)
