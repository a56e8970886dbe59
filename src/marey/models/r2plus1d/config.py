"""R(2+1)D, R3D and MC3: Tran et al., A Closer Look at Spatiotemporal Convolutions for Action Recognition, CVPR 2018."""

from typing import TYPE_CHECKING, Literal

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.network import Network


class R2Plus1DConfig(Declaration):
    """A 3D ResNet whose 3x3x3 convolutions are factorised into a spatial and a temporal one (table 1).

    The defaults are VMZ's R(2+1)D-34. The tensors in a weights file show by their shapes how many channels are between the
    two convolutions, but show neither pools nor strides.
    """

    network: Literal["r2plus1d"] = "r2plus1d"
    depth: Literal[18, 34, 50, 101, 152] = 34
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    convolutions: Literal["space_time", "block_space_time", "time_space", "whole", "mixed"] = "space_time"
    """What replaces a 3x3x3 convolution. "space_time": 1x3x3, then 3x1x1, with so many channels between them that the number
    of parameters is the same (VMZ's, MMAction's, MMAction2's weights). "block_space_time": likewise, but with equally many
    channels between them in all convolutions of a block (torchvision's). "time_space": 3x1x1, then 1x3x3, with the output's
    channels between them (PyTorchVideo's). "whole": nothing replaces it, which is R3D (torchvision's r3d_18). "mixed":
    nothing in the first stage, 1x3x3 in the others, which is MC3 (torchvision's mc3_18)."""
    stem_middle: NonNegativeInt = 45
    """Channels between the stem's 1x7x7 and 3x1x1 convolution: 45 (VMZ's, MMAction's, torchvision's weights), 83
    (MMAction2's). 0: the stem is one convolution (PyTorchVideo's, R3D's and MC3's)."""
    stem_frames: Literal[1, 3] = 3
    """Temporal length of the stem: 1 for PyTorchVideo's weights."""
    shortcut: Literal["pointwise", "space_time"] = "pointwise"
    """The shortcut of a block that changes the shape. "pointwise": one 1x1x1 convolution. "space_time": two, the first with
    the spatial stride and the second with the temporal one (MMAction2's weights)."""
    first_pool: bool = False
    """Whether a 3x3 max pool of stride 2 follows the stem: MMAction's and MMAction2's weights at 224 pixels. VMZ's
    PyTorch code has it for R(2+1)D-152, but not its published row (recipe notes)."""
    first_stride: Literal[1, 2] = 1
    """Spatial stride of the first stage: 2 for PyTorchVideo's weights, which have no pool."""
    temporal_strides: tuple[Literal[1, 2], Literal[1, 2], Literal[1, 2], Literal[1, 2]] = (1, 2, 2, 2)
    """Temporal strides of the four stages: (1, 1, 2, 2) for PyTorchVideo's weights, (1, 1, 1, 1) for MC3's."""
    norm_eps: PositiveFloat = 1e-3
    """Epsilon of the batch norms, added to the variance: 1e-5 for PyTorchVideo's and torchvision's weights."""
    middle_eps: PositiveFloat | None = None
    """Epsilon of the batch norms between the two convolutions: 1e-5 for MMAction2's weights. None: as `norm_eps`."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last map: 7 for PyTorchVideo's weights, whose published accuracy averages over
    its positions. None: the complete map is pooled."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.r2plus1d.network import R2Plus1D

        return R2Plus1D(self)
