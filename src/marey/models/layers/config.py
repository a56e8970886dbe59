"""Declarations that the configs of several networks and recipes share: initial values, non-local blocks; without torch."""

from typing import Literal

from pydantic import NonNegativeInt, PositiveFloat

from marey.base.declaration import Declaration


class Initialisation(Declaration):
    """Initial values of parameters that are not loaded from a file. Convolutions are always Kaiming normal (fan out)."""

    last_gamma_zero: bool = False
    """Whether the scale of each residual block's last batch norm is 0 at first (the block is the identity then), else 1."""
    head_std: PositiveFloat = 0.01
    """Standard deviation of the head's weights."""


class NonLocalConfig(Declaration):
    """Non-local blocks after some residual blocks of a 3D ResNet.

    Wang et al., Non-local Neural Networks, CVPR 2018 (section 3.3, the block of equation 6).
    """

    pairwise: Literal["dot_product", "gaussian", "embedded_gaussian"]
    """How two positions are compared (section 3.2)."""
    places: tuple[tuple[NonNegativeInt, ...], ...] = ((), (1, 3), (1, 3, 5), ())
    """For each of the four stages, the indices of the residual blocks that a non-local block follows, from 0."""
    pool_first: bool = False
    """Whether the 2x2 pool comes before g and phi (PySlowFast's weights) or after them (MMAction2's)."""
    scaled: bool = False
    """Whether an embedded gaussian is divided by the square root of the inner channels (PySlowFast's weights)."""
    out_bias: bool = False
    """Whether the last convolution has a bias besides its batch norm (PySlowFast's weights)."""
