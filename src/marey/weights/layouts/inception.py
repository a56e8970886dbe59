"""The parts of an Inception network of ours, numbered as GoogLeNet and the older toolkits number them."""

from collections.abc import Iterator
from typing import NamedTuple

from marey.models.layers.inception import BNInceptionTrunk, ConvNormReLU, InceptionV1Trunk

STEM = ("a", "b", "c")
"""The stem's convolutions: 7x7, the 1x1 that reduces, 3x3."""


class Unit(NamedTuple):
    """One convolution with its norm: our name, its block ("" for the stem, else "3a" to "5b"), its place there.

    Places are a, b, c in the stem and in a block the branch with the convolution inside it: one, three.a, three.b, ...
    """

    ours: str
    block: str
    place: str


def units(trunk: InceptionV1Trunk | BNInceptionTrunk) -> Iterator[Unit]:
    """All convolutions of the trunk in the order of depth."""
    for place in STEM:
        yield Unit(f"inception.stem.{place}", "", place)
    for number, stage in enumerate(trunk.stages):
        for path, module in stage.named_modules():
            if isinstance(module, ConvNormReLU):
                letter, _, place = path.partition(".")
                yield Unit(f"inception.stages.{number}.{path}", f"{number + 3}{letter}", place)
