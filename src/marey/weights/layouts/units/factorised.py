"""The layers of our R(2+1)D and CSN for the layouts: each convolution with its norm and its place; configs from shapes.

A convolution may be factorised into two steps: in space and in time, or across channels and within them. Every toolkit has
the same convolutions under other names, so that a layout only names each `FactorisedUnit`. With those names
`infer_factorised` infers the network in a file.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor, nn

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.layers.factorised import TwoSteps
from marey.models.layers.resnet import BLOCKS
from marey.models.network import Network
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D, middle_channels
from marey.weights.layouts.layout import Names, conv_norm_pairs, linear_pairs
from marey.weights.layouts.units.resnet import Shape

NETWORKS = ("r2plus1d", "csn")
"""The networks whose layers these are."""
_Config = R2Plus1DConfig | CSNConfig


class FactorisedUnit(NamedTuple):
    """A convolution with its norm (our tensors under `ours`.conv and `ours`.norm), and its place in an R(2+1)D or a CSN."""

    ours: str
    """Our name of the two, as in resnet.stages.0.1.b.first."""
    stage: int
    """Number of the stage: 0 for the stem, 1 to 4 for the stages."""
    block: int
    """Index of the residual block in its stage, from 0; 0 for the stem."""
    layer: str
    """Which convolution it is: "stem"; in a block "a", "b" or "c" by depth, and "shortcut" beside them."""
    step: int | None
    """Which step of a factorised convolution it is, 1 or 2; None if the convolution is not factorised."""
    config: _Config
    """Config of the network; names depend on its depth, kind and interaction."""

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of blocks in each stage."""
        return BLOCKS[self.config.depth]

    @property
    def number(self) -> int:
        """The number of the layer in its block, from 1; 0 for the shortcut and the stem."""
        return {"a": 1, "b": 2, "c": 3}.get(self.layer, 0)

    @property
    def prefix(self) -> str:
        """Torchvision's name of the block, which MMAction2 shares: "layer1.0." for the first; "" for the stem."""
        return f"layer{self.stage}.{self.block}." if self.stage else ""


Naming = Callable[[FactorisedUnit], Names]


def factorised_units(network: Network) -> Iterator[FactorisedUnit]:
    """All convolutions of the network's ResNet, in the order of depth."""
    assert isinstance(network, R2Plus1D | CSN)
    config, trunk = network.config, network.resnet

    def steps(module: nn.Module, ours: str, stage: int, index: int, layer: str) -> Iterator[FactorisedUnit]:
        if isinstance(module, TwoSteps):
            yield FactorisedUnit(f"{ours}.first", stage, index, layer, 1, config)
            yield FactorisedUnit(f"{ours}.second", stage, index, layer, 2, config)
        else:
            yield FactorisedUnit(ours, stage, index, layer, None, config)

    yield from steps(trunk.stem, "resnet.stem", 0, 0, "stem")
    for stage, count in enumerate(BLOCKS[config.depth]):
        for index in range(count):
            block = trunk.residual(stage, index)
            name = f"resnet.stages.{stage}.{index}"
            for layer, module in block.layers().items():
                yield from steps(module, f"{name}.{layer}", stage + 1, index, layer)
            if block.shortcut is not None:
                yield from steps(block.shortcut, f"{name}.shortcut", stage + 1, index, "shortcut")


