"""I3D on Inception-V1: Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017.

MMAction converted DeepMind's networks, fine-tuned them on UCF101 and HMDB51 and ships test configs only: the training
settings of its I3D on ResNet-50 (i3d_kinetics400_3d_rgb_r50_c3d_inflate3x1x1_seg1_f32s2) stand in. DeepMind's settings:
the README of kinetics-i3d and the paper's section 4.
"""

from typing import Literal

from marey.models.i3d.config import InceptionI3DConfig
from marey.recipe import SGD, Published, Recipe, StepSchedule, Test, Train, Weights
from marey.video.augment import MultiScaleCrop, RandomCrop
from marey.video.pixels import Pixels
from marey.video.sampling import MMAction2FPSTest, MMAction2FPSTrain, MMActionTest, MMActionTrain

_BUCKET = "https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmaction/models/"
_STANDS_IN = "MMAction ships no training config for it: the settings of its I3D on ResNet-50 stand in."


def _weights(file: str) -> Weights:
    digits = file.removesuffix(".pth").rpartition("-")[2]
    return Weights(url=_BUCKET + file, sha256=digits, layout="mmaction", licence="Apache-2.0")


def _deepminds(top1: float, top5: float) -> Published:
    """What DeepMind printed, on Kinetics' test set."""
    return Published(
        top1=top1,
        top5=top5,
        source="README of deepmind/kinetics-i3d",
        protocol="the whole video at 25 frames per second, centre crop of 224",
        split="test",
    )


def _quoted(numbers: Published) -> Published:
    """The same in the announcement, which did not measure them anew."""
    return numbers.model_copy(update={"source": "MMAction v0.2.0 announcement", "kind": "quoted"})


def _transferred(top1: float, videos: int) -> Published:
    return Published(
        top1=top1,
        source="MMAction v0.2.0 announcement",
        protocol="10 clips x 3 crops of 256",
        split="test, split 1",
        videos=videos,
    )


_RGB, _FLOW = _deepminds(71.1, 89.3), _deepminds(63.4, 84.9)

I3D_RGB_K400 = Recipe(
    name="i3d_incv1_rgb_64x1_k400",
    title="I3D Inception-V1 64x1",
    paper="https://arxiv.org/abs/1705.07750",
    notes=f"MMAction v0.2's row: weights converted from DeepMind's, numbers quoted, not measured. {_STANDS_IN}",
    dataset="kinetics400",
    storage="short256",
    pretraining="imagenet",
    model=InceptionI3DConfig(padding="mmaction", pool="global", norm_eps=1e-5),
    clip=MMActionTrain(frames=64),
    test=Test(sampling=MMActionTest(clips=10, frames=64), crops="three", size=256, averaging="probabilities"),
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.8), max_distort=0),
    train=Train(
        epochs=100,
        base_batch=64,
        norm_batch=8,
        optimizer=SGD(lr=0.01),
        schedule=StepSchedule(milestones=(40, 80)),
        clip_norm=40,
    ),
    published=_quoted(_RGB),
    weights=_weights("kinetics400/i3d_kinetics400_se_rgb_inception_v1_seg1_f64s1_imagenet_deepmind-9b8e02b3.pth"),
)

I3D_FLOW_K400 = I3D_RGB_K400.variant(
    name="i3d_incv1_flow_64x1_k400",
    title="I3D Inception-V1 64x1 on flow",
    modality="flow",
    model={"channels": 2},
    pixels=Pixels(mean=(128.0, 128.0), std=(128.0, 128.0), flow_x="mmaction"),
    published=_quoted(_FLOW),
    weights=_weights("kinetics400/i3d_kinetics_flow_inception_v1_seg1_f64s1_imagenet_deepmind-92059771.pth"),
)


