"""C2D, I3D on ResNets and non-local networks: Wang et al., Non-local Neural Networks, CVPR 2018.

Training settings: MMAction's config i3d_kinetics400_3d_rgb_r50_c3d_inflate3x1x1_seg1_f32s2, MMAction2's
i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e and c2d_r50-in1k-pre_8xb32-8x8x1-100e, on which its other configs are
based, and PySlowFast's settings, which all its networks share.
"""

from marey.models.layers.config import NonLocalConfig
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.recipe import SGD, Hash, Recipe, StepSchedule, Test, Train
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
from marey.video.pixels.crops import MultiScaleCrop, PySlowFastCrop
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

I3D_R50 = Recipe(
    name="i3d_r50_32x2_k400",
    title="I3D ResNet-50 32x2",
    paper="https://arxiv.org/abs/1711.07971",
    notes="MMAction v0.2's row.",
    dataset="kinetics400",
    storage="short256",
    pretraining="imagenet",
    model=I3DResNetConfig(),
    clip=MMActionTrain(frames=32, stride=2),
    test=Test(sampling=MMActionTest(clips=10, frames=32, stride=2), crops="three", size=256, averaging="probabilities"),
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.8), max_distort=0),
    train=Train(
        epochs=100,
        base_batch=64,
        norm_batch=8,
        optimizer=SGD(lr=0.01),
        schedule=StepSchedule(milestones=(40, 80)),
        clip_norm=40,
    ),
    published=mmaction_announcement(top1=72.9, top5=90.8),
    weights=(mmaction_weights("i3d_kinetics_rgb_r50_c3d_inflated3x1x1_seg1_f32s2_f32s2-b93cc877.pth"),),
)

I3D_R50_MMACTION2 = I3D_R50.variant(
    name="i3d_r50_32x2_k400_mmaction2",
    title="I3D ResNet-50 32x2, MMAction2's",
    notes="",
    clip=MMAction2Train(frames=32, stride=2),
    test={"sampling": MMAction2Test(clips=10, frames=32, stride=2)},
    published=mmaction2_zoo("i3d", top1=73.47, top5=91.27),
    weights=(
        mmaction2_weights("i3d", "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb_20220812-e213c223.pth"),
    ),
)
I3D_R50_DOT_MMACTION2 = I3D_R50_MMACTION2.variant(
    name="i3dnldot_r50_32x2_k400_mmaction2",
    title="Non-local I3D (dot product) ResNet-50 32x2, MMAction2's",
    model={"non_local": NonLocalConfig(pairwise="dot_product")},
    published=mmaction2_zoo("i3d", top1=74.80, top5=92.07),
    weights=(
        mmaction2_weights(
            "i3d", "i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_kinetics400-rgb_20220812-8e1f2148.pth"
        ),
    ),
)
I3D_R50_GAUSSIAN_MMACTION2 = I3D_R50_MMACTION2.variant(
    name="i3dnlgauss_r50_32x2_k400_mmaction2",
    title="Non-local I3D (gaussian) ResNet-50 32x2, MMAction2's",
    model={"non_local": NonLocalConfig(pairwise="gaussian")},
    published=mmaction2_zoo("i3d", top1=73.97, top5=91.33),
    weights=(
        mmaction2_weights(
            "i3d", "i3d_imagenet-pretrained-r50-nl-gaussian_8xb8-32x2x1-100e_kinetics400-rgb_20220812-0c5cbf5a.pth"
        ),
    ),
)
I3D_R50_EMBEDDED_MMACTION2 = I3D_R50_MMACTION2.variant(
    name="i3dnlembgauss_r50_32x2_k400_mmaction2",
    title="Non-local I3D (embedded gaussian) ResNet-50 32x2, MMAction2's",
    model={"non_local": NonLocalConfig(pairwise="embedded_gaussian")},
    published=mmaction2_zoo("i3d", top1=74.73, top5=91.80),
    weights=(
        mmaction2_weights(
            "i3d",
            "i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e_kinetics400-rgb_20220812-afd8f562.pth",
        ),
    ),
)
I3D_R50_HEAVY_MMACTION2 = I3D_R50_MMACTION2.variant(
    name="i3dheavy_r50_32x2_k400_mmaction2",
    title="I3D (heavy) ResNet-50 32x2, MMAction2's",
    model={"inflated": "everywhere", "stem_stride": 1, "pool_stride": 1},
    published=mmaction2_zoo("i3d", top1=76.21, top5=92.48),
    weights=(
        mmaction2_weights(
            "i3d", "i3d_imagenet-pretrained-r50-heavy_8xb8-32x2x1-100e_kinetics400-rgb_20220812-ed501b31.pth"
        ),
    ),
)

