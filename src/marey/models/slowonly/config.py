"""SlowOnly: the slow pathway of Feichtenhofer et al., SlowFast Networks for Video Recognition, ICCV 2019, alone."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.slowonly.network import SlowOnly


class SlowOnlyConfig(Declaration):
    """A 3D ResNet that keeps every frame and sees time in its last two stages only (table 1, slow pathway)."""

    network: Literal["slowonly"] = "slowonly"
    depth: Literal[18, 34, 50, 101] = 50
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    channels: Literal[2, 3] = 3
    """3 for RGB, 2 for flow (x, y)."""

    def build(self) -> "SlowOnly":
        """The network, with random weights."""
        from marey.models.slowonly.network import SlowOnly

        return SlowOnly(self)
