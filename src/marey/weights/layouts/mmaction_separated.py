"""MMAction v0.2's R(2+1)D and CSN: blocks by letters under `backbone`, the classifier under `cls_head`."""

from collections.abc import Iterator
from string import ascii_lowercase

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D
from marey.weights.layouts import separated
from marey.weights.layouts.resnet import Variant
from marey.weights.layouts.separated import Names, Unit

NAME = "mmaction"
TOOLKIT = "mmaction"
SIGNS = ("backbone.layer1.a.bn1.weight",)
"""A tensor that every file of this layout has and no other layout's."""
NETWORKS = separated.NETWORKS
HEADS = ("cls_head.fc_cls.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
_HEAD = "cls_head.fc_cls"
_RELU = (
    "ReLU between the steps of ip-CSN, as MMAction's code has it; weights that VMZ trained want none, whoever converted "
    "them (recipe ipcsn_r152_32x2_k400_ig65m)"
)
_POOL = "a pool follows the stem, as in MMAction's configs; weights that VMZ trained at 112 pixels want none"


def pairs(network: R2Plus1D | CSN) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    return separated.named(network, _names, _HEAD)


def letters(place: int, blocks: int) -> str:
    """A block's name in its stage: a, b, c, ...; in a stage of 26 blocks or more aa, ab, ..., az, ba, ..."""
    last = ascii_lowercase[place % 26]
    return last if blocks < 26 else ascii_lowercase[place // 26] + last


def _names(unit: Unit) -> Names:
    if unit.part == "stem":
        which = {None: "", 1: "_s", 2: "_t"}[unit.step]
        return Names(f"backbone.conv1{which}", f"backbone.bn1{which}")
    # Counted from 0 in bottlenecks, from 1 in basic blocks; the shortcut is always the third.
    number = 3 if unit.part == "shortcut" else unit.number - (unit.config.depth >= 50)
    block = f"backbone.layer{unit.stage}.{letters(unit.place, unit.blocks[unit.stage - 1])}"
    conv, norm = f"{block}.conv{number}", f"{block}.bn{number}"
    first, second = ("T", "C") if isinstance(unit.config, CSNConfig) else ("s", "t")
    if unit.step == 1:
        return Names(f"{conv}.conv_{first}", f"{conv}.bn_{first}")
    return Names(f"{conv}.conv_{second}" if unit.step == 2 else conv, norm)


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """R(2+1)D, R3D or CSN by shapes; None if it is none of them."""
    match separated.told(tensors, _names, f"{_HEAD}.weight"):
        case R2Plus1DConfig(convolutions="space_time" | "whole") as config:
            return Variant(config.model_copy(update={"first_pool": True}), (_POOL,))
        case CSNConfig(interaction="preserved") as config:
            return Variant(config.model_copy(update={"preserved_relu": True}), (_RELU,) if config.depthwise else ())
        case CSNConfig() as config:
            return Variant(config)
    return None
