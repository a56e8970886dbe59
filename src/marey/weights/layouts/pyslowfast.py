"""PySlowFast's checkpoints: stages s1 to s5 of one or two pathways, the classifier under `head`.

This module has the names in its PyTorch files, `pyslowfast_caffe2` those in its Caffe2 files.

Worked example (recipe slowonly_r50_8x8_k400_pyslowfast):

    s1.pathway0_stem.conv.weight -> resnet.stem.conv.weight
    s1.pathway0_stem.bn.weight -> resnet.stem.norm.weight
    s2.pathway0_res0.branch2.a.weight -> resnet.stages.0.0.a.conv.weight
    s2.pathway0_res0.branch2.a_bn.weight -> resnet.stages.0.0.a.norm.weight
    s2.pathway0_res0.branch1.weight -> resnet.stages.0.0.shortcut.conv.weight
    s2.pathway0_res0.branch1_bn.weight -> resnet.stages.0.0.shortcut.norm.weight
    head.projection.weight -> head.weight

Worked example (recipe i3dnl_r50_8x8_k400_pyslowfast):

    s3.pathway0_nonlocal1.conv_theta.weight -> resnet.stages.1.1.after.theta.weight
    s3.pathway0_nonlocal1.conv_phi.weight -> resnet.stages.1.1.after.phi.weight
    s3.pathway0_nonlocal1.conv_g.weight -> resnet.stages.1.1.after.g.weight
    s3.pathway0_nonlocal1.conv_out.weight -> resnet.stages.1.1.after.out.weight
    s3.pathway0_nonlocal1.bn.weight -> resnet.stages.1.1.after.norm.weight

Worked example (recipe slowfast_r50_8x8_k400_pyslowfast):

    s1_fuse.conv_f2s.weight -> laterals.0.conv.weight
    s1_fuse.bn.weight -> laterals.0.norm.weight
"""

from collections.abc import Iterator, Sequence

from torch import Tensor

from marey.models.layers.config import NonLocalConfig
from marey.models.network import Network
from marey.models.slowfast.network import SlowFast
from marey.weights.layouts.layout import InferredConfig, KeySignature, Layout, Names, linear_pairs, norm_pairs
from marey.weights.layouts.units.resnet import (
    FoundResNet,
    ResNetUnit,
    find_resnet,
    infer_3d,
    infer_slowfast,
    non_local_units,
    resnet_pairs,
)

NETWORKS = ("c2d", "i3d_resnet", "slowonly", "slowfast")
"""The networks of this toolkit, in both formats of its files."""
WINDOW = 7
"""Side of the head's sliding pool: that of the last map of a training crop of 224 pixels."""
_HEAD = "head.projection"


