"""The parts of an R(2+1)D or a CSN of ours, numbered as the older toolkits number them, and what a file's shapes tell.

Every toolkit keeps the same convolutions, each with its norm, under other names, so a layout says what a `Unit` is called
there. From the names alone the network can be read back off a file.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor, nn

from marey.models.csn.config import CSNConfig
from marey.models.csn.network import CSN
from marey.models.layers.resnet import BLOCKS
from marey.models.layers.separated import TwoSteps
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.r2plus1d.network import R2Plus1D, middle_channels
from marey.weights.layouts.resnet import NORM_TENSORS, Shape

NETWORKS = ("r2plus1d", "csn")
"""What networks these layouts have names for."""
_Config = R2Plus1DConfig | CSNConfig


class Unit(NamedTuple):
    """One convolution with its norm (`ours`.conv, `ours`.norm) and where it stands."""

    ours: str
    stage: int
    """0 for the stem, 1 to 4 for the stages."""
    place: int
    """Of its block in the stage, from 0."""
    part: str
    """"a", "b" or "c" in the block, "shortcut" beside it; "stem"."""
    step: int | None
    """1 or 2 of two steps; None where one convolution does."""
    config: _Config
    """Of the network; its depth, kind and interaction are what names depend on."""

    @property
    def blocks(self) -> tuple[int, ...]:
        """How many each stage has."""
        return BLOCKS[self.config.depth]

    @property
    def number(self) -> int:
        """Of the convolution in its block, from 1; 0 beside it and in the stem."""
        return "?abc".find(self.part)

    @property
    def block(self) -> str:
        """The prefix of torchvision, which MMAction2 shares: "layer1.0" for the first block."""
        return f"layer{self.stage}.{self.place}"


class Names(NamedTuple):
    """What a unit's convolution is called, up to its ".weight", and its norm, up to the dot."""

    conv: str
    norm: str


Naming = Callable[[Unit], Names]


def units(network: R2Plus1D | CSN) -> Iterator[Unit]:
    """All convolutions of the network's ResNet, in the order of depth."""

    def steps(module: nn.Module, ours: str, stage: int, place: int, part: str) -> Iterator[Unit]:
        if isinstance(module, TwoSteps):
            yield Unit(f"{ours}.first", stage, place, part, 1, network.config)
            yield Unit(f"{ours}.second", stage, place, part, 2, network.config)
        else:
            yield Unit(ours, stage, place, part, None, network.config)

    trunk = network.resnet
    yield from steps(trunk.stem, "resnet.stem", 0, 0, "stem")
    for stage, count in enumerate(BLOCKS[network.config.depth]):
        for place in range(count):
            block = trunk.residual(stage, place)
            for part in ("a", "b", "c", "shortcut"):
                module = getattr(block, part, None)
                if module is not None:
                    yield from steps(module, f"resnet.stages.{stage}.{place}.{part}", stage + 1, place, part)


def named(network: R2Plus1D | CSN, names: Naming, head: str) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for unit in units(network):
        conv, norm = names(unit)
        yield f"{conv}.weight", f"{unit.ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{norm}.{tensor}", f"{unit.ours}.norm.{tensor}"
    for tensor in ("weight", "bias"):
        yield f"{head}.{tensor}", f"head.{tensor}"


def told(tensors: dict[str, Tensor], names: Naming, head: str, *, ending: str = ".weight") -> _Config | None:
    """The network that shapes tell, with our defaults for what leaves no tensors; None if it is another one.

    `head` is the classifier's weight; `ending` is what follows a convolution's name.
    """
    if head not in tensors:
        return None
    for config in _CANDIDATES:
        survey = _Survey(tensors, names, config, ending)
        if survey.has_these_blocks():
            found = survey.csn() if isinstance(config, CSNConfig) else survey.r2plus1d()
            if found is not None:
                sizes = {"depth": config.depth, "num_classes": int(tensors[head].shape[0])}
                return type(config).model_validate(found | sizes)
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
"""By the second stage's kernels, where the first stage's are 3x3x3."""


class _Survey:
    """The layers of a file, if it is a network like `config`, as the names depend on it."""

    def __init__(self, tensors: dict[str, Tensor], names: Naming, config: _Config, ending: str) -> None:
        self._tensors, self._names, self._config, self._ending = tensors, names, config, ending

    def has_these_blocks(self) -> bool:
        """Whether the stages are as long as the config's, and of bottlenecks if these are."""
        for stage, count in enumerate(BLOCKS[self._config.depth], start=1):
            if not self._layer(stage, count - 1, "a"):
                return False
            # Where blocks are counted through the network, the next one is the next stage's, which changes the shape.
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
        """What the channels between two steps are counted from: the first block that changes their number tells."""
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

    def _layer(self, stage: int, place: int, part: str) -> tuple[Shape, ...]:
        """Shapes of a layer's convolutions: of two steps, of one, or none if there is no such layer."""
        whole, *steps = (self._conv(Unit("", stage, place, part, step, self._config)) for step in (None, 1, 2))
        # A layout may have one name for both where there never are two.
        for names in (steps, [whole]) if steps[0] != steps[1] else ([whole],):
            if all(name in self._tensors and self._tensors[name].ndim == 5 for name in names):
                return tuple(tuple(self._tensors[name].shape) for name in names)
        return ()

    def _conv(self, unit: Unit) -> str:
        return self._names(unit).conv + self._ending
