"""Out-of-fold result: how well a classifier works on new videos, by heads that were fitted without them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from marey.base.errors import DataError
from marey.base.files import write_json
from marey.base.jsonable import Json
from marey.base.words import capitalised, counted, percent
from marey.classifier import Calibration
from marey.evaluation.out_of_fold.calibration import CrossFittedCalibration
from marey.evaluation.out_of_fold.classes_in_need import classes_in_need, needed_videos
from marey.evaluation.out_of_fold.corrections_effect import CorrectionsMade
from marey.evaluation.out_of_fold.cost import Cost, FineTuning
from marey.evaluation.out_of_fold.learning_curve import CurvePoint, Gain
from marey.evaluation.out_of_fold.reliability import calibration_bins, mean_gap
from marey.evaluation.out_of_fold.verdict import Verdict
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.tasks.thresholds import f1_at

OUT_OF_FOLD, SINGLE_FRAMES = "out_of_fold.json", "single_frames.npz"
"""The files beside scores.npz and result.json."""
_NEEDS = 3
"""How many classes that need more videos the summary names."""
_WEAK = 0.1
"""A share, 0 to 1. A threshold for "none of these" counts as weak if less than this share of the wrong predictions is below
it. It also counts as weak if it is too near 1 / K, the least probability that a predicted class can have: if the distance is
less than this share of the range 1 / K to 1."""
_CROSS_FITTED = "Each video is judged here by a temperature and thresholds that were fitted on other videos."
FINAL = (
    "The classifier of this run was fitted on all videos; each number comes from heads that were fitted without the "
    "videos that they were tested on. A head is a linear classifier on the features that a network gives for a video."
)


@dataclass(frozen=True)
class HeadScore:
    """One of the heads that were compared."""

    name: str
    """The head in words."""
    share: float
    """The task's first metric out of fold, 0 to 1."""
    chosen: bool = False
    """Whether it is the head of the classifier."""
    yardstick: bool = False
    """Whether it is only there for comparison and never chosen, as the head on single frames is."""


@dataclass(frozen=True)
class ThresholdEffect:
    """The shares of predictions below a threshold for "none of these", measured with thresholds that were fitted on other
    videos.
    """

    threshold: float
    """The threshold of the classifier, fitted on all predictions, 0 to 1."""
    floor: float
    """The least possible probability of the predicted class: 1 / K for K classes."""
    right: float
    """Share of the correct predictions below the threshold of the other folds, 0 to 1."""
    wrong: float | None
    """Share of the wrong predictions below that threshold, 0 to 1; None if no prediction is wrong."""

    @property
    def weak(self) -> bool:
        """Whether the threshold lies below nearly all wrong predictions, or near the least possible probability."""
        return self.near_floor or (self.wrong is not None and self.wrong < _WEAK)

    @property
    def near_floor(self) -> bool:
        """Whether the threshold is so near the least possible probability that hardly any prediction can be below it."""
        return self.threshold - self.floor < _WEAK * (1 - self.floor)

    @property
    def sentence(self) -> str:
        """The shares in words, and the advice where it stops hardly anything."""
        wrong = "" if self.wrong is None else f" and {percent(self.wrong, 0)} of the wrong ones"
        text = f"It stops {percent(self.right, 0)} of the right predictions{wrong}."
        if not self.weak:
            return text
        why = (
            f"with so few classes no prediction is below {percent(self.floor)}"
            if self.near_floor
            else "wrong predictions are as confident"
        )
        return (
            f"{text} That is hardly anything ({why}): videos of quite other things will mostly get one of the classes; give "
            "them a class of their own."
        )


