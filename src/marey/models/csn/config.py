"""CSN: Tran et al., Video Classification with Channel-Separated Convolutional Networks, ICCV 2019."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat, PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.network import Network


class CSNConfig(Declaration):
    """A 3D ResNet whose 3x3x3 convolutions are depthwise: each sees one channel (section 3.2).

    The defaults are VMZ's ir-CSN-152.
    """

    network: Literal["csn"] = "csn"
    depth: Literal[50, 101, 152] = 152
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    interaction: Literal["reduced", "preserved"] = "reduced"
    """How far a bottleneck mixes channels. "reduced": a depthwise 3x3x3 convolution alone (ir-CSN). "preserved": a 1x1x1
    convolution before it (ip-CSN)."""
    preserved_relu: bool = False
    """Whether a ReLU lies between the two convolutions of "preserved": on in MMAction's code, off for VMZ's and MMAction2's
    weights."""
    depthwise: bool = True
    """Whether the 3x3x3 convolution is depthwise. Off for ip-CSN in MMAction's code, which has a full one."""
    first_pool: bool = True
    """Whether a 3x3 max pool of stride 2 follows the stem: on for all published weights at 224 pixels."""
    norm_eps: PositiveFloat = 1e-3
    """Epsilon of the batch norms, added to the variance: 1e-5 for PyTorchVideo's weights."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last map: 7 for PyTorchVideo's weights, whose published accuracy averages over
    its positions. None: the complete map is pooled."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.csn.network import CSN

        return CSN(self)
