"""A network that Marey does not build: a user's own `torch.nn.Module` from clips to logits."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.base.errors import WeightsError

if TYPE_CHECKING:
    from marey.models.network import Network


class UserModuleConfig(Declaration):
    """Names a module whose code lies outside Marey, so that a checkpoint can say what it holds the weights of."""

    network: Literal["user_module"] = "user_module"
    module: str
    """Where its class is defined: package.file.Class."""
    num_classes: PositiveInt
    channels: Literal[2, 3] = 3
    """3 for RGB, 2 for flow (x, y)."""

    def build(self) -> "Network":
        """Marey cannot build it.

        Raises:
            WeightsError: always; says how to pass the module.
        """
        raise WeightsError(
            f"the network is {self.module}, which is not Marey's and which Marey cannot build: pass the module, "
            "marey.load_model(FILE, model=MODULE) or marey.fit(recipe, model=MODULE); the command line cannot."
        )