@dataclass(frozen=True, eq=False, repr=False)
class OutOfFold:
    """The out-of-fold predictions of all videos, and what else the run measured.

    The videos are divided into folds, which keep the videos of a recording together. Each video is predicted by a head
    that was fitted on the other folds, so that the numbers hold for new videos. The final classifier is fitted on all
    videos.
    """

    result: EvaluationResult
    """The result of the calibrated predictions; its protocol has `folds`, and its groups are the recordings, as far as
    they are known."""
    single_frames: NDArray[np.float32] | None
    """[N, K]: out-of-fold probabilities by a head on features of single frames, which have no motion; None: there is no such
    head."""
    head: str
    """The chosen head, in words."""
    folds: int
    """The number of folds."""
    recordings_known: int
    """Number of videos whose recording is known and all in one fold."""
    notes: tuple[str, ...] = ()
    """Sentences on what was assumed, and on what is doubtful; empty by default."""
    curve: tuple[CurvePoint, ...] = ()
    """The learning curve, with more and more videos; the last point is that of all videos. Empty: none was measured."""
    calibration: CrossFittedCalibration | None = None
    """The calibration of the head, fitted on the uncalibrated predictions. A fine-tuned network that was kept has
    another one. None: none was fitted."""
    cost: Cost = Cost(0, 0, 0.0, 0.0)  # noqa: RUF009 - frozen
    """The cost of the predictions in videos and seconds; by default zeros: it was not measured."""
    heads: tuple[HeadScore, ...] = ()
    """All heads that were compared, each fitted with the strength of regularisation that suits it best; empty by
    default."""
    tuning: FineTuning | None = None
    """The comparison with fine-tuning; None: none was tried."""
    tuning_note: str = ""
    """A sentence on why no fine-tuning was tried, on what it would cost, or, if a fine-tuned network was kept, on what its
    calibration lacks; "": there is no such sentence."""
    left_out: tuple[str, ...] = ()
    """Classes of the classifier without out-of-fold predictions, because no fold can test them, for example if all their
    videos are of one recording; only where videos have several labels. Where videos have one label, the predictions lack
    the videos of such classes."""
    corrections: CorrectionsMade | None = None
    """The corrections of the list and their effect; None: nothing was corrected."""
    copies: tuple[str, ...] = ()
    """The ids of videos that were left out since others have the same content; empty by default."""

    def __repr__(self) -> str:
        return f"OutOfFold({self.folds} folds, {self.head}: {self.result!r})"

    # -- files

    def save(self, folder: Path) -> None:
        """Write scores.npz, result.json, out_of_fold.json, and single_frames.npz where there are such predictions; each file
        atomically.
        """
        self.result.save(folder)
        if self.single_frames is None:
            (folder / SINGLE_FRAMES).unlink(missing_ok=True)
        else:
            replace(self.result.scores, probabilities=self.single_frames).save(folder / SINGLE_FRAMES)
        write_json(folder / OUT_OF_FOLD, self.as_json())

    def as_json(self) -> dict[str, Json]:
        """The content of out_of_fold.json: all fields but the predictions, and the sentences that follow from the fields."""
        calibration: dict[str, Json] = {"calibration": None} if self.calibration is None else self.calibration.as_json()
        return {
            "verdict": self.verdict,
            "head": self.head,
            "heads": [asdict(head) for head in self.heads],
            "folds": self.folds,
            "sources_known": self.recordings_known,
            "notes": list(self.notes),
            "single_frames": self.verdict_details.single_frames_share,
            "curve": [point.as_json() for point in self.curve],
            "curve_sentence": self.curve_sentence,
            **calibration,
            "cost": self.cost.as_json(),
            "tuning": None if self.tuning is None else self.tuning.as_json(),
            "tuning_note": self.tuning_note,
            "left_out": list(self.left_out),
            "corrections": None if self.corrections is None else self.corrections.as_json(),
            "corrections_sentence": self.corrections_sentence,
            "copies": list(self.copies),
        }

    @classmethod
    def load(cls, folder: str | Path) -> "OutOfFold":
        """Read the files that `save` wrote.

        Raises:
            DataError: a file does not exist or is not as `save` wrote it, or scores.npz has been replaced by that of a test.
        """
        folder = Path(folder)
        result, path = EvaluationResult.load(folder), folder / OUT_OF_FOLD
        if not result.scores.protocol.out_of_fold:
            raise DataError(
                f"{folder}: scores.npz is no longer that of {OUT_OF_FOLD}, which describes out-of-fold predictions: "
                f"remove {OUT_OF_FOLD}, or train into the folder again."
            )
        single = folder / SINGLE_FRAMES
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            probabilities = Scores.load(single).probabilities if single.exists() else None
            return cls._from_json(fields, result, probabilities)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file.") from None
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise DataError(f"{path}: not what train wrote ({error}): remove it.") from None

    @classmethod
    def _from_json(
        cls, fields: Mapping[str, Any], result: EvaluationResult, single: NDArray[np.float32] | None
    ) -> "OutOfFold":
        if single is not None and single.shape != result.scores.probabilities.shape:
            raise ValueError(f"{SINGLE_FRAMES} has other videos or classes")
        calibration = None
        if fields["calibration"] is not None:
            calibration = CrossFittedCalibration.from_json(fields["calibration"], fields["calibration_parts"])
            if len(calibration.of_row) != result.num_videos:
                raise ValueError("calibration_parts has other videos")
        return cls(
            result,
            single,
            head=fields["head"],
            folds=fields["folds"],
            recordings_known=fields["sources_known"],
            notes=tuple(fields["notes"]),
            curve=tuple(CurvePoint.from_json(point) for point in fields["curve"]),
            calibration=calibration,
            cost=Cost.from_json(fields["cost"]),
            heads=tuple(HeadScore(**head) for head in fields["heads"]),
            tuning=None if fields["tuning"] is None else FineTuning.from_json(fields["tuning"]),
            tuning_note=fields["tuning_note"],
            left_out=tuple(fields["left_out"]),
            corrections=CorrectionsMade.from_json(fields["corrections"]) if fields.get("corrections") else None,
            copies=tuple(fields["copies"]),
        )

    # -- numbers

    @cached_property
    def uncalibrated(self) -> NDArray[np.float32]:
        """[N, K]: the probabilities before the temperature."""
        scores = self.result.scores
        if self.calibration is None:
            return scores.probabilities
        back = Calibration(temperature=1 / self.calibration.final.temperature, fitted_on="")
        return scores.task.calibrated(scores.probabilities, back)

    @property
    def tempered(self) -> bool:
        """Whether a temperature other than 1 was applied."""
        return self.calibration is not None and self.calibration.final.temperature != 1

    @cached_property
    def cross_calibrated(self) -> NDArray[np.float32]:
        """[N, K]: the probabilities, each row calibrated by a temperature that was fitted without its fold; unchanged
        without a calibration.
        """
        scores = self.result.scores
        if self.calibration is None:
            return scores.probabilities
        return self.calibration.calibrated(scores.task, self.uncalibrated)

    # -- words

    @property
    def verdict(self) -> str:
        """One sentence on how well the classifier works on new videos; before it, where needed, a warning that the
        number may be too good.
        """
        return self.verdict_details.text

    @cached_property
    def verdict_details(self) -> Verdict:
        """The numbers and sentences of the verdict."""
        return Verdict(self.result, self.single_frames, self.recordings_known, len(self.left_out))

    @property
    def _counts_right(self) -> bool:
        return self.result.standing.metric.name == "top1"

    @property
    def curve_sentence(self) -> str:
        """A sentence on whether to label more videos; "" where the curve does not show it."""
        gain = Gain.of(self.curve)
        return "" if gain is None else gain.sentence(recordings=self.result.scores.groups is not None)

    @property
    def corrections_sentence(self) -> str:
        """A sentence on the effect of corrections on the other videos; "" without corrections."""
        return "" if self.corrections is None else self.corrections.sentence

    @property
    def calibration_sentence(self) -> str:
        """The temperature and the threshold, and their effect on predictions that they were not fitted on; "" without a
        calibration.
        """
        if self.calibration is None:
            return ""
        final, (before, after) = self.calibration.final, self.calibration_errors
        unchanged = (
            "Probabilities stay as the head gives them: a temperature that was fitted on other videos made them no "
            f"better (calibration error {percent(before)})."
        )
        less_or_more = "less" if final.temperature > 1 else "more"
        corrected = (
            f"A temperature of {final.temperature:.2f} makes probabilities {less_or_more} confident: "
            f"calibration error {percent(before)} before, {percent(after)} after."
        )
        if after > before:
            corrected += " It is chosen by the cross-entropy on other videos, which it does lower."
        sentences = [corrected if self.tempered else unchanged]
        if final.meaning:
            sentences.append(f"{capitalised(final.meaning)}.")
        if (f1 := self.f1_at_thresholds) is not None:
            sentences.append(f"F1 {percent(f1)}, the mean of the classes.")
        if (effect := self.threshold_effect) is not None:
            sentences.append(effect.sentence)
        return " ".join([*sentences, _CROSS_FITTED])

    @cached_property
    def f1_at_thresholds(self) -> float | None:
        """The mean F1 of the classes, 0 to 1, at thresholds that were fitted on other videos; None where classes have no
        thresholds.
        """
        thresholds = None if self.calibration is None else self.calibration.thresholds
        if thresholds is None:
            return None
        scores = f1_at(self.cross_calibrated, self.result.scores.positives, thresholds)
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else None

    @cached_property
    def calibration_errors(self) -> tuple[float, float]:
        """The calibration error, 0 to 1, before and after temperatures that were fitted on other videos. Where videos have
        several labels, it is over all pairs of a video and a class.
        """
        before, after = (calibration_bins(*self.confidences(one)) for one in (self.uncalibrated, self.cross_calibrated))
        return mean_gap(before), mean_gap(after)

    def confidences(self, probabilities: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The probability of each prediction, and whether it is correct: for each video [N], or, where videos have several
        labels, for each video and class [N * K].
        """
        scores = self.result.scores
        if not self._counts_right:
            return probabilities.astype(np.float64).ravel(), scores.positives.ravel()
        right = scores.positives[np.arange(len(probabilities)), probabilities.argmax(axis=1)]
        return probabilities.max(axis=1).astype(np.float64), right

    @cached_property
    def threshold_effect(self) -> ThresholdEffect | None:
        """The effect of the threshold for "none of these", on the videos for which the other folds give one; None without a
        threshold, or without such videos.
        """
        if self.calibration is None or self.calibration.final.threshold is None:
            return None
        confidence, right = self.confidences(self.cross_calibrated)
        threshold = self.calibration.threshold
        judged = np.isfinite(threshold)
        below, right = (confidence < threshold)[judged], right[judged]
        if not right.any():
            return None
        return ThresholdEffect(
            threshold=self.calibration.final.threshold,
            floor=1 / len(self.result.scores.class_names),
            right=float(below[right].mean()),
            wrong=None if right.all() else float(below[~right].mean()),
        )

    @property
    def tuning_sentence(self) -> str:
        """Sentences on how fine-tuning compared, and `tuning_note`; "" without both."""
        compared = "" if self.tuning is None else self.tuning.sentence
        return " ".join(filter(None, (compared, self.tuning_note)))

    @property
    def _needs_sentence(self) -> str:
        """A sentence on which classes need more videos, with the reasons of the first ones; "" where none does."""
        needs = classes_in_need(self.result.scores)
        if not needs:
            return ""
        named = "; ".join(f"{need.name!r} ({need.reason})" for need in needs[:_NEEDS])
        more = f"; and of {len(needs) - _NEEDS:,} more" if len(needs) > _NEEDS else ""
        videos = needed_videos(self.result.scores)
        return f"{videos} are needed of {counted(len(needs), 'class')}, the worst first: {named}{more}."

    def summary(self) -> str:
        """Lines for a terminal: the verdict, its interval, the numbers, corrections, classes that need more videos,
        calibration, curve, fine-tuning and cost; and what the task adds, such as the confusion matrix of up to 20 classes.
        The notes are only in the report.
        """
        scores, result = self.result.scores, self.result
        lines = [
            self.verdict_details.caution,
            self.verdict_details.sentence,
            self.verdict_details.interval_sentence,
            f"{result.numbers_text()}, out of fold ({self.folds} folds; {self.head})",
            FINAL,
            self.corrections_sentence,
            self._needs_sentence,
            self.calibration_sentence,
            self.curve_sentence,
            self.tuning_sentence,
            self.cost.sentence,
        ]
        more = scores.task.summary(scores.probabilities, scores.labels, scores.class_names)
        return "\n".join([*filter(None, lines), *(["", *more] if more else [])])
