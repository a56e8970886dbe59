"""MMAction2's R(2+1)D and CSN: modules of `conv` and `bn` under `backbone`, the classifier under `cls_head`."""

from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D
from marey.weights.layouts import separated
from marey.weights.layouts.resnet import Variant
from marey.weights.layouts.separated import Names, Unit

NAME = "mmaction2"
TOOLKIT = "mmaction2"
SIGNS = ("backbone.conv1.conv.conv_s.weight", "backbone.layer1.0.conv2.0.conv.weight")
"""Tensors one of which every file of this layout has, and no other layout's."""
NETWORKS = separated.NETWORKS
HEADS = ("cls_head.fc_cls.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
_HEAD = "cls_head.fc_cls"


def pairs(network: R2Plus1D | CSN) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    return separated.named(network, _names, _HEAD)


def _names(unit: Unit) -> Names:
    if unit.part == "stem":
        module = "backbone.conv1"
    else:
        part = "downsample" if unit.part == "shortcut" else f"conv{unit.number}"
        module = f"backbone.{unit.block}.{part}"
    if isinstance(unit.config, CSNConfig):
        # The middle of a bottleneck is a list: one convolution in ir-CSN, two in ip-CSN.
        module += f".{(unit.step or 1) - 1}" if unit.part == "b" else ""
        return Names(f"{module}.conv", f"{module}.bn")
    if unit.step == 1:
        return Names(f"{module}.conv.conv_s", f"{module}.conv.bn_s")
    return Names(f"{module}.conv.conv_t" if unit.step == 2 else f"{module}.conv", f"{module}.bn")


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """R(2+1)D or CSN by shapes; None if it is neither."""
    match separated.told(tensors, _names, f"{_HEAD}.weight"):
        case R2Plus1DConfig(convolutions="space_time") as config:
            return Variant(config.model_copy(update={"first_pool": True, "middle_eps": 1e-5}))
        case CSNConfig() as config:
            return Variant(config)
    return None
