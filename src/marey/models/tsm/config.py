"""TSM: Lin et al., TSM: Temporal Shift Module for Efficient Video Understanding, ICCV 2019."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.models.tsn.config import LiteSegmentsConfig, ResNetSegmentsConfig

if TYPE_CHECKING:
    from marey.models.tsm.network import TSM


class ShiftConfig(Declaration):
    """How features move between the frames of a clip."""

    segments: PositiveInt = 8
    """Frames of a clip. No tensor tells it, and the sampling rule must agree; a multiple of it is several clips, between
    which nothing moves (the toolkits' test with "twice sample")."""
    shift_div: PositiveInt = 8
    """One channel in so many comes from the next frame, and one from the frame before (section 3.1: 1/8 each)."""


class TSMConfig(ResNetSegmentsConfig, ShiftConfig):
    """TSN's 2D ResNet with a shift in its residual blocks: in every one, from ResNet-101 on in every second one."""

    network: Literal["tsm"] = "tsm"
    style: Literal["blockres", "block"] = "blockres"
    """"blockres": what is shifted is the branch's input, and the shortcut stays as it is (section 3.2, "residual"; all
    published weights). "block": the whole block's input ("in place")."""

    def build(self) -> "TSM":
        """The network, with random weights."""
        from marey.models.tsm.network import TSM

        return TSM(self)


class LiteTSMConfig(LiteSegmentsConfig, ShiftConfig):
    """EfficientNet-Lite with a residual shift in the blocks that add their input, as the paper has it on MobileNetV2."""

    network: Literal["tsm_lite"] = "tsm_lite"

    def build(self) -> "TSM":
        """The network, with random weights."""
        from marey.models.tsm.network import TSM

        return TSM(self)
