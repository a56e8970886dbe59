"""Fit a classifier on frozen features: choose the head by cross-validation, calibrate it, and predict out of fold."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from marey.base.files import write_text
from marey.base.processes import processor_seconds
from marey.base.runs import LAST
from marey.base.versions import versions
from marey.base.words import counted, verb
from marey.classifier import Calibration, Classifier
from marey.data.files.identity import Identities
from marey.data.files.missing import warn_of_lost_classes
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import first_of
from marey.data.recordings.groups import NAMED
from marey.data.splits.folds import NEVER, Folds, folds_wanted, make_folds
from marey.evaluation.out_of_fold.calibration import CrossFittedCalibration, of_all_classes
from marey.evaluation.out_of_fold.cost import Cost
from marey.evaluation.out_of_fold.result import HeadScore, OutOfFold
from marey.evaluation.out_of_fold.suspects import SuspectList
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.inference.cells import Cells, Estimate
from marey.models.probe.config import FrameMean, Halves, Moments
from marey.models.probe.network import FrameProbe, Probe
from marey.recipe import TaskConfig
from marey.tasks.choose import task_of
from marey.tasks.task import Task
from marey.training.heads.learning_curve import learning_curve
from marey.training.heads.logistic import Head, Targets
from marey.training.heads.selection import HeadCandidate, HeadChoice, choose_head, judging_folds
from marey.weights.checkpoint import save_checkpoint
from marey.workflows.classifier.backbones import Backbone, with_pooling
from marey.workflows.classifier.list_suspects import list_suspects
from marey.workflows.recordings import VideosInFolds

_OF_FRAMES = (
    ("mean and change of frames and difference images", Moments(), True),
    ("order and position", Halves(), True),
    ("single frames", FrameMean(), False),
)
_OF_CLIPS = (("mean and change over the clip", Moments(), True), ("order and position", Halves(), True))
"""Candidates for the head, for a backbone of single frames and for one of clips: name, pooling, whether it may be chosen.
"single frames" is never chosen: it shows what is right without motion. For a backbone of clips there is no such head: the
mean of its features contains motion."""


@dataclass(frozen=True, eq=False)
class FittedClassifier:
    """A classifier fitted to the N videos that could be read, and its out-of-fold predictions."""

    manifest: Manifest
    """The N videos with their labels."""
    folds: Folds
    """The folds of the N videos."""
    targets: Targets
    """Class index of each video [N]; with several labels per video, whether it has each class [N, K]."""
    choice: HeadChoice
    """The head that was chosen, and the out-of-fold logits of every candidate."""
    model: Classifier
    """The classifier, whose head was fitted on all N videos."""
    out_of_fold: OutOfFold
    """The out-of-fold result, which is written into the run."""
    suspects: SuspectList
    """The videos that are likely mislabelled or unusual."""


def fit_on_cells(
    cells: Cells,
    divided: VideosInFolds,
    backbone: Backbone,
    *,
    task: TaskConfig,
    notes: tuple[str, ...],
    begun: float,
    estimate: Estimate | None = None,
) -> FittedClassifier:
    """Choose and fit a head, calibrate it, and measure it by out-of-fold predictions.

    Args:
        cells: The features of the training videos that could be read.
        divided: All training videos, and their folds.
        notes: Assumptions and doubts about the videos, as sentences.
        begun: When the work began, by `time.perf_counter`.
        estimate: The features that were computed to estimate the time; None: the time was not estimated.
    """
    started, listed = processor_seconds(), divided.train
    manifest, rule = listed[cells.rows], task_of(task)
    folds, notes = _folds_of_readable(listed, divided.folds, cells, (*notes, *divided.notes, *divided.folds.notes))
    labels, classes = rule.labels(manifest), len(manifest.class_names)
    targets: Targets = labels if labels.ndim == 1 else labels > 0
    choice = choose_head(_head_candidates(cells, backbone), targets, folds.of_row, classes=classes, task=task)
    judged = _Judged.of(folds, labels, classes)
    probabilities = judged.probabilities(rule, choice.out_of_fold)
    calibration = _calibration(rule, probabilities, judged, labels, folds, classes)
    model = _classifier(choice, calibration.final, backbone, cells, manifest, task)
    curve = learning_curve(
        choice.candidate.pooled, targets, folds, classes=classes, task=task, strength=choice.head.strength
    )
    suspects = list_suspects(
        manifest, choice, folds, targets, task, compared=divided.recordings, rows=divided.rows[cells.rows]
    )
    left_out = tuple(name for k, name in enumerate(manifest.class_names) if k not in judged.columns)
    scores = _scores(model, manifest, folds, judged, rule, probabilities, listed=len(listed))
    out_of_fold = OutOfFold(
        result=EvaluationResult(scores, cells.broken),
        single_frames=_single_frames(choice, judged, rule),
        head=choice.candidate.name,
        folds=folds.count,
        recordings_known=int(_recordings_known(folds)[judged.rows].sum()),
        notes=(*notes, *_threshold_notes(left_out)),
        curve=curve,
        calibration=calibration,
        cost=_cost(
            cells,
            estimate,
            comparing_frames=divided.core_seconds,
            heads=processor_seconds() - started,
            seconds=time.perf_counter() - begun,
        ),
        heads=_heads(choice, rule, labels, judged),
        left_out=left_out,
        copies=divided.left_out,
    )
    return FittedClassifier(manifest, folds, targets, choice, model, out_of_fold, suspects)


def _head_candidates(cells: Cells, backbone: Backbone) -> list[HeadCandidate]:
    """The candidates for the head, and the head of single frames if there is one."""
    kinds = _OF_FRAMES if isinstance(backbone.model.network, FrameProbe) else _OF_CLIPS
    return [HeadCandidate(name, pooling, cells.pooled(pooling), eligible) for name, pooling, eligible in kinds]


@dataclass(frozen=True, eq=False)
class _Judged:
    """The M videos and C classes that out-of-fold predictions are evaluated on: the videos that a fold holds out, and with
    several labels per video the classes that have videos of two recordings. A held-out video may have other classes too,
    which the heads of its fold never saw. With one label per video these are all classes.
    """

    rows: NDArray[np.int64]
    """Rows of the videos [M]."""
    columns: NDArray[np.int64]
    """Indices of the classes [C]."""

    @classmethod
    def of(cls, folds: Folds, labels: NDArray[np.int64], classes: int) -> "_Judged":
        rows = np.flatnonzero(folds.of_row != NEVER)
        return cls(rows, np.arange(classes) if labels.ndim == 1 else np.flatnonzero(folds.judged))

    def labels(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Their labels as in a score file, [M] or [M, C], from those of all videos."""
        return labels[self.rows] if labels.ndim == 1 else labels[np.ix_(self.rows, self.columns)]

    def probabilities(self, task: Task, logits_NK: NDArray[np.float64]) -> NDArray[np.float32]:
        """Their probabilities by the task [M, C], from the logits of all videos."""
        tensors = torch.from_numpy(logits_NK[self.rows]).float()
        return np.stack([probabilities_of(task, logits_K) for logits_K in tensors])[:, self.columns]


