"""PyTorchVideo's networks on ResNets: stem, stages, pools and head are a list of `blocks`.

Worked example (recipe slowonly_r50_8x8_k400_pytorchvideo):

    blocks.0.conv.weight -> resnet.stem.conv.weight
    blocks.0.norm.weight -> resnet.stem.norm.weight
    blocks.1.res_blocks.0.branch2.conv_a.weight -> resnet.stages.0.0.a.conv.weight
    blocks.1.res_blocks.0.branch2.norm_a.weight -> resnet.stages.0.0.a.norm.weight
    blocks.1.res_blocks.0.branch1_conv.weight -> resnet.stages.0.0.shortcut.conv.weight
    blocks.1.res_blocks.0.branch1_norm.weight -> resnet.stages.0.0.shortcut.norm.weight
    blocks.5.proj.weight -> head.weight

Worked example (recipe slowfast_r50_8x8_k400_pytorchvideo):

    blocks.0.multipathway_blocks.0.conv.weight -> slow.stem.conv.weight
    blocks.0.multipathway_blocks.0.norm.weight -> slow.stem.norm.weight
    blocks.1.multipathway_blocks.0.res_blocks.0.branch2.conv_a.weight -> slow.stages.0.0.a.conv.weight
    blocks.1.multipathway_blocks.0.res_blocks.0.branch2.norm_a.weight -> slow.stages.0.0.a.norm.weight
    blocks.1.multipathway_blocks.0.res_blocks.0.branch1_conv.weight -> slow.stages.0.0.shortcut.conv.weight
    blocks.1.multipathway_blocks.0.res_blocks.0.branch1_norm.weight -> slow.stages.0.0.shortcut.norm.weight
    blocks.0.multipathway_fusion.conv_fast_to_slow.weight -> laterals.0.conv.weight
    blocks.0.multipathway_fusion.norm.weight -> laterals.0.norm.weight
"""

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn

from marey.models.network import Network, PooledClassifier
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names, linear_pairs, norm_pairs
from marey.weights.layouts.pyslowfast import WINDOW, infer_two_pathways
from marey.weights.layouts.units.resnet import ResNetUnit, find_resnet, infer_3d, resnet_pairs

_STEM, _SLOW_STEM = "blocks.0.conv.weight", "blocks.0.multipathway_blocks.0.conv.weight"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    pooled = _has_second_pool(network)
    yield from resnet_pairs(network, partial(_names, pooled=pooled))
    if isinstance(network, SlowFast):
        for number in range(4):
            fusion = f"blocks.{number}.multipathway_fusion"
            yield f"{fusion}.conv_fast_to_slow.weight", f"laterals.{number}.conv.weight"
            yield from norm_pairs(f"{fusion}.norm", f"laterals.{number}.norm")
    yield from linear_pairs(_head(pooled=pooled))


def _has_second_pool(network: Network) -> bool:
    """Whether the list has a pool before the head: I3D's and C2D's second one, SlowFast's last one."""
    if isinstance(network, PooledClassifier):
        return isinstance(network.resnet.second_pool, nn.MaxPool3d)
    return isinstance(network, SlowFast)


def _head(*, pooled: bool) -> str:
    return f"blocks.{5 + pooled}.proj"


def _names(unit: ResNetUnit, *, pooled: bool) -> Names:
    """`pooled`: a second pool follows the first stage in the list, later stages then have an index one higher."""
    if unit.pathway is None:
        module = f"blocks.{unit.stage + (pooled and unit.stage > 1)}."
    else:
        module = f"blocks.{unit.stage}.multipathway_blocks.{unit.pathway}."
    if not unit.stage:
        return Names(f"{module}conv", f"{module}norm")
    block = f"{module}res_blocks.{unit.block}."
    if unit.layer == "shortcut":
        return Names(f"{block}branch1_conv", f"{block}branch1_norm")
    return Names(f"{block}branch2.conv_{unit.layer}", f"{block}branch2.norm_{unit.layer}")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """C2D, I3D, Slow or SlowFast by shapes; None if it is none of them."""
    pooled = f"{_head(pooled=True)}.weight" in tensors
    head = tensors.get(f"{_head(pooled=pooled)}.weight")
    names = partial(_names, pooled=pooled)
    if head is None:
        return None
    if _SLOW_STEM in tensors:
        slow, fast = (find_resnet(tensors, names, pathway) for pathway in (0, 1))
        lateral = tensors.get("blocks.0.multipathway_fusion.conv_fast_to_slow.weight")
        return infer_two_pathways(slow, fast, lateral, len(head))
    found = find_resnet(tensors, names)
    if found is None or not found.kernels:
        return None
    pool = {"second_pool": 2 if pooled else 1}
    return infer_3d(found, len(head), window=WINDOW, c2d=pool, i3d={"stem_stride": 1, "pool_stride": 1} | pool)


LAYOUT = Layout(
    name="pytorchvideo",
    toolkit="pytorchvideo",
    signatures=(
        # CSN has these keys, too (`pytorchvideo_factorised`): only the shape of the second one is different.
        KeySignature((_STEM, "blocks.1.res_blocks.0.branch2.conv_b.weight")),
        KeySignature(
            (
                _SLOW_STEM,
                "blocks.1.multipathway_blocks.0.res_blocks.0.branch2.conv_b.weight",
                "blocks.0.multipathway_fusion.conv_fast_to_slow.weight",
            )
        ),
    ),
    networks=("c2d", "i3d_resnet", "slowonly", "slowfast"),
    heads=(f"{_head(pooled=False)}.weight", f"{_head(pooled=True)}.weight"),
    pairs=pairs,
    infer_config=infer_config,
)
