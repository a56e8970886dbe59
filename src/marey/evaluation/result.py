"""What comes of a test: scores, and every number that follows from them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import write_json
from marey.base.jsonable import Json
from marey.data.quarantine import Broken
from marey.data.videos import counted
from marey.evaluation.compare import Comparison
from marey.evaluation.metrics import (
    calibration_error,
    confusion_matrix,
    macro_f1,
    mean_average_precision,
    mean_class_accuracy,
    pair_accuracy,
    top_k_accuracy,
)
from marey.evaluation.scores import Scores

SCORES, RESULT = "scores.npz", "result.json"
"""The files of a result in its folder."""


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """What came of a test; shares lie in 0..1. `broken` files are left out of all of them.

    With several labels per video only `mean_ap` is defined; `top1`, `top5`, `mean_class`, `macro_f1`, `confusion` and
    `calibration_error` raise DataError.
    """

    scores: Scores
    broken: tuple[Broken, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    """With the numbers that the model's recipe has, and whether they compare."""

    @classmethod
    def load(cls, folder: str | Path) -> "EvaluationResult":
        """Read what `save` wrote: scores.npz, and result.json where it is there.

        Raises:
            DataError: no scores, or a file that `save` did not write.
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
        """Write scores.npz and result.json, each whole or not at all."""
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
        return top_k_accuracy(self.scores.probabilities, self._classes(), 5)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """[K, K]: true class by answer."""
        return confusion_matrix(self.scores.probabilities, self._classes())

    @property
    def mean_class(self) -> float:
        return mean_class_accuracy(self.confusion)

    @property
    def macro_f1(self) -> float:
        return macro_f1(self.confusion)

    @property
    def calibration_error(self) -> float:
        """How far probabilities lie from shares of right answers."""
        return calibration_error(self.scores.probabilities, self._classes())

    @property
    def mean_ap(self) -> float:
        """Mean average precision over the classes: the number of videos with several labels."""
        return mean_average_precision(self.scores.probabilities, self.scores.positives)

    def pairs(self, pairs: list[tuple[int, int]]) -> float:
        """Accuracy inside pairs of classes; chance is one half."""
        return pair_accuracy(self.scores.probabilities, self._classes(), pairs)

    def metrics(self) -> dict[str, float]:
        """The numbers that mean something: top-1 and its kin, or mean average precision."""
        if self.scores.several_labels:
            return {"mean_ap": self.mean_ap}
        return {
            "top1": self.top1,
            "top5": self.top5,
            "mean_class": self.mean_class,
            "macro_f1": self.macro_f1,
            "calibration_error": self.calibration_error,
        }

    def as_json(self) -> dict[str, Json]:
        """Everything but the scores themselves."""
        return {
            **self.metrics(),
            "videos": self.num_videos,
            "broken": [vars(b) for b in self.broken],
            "comparisons": [vars(c) for c in self.comparisons],
            "protocol": self.scores.protocol.as_json(),
        }

    def __repr__(self) -> str:
        shown = {"top1": "top-1", "top5": "top-5", "mean_ap": "mAP"}
        metrics = self.metrics()
        numbers = ", ".join(f"{name} {100 * metrics[key]:.1f} %" for key, name in shown.items() if key in metrics)
        left_out = f", {len(self.broken)} broken" if self.broken else ""
        return f"EvaluationResult({counted(self.num_videos, 'video')}{left_out}: {numbers})"

    def summary(self) -> str:
        """Lines for a person: the headline, and the confusion matrix of up to 20 classes."""
        named = {"top1": "top-1", "top5": "top-5", "mean_class": "mean class", "mean_ap": "mAP"}
        metrics = self.metrics()
        numbers = "   ".join(f"{name} {metrics[key]:.1%}" for key, name in named.items() if key in metrics)
        left_out = f", {len(self.broken)} broken left out" if self.broken else ""
        lines = [f"{numbers}   ({self.num_videos} videos{left_out})", *map(str, self.comparisons)]
        if not self.scores.several_labels and len(self.scores.class_names) <= 20:
            lines += ["", *self._confusion_lines()]
        return "\n".join(lines)

    def _confusion_lines(self) -> list[str]:
        names = self.scores.class_names
        wide = max(len(name) for name in names)
        digits = max(len(str(self.confusion.max())), len(str(len(names) - 1))) + 1
        lines = [
            "rows: true class, columns: answer",
            " " * (wide + 4) + "".join(f"{i:{digits}}" for i in range(len(names))),
        ]
        for i, (name, row) in enumerate(zip(names, self.confusion, strict=True)):
            cells = "".join(f"{n if n else '.':>{digits}}" for n in row.tolist())
            lines.append(f"{i:>2} {name:{wide}} {cells}")
        return lines

    def _classes(self) -> NDArray[np.int64]:
        """The class of each video [N].

        Raises:
            DataError: videos have several labels, so that there is no right answer, only right ones.
        """
        if self.scores.several_labels:
            raise DataError("these videos have several labels each: there is no top-1 or confusion; see mean_ap.")
        return self.scores.labels
