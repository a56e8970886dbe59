"""What a run on frozen features saves so that its network can be fine-tuned later, here or on another machine.

The run's folder `tuning` holds the lists of its videos (`saved_lists`), the folds and the head by which fine-tuning is
judged, and the classifier on frozen features, from which every fine-tuning starts. The features are not needed.
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
from marey.workflows.classifier.finetuning.saved_lists import CLIPS, save_lists
from marey.workflows.classifier.fit_on_cells import FittedClassifier

START, HEADS = "start.npz", "heads.safetensors"
"""Files in the folder `tuning`: `TuningStart`, and the classifier on frozen features."""


@dataclass(frozen=True, eq=False)
class TuningStart:
    """What fine-tuning is judged by: the folds of the N videos, and the head that was fitted without one fold."""

    folds: NDArray[np.int64]
    """The fold of each video [N]."""
    units: NDArray[np.int64]
    """The number of each video's recording [N]: videos of one recording are alike, and are in one fold."""
    fold: int
    """The fold on which fine-tuning is judged."""
    weight: NDArray[np.float32]
    """The weights of the head that was fitted on the other folds [K, F]."""
    bias: NDArray[np.float32]
    """The biases of this head [K]."""
    scores: NDArray[np.float32]
    """The scores of this head for each class of the M videos of the fold [M, K]: logits, or anything with the same
    order."""

    @property
    def judged(self) -> NDArray[np.int64]:
        """The rows of the videos in the fold [M]."""
        return np.flatnonzero(self.folds == self.fold)

    @property
    def others(self) -> NDArray[np.int64]:
        """The rows of the videos in the other folds [N - M]."""
        return np.flatnonzero(self.folds != self.fold)

    @property
    def recordings(self) -> int:
        """Number of recordings in the fold; with one there is no standard error, so that fine-tuning cannot be judged."""
        return len(np.unique(self.units[self.judged]))

    @property
    def digest(self) -> str:
        """SHA-256 of all fields."""
        digest = hashlib.sha256(str(self.fold).encode())
        for array in (self.folds, self.units, self.weight, self.bias, self.scores):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write one .npz file, atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary, folds=self.folds, units=self.units, fold=self.fold, weight=self.weight, bias=self.bias,
                answers=self.scores,
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
                    bias=file["bias"], scores=file["answers"],
                )  # fmt: skip
        except FileNotFoundError:
            raise DataError(f"{path}: no such file: only a run of marey train FOLDER can be fine-tuned.") from None
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not what marey train wrote ({error}): train again into another folder.") from None


def fold_that_judges(folds: Folds) -> tuple[NDArray[np.int64], int]:
    """The fold of each video [N], after many folds were joined to fewer (`judging_folds`), and the fold on which fine-tuning
    is judged: the one with most recordings.
    """
    of_row = judging_folds(folds.of_row)
    fold = max(np.unique(of_row[of_row != NEVER]).tolist(), key=lambda one: len(np.unique(folds.groups[of_row == one])))
    return of_row, fold


def cannot_be_judged(recordings: int) -> str:
    """Why fine-tuning cannot be judged on videos of so many recordings, as a clause; "" if it can."""
    if recordings > 1:
        return ""
    return (
        "every fold holds videos of one recording only, which cannot show whether a fine-tuned network is better on others: "
        "add videos of more recordings and train again"
    )


def save_start(fitted: FittedClassifier, tested: Mapping[str, Manifest], out: Path) -> None:
    """Save in the folder of a run what it can be fine-tuned from later.

    Args:
        tested: The videos that the run is tested on, by the names of their splits.
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
        folds=folds, units=fitted.folds.groups, fold=fold, weight=head.weight, bias=head.bias,
        scores=head.logits(pooled.features[judged]).astype(np.float32),
    )  # fmt: skip
    start.save(out / TUNING / START)
    save_lists({CLIPS: fitted.manifest, **tested}, out)
    save_checkpoint(out / TUNING / HEADS, fitted.model)  # last: where it exists, all files do


def can_be_tuned(folder: Path) -> bool:
    """Whether a folder is a run on frozen features whose head was fitted."""
    return (folder / TUNING / HEADS).is_file()
