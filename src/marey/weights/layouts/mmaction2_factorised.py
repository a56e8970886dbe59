"""MMAction2's R(2+1)D and CSN: modules of `conv` and `bn` under `backbone`, the classifier under `cls_head`.

Worked example (recipe ircsn_r50_32x2_k400_ig65m_mmaction2):

    backbone.conv1.conv.weight -> resnet.stem.conv.weight
    backbone.conv1.bn.weight -> resnet.stem.norm.weight
    backbone.layer1.0.conv1.conv.weight -> resnet.stages.0.0.a.conv.weight
    backbone.layer1.0.conv1.bn.weight -> resnet.stages.0.0.a.norm.weight
    backbone.layer1.0.conv2.0.conv.weight -> resnet.stages.0.0.b.conv.weight
    backbone.layer1.0.conv2.0.bn.weight -> resnet.stages.0.0.b.norm.weight
    backbone.layer1.0.downsample.conv.weight -> resnet.stages.0.0.shortcut.conv.weight
    backbone.layer1.0.downsample.bn.weight -> resnet.stages.0.0.shortcut.norm.weight
    cls_head.fc_cls.weight -> head.weight

Worked example (recipe r2plus1d_r34_8x8_k400_mmaction2):

    backbone.conv1.conv.conv_s.weight -> resnet.stem.first.conv.weight
    backbone.conv1.conv.bn_s.weight -> resnet.stem.first.norm.weight
    backbone.conv1.conv.conv_t.weight -> resnet.stem.second.conv.weight
    backbone.conv1.bn.weight -> resnet.stem.second.norm.weight
    backbone.layer1.0.conv1.conv.conv_s.weight -> resnet.stages.0.0.a.first.conv.weight
    backbone.layer1.0.conv1.conv.bn_s.weight -> resnet.stages.0.0.a.first.norm.weight
    backbone.layer1.0.conv1.conv.conv_t.weight -> resnet.stages.0.0.a.second.conv.weight
    backbone.layer1.0.conv1.bn.weight -> resnet.stages.0.0.a.second.norm.weight
    backbone.layer2.0.downsample.conv.conv_s.weight -> resnet.stages.1.0.shortcut.first.conv.weight
    backbone.layer2.0.downsample.conv.bn_s.weight -> resnet.stages.1.0.shortcut.first.norm.weight
    backbone.layer2.0.downsample.conv.conv_t.weight -> resnet.stages.1.0.shortcut.second.conv.weight
    backbone.layer2.0.downsample.bn.weight -> resnet.stages.1.0.shortcut.second.norm.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.network import Network
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.mmaction2 import HEAD
from marey.weights.layouts.units.factorised import NETWORKS, FactorisedUnit, factorised_pairs, infer_factorised


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    return factorised_pairs(network, _names, HEAD)


def _names(unit: FactorisedUnit) -> Names:
    if unit.layer == "stem":
        module = "backbone.conv1"
    else:
        module = f"backbone.{unit.prefix}" + ("downsample" if unit.layer == "shortcut" else f"conv{unit.number}")
    if isinstance(unit.config, CSNConfig):
        # The middle layer of a bottleneck is a list: of one convolution in ir-CSN, of two in ip-CSN.
        module += f".{(unit.step or 1) - 1}" if unit.layer == "b" else ""
        return Names(f"{module}.conv", f"{module}.bn")
    if unit.step == 1:
        return Names(f"{module}.conv.conv_s", f"{module}.conv.bn_s")
    return Names(f"{module}.conv.conv_t" if unit.step == 2 else f"{module}.conv", f"{module}.bn")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """R(2+1)D or CSN by shapes; None if it is neither."""
    match infer_factorised(tensors, _names, f"{HEAD}.weight"):
        case R2Plus1DConfig(convolutions="space_time") as config:
            return InferredConfig(config.model_copy(update={"first_pool": True, "middle_eps": 1e-5}))
        case CSNConfig() as config:
            return InferredConfig(config)
    return None


LAYOUT = Layout(
    name="mmaction2",
    toolkit="mmaction2",
    signatures=(
        KeySignature(("backbone.conv1.conv.conv_s.weight", "backbone.layer1.0.conv2.conv.conv_s.weight")),
        KeySignature(("backbone.conv1.conv.weight", "backbone.layer1.0.conv2.0.conv.weight")),
    ),
    networks=NETWORKS,
    heads=(f"{HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
