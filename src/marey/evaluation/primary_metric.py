"""The primary metric of a test, its interval for new videos, and the baseline of predictions that ignore the videos."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marey.base.jsonable import Json
from marey.base.words import counted, percent
from marey.evaluation.scores import Scores
from marey.tasks.intervals import FEWEST_GROUPS, LEVEL, Interval, group_numbers, new_videos_interval
from marey.tasks.task import Baseline, Metric

NEW_VIDEOS = 100
"""With out-of-fold predictions, the interval is for the share of right predictions among this many new videos."""
_WIDE = 0.05
"""The ends of intervals at least this wide, 0 to 1, are written without decimals."""


@dataclass(frozen=True, repr=False)
class PrimaryMetric:
    """The primary metric of scores with its 90 % interval and baseline, in numbers and in words."""

    scores: Scores
    """The scores of the tested videos."""
    metric: Metric
    """The task's first metric of these scores: top-1, or mAP with several labels per video."""
    unseen: bool = False
    """Whether `scores` holds only videos that the network was not trained on, and others were left out."""
    group: Literal["group", "recording"] = "group"
    """The word for a group of videos. With out-of-fold predictions it is always "recording", because their groups are
    recordings."""

    def __repr__(self) -> str:
        beside = f" ({self.short_interval})" if self.short_interval else ""
        videos = counted(len(self.scores.ids), "video")
        return f"PrimaryMetric({self.metric.title} {percent(self.metric.value)}{beside} of {videos})"

    @cached_property
    def interval(self) -> Interval | None:
        """The interval for new videos of the same kind; None if there is none, for the reason in `interval_text`.

        With out-of-fold predictions it is for the share among the next `NEW_VIDEOS` videos, of new groups.
        """
        scores = self.scores
        if scores.trained_on is not None and scores.trained_on.any():
            return None
        if self.out_of_fold:
            right = scores.task.right(scores.probabilities, scores.labels) if self._counts_right else None
            folds = min(part.folds for part in scores.protocol.parts if part.folds is not None)
            return None if right is None else new_videos_interval(right, scores.groups, NEW_VIDEOS, folds=folds)
        return scores.task.interval(scores.probabilities, scores.labels, scores.groups)

    @property
    def out_of_fold(self) -> bool:
        """Whether the scores are out-of-fold predictions: each video's come from a head that was fitted without it."""
        return self.scores.protocol.out_of_fold

    @cached_property
    def baseline(self) -> Baseline | None:
        """What predictions that do not depend on the videos would reach in the metric; None if it is not known."""
        return self.scores.task.baseline(self.scores.labels, self.scores.class_names)

    @property
    def short_interval(self) -> str:
        """The interval as "90 % interval 56 % to 84 %"; "" if there is none."""
        if self.interval is None:
            return ""
        low, high = 100 * self.interval.low, 100 * self.interval.high
        digits = 0 if high - low >= 100 * _WIDE else 1
        return f"{100 * LEVEL:.0f} % interval {low:.{digits}f} % to {high:.{digits}f} %"

    @property
    def interval_text(self) -> str:
        """The interval and the number of videos or groups that it is computed over, or why there is none, as a clause
        without a full stop.
        """
        if self.interval is not None:
            over = counted(self.interval.count, self._group if self.interval.over == "groups" else "video")
            return f"for {self._new_videos(self.interval)}, {self.short_interval} (over {over})"
        seen, sizes = self.scores.trained_on, self._group_sizes
        if seen is not None and seen.any():
            were = counted(int(seen.sum()), "of these videos was", "of these videos were")
            return f"no interval for new videos: {'these were' if seen.all() else were} trained on"
        if not len(sizes) or not self._counts_right:
            return f"no interval is computed for {self.metric.title}"
        few = f"these are of {counted(len(sizes), self._group)}, and fewer than {FEWEST_GROUPS}"
        if len(sizes) >= FEWEST_GROUPS:
            most = f"one has {int(sizes.max()):,} of the {counted(int(sizes.sum()), 'video')}"
            few = f"of {counted(len(sizes), self._group)} {most}, and the others"
        return f"no interval for new videos: {few} do not show how much {self._group}s differ"

    @property
    def groups_fault(self) -> str:
        """Why the groups give no interval, in a few words; "" if there are no groups."""
        sizes = self._group_sizes
        if not len(sizes):
            return ""
        if len(sizes) < FEWEST_GROUPS:
            return f"too few {self._group}s"
        return f"one {self._group} has {int(sizes.max()):,} of {counted(int(sizes.sum()), 'video')}"

    @cached_property
    def _group_sizes(self) -> NDArray[np.int64]:
        """The number of videos of each group; empty if there are no groups."""
        groups = self.scores.groups
        return np.zeros(0, np.int64) if groups is None else np.bincount(group_numbers(groups))

    def _new_videos(self, interval: Interval) -> str:
        """The videos that the interval is for."""
        if not self.out_of_fold:
            return "new videos like these"
        return f"the next {NEW_VIDEOS} videos" + ", of new recordings" * (interval.over == "groups")

    @property
    def _group(self) -> str:
        return "recording" if self.out_of_fold else self.group

    @property
    def _counts_right(self) -> bool:
        """Whether the metric is a share of right predictions."""
        return self.metric.name == "top1"

    @property
    def verdict(self) -> str:
        """The metric in a sentence, compared with its baseline."""
        total, value, seen = len(self.scores.ids), percent(self.metric.value), self.scores.trained_on
        one = total == 1
        videos = counted(total, "video")
        if self.unseen:
            videos = "the only video that" if one else f"the {videos} that"
            videos += " the network was not trained on"
        number = f"{value} right of {videos}" if self.unseen else f"{value} of {videos} right"
        if not self._counts_right:
            number = f"{self.metric.title} {value} of {videos}"
        if seen is not None and seen.all():
            number += ", which was trained on" if one else ", all of them trained on"
        if self.out_of_fold:
            number += " out of fold"
        return f"{number}{self._beside(self.baseline)}." if self.baseline is not None else f"{number}."

    def _beside(self, baseline: Baseline) -> str:
        """The end of the sentence: whether the interval lies above or below the baseline, or both numbers where there is no
        interval.
        """
        theirs, words = percent(baseline.value), baseline.text
        if baseline.value == 1:
            return f"; {words} gives {theirs} too: videos of one class do not show whether classes are told apart"
        if self.interval is None:
            return f"; {words} would give {theirs}"
        if self.interval.low > baseline.value:
            return f", more than {words} would give ({theirs})"
        if self.interval.high < baseline.value:
            return f", less than {words} would give ({theirs})"
        clearly = "not clearly more" if self.metric.value > baseline.value else "no more"
        return f", {clearly} than {words} would give ({theirs})"

    def as_json(self) -> dict[str, Json]:
        """The fields `interval`, `interval_text` and `baseline`."""
        interval, baseline = self.interval, self.baseline
        return {
            "interval": None if interval is None else {"level": LEVEL, **vars(interval)},
            "interval_text": self.interval_text,
            "baseline": None if baseline is None else vars(baseline),
        }