def pairs(network: Network) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once."""
    yield from resnet_pairs(network, _names)
    for non_local in non_local_units(network):
        theirs = f"s{non_local.stage + 1}.pathway0_nonlocal{non_local.block}"
        for ours in ("theta", "phi", "g") if non_local.embedded else ("g",):
            yield from linear_pairs(f"{theirs}.conv_{ours}", f"{non_local.ours}.{ours}")
        for tensor in ("weight", "bias") if non_local.biased else ("weight",):
            yield f"{theirs}.conv_out.{tensor}", f"{non_local.ours}.out.{tensor}"
        yield from norm_pairs(f"{theirs}.bn", f"{non_local.ours}.norm")
    if isinstance(network, SlowFast):
        for number in range(4):
            yield f"s{number + 1}_fuse.conv_f2s.weight", f"laterals.{number}.conv.weight"
            yield from norm_pairs(f"s{number + 1}_fuse.bn", f"laterals.{number}.norm")
    yield from linear_pairs(_HEAD)


def _names(unit: ResNetUnit) -> Names:
    pathway = f"s{unit.stage + 1}.pathway{unit.pathway or 0}_"
    if not unit.stage:
        return Names(f"{pathway}stem.conv", f"{pathway}stem.bn")
    branch = "branch1" if unit.layer == "shortcut" else f"branch2.{unit.layer}"
    conv = f"{pathway}res{unit.block}.{branch}"
    return Names(conv, f"{conv}_bn")


def infer_config(tensors: dict[str, Tensor]) -> InferredConfig | None:
    """C2D, I3D, Slow or SlowFast by shapes; None if it is none of them."""
    pathways = [find_resnet(tensors, _names, pathway) for pathway in (0, 1)]
    return infer_network(
        tensors, pathways, head=f"{_HEAD}.weight", lateral="s1_fuse.conv_f2s.weight",
        non_local="s{stage}.pathway0_nonlocal{index}.conv_out.weight",
    )  # fmt: skip


def infer_network(
    tensors: dict[str, Tensor], pathways: Sequence[FoundResNet | None], *, head: str, lateral: str, non_local: str
) -> InferredConfig | None:
    """The network of this toolkit inferred from shapes, for both formats of its files.

    `head`, `lateral` and `non_local` are the keys of the classifier, the first lateral and, as a format of stage (2 to 5)
    and index, the last convolution of a non-local block.
    """
    slow, fast = pathways
    if head not in tensors or slow is None or not slow.kernels:
        return None
    num_classes = len(tensors[head])
    blocks, notes = _infer_non_local(tensors, non_local, slowfast=fast is not None)
    if fast is not None:
        return infer_two_pathways(slow, fast, tensors.get(lateral), num_classes, non_local=blocks, notes=notes)
    c2d, i3d = {"second_pool": 1}, {"stem_stride": 1, "pool_stride": 1, "second_pool": 2}
    if all(set(stage) == {1} for stage in slow.kernels):
        notes = (*notes, "assumed to be C2D without a temporal pool: the one with a pool has the same tensors")
    return infer_3d(slow, num_classes, window=WINDOW, c2d=c2d, i3d=i3d, non_local=blocks, notes=notes)


def infer_two_pathways(
    slow: FoundResNet | None,
    fast: FoundResNet | None,
    lateral: Tensor | None,
    num_classes: int,
    *,
    non_local: NonLocalConfig | None = None,
    notes: tuple[str, ...] = (),
) -> InferredConfig | None:
    """SlowFast as this toolkit and PyTorchVideo have it."""
    sparse = slow is not None and slow.depth == 50 and lateral is not None and lateral.shape[2] == 5
    return infer_slowfast(
        slow,
        fast,
        lateral,
        num_classes,
        alpha=8 if sparse else 4,
        notes=notes,
        defaults={"slow_frames": "spread", "lateral_norm": True, "pool_window": WINDOW, "non_local": non_local},
    )


def _infer_non_local(
    tensors: dict[str, Tensor], key: str, *, slowfast: bool
) -> tuple[NonLocalConfig | None, tuple[str, ...]]:
    """The non-local blocks, and what was assumed about them: both ways to compare positions have the same tensors."""
    places = tuple(
        tuple(index for index in range(64) if key.format(stage=stage, index=index) in tensors) for stage in range(2, 6)
    )
    if not any(places):
        return None, ()
    kind = "dot products" if slowfast else "embedded gaussians"
    config = NonLocalConfig(
        pairwise="dot_product" if slowfast else "embedded_gaussian",
        places=places,
        pool_first=True,
        scaled=not slowfast,
        out_bias=True,
    )
    note = f"non-local blocks are assumed to be {kind}, as this toolkit's released network of this kind has them"
    return config, (note,)


LAYOUT = Layout(
    name="pyslowfast",
    toolkit="pyslowfast",
    signatures=(KeySignature(("s1.pathway0_stem.conv.weight", "s2.pathway0_res0.branch2.a.weight")),),
    networks=NETWORKS,
    heads=(f"{_HEAD}.weight",),
    pairs=pairs,
    infer_config=infer_config,
)
