"""Checkpoints of torchvision's ResNets, and of timm's plain ones, which have the same names: 2D, `fc` at the end.

The 2D network is TSN's on a single frame; TSM has the same tensors. Other networks start from such files by inflation
(`marey.weights.pretraining`).
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.layers.classifier import LinearClassifier
from marey.weights.layouts.resnet import NORM_TENSORS, Unit, Variant, flat_resnet, survey, units

NAME = "torchvision"
TOOLKIT = "torchvision"
SIGNS = ("conv1.weight",)
"""A tensor that every file of this layout has, and no other layout's."""
NETWORKS = ("tsn", "tsm")
"""What networks it has names for."""
HEADS = ("fc.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""


def pairs(network: LinearClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        yield f"{_conv(unit)}.weight", f"{unit.ours}.conv.weight"
        norm = f"bn{unit.number}" if unit.number else "downsample.1"
        for tensor in NORM_TENSORS:
            yield f"{unit.block}{norm}.{tensor}", f"{unit.ours}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"fc.{tensor}", f"head.{tensor}"


def _conv(unit: Unit) -> str:
    return unit.block + (f"conv{unit.number}" if unit.number else "downsample.0")


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """TSN on a ResNet by shapes; None if the file holds no plain 2D ResNet (ResNeXt, ResNet-D, a 3D network)."""
    head, found = tensors.get("fc.weight"), survey(tensors, _conv)
    if head is None or found is None or found.kernels:
        return None
    return flat_resnet(found, len(head))
