"""MMAction v0.2's Inception networks: Caffe's names under `backbone`, the classifier under `cls_head`.

I3D on Inception-V1 (3D, no biases) and TSN on BN-Inception (2D, biased convolutions).
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.classifier import PooledClassifier
from marey.models.layers.inception import InceptionV1Trunk
from marey.models.tsn.config import BNInceptionTSNConfig
from marey.weights.layouts.inception import STEM, units
from marey.weights.layouts.resnet import NORM_TENSORS, Variant

NAME = "mmaction"
TOOLKIT = "mmaction"
SIGNS = ("backbone.conv1_7x7_s2.weight",)
"""A tensor that every file of this layout has and no other layout's."""
NETWORKS = ("i3d_incv1", "tsn_bninception")
"""What networks it has names for."""
HEADS = ("cls_head.fc_cls.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""

_HEAD = "cls_head.fc_cls"
_STEM = dict(zip(STEM, ("conv1_7x7_s2", "conv2_3x3_reduce", "conv2_3x3"), strict=True))
_V1 = {
    "one": "1x1",
    "three.a": "branch1_3x3_reduce",
    "three.b": "branch1_3x3",
    "five.a": "branch2_3x3_reduce",
    "five.b": "branch2_3x3",
    "pool.a": "pool_proj",
}
_BN = {
    "one": "1x1",
    "three.a": "3x3_reduce",
    "three.b": "3x3",
    "pair.a": "double_3x3_reduce",
    "pair.b": "double_3x3_1",
    "pair.c": "double_3x3_2",
    "pool.a": "pool_proj",
}


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    flat = not isinstance(network.inception, InceptionV1Trunk)
    places = _BN if flat else _V1
    for ours, block, place in units(network.inception):
        unit = f"backbone.inception_{block}_{places[place]}" if block else f"backbone.{_STEM[place]}"
        for tensor in ("weight", "bias") if flat else ("weight",):
            yield f"{unit}.{tensor}", f"{ours}.conv.{tensor}"
        for tensor in NORM_TENSORS:
            yield f"{unit}_bn.{tensor}", f"{ours}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"{_HEAD}.{tensor}", f"head.{tensor}"


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """The network that the shapes tell: two or three dimensions, width, input channels, classes; None: none of them."""
    stem, head = tensors[SIGNS[0]], tensors.get(f"{_HEAD}.weight")
    if head is None or stem.ndim not in (4, 5):
        return None
    channels = int(stem.shape[1])
    sizes = {"width": int(stem.shape[0]), "num_classes": int(head.shape[0])}
    if stem.ndim == 5:
        variant = {"padding": "mmaction", "pool": "global", "norm_eps": 1e-5}
        return Variant(InceptionI3DConfig.model_validate(sizes | variant | {"channels": channels}))
    rgb = channels == 3
    stacked = {"channels": 3 if rgb else 2, "stack": 1 if rgb else channels // 2}
    return Variant(BNInceptionTSNConfig.model_validate(sizes | stacked))
