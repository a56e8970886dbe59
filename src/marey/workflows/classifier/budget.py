"""How much a training of a classifier on frozen features may take, in the unit of the device that computes."""

from dataclasses import dataclass

from marey.base.processes import usable_cores

BUDGET = 600.0
"""Core-seconds, or seconds on the clock, that a training may take by default."""


def unit(*, on_cpu: bool) -> str:
    """What a budget counts: core-seconds where a CPU computes, and seconds on the clock where another device does."""
    return "core-seconds" if on_cpu else "seconds"


@dataclass(frozen=True)
class Budget:
    """How much a training may take."""

    minutes: float | None = None
    """As the user said; None: `BUDGET`."""

    def seconds(self, *, on_cpu: bool) -> float:
        """In its unit."""
        if self.minutes is None:
            return BUDGET
        return 60 * self.minutes * (usable_cores() if on_cpu else 1)
