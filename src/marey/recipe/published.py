"""The numbers of a recipe: what others published, and what Marey's authors measured. The two never mix."""

from datetime import date as Date
from typing import Literal

from marey.base.declaration import Declaration


class Published(Declaration):
    """Accuracy of a network that its authors or others published, in percent, and how it was measured."""

    top1: float
    top5: float | None = None
    source: str
    """The document that has the number."""
    protocol: str
    """Clips and crops of the measurement, in words."""
    split: str
    """The split that was measured: "val", "test", "test, split 1"."""
    videos: int | None = None
    """Number of videos that were measured; None: not published."""
    kind: Literal["measured by its authors", "quoted"] = "measured by its authors"
    """"quoted": the source repeats a number that others measured."""


class Measured(Declaration):
    """Accuracy of a network that Marey's authors measured, in percent. It never takes the place of a published one."""

    top1: float
    top5: float
    videos: int
    """Number of videos that were measured."""
    commit: str
    """The commit of Marey that measured."""
    fingerprint: str
    """Hash of the rows of the list that was measured."""
    date: Date
    """The day of the measurement."""
