"""A learning curve, and what it says of whether labelling more clips helps."""

from collections.abc import Sequence
from dataclasses import dataclass

from marey.base.words import counted, percent

_FEWER = 2 / 3
"""Points with more of the clips than this show no step that tells something."""
_LITTLE = 0.02
"""Where the last doubling surely brought less than this, 0 to 1, more clips would hardly help."""


@dataclass(frozen=True)
class CurvePoint:
    """The first number of the task out of fold, with heads that were fitted on fewer clips; shares 0 to 1."""

    clips: int
    """That each head was fitted on."""
    share: float
    low: float
    """With `high`, around `share`: the 90 % interval of how far it lies from the last point, of the same clips."""
    high: float


@dataclass(frozen=True)
class Gain:
    """What the last clips brought."""

    before: CurvePoint
    """With about half of the clips."""
    after: CurvePoint
    """With all of them."""

    @classmethod
    def of(cls, curve: Sequence[CurvePoint]) -> "Gain | None":
        """From the point that has nearest to half of the clips to the last one; None where there is no such step."""
        fewer = [point for point in curve if point.clips <= _FEWER * curve[-1].clips]
        if not fewer:
            return None
        return cls(min(fewer, key=lambda point: abs(point.clips - curve[-1].clips / 2)), curve[-1])

    @property
    def gain(self) -> float:
        """Of the number, -1 to 1."""
        return self.after.share - self.before.share

    @property
    def error(self) -> float:
        """Half of the 90 % interval of `gain`; one of the ends may be cut off at 0 or 1."""
        return max(self.before.high - self.before.share, self.before.share - self.before.low)

    def sentence(self, *, recordings: bool) -> str:
        """The numbers in words, and what follows from them. The points have more and more `recordings`, where these are
        known: further clips of the same ones are not what helped.
        """
        if self.gain > self.error:
            advice = f"labelling more clips{', from other recordings,' if recordings else ''} will help"
        elif self.gain + self.error < _LITTLE:
            advice = "labelling more clips of this kind will hardly help"
        else:
            advice = "too few clips show whether labelling more will help"
        return (
            f"With {counted(self.before.clips, 'training clip')} {percent(self.before.share, 0)}, with "
            f"{counted(self.after.clips, 'clip')} {percent(self.after.share, 0)}: {100 * self.gain:+.1f} points, give or "
            f"take {100 * self.error:.1f}; {advice}."
        )
