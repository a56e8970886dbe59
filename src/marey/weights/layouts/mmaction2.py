"""MMAction2's checkpoints: every convolution is a module of `conv` and `bn`, the classifier under `cls_head`."""

from collections.abc import Iterator

from marey.models.layers.classifier import PooledClassifier
from marey.weights.layouts.resnet import NORM_TENSORS, units

NAME = "mmaction2"
SIGN = "backbone.conv1.conv.weight"
"""A tensor that every file of this layout has and no other layout's."""


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for ours, block, number in units(network.resnet):
        module = f"backbone.{block}" + (f"conv{number}" if number else "downsample")
        yield f"{module}.conv.weight", f"{ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"{module}.bn.{tensor}", f"{ours}.norm.{tensor}"
    yield "cls_head.fc_cls.weight", "head.weight"
    yield "cls_head.fc_cls.bias", "head.bias"
