"""SlowFast on two 3D ResNets. Shape suffixes: B batch, C channels, T frames, H height, W width."""

import torch
from torch import Tensor, nn

from marey.models.layers.convolutions import Conv3d
from marey.models.layers.non_local import insert_non_local
from marey.models.layers.resnet import BLOCKS, ResNetTrunk
from marey.models.network import LinearClassifier
from marey.models.slowfast.config import SlowFastConfig


class Lateral(nn.Module):
    """A lateral connection, fast to slow: a convolution in time with stride alpha that doubles the channels.

    Section 3.4, "time-strided convolution".
    """

    def __init__(self, in_channels: int, config: SlowFastConfig) -> None:
        super().__init__()
        length = config.lateral_kernel
        self.conv = Conv3d(
            in_channels,
            2 * in_channels,
            (length, 1, 1),
            stride=(config.alpha, 1, 1),
            padding=(length // 2, 0, 0),
            bias=False,
        )
        normed = config.lateral_norm
        self.norm = nn.BatchNorm3d(2 * in_channels) if normed else nn.Identity()
        self.relu = nn.ReLU(inplace=True) if normed else nn.Identity()

    def forward(self, fast: Tensor) -> Tensor:
        return self.relu(self.norm(self.conv(fast)))  # type: ignore[no-any-return]


class SlowFast(LinearClassifier):
    """Two pathways. Maps of `trunk` and columns of the head's weight are in the order slow, fast."""

    def __init__(self, config: SlowFastConfig) -> None:
        fast_width = config.width // config.beta_inverse
        fast = _fast(config, fast_width)
        connected = (fast_width, *fast.stage_channels[:3])
        slow = _slow(config, lateral_channels=tuple(2 * channels for channels in connected))
        super().__init__(
            features=slow.out_channels + fast.out_channels,
            num_classes=config.num_classes,
            window=config.pool_window,
        )
        self.slow, self.fast = slow, fast
        self.laterals = nn.ModuleList(Lateral(channels, config) for channels in connected)
        self.alpha, self.spread = config.alpha, config.slow_frames == "spread"
        self.strides = ((config.alpha, 32, 32), (1, 32, 32))
        self._store_channels_last()

    @property
    def num_stages(self) -> int:
        return len(self.slow.stages)

    def layer_depth(self, parameter_name: str) -> int:
        """As in every `LinearClassifier`; a lateral connection has the depth of the stem or stage before it."""
        first, second, *_ = parameter_name.split(".")
        return int(second) if first == "laterals" else super().layer_depth(parameter_name)

    def pathways(self) -> tuple[nn.Module, ...]:
        return self.slow, self.fast

    def trunk(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The last maps: slow [B, D, T / alpha, H / 32, W / 32] and fast [B, D / beta_inverse, T, H / 32, W / 32]."""
        slow, fast = self.slow.begin(self._slow_frames(clip_BCTHW)), self.fast.begin(clip_BCTHW)
        for index, lateral in enumerate(self.laterals):
            slow = self.slow.stage(index, torch.cat([slow, lateral(fast)], dim=1))
            fast = self.fast.stage(index, fast)
        return slow, fast

    def _slow_frames(self, clip_BCTHW: Tensor) -> Tensor:
        if not self.spread:
            return clip_BCTHW[:, :, :: self.alpha]
        frames = clip_BCTHW.shape[2]
        # In float32 and rounded down, as in PySlowFast: integer arithmetic gives another frame for a few lengths.
        indices = torch.linspace(0, frames - 1, -(-frames // self.alpha), dtype=torch.float32).long()
        return clip_BCTHW.index_select(2, indices.to(clip_BCTHW.device))


def _slow(config: SlowFastConfig, lateral_channels: tuple[int, ...]) -> ResNetTrunk:
    trunk = ResNetTrunk(
        config.depth,
        channels=config.channels,
        width=config.width,
        temporal_kernels=((1,), (1,), (1,), _inflated(config.depth, config.slow_inflated), (3,)),
        lateral_channels=lateral_channels,
    )
    insert_non_local(trunk, config.non_local)
    return trunk


def _fast(config: SlowFastConfig, width: int) -> ResNetTrunk:
    depth = config.fast_depth or config.depth
    return ResNetTrunk(
        depth,
        channels=config.channels,
        width=width,
        temporal_kernels=((5,), (3,), (3,), _inflated(depth, config.fast_inflated), (3,)),
    )


def _inflated(depth: int, count: int | None) -> tuple[int, ...]:
    """Lengths of the temporal kernels in the third stage: 3 in the first `count` blocks, 1 in the others."""
    return tuple(3 if count is None or index < count else 1 for index in range(BLOCKS[depth][2]))
