"""The layers of our Inception networks for the layouts: each convolution with its norm, by GoogLeNet's names of blocks."""

from collections.abc import Iterator
from typing import NamedTuple

from marey.models.layers.inception import ConvNormReLU
from marey.models.network import Network, PooledClassifier

STEM = ("a", "b", "c")
"""The stem's convolutions: 7x7, the 1x1 that reduces, 3x3."""


class InceptionUnit(NamedTuple):
    """A convolution with its norm (our tensors under `ours`.conv and `ours`.norm), and its place in an Inception network."""

    ours: str
    """Our name of the two, as in inception.stages.0.a.three.b."""
    block: str
    """GoogLeNet's name of the block, "3a" to "5b"; "" for the stem."""
    branch: str
    """In a block the branch and the convolution in it ("one", "three.a", "three.b", ...); in the stem one of `STEM`."""


def inception_units(network: Network) -> Iterator[InceptionUnit]:
    """All convolutions of the trunk, in the order of depth."""
    assert isinstance(network, PooledClassifier)
    for layer in STEM:
        yield InceptionUnit(f"inception.stem.{layer}", "", layer)
    for stage, blocks in enumerate(network.inception.stages):
        for path, module in blocks.named_modules():
            if isinstance(module, ConvNormReLU):
                letter, _, branch = path.partition(".")
                yield InceptionUnit(f"inception.stages.{stage}.{path}", f"{stage + 3}{letter}", branch)
