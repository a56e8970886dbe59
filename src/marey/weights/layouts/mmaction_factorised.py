"""MMAction v0.2's R(2+1)D and CSN: blocks by letters under `backbone`, the classifier under `cls_head`.

Worked example (recipe r2plus1d_r34_8x8_k400):

    backbone.conv1_s.weight -> resnet.stem.first.conv.weight
    backbone.bn1_s.weight -> resnet.stem.first.norm.weight
    backbone.conv1_t.weight -> resnet.stem.second.conv.weight
    backbone.bn1_t.weight -> resnet.stem.second.norm.weight
    backbone.layer1.a.conv1.conv_s.weight -> resnet.stages.0.0.a.first.conv.weight
    backbone.layer1.a.conv1.bn_s.weight -> resnet.stages.0.0.a.first.norm.weight
    backbone.layer1.a.conv1.conv_t.weight -> resnet.stages.0.0.a.second.conv.weight
    backbone.layer1.a.bn1.weight -> resnet.stages.0.0.a.second.norm.weight
    backbone.layer2.a.conv3.weight -> resnet.stages.1.0.shortcut.conv.weight
    backbone.layer2.a.bn3.weight -> resnet.stages.1.0.shortcut.norm.weight
    cls_head.fc_cls.weight -> head.weight

Worked example (recipe ipcsn_r152_32x2_k400_mmaction):

    backbone.conv1.weight -> resnet.stem.conv.weight
    backbone.bn1.weight -> resnet.stem.norm.weight
    backbone.layer1.a.conv0.weight -> resnet.stages.0.0.a.conv.weight
    backbone.layer1.a.bn0.weight -> resnet.stages.0.0.a.norm.weight
    backbone.layer1.a.conv1.conv_T.weight -> resnet.stages.0.0.b.first.conv.weight
    backbone.layer1.a.conv1.bn_T.weight -> resnet.stages.0.0.b.first.norm.weight
    backbone.layer1.a.conv1.conv_C.weight -> resnet.stages.0.0.b.second.conv.weight
"""

from collections.abc import Iterator
from string import ascii_lowercase

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.network import Network
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.mmaction2 import HEAD
from marey.weights.layouts.units.factorised import NETWORKS, FactorisedUnit, factorised_pairs, infer_factorised

_RELU = (
    "ReLU between the steps of ip-CSN, as MMAction's code has it; converted weights of VMZ need none "
    "(recipe ipcsn_r152_32x2_k400_ig65m)"
)
_POOL = "a pool follows the stem, as in MMAction's configs; weights that VMZ trained at 112 pixels need none"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    return factorised_pairs(network, _names, HEAD)


def letters(index: int, blocks: int) -> str:
    """The name of a stage's block: a, b, c, ...; in a stage of 26 blocks or more aa, ab, ..., az, ba, ..."""
    last = ascii_lowercase[index % 26]
    return last if blocks < 26 else ascii_lowercase[index // 26] + last


def _names(unit: FactorisedUnit) -> Names:
    if unit.layer == "stem":
        step = {None: "", 1: "_s", 2: "_t"}[unit.step]
        return Names(f"backbone.conv1{step}", f"backbone.bn1{step}")
    # Convolutions count from 0 in bottlenecks, from 1 in basic blocks; the shortcut always has number 3.
    number = 3 if unit.layer == "shortcut" else unit.number - (unit.config.depth >= 50)
    block = f"backbone.layer{unit.stage}.{letters(unit.block, unit.blocks[unit.stage - 1])}"
    conv, norm = f"{block}.conv{number}", f"{block}.bn{number}"
    first, second = ("T", "C") if isinstance(unit.config, CSNConfig) else ("s", "t")
    if unit.step == 1:
        return Names(f"{conv}.conv_{first}", f"{conv}.bn_{first}")
    return Names(f"{conv}.conv_{second}" if unit.step == 2 else conv, norm)


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """R(2+1)D, R3D or CSN by shapes; None if it is none of them."""
    match infer_factorised(tensors, _names, f"{HEAD}.weight"):
        case R2Plus1DConfig(convolutions="space_time" | "whole") as config:
            return InferredConfig(config.model_copy(update={"first_pool": True}), (_POOL,))
        case CSNConfig(interaction="preserved") as config:
            notes = (_RELU,) if config.depthwise else ()
            return InferredConfig(config.model_copy(update={"preserved_relu": True}), notes)
        case CSNConfig() as config:
            return InferredConfig(config)
    return None


LAYOUT = Layout(
    name="mmaction",
    toolkit="mmaction",
    signatures=(
        KeySignature(("backbone.conv1_s.weight", "backbone.layer1.a.bn1.weight")),
        KeySignature(("backbone.conv1.weight", "backbone.layer1.a.bn1.weight")),
    ),
    networks=NETWORKS,
    heads=(f"{HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
