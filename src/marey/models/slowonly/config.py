"""SlowOnly: the slow pathway of Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, alone."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.models.layers.config import NonLocalConfig

if TYPE_CHECKING:
    from marey.models.network import Network


class SlowOnlyConfig(Declaration):
    """A 3D ResNet without temporal strides, with temporal kernels in the last two stages alone (table 1, slow pathway)."""

    network: Literal["slowonly"] = "slowonly"
    depth: Literal[18, 34, 50, 101] = 50
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    non_local: NonLocalConfig | None = None
    """Which non-local blocks the network has (MMAction2's "nl" weights); None: none."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last map: 7 for PySlowFast's and PyTorchVideo's weights, whose published
    accuracy averages over its positions. None: the complete map is pooled."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.slowonly.network import SlowOnly

        return SlowOnly(self)
