"""A learning curve, and whether it shows that labelling more clips helps."""

from collections.abc import Sequence
from dataclasses import dataclass

from marey.base.words import counted, percent

_FEWER = 2 / 3
"""Largest share of all clips, 0 to 1, of a point that is compared with the last one: nearer points show too little."""
_LITTLE = 0.02
"""Gain of the last doubling, 0 to 1, below which more clips would hardly help, if the gain is certainly smaller."""


@dataclass(frozen=True)
class CurvePoint:
    """The task's first metric out of fold, with heads that were fitted on fewer clips."""

    clips: int
    """Number of clips that each head was fitted on, the mean over heads."""
    share: float
    """The metric, 0 to 1."""
    low: float
    """Lower end, 0 to 1, of the 90 % interval of the difference to the last point (on the same clips), around `share`."""
    high: float
    """Its upper end, 0 to 1."""


@dataclass(frozen=True)
class Gain:
    """How much the metric gained by the last doubling of the clips."""

    before: CurvePoint
    """The point with about half of the clips."""
    after: CurvePoint
    """The point with all clips."""

    @classmethod
    def of(cls, curve: Sequence[CurvePoint]) -> "Gain | None":
        """The gain from the point that is nearest to half of the clips; None where no point has few enough clips."""
        fewer = [point for point in curve if point.clips <= _FEWER * curve[-1].clips]
        if not fewer:
            return None
        return cls(min(fewer, key=lambda point: abs(point.clips - curve[-1].clips / 2)), curve[-1])

    @property
    def gain(self) -> float:
        """The difference of the metric, -1 to 1."""
        return self.after.share - self.before.share

    @property
    def error(self) -> float:
        """Half of the 90 % interval of `gain`, by its longer side, since the other may be cut off at 0 or 1."""
        return max(self.before.high - self.before.share, self.before.share - self.before.low)

    def sentence(self, *, recordings: bool) -> str:
        """Both numbers and the advice that follows from them.

        Args:
            recordings: Whether the recordings are known. The points then differ in the number of recordings, so that more
                clips of the same recordings are not what helped.
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