I3D_R50_PYSLOWFAST = I3D_R50.variant(
    name="i3d_r50_8x8_k400_pyslowfast",
    title="I3D ResNet-50 8x8, PySlowFast's",
    notes="",
    pretraining=None,
    model=I3DResNetConfig(stem_stride=1, pool_stride=1, pool_window=7),
    clip=PySlowFastTrain(frames=8, stride=8),
    test={"sampling": PySlowFastTest(clips=10, frames=8, stride=8), "averaging": "position_probabilities"},
    pixels=FloatPixels(),
    augment=PySlowFastCrop(size=224, flip=0.5),
    train=PYSLOWFAST_TRAIN,
    published=pyslowfast_zoo(top1=73.5, top5=90.8),
    weights=(pyslowfast_weights("I3D_8x8_R50.pkl"),),
)
I3D_R50_NON_LOCAL_PYSLOWFAST = I3D_R50_PYSLOWFAST.variant(
    name="i3dnl_r50_8x8_k400_pyslowfast",
    title="Non-local I3D ResNet-50 8x8, PySlowFast's",
    model={
        "non_local": NonLocalConfig(pairwise="embedded_gaussian", pool_first=True, scaled=True, out_bias=True),
    },
    published=pyslowfast_zoo(top1=74.0, top5=91.1),
    weights=(pyslowfast_weights("I3D_NLN_8x8_R50.pkl"),),
)

I3D_R50_PYTORCHVIDEO = I3D_R50_PYSLOWFAST.variant(
    name="i3d_r50_8x8_k400_pytorchvideo",
    title="I3D ResNet-50 8x8, PyTorchVideo's",
    clip=PyTorchVideoTrain(frames=8, seconds=64 / 30),
    test={"sampling": PyTorchVideoTest(clips=10, frames=8, seconds=64 / 30), "averaging": "probabilities"},
    published=pytorchvideo_zoo(top1=73.27, top5=90.70),
    weights=(
        pytorchvideo_weights(
            "I3D_8x8_R50.pyth",
            known_by=Hash(
                digits="eabc0c8de27af9ee7aa6348fb3a18f2c53fee4e73806b26d4499748543e857d8",
                stated_by="huggingface.co, of the copy in jinmang2/test_video_fe",
            ),
            size=224_733_497,
        ),
    ),
)

_C2D_PROTOCOL = "10 clips x 3 crops of 224"

