"""How a network starts that takes no weights from elsewhere, as a recipe declares it. Knows no torch."""

from pydantic import PositiveFloat

from marey.base.declaration import Declaration


class Initialisation(Declaration):
    """How a network starts that takes no weights from elsewhere (convolutions: Kaiming, fan out)."""

    last_gamma_zero: bool = False
    """Scale of each residual block's last batch norm starts at 0, so that the block starts as the identity."""
    head_std: PositiveFloat = 0.01
    """Standard deviation of the classifier's weights."""
