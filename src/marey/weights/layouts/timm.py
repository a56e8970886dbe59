"""timm's EfficientNet-Lite: `tf_efficientnet_lite0` to 2 and `efficientnet_lite0`. (Its ResNets: torchvision's names.)

Worked example (recipe tsn_lite0_8seg_folder_imagenet):

    conv_stem.weight -> efficientnet.stem.conv.weight
    bn1.weight -> efficientnet.stem.norm.weight
    blocks.0.0.conv_dw.weight -> efficientnet.stages.0.0.depthwise.conv.weight
    blocks.0.0.bn1.weight -> efficientnet.stages.0.0.depthwise.norm.weight
    blocks.0.0.conv_pw.weight -> efficientnet.stages.0.0.project.conv.weight
    blocks.0.0.bn2.weight -> efficientnet.stages.0.0.project.norm.weight
    blocks.1.0.conv_pw.weight -> efficientnet.stages.1.0.expand.conv.weight
    blocks.1.0.bn1.weight -> efficientnet.stages.1.0.expand.norm.weight
    conv_head.weight -> efficientnet.stages.7.last.conv.weight
    bn2.weight -> efficientnet.stages.7.last.norm.weight
    classifier.weight -> head.weight
"""

from collections.abc import Iterator

from torch import Tensor

from marey.models.network import Network
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names
from marey.weights.layouts.units.efficientnet_lite import LiteUnit, infer_lite, lite_pairs

_STEM, _HEAD = "conv_stem.weight", "classifier"
_WIDENING = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}
_FIRST = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}
"""Names of convolution and norm in the blocks of the first stage, which have no expanding convolution."""
_LITE0 = (
    "padding and epsilon are assumed to be tf_efficientnet_lite's; efficientnet_lite0 has the same tensors and needs a "
    "recipe"
)


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    return lite_pairs(network, _names, _HEAD)


def _names(unit: LiteUnit) -> Names:
    if unit.layer == "stem":
        return Names("conv_stem", "bn1")
    if unit.layer == "last":
        return Names("conv_head", "bn2")
    conv, norm = (_WIDENING if unit.stage else _FIRST)[unit.layer]
    block = f"blocks.{unit.stage}.{unit.block}"
    return Names(f"{block}.{conv}", f"{block}.{norm}")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """TSN on EfficientNet-Lite by shapes; None if it is another network (EfficientNet-B0, MobileNet)."""
    config = infer_lite(tensors, pairs, stem=_STEM, head=f"{_HEAD}.weight")
    return None if config is None else InferredConfig(config, (_LITE0,))


LAYOUT = Layout(
    name="timm",
    toolkit="timm",
    signatures=(KeySignature((_STEM, "blocks.0.0.conv_dw.weight", "blocks.1.0.conv_pwl.weight")),),
    networks=("tsn_lite", "tsm_lite"),
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
