"""CSN: Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat, PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.csn.network import CSN


class CSNConfig(Declaration):
    """A 3D ResNet whose 3x3x3 convolutions mix places, not channels (section 3.2). The defaults are VMZ's ir-CSN-152."""

    network: Literal["csn"] = "csn"
    depth: Literal[50, 101, 152] = 152
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    channels: Literal[2, 3] = 3
    """3 for RGB, 2 for flow (x, y)."""
    interaction: Literal["reduced", "preserved"] = "reduced"
    """Between channels, in a bottleneck: "reduced" by a depthwise 3x3x3 convolution (ir-CSN), or "preserved" by a 1x1x1
    convolution before it (ip-CSN)."""
    preserved_relu: bool = False
    """ReLU between these two: MMAction's code has it; VMZ's and MMAction2's weights want none."""
    depthwise: bool = True
    """Off for MMAction's ip-CSN as its code is: a full 3x3x3 convolution behind the 1x1x1."""
    first_pool: bool = True
    """A 3x3 max pool of stride 2 behind the stem: all published weights at 224 pixels."""
    norm_eps: PositiveFloat = 1e-3
    """Added to the variance: 1e-5 for PyTorchVideo's weights."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last map: 7 for PyTorchVideo's weights, whose numbers average over its
    positions; None pools the whole map."""

    def build(self) -> "CSN":
        """The network, with random weights."""
        from marey.models.csn.network import CSN

        return CSN(self)
