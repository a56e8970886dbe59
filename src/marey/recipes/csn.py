"""CSN: Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019.

PyTorchVideo trained its own weights, and MMAction2 those of its ir-CSNs pretrained on IG-65M. VMZ trained all others;
MMAction and MMAction2 converted VMZ's weights and measured them. Training settings: MMAction2's config
ircsn_ig65m-pretrained-r152-bnfrozen_8xb12-32x2x1-58e, on which its other configs of CSN are based. MMAction's recipes
have the same settings, because MMAction published no training config.
"""

from marey.models.csn.config import CSNConfig
from marey.recipe import SGD, Recipe, StepSchedule, Test, Train, Warmup
from marey.recipes.toolkits import (
    PYSLOWFAST_TRAIN,
    VMZ_PIXELS,
    VMZ_TRAIN,
    mmaction2_weights,
    mmaction2_zoo,
    mmaction_announcement,
    mmaction_weights,
    old_mmaction2_weights,
    pytorchvideo_weights,
    pytorchvideo_zoo,
    vmz_pickle,
    vmz_release,
    vmz_zoo,
)
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.crops import MMActionRandomResizedCrop, PySlowFastCrop, RandomCrop, RandomResizedCrop
from marey.video.sampling import (
    MMAction2Test,
    MMAction2Train,
    MMActionTest,
    MMActionTrain,
    PyTorchVideoTest,
    PyTorchVideoTrain,
)

# MMAction's recipes --------------------------------------------------------------------------------------------------

_NO_CONFIG = "It ships no training config for it: MMAction2's settings stand in."
_CONVERTED_BY_MMACTION = (
    f"MMAction v0.2's row: weights converted from VMZ's, measured by MMAction with its own pixels. {_NO_CONFIG}"
)

IRCSN_R152_IG65M = Recipe(
    name="ircsn_r152_32x2_k400_ig65m",
    title="ir-CSN-152 32x2 from IG-65M",
    paper="https://arxiv.org/abs/1904.02811",
    notes=_CONVERTED_BY_MMACTION,
    dataset="kinetics400",
    storage="short256",
    pretraining="ig65m",
    model=CSNConfig(depth=152, interaction="reduced"),
    clip=MMActionTrain(frames=32, stride=2),
    test=Test(sampling=MMActionTest(clips=10, frames=32, stride=2), crops="three", size=256, averaging="probabilities"),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=Train(
        epochs=58,
        base_batch=96,
        optimizer=SGD(lr=5e-4),
        schedule=StepSchedule(milestones=(32, 48), warmup=Warmup(epochs=16, start=0.1, by="epoch", ends="last")),
        clip_norm=40,
        frozen_norms="all",
    ),
    published=mmaction_announcement(top1=82.6, top5=95.7),
    weights=(mmaction_weights("ircsn_kinetics400_se_rgb_r152_f32s2_ig65m_fbai-9d6ed879.pth"),),
)
IPCSN_R152_IG65M = IRCSN_R152_IG65M.variant(
    name="ipcsn_r152_32x2_k400_ig65m",
    title="ip-CSN-152 32x2 from IG-65M",
    notes=(
        f"{_CONVERTED_BY_MMACTION} The network is VMZ's, for which the weights were trained: MMAction's published code has "
        "a ReLU in the middle and a full convolution in the place of the depthwise one (ipcsn_r152_32x2_k400_mmaction)."
    ),
    model={"interaction": "preserved"},
    published=mmaction_announcement(top1=82.7, top5=95.6),
    weights=(mmaction_weights("ipcsn_kinetics400_se_rgb_r152_f32s2_ig65m_fbai-ef39b9e3.pth"),),
)
IPCSN_R152_MMACTION = IPCSN_R152_IG65M.variant(
    name="ipcsn_r152_32x2_k400_mmaction",
    title="ip-CSN-152 32x2 as MMAction's code has it, but depthwise",
    notes=f"With a ReLU in the middle of the two steps. MMAction published no weights of it. {_NO_CONFIG}",
    pretraining=None,
    model={"preserved_relu": True},
)
IPCSN_FULL_R152_MMACTION = IPCSN_R152_MMACTION.variant(
    name="ipcsnfull_r152_32x2_k400_mmaction",
    title="ip-CSN-152 32x2 as MMAction's code has it",
    notes=f"Not channel-separated: the 3x3x3 convolution is a full one. MMAction published no weights of it. {_NO_CONFIG}",
    model={"depthwise": False},
)

# MMAction2's recipes -------------------------------------------------------------------------------------------------

_PORTED = "MMAction2 ported VMZ's weights and measured them; its config would train on with frozen norms."

