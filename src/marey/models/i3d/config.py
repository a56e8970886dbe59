"""I3D: Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR 2017."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat, PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.network import Network


class InceptionI3DConfig(Declaration):
    """Inception-V1 whose kernels and pools have a temporal length, too (figure 3). The defaults are DeepMind's."""

    network: Literal["i3d_incv1"] = "i3d_incv1"
    width: PositiveInt = 64
    """Channels of the stem; every block scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    """Number of classes, the outputs of the head."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""
    padding: Literal["same", "mmaction"] = "same"
    """How maps are padded. "same": TensorFlow's padding (DeepMind's weights). "mmaction": a fixed one (MMAction's); it
    differs on odd lengths."""
    pool: Literal["window", "global"] = "window"
    """The pool before the head. "window": 2x7x7 at every position (DeepMind's weights). "global": the complete map
    (MMAction's)."""
    norm_eps: PositiveFloat = 1e-3
    """Epsilon of the batch norms, added to the variance: 1e-3 for DeepMind's weights, 1e-5 for MMAction's."""

    def build(self) -> "Network":
        """The network, with random weights."""
        from marey.models.i3d.network import InceptionI3D

        return InceptionI3D(self)