def _transfer(base: Recipe, dataset: Literal["ucf101", "hmdb51"], top1: float, file: str) -> Recipe:
    """MMAction's fine-tuning of a Kinetics network; both data sets' files lie in one folder of its bucket."""
    classes, videos, title = {"ucf101": (101, 3783, "UCF101"), "hmdb51": (51, 1530, "HMDB51")}[dataset]
    return base.variant(
        name=base.name.replace("_k400", f"_{dataset}"),
        title=f"{base.title}, on {title}",
        notes=f"MMAction v0.2's row. {_STANDS_IN}",
        dataset=dataset,
        storage="frames340x256",
        pretraining="kinetics400",
        model={"num_classes": classes},
        published=_transferred(top1, videos),
        weights=_weights(f"ucf101/{file}"),
    )


_DEEPMIND_NOTES = (
    "DeepMind's row: 64 replicas of 6 clips, {steps} steps. Tested on the whole video at 25 frames per second: 250 frames, "
    "since Kinetics' clips have ten seconds."
)
_DEEPMIND_EPOCHS = {"115k": (184, (155, 173)), "155k": (248, (209, 233))}
"""Steps of 384 clips in epochs of Kinetics-400's 240,436 videos: 97k and 108k of 115k. For flow DeepMind prints the
end alone, so that the learning rate drops at the same shares of the run."""


def _deepmind(base: Recipe, steps: Literal["115k", "155k"], published: Published) -> Recipe:
    """DeepMind's own network, pixels, protocol and training."""
    epochs, milestones = _DEEPMIND_EPOCHS[steps]
    scale = (127.5,) * base.model.channels
    train = Train(
        epochs=epochs,
        base_batch=384,
        optimizer=SGD(lr=0.1, weight_decay=1e-7),
        schedule=StepSchedule(milestones=milestones),
    )
    return base.variant(
        name=f"{base.name}_deepmind",
        title=f"{base.title}, DeepMind's",
        notes=_DEEPMIND_NOTES.format(steps=steps),
        storage="original",
        model=InceptionI3DConfig(channels=base.model.channels),
        clip=MMAction2FPSTrain(frames=64, fps=25),
        test=Test(sampling=MMAction2FPSTest(frames=250, fps=25), crops="centre", size=224, averaging="logits"),
        pixels=Pixels(mean=scale, std=scale),
        augment=RandomCrop(short_side=256, size=224),
        train=train,
        published=published,
    )


I3D_RGB_K400_DEEPMIND = _deepmind(I3D_RGB_K400, "115k", _RGB)

I3D_RGB_K600_DEEPMIND = I3D_RGB_K400_DEEPMIND.variant(
    name="i3d_incv1_rgb_64x1_k600_deepmind",
    title="I3D Inception-V1 64x1, on Kinetics-600, DeepMind's",
    notes="DeepMind's checkpoint rgb_scratch_kin600. Its training is not stated: that of Kinetics-400 stands in.",
    dataset="kinetics600",
    pretraining=None,
    model={"num_classes": 600},
)

I3D_INCEPTION = (
    I3D_RGB_K400,
    I3D_FLOW_K400,
    _transfer(I3D_RGB_K400, "ucf101", 94.8, "i3d_ucf101_split1_rgb_f64s1_kinetics400ft-36201298.pth"),
    _transfer(I3D_FLOW_K400, "ucf101", 96.6, "i3d_ucf101_split1_flow_f64s1_kinetics400ft-93ed9ecd.pth"),
    _transfer(I3D_RGB_K400, "hmdb51", 72.6, "i3d_hmdb51_split1_rgb_f64s1_kinetics400ft-1ffcf11f.pth"),
    _transfer(I3D_FLOW_K400, "hmdb51", 79.2, "i3d_hmdb51_split1_flow_f64s1_kinetics400ft-2981c797.pth"),
    I3D_RGB_K400_DEEPMIND,
    _deepmind(I3D_FLOW_K400, "155k", _FLOW),
    I3D_RGB_K600_DEEPMIND,
)
