"""TSN: Wang et al., Temporal Segment Networks: Towards Good Practices for Deep Action Recognition, ECCV 2016."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.tsn.network import TSN


class SegmentsConfig(Declaration):
    """What TSN says whatever its 2D network is."""

    network: str
    num_classes: PositiveInt = 400
    channels: Literal[2, 3] = 3
    """3 for RGB, 2 for flow (x, y)."""
    stack: PositiveInt = 1
    """Consecutive frames of a segment stacked into channels x0, y0, x1, y1, ... (flow: 5); 1 for RGB."""

    def build(self) -> "TSN":
        """The network, with random weights."""
        from marey.models.tsn.network import TSN

        return TSN(self)


class TSNConfig(SegmentsConfig):
    """A 2D ResNet on single frames of several segments, their features averaged."""

    network: Literal["tsn"] = "tsn"
    depth: Literal[18, 34, 50, 101] = 50
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""


class BNInceptionTSNConfig(SegmentsConfig):
    """The same on BN-Inception, the paper's own network (section 5.1): MMAction's rows on UCF101."""

    network: Literal["tsn_bninception"] = "tsn_bninception"
    width: PositiveInt = 64
    """Channels of the stem; every block scales with it. All published weights have 64."""
