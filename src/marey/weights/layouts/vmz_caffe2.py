"""VMZ's released R(2+1)D and CSN: Caffe2's blobs, blocks numbered through the network.

Names follow VMZ's builder (c2/lib/models/r3d_model.py and builder/video_model.py): `comp_<n>` is block n from 0, and its
convolutions are counted from 1 in the order in which they are built. The first of two steps ends in `_middle`. In
ir-CSN, whose depthwise convolution has no pointwise one before it, the number 2 is skipped: convolutions are 1, 3 and
4. Norms are called `spatbn`.

Worked example (recipe ircsn_r152_32x2_k400_ig65m_vmz):

    conv1_w -> resnet.stem.conv.weight
    conv1_spatbn_relu_s -> resnet.stem.norm.weight
    comp_0_conv_1_w -> resnet.stages.0.0.a.conv.weight
    comp_0_spatbn_1_s -> resnet.stages.0.0.a.norm.weight
    comp_0_conv_3_w -> resnet.stages.0.0.b.conv.weight
    comp_0_spatbn_3_s -> resnet.stages.0.0.b.norm.weight
    comp_0_spatbn_3_riv -> resnet.stages.0.0.b.norm.running_var
    shortcut_projection_0_w -> resnet.stages.0.0.shortcut.conv.weight
    shortcut_projection_0_spatbn_s -> resnet.stages.0.0.shortcut.norm.weight
    last_out_w -> head.weight

Worked example (recipe r2plus1d_r34_8x1_k400_ig65m_vmz):

    conv1_middle_w -> resnet.stem.first.conv.weight
    conv1_middle_spatbn_relu_s -> resnet.stem.first.norm.weight
    conv1_w -> resnet.stem.second.conv.weight
    conv1_spatbn_relu_s -> resnet.stem.second.norm.weight
    comp_0_conv_1_middle_w -> resnet.stages.0.0.a.first.conv.weight
    comp_0_spatbn_1_middle_s -> resnet.stages.0.0.a.first.norm.weight
    comp_0_conv_1_w -> resnet.stages.0.0.a.second.conv.weight
    comp_0_spatbn_1_s -> resnet.stages.0.0.a.second.norm.weight
"""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.network import Network
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.pyslowfast_caffe2 import NORM_BLOBS
from marey.weights.layouts.units.factorised import NETWORKS, FactorisedUnit, factorised_units, infer_factorised

_HEAD = "last_out"
_POOL = "no pool follows the stem, as in VMZ's R(2+1)D at 112 pixels"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their blob as `normalised`, our key) for each tensor of the network, once, except for the norms' counters, which the
    file lacks.
    """
    for unit in factorised_units(network):
        conv, norm = _names(unit)
        yield f"{conv}_w", f"{unit.ours}.conv.weight"
        for blob, tensor in NORM_BLOBS.items():
            yield f"{norm}_{blob}", f"{unit.ours}.norm.{tensor}"
    yield f"{_HEAD}_w", "head.weight"
    yield f"{_HEAD}_b", "head.bias"


def normalised(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The blobs with the number of classes removed from the classifier's name (`last_out_L400_w`).

    The weight of a classifier that was saved as a pointwise convolution becomes a matrix.
    """
    numbered = {name: f"{_HEAD}_{name[-1]}" for name in tensors if re.fullmatch(rf"{_HEAD}_L\d+_[wb]", name)}
    head = {plain: tensors[name].flatten(1) if plain[-1] == "w" else tensors[name] for name, plain in numbered.items()}
    return {name: value for name, value in tensors.items() if name not in numbered} | head


def _names(unit: FactorisedUnit) -> Names:
    middle = "_middle" if unit.step == 1 else ""
    if unit.layer == "stem":
        return Names(f"conv1{middle}", f"conv1{middle}_spatbn_relu")
    serial = sum(unit.blocks[: unit.stage - 1]) + unit.block
    if unit.layer == "shortcut":
        return Names(f"shortcut_projection_{serial}", f"shortcut_projection_{serial}_spatbn")
    twice = isinstance(unit.config, CSNConfig) and unit.config.interaction == "reduced" and unit.number > 1
    number = f"{unit.number + twice}{middle}"
    return Names(f"comp_{serial}_conv_{number}", f"comp_{serial}_spatbn_{number}")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """R(2+1)D, R3D or CSN by shapes; None if it is none of them."""
    match infer_factorised(tensors, _names, f"{_HEAD}_w", ending="_w"):
        case R2Plus1DConfig(convolutions="space_time" | "whole") as config:
            return InferredConfig(config, (_POOL,))
        case CSNConfig() as config:
            return InferredConfig(config)
    return None


LAYOUT = Layout(
    name="vmz_caffe2",
    toolkit="vmz",
    signatures=(KeySignature(("conv1_w", "comp_0_conv_1_w", "comp_0_spatbn_1_rm")),),
    networks=NETWORKS,
    heads=("last_out_w",),
    pairs=pairs,
    infer_config=infer_config,
    absent=(".num_batches_tracked",),
    normalised=normalised,
)
