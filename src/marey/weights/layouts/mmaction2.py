"""MMAction2's checkpoints: every convolution is a module of `conv` and `bn`, the classifier under `cls_head`."""

from collections.abc import Iterator

import torch
from torch import Tensor

from marey.models.layers.classifier import LinearClassifier
from marey.models.layers.non_local_config import NonLocalConfig
from marey.models.non_local.network import C2D
from marey.models.slowfast.network import SlowFast
from marey.models.tsm.config import TSMConfig
from marey.weights.layouts.mmaction import I3D_32X2, LATERALS, alpha_of, root
from marey.weights.layouts.resnet import (
    NORM_TENSORS,
    Change,
    Survey,
    Unit,
    Variant,
    attentions,
    flat_resnet,
    one_resnet,
    survey,
    two_resnets,
    units,
)

NAME = "mmaction2"
TOOLKIT = "mmaction2"
SIGNS = ("backbone.conv1.conv.weight", "backbone.slow_path.conv1.conv.weight")
"""Tensors one of which every file of this layout has, and no other layout's."""
NETWORKS = ("tsn", "tsm", "c2d", "i3d_resnet", "slowonly", "slowfast")
"""What networks it has names for."""
HEADS = ("cls_head.fc_cls.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
_HEAD = "cls_head.fc_cls"
_WRAP = ".net."
"""TSM's shift holds what it feeds as `net`: a block's first convolution, or the whole block."""
_C2D = "taken for TSN: C2D without a temporal pool has the same tensors and logits, C2D with one needs a recipe"


def pairs(network: LinearClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        owner = network.get_submodule(unit.ours.rpartition(".")[0])
        module, conv = _module(unit), "conv"
        if getattr(owner, "before", None) is not None:
            module = module.replace(unit.block, f"{unit.block}net.")
        if unit.part == "a" and getattr(owner, "before_branch", None) is not None:
            conv = "conv.net"
        yield f"{module}.{conv}.weight", f"{unit.ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{module}.bn.{tensor}", f"{unit.ours}.norm.{tensor}"
    for block in attentions(network):
        theirs = f"backbone.layer{block.stage}.{block.place}.non_local_block"
        # What is pooled is a list of the convolution and its pool.
        biased = {"g": "g.0", "theta": "theta", "phi": "phi.0"} if block.embedded else {"g": "g.0"}
        for ours, module in biased.items():
            for tensor in ("weight", "bias"):
                yield f"{theirs}.{module}.conv.{tensor}", f"{block.ours}.{ours}.{tensor}"
        yield f"{theirs}.conv_out.conv.weight", f"{block.ours}.out.weight"
        for tensor in NORM_TENSORS:
            yield f"{theirs}.conv_out.bn.{tensor}", f"{block.ours}.norm.{tensor}"
    if isinstance(network, SlowFast):
        for number, lateral in enumerate(LATERALS):
            yield f"backbone.slow_path.{lateral}.conv.weight", f"laterals.{number}.conv.weight"
    for tensor in ("weight", "bias"):
        yield f"{_HEAD}.{tensor}", f"head.{tensor}"


def changes(network: LinearClassifier) -> dict[str, Change]:
    """By our tensor: SlowFast's classifier has the fast pathway's columns first; C2D's convolutions are 2D."""
    if isinstance(network, SlowFast):
        fast = network.fast.out_channels
        return {
            "head.weight": Change(lambda theirs: torch.roll(theirs, -fast, 1), lambda ours: torch.roll(ours, fast, 1))
        }
    if isinstance(network, C2D):
        flat = Change(lambda theirs: theirs.unsqueeze(2), lambda ours: ours.squeeze(2))
        return {f"{unit.ours}.conv.weight": flat for unit in units(network)}
    return {}


def _module(unit: Unit) -> str:
    return f"{root(unit)}{unit.block}" + (f"conv{unit.number}" if unit.number else "downsample")


def _conv(unit: Unit) -> str:
    return f"{_module(unit)}.conv"


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """TSN, TSM, I3D, SlowOnly or SlowFast on a ResNet by shapes; None if it is none of them."""
    head = tensors.get(f"{_HEAD}.weight")
    if head is None:
        return None
    if SIGNS[1] in tensors:
        slow, fast = (survey(tensors, _conv, pathway) for pathway in (0, 1))
        lateral = tensors.get(f"backbone.slow_path.{LATERALS[0]}.conv.weight")
        return two_resnets(slow, fast, lateral, len(head), alpha=alpha_of(lateral))
    found = survey({name.replace(_WRAP, "."): tensor for name, tensor in tensors.items()}, _conv)
    if found is None:
        return None
    if not found.kernels:
        wrapped = next((name for name in tensors if _WRAP in name), None)
        return _shifted(found, len(head), wrapped) if wrapped else flat_resnet(found, len(head), (_C2D,))
    non_local, notes = _attention(tensors, slow_only=found.kernels[0] == (1,))
    c2d = {"second_pool": 1}
    return one_resnet(found, len(head), window=None, c2d=c2d, i3d=I3D_32X2, non_local=non_local, notes=notes)


def _shifted(found: Survey, num_classes: int, wrapped: str) -> Variant:
    """TSM; `wrapped` is a tensor behind a shift."""
    told = dict(flat_resnet(found, num_classes).config) | {
        "network": "tsm",
        "style": "blockres" if ".conv.net." in wrapped else "block",
    }
    note = "the shift is taken for 1/8 of the channels each way among 8 frames: no tensor tells"
    return Variant(TSMConfig.model_validate(told), (note,))


def _attention(tensors: dict[str, Tensor], *, slow_only: bool) -> tuple[NonLocalConfig | None, tuple[str, ...]]:
    """The non-local blocks, and what had to be assumed: theta tells gaussian from the others, and nothing those apart."""
    places = tuple(
        tuple(p for p in range(64) if f"backbone.layer{stage}.{p}.non_local_block.conv_out.conv.weight" in tensors)
        for stage in range(1, 5)
    )
    if not any(places):
        return None, ()
    if not any(".non_local_block.theta." in name for name in tensors):
        return NonLocalConfig(pairwise="gaussian", places=places), ()
    if slow_only:
        note = "non-local blocks are taken for scaled embedded gaussians, as MMAction2's SlowOnly has them"
        return NonLocalConfig(pairwise="embedded_gaussian", places=places, scaled=True), (note,)
    note = "non-local blocks are taken for dot products: an embedded gaussian has the same tensors and needs a recipe"
    return NonLocalConfig(pairwise="dot_product", places=places), (note,)
