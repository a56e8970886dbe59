"""What runs a network on batches of views: the interface of every backend, and of a compiler that makes one."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from marey.backends.compute import BackendName
from marey.base.jsonable import Json
from marey.base.precision import Arithmetic
from marey.classifier import Classifier, Output


@dataclass(frozen=True)
class BackendReport:
    """Which backend computed a result, and how far it was from eager float32."""

    asked: BackendName
    ran: BackendName
    """What computes now: "eager" where another one failed or differed too much."""
    why: str = ""
    """Why "auto" took it, or why another one was left; "" where it is what was asked for."""
    difference: float | None = None
    """The largest absolute difference from eager float32 on the first batch; None where nothing was compared."""
    relative: float | None = None
    """The same in standard deviations of eager's values: what is held against the tolerance."""
    tolerance: float | None = None

    def as_json(self) -> dict[str, Json]:
        """The fields that have a value."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


class Backend(Protocol):
    """Takes views as decoded, [V, T, H, W, C] uint8 (float32 grey levels where a pixel rule resizes in float), and gives
    float32 on the CPU. V may differ from call to call; the other sizes stay.

    A backend is a subclass that says how it runs (`run`).
    """

    device: torch.device
    precision: Arithmetic

    def logits(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K], before softmax."""
        return self.run("logits", views_VTHWC)

    def positions(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K, P] at each position of the head, whose mean the logits are."""
        return self.run("positions", views_VTHWC)

    def features(self, views_VTHWC: Tensor) -> Tensor:
        """Pooled features [V, D], before dropout."""
        return self.run("features", views_VTHWC)

    def tokens(self, views_VTHWC: Tensor) -> Tensor:
        """Tokens [V, N, D] before the head, of networks that have them."""
        return self.run("tokens", views_VTHWC)

    @abstractmethod
    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        """One of the four by its name."""

    @abstractmethod
    def report(self) -> BackendReport:
        """What computes, as far as it is known: complete after the first batch."""


class FromFrames(nn.Module):
    """From frames as decoded [V, T, H, W, C] to one output of a classifier: what a compiler compiles.

    Args:
        classifier: In eval mode.
        output: Which of its methods answers; `positions` come as [V, K, P].
    """

    def __init__(self, classifier: Classifier, output: Output) -> None:
        super().__init__()
        self.classifier, self.output = classifier, output

    def forward(self, frames_VTHWC: Tensor) -> Tensor:
        clip = self.classifier.preprocess(frames_VTHWC)
        match self.output:
            case "logits":
                return self.classifier(clip)  # type: ignore[no-any-return]
            case "positions":
                return self.classifier.positions(clip).flatten(2)
            case "features":
                return self.classifier.features(clip)
            case "tokens":
                return self.classifier.tokens(clip)


class Compiler(Protocol):
    """Makes a faster function of a network. `CompiledBackend` does the rest: it checks the function and falls back.

    A backend other than eager is a class of this interface in a file of its own, and one line in
    `marey.backends.choose.COMPILERS`.
    """

    name: BackendName

    @property
    def version(self) -> str:
        """Of the software that compiles, "" where it is not installed: what "auto" measured holds for this version."""

    def lacks(self, device: torch.device, precision: Arithmetic) -> str | None:
        """Why it cannot run there, in words that end a sentence, with the way out; None where it can."""

    def seconds(self, module: FromFrames, views_VTHWC: Tensor, precision: Arithmetic) -> float:
        """About how long `compile` would take now: what "auto" weighs against the work ahead."""

    def compile(
        self, module: FromFrames, views_VTHWC: Tensor, device: torch.device, precision: Arithmetic
    ) -> Callable[[Tensor], Tensor]:
        """A function that computes what `module` does.

        Args:
            module: On `device`, in eval mode.
            views_VTHWC: The first batch, on `device`: the function must take other V.
            device: Where the function computes.
            precision: The arithmetic in which it computes. It is called without gradients, and within
                `computing_in(precision)`.

        Raises:
            Exception: whatever goes wrong, also when the function is called: eager then goes on, and a line says why.
        """
