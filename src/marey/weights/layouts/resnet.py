"""The parts of a ResNet-based network of ours, numbered as the older toolkits number them."""

from collections.abc import Iterator
from typing import NamedTuple

from marey.models.layers.resnet import ConvNorm, ResNetTrunk

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Unit(NamedTuple):
    """One convolution with its norm: our name, the block that it stands in, and its number there.

    Their block is "" for the stem and "layer1.0." for the first block of the first stage; number 0 is the shortcut.
    """

    ours: str
    block: str
    number: int


def units(trunk: ResNetTrunk) -> Iterator[Unit]:
    """All convolutions of the trunk in the order of depth."""
    yield Unit("resnet.stem", "", 1)
    for stage, blocks in enumerate(trunk.stages):
        for place, block in enumerate(blocks.children()):
            theirs, ours = f"layer{stage + 1}.{place}.", f"resnet.stages.{stage}.{place}"
            for number, part in enumerate(("a", "b", "c"), start=1):
                if hasattr(block, part):
                    yield Unit(f"{ours}.{part}", theirs, number)
            if isinstance(block.shortcut, ConvNorm):
                yield Unit(f"{ours}.shortcut", theirs, 0)
