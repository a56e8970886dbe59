"""VMZ's R(2+1)D and CSN in PyTorch, which are torchvision's VideoResNet, and torchvision's own R(2+1)D, R3D and MC3."""

from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D
from marey.weights.layouts import separated
from marey.weights.layouts.resnet import Variant
from marey.weights.layouts.separated import Names, Unit

NAME = "videoresnet"
TOOLKIT = "vmz"
SIGNS = ("stem.0.weight",)
"""A tensor that every file of this layout has and no other layout's."""
NETWORKS = separated.NETWORKS
HEADS = ("fc.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
_HEAD = "fc"


def pairs(network: R2Plus1D | CSN) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    return separated.named(network, _names, _HEAD)


def _names(unit: Unit) -> Names:
    if unit.part == "stem":
        return Names("stem.3", "stem.4") if unit.step == 2 else Names("stem.0", "stem.1")
    if unit.part == "shortcut":
        return Names(f"{unit.block}.downsample.0", f"{unit.block}.downsample.1")
    # A list of the convolution and its norm; two steps are a list in the convolution's place, with ReLU in R(2+1)D.
    conv, norm = f"{unit.block}.conv{unit.number}.0", f"{unit.block}.conv{unit.number}.1"
    if unit.step == 1:
        return Names(f"{conv}.0", f"{conv}.1")
    second = 2 if isinstance(unit.config, CSNConfig) else 3
    return Names(f"{conv}.{second}" if unit.step == 2 else conv, norm)


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """R(2+1)D, R3D, MC3 or CSN by shapes; None if it is none of them."""
    match separated.told(tensors, _names, f"{_HEAD}.weight"):
        case R2Plus1DConfig(convolutions="space_time") as config:
            pool = config.depth >= 50
            note = f"{'a' if pool else 'no'} pool follows the stem, as VMZ's PyTorch code has it at this depth"
            return Variant(config.model_copy(update={"first_pool": pool}), (note,))
        case R2Plus1DConfig(convolutions="mixed") as config:
            return Variant(config.model_copy(update={"norm_eps": 1e-5, "temporal_strides": (1, 1, 1, 1)}))
        case R2Plus1DConfig(convolutions="block_space_time" | "whole") as config:
            return Variant(config.model_copy(update={"norm_eps": 1e-5}))
        case CSNConfig() as config:
            return Variant(config)
    return None
