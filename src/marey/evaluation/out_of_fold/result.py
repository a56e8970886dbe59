"""How well a classifier of one's own clips does on new ones: an answer for each clip by a head that was not fitted on it."""

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
from marey.evaluation.out_of_fold.calibration import CrossFitted
from marey.evaluation.out_of_fold.corrected import CorrectionsMade
from marey.evaluation.out_of_fold.cost import Cost, FineTuning
from marey.evaluation.out_of_fold.curve import CurvePoint, Gain
from marey.evaluation.out_of_fold.needs import classes_in_need, what_is_needed
from marey.evaluation.out_of_fold.reliability import calibration_bins, mean_gap
from marey.evaluation.out_of_fold.verdict import Verdict
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.tasks.thresholds import f1_at

OUT_OF_FOLD, SINGLE_FRAMES = "out_of_fold.json", "single_frames.npz"
"""The files beside scores.npz and result.json."""
_NEEDS = 3
"""Classes that need more clips which the summary names."""
_WEAK = 0.1
"""A threshold for "none of these" stops hardly anything where it lies nearer than this share of the way to the least
probability that a first answer can have, or where fewer than this share of the wrong answers lie below it."""
_CROSS_FITTED = "Each clip is judged here by a temperature and thresholds that were fitted on other clips."
FINAL = (
    "The classifier of this run was fitted on all clips; each number comes from heads that were fitted without the clips "
    "that they were tested on. A head is a linear classifier on the features that a network gives for a clip."
)


@dataclass(frozen=True)
class HeadNumber:
    """One of the heads that were compared, in words, and the first number of the task that it reaches out of fold."""

    name: str
    share: float
    chosen: bool = False
    yardstick: bool = False
    """Whether it is there to compare with alone, and never chosen."""


@dataclass(frozen=True)
class Stopped:
    """What a threshold for "none of these" does to answers that it was not fitted on; shares 0 to 1."""

    threshold: float
    """Of the classifier, which was fitted on all answers."""
    floor: float
    """The least probability that a first answer can have: 1 / K for K classes."""
    right: float
    """Of the clips that are answered rightly, those below it."""
    wrong: float | None
    """The same of those that are answered wrong; None where there are none."""

    @property
    def weak(self) -> bool:
        """Whether it stops hardly anything."""
        return self.near_floor or (self.wrong is not None and self.wrong < _WEAK)

    @property
    def near_floor(self) -> bool:
        """Whether hardly any answer can lie below it."""
        return self.threshold - self.floor < _WEAK * (1 - self.floor)

    @property
    def sentence(self) -> str:
        """The numbers in words, and what follows where it stops hardly anything."""
        wrong = "" if self.wrong is None else f" and {percent(self.wrong, 0)} of the wrong ones"
        text = f"It stops {percent(self.right, 0)} of the right answers{wrong}."
        if not self.weak:
            return text
        why = (
            f"with so few classes no first answer is below {percent(self.floor)}"
            if self.near_floor
            else "wrong answers are as sure"
        )
        return (
            f"{text} That is hardly anything ({why}): videos of quite other things will mostly get one of the classes; give "
            "them a class of their own."
        )


