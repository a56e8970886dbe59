"""C2D, I3D on ResNets and non-local blocks: Wang et al., Non-local Neural Networks, CVPR 2018."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.models.layers.config import NonLocalConfig

if TYPE_CHECKING:
    from marey.models.network import Network


class C2DConfig(Declaration):
    """A 2D ResNet on every frame of a clip (table 1), with or without a temporal pool."""

    network: Literal["c2d"] = "c2d"
    depth: Literal[18, 34, 50, 101] = 50
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    second_pool: Literal[1, 2] = 2
    """Temporal length and stride of the pool after the first stage; 1: no pool (MMAction2's "nopool", PySlowFast's
    C2D_NOPOOL)."""
    pool_padding: Literal[0, 1] = 1
    """Padding of the pool after the stem: 0 for MMAction2's weights with a temporal pool."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last map: 7 for PySlowFast's and PyTorchVideo's weights, whose published
    accuracy averages over its positions. None: the complete map is pooled."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.non_local.network import C2D

        return C2D(self)


class I3DResNetConfig(Declaration):
    """An inflated ResNet (section 4.1, I3D 3x1x1): temporal kernels in every second bottleneck."""

    network: Literal["i3d_resnet"] = "i3d_resnet"
    depth: Literal[18, 34, 50, 101] = 50
    """Layers of the ResNet (He et al. 2016, table 1)."""
    width: PositiveInt = 64
    """Channels of the stem; every stage scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    inflated: Literal["alternately", "everywhere"] = "alternately"
    """Which bottlenecks have a temporal kernel. "alternately": all of the first stage and every second one of the others.
    "everywhere": all (MMAction2's "heavy" weights)."""
    stem_stride: Literal[1, 2] = 2
    """Temporal stride of the first convolution: 2 for clips of 32x2 (MMAction's and MMAction2's weights), 1 for 8x8
    (PySlowFast's and PyTorchVideo's) and for "heavy"."""
    pool_stride: Literal[1, 2] = 2
    """Temporal stride of the pool after the stem, whose window is one frame long. In published weights it equals
    `stem_stride`."""
    second_pool: Literal[1, 2] = 2
    """Temporal length and stride of the pool after the first stage; 1: no pool."""
    non_local: NonLocalConfig | None = None
    """Which non-local blocks the network has; None: none."""
    pool_window: PositiveInt | None = None
    """Side of the head's sliding pool on the last map: 7 for PySlowFast's and PyTorchVideo's weights, whose published
    accuracy averages over its positions. None: the complete map is pooled."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.non_local.network import I3DResNet

        return I3DResNet(self)