def _calibration(
    task: Task,
    probabilities: NDArray[np.float32],
    judged: _Judged,
    labels: NDArray[np.int64],
    folds: Folds,
    classes: int,
) -> CrossFittedCalibration:
    """The calibration fitted to the out-of-fold predictions, and evaluated fold by fold."""
    fitted = CrossFittedCalibration.of(
        task, probabilities, judged.labels(labels), judging_folds(folds.of_row)[judged.rows],
        fitted_on=f"out-of-fold predictions for {counted(len(probabilities), 'video')}",
    )  # fmt: skip
    return replace(fitted, final=of_all_classes(fitted.final, judged.columns, classes))


def _single_frames(choice: HeadChoice, judged: _Judged, task: Task) -> NDArray[np.float32] | None:
    """The probabilities of the head of single frames [M, C], for comparison; None if there is none."""
    logits = next((logits for candidate, logits in choice.of_candidates if not candidate.chosen_if_better), None)
    return None if logits is None else judged.probabilities(task, logits)


def _threshold_notes(left_out: tuple[str, ...]) -> tuple[str, ...]:
    """A note about classes that cannot be evaluated, and about their threshold; none if there are none."""
    if not left_out:
        return ()
    return (
        f"{counted(len(left_out), 'class')} that cannot be judged ({first_of(left_out, NAMED)}): no number here includes "
        f"{verb(len(left_out), 'it, and its', 'them, and their')} threshold is the median of the other classes'.",
    )


