"""PyTorchVideo's R(2+1)D and CSN: stem, stages and head are a list of `blocks`.

Worked example (recipe ircsn_r101_32x2_k400_pytorchvideo):

    blocks.0.conv.weight -> resnet.stem.conv.weight
    blocks.0.norm.weight -> resnet.stem.norm.weight
    blocks.1.res_blocks.0.branch2.conv_a.weight -> resnet.stages.0.0.a.conv.weight
    blocks.1.res_blocks.0.branch2.norm_a.weight -> resnet.stages.0.0.a.norm.weight
    blocks.1.res_blocks.0.branch1_conv.weight -> resnet.stages.0.0.shortcut.conv.weight
    blocks.1.res_blocks.0.branch1_norm.weight -> resnet.stages.0.0.shortcut.norm.weight
    blocks.5.proj.weight -> head.weight

Worked example (recipe r2plus1d_r50_16x4_k400_pytorchvideo):

    blocks.1.res_blocks.0.branch2.conv_b.conv_t.weight -> resnet.stages.0.0.b.first.conv.weight
    blocks.1.res_blocks.0.branch2.conv_b.norm.weight -> resnet.stages.0.0.b.first.norm.weight
    blocks.1.res_blocks.0.branch2.conv_b.conv_xy.weight -> resnet.stages.0.0.b.second.conv.weight
    blocks.1.res_blocks.0.branch2.norm_b.weight -> resnet.stages.0.0.b.second.norm.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.csn.config import CSNConfig
from marey.models.network import Network
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.pyslowfast import WINDOW
from marey.weights.layouts.units.factorised import NETWORKS, FactorisedUnit, factorised_pairs, infer_factorised

_HEAD = "blocks.5.proj"
_DEFAULTS = {"norm_eps": 1e-5, "pool_window": WINDOW}


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    return factorised_pairs(network, _names, _HEAD)


def _names(unit: FactorisedUnit) -> Names:
    if unit.layer == "stem":
        return Names("blocks.0.conv", "blocks.0.norm")
    block = f"blocks.{unit.stage}.res_blocks.{unit.block}"
    if unit.layer == "shortcut":
        return Names(f"{block}.branch1_conv", f"{block}.branch1_norm")
    conv, norm = f"{block}.branch2.conv_{unit.layer}", f"{block}.branch2.norm_{unit.layer}"
    if unit.step == 1:
        return Names(f"{conv}.conv_t", f"{conv}.norm")
    return Names(f"{conv}.conv_xy" if unit.step == 2 else conv, norm)


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """R(2+1)D or CSN by shapes; None if it is neither."""
    match infer_factorised(tensors, _names, f"{_HEAD}.weight"):
        case R2Plus1DConfig(convolutions="time_space") as config:
            strides = {"first_stride": 2, "temporal_strides": (1, 1, 2, 2)}
            return InferredConfig(config.model_copy(update=_DEFAULTS | strides))
        case CSNConfig(interaction="reduced") as config:
            return InferredConfig(config.model_copy(update=_DEFAULTS))
    return None


LAYOUT = Layout(
    name="pytorchvideo",
    toolkit="pytorchvideo",
    signatures=(
        KeySignature(("blocks.0.conv.weight", "blocks.1.res_blocks.0.branch2.conv_b.conv_t.weight")),
        # C2D, I3D and Slow have these keys of CSN, too (`pytorchvideo`): only the shape of the second one is different.
        KeySignature(("blocks.0.conv.weight", "blocks.1.res_blocks.0.branch2.conv_b.weight")),
    ),
    networks=NETWORKS,
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
