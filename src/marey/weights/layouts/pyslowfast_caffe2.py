"""PySlowFast's released Kinetics networks as Caffe2 saved them: blobs named after layers, the fast pathway's with `t_`.

Stages are counted from 2 (`res2` to `res5`), as in the papers on ResNets. Batch norms have no `num_batches_tracked`.

Worked example (recipe slowonly_r50_8x8_k400_pyslowfast):

    conv1_w -> resnet.stem.conv.weight
    res_conv1_bn_s -> resnet.stem.norm.weight
    res2_0_branch2a_w -> resnet.stages.0.0.a.conv.weight
    res2_0_branch2a_bn_s -> resnet.stages.0.0.a.norm.weight
    res2_0_branch2a_bn_riv -> resnet.stages.0.0.a.norm.running_var
    res2_0_branch1_w -> resnet.stages.0.0.shortcut.conv.weight
    res2_0_branch1_bn_s -> resnet.stages.0.0.shortcut.norm.weight
    pred_w -> head.weight

Worked example (recipe i3dnl_r50_8x8_k400_pyslowfast):

    nonlocal_conv3_1_theta_w -> resnet.stages.1.1.after.theta.weight
    nonlocal_conv3_1_phi_w -> resnet.stages.1.1.after.phi.weight
    nonlocal_conv3_1_g_w -> resnet.stages.1.1.after.g.weight
    nonlocal_conv3_1_out_w -> resnet.stages.1.1.after.out.weight
    nonlocal_conv3_1_bn_s -> resnet.stages.1.1.after.norm.weight

Worked example (recipe slowfast_r50_8x8_k400_pyslowfast):

    t_pool1_subsample_w -> laterals.0.conv.weight
    t_pool1_subsample_bn_s -> laterals.0.norm.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.network import Network
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts import pyslowfast
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.units.resnet import ResNetUnit, find_resnet, non_local_units, resnet_units

NORM_BLOBS = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}
"""A batch norm's blobs in Caffe2, by their ending; `riv` (running inverse variance) is the variance itself."""
_TENSORS = {"w": "weight", "b": "bias"}


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their blob, our key) for each tensor of the network, once, except for the norms' counters, which the file lacks."""
    for unit in resnet_units(network):
        conv, norm = _names(unit)
        yield f"{conv}_w", f"{unit.ours}.conv.weight"
        yield from _norm_pairs(norm, f"{unit.ours}.norm")
    for non_local in non_local_units(network):
        theirs = f"nonlocal_conv{non_local.stage + 1}_{non_local.block}"
        for ours in ("theta", "phi", "g") if non_local.embedded else ("g",):
            for blob, tensor in _TENSORS.items():
                yield f"{theirs}_{ours}_{blob}", f"{non_local.ours}.{ours}.{tensor}"
        yield f"{theirs}_out_w", f"{non_local.ours}.out.weight"
        if non_local.biased:
            yield f"{theirs}_out_b", f"{non_local.ours}.out.bias"
        yield from _norm_pairs(f"{theirs}_bn", f"{non_local.ours}.norm")
    if isinstance(network, SlowFast):
        # A lateral is named after the last layer of the fast pathway before it.
        last = [len(list(stage.children())) - 1 for stage in network.fast.stages]
        before = ["t_pool1", *(f"t_res{stage}_{last[stage - 2]}_branch2c_bn" for stage in (2, 3, 4))]
        for number, theirs in enumerate(before):
            yield f"{theirs}_subsample_w", f"laterals.{number}.conv.weight"
            yield from _norm_pairs(f"{theirs}_subsample_bn", f"laterals.{number}.norm")
    for blob, tensor in _TENSORS.items():
        yield f"pred_{blob}", f"head.{tensor}"


def _norm_pairs(theirs: str, ours: str) -> Iterator[tuple[str, str]]:
    return ((f"{theirs}_{blob}", f"{ours}.{tensor}") for blob, tensor in NORM_BLOBS.items())


def _names(unit: ResNetUnit) -> Names:
    pathway = "t_" if unit.pathway == 1 else ""
    if not unit.stage:
        return Names(f"{pathway}conv1", f"{pathway}res_conv1_bn")
    branch = "branch1" if unit.layer == "shortcut" else f"branch2{unit.layer}"
    conv = f"{pathway}res{unit.stage + 1}_{unit.block}_{branch}"
    return Names(conv, f"{conv}_bn")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """C2D, I3D, Slow or SlowFast by shapes; None if it is none of them."""
    kernels = {f"{name.removesuffix('_w')}.weight": value for name, value in tensors.items() if name.endswith("_w")}
    pathways = [find_resnet(kernels, _names, pathway) for pathway in (0, 1)]
    return pyslowfast.infer_network(
        tensors, pathways, head="pred_w", lateral="t_pool1_subsample_w",
        non_local="nonlocal_conv{stage}_{index}_out_w",
    )  # fmt: skip


LAYOUT = Layout(
    name="pyslowfast_caffe2",
    toolkit="pyslowfast",
    # Detectron's ResNets have the same convolutions, but no running means.
    signatures=(KeySignature(("conv1_w", "res2_0_branch2a_w", "res_conv1_bn_rm")),),
    networks=pyslowfast.NETWORKS,
    heads=("pred_w",),
    pairs=pairs,
    infer_config=infer_config,
    absent=(".num_batches_tracked",),
)
