"""Declarations of probes: the backbone, and how its maps are pooled for one linear layer."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt

from marey.base.declaration import Declaration
from marey.models.backbones import ClipBackbone, FrameBackbone

if TYPE_CHECKING:
    from marey.models.network import Network


class FrameMean(Declaration):
    """The mean over all frames and positions: shows what single frames show, not their order."""

    kind: Literal["frame_mean"] = "frame_mean"


class Moments(Declaration):
    """Maps are averaged over positions; features are their mean over time and mean absolute change from frame to frame.

    A frame probe adds the mean and the standard deviation over time of the maps of the difference images.
    """

    kind: Literal["moments"] = "moments"


class Halves(Declaration):
    """The mean over time, and the mean of the second half of the clip minus that of the first, at 2 x 2 positions.

    A frame probe adds both for the difference images. These features show in which order and where something happens.
    """

    kind: Literal["halves"] = "halves"


Pooling = Annotated[FrameMean | Moments | Halves, Field(discriminator="kind")]
"""Every pooling, chosen by `kind`."""


class _ProbeConfig(Declaration):
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    pooling: Pooling = Moments()
    """How the backbone's maps are pooled."""


class FrameProbeConfig(_ProbeConfig):
    """A probe on a network of single frames.

    The clip has pairs of frames (`marey.video.sampling.FramePairs`). The network sees the later frame of each pair, and the
    difference image, that frame minus the earlier one.
    """

    network: Literal["frame_probe"] = "frame_probe"
    backbone: Annotated[FrameBackbone, Field(discriminator="network")]
    """The network; its `num_classes` is not used."""

    @property
    def channels(self) -> int:
        """Channels of a clip."""
        return self.backbone.channels

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.probe.network import FrameProbe

        return FrameProbe(self)


class ClipProbeConfig(_ProbeConfig):
    """A probe on a network that sees all frames of a clip together. Its clips are those of that network."""

    network: Literal["clip_probe"] = "clip_probe"
    backbone: Annotated[ClipBackbone, Field(discriminator="network")]
    """The network; its `num_classes` is not used."""

    @property
    def channels(self) -> int:
        """Channels of a clip."""
        return self.backbone.channels

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.probe.network import ClipProbe

        return ClipProbe(self)
