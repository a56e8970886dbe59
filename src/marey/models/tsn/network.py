"""TSN on a 2D ResNet or on BN-Inception.

Shape suffixes: B batch, C channels, T frames, H height, W width, S segments, D features.
"""

from torch import Tensor

from marey.models.layers.classifier import PooledClassifier
from marey.models.layers.inception import BNInceptionTrunk
from marey.models.layers.resnet import ResNetTrunk
from marey.models.tsn.config import BNInceptionTSNConfig, SegmentsConfig, TSNConfig


class TSN(PooledClassifier):
    """Each segment by itself through a 2D network; the consensus is the mean over segments (section 3.1).

    The clip's frames are `stack` to a segment, so T = segments x stack. How many segments there are is the sampling
    rule's business: trained with 3, tested with 25.
    """

    def __init__(self, config: SegmentsConfig) -> None:
        channels, num_classes = config.channels, config.num_classes
        stacked = channels * config.stack
        if isinstance(config, BNInceptionTSNConfig):
            inception = BNInceptionTrunk(channels=stacked, width=config.width)
            super().__init__(inception, name="inception", channels=channels, num_classes=num_classes)
        else:
            assert isinstance(config, TSNConfig)
            resnet = ResNetTrunk(config.depth, channels=stacked, width=config.width)
            super().__init__(resnet, channels=channels, num_classes=num_classes)
        self.stack = config.stack
        self.strides = ((config.stack, 32, 32),)

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last map of every segment, [B, D, S, H / 32, W / 32]."""
        batch, channels, frames, height, width = clip_BCTHW.shape
        segments = frames // self.stack
        # A stack becomes channels x0, y0, x1, y1, ...: time before channel.
        pictures = clip_BCTHW.transpose(1, 2).reshape(batch * segments, self.stack * channels, height, width)
        maps = self.backbone(pictures)
        return (maps.reshape(batch, segments, *maps.shape[1:]).transpose(1, 2),)

    def positions(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits of each segment, [B, K, S, 1, 1]: their mean is the consensus."""
        features_BSD = self.trunk(clip_BCTHW)[0].mean(dim=(3, 4)).transpose(1, 2)
        return self._classify(features_BSD).transpose(1, 2)[..., None, None]
