"""PySlowFast's released Kinetics networks as Caffe2 saved them: blobs named after layers, the fast pathway's with `t_`.

Stages are counted from 2 (`res2` to `res5`), as in the papers on ResNets. Norms count no batches.
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.layers.classifier import LinearClassifier
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts import pyslowfast
from marey.weights.layouts.resnet import Unit, Variant, attentions, survey, units

NAME = "pyslowfast_caffe2"
TOOLKIT = "pyslowfast"
SIGNS = ("res2_0_branch2a_w",)
"""A blob that every file of this layout has, and no other layout's."""
NETWORKS = pyslowfast.NETWORKS
"""What networks it has names for."""
HEADS = ("pred_w",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
ABSENT = (".num_batches_tracked",)
"""How those of our tensors end that it has no counterpart of."""
_NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
"""`riv` is the variance itself, whatever its name says."""
_TENSORS = {"w": "weight", "b": "bias"}


def pairs(network: LinearClassifier) -> Iterator[tuple[str, str]]:
    """(their blob, our tensor), each of ours once but the norms' counters, which they do not have."""
    for unit in units(network):
        yield f"{_conv(unit)}_w", f"{unit.ours}.conv.weight"
        yield from _norm(f"{_module(unit)}_bn", f"{unit.ours}.norm")
    for block in attentions(network):
        theirs = f"nonlocal_conv{block.stage + 1}_{block.place}"
        for ours in ("theta", "phi", "g") if block.embedded else ("g",):
            for blob, tensor in _TENSORS.items():
                yield f"{theirs}_{ours}_{blob}", f"{block.ours}.{ours}.{tensor}"
        yield f"{theirs}_out_w", f"{block.ours}.out.weight"
        if block.biased:
            yield f"{theirs}_out_b", f"{block.ours}.out.bias"
        yield from _norm(f"{theirs}_bn", f"{block.ours}.norm")
    if isinstance(network, SlowFast):
        last = [len(stage) - 1 for stage in network.fast.stages]  # type: ignore[arg-type]
        behind = ["t_pool1", *(f"t_res{stage}_{last[stage - 2]}_branch2c_bn" for stage in (2, 3, 4))]
        for number, theirs in enumerate(behind):
            yield f"{theirs}_subsample_w", f"laterals.{number}.conv.weight"
            yield from _norm(f"{theirs}_subsample_bn", f"laterals.{number}.norm")
    for blob, tensor in _TENSORS.items():
        yield f"pred_{blob}", f"head.{tensor}"


def _norm(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    return ((f"{theirs}_{blob}", f"{ours}.{tensor}") for blob, tensor in _NORM.items())


def _module(unit: Unit) -> str:
    pathway = "t_" if unit.pathway == 1 else ""
    if not unit.stage:
        return f"{pathway}res_conv1"
    part = "branch1" if unit.part == "shortcut" else f"branch2{unit.part}"
    return f"{pathway}res{unit.stage + 1}_{unit.place}_{part}"


def _conv(unit: Unit) -> str:
    return _module(unit) if unit.stage else _module(unit).replace("res_", "")


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """C2D, I3D, Slow or SlowFast by shapes; None if it is none of them."""
    kernels = {f"{name.removesuffix('_w')}.weight": value for name, value in tensors.items() if name.endswith("_w")}
    pathways = [survey(kernels, _conv, pathway) for pathway in (0, 1)]
    return pyslowfast.told(
        tensors, pathways, head="pred_w", lateral="t_pool1_subsample_w",
        attention="nonlocal_conv{stage}_{place}_out_w",
    )  # fmt: skip
