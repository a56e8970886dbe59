"""What corrections did: heads that are fitted on the labels as they were answer the clips without a correction, too."""

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
from marey.data.recordings.evidence import find_recordings
from marey.data.recordings.units import Together, together_by_names
from marey.data.splits.corrected import Corrected
from marey.data.splits.folds import NEVER, Folds, folds_wanted, make_folds
from marey.evaluation.out_of_fold.corrected import BeforeAfter, CorrectionsMade
from marey.inference.cells import Cells, compute_cells
from marey.models.probe.pooled import Pooled
from marey.tasks.all import task_of
from marey.tasks.task import Task
from marey.training.heads.selection import Candidate, Choice, choose_head
from marey.workflows.classifier.backbones import Backbone
from marey.workflows.classifier.fitted import Fitted, probabilities_of
from marey.workflows.recordings import Divided

_SAME_HEADS = (
    "The corrections change no label of the clips to train on and leave none of them out: the heads are those of the labels "
    "as they were."
)
_UNKNOWN = "What the corrections did is not known: "


def with_comparison(
    fitted: Fitted,
    cells: Cells,
    divided: Divided,
    corrected: Corrected,
    backbone: Backbone,
    compute: Compute,
    *,
    begun: float,
) -> Fitted:
    """What was fitted on a corrected list, with how its answers for the clips without a correction compare with those of
    heads that are fitted on the labels as they were.

    These are the clips that stay, whose label is the list's; their group may have been corrected. Both numbers are of
    answers out of fold, in folds by the corrected groups: with the groups as they were, clips of one recording might be in
    several folds, and the number before be too good. The fold of a recording does not depend on labels, but for the few that
    are moved where a class has most of its recordings in one fold. The heads before are fitted on the clips that are left
    out, too, whose features and pictures are computed for that; copies stay away from both. They choose between pooling and
    strengths anew.

    Args:
        cells: Of the clips of `divided`, on which `fitted` is.
        divided: The corrected training clips, without copies.
        begun: When the work began, by `time.perf_counter`.
    """
    if not corrected.changes:
        return fitted
    started = processor_seconds()
    left_out = _left_out(corrected, backbone, compute)
    compared, why_not = _compared(fitted, cells, divided, corrected, left_out, compute)
    labels, groups, gone = corrected.counts(TRAIN)
    found, cost = fitted.found, fitted.found.cost
    more = 0 if left_out is None else len(left_out)
    computed = 0 if left_out is None else left_out.computed
    cost = replace(
        cost, computed=cost.computed + computed, kept=cost.kept + more - computed,
        core_seconds=cost.core_seconds + processor_seconds() - started, seconds=time.perf_counter() - begun,
    )  # fmt: skip
    made = CorrectionsMade(labels, groups, gone, compared, why_not)
    return replace(fitted, found=replace(found, corrections=made, cost=cost))


def _left_out(corrected: Corrected, backbone: Backbone, compute: Compute) -> Cells | None:
    """The cells of the clips that are left out, of those that can be read; None where there are none."""
    rows = corrected.left_out
    if not len(rows):
        return None
    are, its = counted(len(rows), "clip that is", "clips that are"), verb(len(rows), "its", "their")
    notice(f"{are} left out: {its} features and pictures serve only to compare")
    return compute_cells(backbone.model, corrected.listed[TRAIN][rows], compute, max_broken=1)


def _compared(
    fitted: Fitted, cells: Cells, divided: Divided, corrected: Corrected, left_out: Cells | None, compute: Compute
) -> tuple[BeforeAfter | None, str]:
    """How the answers compare; or None, and why they cannot be compared, as a sentence."""
    listed = corrected.listed[TRAIN]
    if not len(corrected.left_out) and not len(corrected.relabelled):
        return None, _SAME_HEADS
    notice("heads are fitted a second time, with the labels as they were, for the clips that nobody corrected")
    stay = np.setdiff1d(np.arange(len(listed)), corrected.left_out)[divided.rows][cells.rows]
    gone = np.zeros(0, np.int64) if left_out is None else corrected.left_out[left_out.rows]
    manifest = listed[np.concatenate([stay, gone])]
    with reporting(SilentReporter()):  # the same messages came for the corrected list
        together = divided.folds.together.rows(cells.rows)
        if len(gone):
            together = _together(manifest, divided, compute)
        count = folds_wanted(len(divided.train))
        before = _Before.of(fitted, manifest, together, left_out if len(gone) else None, count)
    if before is None:
        return None, _UNKNOWN + "with the labels as they were too few classes have clips of two recordings."
    held = (fitted.folds.of_row != NEVER) & (before.folds.of_row[: len(stay)] != NEVER)
    rows = np.flatnonzero(held & ~np.isin(stay, corrected.relabelled))
    if not len(rows):
        return None, _UNKNOWN + "no clip that nobody corrected is answered out of fold."
    return before.compared(fitted, rows), ""


@dataclass(frozen=True, eq=False)
class _Before:
    """What the labels as they were make of the N clips of `Fitted`, and of those that are left out, which come last."""

    folds: Folds
    choice: Choice

    @classmethod
    def of(
        cls, fitted: Fitted, manifest: Manifest, together: Together, left_out: Cells | None, count: int
    ) -> "_Before | None":
        """Fit heads; None where too few classes have clips of two recordings.

        Args:
            manifest: The clips with the labels as they were.
            together: Which of them belong together.
            count: Folds.
        """
        task = fitted.model.recipe.task
        labels = task_of(task).labels(manifest)
        candidates = [
            candidate if left_out is None else _with_more(candidate, left_out)
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

    def compared(self, fitted: Fitted, rows: NDArray[np.int64]) -> BeforeAfter:
        """Both answers for some of the N clips, which have the same labels before and after."""
        rule = task_of(fitted.model.recipe.task)
        labels = rule.labels(fitted.manifest)[rows]
        columns = np.arange(len(fitted.manifest.class_names))
        if labels.ndim > 1:
            columns = np.flatnonzero(fitted.folds.judged & self.folds.judged)
            labels = labels[:, columns]
        before, after = (
            _answers(rule, logits[rows])[:, columns] for logits in (self.choice.out_of_fold, fitted.choice.out_of_fold)
        )
        return BeforeAfter.of(rule, before, after, labels, _recordings(fitted)[rows])


def _together(manifest: Manifest, divided: Divided, compute: Compute) -> Together:
    """Which clips belong together, those that are left out among them: by pictures, where these were compared."""
    if divided.recordings is None:
        return together_by_names(manifest)
    return find_recordings([manifest], workers=compute.workers).together


def _with_more(candidate: Candidate, left_out: Cells) -> Candidate:
    """The candidate with the features of the clips that are left out behind those of the others."""
    own, more = candidate.pooled, left_out.pooled(candidate.pooling)
    return replace(candidate, pooled=Pooled(np.concatenate([own.features, more.features]), own.widths))


def _answers(task: Task, logits: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the task makes of the logits of some clips, [M, K]."""
    return np.stack([probabilities_of(task, logits_K) for logits_K in torch.from_numpy(logits).float()])


def _recordings(fitted: Fitted) -> NDArray[np.str_]:
    """The recording of each clip [N], "" where it is not known."""
    found, known = np.full(len(fitted.manifest), "", object), fitted.found.result.scores.groups
    if known is not None:
        found[fitted.folds.of_row != NEVER] = known
    return found.astype(np.str_)
