"""MMAction v0.2's Inception networks: Caffe's names under `backbone`, the classifier under `cls_head`.

I3D on Inception-V1 (3D, no biases) and TSN on BN-Inception (2D, biased convolutions).

Worked example (recipe i3d_incv1_rgb_64x1_k400):

    backbone.conv1_7x7_s2.weight -> inception.stem.a.conv.weight
    backbone.conv1_7x7_s2_bn.weight -> inception.stem.a.norm.weight
    backbone.inception_3a_1x1.weight -> inception.stages.0.a.one.conv.weight
    backbone.inception_3a_1x1_bn.weight -> inception.stages.0.a.one.norm.weight
    backbone.inception_3a_branch1_3x3.weight -> inception.stages.0.a.three.b.conv.weight
    backbone.inception_3a_branch1_3x3_bn.weight -> inception.stages.0.a.three.b.norm.weight
    cls_head.fc_cls.weight -> head.weight

Worked example (recipe tsn_bninception_flow_3seg_ucf101):

    backbone.inception_3a_3x3.weight -> inception.stages.0.a.three.b.conv.weight
    backbone.inception_3a_3x3.bias -> inception.stages.0.a.three.b.conv.bias
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.inception import InceptionV1Trunk
from marey.models.network import Network, PooledClassifier
from marey.models.tsn.config import BNInceptionTSNConfig
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, linear_pairs, norm_pairs
from marey.weights.layouts.mmaction2 import HEAD
from marey.weights.layouts.units.inception import STEM, inception_units

_FIRST = "backbone.conv1_7x7_s2.weight"
_STEM = dict(zip(STEM, ("conv1_7x7_s2", "conv2_3x3_reduce", "conv2_3x3"), strict=True))
_V1 = {
    "one": "1x1",
    "three.a": "branch1_3x3_reduce",
    "three.b": "branch1_3x3",
    "five.a": "branch2_3x3_reduce",
    "five.b": "branch2_3x3",
    "pool.a": "pool_proj",
}
"""Names of a block's convolutions in Inception-V1, by our branch."""
_BN = {
    "one": "1x1",
    "three.a": "3x3_reduce",
    "three.b": "3x3",
    "pair.a": "double_3x3_reduce",
    "pair.b": "double_3x3_1",
    "pair.c": "double_3x3_2",
    "pool.a": "pool_proj",
}
"""Names of a block's convolutions in BN-Inception, by our branch."""


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    assert isinstance(network, PooledClassifier)
    flat = not isinstance(network.inception, InceptionV1Trunk)
    branches = _BN if flat else _V1
    for ours, block, branch in inception_units(network):
        unit = f"backbone.inception_{block}_{branches[branch]}" if block else f"backbone.{_STEM[branch]}"
        for tensor in ("weight", "bias") if flat else ("weight",):
            yield f"{unit}.{tensor}", f"{ours}.conv.{tensor}"
        yield from norm_pairs(f"{unit}_bn", f"{ours}.norm")
    yield from linear_pairs(HEAD)


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """I3D or TSN by shapes: two or three dimensions, width, input channels, classes; None if it is neither."""
    stem, head = tensors[_FIRST], tensors.get(f"{HEAD}.weight")
    if head is None or stem.ndim not in (4, 5):
        return None
    channels = int(stem.shape[1])
    sizes = {"width": int(stem.shape[0]), "num_classes": int(head.shape[0])}
    if stem.ndim == 5:
        defaults = {"padding": "mmaction", "pool": "global", "norm_eps": 1e-5}
        return InferredConfig(InceptionI3DConfig.model_validate(sizes | defaults | {"channels": channels}))
    rgb = channels == 3
    stacked = {"channels": 3 if rgb else 2, "stack": 1 if rgb else channels // 2}
    return InferredConfig(BNInceptionTSNConfig.model_validate(sizes | stacked))


LAYOUT = Layout(
    name="mmaction",
    toolkit="mmaction",
    signatures=(
        KeySignature((_FIRST, "backbone.inception_3a_branch1_3x3.weight")),
        KeySignature((_FIRST, "backbone.inception_3a_3x3.weight")),
    ),
    networks=("i3d_incv1", "tsn_bninception"),
    heads=(f"{HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
