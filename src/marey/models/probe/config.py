"""A probe: which backbone looks at a clip, and how its maps are pooled for one linear layer."""

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt

from marey.base.declaration import Declaration
from marey.models.csn.config import CSNConfig
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.r2plus1d.config import R2Plus1DConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.config import BNInceptionTSNConfig, LiteTSNConfig, TSNConfig

if TYPE_CHECKING:
    from marey.models.probe.network import Probe

FrameBackbone: TypeAlias = TSNConfig | BNInceptionTSNConfig | LiteTSNConfig
"""Networks that see each frame by itself."""
ClipBackbone: TypeAlias = (
    TSMConfig
    | LiteTSMConfig
    | C2DConfig
    | InceptionI3DConfig
    | I3DResNetConfig
    | SlowOnlyConfig
    | SlowFastConfig
    | R2Plus1DConfig
    | CSNConfig
)
"""Networks that see a clip as a whole."""


class FrameMean(Declaration):
    """The mean over all frames and positions: what single frames show, in any order."""

    kind: Literal["frame_mean"] = "frame_mean"


class Moments(Declaration):
    """Over all positions, of the frames the mean over time and the mean absolute change from one to the next; of the
    difference images, where there are any, the mean and the standard deviation over time.
    """

    kind: Literal["moments"] = "moments"


class Halves(Declaration):
    """The mean over time, and the mean of the second half of the clip less that of the first, at 2 x 2 positions, of the
    frames and of the difference images: keeps in which order something happens, and where.
    """

    kind: Literal["halves"] = "halves"


Pooling = Annotated[FrameMean | Moments | Halves, Field(discriminator="kind")]


class _ProbeConfig(Declaration):
    num_classes: PositiveInt = 400
    pooling: Pooling = Moments()


class FrameProbeConfig(_ProbeConfig):
    """A probe on a network of single frames. It sees pairs of frames (`marey.video.sampling.FramePairs`): the later frame of
    each pair, and the difference image, that frame less the earlier one.
    """

    network: Literal["frame_probe"] = "frame_probe"
    backbone: Annotated[FrameBackbone, Field(discriminator="network")]
    """Its number of classes means nothing here."""

    @property
    def channels(self) -> int:
        """Of a clip."""
        return self.backbone.channels

    def build(self) -> "Probe":
        """The network, with random weights."""
        from marey.models.probe.network import FrameProbe

        return FrameProbe(self)


class ClipProbeConfig(_ProbeConfig):
    """A probe on a network of whole clips, which are those of the network."""

    network: Literal["clip_probe"] = "clip_probe"
    backbone: Annotated[ClipBackbone, Field(discriminator="network")]
    """Its number of classes means nothing here."""

    @property
    def channels(self) -> int:
        """Of a clip."""
        return self.backbone.channels

    def build(self) -> "Probe":
        """The network, with random weights."""
        from marey.models.probe.network import ClipProbe

        return ClipProbe(self)