def _folds_of_readable(
    listed: Manifest, folds: Folds, cells: Cells, notes: tuple[str, ...]
) -> tuple[Folds, tuple[str, ...]]:
    """The folds of the videos that could be read, and the notes about them.

    If some could not be read, folds are made again, since a class may have lost a recording; other videos keep their fold.
    """
    if not cells.broken:
        return folds.rows(cells.rows), notes
    warn_of_lost_classes(listed, [broken.id for broken in cells.broken])
    together = folds.together.rows(cells.rows)
    again = make_folds(listed[cells.rows], folds_wanted(len(listed)), together=together)
    return again, (*(note for note in notes if note not in folds.notes), *again.notes)


def _cost(cells: Cells, estimate: Estimate | None, *, comparing_frames: float, heads: float, seconds: float) -> Cost:
    """The cost of features (including the estimate's), of comparing frames, and of heads, in core-seconds."""
    measured, spent = (0, 0.0) if estimate is None else (estimate.measured, estimate.spent)
    computed = cells.computed + measured
    return Cost(
        computed,
        max(len(cells) - computed, 0),
        cells.core_seconds + spent + heads + comparing_frames,
        seconds,
        comparing_frames,
    )


def write_classifier(model: Classifier, out_of_fold: OutOfFold, out: Path) -> None:
    """Write the files of a run: recipe, checkpoint, and out-of-fold predictions, each atomically."""
    write_text(out / "recipe.yaml", model.recipe.to_yaml())
    save_checkpoint(out / LAST, model)
    out_of_fold.save(out)


def with_head(model: Classifier, head: Head) -> Classifier:
    """Copy the weights of a head into the classifier's network; returns the classifier."""
    network = model.network
    assert isinstance(network, Probe)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
    return model


def _classifier(
    choice: HeadChoice, calibration: Calibration, backbone: Backbone, cells: Cells, manifest: Manifest, task: TaskConfig
) -> Classifier:
    """The classifier of the backbone and the head that was fitted to all videos, calibrated."""
    model = with_head(with_pooling(backbone, manifest.class_names, choice.candidate.pooling, task), choice.head)
    seen = Identities.of(cells.identities.tolist())
    model.calibration = calibration
    model.trained_on = seen if model.trained_on is None else model.trained_on | seen
    return model


def _scores(
    model: Classifier,
    manifest: Manifest,
    folds: Folds,
    judged: _Judged,
    task: Task,
    probabilities: NDArray[np.float32],
    *,
    listed: int,
) -> Scores:
    """The calibrated out-of-fold predictions as a score file; `listed` counts videos that cannot be read, too."""
    assert model.calibration is not None
    calibration, recipe = model.calibration, model.recipe
    protocol = EvaluationProtocol(
        task=recipe.task.kind,
        recipe=recipe.name,
        test=recipe.test.model_dump(mode="json"),
        pixels=recipe.pixels.model_dump(mode="json"),
        calibration=calibration.model_dump(mode="json"),
        data_fingerprint=manifest.fingerprint,
        videos=listed,
        folds=folds.count,
        versions=versions(),
    )
    units = np.where(_recordings_known(folds), folds.groups.astype(str), "")[judged.rows]
    return Scores(
        ids=tuple(manifest[row].id for row in judged.rows.tolist()),
        labels=judged.labels(task.labels(manifest)),
        probabilities=np.stack([task.calibrated(one, calibration) for one in probabilities]),
        class_names=tuple(manifest.class_names[k] for k in judged.columns.tolist()),
        protocol=protocol,
        groups=units if (units != "").any() else None,
    )


def _recordings_known(folds: Folds) -> NDArray[np.bool_]:
    """Whether the recording of each video is known and kept in one fold [N]."""
    known: NDArray[np.bool_] = folds.recordings.known & folds.recordings.together
    return known


def _heads(choice: HeadChoice, task: Task, labels: NDArray[np.int64], judged: _Judged) -> tuple[HeadScore, ...]:
    """The metric of each candidate, out of fold."""
    return tuple(
        HeadScore(
            candidate.name,
            task.score(judged.probabilities(task, logits).astype(np.float64), judged.labels(labels)),
            chosen=candidate is choice.candidate,
            yardstick=not candidate.chosen_if_better,
        )
        for candidate, logits in choice.of_candidates
    )


def probabilities_of(task: Task, logits_K: torch.Tensor) -> NDArray[np.float32]:
    """The task's probabilities for the logits of one video, [K]."""
    return task.probabilities(logits_K[None])[0].numpy()
