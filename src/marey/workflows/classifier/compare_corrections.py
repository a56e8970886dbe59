"""Measure the effect of corrected labels: out-of-fold predictions for uncorrected videos, before and after."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.compute import Compute
from marey.base.errors import DataError
from marey.base.processes import processor_seconds
from marey.base.reporter import SilentReporter, notice, reporting
from marey.base.words import counted, verb
from marey.data.lists.manifest import Manifest
from marey.data.lists.split_names import TRAIN
from marey.data.recordings.find import find_recordings
from marey.data.recordings.groups import RecordingsAndCopies, recordings_and_copies_by_names
from marey.data.splits.corrected_data import CorrectedData
from marey.data.splits.folds import NEVER, Folds, folds_wanted, make_folds
from marey.evaluation.out_of_fold.corrections_effect import BeforeAfter, CorrectionsMade
from marey.inference.cells import Cells, compute_cells
from marey.models.probe.pooled import PooledFeatures
from marey.tasks.choose import task_of
from marey.tasks.task import Task
from marey.training.heads.selection import HeadCandidate, HeadChoice, choose_head
from marey.workflows.classifier.backbones import Backbone
from marey.workflows.classifier.fit_on_cells import FittedClassifier, probabilities_of
from marey.workflows.recordings import VideosInFolds

_SAME_HEADS = (
    "The corrections change no label of the videos to train on and leave none of them out: the heads are the same as "
    "without corrections."
)
_UNKNOWN = "The effect of the corrections is not known: "


def compare_corrections(
    fitted: FittedClassifier,
    cells: Cells,
    divided: VideosInFolds,
    corrected: CorrectedData,
    backbone: Backbone,
    compute: Compute,
    *,
    begun: float,
) -> FittedClassifier:
    """The classifier with a comparison of its out-of-fold predictions and those of heads fitted on the original labels.

    Only videos whose label was not corrected and that were not left out are compared; their group may have been corrected.
    Both sets of folds use the corrected groups: with the original groups, videos of one recording might be in several folds,
    and the number before the corrections would be too good. The fold of a recording does not depend on labels, except for
    the few recordings that are moved because a class has most of its recordings in one fold. The heads for the original
    labels are also fitted on the videos that the corrections leave out, whose features and frames are computed for this;
    pooling and strength are chosen again for them. Copies are used by neither.

    Args:
        cells: The features of the videos of `divided` that could be read.
        divided: The corrected training videos, without copies.
        begun: When the work began, by `time.perf_counter`.
    """
    if not corrected.changes:
        return fitted
    started = processor_seconds()
    left_out = _cells_left_out(corrected, backbone, compute)
    compared, why_not = _compared(fitted, cells, divided, corrected, left_out, compute)
    labels, groups, removed = corrected.counts(TRAIN)
    out_of_fold, cost = fitted.out_of_fold, fitted.out_of_fold.cost
    more = 0 if left_out is None else len(left_out)
    computed = 0 if left_out is None else left_out.computed
    cost = replace(
        cost, computed=cost.computed + computed, kept=cost.kept + more - computed,
        core_seconds=cost.core_seconds + processor_seconds() - started, seconds=time.perf_counter() - begun,
    )  # fmt: skip
    made = CorrectionsMade(labels, groups, removed, compared, why_not)
    return replace(fitted, out_of_fold=replace(out_of_fold, corrections=made, cost=cost))


def _cells_left_out(corrected: CorrectedData, backbone: Backbone, compute: Compute) -> Cells | None:
    """The features of the left-out videos that can be read; None if no videos are left out."""
    rows = corrected.left_out
    if not len(rows):
        return None
    are, its = counted(len(rows), "video that is", "videos that are"), verb(len(rows), "its", "their")
    notice(f"{are} left out: {its} features and frames serve only to compare")
    return compute_cells(backbone.model, corrected.listed[TRAIN][rows], compute, max_broken=1)


def _compared(
    fitted: FittedClassifier,
    cells: Cells,
    divided: VideosInFolds,
    corrected: CorrectedData,
    left_out: Cells | None,
    compute: Compute,
) -> tuple[BeforeAfter | None, str]:
    """The comparison; or None, and why there is none, as a sentence."""
    listed = corrected.listed[TRAIN]
    if not len(corrected.left_out) and not len(corrected.relabelled):
        return None, _SAME_HEADS
    notice("heads are fitted a second time, with the original labels, to compare predictions for uncorrected videos")
    staying = np.setdiff1d(np.arange(len(listed)), corrected.left_out)[divided.rows][cells.rows]
    removed = np.zeros(0, np.int64) if left_out is None else corrected.left_out[left_out.rows]
    manifest = listed[np.concatenate([staying, removed])]
    with reporting(SilentReporter()):  # the messages are those of the corrected list
        together = divided.folds.together.rows(cells.rows)
        if len(removed):
            together = _together(manifest, divided, compute)
        count = folds_wanted(len(divided.train))
        before = _Before.of(fitted, manifest, together, left_out if len(removed) else None, count)
    if before is None:
        return None, _UNKNOWN + "with the original labels too few classes have videos of two recordings."
    held_out = (fitted.folds.of_row != NEVER) & (before.folds.of_row[: len(staying)] != NEVER)
    rows = np.flatnonzero(held_out & ~np.isin(staying, corrected.relabelled))
    if not len(rows):
        return None, _UNKNOWN + "no uncorrected video has an out-of-fold prediction."
    return before.compared(fitted, rows), ""


@dataclass(frozen=True, eq=False)
class _Before:
    """Heads fitted on the original labels of the N videos of a classifier, followed by those that are left out."""

    folds: Folds
    """The folds of all these videos, also of those that are left out."""
    choice: HeadChoice
    """The chosen head, and the out-of-fold logits of these videos."""

    @classmethod
    def of(
        cls,
        fitted: FittedClassifier,
        manifest: Manifest,
        together: RecordingsAndCopies,
        left_out: Cells | None,
        count: int,
    ) -> "_Before | None":
        """Fit the heads; None if too few classes have videos of two recordings.

        Args:
            manifest: The videos with their original labels.
            together: Which videos must share a fold.
            left_out: The features of the videos that are left out; None: there are none.
            count: Number of folds.
        """
        task = fitted.model.recipe.task
        labels = task_of(task).labels(manifest)
        candidates = [
            candidate if left_out is None else _with_left_out(candidate, left_out)
            for candidate, _ in fitted.choice.of_candidates
            if candidate.chosen_if_better
        ]
        try:
            folds = make_folds(manifest, count, together=together)
        except DataError:
            return None
        choice = choose_head(
            candidates, labels if labels.ndim == 1 else labels > 0, folds.of_row, classes=len(manifest.class_names),
            task=task,
        )  # fmt: skip
        return cls(folds, choice)

    def compared(self, fitted: FittedClassifier, rows: NDArray[np.int64]) -> BeforeAfter:
        """The comparison on some of the N videos, which have the same labels before and after."""
        rule = task_of(fitted.model.recipe.task)
        labels = rule.labels(fitted.manifest)[rows]
        columns = np.arange(len(fitted.manifest.class_names))
        if labels.ndim > 1:
            columns = np.flatnonzero(fitted.folds.judged & self.folds.judged)
            labels = labels[:, columns]
        before, after = (
            _probabilities(rule, logits[rows])[:, columns]
            for logits in (self.choice.out_of_fold, fitted.choice.out_of_fold)
        )
        return BeforeAfter.of(rule, before, after, labels, _recordings(fitted)[rows])


def _together(manifest: Manifest, divided: VideosInFolds, compute: Compute) -> RecordingsAndCopies:
    """Which videos must share a fold, including those left out: by frames if these were compared, else by names."""
    if divided.recordings is None:
        return recordings_and_copies_by_names(manifest)
    return find_recordings([manifest], workers=compute.workers).together


def _with_left_out(candidate: HeadCandidate, left_out: Cells) -> HeadCandidate:
    """The candidate with the features of the left-out videos appended."""
    own, appended = candidate.pooled, left_out.pooled(candidate.pooling)
    return replace(candidate, pooled=PooledFeatures(np.concatenate([own.features, appended.features]), own.widths))


def _probabilities(task: Task, logits_MK: NDArray[np.float64]) -> NDArray[np.float32]:
    """The probabilities of M videos by the task [M, K]."""
    return np.stack([probabilities_of(task, logits_K) for logits_K in torch.from_numpy(logits_MK).float()])


def _recordings(fitted: FittedClassifier) -> NDArray[np.str_]:
    """The recording of each video [N]; "" if it is not known."""
    recordings, known = np.full(len(fitted.manifest), "", object), fitted.out_of_fold.result.scores.groups
    if known is not None:
        recordings[fitted.folds.of_row != NEVER] = known
    return recordings.astype(np.str_)
