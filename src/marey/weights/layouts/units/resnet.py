"""The layers of our ResNets for the layouts: each convolution with its norm and its place; configs from shapes.

Every toolkit has the same convolutions under other names, so that a layout only names each `ResNetUnit`. With those names
`find_resnet` finds the ResNet in a file: the number of blocks in its stages and the length of its kernels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

from marey.models.layers.config import NonLocalConfig
from marey.models.layers.non_local import NonLocal
from marey.models.layers.resnet import BLOCKS, Residual, ResNetTrunk
from marey.models.network import Network, PooledClassifier
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowfast.network import SlowFast
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.weights.layouts.layout import InferredConfig, Names, conv_norm_pairs

Shape = tuple[int, ...]


class ResNetUnit(NamedTuple):
    """A convolution with its norm (our tensors under `ours`.conv and `ours`.norm), and its place in a network of ResNets."""

    ours: str
    """Our name of the two, as in resnet.stages.0.1.a."""
    pathway: int | None
    """SlowFast's pathway: 0 is slow, 1 is fast. None in a network of one ResNet."""
    stage: int
    """Number of the stage: 0 for the stem, 1 to 4 for the stages."""
    block: int
    """Index of the residual block in its stage, from 0; 0 for the stem."""
    layer: str
    """Which convolution it is: "stem"; in a block "a", "b" or "c" by depth, and "shortcut" beside them."""
    shift: Literal["block", "branch"] | None = None
    """Place of TSM's shift: before the block, or inside it before its branch; None without a shift."""

    @property
    def prefix(self) -> str:
        """Torchvision's name of the block, which MMAction's toolkits share: "layer1.0." for the first; "" for the stem."""
        return f"layer{self.stage}.{self.block}." if self.stage else ""

    @property
    def number(self) -> int:
        """Torchvision's number of the convolution in its block, from 1; 1 for the stem, 0 for the shortcut."""
        return {"stem": 1, "shortcut": 0, "a": 1, "b": 2, "c": 3}[self.layer]


class NonLocalUnit(NamedTuple):
    """A non-local block (our `ours`.theta, .phi, .g, .out and .norm), and which residual block it follows."""

    ours: str
    """Our name of the block, as in resnet.stages.1.1.after."""
    stage: int
    """Number of the stage, 1 to 4."""
    block: int
    """Index in the stage of the residual block that it follows, from 0."""
    embedded: bool
    """Whether theta and phi are convolutions; otherwise they are the identity and have no tensors."""
    biased: bool
    """Whether the last convolution has a bias."""


def resnet_units(network: Network) -> Iterator[ResNetUnit]:
    """All convolutions of a network's ResNets but the laterals, in the order of depth."""
    for ours, pathway, trunk in _trunks(network):
        yield ResNetUnit(f"{ours}.stem", pathway, 0, 0, "stem")
        for stage, index, name, block in _blocks(ours, trunk):
            shift: Literal["block", "branch"] | None = None
            if block.before is not None or block.before_branch is not None:
                shift = "branch" if block.before is None else "block"
            layers = [*block.layers(), *([] if block.shortcut is None else ["shortcut"])]
            for layer in layers:
                yield ResNetUnit(f"{name}.{layer}", pathway, stage, index, layer, shift)


def resnet_pairs(network: Network, names: Callable[[ResNetUnit], Names]) -> Iterator[tuple[str, str]]:
    """(their key, our key) for the tensors of all `resnet_units`."""
    for unit in resnet_units(network):
        yield from conv_norm_pairs(names(unit), unit.ours)


def non_local_units(network: Network) -> Iterator[NonLocalUnit]:
    """All non-local blocks of a network's ResNets, in the order of depth."""
    for ours, _, trunk in _trunks(network):
        for stage, index, name, block in _blocks(ours, trunk):
            if block.after is not None:
                assert isinstance(block.after, NonLocal)
                config = block.after.config
                yield NonLocalUnit(f"{name}.after", stage, index, config.pairwise != "gaussian", config.out_bias)


def _trunks(network: Network) -> list[tuple[str, int | None, ResNetTrunk]]:
    if isinstance(network, SlowFast):
        return [("slow", 0, network.slow), ("fast", 1, network.fast)]
    assert isinstance(network, PooledClassifier)
    return [("resnet", None, network.resnet)]


def _blocks(ours: str, trunk: ResNetTrunk) -> Iterator[tuple[int, int, str, Residual]]:
    for stage, blocks in enumerate(trunk.stages):
        for index, block in enumerate(blocks.children()):
            assert isinstance(block, Residual)
            yield stage + 1, index, f"{ours}.stages.{stage}.{index}", block


