"""CSN: Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019.

VMZ trained all weights but MMAction2's ir-CSNs from IG-65M and PyTorchVideo's; MMAction and MMAction2 converted them and
measured them anew. Training settings: MMAction2's ircsn_ig65m-pretrained-r152-bnfrozen_8xb12-32x2x1-58e, on which its
others stand; they stand in for MMAction's, which ships none.
"""

from typing import Literal

from marey.models.csn.config import CSNConfig
from marey.recipe import SGD, Recipe, Source, StepSchedule, Train, Warmup
from marey.recipes.files import (
    announced_weights,
    mmaction2_file,
    mmaction2_weights,
    pytorchvideo_weights,
    vmz_pickle,
    vmz_release,
)
from marey.recipes.toolkits import (
    VMZ_PIXELS,
    announced,
    in_mmaction2,
    in_pytorchvideo,
    in_vmz,
    mmaction,
    mmaction2,
    pytorchvideo,
    vmz,
)
from marey.video.pixels import Pixels
from marey.video.pixels.crops import MMActionRandomResizedCrop, RandomResizedCrop

_TRAIN = Train(
    epochs=58,
    base_batch=96,
    optimizer=SGD(lr=5e-4),
    schedule=StepSchedule(milestones=(32, 48), warmup=Warmup(epochs=16, start=0.1, by="epoch", ends="last")),
    clip_norm=40,
    frozen_norms="all",
)
_STANDS_IN = "It ships no training config for it: MMAction2's settings stand in."
_NAMES = {"reduced": ("ircsn", "ir-CSN"), "preserved": ("ipcsn", "ip-CSN")}
Interaction = Literal["reduced", "preserved"]

IRCSN_R152_IG65M = Recipe(
    name="ircsn_r152_32x2_k400_ig65m",
    title="ir-CSN-152 32x2 from IG-65M",
    paper="https://arxiv.org/abs/1904.02811",
    notes=f"MMAction v0.2's row: weights converted from VMZ's, measured by MMAction with its own pixels. {_STANDS_IN}",
    dataset="kinetics400",
    storage="short256",
    pretraining="ig65m",
    model=CSNConfig(),
    **mmaction(32, 2),
    augment=MMActionRandomResizedCrop(size=224, flip=0.5),
    train=_TRAIN,
    published=announced(82.6, 95.7),
    weights=(announced_weights("ircsn_kinetics400_se_rgb_r152_f32s2_ig65m_fbai-9d6ed879.pth"),),
)
IPCSN_R152_IG65M = IRCSN_R152_IG65M.variant(
    name="ipcsn_r152_32x2_k400_ig65m",
    title="ip-CSN-152 32x2 from IG-65M",
    notes=(
        f"{IRCSN_R152_IG65M.notes} The network is VMZ's, for which the weights were trained: MMAction's published code has "
        "a ReLU in the middle and a full convolution in the place of the depthwise one (ipcsn_r152_32x2_k400_mmaction)."
    ),
    model={"interaction": "preserved"},
    published=announced(82.7, 95.6),
    weights=(announced_weights("ipcsn_kinetics400_se_rgb_r152_f32s2_ig65m_fbai-ef39b9e3.pth"),),
)
IPCSN_R152_MMACTION = IPCSN_R152_IG65M.variant(
    name="ipcsn_r152_32x2_k400_mmaction",
    title="ip-CSN-152 32x2 as MMAction's code has it, but depthwise",
    notes=f"With a ReLU in the middle of the two steps. MMAction published no weights of it. {_STANDS_IN}",
    pretraining=None,
    model={"preserved_relu": True},
)
IPCSN_FULL_R152_MMACTION = IPCSN_R152_MMACTION.variant(
    name="ipcsnfull_r152_32x2_k400_mmaction",
    title="ip-CSN-152 32x2 as MMAction's code has it",
    notes=f"Not channel-separated: the 3x3x3 convolution is a full one. MMAction published no weights of it. {_STANDS_IN}",
    model={"depthwise": False},
)


def _mmaction2(
    interaction: Interaction,
    start: Literal["ig65m", "sports1m"] | None,
    *,
    top1: float,
    top5: float,
    weights: Source,
    depth: Literal[50, 152] = 152,
    notes: str = "",
    pixels: Pixels = VMZ_PIXELS,
) -> Recipe:
    short, long = _NAMES[interaction]
    begun = {"ig65m": ("_ig65m", " from IG-65M"), "sports1m": ("_sports1m", " from Sports-1M"), None: ("", "")}[start]
    return IRCSN_R152_IG65M.variant(
        name=f"{short}_r{depth}_32x2_k400{begun[0]}_mmaction2",
        title=f"{long}-{depth} 32x2{begun[1]}, MMAction2's",
        notes=notes,
        pretraining=start,
        model={"interaction": interaction, "depth": depth},
        **mmaction2(32, 2),
        pixels=pixels,
        augment=RandomResizedCrop(short_side=256, size=224, flip=0.5),
        published=in_mmaction2(top1, top5, "csn"),
        weights=(weights,),
    )