IRCSN_R152_IG65M_MMACTION2 = IRCSN_R152_IG65M.variant(
    name="ircsn_r152_32x2_k400_ig65m_mmaction2",
    title="ir-CSN-152 32x2 from IG-65M, MMAction2's",
    notes="",
    clip=MMAction2Train(frames=32, stride=2),
    test={"sampling": MMAction2Test(clips=10, frames=32, stride=2)},
    augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
    published=mmaction2_zoo("csn", top1=82.87, top5=95.90),
    weights=(
        mmaction2_weights("csn", "ircsn_ig65m-pretrained-r152_8xb12-32x2x1-58e_kinetics400-rgb_20220811-c7a3cc5b.pth"),
    ),
)
IRCSN_R50_IG65M_MMACTION2 = IRCSN_R152_IG65M_MMACTION2.variant(
    name="ircsn_r50_32x2_k400_ig65m_mmaction2",
    title="ir-CSN-50 32x2 from IG-65M, MMAction2's",
    model={"depth": 50},
    published=mmaction2_zoo("csn", top1=79.44, top5=94.26),
    weights=(
        mmaction2_weights(
            "csn", "ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb_20220811-44395bae.pth"
        ),
    ),
)
IPCSN_R152_MMACTION2 = IRCSN_R152_IG65M_MMACTION2.variant(
    name="ipcsn_r152_32x2_k400_mmaction2",
    title="ip-CSN-152 32x2, MMAction2's",
    notes=_PORTED,
    pretraining=None,
    model={"interaction": "preserved"},
    pixels=VMZ_PIXELS,
    published=mmaction2_zoo("csn", top1=77.80, top5=93.10),
    weights=(
        old_mmaction2_weights(
            "recognition/csn/vmz/vmz_ipcsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-d565828d.pth"
        ),
    ),
)
IRCSN_R152_MMACTION2 = IPCSN_R152_MMACTION2.variant(
    name="ircsn_r152_32x2_k400_mmaction2",
    title="ir-CSN-152 32x2, MMAction2's",
    model={"interaction": "reduced"},
    published=mmaction2_zoo("csn", top1=76.53, top5=92.28),
    weights=(
        old_mmaction2_weights(
            "recognition/csn/vmz/vmz_ircsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-5c933ae1.pth"
        ),
    ),
)
IPCSN_R152_IG65M_MMACTION2 = IPCSN_R152_MMACTION2.variant(
    name="ipcsn_r152_32x2_k400_ig65m_mmaction2",
    title="ip-CSN-152 32x2 from IG-65M, MMAction2's",
    pretraining="ig65m",
    pixels=Pixels(),
    published=mmaction2_zoo("csn", top1=82.68, top5=95.69),
    weights=(
        old_mmaction2_weights(
            "recognition/csn/vmz/vmz_ipcsn_ig65m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-c3be9793.pth"
        ),
    ),
)
IPCSN_R152_SPORTS1M_MMACTION2 = IPCSN_R152_MMACTION2.variant(
    name="ipcsn_r152_32x2_k400_sports1m_mmaction2",
    title="ip-CSN-152 32x2 from Sports-1M, MMAction2's",
    pretraining="sports1m",
    published=mmaction2_zoo("csn", top1=79.07, top5=93.82),
    weights=(
        old_mmaction2_weights(
            "recognition/csn/vmz/vmz_ipcsn_sports1m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-3367437a.pth"
        ),
    ),
)
IRCSN_R152_SPORTS1M_MMACTION2 = IRCSN_R152_MMACTION2.variant(
    name="ircsn_r152_32x2_k400_sports1m_mmaction2",
    title="ir-CSN-152 32x2 from Sports-1M, MMAction2's",
    pretraining="sports1m",
    published=mmaction2_zoo("csn", top1=78.57, top5=93.44),
    weights=(
        old_mmaction2_weights(
            "recognition/csn/vmz/vmz_ircsn_sports1m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-b9b10241.pth"
        ),
    ),
)

# PyTorchVideo's and VMZ's recipes ------------------------------------------------------------------------------------

_AS_PICKLE = "Its weights were published as a Caffe2 pickle, without a hash."
_CONVERTED = f"{_AS_PICKLE} The file named here is its conversion to VMZ's PyTorch network, without a hash too."

