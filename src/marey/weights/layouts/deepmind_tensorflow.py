"""DeepMind's I3D as its TensorFlow checkpoints hold it.

Variables lie under a scope (`RGB/inception_i3d/`, `Flow/inception_i3d/`) or, in the Kinetics-600 file, under none.
Batch norms have no scale: ours stays at 1. Their vectors are [C] or [1, 1, 1, 1, C].
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from marey.models.layers.classifier import PooledClassifier
from marey.weights.layouts.deepmind import ENDPOINTS, mixed, told
from marey.weights.layouts.inception import units
from marey.weights.layouts.resnet import Variant

NAME = "deepmind"
TOOLKIT = "deepmind"
SIGNS = ("Conv3d_1a_7x7/conv_3d/w",)
"""A tensor that every file of this layout has and no other layout's."""
NETWORKS = ("i3d_incv1",)
"""What networks it has names for."""
HEADS = ("Logits/Conv3d_0c_1x1/conv_3d/w",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
ABSENT = (".norm.weight", ".norm.num_batches_tracked")
"""How those of our tensors end that it has no counterpart of: they stay as they are made, a scale of 1."""

_HEAD = "Logits/Conv3d_0c_1x1/conv_3d"
_PLACES = {
    "one": "Branch_0/Conv3d_0a_1x1",
    "three.a": "Branch_1/Conv3d_0a_1x1",
    "three.b": "Branch_1/Conv3d_0b_3x3",
    "five.a": "Branch_2/Conv3d_0a_1x1",
    "five.b": "Branch_2/Conv3d_0b_3x3",
    "pool.a": "Branch_3/Conv3d_0b_1x1",
}
_MISNAMED = {("5a", "five.b"): "Branch_2/Conv3d_0a_3x3"}
"""Where DeepMind's own names leave their pattern."""
_NORM = {"beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their variable, our tensor), each of ours once but the norms' scales, which they do not have."""
    for ours, block, place in units(network.inception):
        inside = _MISNAMED.get((block, place)) or _PLACES.get(place)
        unit = f"{mixed(block)}/{inside}" if block else ENDPOINTS[place]
        yield f"{unit}/conv_3d/w", f"{ours}.conv.weight"
        for variable, tensor in _NORM.items():
            yield f"{unit}/batch_norm/{variable}", f"{ours}.norm.{tensor}"
    yield f"{_HEAD}/w", "head.weight"
    yield f"{_HEAD}/b", "head.bias"


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """The network that the shapes tell: width, input channels, classes; None: none of them."""
    return told(tensors, SIGNS[0], f"{_HEAD}/w")


def arranged(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Variables without their scope, in PyTorch's order of axes: kernels [out, in, T, H, W], the classifier [K, D],
    vectors [C].
    """
    scope = next((name.removesuffix(SIGNS[0]) for name in variables if name.endswith(SIGNS[0])), "")
    return {name.removeprefix(scope): _laid(name, value) for name, value in variables.items()}


def _laid(name: str, value: Tensor) -> Tensor:
    if not (name.endswith("/w") and value.ndim == 5):
        return value.flatten()
    kernel = value.permute(4, 3, 0, 1, 2)
    return kernel.flatten(1) if name.endswith(f"{_HEAD}/w") else kernel
