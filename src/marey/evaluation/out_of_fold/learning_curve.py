"""A learning curve, and whether it shows that labelling more videos helps."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from marey.base.jsonable import Json, rename_key
from marey.base.words import counted, percent

_FEWER = 2 / 3
"""A point is compared with the last one if its heads were fitted on at most this share of all videos, 0 to 1: a point with
more videos shows too little."""
_LITTLE = 0.02
"""If the gain of the last doubling, 0 to 1, plus its error is below this, more videos will hardly help."""


@dataclass(frozen=True)
class CurvePoint:
    """The task's first metric out of fold, with heads that were fitted on fewer videos."""

    videos: int
    """Number of videos that each head was fitted on, the mean over heads."""
    share: float
    """The metric of the predictions of these heads, 0 to 1."""
    low: float
    """Lower end, 0 to 1, of an interval around `share`: as wide as the 90 % interval of the difference from the last
    point, both on the same videos, and cut off at 0."""
    high: float
    """Upper end of this interval, 0 to 1."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "CurvePoint":
        """From its fields as JSON."""
        return cls(**rename_key(fields, "clips", "videos"))

    def as_json(self) -> dict[str, Json]:
        """Its fields as JSON; `videos` has the key "clips"."""
        return rename_key(asdict(self), "videos", "clips")


@dataclass(frozen=True)
class Gain:
    """How much the metric gained by the last doubling of the videos."""

    before: CurvePoint
    """The point with about half of the videos."""
    after: CurvePoint
    """The point with all videos."""

    @classmethod
    def of(cls, curve: Sequence[CurvePoint]) -> "Gain | None":
        """The gain from the point that is nearest to half of the videos; None where no point has few enough videos."""
        fewer = [point for point in curve if point.videos <= _FEWER * curve[-1].videos]
        if not fewer:
            return None
        return cls(min(fewer, key=lambda point: abs(point.videos - curve[-1].videos / 2)), curve[-1])

    @property
    def gain(self) -> float:
        """The difference of the metric, -1 to 1."""
        return self.after.share - self.before.share

    @property
    def error(self) -> float:
        """Half the width of the 90 % interval of `gain`: its longer side, because the other may be cut off at 0 or 1."""
        return max(self.before.high - self.before.share, self.before.share - self.before.low)

    def sentence(self, *, recordings: bool) -> str:
        """The metric at both points, and the advice that follows.

        Args:
            recordings: Whether the recordings are known. The points then differ in the number of recordings, so that more
                videos of the same recordings are not what helped.
        """
        if self.gain > self.error:
            advice = f"labelling more videos{', from other recordings,' if recordings else ''} will help"
        elif self.gain + self.error < _LITTLE:
            advice = "labelling more videos of this kind will hardly help"
        else:
            advice = "too few videos show whether labelling more will help"
        return (
            f"With {counted(self.before.videos, 'training video')} {percent(self.before.share, 0)}, with "
            f"{counted(self.after.videos, 'video')} {percent(self.after.share, 0)}: {100 * self.gain:+.1f} points, give "
            f"or take {100 * self.error:.1f}; {advice}."
        )
