"""A classifier from cells: the head that folds choose, its calibration, and its answers out of fold."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from marey.base.files import write_text
from marey.base.processes import processor_seconds
from marey.base.runs import LAST
from marey.base.versions import versions
from marey.base.words import counted
from marey.classifier import Calibration, Classifier
from marey.data.folds import NEVER, Folds, folds_wanted, make_folds
from marey.data.identity import Identities
from marey.data.manifest import Manifest
from marey.data.missing import tell_of_lost_classes
from marey.evaluation.calibration import fit_calibration
from marey.evaluation.out_of_fold import Cost, HeadNumber, OutOfFold
from marey.evaluation.protocol import EvaluationProtocol
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.inference.cells import Cells, Estimate
from marey.models.probe.config import FrameMean, Halves, Moments
from marey.models.probe.network import Probe
from marey.recipe import TaskConfig
from marey.tasks.all import task_of
from marey.tasks.task import Task
from marey.training.curve import learning_curve
from marey.training.heads import Head, Targets
from marey.training.selection import Candidate, Choice, choose_head
from marey.weights.checkpoint import save_checkpoint
from marey.workflows.backbones import Backbone, with_pooling

_CANDIDATES = (
    ("mean and change of frames and difference images", Moments(), True),
    ("order and position", Halves(), True),
    ("single frames", FrameMean(), False),
)
"""What features are pooled to: its name, the pooling, and whether a classifier may be made of it."""


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


def fit_on_cells(
    cells: Cells,
    listed: Manifest,
    folds: Folds,
    backbone: Backbone,
    *,
    task: TaskConfig,
    notes: tuple[str, ...],
    begun: float,
    estimate: Estimate | None = None,
) -> Fitted:
    """Choose and fit a head, and say how well it answers out of fold.

    Args:
        cells: Of the clips of `listed` that could be read.
        listed: The clips that are fitted on.
        folds: Of all of them.
        notes: What was assumed and is doubtful, as sentences.
        begun: When the work began, by `time.perf_counter`.
        estimate: What was computed beforehand to say how long it would take.
    """
    started = processor_seconds()
    manifest, rule = listed[cells.rows], task_of(task)
    of_clips, notes = _of_readable(listed, folds, cells, notes)
    candidates = [Candidate(name, pooling, cells.pooled(pooling), used) for name, pooling, used in _CANDIDATES]
    labels, classes = rule.labels(manifest), len(manifest.class_names)
    targets: Targets = labels if labels.ndim == 1 else labels > 0
    choice = choose_head(candidates, targets, of_clips.of_row, classes=classes, task=task)
    held = np.flatnonzero(of_clips.of_row != NEVER)
    answers = _probabilities(rule, choice.out_of_fold[held])
    fitted_on = f"answers out of fold for {counted(len(held), 'clip')}"
    calibration = fit_calibration(rule, answers, labels[held], fitted_on=fitted_on)
    model = _classifier(choice, calibration, backbone, cells, manifest, task)
    curve = learning_curve(
        choice.candidate.pooled, targets, of_clips, classes=classes, task=task, strength=choice.head.strength
    )
    scores = _scores(model, manifest, of_clips, held, rule, answers, listed=len(listed))
    found = OutOfFold(
        result=EvaluationResult(scores, cells.broken),
        single_frames=_probabilities(rule, _of_single_frames(choice)[held]),
        head=choice.candidate.name,
        folds=of_clips.count,
        sources_known=int(_recordings_known(of_clips)[held].sum()),
        notes=notes,
        curve=curve,
        calibration=calibration,
        cost=_cost(cells, estimate, heads=processor_seconds() - started, seconds=time.perf_counter() - begun),
        heads=_heads(choice, rule, labels, held),
    )
    return Fitted(manifest, of_clips, targets, choice, model, found)


def _of_readable(listed: Manifest, folds: Folds, cells: Cells, notes: tuple[str, ...]) -> tuple[Folds, tuple[str, ...]]:
    """The folds of the clips that could be read, and the notes on them: made anew where some could not, since a class may
    have lost a recording with them. The other clips keep their folds.
    """
    if not cells.broken:
        return folds.rows(cells.rows), notes
    tell_of_lost_classes(listed, [broken.id for broken in cells.broken])
    again = make_folds(listed[cells.rows], folds_wanted(len(listed)))
    return again, (*(note for note in notes if note not in folds.notes), *again.notes)


def _cost(cells: Cells, estimate: Estimate | None, *, heads: float, seconds: float) -> Cost:
    """What the features cost, those of the estimate among them, and the heads."""
    measured, spent = (0, 0.0) if estimate is None else (estimate.measured, estimate.spent)
    computed = cells.computed + measured
    return Cost(computed, max(len(cells) - computed, 0), cells.core_seconds + spent + heads, seconds)


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
    held: NDArray[np.int64],
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
    units = np.where(_recordings_known(folds), folds.units.astype(str), "")[held]
    return Scores(
        ids=tuple(manifest[row].id for row in held.tolist()),
        labels=task.labels(manifest)[held],
        probabilities=np.stack([task.calibrated(answer, calibration) for answer in answers]),
        class_names=manifest.class_names,
        protocol=protocol,
        groups=units if (units != "").any() else None,
    )


def _recordings_known(folds: Folds) -> NDArray[np.bool_]:
    """[N]: of which clips the recording is known, and kept in one fold."""
    known: NDArray[np.bool_] = folds.sources.known & folds.sources.together
    return known


def _of_single_frames(choice: Choice) -> NDArray[np.float64]:
    """The logits [N, K] out of fold of the head on single frames."""
    return next(logits for candidate, logits in choice.of_candidates if isinstance(candidate.pooling, FrameMean))


def _heads(choice: Choice, task: Task, labels: NDArray[np.int64], held: NDArray[np.int64]) -> tuple[HeadNumber, ...]:
    """What each head reaches out of fold."""
    return tuple(
        HeadNumber(
            candidate.name,
            task.score(_probabilities(task, logits[held]).astype(np.float64), labels[held]),
            candidate is choice.candidate,
        )
        for candidate, logits in choice.of_candidates
    )


def _probabilities(task: Task, logits_NK: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the task makes of the logits of each clip [N, K]."""
    tensors = torch.from_numpy(logits_NK).float()
    return np.stack([_probabilities_of(task, logits_K) for logits_K in tensors])


def _probabilities_of(task: Task, logits_K: torch.Tensor) -> NDArray[np.float32]:
    return task.answer(lambda _: logits_K[None], "logits", np.zeros((1, 1)))