def factorised_pairs(network: Network, names: Naming, head: str) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once; `head` is their name of the head."""
    for unit in factorised_units(network):
        yield from conv_norm_pairs(names(unit), unit.ours)
    yield from linear_pairs(head)


def infer_factorised(
    tensors: dict[str, Tensor], names: Naming, head: str, *, ending: str = ".weight"
) -> _Config | None:
    """The network inferred from shapes, with our defaults for what no tensor shows; None for any other network.

    `head` is the key of the head's weight; `ending` follows the name of a convolution.
    """
    if head not in tensors:
        return None
    for config in _CANDIDATES:
        found = _FoundLayers(tensors, names, config, ending)
        if found.has_these_blocks():
            fields = found.csn() if isinstance(config, CSNConfig) else found.r2plus1d()
            if fields is not None:
                sizes = {"depth": config.depth, "num_classes": int(tensors[head].shape[0])}
                return type(config).model_validate(fields | sizes)
    return None


_CANDIDATES: tuple[_Config, ...] = (
    *(R2Plus1DConfig.model_validate({"depth": depth}) for depth in BLOCKS),
    *(
        CSNConfig.model_validate({"depth": depth, "interaction": interaction})
        for depth in (50, 101, 152)
        for interaction in ("reduced", "preserved")
    ),
)


_WHOLE: dict[Shape, str] = {(3, 3, 3): "whole", (1, 3, 3): "mixed"}
"""`R2Plus1DConfig.convolutions` by the kernels of the second stage, if those of the first stage are 3x3x3."""


class _FoundLayers:
    """The layers in a file under the names that a network like `config` would have."""

    def __init__(self, tensors: dict[str, Tensor], names: Naming, config: _Config, ending: str) -> None:
        self._tensors, self._names, self._config, self._ending = tensors, names, config, ending

    def has_these_blocks(self) -> bool:
        """Whether the stages have as many blocks as the config's, and the same kind of block (basic or bottleneck)."""
        for stage, count in enumerate(BLOCKS[self._config.depth], start=1):
            if not self._layer(stage, count - 1, "a"):
                return False
            # If a layout numbers blocks through the network, this is the next stage's first block, which has a
            # shortcut.
            if self._layer(stage, count, "a") and (stage == 4 or not self._layer(stage, count, "shortcut")):
                return False
        return bool(self._layer(1, 0, "c")) == (self._config.depth >= 50)

    def csn(self) -> dict[str, object] | None:
        """The fields of a `CSNConfig`."""
        assert isinstance(self._config, CSNConfig)
        interaction = self._config.interaction
        stem, layer = self._layer(0, 0, "stem"), self._layer(1, 0, "b")
        if len(stem) != 1 or stem[0][2] != 3 or not layer or layer[-1][2:] != (3, 3, 3):
            return None
        inner, depthwise = layer[-1][0], layer[-1][1] == 1
        if interaction == "reduced":
            return self._stem(stem) | {"interaction": interaction} if len(layer) == 1 and depthwise else None
        if len(layer) == 2 and layer[0] == (inner, inner, 1, 1, 1):
            return self._stem(stem) | {"interaction": interaction, "depthwise": depthwise}
        return None

    def r2plus1d(self) -> dict[str, object] | None:
        """The fields of an `R2Plus1DConfig`."""
        stem, convolutions = self._layer(0, 0, "stem"), self._convolutions()
        if not stem or convolutions is None:
            return None
        return self._stem(stem) | {
            "convolutions": convolutions,
            "stem_middle": stem[0][0] if len(stem) == 2 else 0,
            "stem_frames": stem[-1][2],
            "shortcut": "space_time" if len(self._layer(2, 0, "shortcut")) == 2 else "pointwise",
        }

    def _convolutions(self) -> str | None:
        layer, later = self._layer(1, 0, "b"), self._layer(2, 0, "b")
        sizes = [shape[2:] for shape in layer]
        if sizes == [(3, 3, 3)] and layer[0][0] == layer[0][1] and len(later) == 1:
            return _WHOLE.get(later[0][2:])
        if sizes == [(3, 1, 1), (1, 3, 3)]:
            return "time_space"
        return self._counted() if sizes == [(1, 3, 3), (3, 1, 1)] else None

    def _counted(self) -> str | None:
        """The rule for the channels between two steps, inferred from the first block that changes their number."""
        entering, layer = self._layer(2, 0, "a"), self._layer(2, 0, "b")
        if not entering or len(layer) != 2:
            return None
        (middle, width), out_channels = layer[0][:2], layer[1][0]
        for rule, in_channels in (("space_time", width), ("block_space_time", entering[0][1])):
            if middle == middle_channels(in_channels, out_channels, 3):
                return rule
        return None

    def _stem(self, stem: tuple[Shape, ...]) -> dict[str, object]:
        return {"width": stem[-1][0], "channels": stem[0][1]}

    def _layer(self, stage: int, index: int, layer: str) -> tuple[Shape, ...]:
        """Shapes of a layer's convolutions: of two steps, of one, or none if there is no such layer."""
        whole, *steps = (
            self._conv(FactorisedUnit("", stage, index, layer, step, self._config)) for step in (None, 1, 2)
        )
        # Both steps have the same name where the layout never has two steps.
        for names in (steps, [whole]) if steps[0] != steps[1] else ([whole],):
            if all(name in self._tensors and self._tensors[name].ndim == 5 for name in names):
                return tuple(tuple(self._tensors[name].shape) for name in names)
        return ()

    def _conv(self, unit: FactorisedUnit) -> str:
        return self._names(unit).conv + self._ending
