"""The result of a test: scores, broken files, and all metrics computed from the scores."""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import write_json
from marey.base.jsonable import Json
from marey.base.notebook import html_table
from marey.base.words import capitalised, counted, percent
from marey.data.files.quarantine import Broken
from marey.evaluation.compare import Comparison
from marey.evaluation.primary_metric import PrimaryMetric
from marey.evaluation.scores import Scores
from marey.tasks.intervals import Interval
from marey.tasks.metrics import (
    calibration_error,
    confusion_matrix,
    macro_f1,
    mean_average_precision,
    mean_class_accuracy,
    pair_accuracy,
    top_k_accuracy,
)
from marey.tasks.task import Metric

SCORES, RESULT = "scores.npz", "result.json"
"""The files of a result in its folder."""
_NAMED = 3
"""Videos that a line names at most."""


@dataclass(frozen=True)
class NumberRow:
    """One number of a result, as a row of a table."""

    title: str
    """The name of the number."""
    value: str
    """The number as text, with its unit."""
    note: str = ""
    """What the number measures, in a few words beside it; "" for none."""


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """The scores of a test and its metrics, 0 to 1. The files in `broken` are left out of all metrics.

    With several labels per video the metric is `mean_ap`; `top1`, `top5`, `mean_class`, `macro_f1`, `confusion`,
    `calibration_error`, `pairs` and `majority` raise DataError.
    """

    scores: Scores
    """The probabilities, labels and ids of the tested videos, and the protocol."""
    broken: tuple[Broken, ...] = ()
    """The videos that could not be read, which have no scores; empty by default."""
    comparisons: tuple[Comparison, ...] = ()
    """Comparisons with the published top-1 of the classifier's recipe, and with one that was measured with Marey; empty
    by default."""

    @classmethod
    def load(cls, folder: str | Path) -> "EvaluationResult":
        """Read the files that `save` wrote: scores.npz, and result.json if it exists.

        Raises:
            DataError: there are no scores, or a file was not written by `save`.
        """
        scores, result = Scores.load(Path(folder) / SCORES), Path(folder) / RESULT
        if not result.exists():
            return cls(scores)
        try:
            found = json.loads(result.read_text(encoding="utf-8"))
            broken = tuple(Broken(**row) for row in found["broken"])
            return cls(scores, broken, tuple(Comparison.from_json(row) for row in found.get("comparisons", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{result}: not a result that evaluate wrote ({error}): remove it.") from None

    def save(self, folder: Path) -> None:
        """Write scores.npz and result.json, each atomically."""
        self.scores.save(folder / SCORES)
        write_json(folder / RESULT, self.as_json())

    @property
    def num_videos(self) -> int:
        return len(self.scores.ids)

    @property
    def top1(self) -> float:
        return top_k_accuracy(self.scores.probabilities, self._classes(), 1)

    @property
    def top5(self) -> float:
        """The share of videos whose class is among the five most probable. It is 1 with five classes or fewer; texts, pages
        and files do not show it then.
        """
        return top_k_accuracy(self.scores.probabilities, self._classes(), 5)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """[K, K]: number of videos by true class and predicted class."""
        return confusion_matrix(self.scores.probabilities, self._classes())

    @property
    def mean_class(self) -> float:
        return mean_class_accuracy(self.confusion)

    @property
    def macro_f1(self) -> float:
        return macro_f1(self.confusion)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error: the average difference between probability and share of right predictions, 0 to 1."""
        return calibration_error(self.scores.probabilities, self._classes())

    @property
    def mean_ap(self) -> float:
        """Mean average precision over the classes, the metric for videos with several labels."""
        return mean_average_precision(self.scores.probabilities, self.scores.positives)

    def pairs(self, pairs: list[tuple[int, int]]) -> float:
        """Among videos whose class is in a pair, the share with a higher probability for it than for the other class of the
        pair; chance gives one half.
        """
        return pair_accuracy(self.scores.probabilities, self._classes(), pairs)

    def metrics(self) -> dict[str, float]:
        """The metrics of the task by name: top-1, top-5 and others for `classify`, mean average precision for
        `multilabel`.
        """
        return {metric.name: metric.value for metric in self.task_metrics()}

    def task_metrics(self) -> tuple[Metric, ...]:
        """The metrics of the task with titles, the primary one first."""
        return self._metrics

    @cached_property
    def _metrics(self) -> tuple[Metric, ...]:
        return self.scores.task.metrics(self.scores.probabilities, self.scores.labels)

    @cached_property
    def unseen(self) -> "EvaluationResult | None":
        """The result on the videos that the network was not trained on; None if there are none or it is
        not known which these are.
        """
        seen = self.scores.trained_on
        if seen is None or seen.all():
            return None
        return EvaluationResult(replace(self.scores.rows(np.flatnonzero(~seen)), trained_on=None))

    @cached_property
    def standing(self) -> PrimaryMetric:
        """The primary metric with its interval and baseline."""
        return PrimaryMetric(self.scores, self.task_metrics()[0])

    @property
    def interval(self) -> Interval | None:
        """The 90 % interval of top-1 for new videos like these (`marey.tasks.intervals.share_interval`). With out-of-fold
        predictions it is for the next 100 videos (`new_videos_interval`). None: there is none, for the reason in
        `standing.interval_text`.
        """
        return self.standing.interval

    @property
    def majority(self) -> float:
        """The share of the most frequent class among the tested videos: the top-1 of always answering it."""
        classes = self._classes()
        return float(np.bincount(classes).max() / len(classes)) if len(classes) else float("nan")

    @cached_property
    def standing_of_new(self) -> PrimaryMetric:
        """`standing` of the videos that the network was not trained on; if it was trained on none or on all, of all
        videos.
        """
        unseen, seen = self.unseen, self.scores.trained_on
        if unseen is None or seen is None or not seen.any():
            return self.standing
        return replace(unseen.standing, unseen=True)

    @property
    def verdict(self) -> str:
        """The result in one sentence, of the videos of `standing_of_new`."""
        return self.standing_of_new.verdict

    def rows(self) -> tuple[NumberRow, ...]:
        """All numbers with title and explanation, as the report and notebooks show them."""
        standing = self.standing
        first, *others = self.task_metrics()
        rows = [NumberRow(first.title, percent(first.value), standing.interval_text)]
        rows += [NumberRow(metric.title, percent(metric.value), metric.note) for metric in others]
        if (baseline := standing.baseline) is not None:
            rows.append(NumberRow("baseline", percent(baseline.value), f"{first.title} of {baseline.text}"))
            if baseline.chance is not None:
                classes = counted(len(self.scores.class_names), "class", "classes")
                rows.append(NumberRow("guessing", percent(baseline.chance), f"{first.title} by chance, of {classes}"))
        left_out = f"{counted(len(self.broken), 'broken file')} left out" if self.broken else "none was broken"
        return (*rows, NumberRow("videos", f"{self.num_videos:,}", left_out))

    def seen_text(self) -> str:
        """How many of the videos the network was trained on, and the metrics of the others; "" if that is not known."""
        seen, total = self.scores.trained_on, self.num_videos
        if seen is None:
            return ""
        count = int(seen.sum())
        if not count:
            none = "the video is not" if total == 1 else f"none of the {counted(total, 'video')} is"
            return f"{none} among those that the checkpoint notes as trained on (by content)"
        names = [name for name, was in zip(self.scores.ids, seen.tolist(), strict=True) if was]
        listed = ", ".join([*names[:_NAMED], *(["..."] if count > _NAMED else [])])
        if (unseen := self.unseen) is None:
            every = "the video was" if total == 1 else f"all {counted(total, 'video')} were"
            return f"{every} trained on: these numbers do not show how well it does on other videos"
        numbers = "  ".join(
            f"{all_of.title} {percent(other.value)} (of all {percent(all_of.value)})"
            for all_of, other in zip(self.task_metrics(), unseen.task_metrics(), strict=True)
            if all_of.shown == "line"
        )
        were = "was" if count == 1 else "were"
        others = f"of the other {total - count:,}: {numbers}"
        return f"{count:,} of {counted(total, 'video')} {were} trained on ({listed}); {others}"

    def _seen_json(self) -> dict[str, Json]:
        seen, unseen = self.scores.trained_on, self.unseen
        if seen is None:
            return {}
        others = (
            None if unseen is None else {**unseen.metrics(), **unseen.standing.as_json(), "videos": unseen.num_videos}
        )
        return {"trained_on": {"videos": int(seen.sum()), "others": others}}

    def as_json(self) -> dict[str, Json]:
        """The content of result.json: everything but the scores."""
        return {
            **self.metrics(),
            **self.standing.as_json(),
            **self._seen_json(),
            "videos": self.num_videos,
            "broken": [vars(b) for b in self.broken],
            "comparisons": [vars(c) for c in self.comparisons],
            "protocol": self.scores.protocol.as_json(),
        }

    def __repr__(self) -> str:
        first, *others = [f"{m.title} {percent(m.value)}" for m in self.task_metrics() if m.shown == "line"]
        interval = self.standing.short_interval
        numbers = ", ".join([f"{first} ({interval})" if interval else first, *others])
        left_out = f", {len(self.broken)} broken" if self.broken else ""
        return f"EvaluationResult({counted(self.num_videos, 'video')}{left_out}: {numbers})"

    def _repr_html_(self) -> str:
        """A table of the numbers, for notebooks."""
        notes = [text] if (text := self.seen_text()) else []
        rows = [(row.title, row.value, row.note) for row in self.rows()]
        return html_table(repr(self), ["", "", ""], rows, note="; ".join([*notes, *map(str, self.comparisons)]))

    def summary(self) -> str:
        """Lines of text: the verdict, its interval, the metrics, what the network was trained on, comparisons, and what
        the task adds, such as the confusion matrix of at most 20 classes.
        """
        lines = [
            self.verdict,
            self.interval_sentence(),
            self.numbers_text(),
            *filter(None, [self.seen_text()]),
            *map(str, self.comparisons),
        ]
        scores = self.scores
        more = scores.task.summary(scores.probabilities, scores.labels, scores.class_names)
        return "\n".join([*lines, "", *more] if more else lines)

    def interval_sentence(self) -> str:
        """The sentence after `verdict`: the interval, or why there is none, and the accuracy of random guessing, if
        known.
        """
        standing = self.standing_of_new
        chance = None if standing.baseline is None else standing.baseline.chance
        guessing = "" if chance is None else f"; guessing gives {percent(chance)}"
        return f"{capitalised(standing.interval_text)}{guessing}."

    def numbers_text(self) -> str:
        """The most important metrics and the number of videos, in one line."""
        numbers = "   ".join(f"{m.title} {percent(m.value)}" for m in self.task_metrics() if m.shown != "report")
        left_out = f", {len(self.broken):,} broken left out" if self.broken else ""
        return f"{numbers}   ({counted(self.num_videos, 'video')}{left_out})"

    def _classes(self) -> NDArray[np.int64]:
        """The class index of each video [N].

        Raises:
            DataError: videos have several labels.
        """
        return self.scores.task.classes(self.scores.labels)
