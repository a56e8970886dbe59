"""What corrections of labels did for the clips without a correction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted, percent
from marey.evaluation.paired import Paired, paired_difference
from marey.tasks.intervals import LEVEL
from marey.tasks.task import Task


@dataclass(frozen=True)
class BeforeAfter:
    """The task's number of answers out of fold, by heads that were fitted on the labels of the list, and on the corrected
    ones; over the same clips, whose labels are as they were.
    """

    clips: int
    before: float
    """0 to 1."""
    after: float
    difference: Paired | None
    """None: too few recordings show how much it may be chance."""
    title: str
    """Of the number; "" for a share of right answers."""

    @classmethod
    def of(
        cls,
        task: Task,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        labels: NDArray[np.int64],
        groups: NDArray[np.str_] | None,
    ) -> "BeforeAfter":
        """Of the answers [N, K] of either for the same N clips; `groups` [N] are their recordings, "" where not known."""
        first = task.metrics(after, labels)[0]
        one, other = (task.score(answers.astype(np.float64), labels) for answers in (before, after))
        difference = paired_difference(task, after, before, labels, groups)
        return cls(len(labels), one, other, difference, "" if first.name == "top1" else first.title)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "BeforeAfter":
        """From its fields, as JSON has them."""
        difference = None if found["difference"] is None else Paired(**found["difference"])
        return cls(**{**found, "difference": difference})

    @property
    def gain(self) -> float:
        """The number after less that before, -1 to 1."""
        return self.after - self.before

    @property
    def sentence(self) -> str:
        """Both numbers, their difference and what it may mean."""
        of = f"On the {counted(self.clips, 'clip')} that nobody corrected"
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
        found = self.difference
        if self.gain == 0:
            return "as many are right as before" if not self.title else "as good as before"
        if found is None:
            return "too few recordings show how much of that is chance"
        if found.low > 0:
            return "the corrections help clips that they do not name"
        if found.high < 0:
            return "the corrections make it worse for clips that they do not name, so look at them once more"
        return "this may be chance"


@dataclass(frozen=True)
class CorrectionsMade:
    """How many of the training clips were corrected, and what that did for the others."""

    labels: int
    """Clips with another label than in the list."""
    groups: int
    """Clips that were given a group."""
    left_out: int
    compared: BeforeAfter | None
    """None: it could not be compared, or no label was changed and nothing left out."""
    why_not: str = ""
    """Why it was not compared, as a sentence; "" where it was."""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "CorrectionsMade":
        """From its fields, as JSON has them."""
        compared = None if found["compared"] is None else BeforeAfter.from_json(found["compared"])
        return cls(**{**found, "compared": compared})

    @property
    def sentence(self) -> str:
        """What that did, or why it is not known."""
        return self.why_not if self.compared is None else self.compared.sentence
