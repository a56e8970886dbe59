"""The effect of corrections: how much better the uncorrected videos are classified after them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.jsonable import Json, rename_key
from marey.base.words import counted, percent
from marey.evaluation.paired_difference import PairedDifference, paired_difference
from marey.tasks.intervals import LEVEL
from marey.tasks.task import Task


@dataclass(frozen=True)
class BeforeAfter:
    """The task's first metric of out-of-fold predictions by heads fitted with the original and with the corrected labels, on
    the videos that the corrections do not name.
    """

    videos: int
    """The number of compared videos."""
    before: float
    """The metric with heads fitted on the labels of the list, 0 to 1."""
    after: float
    """The metric with heads fitted on the corrected labels, 0 to 1."""
    difference: PairedDifference | None
    """`after` minus `before`, with its interval; None: too few recordings to estimate it."""
    title: str
    """The name of the metric; "" for the share of correct predictions."""

    @classmethod
    def of(
        cls,
        task: Task,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        labels: NDArray[np.int64],
        groups: NDArray[np.str_] | None,
    ) -> "BeforeAfter":
        """Compare the probabilities [N, K] before and after for the same N videos.

        Args:
            task: The task.
            before: [N, K]: by heads fitted with the original labels.
            after: [N, K]: by heads fitted with the corrected labels.
            labels: As a score file holds them.
            groups: [N]: the recordings, "" where they are not known; None: each video is its own recording.
        """
        first = task.metrics(after, labels)[0]
        one, other = (task.score(probabilities.astype(np.float64), labels) for probabilities in (before, after))
        difference = paired_difference(task, after, before, labels, groups)
        return cls(len(labels), one, other, difference, "" if first.name == "top1" else first.title)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "BeforeAfter":
        """From its fields as JSON."""
        difference = None if fields["difference"] is None else PairedDifference(**fields["difference"])
        return cls(**{**rename_key(fields, "clips", "videos"), "difference": difference})

    def as_json(self) -> dict[str, Json]:
        """Its fields as JSON; `videos` has the key "clips"."""
        return rename_key(asdict(self), "videos", "clips")

    @property
    def gain(self) -> float:
        """`after` minus `before`, -1 to 1."""
        return self.after - self.before

    @property
    def sentence(self) -> str:
        """Both numbers, their difference and what it means."""
        of = f"On the {counted(self.videos, 'video')} without corrections"
        before, after = percent(self.before), percent(self.after)
        right, title = ("", f"{self.title} ") if self.title else (" right", "")
        return (
            f"{of}: {title}{before}{right} with the labels as they were, {after} with the corrected ones "
            f"({100 * self.gain:+.1f} points{self._interval}): {self._meaning}."
        )

    @property
    def _interval(self) -> str:
        if self.difference is None or self.difference.low == self.difference.high:
            return ""
        low, high = 100 * self.difference.low, 100 * self.difference.high
        return f", {100 * LEVEL:.0f} % interval {low:+.1f} to {high:+.1f}"

    @property
    def _meaning(self) -> str:
        difference = self.difference
        if self.gain == 0:
            return "as many are right as before" if not self.title else "as good as before"
        if difference is None:
            return "too few recordings show how much of that is chance"
        if difference.low > 0:
            return "the corrections help videos that they do not name"
        if difference.high < 0:
            return "the corrections make it worse for videos that they do not name, so look at them once more"
        return "this may be chance"


@dataclass(frozen=True)
class CorrectionsMade:
    """How many training videos were corrected, and the effect on predictions for the others."""

    labels: int
    """Number of videos with another label than in the list."""
    groups: int
    """Number of videos that were given a group."""
    left_out: int
    """Number of videos that were left out."""
    compared: BeforeAfter | None
    """The effect; None: it could not be measured, or no label was changed and no video left out."""
    why_not: str = ""
    """A sentence on why the effect was not measured; "" where it was."""

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "CorrectionsMade":
        """From its fields as JSON."""
        compared = None if fields["compared"] is None else BeforeAfter.from_json(fields["compared"])
        return cls(**{**fields, "compared": compared})

    def as_json(self) -> dict[str, Json]:
        """Its fields as JSON."""
        return asdict(self) | {"compared": None if self.compared is None else self.compared.as_json()}

    @property
    def sentence(self) -> str:
        """The effect, or why it is not known."""
        return self.why_not if self.compared is None else self.compared.sentence
