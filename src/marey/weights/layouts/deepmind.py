"""DeepMind's I3D in PyTorch ports (pytorch-i3d): a state dict with the names of the TensorFlow code.

Worked example (recipe i3d_incv1_rgb_64x1_k400_deepmind):

    Conv3d_1a_7x7.conv3d.weight -> inception.stem.a.conv.weight
    Conv3d_1a_7x7.bn.weight -> inception.stem.a.norm.weight
    Mixed_3b.b0.conv3d.weight -> inception.stages.0.a.one.conv.weight
    Mixed_3b.b0.bn.weight -> inception.stages.0.a.one.norm.weight
    Mixed_3b.b1b.conv3d.weight -> inception.stages.0.a.three.b.conv.weight
    Mixed_3b.b1b.bn.weight -> inception.stages.0.a.three.b.norm.weight
    logits.conv3d.weight -> head.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.i3d.config import InceptionI3DConfig
from marey.models.network import Network
from marey.weights.layouts.layout import (
    Change,
    InferredConfig,
    KeySignature,
    Layout,
    Names,
    conv_norm_pairs,
    linear_pairs,
)
from marey.weights.layouts.units.inception import STEM, inception_units

ENDPOINTS = dict(zip(STEM, ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"), strict=True))
"""DeepMind's names of the stem's convolutions."""

_STEM, _HEAD = "Conv3d_1a_7x7.conv3d.weight", "logits.conv3d"
_BRANCHES = {"one": "b0", "three.a": "b1a", "three.b": "b1b", "five.a": "b2a", "five.b": "b2b", "pool.a": "b3b"}


def mixed(block: str) -> str:
    """DeepMind's name of a block: its letters begin with b where GoogLeNet's begin with a, so that 3a is Mixed_3b."""
    return f"Mixed_{block[0]}{chr(ord(block[1]) + 1)}"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    for ours, block, branch in inception_units(network):
        unit = f"{mixed(block)}.{_BRANCHES[branch]}" if block else ENDPOINTS[branch]
        yield from conv_norm_pairs(Names(f"{unit}.conv3d", f"{unit}.bn"), ours)
    yield from linear_pairs(_HEAD)


def changes(network: Network) -> dict[str, Change]:
    """The changes by our key: in the file the head is a pointwise convolution."""
    return {"head.weight": Change(lambda theirs: theirs.flatten(1), lambda ours: ours[..., None, None, None])}


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """I3D by shapes: width, input channels, classes; None if it is not I3D."""
    return infer_i3d(tensors, _STEM, f"{_HEAD}.weight")


def infer_i3d(tensors: dict[str, Tensor], stem: str, head: str) -> InferredConfig | None:
    """DeepMind's I3D by the shapes of its first convolution `stem` and its classifier `head`, keys of the tensors."""
    if head not in tensors or tensors[stem].ndim != 5:
        return None
    width, channels = tensors[stem].shape[:2]
    sizes = {"width": int(width), "channels": int(channels), "num_classes": int(tensors[head].shape[0])}
    return InferredConfig(InceptionI3DConfig.model_validate(sizes))


LAYOUT = Layout(
    name="deepmind",
    toolkit="deepmind",
    signatures=(KeySignature((_STEM, "Mixed_3b.b1b.conv3d.weight")),),
    networks=("i3d_incv1",),
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    changes=changes,
    infer_config=infer_config,
)
