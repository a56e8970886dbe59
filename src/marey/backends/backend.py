"""What runs a network on batches of views: the interface of every backend, and its report."""

from abc import abstractmethod
from dataclasses import asdict, dataclass
from typing import Protocol

import torch
from torch import Tensor

from marey.backends.compute import BackendName
from marey.base.jsonable import Json
from marey.base.options import Arithmetic
from marey.classifier import Output


@dataclass(frozen=True)
class BackendReport:
    """Which backend computed a result, and how much it differed from eager float32."""

    asked: BackendName
    """The backend that was requested; "auto" if it was to be chosen by measurement."""
    ran: BackendName
    """The backend that computes now: "eager" if another one failed or differed too much."""
    why: str = ""
    """Why "auto" chose it, or why the requested backend was replaced; "" if it is the requested one."""
    difference: float | None = None
    """The largest absolute difference from eager float32 on the compared batch that differed most relative to its deviation
    (`relative`); None if nothing was compared."""
    relative: float | None = None
    """`difference` divided by the standard deviation of eager's values. If it is above `tolerance`, eager replaces the
    backend."""
    tolerance: float | None = None
    """The largest `relative` that is allowed (`marey.backends.compiled.TOLERANCE`); None for eager, the reference."""

    def as_json(self) -> dict[str, Json]:
        """The fields that have a value."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}


class Backend(Protocol):
    """Runs a network on decoded views, [V, T, H, W, C] uint8 (float32, 0 to 255, if preprocessing resizes in float), and
    returns float32 on the CPU. V may differ between calls; the other sizes may not.

    A backend is a subclass that implements `run` and `report`.
    """

    device: torch.device
    """The device of torch on which the network computes."""
    precision: Arithmetic
    """The arithmetic of the network: "float32", "tf32" or "bfloat16"."""

    def logits(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K], before softmax."""
        return self.run("logits", views_VTHWC)

    def positions(self, views_VTHWC: Tensor) -> Tensor:
        """Logits [V, K, P] at each position of the head; their mean over positions are the logits."""
        return self.run("positions", views_VTHWC)

    def features(self, views_VTHWC: Tensor) -> Tensor:
        """Pooled features [V, D], before dropout."""
        return self.run("features", views_VTHWC)

    def tokens(self, views_VTHWC: Tensor) -> Tensor:
        """Tokens [V, N, D] before the head, for networks that have tokens."""
        return self.run("tokens", views_VTHWC)

    @abstractmethod
    def run(self, output: Output, views_VTHWC: Tensor) -> Tensor:
        """The output of that name: one of the four methods above."""

    @abstractmethod
    def report(self) -> BackendReport:
        """Which backend computes, and its difference from eager float32. Before the first batch both may be unknown."""

    def for_estimates(self) -> "Backend | None":
        """The backend whose passes an estimate of the time may measure before the first batch; None: it may have to
        compile, which takes longer than an estimate is worth.
        """
        return self if self.report().ran == "eager" else None
