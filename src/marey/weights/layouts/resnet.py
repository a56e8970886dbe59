"""The parts of a ResNet-based network of ours, numbered as the older toolkits number them, and what a file's shapes tell.

Every toolkit keeps the same convolutions under other names, so a layout says what a `Unit` is called there. From the
names alone the network can be read back off a file: `survey` looks which units there are, and how long their kernels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from marey.models.layers.classifier import LinearClassifier, PooledClassifier
from marey.models.layers.non_local_config import NonLocalConfig
from marey.models.layers.resnet import BLOCKS, Residual, ResNetTrunk
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowfast.network import SlowFast
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.recipe import NetworkConfig

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_PARTS = {"a": 1, "b": 2, "c": 3}
Shape = tuple[int, ...]


class Unit(NamedTuple):
    """One convolution with its norm (`ours`.conv, `ours`.norm) and where it stands."""

    ours: str
    pathway: int | None
    """SlowFast's: 0 is slow, 1 is fast. None in a network of one ResNet."""
    stage: int
    """0 for the stem, 1 to 4 for the stages."""
    place: int
    """Of its block in the stage, from 0."""
    part: str
    """"a", "b" or "c" in the block, "shortcut" beside it; "stem"."""

    @property
    def block(self) -> str:
        """The prefix of torchvision, which MMAction's toolkits share: "" for the stem, "layer1.0." for the first block."""
        return f"layer{self.stage}.{self.place}." if self.stage else ""

    @property
    def number(self) -> int:
        """The number in torchvision of the convolution in its block: 1 for the stem, 0 for the shortcut."""
        return 1 if self.part == "stem" else _PARTS.get(self.part, 0)


class Attention(NamedTuple):
    """A non-local block (`ours`.theta, .phi, .g, .out, .norm) and the residual block that it stands behind."""

    ours: str
    pathway: int | None
    stage: int
    place: int
    embedded: bool
    """Whether theta and phi are convolutions, not the identity."""
    biased: bool
    """Whether the last convolution has a bias."""


class Variant(NamedTuple):
    """The network that a file's shapes tell, and what they do not tell and the toolkit's habit had to."""

    config: NetworkConfig
    notes: tuple[str, ...] = ()


class Change(NamedTuple):
    """How a tensor lies otherwise in a file: `take` makes ours of theirs, `give` theirs of ours."""

    take: Callable[[Tensor], Tensor]
    give: Callable[[Tensor], Tensor]


def units(network: LinearClassifier) -> Iterator[Unit]:
    """All convolutions of a network's ResNets but the laterals, in the order of depth."""
    for ours, pathway, trunk in _trunks(network):
        yield Unit(f"{ours}.stem", pathway, 0, 0, "stem")
        for stage, place, name, block in _blocks(ours, trunk):
            for part in _PARTS:
                if hasattr(block, part):
                    yield Unit(f"{name}.{part}", pathway, stage, place, part)
            if block.shortcut is not None:
                yield Unit(f"{name}.shortcut", pathway, stage, place, "shortcut")


def attentions(network: LinearClassifier) -> Iterator[Attention]:
    """All non-local blocks of a network's ResNets, in the order of depth."""
    for ours, pathway, trunk in _trunks(network):
        for stage, place, name, block in _blocks(ours, trunk):
            if block.after is not None:
                biased = cast(nn.Conv3d, block.after.out).bias is not None
                yield Attention(f"{name}.after", pathway, stage, place, hasattr(block.after, "theta"), biased)


def _trunks(network: LinearClassifier) -> list[tuple[str, int | None, ResNetTrunk]]:
    if isinstance(network, SlowFast):
        return [("slow", 0, network.slow), ("fast", 1, network.fast)]
    return [("resnet", None, cast(PooledClassifier, network).resnet)]


def _blocks(ours: str, trunk: ResNetTrunk) -> Iterator[tuple[int, int, str, Residual]]:
    for stage, blocks in enumerate(trunk.stages):
        for place, block in enumerate(cast(nn.Sequential, blocks)):
            yield stage + 1, place, f"{ours}.stages.{stage}.{place}", cast(Residual, block)


@dataclass(frozen=True)
class Survey:
    """One ResNet of a file."""

    depth: int
    width: int
    channels: int
    kernels: tuple[tuple[int, ...], ...]
    """Temporal lengths in the stem and in each block of the four stages; empty in 2D."""


