"""Compilers whose speed, errors and results are chosen by a test, and a very small classifier."""

from collections.abc import Callable

import torch
from torch import Tensor

from marey.backends.compiled import Compiler
from marey.backends.eager import OutputFromFrames
from marey.classifier import Classifier
from tests.support.tiny import RECIPE


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(RECIPE.model.build(), RECIPE, classes=["jump", "run"])


def views(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 2, 32, 32, 3), dtype=torch.uint8, generator=generator)


class Clock:
    """A clock that compilers and networks advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Planted(Compiler):
    """Computes as eager does, changed by `change`, and advances `clock` by so many seconds per view."""

    def __init__(
        self,
        name: str = "compile",
        *,
        change: Callable[[Tensor], Tensor] = lambda result: result,
        clock: Clock | None = None,
        speed: float = 0.0,
        cost: float = 20.0,
        lacking: str | None = None,
    ) -> None:
        self.name = name
        self.change, self.clock, self.speed, self.cost, self.lacking = change, clock or Clock(), speed, cost, lacking
        self.compiled: list[str] = []
        self.ran: list[int] = []

    @property
    def version(self) -> str:
        return "1"

    def lacks(self, device, precision) -> str | None:
        return self.lacking

    def seconds(self, module, views_VTHWC, precision) -> float:
        return self.cost

    def compile(self, module: OutputFromFrames, views_VTHWC, device, precision) -> Callable[[Tensor], Tensor]:
        self.compiled.append(module.output)
        self.clock.now += self.cost

        def run(views: Tensor) -> Tensor:
            self.ran.append(len(views))
            self.clock.now += self.speed * len(views)
            return self.change(module(views))

        return run