_PORTED = "MMAction2 ported VMZ's weights and measured them; its config would train on with frozen norms."


_AS_PICKLE = "Its weights were published as a Caffe2 pickle, without a hash."
_CONVERTED = f"{_AS_PICKLE} The file named here is its conversion to VMZ's PyTorch network, without a hash too."


def _vmz(
    interaction: Interaction,
    start: Literal["ig65m"] | None,
    *,
    top1: float,
    top5: float,
    weights: Source,
) -> Recipe:
    short, long = _NAMES[interaction]
    return IRCSN_R152_IG65M.variant(
        name=f"{short}_r152_32x2_k400{'_ig65m' if start else ''}_vmz",
        title=f"{long}-152 32x2{' from IG-65M' if start else ''}, VMZ's",
        notes=f"VMZ's row. {_CONVERTED if start else _AS_PICKLE}",
        storage="original",
        pretraining=start,
        model={"interaction": interaction},
        **vmz(32, 2, short_side=256),
        published=in_vmz(top1, top5, size=256),
        weights=(weights,),
    )


IRCSN_R101_PYTORCHVIDEO = IRCSN_R152_IG65M.variant(
    name="ircsn_r101_32x2_k400_pytorchvideo",
    title="ir-CSN-101 32x2, PyTorchVideo's",
    notes="Its training is not stated: PySlowFast's settings of its other networks stand in.",
    storage="original",
    pretraining=None,
    model={"depth": 101, "norm_eps": 1e-5, "pool_window": 7},
    **pytorchvideo(32, 2),
    published=in_pytorchvideo(77.00, 92.90),
    weights=(pytorchvideo_weights("CSN_32x2_R101.pyth"),),
)

CSN = (
    IRCSN_R152_IG65M,
    IPCSN_R152_IG65M,
    IPCSN_R152_MMACTION,
    IPCSN_FULL_R152_MMACTION,
    _mmaction2(
        "reduced",
        "ig65m",
        top1=82.87,
        top5=95.90,
        weights=mmaction2_weights(
            "csn", "ircsn_ig65m-pretrained-r152_8xb12-32x2x1-58e_kinetics400-rgb", "20220811-c7a3cc5b"
        ),
        pixels=Pixels(),
    ),
    _mmaction2(
        "reduced",
        "ig65m",
        depth=50,
        top1=79.44,
        top5=94.26,
        weights=mmaction2_weights(
            "csn", "ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb", "20220811-44395bae"
        ),
        pixels=Pixels(),
    ),
    _mmaction2(
        "preserved",
        None,
        top1=77.80,
        top5=93.10,
        notes=_PORTED,
        weights=mmaction2_file(
            "recognition/csn/vmz/vmz_ipcsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-d565828d.pth"
        ),
    ),
    _mmaction2(
        "reduced",
        None,
        top1=76.53,
        top5=92.28,
        notes=_PORTED,
        weights=mmaction2_file(
            "recognition/csn/vmz/vmz_ircsn_from_scratch_r152_32x2x1_180e_kinetics400_rgb_20210617-5c933ae1.pth"
        ),
    ),
    _mmaction2(
        "preserved",
        "ig65m",
        top1=82.68,
        top5=95.69,
        notes=_PORTED,
        weights=mmaction2_file(
            "recognition/csn/vmz/vmz_ipcsn_ig65m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-c3be9793.pth"
        ),
        pixels=Pixels(),
    ),
    _mmaction2(
        "preserved",
        "sports1m",
        top1=79.07,
        top5=93.82,
        notes=_PORTED,
        weights=mmaction2_file(
            "recognition/csn/vmz/vmz_ipcsn_sports1m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-3367437a.pth"
        ),
    ),
    _mmaction2(
        "reduced",
        "sports1m",
        top1=78.57,
        top5=93.44,
        notes=_PORTED,
        weights=mmaction2_file(
            "recognition/csn/vmz/vmz_ircsn_sports1m_pretrained_r152_32x2x1_58e_kinetics400_rgb_20210617-b9b10241.pth"
        ),
    ),
    IRCSN_R101_PYTORCHVIDEO,
    _vmz(
        "reduced",
        "ig65m",
        top1=82.6,
        top5=95.3,
        weights=vmz_release("irCSN_152_ft_kinetics_from_ig65m_f126851907.pth"),
    ),
    _vmz(
        "preserved",
        "ig65m",
        top1=82.5,
        top5=95.3,
        weights=vmz_release("ipCSN_152_ft_kinetics_from_ig65m_f133090949.pth"),
    ),
    _vmz(
        "reduced",
        None,
        top1=76.5,
        top5=92.1,
        weights=vmz_pickle("46gcm7up60ssx5c/irCSN_152_kinetics_from_scratch_f98268019.pkl"),
    ),
    _vmz(
        "preserved",
        None,
        top1=77.8,
        top5=92.8,
        weights=vmz_pickle("3fihu6ti60047mu/ipCSN_152_kinetics_from_scratch_f129594342.pkl"),
    ),
)
