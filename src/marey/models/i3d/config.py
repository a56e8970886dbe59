"""I3D: Carreira and Zisserman, Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset, CVPR 2017."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat, PositiveInt

from marey.base.declaration import Declaration

if TYPE_CHECKING:
    from marey.models.i3d.network import InceptionI3D


class InceptionI3DConfig(Declaration):
    """Inception-V1 inflated: every kernel and pool has a third number (figure 3). The defaults are DeepMind's."""

    network: Literal["i3d_incv1"] = "i3d_incv1"
    width: PositiveInt = 64
    """Channels of the stem; every block scales with it. All published weights have 64."""
    num_classes: PositiveInt = 400
    channels: Literal[2, 3] = 3
    """3 for RGB, 2 for flow (x, y)."""
    padding: Literal["same", "mmaction"] = "same"
    """"same": TensorFlow's (DeepMind's weights). "mmaction": fixed (MMAction's); they differ on odd lengths."""
    pool: Literal["window", "global"] = "window"
    """"window": means of 2x7x7, one apart (DeepMind's weights). "global": of all places alike (MMAction's)."""
    norm_eps: PositiveFloat = 1e-3
    """Added to the variance: 1e-3 for DeepMind's weights, 1e-5 for MMAction's."""

    def build(self) -> "InceptionI3D":
        """The network, with random weights."""
        from marey.models.i3d.network import InceptionI3D

        return InceptionI3D(self)
