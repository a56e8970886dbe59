"""MMAction v0.2's checkpoints: torchvision-like names under `backbone`, the classifier under `cls_head`."""

from collections.abc import Iterator

from marey.models.layers.classifier import PooledClassifier
from marey.weights.layouts.resnet import NORM_TENSORS, units

NAME = "mmaction"
SIGN = "backbone.conv1.weight"
"""A tensor that every file of this layout has and no other layout's."""


def pairs(network: PooledClassifier) -> Iterator[tuple[str, str]]:
    """(their tensor, our tensor), each of ours once."""
    for ours, block, number in units(network.resnet):
        conv, norm = (f"conv{number}", f"bn{number}") if number else ("downsample.0", "downsample.1")
        yield f"backbone.{block}{conv}.weight", f"{ours}.conv.weight"
        for tensor in NORM_TENSORS:
            yield f"backbone.{block}{norm}.{tensor}", f"{ours}.norm.{tensor}"
    yield "cls_head.fc_cls.weight", "head.weight"
    yield "cls_head.fc_cls.bias", "head.bias"
