"""A classifier from cells: the head that folds choose, its calibration, and its answers out of fold."""

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
from marey.data.files.missing import tell_of_lost_classes
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import first_of
from marey.data.recordings.units import NAMED
from marey.data.splits.folds import NEVER, Folds, folds_wanted, make_folds
from marey.evaluation.out_of_fold.calibration import CrossFitted, of_all_classes
from marey.evaluation.out_of_fold.cost import Cost
from marey.evaluation.out_of_fold.result import HeadNumber, OutOfFold
from marey.evaluation.out_of_fold.suspects import SuspectList
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.inference.cells import Cells, Estimate
from marey.models.probe.config import FrameMean, Halves, Moments
from marey.models.probe.network import FrameProbe, Probe
from marey.recipe import TaskConfig
from marey.tasks.all import task_of
from marey.tasks.task import Task
from marey.training.heads.curve import learning_curve
from marey.training.heads.logistic import Head, Targets
from marey.training.heads.selection import Candidate, Choice, choose_head, judging_folds
from marey.weights.checkpoint import save_checkpoint
from marey.workflows.classifier.backbones import Backbone, with_pooling
from marey.workflows.classifier.suspects import look_for_suspects
from marey.workflows.recordings import Divided

_OF_FRAMES = (
    ("mean and change of frames and difference images", Moments(), True),
    ("order and position", Halves(), True),
    ("single frames", FrameMean(), False),
)
_OF_CLIPS = (("mean and change over the clip", Moments(), True), ("order and position", Halves(), True))
"""What features of a network of single frames, and of one of whole clips, are pooled to: its name, the pooling, and whether
a classifier may be made of it. The mean of what a network of whole clips sees is no yardstick: it has seen motion."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was fitted to the N clips that could be read."""

    manifest: Manifest
    """Of these clips."""
    folds: Folds
    """Of these clips."""
    targets: Targets
    """[N] or [N, K]."""
    choice: Choice
    model: Classifier
    found: OutOfFold
    suspects: SuspectList


def fit_on_cells(
    cells: Cells,
    divided: Divided,
    backbone: Backbone,
    *,
    task: TaskConfig,
    notes: tuple[str, ...],
    begun: float,
    estimate: Estimate | None = None,
) -> Fitted:
    """Choose and fit a head, and say how well it answers out of fold.

    Args:
        cells: Of the clips that are fitted on and could be read.
        divided: All of these clips, and their folds.
        notes: What was assumed and is doubtful of all of them, as sentences.
        begun: When the work began, by `time.perf_counter`.
        estimate: What was computed beforehand to say how long it would take.
    """
    started, listed = processor_seconds(), divided.train
    manifest, rule = listed[cells.rows], task_of(task)
    of_clips, notes = _of_readable(listed, divided.folds, cells, (*notes, *divided.notes, *divided.folds.notes))
    labels, classes = rule.labels(manifest), len(manifest.class_names)
    targets: Targets = labels if labels.ndim == 1 else labels > 0
    choice = choose_head(_candidates(cells, backbone), targets, of_clips.of_row, classes=classes, task=task)
    answered = _Answered.of(of_clips, labels, classes)
    answers = answered.probabilities(rule, choice.out_of_fold)
    calibration = _calibration(rule, answers, answered, labels, of_clips, classes)
    model = _classifier(choice, calibration.final, backbone, cells, manifest, task)
    curve = learning_curve(
        choice.candidate.pooled, targets, of_clips, classes=classes, task=task, strength=choice.head.strength
    )
    suspects = look_for_suspects(
        manifest, choice, of_clips, targets, task, pictures=divided.recordings, rows=divided.rows[cells.rows]
    )
    left_out = tuple(name for k, name in enumerate(manifest.class_names) if k not in answered.columns)
    scores = _scores(model, manifest, of_clips, answered, rule, answers, listed=len(listed))
    found = OutOfFold(
        result=EvaluationResult(scores, cells.broken),
        single_frames=_single_frames(choice, answered, rule),
        head=choice.candidate.name,
        folds=of_clips.count,
        sources_known=int(_recordings_known(of_clips)[answered.rows].sum()),
        notes=(*notes, *_threshold_notes(left_out)),
        curve=curve,
        calibration=calibration,
        cost=_cost(
            cells,
            estimate,
            pictures=divided.core_seconds,
            heads=processor_seconds() - started,
            seconds=time.perf_counter() - begun,
        ),
        heads=_heads(choice, rule, labels, answered),
        left_out=left_out,
        copies=divided.left_out,
    )
    return Fitted(manifest, of_clips, targets, choice, model, found, suspects)


def _candidates(cells: Cells, backbone: Backbone) -> list[Candidate]:
    """What may become a head, and what is there to compare with."""
    kinds = _OF_FRAMES if isinstance(backbone.model.network, FrameProbe) else _OF_CLIPS
    return [Candidate(name, pooling, cells.pooled(pooling), used) for name, pooling, used in kinds]


