"""TSN on a 2D ResNet, on EfficientNet-Lite or on BN-Inception.

Shape suffixes: B batch, C channels, T frames, H height, W width, S segments, D features.
"""

from torch import Tensor

from marey.models.layers.efficientnet import EfficientNetLiteTrunk
from marey.models.layers.inception import BNInceptionTrunk
from marey.models.layers.resnet import ResNetTrunk
from marey.models.layers.trunk import Trunk
from marey.models.network import PooledClassifier
from marey.models.tsn.config import BNInceptionTSNConfig, LiteSegmentsConfig, ResNetSegmentsConfig, SegmentsConfig


class TSN(PooledClassifier):
    """A 2D network sees each segment by itself; the consensus is the mean over the segments (section 3.1).

    A segment has `stack` frames, so that a clip has T = segments x stack. The sampling rule sets the number of segments, for
    example 3 in training and 25 in testing.
    """

    def __init__(self, config: SegmentsConfig) -> None:
        super().__init__(_trunk(config), num_classes=config.num_classes)
        self.stack = config.stack
        self.strides = ((config.stack, 32, 32),)

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map of every segment, [B, D, S, H / 32, W / 32]."""
        batch, channels, frames, height, width = clip_BCTHW.shape
        segments = frames // self.stack
        # A stack becomes channels x0, y0, x1, y1, ...: time before channel.
        stacks = clip_BCTHW.transpose(1, 2).reshape(batch * segments, self.stack * channels, height, width)
        maps = self.backbone(stacks)
        return (maps.reshape(batch, segments, *maps.shape[1:]).transpose(1, 2),)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits of each segment, [B, K, S, 1, 1]: their mean is the consensus."""
        features_BSD = self.trunk(clip_BCTHW)[0].mean(dim=(3, 4)).transpose(1, 2)
        return self._classify(features_BSD).transpose(1, 2)[..., None, None]


def _trunk(config: SegmentsConfig) -> Trunk:
    """The 2D network of a config."""
    channels = config.channels * config.stack
    if isinstance(config, LiteSegmentsConfig):
        return EfficientNetLiteTrunk(
            config.size, channels=channels, width=config.width, padding=config.padding, eps=config.norm_eps
        )
    if isinstance(config, BNInceptionTSNConfig):
        return BNInceptionTrunk(channels=channels, width=config.width)
    assert isinstance(config, ResNetSegmentsConfig)
    return ResNetTrunk(config.depth, channels=channels, width=config.width)