@dataclass(frozen=True)
class FoundResNet:
    """The sizes of a ResNet in a file, inferred from the shapes of its convolutions."""

    depth: int
    """Number of layers, as in ResNet-50."""
    width: int
    """Output channels of the stem."""
    channels: int
    """Input channels of the stem."""
    kernels: tuple[tuple[int, ...], ...]
    """Temporal lengths of the kernels in the stem and in each block of the four stages; empty in 2D."""


def find_resnet(
    tensors: dict[str, Tensor], names: Callable[[ResNetUnit], Names], pathway: int | None = None
) -> FoundResNet | None:
    """The ResNet in a file whose toolkit has these `names`.

    None for another network: one with other numbers of blocks, or in which a block's second convolution is depthwise or
    has a temporal kernel or two steps (R(2+1)D, CSN).
    """

    def shape(stage: int, index: int, layer: str) -> Shape | None:
        tensor = tensors.get(f"{names(ResNetUnit('', pathway, stage, index, layer)).conv}.weight")
        return None if tensor is None else tuple(tensor.shape)

    def first_layers(stage: int) -> list[Shape]:
        shapes: list[Shape] = []
        while (found := shape(stage, len(shapes), "a")) is not None:
            shapes.append(found)
        return shapes

    stem = shape(0, 0, "stem")
    stages = [first_layers(stage) for stage in range(1, 5)]
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
    return FoundResNet(depth, stem[0], stem[1], kernels)


def infer_2d(found: FoundResNet, num_classes: int, notes: tuple[str, ...] = ()) -> InferredConfig:
    """TSN: a 2D ResNet on single frames; more than three input channels are a stack of flow fields."""
    rgb = found.channels == 3
    config = {
        "depth": found.depth,
        "width": found.width,
        "num_classes": num_classes,
        "channels": 3 if rgb else 2,
        "stack": 1 if rgb else found.channels // 2,
    }
    return InferredConfig(TSNConfig.model_validate(config), notes)


def infer_3d(
    found: FoundResNet,
    num_classes: int,
    *,
    window: int | None,
    c2d: dict[str, int],
    i3d: dict[str, int],
    non_local: NonLocalConfig | None = None,
    notes: tuple[str, ...] = (),
) -> InferredConfig | None:
    """C2D, SlowOnly or I3D, inferred from the lengths of the kernels; None for another network.

    `c2d` and `i3d` are the toolkit's strides and pools, which have no tensors.
    """
    common: dict[str, object] = {
        "depth": found.depth,
        "width": found.width,
        "num_classes": num_classes,
        "channels": found.channels,
        "pool_window": window,
    }
    stem, *stages = found.kernels
    if stem == (1,) and _all(stages, (1, 1, 1, 1)):
        return InferredConfig(C2DConfig.model_validate(common | c2d), notes)
    if stem == (1,) and _all(stages, (1, 1, 3, 3)):
        return InferredConfig(SlowOnlyConfig.model_validate(common | {"non_local": non_local}), notes)
    everywhere = _all(stages, (3, 3, 3, 3))
    if stem == (5,) and (everywhere or all(set(stage) == {1, 3} for stage in stages[1:])):
        # MMAction2's "heavy" network has no temporal stride before the pool behind the first stage.
        strides = {"inflated": "everywhere", "stem_stride": 1, "pool_stride": 1} if everywhere else {}
        config = I3DResNetConfig.model_validate(common | i3d | strides | {"non_local": non_local})
        return InferredConfig(config, notes)
    return None


def infer_slowfast(
    slow: FoundResNet | None,
    fast: FoundResNet | None,
    lateral: Tensor | None,
    num_classes: int,
    *,
    alpha: int,
    notes: tuple[str, ...] = (),
    defaults: Mapping[str, object] | None = None,
) -> InferredConfig | None:
    """SlowFast, inferred from the lengths of the kernels; None for another network.

    `lateral` is the first convolution from fast to slow; `alpha` and `defaults` (further fields of the config) are the
    toolkit's.
    """
    if slow is None or fast is None or lateral is None or not (slow.kernels and fast.kernels):
        return None
    # In the third stage the number of blocks with a temporal kernel differs between variants of SlowFast.
    if not (_all(slow.kernels, (1, 1, 1, None, 3)) and _all(fast.kernels, (5, 3, 3, None, 3))):
        return None
    config: dict[str, object] = {
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
    return InferredConfig(SlowFastConfig.model_validate(config | dict(defaults or {})), (*notes, note))


def _all(stages: Sequence[tuple[int, ...]], lengths: Sequence[int | None]) -> bool:
    """Whether all kernels of each stage have the given length; None allows any length."""
    return all(length is None or set(stage) == {length} for stage, length in zip(stages, lengths, strict=True))


def _inflated(stage: tuple[int, ...]) -> int | None:
    inflated = sum(length > 1 for length in stage)
    return None if inflated == len(stage) else inflated