def survey(tensors: dict[str, Tensor], conv: Callable[[Unit], str], pathway: int | None = None) -> Survey | None:
    """The ResNet whose convolutions `conv` names (their weights, without ".weight").

    None if it is none that we know: of another number of blocks, or with other middle convolutions (R(2+1)D, CSN).
    """

    def shape(stage: int, place: int, part: str) -> Shape | None:
        tensor = tensors.get(f"{conv(Unit('', pathway, stage, place, part))}.weight")
        return None if tensor is None else tuple(tensor.shape)

    stem = shape(0, 0, "stem")
    stages = [_until_none(lambda place, stage=stage: shape(stage, place, "a")) for stage in range(1, 5)]  # type: ignore[misc]
    deep = shape(1, 0, "c") is not None
    counts = tuple(len(blocks) for blocks in stages)
    depth = next((d for d, blocks in BLOCKS.items() if blocks == counts and (d >= 50) == deep), None)
    middle = shape(1, 0, "b")
    if stem is None or middle is None or depth is None or len(stem) not in (4, 5):
        return None
    if middle[1] != middle[0] or (len(stem) == 5 and middle[2] != 1):
        return None
    flat = len(stem) == 4
    kernels = () if flat else ((stem[2],), *(tuple(block[2] for block in blocks) for blocks in stages))
    return Survey(depth, stem[0], stem[1], kernels)


def _until_none(shape: Callable[[int], Shape | None]) -> list[Shape]:
    found: list[Shape] = []
    while (block := shape(len(found))) is not None:
        found.append(block)
    return found


def flat_resnet(found: Survey, num_classes: int, notes: tuple[str, ...] = ()) -> Variant:
    """TSN: a 2D ResNet on single frames; more than three input channels are a stack of flow fields."""
    rgb = found.channels == 3
    config = {
        "depth": found.depth,
        "width": found.width,
        "num_classes": num_classes,
        "channels": 3 if rgb else 2,
        "stack": 1 if rgb else found.channels // 2,
    }
    return Variant(TSNConfig.model_validate(config), notes)


def one_resnet(
    found: Survey,
    num_classes: int,
    *,
    window: int | None,
    c2d: dict[str, int],
    i3d: dict[str, int],
    non_local: NonLocalConfig | None = None,
    notes: tuple[str, ...] = (),
) -> Variant | None:
    """C2D, SlowOnly or I3D by the lengths of the kernels; None if they are another network's.

    `c2d` and `i3d` are the toolkit's strides and pools, which leave no tensors.
    """
    common: dict[str, Any] = {
        "depth": found.depth,
        "width": found.width,
        "num_classes": num_classes,
        "channels": found.channels,
        "pool_window": window,
    }
    stem, *stages = found.kernels
    if stem == (1,) and _all(stages, (1, 1, 1, 1)):
        return Variant(C2DConfig.model_validate(common | c2d), notes)
    if stem == (1,) and _all(stages, (1, 1, 3, 3)):
        return Variant(SlowOnlyConfig.model_validate(common | {"non_local": non_local}), notes)
    everywhere = _all(stages, (3, 3, 3, 3))
    if stem == (5,) and (everywhere or all(set(stage) == {1, 3} for stage in stages[1:])):
        # MMAction2's "heavy" network keeps every frame to the pool behind the first stage.
        strides = {"inflated": "everywhere", "stem_stride": 1, "pool_stride": 1} if everywhere else {}
        config = I3DResNetConfig.model_validate(common | i3d | strides | {"non_local": non_local})
        return Variant(config, notes)
    return None


def two_resnets(
    slow: Survey | None,
    fast: Survey | None,
    lateral: Tensor | None,
    num_classes: int,
    *,
    alpha: int,
    notes: tuple[str, ...] = (),
    **variant: Any,
) -> Variant | None:
    """SlowFast by the lengths of the kernels; None if they are another network's.

    `lateral` is the first convolution from fast to slow; `alpha` and `variant` are the toolkit's.
    """
    if slow is None or fast is None or lateral is None or not (slow.kernels and fast.kernels):
        return None
    # How many blocks of the third stage have a temporal kernel differs.
    if not (_all(slow.kernels, (1, 1, 1, None, 3)) and _all(fast.kernels, (5, 3, 3, None, 3))):
        return None
    config = {
        "depth": slow.depth,
        "fast_depth": None if fast.depth == slow.depth else fast.depth,
        "width": slow.width,
        "beta_inverse": slow.width // fast.width,
        "num_classes": num_classes,
        "channels": slow.channels,
        "alpha": alpha,
        "lateral_kernel": lateral.shape[2],
        "slow_inflated": _inflated(slow.kernels[3]),
        "fast_inflated": _inflated(fast.kernels[3]),
    }
    note = f"alpha is {alpha}, as this toolkit has it for such laterals"
    return Variant(SlowFastConfig.model_validate(config | variant), (*notes, note))


def _all(stages: Sequence[tuple[int, ...]], lengths: Sequence[int | None]) -> bool:
    """Whether each stage's kernels have that one length; None is any."""
    return all(length is None or set(stage) == {length} for stage, length in zip(stages, lengths, strict=True))


def _inflated(stage: tuple[int, ...]) -> int | None:
    count = sum(length > 1 for length in stage)
    return None if count == len(stage) else count
