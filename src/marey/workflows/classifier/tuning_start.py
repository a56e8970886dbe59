"""What the run of a classifier on frozen features keeps so that its network can be tuned later, here or on another machine.

In the run's folder `tuning`: the lists of its videos (`marey.workflows.classifier.tuning_data`); the folds and the head
by which tuning is judged; and the classifier on frozen features, from which each tuning begins, whatever became of an
earlier one. The features are not needed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.files import atomic_path
from marey.base.runs import TUNING
from marey.data.lists.manifest import Manifest
from marey.data.splits.folds import NEVER, Folds
from marey.training.heads.logistic import fit_head
from marey.training.heads.selection import judging_folds
from marey.weights.checkpoint import save_checkpoint
from marey.workflows.classifier.fitted import Fitted
from marey.workflows.classifier.tuning_data import CLIPS, save_lists

START, HEADS = "start.npz", "heads.safetensors"
"""In the folder `tuning`: `TuningStart`, and the classifier on frozen features."""


@dataclass(frozen=True, eq=False)
class TuningStart:
    """What tuning starts from and is judged by, besides the classifier of all N clips."""

    folds: NDArray[np.int64]
    """[N]: the fold of each clip."""
    units: NDArray[np.int64]
    """[N]: the number of what each clip was cut from; such clips are alike, and lie in one fold."""
    fold: int
    """On which it is judged."""
    weight: NDArray[np.float32]
    """[K, F]: the head that was fitted on the other folds."""
    bias: NDArray[np.float32]
    """[K]."""
    answers: NDArray[np.float32]
    """[M, K]: what that head answers for the M clips of the fold: logits, or anything that orders classes as they do."""

    @property
    def judged(self) -> NDArray[np.int64]:
        """[M]: the rows of the fold."""
        return np.flatnonzero(self.folds == self.fold)

    @property
    def others(self) -> NDArray[np.int64]:
        """[N - M]: the rows of the other folds."""
        return np.flatnonzero(self.folds != self.fold)

    @property
    def recordings(self) -> int:
        """Of the clips of the fold; a single one gives no standard error, so that tuning is not judged there."""
        return len(np.unique(self.units[self.judged]))

    @property
    def digest(self) -> str:
        """SHA-256 of all of it."""
        digest = hashlib.sha256(str(self.fold).encode())
        for array in (self.folds, self.units, self.weight, self.bias, self.answers):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary, folds=self.folds, units=self.units, fold=self.fold, weight=self.weight, bias=self.bias,
                answers=self.answers,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "TuningStart":
        """Read what `save` wrote.

        Raises:
            DataError: there is no such file, or it holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    folds=file["folds"], units=file["units"], fold=int(file["fold"]), weight=file["weight"],
                    bias=file["bias"], answers=file["answers"],
                )  # fmt: skip
        except FileNotFoundError:
            raise DataError(f"{path}: not there: only a run of marey train FOLDER can be tuned later.") from None
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not what marey train wrote ({error}): train again into another folder.") from None


def fold_that_judges(folds: Folds) -> tuple[NDArray[np.int64], int]:
    """The judging fold of each clip [N], and the one on which tuning is judged: that of most recordings says most, whatever
    clips it has.
    """
    of_row = judging_folds(folds.of_row)
    fold = max(np.unique(of_row[of_row != NEVER]).tolist(), key=lambda one: len(np.unique(folds.units[of_row == one])))
    return of_row, fold


def cannot_be_judged(recordings: int) -> str:
    """Why tuning cannot be judged on clips of so many recordings, as a clause; "" where it can."""
    if recordings > 1:
        return ""
    return (
        "the clips of every fold are of one recording, which cannot show whether a fine-tuned network is better on others: "
        "add clips of more recordings and train again"
    )


def save_start(fitted: Fitted, tested: Mapping[str, Manifest], out: Path) -> None:
    """Keep in the folder of a run what it can be tuned from later.

    Args:
        tested: The videos that it is tested on, by the names of their splits.
    """
    choice = fitted.choice
    folds, fold = fold_that_judges(fitted.folds)
    judged, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
    pooled = choice.candidate.pooled
    head = fit_head(
        pooled.rows(others), fitted.targets[others], classes=len(fitted.manifest.class_names),
        strength=choice.head.strength, task=fitted.model.recipe.task,
    )  # fmt: skip
    start = TuningStart(
        folds=folds, units=fitted.folds.units, fold=fold, weight=head.weight, bias=head.bias,
        answers=head.logits(pooled.features[judged]).astype(np.float32),
    )  # fmt: skip
    start.save(out / TUNING / START)
    save_lists({CLIPS: fitted.manifest, **tested}, out)
    save_checkpoint(out / TUNING / HEADS, fitted.model)  # the last one: where it lies, all of it does


def can_be_tuned(folder: Path) -> bool:
    """Whether a folder is that of a run that was fitted on frozen features, to the end of that."""
    return (folder / TUNING / HEADS).is_file()
