"""VMZ's R(2+1)D and CSN in PyTorch, which are torchvision's VideoResNet, and torchvision's own R(2+1)D, R3D and MC3.

Worked example (recipe r2plus1d_r34_8x1_k400_ig65m_vmz):

    stem.0.weight -> resnet.stem.first.conv.weight
    stem.1.weight -> resnet.stem.first.norm.weight
    stem.3.weight -> resnet.stem.second.conv.weight
    stem.4.weight -> resnet.stem.second.norm.weight
    layer1.0.conv1.0.0.weight -> resnet.stages.0.0.a.first.conv.weight
    layer1.0.conv1.0.1.weight -> resnet.stages.0.0.a.first.norm.weight
    layer1.0.conv1.0.3.weight -> resnet.stages.0.0.a.second.conv.weight
    layer1.0.conv1.1.weight -> resnet.stages.0.0.a.second.norm.weight
    layer2.0.downsample.0.weight -> resnet.stages.1.0.shortcut.conv.weight
    layer2.0.downsample.1.weight -> resnet.stages.1.0.shortcut.norm.weight
    fc.weight -> head.weight

Worked example (recipe ipcsn_r152_32x2_k400_ig65m_vmz):

    stem.0.weight -> resnet.stem.conv.weight
    stem.1.weight -> resnet.stem.norm.weight
    layer1.0.conv1.0.weight -> resnet.stages.0.0.a.conv.weight
    layer1.0.conv1.1.weight -> resnet.stages.0.0.a.norm.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.network import Network
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.units.factorised import NETWORKS, FactorisedUnit, factorised_pairs, infer_factorised

_HEAD = "fc"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    return factorised_pairs(network, _names, _HEAD)


def _names(unit: FactorisedUnit) -> Names:
    if unit.layer == "stem":
        return Names("stem.3", "stem.4") if unit.step == 2 else Names("stem.0", "stem.1")
    if unit.layer == "shortcut":
        return Names(f"{unit.prefix}downsample.0", f"{unit.prefix}downsample.1")
    # A layer is a list of convolution and norm. A factorised convolution is itself a list of two convolutions with a norm
    # between them, in R(2+1)D also a ReLU.
    conv, norm = f"{unit.prefix}conv{unit.number}.0", f"{unit.prefix}conv{unit.number}.1"
    if unit.step == 1:
        return Names(f"{conv}.0", f"{conv}.1")
    second = 2 if isinstance(unit.config, CSNConfig) else 3
    return Names(f"{conv}.{second}" if unit.step == 2 else conv, norm)


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """R(2+1)D, R3D, MC3 or CSN by shapes; None if it is none of them."""
    match infer_factorised(tensors, _names, f"{_HEAD}.weight"):
        case R2Plus1DConfig(convolutions="space_time") as config:
            pool = config.depth >= 50
            note = f"{'a' if pool else 'no'} pool follows the stem, as VMZ's PyTorch code has it at this depth"
            return InferredConfig(config.model_copy(update={"first_pool": pool}), (note,))
        case R2Plus1DConfig(convolutions="mixed") as config:
            return InferredConfig(config.model_copy(update={"norm_eps": 1e-5, "temporal_strides": (1, 1, 1, 1)}))
        case R2Plus1DConfig(convolutions="block_space_time" | "whole") as config:
            return InferredConfig(config.model_copy(update={"norm_eps": 1e-5}))
        case CSNConfig() as config:
            return InferredConfig(config)
    return None


LAYOUT = Layout(
    name="videoresnet",
    toolkit="vmz",
    signatures=(
        KeySignature(("stem.0.weight", "layer1.0.conv1.0.weight")),
        KeySignature(("stem.0.weight", "layer1.0.conv1.0.0.weight")),
    ),
    networks=NETWORKS,
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