@dataclass(frozen=True, eq=False, repr=False)
class OutOfFold:
    """The out-of-fold answers for all clips, and what was found out on the way.

    The clips are parted into folds, which keep the clips of a recording together. Each clip is answered by a head that was
    fitted on the other folds, so that the numbers hold for new clips. The final classifier is fitted on all clips.
    """

    result: EvaluationResult
    """Of the calibrated answers; its protocol has `folds`. Its groups are what the folds keep together, where known."""
    single_frames: NDArray[np.float32] | None
    """[N, K]: out-of-fold probabilities of a head on single frames, which sees no motion; None where there is none."""
    head: str
    """Which head was chosen, in words."""
    folds: int
    sources_known: int
    """Of so many clips the list or the file names tell the recording."""
    notes: tuple[str, ...] = ()
    """What was assumed, and what is doubtful, as sentences."""
    curve: tuple[CurvePoint, ...] = ()
    """With more and more clips; the last point has all of a head's."""
    calibration: CrossFitted | None = None
    """Of the head, fitted on the answers before they were calibrated, and those by which it is judged; a fine-tuned network
    that is kept has its own."""
    cost: Cost = Cost(0, 0, 0.0, 0.0)  # noqa: RUF009 - frozen
    heads: tuple[HeadNumber, ...] = ()
    """All that were compared; each with its own strength of regularisation."""
    tuning: FineTuning | None = None
    """None: no fine-tuning was tried."""
    tuning_note: str = ""
    """Why none was tried, or what it would cost; where one was kept, what its calibration lacks. As a sentence."""
    left_out: tuple[str, ...] = ()
    """Classes of the classifier that the answers do not have, since nothing can be said of them out of fold: where clips
    have several labels. Of one label a clip such classes have no clips among the answers."""
    corrections: CorrectionsMade | None = None
    """What was corrected in the list, and what that did; None: nothing."""
    copies: tuple[str, ...] = ()
    """Clips that were left out since others have the same content, by their ids."""

    def __repr__(self) -> str:
        return f"OutOfFold({self.folds} folds, {self.head}: {self.result!r})"

    # -- files

    def save(self, folder: Path) -> None:
        """Write scores.npz, result.json, out_of_fold.json, and single_frames.npz where there are such answers; each whole
        or not at all.
        """
        self.result.save(folder)
        if self.single_frames is None:
            (folder / SINGLE_FRAMES).unlink(missing_ok=True)
        else:
            replace(self.result.scores, probabilities=self.single_frames).save(folder / SINGLE_FRAMES)
        write_json(folder / OUT_OF_FOLD, self.as_json())

    def as_json(self) -> dict[str, Json]:
        """Everything but the answers, and what follows from them."""
        calibration: dict[str, Json] = {"calibration": None} if self.calibration is None else self.calibration.as_json()
        return {
            "verdict": self.verdict,
            "head": self.head,
            "heads": [asdict(head) for head in self.heads],
            "folds": self.folds,
            "sources_known": self.sources_known,
            "notes": list(self.notes),
            "single_frames": self.said.single_frames_share,
            "curve": [asdict(point) for point in self.curve],
            "curve_sentence": self.curve_sentence,
            **calibration,
            "cost": asdict(self.cost),
            "tuning": None if self.tuning is None else asdict(self.tuning),
            "tuning_note": self.tuning_note,
            "left_out": list(self.left_out),
            "corrections": None if self.corrections is None else asdict(self.corrections),
            "corrections_sentence": self.corrections_sentence,
            "copies": list(self.copies),
        }

    @classmethod
    def load(cls, folder: str | Path) -> "OutOfFold":
        """Read what `save` wrote.

        Raises:
            DataError: a file is not there or not as `save` wrote it, or scores.npz was replaced since.
        """
        folder = Path(folder)
        result, path = EvaluationResult.load(folder), folder / OUT_OF_FOLD
        if not result.scores.protocol.out_of_fold:
            raise DataError(
                f"{folder}: scores.npz is no longer that of {OUT_OF_FOLD}, which tells of out-of-fold answers: "
                f"remove {OUT_OF_FOLD}, or train into the folder again."
            )
        single = folder / SINGLE_FRAMES
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            answers = Scores.load(single).probabilities if single.exists() else None
            return cls._from_json(found, result, answers)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file.") from None
        except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            raise DataError(f"{path}: not what train wrote ({error}): remove it.") from None

    @classmethod
    def _from_json(
        cls, found: Mapping[str, Any], result: EvaluationResult, single: NDArray[np.float32] | None
    ) -> "OutOfFold":
        if single is not None and single.shape != result.scores.probabilities.shape:
            raise ValueError(f"{SINGLE_FRAMES} has other clips or classes")
        calibration = None
        if found["calibration"] is not None:
            calibration = CrossFitted.from_json(found["calibration"], found["calibration_parts"])
            if len(calibration.of_row) != result.num_videos:
                raise ValueError("calibration_parts has other clips")
        return cls(
            result,
            single,
            head=found["head"],
            folds=found["folds"],
            sources_known=found["sources_known"],
            notes=tuple(found["notes"]),
            curve=tuple(CurvePoint(**point) for point in found["curve"]),
            calibration=calibration,
            cost=Cost(**found["cost"]),
            heads=tuple(HeadNumber(**head) for head in found["heads"]),
            tuning=None if found["tuning"] is None else FineTuning(**found["tuning"]),
            tuning_note=found["tuning_note"],
            left_out=tuple(found["left_out"]),
            corrections=CorrectionsMade.from_json(found["corrections"]) if found.get("corrections") else None,
            copies=tuple(found["copies"]),
        )

    # -- numbers

    @cached_property
    def uncalibrated(self) -> NDArray[np.float32]:
        """The answers [N, K] before the temperature."""
        scores = self.result.scores
        if self.calibration is None:
            return scores.probabilities
        back = Calibration(temperature=1 / self.calibration.final.temperature, fitted_on="")
        return scores.task.calibrated(scores.probabilities, back)

    @property
    def tempered(self) -> bool:
        """Whether a temperature corrects the answers."""
        return self.calibration is not None and self.calibration.final.temperature != 1

    @cached_property
    def cross_calibrated(self) -> NDArray[np.float32]:
        """The answers [N, K], each by a temperature that was fitted without it; as they are without a calibration."""
        scores = self.result.scores
        if self.calibration is None:
            return scores.probabilities
        return self.calibration.calibrated(scores.task, self.uncalibrated)

    # -- words

    @property
    def verdict(self) -> str:
        """What the classifier does on new clips in a sentence; before it, where it is so, that this may be too good."""
        return self.said.text

    @cached_property
    def said(self) -> Verdict:
        """The verdict and its parts."""
        return Verdict(self.result, self.single_frames, self.sources_known, len(self.left_out))

    @property
    def _counts_right(self) -> bool:
        return self.result.standing.metric.name == "top1"

    @property
    def curve_sentence(self) -> str:
        """Whether to label more clips; "" where the curve does not show it."""
        gain = Gain.of(self.curve)
        return "" if gain is None else gain.sentence(recordings=self.result.scores.groups is not None)

    @property
    def corrections_sentence(self) -> str:
        """What corrections of the list did for the clips without a correction; "" where there were none."""
        return "" if self.corrections is None else self.corrections.sentence

    @property
    def calibration_sentence(self) -> str:
        """The temperature and the threshold, and what they do to answers that they were not fitted on; "" without a
        calibration.
        """
        if self.calibration is None:
            return ""
        found, (before, after) = self.calibration.final, self.calibration_errors
        kept = (
            "Probabilities stay as the head gives them: a temperature that was fitted on other clips made them no better "
            f"(calibration error {percent(before)})."
        )
        corrected = (
            f"A temperature of {found.temperature:.2f} makes answers {'less' if found.temperature > 1 else 'more'} sure: "
            f"calibration error {percent(before)} before, {percent(after)} after."
        )
        if after > before:
            corrected += " It is chosen by the cross-entropy on other clips, which it lowers all the same."
        parts = [corrected if self.tempered else kept]
        if found.meaning:
            parts.append(f"{capitalised(found.meaning)}.")
        if (f1 := self.f1_at_thresholds) is not None:
            parts.append(f"F1 {percent(f1)}, the mean of the classes.")
        if (stopped := self.stopped) is not None:
            parts.append(stopped.sentence)
        return " ".join([*parts, _CROSS_FITTED])

    @cached_property
    def f1_at_thresholds(self) -> float | None:
        """The mean F1, 0 to 1, of the classes at thresholds that were fitted on other clips; None where classes have
        none.
        """
        thresholds = None if self.calibration is None else self.calibration.thresholds
        if thresholds is None:
            return None
        scores = f1_at(self.cross_calibrated, self.result.scores.positives, thresholds)
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else None

    @cached_property
    def calibration_errors(self) -> tuple[float, float]:
        """The calibration error, 0 to 1, before and after temperatures that were fitted on other clips; over all pairs of a
        clip and a class where a clip may have several labels.
        """
        before, after = (calibration_bins(*self.confidences(one)) for one in (self.uncalibrated, self.cross_calibrated))
        return mean_gap(before), mean_gap(after)

    def confidences(self, answers: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The probability of each answer, and whether it is right: of each clip [N], or of each clip and class [N * K]."""
        scores = self.result.scores
        if not self._counts_right:
            return answers.astype(np.float64).ravel(), scores.positives.ravel()
        right = scores.positives[np.arange(len(answers)), answers.argmax(axis=1)]
        return answers.max(axis=1).astype(np.float64), right

    @cached_property
    def stopped(self) -> Stopped | None:
        """What the threshold for "none of these" does to the clips for which the others show one; None where there is no
        threshold, or no such clip.
        """
        if self.calibration is None or self.calibration.final.threshold is None:
            return None
        confidence, right = self.confidences(self.cross_calibrated)
        threshold = self.calibration.threshold
        judged = np.isfinite(threshold)
        below, right = (confidence < threshold)[judged], right[judged]
        if not right.any():
            return None
        return Stopped(
            threshold=self.calibration.final.threshold,
            floor=1 / len(self.result.scores.class_names),
            right=float(below[right].mean()),
            wrong=None if right.all() else float(below[~right].mean()),
        )

    @property
    def tuning_sentence(self) -> str:
        """How fine-tuning compared, or why it was not tried; "" where neither is known."""
        compared = "" if self.tuning is None else self.tuning.sentence
        return " ".join(filter(None, (compared, self.tuning_note)))

    @property
    def _needs_sentence(self) -> str:
        """Which classes need more clips, the first of them with the reason; "" where none does."""
        needs = classes_in_need(self.result.scores)
        if not needs:
            return ""
        named = "; ".join(f"{need.name!r} ({need.reason})" for need in needs[:_NEEDS])
        more = f"; and of {len(needs) - _NEEDS:,} more" if len(needs) > _NEEDS else ""
        what = what_is_needed(self.result.scores)
        return f"{what} are needed of {counted(len(needs), 'class')}, the worst first: {named}{more}."

    def summary(self) -> str:
        """Lines for a terminal: the verdict, its interval, the numbers, corrections, classes that need more clips,
        calibration, curve, fine-tuning and cost; and what the task adds, the confusion matrix of up to 20 classes. Notes are
        on the page.
        """
        scores, result = self.result.scores, self.result
        lines = [
            self.said.caution,
            self.said.sentence,
            self.said.interval_sentence,
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
