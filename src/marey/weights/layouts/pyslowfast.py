"""PySlowFast's checkpoints: stages s1 to s5 of one or two pathways, the classifier under `head`.

Its models were trained in Caffe2; the tensors' names here are those of its PyTorch networks (`pyslowfast_caffe2` has the
others).
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from marey.models.layers.classifier import LinearClassifier
from marey.models.layers.non_local_config import NonLocalConfig
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts.resnet import (
    NORM_TENSORS,
    Survey,
    Unit,
    Variant,
    attentions,
    one_resnet,
    survey,
    two_resnets,
    units,
)

NAME = "pyslowfast"
TOOLKIT = "pyslowfast"
SIGNS = ("s1.pathway0_stem.conv.weight",)
"""Tensors one of which every file of this layout has, and no other layout's."""
NETWORKS = ("c2d", "i3d_resnet", "slowonly", "slowfast")
"""What networks it has names for."""
HEADS = ("head.projection.weight",)
"""Its classifier's weight; a file without it holds a network without a classifier."""
WINDOW = 7
"""Side of the head's sliding pool: the last map of its training crops of 224."""
_HEAD = "head.projection"


def pairs(network: LinearClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        yield f"{_conv(unit)}.weight", f"{unit.ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{_norm(unit)}.{tensor}", f"{unit.ours}.norm.{tensor}"
    for block in attentions(network):
        theirs = f"s{block.stage + 1}.pathway0_nonlocal{block.place}"
        for ours in ("theta", "phi", "g") if block.embedded else ("g",):
            for tensor in ("weight", "bias"):
                yield f"{theirs}.conv_{ours}.{tensor}", f"{block.ours}.{ours}.{tensor}"
        for tensor in ("weight", "bias") if block.biased else ("weight",):
            yield f"{theirs}.conv_out.{tensor}", f"{block.ours}.out.{tensor}"
        for tensor in NORM_TENSORS:
            yield f"{theirs}.bn.{tensor}", f"{block.ours}.norm.{tensor}"
    if isinstance(network, SlowFast):
        for number in range(4):
            yield f"s{number + 1}_fuse.conv_f2s.weight", f"laterals.{number}.conv.weight"
            for tensor in NORM_TENSORS:
                yield f"s{number + 1}_fuse.bn.{tensor}", f"laterals.{number}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"{_HEAD}.{tensor}", f"head.{tensor}"


def _module(unit: Unit) -> str:
    pathway = f"s{unit.stage + 1}.pathway{unit.pathway or 0}_"
    if not unit.stage:
        return f"{pathway}stem."
    return f"{pathway}res{unit.place}." + ("branch1" if unit.part == "shortcut" else f"branch2.{unit.part}")


def _conv(unit: Unit) -> str:
    return _module(unit) + ("" if unit.stage else "conv")


def _norm(unit: Unit) -> str:
    return _module(unit) + ("_bn" if unit.stage else "bn")


def variant_of(tensors: dict[str, Tensor]) -> Variant | None:
    """C2D, I3D, Slow or SlowFast by shapes; None if it is none of them."""
    pathways = [survey(tensors, _conv, pathway) for pathway in (0, 1)]
    return told(
        tensors, pathways, head=f"{_HEAD}.weight", lateral="s1_fuse.conv_f2s.weight",
        attention="s{stage}.pathway0_nonlocal{place}.conv_out.weight",
    )  # fmt: skip


def told(
    tensors: dict[str, Tensor], pathways: Sequence[Survey | None], *, head: str, lateral: str, attention: str
) -> Variant | None:
    """The network of this toolkit that the shapes tell, in either form of its files.

    `head`, `lateral` and `attention` are what the file calls the classifier, the first lateral and the last convolution
    of a non-local block of stage 2 to 5.
    """
    slow, fast = pathways
    if head not in tensors or slow is None or not slow.kernels:
        return None
    num_classes = len(tensors[head])
    non_local, notes = _attention(tensors, attention, two=fast is not None)
    if fast is not None:
        return two_pathways(slow, fast, tensors.get(lateral), num_classes, non_local=non_local, notes=notes)
    c2d, i3d = {"second_pool": 1}, {"stem_stride": 1, "pool_stride": 1, "second_pool": 2}
    if all(set(stage) == {1} for stage in slow.kernels):
        notes = (*notes, "taken for C2D without a temporal pool: the one with a pool has the same tensors")
    return one_resnet(slow, num_classes, window=WINDOW, c2d=c2d, i3d=i3d, non_local=non_local, notes=notes)


def two_pathways(
    slow: Survey | None,
    fast: Survey | None,
    lateral: Tensor | None,
    num_classes: int,
    *,
    non_local: NonLocalConfig | None = None,
    notes: tuple[str, ...] = (),
) -> Variant | None:
    """SlowFast as this toolkit and PyTorchVideo have it."""
    sparse = slow is not None and slow.depth == 50 and lateral is not None and lateral.shape[2] == 5
    return two_resnets(
        slow,
        fast,
        lateral,
        num_classes,
        alpha=8 if sparse else 4,
        notes=notes,
        slow_frames="spread",
        lateral_norm=True,
        pool_window=WINDOW,
        non_local=non_local,
    )


def _attention(tensors: dict[str, Tensor], name: str, *, two: bool) -> tuple[NonLocalConfig | None, tuple[str, ...]]:
    """The non-local blocks, and what had to be assumed: the two ways to compare positions have the same tensors."""
    places = tuple(
        tuple(place for place in range(64) if name.format(stage=stage, place=place) in tensors) for stage in range(2, 6)
    )
    if not any(places):
        return None, ()
    kind = "dot products" if two else "embedded gaussians"
    config = NonLocalConfig(
        pairwise="dot_product" if two else "embedded_gaussian",
        places=places,
        pool_first=True,
        scaled=not two,
        out_bias=True,
    )
    return config, (f"non-local blocks are taken for {kind}, as this toolkit's released network of this kind has them",)
