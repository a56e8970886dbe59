"""Which residual blocks of a network are followed by a non-local block, and in which form."""

from typing import Literal

from pydantic import NonNegativeInt

from marey.base.declaration import Declaration


class NonLocalConfig(Declaration):
    """Non-local blocks behind some residual blocks of a 3D ResNet (section 3.3, the block of equation 6)."""

    pairwise: Literal["dot_product", "gaussian", "embedded_gaussian"]
    """How two positions are compared (section 3.2)."""
    places: tuple[tuple[NonNegativeInt, ...], ...] = ((), (1, 3), (1, 3, 5), ())
    """For each of the four stages, the residual blocks that have one behind them, from 0."""
    pool_first: bool = False
    """The 2x2 pool comes before g and phi (PySlowFast's weights) instead of behind them (MMAction2's)."""
    scaled: bool = False
    """An embedded gaussian divides by the square root of the inner channels (PySlowFast's weights)."""
    out_bias: bool = False
    """The last convolution has a bias besides its batch norm (PySlowFast's weights)."""