C2D_R50_NOPOOL_MMACTION2 = I3D_R50.variant(
    name="c2dnopool_r50_8x8_k400_mmaction2",
    title="C2D ResNet-50 8x8 without temporal pool, MMAction2's",
    notes="",
    storage="short320",
    model=C2DConfig(second_pool=1),
    clip=MMAction2Train(frames=8, stride=8),
    test={"sampling": MMAction2Test(clips=10, frames=8, stride=8), "size": 224},
    pixels={"short_side": 224},
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.875, 0.75, 0.66)),
    train={"base_batch": 256, "norm_batch": 32},
    published=mmaction2_zoo("c2d", top1=73.16, top5=90.88, protocol=_C2D_PROTOCOL),
    weights=(
        mmaction2_weights("c2d", "c2d_r50-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb_20221027-e0227b22.pth"),
    ),
)
C2D_R101_NOPOOL_MMACTION2 = C2D_R50_NOPOOL_MMACTION2.variant(
    name="c2dnopool_r101_8x8_k400_mmaction2",
    title="C2D ResNet-101 8x8 without temporal pool, MMAction2's",
    model={"depth": 101},
    published=mmaction2_zoo("c2d", top1=74.57, top5=91.60, protocol=_C2D_PROTOCOL),
    weights=(
        mmaction2_weights("c2d", "c2d_r101-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb_20221027-557bd8bc.pth"),
    ),
)
C2D_R50_MMACTION2 = C2D_R50_NOPOOL_MMACTION2.variant(
    name="c2d_r50_8x8_k400_mmaction2",
    title="C2D ResNet-50 8x8, MMAction2's",
    model=C2DConfig(second_pool=2, pool_padding=0),
    published=mmaction2_zoo("c2d", top1=73.57, top5=90.96, protocol=_C2D_PROTOCOL),
    weights=(mmaction2_weights("c2d", "c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb_20221027-3ca304fa.pth"),),
)
C2D_R50_16X4_MMACTION2 = C2D_R50_MMACTION2.variant(
    name="c2d_r50_16x4_k400_mmaction2",
    title="C2D ResNet-50 16x4, MMAction2's",
    clip={"frames": 16, "stride": 4},
    test={"sampling": {"frames": 16, "stride": 4}},
    published=mmaction2_zoo("c2d", top1=74.54, top5=91.76, protocol=_C2D_PROTOCOL),
    weights=(mmaction2_weights("c2d", "c2d_r50-in1k-pre_8xb32-16x4x1-100e_kinetics400-rgb_20221027-5f382a43.pth"),),
)
C2D_R50_NOPOOL_PYSLOWFAST = I3D_R50_PYSLOWFAST.variant(
    name="c2dnopool_r50_8x8_k400_pyslowfast",
    title="C2D ResNet-50 8x8 without temporal pool, PySlowFast's",
    model=C2DConfig(second_pool=1, pool_window=7),
    published=pyslowfast_zoo(top1=67.2, top5=87.8),
    weights=(pyslowfast_weights("C2D_NOPOOL_8x8_R50.pkl"),),
)
C2D_R50_PYTORCHVIDEO = I3D_R50_PYTORCHVIDEO.variant(
    name="c2d_r50_8x8_k400_pytorchvideo",
    title="C2D ResNet-50 8x8, PyTorchVideo's",
    model=C2DConfig(pool_window=7),
    published=pytorchvideo_zoo(top1=71.46, top5=89.68),
    weights=(pytorchvideo_weights("C2D_8x8_R50.pyth"),),
)

NON_LOCAL = (
    I3D_R50,
    I3D_R50_MMACTION2,
    I3D_R50_DOT_MMACTION2,
    I3D_R50_GAUSSIAN_MMACTION2,
    I3D_R50_EMBEDDED_MMACTION2,
    I3D_R50_HEAVY_MMACTION2,
    I3D_R50_PYSLOWFAST,
    I3D_R50_NON_LOCAL_PYSLOWFAST,
    I3D_R50_PYTORCHVIDEO,
    C2D_R50_NOPOOL_MMACTION2,
    C2D_R101_NOPOOL_MMACTION2,
    C2D_R50_MMACTION2,
    C2D_R50_16X4_MMACTION2,
    C2D_R50_NOPOOL_PYSLOWFAST,
    C2D_R50_PYTORCHVIDEO,
)

NON_LOCAL_PARAMETERS = {
    "i3d_r50_32x2_k400": 28_043_472,
    "i3d_r50_32x2_k400_mmaction2": 28_043_472,
    "i3dnldot_r50_32x2_k400_mmaction2": 35_397_840,
    "i3dnlgauss_r50_32x2_k400_mmaction2": 31_723_728,
    "i3dnlembgauss_r50_32x2_k400_mmaction2": 35_397_840,
    "i3dheavy_r50_32x2_k400_mmaction2": 33_024_208,
    "i3d_r50_8x8_k400_pyslowfast": 28_043_472,
    "i3dnl_r50_8x8_k400_pyslowfast": 35_401_936,
    "i3d_r50_8x8_k400_pytorchvideo": 28_043_472,
    "c2dnopool_r50_8x8_k400_mmaction2": 24_327_632,
    "c2dnopool_r101_8x8_k400_mmaction2": 43_319_760,
    "c2d_r50_8x8_k400_mmaction2": 24_327_632,
    "c2d_r50_16x4_k400_mmaction2": 24_327_632,
    "c2dnopool_r50_8x8_k400_pyslowfast": 24_327_632,
    "c2d_r50_8x8_k400_pytorchvideo": 24_327_632,
}
"""The number of parameters of each network; a test counts them."""
