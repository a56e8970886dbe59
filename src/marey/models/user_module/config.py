"""A network that Marey does not build: a user's own `torch.nn.Module` from clips to logits."""

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt

from marey.base.declaration import Declaration
from marey.base.errors import WeightsError

if TYPE_CHECKING:
    from marey.models.network import Network


class UserModuleConfig(Declaration):
    """Names a module whose code is not Marey's, so that a checkpoint shows whose weights it has."""

    network: Literal["user_module"] = "user_module"
    module: str
    """The class of the module, as package.file.Class."""
    num_classes: PositiveInt
    """Number of classes, which is the number of logits."""
    channels: Literal[2, 3] = 3
    """Channels of each frame: 3 for RGB, 2 for flow (x, y)."""

    def build(self) -> "Network":
        """Raise an error, because Marey does not have the code of the module.

        Raises:
            WeightsError: always, with how to pass the module.
        """
        raise WeightsError(
            f"the network is {self.module}, which is not Marey's and which Marey cannot build: pass the module, "
            "marey.load_model(FILE, model=MODULE) or marey.fit(recipe, model=MODULE); the command line cannot."
        )
