"""TSM on a 2D ResNet or on EfficientNet-Lite. Shape suffixes: B batch, C channels, T frames, H height, W width."""

from torch import Tensor

from marey.base.errors import RecipeError
from marey.base.words import counted
from marey.models.layers.efficientnet import EfficientNetLiteTrunk
from marey.models.layers.resnet import BLOCKS
from marey.models.layers.shift import Shift
from marey.models.tsm.config import LiteTSMConfig, TSMConfig
from marey.models.tsn.network import TSN


class TSM(TSN):
    """TSN whose frames exchange a part of their channels on the way. It has TSN's tensors and no others."""

    def __init__(self, config: TSMConfig | LiteTSMConfig) -> None:
        super().__init__(config)
        self.segments = config.segments
        shift = Shift(config.segments, config.shift_div)
        if isinstance(config, TSMConfig):
            in_place, every = config.style == "block", _every(config)
            for stage in self.resnet.stages:
                for block in list(stage.children())[::every]:
                    setattr(block, "before" if in_place else "before_branch", shift)
        else:
            assert isinstance(self.backbone, EfficientNetLiteTrunk)
            for residual in self.backbone.residuals():
                residual.before_branch = shift

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map of every segment, [B, D, S, H / 32, W / 32].

        Raises:
            RecipeError: T is no multiple of the frames among which channels are shifted.
        """
        if clip_BCTHW.shape[2] % (self.segments * self.stack):
            raise RecipeError(
                f"a clip of {counted(clip_BCTHW.shape[2], 'frame')}: this network shifts among {self.segments} x "
                f"{self.stack}; let the sampling rule take as many, or change model.segments."
            )
        return super().trunk(clip_BCTHW)


def _every(config: TSMConfig) -> int:
    """The authors' rule, which MMAction2 follows: deep networks shift in every second block of each stage."""
    return 2 if config.style == "blockres" and BLOCKS[config.depth][2] >= 23 else 1
