"""timm's EfficientNet-Lite: `tf_efficientnet_lite0` to 2 and `efficientnet_lite0`. (Its ResNets: torchvision's names.)"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.layers.classifier import PooledClassifier
from marey.weights.layouts.lite import Unit, lite, units
from marey.weights.layouts.resnet import NORM_TENSORS, Variant

NAME = "timm"
TOOLKIT = "timm"
SIGNS = ("conv_stem.weight",)
"""A tensor that every file of this layout has, and no other layout's."""
NETWORKS = ("tsn_lite", "tsm_lite")
"""What networks it has names for."""
HEADS = ("classifier.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""

_WIDENING = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}
_FIRST = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}
"""In the first stage, whose blocks do not widen."""


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        conv, norm = _names(unit)
        yield f"{conv}.weight", f"{unit.ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{norm}.{tensor}", f"{unit.ours}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"classifier.{tensor}", f"head.{tensor}"


def _names(unit: Unit) -> tuple[str, str]:
    if unit.part == "stem":
        return "conv_stem", "bn1"
    if unit.part == "last":
        return "conv_head", "bn2"
    conv, norm = (_WIDENING if unit.stage else _FIRST)[unit.part]
    block = f"blocks.{unit.stage}.{unit.place}"
    return f"{block}.{conv}", f"{block}.{norm}"


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """TSN on EfficientNet-Lite by shapes; None if it is another network (EfficientNet-B0, MobileNet)."""
    found = lite(tensors, pairs, stem=SIGNS[0], head="classifier.weight")
    if found is None:
        return None
    note = (
        "padding and epsilon are taken for tf_efficientnet_lite's; efficientnet_lite0 looks the same and needs a recipe"
    )
    return Variant(found.config, (note,))
