"""The verdict: one sentence on how well the classifier will work on new videos, by its out-of-fold predictions."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from marey.base.words import capitalised, counted
from marey.evaluation.paired_difference import PairedDifference, paired_difference
from marey.evaluation.primary_metric import NEW_VIDEOS
from marey.evaluation.result import EvaluationResult
from marey.tasks.intervals import LEVEL

_UNKNOWN = 0.1
"""Share of the videos, 0 to 1. If the recordings of more than that are not known, the verdict begins with a warning."""
_LITTLE, _MUCH = 0.1, 0.05
"""Differences of the metric, 0 to 1: of the classifier's head minus the head on single frames. Motion matters little if the
upper end of the interval is below `_LITTLE`. Single frames do not suffice if the lower end is above 0 and the difference
above `_MUCH`."""
_BEYOND = "motion, order or position"
"""What the head on single frames cannot use: its features are a mean over frames and positions, without change from frame to
frame, order and position. The comparison does not show which of the three matters."""


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """Out-of-fold predictions compared with guessing and with single frames, in numbers and in words."""

    result: EvaluationResult
    """The result of the predictions; its protocol has `folds`."""
    single_frames: NDArray[np.float32] | None
    """[N, K]: out-of-fold probabilities by a head on features of single frames; None: there is no such head."""
    recordings_known: int
    """Number of videos whose recording is known and all in one fold."""
    left_out: int = 0
    """Number of the classifier's classes for which there are no out-of-fold predictions, so that the metric lacks them."""

    def __repr__(self) -> str:
        return f"Verdict({self.text!r})"

    # -- numbers

    @property
    def share(self) -> float:
        """The task's first metric, 0 to 1: top-1, or mean average precision."""
        return self.result.standing.metric.value

    @cached_property
    def single_frames_share(self) -> float | None:
        """The same metric of the head on single frames, 0 to 1; None: there is no such head."""
        if self.single_frames is None:
            return None
        scores = self.result.scores
        return scores.task.score(self.single_frames.astype(np.float64), scores.labels)

    @cached_property
    def over_single_frames(self) -> PairedDifference | None:
        """The metric minus that of the head on single frames, with its interval; None: there is no such head, or there
        are too few recordings for an interval.
        """
        return None if self.single_frames is None else self._over(self.single_frames)

    @cached_property
    def better_than_guessing(self) -> bool:
        """Whether the predictions are certainly better than guessing: than always the most frequent class, by the
        interval of the accuracy; or, for mean average precision, than equal scores for all videos, by the interval of the
        difference.
        """
        scores, baseline = self.result.scores, self.result.standing.baseline
        if self._counts_right:
            interval = scores.task.interval(scores.probabilities, scores.labels, scores.groups)
            return interval is not None and baseline is not None and interval.low > baseline.value
        over = self._over(np.zeros_like(scores.probabilities))
        return over is not None and over.low > 0

    def _over(self, others: NDArray[np.float32]) -> PairedDifference | None:
        scores = self.result.scores
        return paired_difference(scores.task, scores.probabilities, others, scores.labels, scores.groups)

    # -- words

    @property
    def text(self) -> str:
        """The verdict; before it, where needed, the warning that the number may be too good."""
        return " ".join(filter(None, (self.caution, self.sentence)))

    @property
    def caution(self) -> str:
        """The warning that the number may be too good, where too few videos have a known recording; else ""."""
        total, known = self.result.num_videos, self.recordings_known
        if total - known <= _UNKNOWN * total:
            return ""
        why = (
            f"the recording of {total - known:,} of {counted(total, 'video')} is not known, or contains an entire class"
        )
        if not known:
            why = f"the recordings of the {counted(total, 'video')} are not known, or contain an entire class each"
        return (
            f"The number may be too good: {why}, so that videos of one recording may be in several folds; add a column "
            "`group`, or record each class at several places."
        )

    @property
    def sentence(self) -> str:
        """The verdict without the warning: what to expect on new videos, and what guessing and single frames give."""
        standing, single = self.result.standing, self.single_frames_share
        clauses = [self._number + ("" if self.better_than_guessing else ", not shown to be better than guessing")]
        if standing.baseline is not None:
            guess = "guessing the most frequent class" if self._counts_right else "equal scores for all videos"
            gives = "gives" if self._counts_right else "give"
            clauses.append(f"{guess} {gives} {self._shown(standing.baseline.value)}")
        if single is not None:
            clauses.append(f"single frames {self._shown(single)}{self.motion and ': '}{self.motion}")
        return "; ".join(clauses) + "."

    @property
    def interval_sentence(self) -> str:
        """A sentence on which videos the interval in the verdict is for, or on why there is none. The ends are in the
        verdict.
        """
        standing, total = self.result.standing, self.result.num_videos
        interval = standing.interval
        if interval is None:
            text = standing.interval_text
            return f"{capitalised(text)}."
        if interval.over == "groups":
            return (
                f"The interval is for the next {NEW_VIDEOS} videos, of new recordings, and is computed from how much "
                f"the {counted(interval.count, 'recording')} here differ."
            )
        return (
            f"The interval is for the next {NEW_VIDEOS} videos, and assumes that each of the {counted(total, 'video')} "
            "here is a recording of its own."
        )

    @property
    def motion(self) -> str:
        """Whether motion, order or position helps, as a clause without a full stop; "" if there is no head on single
        frames, or the predictions are not certainly better than guessing.
        """
        over = self.over_single_frames
        if self.single_frames is None or not self.better_than_guessing:
            return ""
        if over is None:
            return "too few recordings show whether single frames suffice"
        if over.low > 0:
            much = over.difference > _MUCH
            return f"single frames do not suffice, {_BEYOND} matters" if much else f"{_BEYOND} helps a little"
        if over.high < 0:
            return "motion does not help here"
        return (
            "motion matters little here" if over.high < _LITTLE else "too few videos show whether single frames suffice"
        )

    @property
    def _counts_right(self) -> bool:
        return self.result.standing.metric.name == "top1"

    @property
    def _number(self) -> str:
        """The number to expect on new videos, and its interval."""
        standing = self.result.standing
        if not self._counts_right:
            number, classes = self._shown(self.share), len(self.result.scores.class_names)
            over = f" (mean of {classes:,} of {counted(classes + self.left_out, 'class')})" if self.left_out else ""
            return f"{standing.metric.title} on new videos will be about {number}{over}"
        interval = standing.interval
        ends = f"no interval: {standing.groups_fault}" if standing.groups_fault else "no interval"
        if interval is not None:
            ends = f"{100 * LEVEL:.0f} % interval {100 * interval.low:.0f} to {100 * interval.high:.0f}"
        return f"About {self._shown(self.share)} of {NEW_VIDEOS} new videos will be named rightly ({ends})"

    def _shown(self, share: float) -> str:
        """A share as the verdict prints it: of 100 videos, or in percent; only none and all are rounded to 0 and 100."""
        number = round(100 * share)
        number = min(max(number, 1), 99) if 0 < share < 1 else number
        return f"{number}" if self._counts_right else f"{number} %"
