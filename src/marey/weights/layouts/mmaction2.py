"""MMAction2's networks on ResNets: every convolution is a module of `conv` and `bn`, the classifier under `cls_head`.

TSM's shift contains the shifted module as `net`: the first convolution of a block, as below, or the entire block,
as in `backbone.layer1.0.net.conv1.conv.weight`.

Worked example (recipe slowonly_r50_8x8_k400_mmaction2):

    backbone.conv1.conv.weight -> resnet.stem.conv.weight
    backbone.conv1.bn.weight -> resnet.stem.norm.weight
    backbone.layer1.0.conv1.conv.weight -> resnet.stages.0.0.a.conv.weight
    backbone.layer1.0.conv1.bn.weight -> resnet.stages.0.0.a.norm.weight
    backbone.layer1.0.downsample.conv.weight -> resnet.stages.0.0.shortcut.conv.weight
    backbone.layer1.0.downsample.bn.weight -> resnet.stages.0.0.shortcut.norm.weight
    cls_head.fc_cls.weight -> head.weight

Worked example (recipe tsm_r50_8seg_k400_mmaction2):

    backbone.layer1.0.conv1.conv.net.weight -> resnet.stages.0.0.a.conv.weight

Worked example (recipe i3dnldot_r50_32x2_k400_mmaction2):

    backbone.layer2.1.non_local_block.g.0.conv.weight -> resnet.stages.1.1.after.g.weight
    backbone.layer2.1.non_local_block.theta.conv.weight -> resnet.stages.1.1.after.theta.weight
    backbone.layer2.1.non_local_block.phi.0.conv.weight -> resnet.stages.1.1.after.phi.weight
    backbone.layer2.1.non_local_block.conv_out.conv.weight -> resnet.stages.1.1.after.out.weight
    backbone.layer2.1.non_local_block.conv_out.bn.weight -> resnet.stages.1.1.after.norm.weight

Worked example (recipe slowfast_r50_4x16_k400_mmaction2):

    backbone.slow_path.conv1.conv.weight -> slow.stem.conv.weight
    backbone.slow_path.conv1.bn.weight -> slow.stem.norm.weight
    backbone.slow_path.layer1.0.conv1.conv.weight -> slow.stages.0.0.a.conv.weight
    backbone.slow_path.layer1.0.conv1.bn.weight -> slow.stages.0.0.a.norm.weight
    backbone.slow_path.layer1.0.downsample.conv.weight -> slow.stages.0.0.shortcut.conv.weight
    backbone.slow_path.layer1.0.downsample.bn.weight -> slow.stages.0.0.shortcut.norm.weight
    backbone.slow_path.conv1_lateral.conv.weight -> laterals.0.conv.weight
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from marey.models.layers.config import NonLocalConfig
from marey.models.network import Network
from marey.models.non_local.network import C2D
from marey.models.slowfast.network import SlowFast
from marey.models.tsm.config import TSMConfig
from marey.weights.layouts.layout import Change, InferredConfig, KeySignature, Layout, Names, linear_pairs, norm_pairs
from marey.weights.layouts.units.resnet import (
    FoundResNet,
    ResNetUnit,
    find_resnet,
    infer_2d,
    infer_3d,
    infer_slowfast,
    non_local_units,
    resnet_pairs,
    resnet_units,
)

HEAD = "cls_head.fc_cls"
"""Name of the head. MMAction's layouts import it and the other public names of this module."""
LATERALS = ("conv1_lateral", "layer1_lateral", "layer2_lateral", "layer3_lateral")
"""SlowFast's convolutions from the fast to the slow pathway, before each stage."""
I3D_32X2 = {"stem_stride": 2, "pool_stride": 2, "second_pool": 2}
"""I3D's temporal strides."""

_STEM, _SLOW_STEM = "backbone.conv1.conv.weight", "backbone.slow_path.conv1.conv.weight"
_WRAP = ".net."
"""TSM's shift is a module that contains the shifted one as `net`: the first convolution of a block, or the block."""
_C2D = "assumed to be TSN: C2D without a temporal pool has the same tensors and logits, C2D with one needs a recipe"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    yield from resnet_pairs(network, _names)
    for non_local in non_local_units(network):
        theirs = f"backbone.layer{non_local.stage}.{non_local.block}.non_local_block"
        # A pooled convolution is a list of the convolution and its pool.
        biased = {"g": "g.0", "theta": "theta", "phi": "phi.0"} if non_local.embedded else {"g": "g.0"}
        for ours, module in biased.items():
            yield from linear_pairs(f"{theirs}.{module}.conv", f"{non_local.ours}.{ours}")
        yield f"{theirs}.conv_out.conv.weight", f"{non_local.ours}.out.weight"
        yield from norm_pairs(f"{theirs}.conv_out.bn", f"{non_local.ours}.norm")
    if isinstance(network, SlowFast):
        for number, lateral in enumerate(LATERALS):
            yield f"backbone.slow_path.{lateral}.conv.weight", f"laterals.{number}.conv.weight"
    yield from linear_pairs(HEAD)


