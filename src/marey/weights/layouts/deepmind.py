"""DeepMind's I3D as PyTorch ports of it hold it (pytorch-i3d): TensorFlow's endpoints, a bare state dict."""

from collections.abc import Iterator

from torch import Tensor

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.layers.classifier import PooledClassifier
from marey.weights.layouts.inception import STEM, units
from marey.weights.layouts.resnet import NORM_TENSORS, Change, Variant

NAME = "deepmind"
TOOLKIT = "deepmind"
SIGNS = ("Conv3d_1a_7x7.conv3d.weight",)
"""A tensor that every file of this layout has and no other layout's."""
NETWORKS = ("i3d_incv1",)
"""What networks it has names for."""
HEADS = ("logits.conv3d.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""

ENDPOINTS = dict(zip(STEM, ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"), strict=True))
"""DeepMind's names of the stem's convolutions."""

_HEAD = "logits.conv3d"
_PLACES = {"one": "b0", "three.a": "b1a", "three.b": "b1b", "five.a": "b2a", "five.b": "b2b", "pool.a": "b3b"}


def mixed(block: str) -> str:
    """DeepMind's name of a block: its letters begin with b where GoogLeNet's begin with a, so that 3a is Mixed_3b."""
    return f"Mixed_{block[0]}{chr(ord(block[1]) + 1)}"


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for ours, block, place in units(network.inception):
        unit = f"{mixed(block)}.{_PLACES[place]}" if block else ENDPOINTS[place]
        yield f"{unit}.conv3d.weight", f"{ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{unit}.bn.{tensor}", f"{ours}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"{_HEAD}.{tensor}", f"head.{tensor}"


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """The network that the shapes tell: width, input channels, classes; None: none of them."""
    return told(tensors, SIGNS[0], f"{_HEAD}.weight")


def told(tensors: dict[str, Tensor], stem: str, head: str) -> Variant | None:
    """DeepMind's variant in the sizes of its first convolution and of its classifier."""
    if head not in tensors or tensors[stem].ndim != 5:
        return None
    width, channels = tensors[stem].shape[:2]
    sizes = {"width": int(width), "channels": int(channels), "num_classes": int(tensors[head].shape[0])}
    return Variant(InceptionI3DConfig.model_validate(sizes))


def changes(network: PooledClassifier) -> dict[str, Change]:
    """By our tensor: the classifier is a pointwise convolution there."""
    return {"head.weight": Change(lambda theirs: theirs.flatten(1), lambda ours: ours[..., None, None, None])}
