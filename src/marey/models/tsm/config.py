"""TSM: Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.models.tsn.config import LiteSegmentsConfig, ResNetSegmentsConfig

if TYPE_CHECKING:
    from marey.models.network import Network


class ShiftConfig(Declaration):
    """How channels are shifted between the frames of a clip."""

    segments: PositiveInt = 8
    """Number of frames among which channels are shifted. The sampling rule must give as many frames, or a multiple:
    these are several clips, between which nothing is shifted (the toolkits' "twice sample"). A weights file does not
    show the number."""
    shift_div: PositiveInt = 8
    """Divisor of the channels: 1 / `shift_div` of them come from the next frame, and as many from the one before
    (section 3.1: 1/8)."""


class TSMConfig(ResNetSegmentsConfig, ShiftConfig):
    """TSN's 2D ResNet with a shift in every residual block; with "blockres", from ResNet-101 on, in every second one."""

    network: Literal["tsm"] = "tsm"
    style: Literal["blockres", "block"] = "blockres"
    """What is shifted. "blockres": the input of the branch, not that of the shortcut (section 3.2, "residual"; all published
    weights). "block": the input of both ("in place")."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.tsm.network import TSM

        return TSM(self)


class LiteTSMConfig(LiteSegmentsConfig, ShiftConfig):
    """EfficientNet-Lite with a shift in the branches of its residual blocks, as the paper has it on MobileNetV2."""

    network: Literal["tsm_lite"] = "tsm_lite"

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.tsm.network import TSM

        return TSM(self)
