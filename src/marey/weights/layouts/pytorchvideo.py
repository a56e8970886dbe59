"""PyTorchVideo's checkpoints: stem, stages, pools and head are a list of `blocks`."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from marey.models.layers.classifier import LinearClassifier, PooledClassifier
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts.pyslowfast import WINDOW, two_pathways
from marey.weights.layouts.resnet import NORM_TENSORS, Unit, Variant, one_resnet, survey, units

NAME = "pytorchvideo"
TOOLKIT = "pytorchvideo"
SIGNS = ("blocks.0.conv.weight", "blocks.0.multipathway_blocks.0.conv.weight")
"""Tensors one of which every file of this layout has, and no other layout's."""
NETWORKS = ("c2d", "i3d_resnet", "slowonly", "slowfast")
"""What networks it has names for."""
HEADS = ("blocks.5.proj.weight", "blocks.6.proj.weight")
"""Its classifier's weight, without and with a second pool; a file without it holds a network without a classifier."""


def pairs(network: LinearClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    pooled = _has_second_pool(network)
    for unit in units(network):
        yield f"{_conv(unit, pooled=pooled)}.weight", f"{unit.ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{_norm(unit, pooled=pooled)}.{tensor}", f"{unit.ours}.norm.{tensor}"
    if isinstance(network, SlowFast):
        for number in range(4):
            fusion = f"blocks.{number}.multipathway_fusion"
            yield f"{fusion}.conv_fast_to_slow.weight", f"laterals.{number}.conv.weight"
            for tensor in NORM_TENSORS:
                yield f"{fusion}.norm.{tensor}", f"laterals.{number}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"{_head(pooled=pooled)}.{tensor}", f"head.{tensor}"


def _has_second_pool(network: LinearClassifier) -> bool:
    """Whether a pool stands in the list before the head: I3D's and C2D's second one, SlowFast's last one."""
    if isinstance(network, PooledClassifier):
        return isinstance(network.resnet.second_pool, nn.MaxPool3d)
    return isinstance(network, SlowFast)


def _head(*, pooled: bool) -> str:
    return f"blocks.{5 + pooled}.proj"


def _module(unit: Unit, *, pooled: bool) -> str:
    if unit.pathway is not None:
        return f"blocks.{unit.stage}.multipathway_blocks.{unit.pathway}."
    # The second pool stands behind the first stage and moves the others on by one.
    return f"blocks.{unit.stage + (pooled and unit.stage > 1)}."


def _name(unit: Unit, kind: str, *, pooled: bool) -> str:
    module = _module(unit, pooled=pooled)
    if not unit.stage:
        return f"{module}{kind}"
    block = f"{module}res_blocks.{unit.place}."
    return f"{block}branch1_{kind}" if unit.part == "shortcut" else f"{block}branch2.{kind}_{unit.part}"


def _conv(unit: Unit, *, pooled: bool) -> str:
    return _name(unit, "conv", pooled=pooled)


def _norm(unit: Unit, *, pooled: bool) -> str:
    return _name(unit, "norm", pooled=pooled)


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """C2D, I3D, Slow or SlowFast by shapes; None if it is none of them."""
    pooled = f"{_head(pooled=True)}.weight" in tensors
    head = tensors.get(f"{_head(pooled=pooled)}.weight")
    conv = partial(_conv, pooled=pooled)
    if head is None:
        return None
    if SIGNS[1] in tensors:
        slow, fast = (survey(tensors, conv, pathway) for pathway in (0, 1))
        lateral = tensors.get("blocks.0.multipathway_fusion.conv_fast_to_slow.weight")
        return two_pathways(slow, fast, lateral, len(head))
    found = survey(tensors, conv)
    if found is None or not found.kernels:
        return None
    pool = {"second_pool": 2 if pooled else 1}
    return one_resnet(found, len(head), window=WINDOW, c2d=pool, i3d={"stem_stride": 1, "pool_stride": 1} | pool)