IRCSN_R101_PYTORCHVIDEO = IRCSN_R152_IG65M.variant(
    name="ircsn_r101_32x2_k400_pytorchvideo",
    title="ir-CSN-101 32x2, PyTorchVideo's",
    notes="Its training is not stated: PySlowFast's settings of its other networks stand in.",
    storage="original",
    pretraining=None,
    model={"depth": 101, "norm_eps": 1e-5, "pool_window": 7},
    clip=PyTorchVideoTrain(frames=32, seconds=64 / 30),
    test={"sampling": PyTorchVideoTest(clips=10, frames=32, seconds=64 / 30)},
    pixels=FloatPixels(),
    augment=PySlowFastCrop(size=224, flip=0.5),
    train=PYSLOWFAST_TRAIN,
    published=pytorchvideo_zoo(top1=77.00, top5=92.90),
    weights=(pytorchvideo_weights("CSN_32x2_R101.pyth"),),
)
IRCSN_R152_IG65M_VMZ = IRCSN_R152_IG65M.variant(
    name="ircsn_r152_32x2_k400_ig65m_vmz",
    title="ir-CSN-152 32x2 from IG-65M, VMZ's",
    notes=f"VMZ's row. {_CONVERTED}",
    storage="original",
    clip=MMAction2Train(frames=32, stride=2),
    test={"sampling": MMAction2Test(clips=10, frames=32, stride=2)},
    pixels=VMZ_PIXELS,
    augment=RandomCrop(short_side=256, size=224),
    train=VMZ_TRAIN,
    published=vmz_zoo(top1=82.6, top5=95.3, size=256),
    weights=(vmz_release("irCSN_152_ft_kinetics_from_ig65m_f126851907.pth"),),
)
IPCSN_R152_IG65M_VMZ = IRCSN_R152_IG65M_VMZ.variant(
    name="ipcsn_r152_32x2_k400_ig65m_vmz",
    title="ip-CSN-152 32x2 from IG-65M, VMZ's",
    model={"interaction": "preserved"},
    published=vmz_zoo(top1=82.5, top5=95.3, size=256),
    weights=(vmz_release("ipCSN_152_ft_kinetics_from_ig65m_f133090949.pth"),),
)
IRCSN_R152_VMZ = IRCSN_R152_IG65M_VMZ.variant(
    name="ircsn_r152_32x2_k400_vmz",
    title="ir-CSN-152 32x2, VMZ's",
    notes=f"VMZ's row. {_AS_PICKLE}",
    pretraining=None,
    published=vmz_zoo(top1=76.5, top5=92.1, size=256),
    weights=(vmz_pickle("46gcm7up60ssx5c/irCSN_152_kinetics_from_scratch_f98268019.pkl"),),
)
IPCSN_R152_VMZ = IRCSN_R152_VMZ.variant(
    name="ipcsn_r152_32x2_k400_vmz",
    title="ip-CSN-152 32x2, VMZ's",
    model={"interaction": "preserved"},
    published=vmz_zoo(top1=77.8, top5=92.8, size=256),
    weights=(vmz_pickle("3fihu6ti60047mu/ipCSN_152_kinetics_from_scratch_f129594342.pkl"),),
)

CSN = (
    IRCSN_R152_IG65M,
    IPCSN_R152_IG65M,
    IPCSN_R152_MMACTION,
    IPCSN_FULL_R152_MMACTION,
    IRCSN_R152_IG65M_MMACTION2,
    IRCSN_R50_IG65M_MMACTION2,
    IPCSN_R152_MMACTION2,
    IRCSN_R152_MMACTION2,
    IPCSN_R152_IG65M_MMACTION2,
    IPCSN_R152_SPORTS1M_MMACTION2,
    IRCSN_R152_SPORTS1M_MMACTION2,
    IRCSN_R101_PYTORCHVIDEO,
    IRCSN_R152_IG65M_VMZ,
    IPCSN_R152_IG65M_VMZ,
    IRCSN_R152_VMZ,
    IPCSN_R152_VMZ,
)

CSN_PARAMETERS = {
    "ircsn_r152_32x2_k400_ig65m": 29_703_568,
    "ipcsn_r152_32x2_k400_ig65m": 33_016_592,
    "ipcsn_r152_32x2_k400_mmaction": 33_016_592,
    "ipcsnfull_r152_32x2_k400_mmaction": 121_498_832,
    "ircsn_r152_32x2_k400_ig65m_mmaction2": 29_703_568,
    "ircsn_r50_32x2_k400_ig65m_mmaction2": 13_131_152,
    "ipcsn_r152_32x2_k400_mmaction2": 33_016_592,
    "ircsn_r152_32x2_k400_mmaction2": 29_703_568,
    "ipcsn_r152_32x2_k400_ig65m_mmaction2": 33_016_592,
    "ipcsn_r152_32x2_k400_sports1m_mmaction2": 33_016_592,
    "ircsn_r152_32x2_k400_sports1m_mmaction2": 29_703_568,
    "ircsn_r101_32x2_k400_pytorchvideo": 22_213_776,
    "ircsn_r152_32x2_k400_ig65m_vmz": 29_703_568,
    "ipcsn_r152_32x2_k400_ig65m_vmz": 33_016_592,
    "ircsn_r152_32x2_k400_vmz": 29_703_568,
    "ipcsn_r152_32x2_k400_vmz": 33_016_592,
}
"""The number of parameters of each network; a test counts them."""