@dataclass(frozen=True, eq=False)
class _Answered:
    """Of which clips and classes answers out of fold say something: M clips that a fold holds out; and, where clips have
    several labels, the C classes that can be judged. Clips of the others may be held out for another label of theirs, by
    heads that never saw the class. Where clips have one label, all classes.
    """

    rows: NDArray[np.int64]
    """[M]"""
    columns: NDArray[np.int64]
    """[C]"""

    @classmethod
    def of(cls, folds: Folds, labels: NDArray[np.int64], classes: int) -> "_Answered":
        rows = np.flatnonzero(folds.of_row != NEVER)
        return cls(rows, np.arange(classes) if labels.ndim == 1 else np.flatnonzero(folds.judged))

    def labels(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """As a score file holds them, [M] or [M, C], of those of all clips."""
        return labels[self.rows] if labels.ndim == 1 else labels[np.ix_(self.rows, self.columns)]

    def probabilities(self, task: Task, logits_NK: NDArray[np.float64]) -> NDArray[np.float32]:
        """What the task makes of the logits of each clip, [M, C]."""
        tensors = torch.from_numpy(logits_NK[self.rows]).float()
        return np.stack([probabilities_of(task, logits_K) for logits_K in tensors])[:, self.columns]


def _calibration(
    task: Task,
    answers: NDArray[np.float32],
    answered: _Answered,
    labels: NDArray[np.int64],
    folds: Folds,
    classes: int,
) -> CrossFitted:
    """Fitted to the answers out of fold, which are judged fold by fold."""
    found = CrossFitted.of(
        task, answers, answered.labels(labels), judging_folds(folds.of_row)[answered.rows],
        fitted_on=f"answers out of fold for {counted(len(answers), 'clip')}",
    )  # fmt: skip
    return replace(found, final=of_all_classes(found.final, answered.columns, classes))


def _single_frames(choice: Choice, answered: _Answered, task: Task) -> NDArray[np.float32] | None:
    """The answers of the head that is there to compare with; None where there is none."""
    logits = next((logits for one, logits in choice.of_candidates if not one.chosen_if_better), None)
    return None if logits is None else answered.probabilities(task, logits)


def _threshold_notes(left_out: tuple[str, ...]) -> tuple[str, ...]:
    """That thresholds of classes that cannot be judged are taken from others."""
    if not left_out:
        return ()
    return (
        f"{counted(len(left_out), 'class')} that cannot be judged ({first_of(left_out, NAMED)}): no number here is of "
        f"{verb(len(left_out), 'it', 'them')}, and the threshold is the median of the other classes'.",
    )


def _of_readable(listed: Manifest, folds: Folds, cells: Cells, notes: tuple[str, ...]) -> tuple[Folds, tuple[str, ...]]:
    """The folds of the clips that could be read, and the notes on them: made anew where some could not, since a class may
    have lost a recording with them. The other clips keep their folds.
    """
    if not cells.broken:
        return folds.rows(cells.rows), notes
    tell_of_lost_classes(listed, [broken.id for broken in cells.broken])
    together = folds.together.rows(cells.rows)
    again = make_folds(listed[cells.rows], folds_wanted(len(listed)), together=together)
    return again, (*(note for note in notes if note not in folds.notes), *again.notes)


def _cost(cells: Cells, estimate: Estimate | None, *, pictures: float, heads: float, seconds: float) -> Cost:
    """What the features cost, those of the estimate among them, the pictures, and the heads."""
    measured, spent = (0, 0.0) if estimate is None else (estimate.measured, estimate.spent)
    computed = cells.computed + measured
    return Cost(
        computed, max(len(cells) - computed, 0), cells.core_seconds + spent + heads + pictures, seconds, pictures
    )


def write_classifier(model: Classifier, found: OutOfFold, out: Path) -> None:
    """The files of a run: the checkpoint, its recipe, and the answers out of fold, each whole."""
    write_text(out / "recipe.yaml", model.recipe.to_yaml())
    save_checkpoint(out / LAST, model)
    found.save(out)


def with_head(model: Classifier, head: Head) -> Classifier:
    """The same classifier after the head was put into its network."""
    network = model.network
    assert isinstance(network, Probe)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
    return model


def _classifier(
    choice: Choice, calibration: Calibration, backbone: Backbone, cells: Cells, manifest: Manifest, task: TaskConfig
) -> Classifier:
    """The backbone with the head that was fitted to all clips."""
    model = with_head(with_pooling(backbone, manifest.class_names, choice.candidate.pooling, task), choice.head)
    seen = Identities.of(cells.identities.tolist())
    model.calibration = calibration
    model.trained_on = seen if model.trained_on is None else model.trained_on | seen
    return model


def _scores(
    model: Classifier,
    manifest: Manifest,
    folds: Folds,
    answered: _Answered,
    task: Task,
    answers: NDArray[np.float32],
    *,
    listed: int,
) -> Scores:
    """The calibrated answers of the clips that some fold holds out."""
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
    units = np.where(_recordings_known(folds), folds.units.astype(str), "")[answered.rows]
    return Scores(
        ids=tuple(manifest[row].id for row in answered.rows.tolist()),
        labels=answered.labels(task.labels(manifest)),
        probabilities=np.stack([task.calibrated(answer, calibration) for answer in answers]),
        class_names=tuple(manifest.class_names[k] for k in answered.columns.tolist()),
        protocol=protocol,
        groups=units if (units != "").any() else None,
    )


def _recordings_known(folds: Folds) -> NDArray[np.bool_]:
    """[N]: of which clips the recording is known, and kept in one fold."""
    known: NDArray[np.bool_] = folds.sources.known & folds.sources.together
    return known


def _heads(choice: Choice, task: Task, labels: NDArray[np.int64], answered: _Answered) -> tuple[HeadNumber, ...]:
    """What each head reaches out of fold."""
    return tuple(
        HeadNumber(
            candidate.name,
            task.score(answered.probabilities(task, logits).astype(np.float64), answered.labels(labels)),
            chosen=candidate is choice.candidate,
            yardstick=not candidate.chosen_if_better,
        )
        for candidate, logits in choice.of_candidates
    )


def probabilities_of(task: Task, logits_K: torch.Tensor) -> NDArray[np.float32]:
    """What the task makes of the logits of a clip, [K]."""
    return task.answer(lambda _: logits_K[None], "logits", np.zeros((1, 1)))
