"""MMAction v0.2's checkpoints: torchvision-like names under `backbone`, the classifier under `cls_head`."""

from collections.abc import Iterator

from torch import Tensor

from marey.models.layers.classifier import LinearClassifier
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts.resnet import (
    NORM_TENSORS,
    Unit,
    Variant,
    flat_resnet,
    one_resnet,
    survey,
    two_resnets,
    units,
)

NAME = "mmaction"
TOOLKIT = "mmaction"
SIGNS = ("backbone.conv1.weight", "backbone.slow_path.conv1.weight")
"""Tensors one of which every file of this layout has, and no other layout's."""
NETWORKS = ("tsn", "c2d", "i3d_resnet", "slowonly", "slowfast")
"""What networks it has names for."""
HEADS = ("cls_head.fc_cls.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
UNUSED = ("backbone.slow_path.layer4_lateral.weight",)
"""Tensors that the toolkit stores and its networks never use."""
_HEAD = "cls_head.fc_cls"
LATERALS = ("conv1_lateral", "layer1_lateral", "layer2_lateral", "layer3_lateral")
"""The convolutions from fast to slow, before each stage."""

I3D_32X2 = {"stem_stride": 2, "pool_stride": 2, "second_pool": 2}
"""I3D's temporal strides, in MMAction2 too."""


def pairs(network: LinearClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        yield f"{_conv(unit)}.weight", f"{unit.ours}.conv.weight"
        norm = f"bn{unit.number}" if unit.number else "downsample.1"
        for tensor in NORM_TENSORS:
            yield f"{root(unit)}{unit.block}{norm}.{tensor}", f"{unit.ours}.norm.{tensor}"
    if isinstance(network, SlowFast):
        for number, lateral in enumerate(LATERALS):
            yield f"backbone.slow_path.{lateral}.weight", f"laterals.{number}.conv.weight"
    for tensor in ("weight", "bias"):
        yield f"{_HEAD}.{tensor}", f"head.{tensor}"


def root(unit: Unit) -> str:
    """Where a unit's ResNet lies, in MMAction2 too."""
    return "backbone." if unit.pathway is None else f"backbone.{('slow', 'fast')[unit.pathway]}_path."


def _conv(unit: Unit) -> str:
    return f"{root(unit)}{unit.block}" + (f"conv{unit.number}" if unit.number else "downsample.0")


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """TSN, I3D, C2D, SlowOnly or SlowFast on a ResNet by shapes; None if it is none of them."""
    head = tensors.get(f"{_HEAD}.weight")
    if head is None:
        return None
    if SIGNS[1] in tensors:
        slow, fast = (survey(tensors, _conv, pathway) for pathway in (0, 1))
        lateral = tensors.get(f"backbone.slow_path.{LATERALS[0]}.weight")
        return two_resnets(slow, fast, lateral, len(head), alpha=alpha_of(lateral))
    found = survey(tensors, _conv)
    if found is None:
        return None
    if not found.kernels:
        return flat_resnet(found, len(head))
    return one_resnet(found, len(head), window=None, c2d={"second_pool": 1}, i3d=I3D_32X2)


def alpha_of(lateral: Tensor | None) -> int:
    """The toolkits of MMAction lengthen the laterals from 5 to 7 for 8x8 (alpha 4)."""
    return 4 if lateral is not None and lateral.shape[2] == 7 else 8
