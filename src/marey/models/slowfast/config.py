"""SlowFast: Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.models.layers.config import NonLocalConfig

if TYPE_CHECKING:
    from marey.models.network import Network


class SlowFastConfig(Declaration):
    """Two 3D ResNets: a wide one on few frames (slow) and a thin one on all frames (fast), joined by lateral connections.

    See table 1. 4x16 and 8x8 are alpha 8 and 4 on the same 32 frames; 16x8 is alpha 4 on 64.
    """

    network: Literal["slowfast"] = "slowfast"
    depth: Literal[18, 34, 50, 101] = 50
    """Layers of both ResNets (He et al. 2016, table 1)."""
    fast_depth: Literal[18, 34, 50, 101] | None = None
    """Layers of the fast ResNet. None: as `depth`; MMAction2's R101-R50 has 50."""
    width: PositiveInt = 64
    """Channels of the slow pathway's stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    alpha: PositiveInt = 8
    """Frames of the fast pathway per frame of the slow one."""
    beta_inverse: PositiveInt = 8
    """Channels of the slow pathway per channel of the fast one."""
    slow_frames: Literal["stride", "spread"] = "stride"
    """Which frames the slow pathway sees. "stride": every alpha-th from the first (MMAction's and MMAction2's weights).
    "spread": as many, spread evenly from the first to the last (PySlowFast's and PyTorchVideo's)."""
    lateral_kernel: Literal[5, 7] = 5
    """Temporal length of the lateral convolutions, from fast to slow: 7 in the toolkits' ResNet-50 8x8, else 5."""
    lateral_norm: bool = False
    """Whether batch norm and ReLU follow the lateral convolutions (PySlowFast's and PyTorchVideo's weights)."""
    slow_inflated: PositiveInt | None = None
    """How many blocks of the slow pathway's third stage have a temporal kernel. None: all; PySlowFast's R101_50_50 has 6."""
    fast_inflated: PositiveInt | None = None
    """How many blocks of the fast pathway's third stage have a temporal kernel. None: all; PySlowFast's R101_50_50 has 6."""
    non_local: NonLocalConfig | None = None
    """Non-local blocks of the slow pathway (PySlowFast's NLN weights); None: none."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last maps: 7 for PySlowFast's and PyTorchVideo's weights, whose published
    accuracy averages over its positions. None: the complete maps are pooled."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.slowfast.network import SlowFast

        return SlowFast(self)
