"""DeepMind's I3D as its TensorFlow checkpoints hold it.

Variables are under a scope (`RGB/inception_i3d/`, `Flow/inception_i3d/`) or, in the Kinetics-600 file, under none.
The file has no scales of batch norms: in our network they stay at 1. Their vectors are [C] or [1, 1, 1, 1, C].

Worked example (recipe i3d_incv1_rgb_64x1_k400_deepmind):

    Conv3d_1a_7x7/conv_3d/w -> inception.stem.a.conv.weight
    Conv3d_1a_7x7/batch_norm/beta -> inception.stem.a.norm.bias
    Mixed_3b/Branch_0/Conv3d_0a_1x1/conv_3d/w -> inception.stages.0.a.one.conv.weight
    Mixed_3b/Branch_0/Conv3d_0a_1x1/batch_norm/beta -> inception.stages.0.a.one.norm.bias
    Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/w -> inception.stages.0.a.three.b.conv.weight
    Mixed_3b/Branch_1/Conv3d_0b_3x3/batch_norm/moving_mean -> inception.stages.0.a.three.b.norm.running_mean
    Mixed_3b/Branch_1/Conv3d_0b_3x3/batch_norm/moving_variance -> inception.stages.0.a.three.b.norm.running_var
    Logits/Conv3d_0c_1x1/conv_3d/w -> head.weight
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from marey.models.network import Network
from marey.weights.layouts.deepmind import ENDPOINTS, infer_i3d, mixed
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout
from marey.weights.layouts.units.inception import inception_units

_STEM, _HEAD = "Conv3d_1a_7x7/conv_3d/w", "Logits/Conv3d_0c_1x1/conv_3d"
_BRANCHES = {
    "one": "Branch_0/Conv3d_0a_1x1",
    "three.a": "Branch_1/Conv3d_0a_1x1",
    "three.b": "Branch_1/Conv3d_0b_3x3",
    "five.a": "Branch_2/Conv3d_0a_1x1",
    "five.b": "Branch_2/Conv3d_0b_3x3",
    "pool.a": "Branch_3/Conv3d_0b_1x1",
}
_MISNAMED = {("5a", "five.b"): "Branch_2/Conv3d_0a_3x3"}
"""Exceptions from the pattern of DeepMind's names."""
_NORM = {"beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their variable, our key) for each tensor of the network, once, except for the norms' scales and counters, which the
    file lacks.
    """
    for ours, block, branch in inception_units(network):
        inside = _MISNAMED.get((block, branch)) or _BRANCHES.get(branch)
        unit = f"{mixed(block)}/{inside}" if block else ENDPOINTS[branch]
        yield f"{unit}/conv_3d/w", f"{ours}.conv.weight"
        for variable, tensor in _NORM.items():
            yield f"{unit}/batch_norm/{variable}", f"{ours}.norm.{tensor}"
    yield f"{_HEAD}/w", "head.weight"
    yield f"{_HEAD}/b", "head.bias"


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """I3D by shapes: width, input channels, classes; None if it is not I3D."""
    return infer_i3d(tensors, _STEM, f"{_HEAD}/w")


def arranged(variables: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Variables without their scope, in PyTorch's order of axes: kernels [out, in, T, H, W], the classifier [K, D],
    vectors [C].
    """
    scope = next((name.removesuffix(_STEM) for name in variables if name.endswith(_STEM)), "")
    return {name.removeprefix(scope): _in_our_order(name, value) for name, value in variables.items()}


def _in_our_order(name: str, value: Tensor) -> Tensor:
    if not (name.endswith("/w") and value.ndim == 5):
        return value.flatten()
    kernel = value.permute(4, 3, 0, 1, 2)
    return kernel.flatten(1) if name.endswith(f"{_HEAD}/w") else kernel


LAYOUT = Layout(
    name="deepmind",
    toolkit="deepmind",
    signatures=(KeySignature((_STEM, "Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/w")),),
    networks=("i3d_incv1",),
    heads=(f"{_HEAD}/w",),
    pairs=pairs,
    infer_config=infer_config,
    absent=(".norm.weight", ".norm.num_batches_tracked"),
)