def changes(network: Network) -> dict[str, Change]:
    """The changes by our key: in the file SlowFast's head has the fast pathway's columns first, and C2D's convolutions are
    2D.
    """
    if isinstance(network, SlowFast):
        fast = network.fast.out_channels
        return {
            "head.weight": Change(lambda theirs: torch.roll(theirs, -fast, 1), lambda ours: torch.roll(ours, fast, 1))
        }
    if isinstance(network, C2D):
        flat = Change(lambda theirs: theirs.unsqueeze(2), lambda ours: ours.squeeze(2))
        return {f"{unit.ours}.conv.weight": flat for unit in resnet_units(network)}
    return {}


def root(unit: ResNetUnit) -> str:
    """Prefix of the names of a unit's ResNet."""
    return "backbone." if unit.pathway is None else f"backbone.{('slow', 'fast')[unit.pathway]}_path."


def _names(unit: ResNetUnit) -> Names:
    block = f"{unit.prefix}net." if unit.shift == "block" else unit.prefix
    module = f"{root(unit)}{block}" + (f"conv{unit.number}" if unit.number else "downsample")
    conv = "conv.net" if unit.shift == "branch" and unit.layer == "a" else "conv"
    return Names(f"{module}.{conv}", f"{module}.bn")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """TSN, TSM, I3D, SlowOnly or SlowFast on a ResNet by shapes; None if it is none of them."""
    head = tensors.get(f"{HEAD}.weight")
    if head is None:
        return None
    if _SLOW_STEM in tensors:
        slow, fast = (find_resnet(tensors, _names, pathway) for pathway in (0, 1))
        lateral = tensors.get(f"backbone.slow_path.{LATERALS[0]}.conv.weight")
        return infer_slowfast(slow, fast, lateral, len(head), alpha=alpha_of(lateral))
    found = find_resnet({name.replace(_WRAP, "."): tensor for name, tensor in tensors.items()}, _names)
    if found is None:
        return None
    if not found.kernels:
        wrapped = next((name for name in tensors if _WRAP in name), None)
        return _infer_tsm(found, len(head), wrapped) if wrapped else infer_2d(found, len(head), (_C2D,))
    non_local, notes = _infer_non_local(tensors, slow_only=found.kernels[0] == (1,))
    c2d = {"second_pool": 1}
    return infer_3d(found, len(head), window=None, c2d=c2d, i3d=I3D_32X2, non_local=non_local, notes=notes)


def alpha_of(lateral: Tensor | None) -> int:
    """SlowFast's alpha, inferred from its first lateral: MMAction uses kernels of 7 in place of 5 for 8x8 (alpha 4)."""
    return 4 if lateral is not None and lateral.shape[2] == 7 else 8


def _infer_tsm(found: FoundResNet, num_classes: int, wrapped: str) -> InferredConfig:
    """TSM; `wrapped` is the key of a tensor behind a shift."""
    style = "blockres" if ".conv.net." in wrapped else "block"
    fields = dict(infer_2d(found, num_classes).config) | {"network": "tsm", "style": style}
    note = "the shift is assumed to be 1/8 of the channels each way among 8 frames: no tensor shows it"
    return InferredConfig(TSMConfig.model_validate(fields), (note,))


def _infer_non_local(tensors: dict[str, Tensor], *, slow_only: bool) -> tuple[NonLocalConfig | None, tuple[str, ...]]:
    """The non-local blocks, and what was assumed about them: gaussian ones lack theta, other kinds have equal tensors."""
    places = tuple(
        tuple(i for i in range(64) if f"backbone.layer{stage}.{i}.non_local_block.conv_out.conv.weight" in tensors)
        for stage in range(1, 5)
    )
    if not any(places):
        return None, ()
    if not any(".non_local_block.theta." in name for name in tensors):
        return NonLocalConfig(pairwise="gaussian", places=places), ()
    if slow_only:
        note = "non-local blocks are assumed to be scaled embedded gaussians, as MMAction2's SlowOnly has them"
        return NonLocalConfig(pairwise="embedded_gaussian", places=places, scaled=True), (note,)
    note = (
        "non-local blocks are assumed to be dot products: an embedded gaussian has the same tensors and needs a recipe"
    )
    return NonLocalConfig(pairwise="dot_product", places=places), (note,)


LAYOUT = Layout(
    name="mmaction2",
    toolkit="mmaction2",
    signatures=(
        KeySignature((_STEM, "backbone.layer1.0.conv2.conv.weight")),
        KeySignature((_STEM, "backbone.layer1.0.net.conv2.conv.weight")),
        KeySignature(
            (
                _SLOW_STEM,
                "backbone.slow_path.layer1.0.conv1.conv.weight",
                "backbone.slow_path.conv1_lateral.conv.weight",
            )
        ),
    ),
    networks=("tsn", "tsm", "c2d", "i3d_resnet", "slowonly", "slowfast"),
    heads=(f"{HEAD}.weight",),
    pairs=pairs,
    changes=changes,
    infer_config=infer_config,
)
