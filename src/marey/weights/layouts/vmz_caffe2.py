"""VMZ's released R(2+1)D and CSN: Caffe2's blobs, blocks counted through the whole network.

Names follow VMZ's builder (c2/lib/models/r3d_model.py and builder/video_model.py): `comp_<n>` is block n from 0, and its
convolutions are counted from 1 in the order in which they are built. Of two steps the first is `_middle`. The counter of
a depthwise convolution without a pointwise one before it (ir-CSN) moves on twice, so that such blocks have the numbers 1,
3 and 4. Norms are called `spatbn`; `riv` is their running variance, in spite of its name.
"""

import re
from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D
from marey.weights.layouts import separated
from marey.weights.layouts.resnet import Variant
from marey.weights.layouts.separated import Names, Unit

NAME = "vmz_caffe2"
TOOLKIT = "vmz"
SIGNS = ("comp_0_conv_1_w",)
"""A blob that every file of this layout has, and no other layout's."""
NETWORKS = separated.NETWORKS
HEADS = ("last_out_w",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
ABSENT = (".num_batches_tracked",)
"""How those of our tensors end that it has no counterpart of."""
_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
_HEAD = "last_out"
_POOL = "no pool follows the stem, as in VMZ's R(2+1)D at 112 pixels"


def pairs(network: R2Plus1D | CSN) -> Iterator[tuple[str, str]]:
    """(their blob as `plain` calls it, our tensor), each of ours once but the norms' counters, which they do not have."""
    for unit in separated.units(network):
        conv, norm = _names(unit)
        yield f"{conv}_w", f"{unit.ours}.conv.weight"
        for blob, tensor in _NORM.items():
            yield f"{norm}_{blob}", f"{unit.ours}.norm.{tensor}"
    yield f"{_HEAD}_w", "head.weight"
    yield f"{_HEAD}_b", "head.bias"


def plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The blobs with the number of classes taken off the classifier's name (`last_out_L400_w`).

    It may have been saved as a pointwise convolution.
    """
    numbered = {name: f"{_HEAD}_{name[-1]}" for name in tensors if re.fullmatch(rf"{_HEAD}_L\d+_[wb]", name)}
    head = {ours: tensors[name].flatten(1) if ours[-1] == "w" else tensors[name] for name, ours in numbered.items()}
    return {name: value for name, value in tensors.items() if name not in numbered} | head


def _names(unit: Unit) -> Names:
    middle = "_middle" if unit.step == 1 else ""
    if unit.part == "stem":
        return Names(f"conv1{middle}", f"conv1{middle}_spatbn_relu")
    serial = sum(unit.blocks[: unit.stage - 1]) + unit.place
    if unit.part == "shortcut":
        return Names(f"shortcut_projection_{serial}", f"shortcut_projection_{serial}_spatbn")
    twice = isinstance(unit.config, CSNConfig) and unit.config.interaction == "reduced" and unit.number > 1
    number = f"{unit.number + twice}{middle}"
    return Names(f"comp_{serial}_conv_{number}", f"comp_{serial}_spatbn_{number}")


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """R(2+1)D, R3D or CSN by shapes; None if it is none of them."""
    match separated.told(plain(tensors), _names, f"{_HEAD}_w", ending="_w"):
        case R2Plus1DConfig(convolutions="space_time" | "whole") as config:
            return Variant(config, (_POOL,))
        case CSNConfig() as config:
            return Variant(config)
    return None
