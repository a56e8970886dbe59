"""PyTorchVideo's R(2+1)D and CSN: stem, stages and head are a list of `blocks`."""

from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D
from marey.weights.layouts import separated
from marey.weights.layouts.pyslowfast import WINDOW
from marey.weights.layouts.resnet import Variant
from marey.weights.layouts.separated import Names, Unit

NAME = "pytorchvideo"
TOOLKIT = "pytorchvideo"
SIGNS = ("blocks.0.conv.weight",)
"""A tensor that every file of this layout has, and no other toolkit's."""
NETWORKS = separated.NETWORKS
HEADS = ("blocks.5.proj.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
_HEAD = "blocks.5.proj"
_HABITS = {"norm_eps": 1e-5, "pool_window": WINDOW}


def pairs(network: R2Plus1D | CSN) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    return separated.named(network, _names, _HEAD)


def _names(unit: Unit) -> Names:
    if unit.part == "stem":
        return Names("blocks.0.conv", "blocks.0.norm")
    block = f"blocks.{unit.stage}.res_blocks.{unit.place}"
    if unit.part == "shortcut":
        return Names(f"{block}.branch1_conv", f"{block}.branch1_norm")
    conv, norm = f"{block}.branch2.conv_{unit.part}", f"{block}.branch2.norm_{unit.part}"
    if unit.step == 1:
        return Names(f"{conv}.conv_t", f"{conv}.norm")
    return Names(f"{conv}.conv_xy" if unit.step == 2 else conv, norm)


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """R(2+1)D or CSN by shapes; None if it is neither."""
    match separated.told(tensors, _names, f"{_HEAD}.weight"):
        case R2Plus1DConfig(convolutions="time_space") as config:
            strides = {"first_stride": 2, "temporal_strides": (1, 1, 2, 2)}
            return Variant(config.model_copy(update=_HABITS | strides))
        case CSNConfig(interaction="reduced") as config:
            return Variant(config.model_copy(update=_HABITS))
    return None
