"""The accuracies of a recipe: those that others published, and those that Marey's authors measured, kept apart."""

from datetime import date as Date
from typing import Literal

from marey.base.declaration import Declaration


class Published(Declaration):
    """Accuracy of a network that its authors or others published, in percent, and how it was measured."""

    top1: float
    """Share of the videos whose class has the highest score, in percent, 0 to 100."""
    top5: float | None = None
    """Share of the videos whose class is among the five highest scores, in percent; None: not published."""
    source: str
    """The document that states the accuracy."""
    protocol: str
    """The clips and crops that were measured, as text."""
    split: str
    """The split whose videos were measured: "val", "test", "test, split 1"."""
    videos: int | None = None
    """Number of videos that were measured; None: not published."""
    kind: Literal["measured by its authors", "quoted"] = "measured by its authors"
    """Who measured: "quoted" means that the source repeats a number of others."""


class Measured(Declaration):
    """Accuracy of a network that Marey's authors measured, in percent. It never replaces a published one."""

    top1: float
    """Share of the videos whose class has the highest score, in percent, 0 to 100."""
    top5: float
    """Share of the videos whose class is among the five highest scores, in percent, 0 to 100."""
    videos: int
    """Number of videos that were measured."""
    commit: str
    """The commit of Marey with which it was measured."""
    fingerprint: str
    """The fingerprint of the list whose videos were measured."""
    date: Date
    """The day of the measurement."""
