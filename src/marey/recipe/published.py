"""The numbers of a recipe: what somebody printed, and what we measured ourselves. The two never mix."""

from datetime import date
from typing import Literal

from marey.base.declaration import Declaration


class Published(Declaration):
    """A number that somebody printed, in percent, with what is known of how it came about."""

    top1: float
    top5: float | None = None
    source: str
    protocol: str
    split: str
    videos: int | None = None
    kind: Literal["measured by its authors", "quoted"] = "measured by its authors"


class Measured(Declaration):
    """A number that we measured, in percent."""

    top1: float
    top5: float
    videos: int
    commit: str
    fingerprint: str
    date: date
