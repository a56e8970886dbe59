"""MMAction v0.2's networks on ResNets: torchvision-like names under `backbone`, the classifier under `cls_head`.

Worked example (recipe slowonly_r50_4x16_k400):

    backbone.conv1.weight -> resnet.stem.conv.weight
    backbone.bn1.weight -> resnet.stem.norm.weight
    backbone.layer1.0.conv1.weight -> resnet.stages.0.0.a.conv.weight
    backbone.layer1.0.bn1.weight -> resnet.stages.0.0.a.norm.weight
    backbone.layer1.0.downsample.0.weight -> resnet.stages.0.0.shortcut.conv.weight
    backbone.layer1.0.downsample.1.weight -> resnet.stages.0.0.shortcut.norm.weight
    cls_head.fc_cls.weight -> head.weight

Worked example (recipe slowfast_r50_4x16_k400):

    backbone.slow_path.conv1.weight -> slow.stem.conv.weight
    backbone.slow_path.bn1.weight -> slow.stem.norm.weight
    backbone.slow_path.layer1.0.conv1.weight -> slow.stages.0.0.a.conv.weight
    backbone.slow_path.layer1.0.bn1.weight -> slow.stages.0.0.a.norm.weight
    backbone.slow_path.layer1.0.downsample.0.weight -> slow.stages.0.0.shortcut.conv.weight
    backbone.slow_path.layer1.0.downsample.1.weight -> slow.stages.0.0.shortcut.norm.weight
    backbone.slow_path.conv1_lateral.weight -> laterals.0.conv.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.network import Network
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names, linear_pairs
from marey.weights.layouts.mmaction2 import HEAD, I3D_32X2, LATERALS, alpha_of, root
from marey.weights.layouts.units.resnet import ResNetUnit, find_resnet, infer_2d, infer_3d, infer_slowfast, resnet_pairs

_STEM, _SLOW_STEM = "backbone.conv1.weight", "backbone.slow_path.conv1.weight"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    yield from resnet_pairs(network, _names)
    if isinstance(network, SlowFast):
        for number, lateral in enumerate(LATERALS):
            yield f"backbone.slow_path.{lateral}.weight", f"laterals.{number}.conv.weight"
    yield from linear_pairs(HEAD)


def _names(unit: ResNetUnit) -> Names:
    block = f"{root(unit)}{unit.prefix}"
    if unit.layer == "shortcut":
        return Names(f"{block}downsample.0", f"{block}downsample.1")
    return Names(f"{block}conv{unit.number}", f"{block}bn{unit.number}")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """TSN, I3D, C2D, SlowOnly or SlowFast on a ResNet by shapes; None if it is none of them."""
    head = tensors.get(f"{HEAD}.weight")
    if head is None:
        return None
    if _SLOW_STEM in tensors:
        slow, fast = (find_resnet(tensors, _names, pathway) for pathway in (0, 1))
        lateral = tensors.get(f"backbone.slow_path.{LATERALS[0]}.weight")
        return infer_slowfast(slow, fast, lateral, len(head), alpha=alpha_of(lateral))
    found = find_resnet(tensors, _names)
    if found is None:
        return None
    if not found.kernels:
        return infer_2d(found, len(head))
    return infer_3d(found, len(head), window=None, c2d={"second_pool": 1}, i3d=I3D_32X2)


LAYOUT = Layout(
    name="mmaction",
    toolkit="mmaction",
    signatures=(
        # A detector of MMDetection with a feature pyramid has the same names in its trunk.
        KeySignature((_STEM, "backbone.layer1.0.conv1.weight"), missing=("neck.lateral_convs.0.conv.weight",)),
        KeySignature(
            (_SLOW_STEM, "backbone.slow_path.layer1.0.conv1.weight", "backbone.slow_path.conv1_lateral.weight")
        ),
    ),
    networks=("tsn", "c2d", "i3d_resnet", "slowonly", "slowfast"),
    heads=(f"{HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
    unused=("backbone.slow_path.layer4_lateral.weight",),
)
