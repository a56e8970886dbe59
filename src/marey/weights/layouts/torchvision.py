"""Checkpoints of torchvision's ResNets, and of timm's plain ones, which have the same names: 2D, `fc` at the end.

The 2D network is TSN's on a single frame; TSM has the same tensors. Other networks start from such files by inflation
(`marey.weights.pretraining`).

Worked example (recipe tsn_r50_3seg_k400):

    conv1.weight -> resnet.stem.conv.weight
    bn1.weight -> resnet.stem.norm.weight
    layer1.0.conv1.weight -> resnet.stages.0.0.a.conv.weight
    layer1.0.bn1.weight -> resnet.stages.0.0.a.norm.weight
    layer1.0.downsample.0.weight -> resnet.stages.0.0.shortcut.conv.weight
    layer1.0.downsample.1.weight -> resnet.stages.0.0.shortcut.norm.weight
    fc.weight -> head.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.network import Network
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names, linear_pairs
from marey.weights.layouts.units.resnet import ResNetUnit, find_resnet, infer_2d, resnet_pairs

_HEAD = "fc"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    yield from resnet_pairs(network, _names)
    yield from linear_pairs(_HEAD)


def _names(unit: ResNetUnit) -> Names:
    if unit.layer == "shortcut":
        return Names(f"{unit.prefix}downsample.0", f"{unit.prefix}downsample.1")
    return Names(f"{unit.prefix}conv{unit.number}", f"{unit.prefix}bn{unit.number}")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """TSN on a ResNet by shapes; None if the file holds no plain 2D ResNet (ResNeXt, ResNet-D, a 3D network)."""
    head, found = tensors.get(f"{_HEAD}.weight"), find_resnet(tensors, _names)
    if head is None or found is None or found.kernels:
        return None
    return infer_2d(found, len(head))


LAYOUT = Layout(
    name="torchvision",
    toolkit="torchvision",
    signatures=(KeySignature(("conv1.weight", "bn1.weight", "layer1.0.conv1.weight")),),
    networks=("tsn", "tsm"),
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
