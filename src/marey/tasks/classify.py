"""One label per video: softmax, cross-entropy or focal loss, top-1 and the confusion matrix."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from torch import Tensor

from marey.base.notebook import keep_beginning
from marey.base.words import counted, percent
from marey.classifier import Calibration
from marey.data.lists.manifest import Manifest
from marey.recipe import FocalLoss, Fusion, Train
from marey.tasks.intervals import FEWEST_GROUPS, Interval, share_interval
from marey.tasks.losses import at_least_float32, declared_weights, like
from marey.tasks.metrics import calibration_error, confusion_matrix, macro_f1, mean_class_accuracy, top_k_accuracy
from marey.tasks.task import (
    Baseline,
    ClassRow,
    CountCorrect,
    Loss,
    Metric,
    Outputs,
    Task,
    TaskReport,
    Validation,
    ValidationMetrics,
)
from marey.tasks.thresholds import turning_away

_TINY = np.finfo(np.float32).tiny
"""Replaces a probability that float32 rounded to 0, so that its logarithm is finite."""
_PRINTED_CLASSES = 20
"""A confusion matrix of more classes is too wide for a terminal."""
_NAME = 32
"""In a line of text, class names with more characters than this are cut."""
_TOP5_CLASSES = 6
"""Top-5 is not shown for fewer classes: it is then always 1."""


class ClassifyTask(Task):
    """Predictions are probabilities [K] that sum to 1; labels are the index of each video's class [N]."""

    # -- training

    def require_labels(self, manifest: Manifest, recipe: str) -> None:
        manifest.require_one_label(recipe)

    def training_loss(self, train: Train, manifest: Manifest) -> Loss:
        weights, smoothing = declared_weights(train.class_weights, manifest), train.label_smoothing
        if isinstance(train.loss, FocalLoss):
            gamma = train.loss.gamma
            return lambda logits, target: focal_loss(logits, target, weights, smoothing, gamma=gamma)
        return lambda logits, target: cross_entropy(logits, target, weights, smoothing)

    @property
    def count_correct(self) -> CountCorrect:
        return count_correct

    def validation_metrics(self) -> ValidationMetrics:
        return Accuracy()

    @property
    def charts(self) -> tuple[tuple[str, str], ...]:
        return (("top1", "top-1"),)

    # -- testing

    def probabilities(self, logits: Tensor) -> Tensor:
        return logits.softmax(dim=1)

    def predict(self, outputs: Outputs, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        return outputs.averaged(self.probabilities)

    def calibrated(self, prediction: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
        logs = np.log(np.maximum(prediction.astype(np.float64), _TINY))
        return _softmax(logs / calibration.temperature).astype(np.float32)

    def log_loss(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        own = predictions[np.arange(len(labels)), labels].astype(np.float64)
        return float(-np.log(np.maximum(own, _TINY)).sum())

    def with_thresholds(
        self, calibration: Calibration, predictions: NDArray[np.float32], labels: NDArray[np.int64], turned_away: float
    ) -> Calibration:
        """Add a threshold on the highest probability: below it none of the classes is predicted (Hendrycks and Gimpel, A
        Baseline for Detecting Misclassified and Out-of-Distribution Examples, ICLR 2017). None is added where too few
        predictions are right to choose it.
        """
        threshold = turning_away(predictions.max(axis=1)[self.right(predictions, labels)], turned_away)
        if threshold is None:
            return calibration
        return calibration.model_copy(update={"threshold": threshold, "turned_away": turned_away})

    def labels(self, manifest: Manifest) -> NDArray[np.int64]:
        return manifest.labels

    def classes(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        return labels

    def positives(self, labels: NDArray[np.int64], num_classes: int) -> NDArray[np.bool_]:
        positives: NDArray[np.bool_] = np.arange(num_classes) == labels[:, None]
        return positives

    def right(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = predictions.argmax(axis=1) == labels
        return right

    def metrics(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Metric, ...]:
        confusion = confusion_matrix(predictions, labels)
        top1, top5 = (top_k_accuracy(predictions, labels, k) for k in (1, 5))
        error = calibration_error(predictions, labels)
        first_five = [Metric("top5", "top-5", top5, "line", "class among the five most probable")]
        return (
            Metric("top1", "top-1", top1, "line", "right answers"),
            *(first_five if predictions.shape[1] >= _TOP5_CLASSES else ()),
            Metric("mean_class", "mean class", mean_class_accuracy(confusion), "summary", "mean over the classes"),
            Metric("macro_f1", "macro F1", macro_f1(confusion), "report", "mean of the classes' F1"),
            Metric("calibration_error", "calibration error", error, "report", "of probabilities, on average"),
        )

    def interval(
        self, predictions: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_] | None
    ) -> Interval | None:
        return share_interval(self.right(predictions, labels), groups)

    def baseline(self, labels: NDArray[np.int64], class_names: tuple[str, ...]) -> Baseline | None:
        """The share of the most frequent class among the tested videos; among equally frequent ones the first."""
        if not len(labels):
            return None
        counts = np.bincount(labels, minlength=len(class_names))
        best = int(counts.argmax())
        words = f"always answering {keep_beginning(class_names[best], _NAME)!r}"
        return Baseline(float(counts[best] / len(labels)), words, 1 / len(class_names))

    def score(self, predictions: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        return top_k_accuracy(predictions, labels, 1)

    def fused(
        self, predictions_SN: NDArray[np.float64], shares: NDArray[np.float64], of: Fusion
    ) -> NDArray[np.float64]:
        if of == "probabilities":
            return np.tensordot(shares, predictions_SN, axes=1)
        return _softmax(np.tensordot(shares, np.log(np.maximum(predictions_SN, _TINY)), axes=1))

    # -- words

    def summary(
        self, predictions: NDArray[np.float32], labels: NDArray[np.int64], class_names: tuple[str, ...]
    ) -> list[str]:
        """The confusion matrix of at most 20 classes."""
        if len(class_names) > _PRINTED_CLASSES:
            return []
        shown = [keep_beginning(name, _NAME) for name in class_names]
        confusion, wide = confusion_matrix(predictions, labels), max(map(cell_len, shown))
        digits = max(len(str(confusion.max())), len(str(len(class_names) - 1))) + 1
        lines = [
            "rows: true class, columns: answer",
            " " * (wide + 4) + "".join(f"{i:{digits}}" for i in range(len(class_names))),
        ]
        for i, (name, row) in enumerate(zip(shown, confusion, strict=True)):
            cells = "".join(f"{n if n else '.':>{digits}}" for n in row.tolist())
            lines.append(f"{i:>2} {set_cell_size(name, wide)} {cells}")
        return lines

    def report(
        self,
        predictions: NDArray[np.float32],
        labels: NDArray[np.int64],
        class_names: tuple[str, ...],
        groups: NDArray[np.str_] | None = None,
    ) -> TaskReport:
        confusion = confusion_matrix(predictions, labels)
        over = ", if the videos are independent of each other"
        if groups is not None and (groups != "").any():
            over = f" over recordings (groups of videos); a class of fewer than {FEWEST_GROUPS} recordings has none"
        return TaskReport(
            remark=f"one label per video, {counted(len(class_names), 'class', 'classes')}",
            classes=_class_rows(self.right(predictions, labels), labels, class_names, groups),
            classes_note=f"The thin stripe is the 90 % interval of the share{over}.",
            confusion=confusion,
        )


class Accuracy:
    """Accumulates the loss, top-1 and, with six classes or more, top-5 of a validation."""

    def __init__(self) -> None:
        self.sums = torch.zeros(5, dtype=torch.float64)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add logits [B, K] and class indices [B]."""
        best = outputs.topk(min(5, outputs.shape[1]), dim=1).indices == targets[:, None]
        loss = cross_entropy(outputs, targets)
        right = (best[:, 0].sum(), best.any(dim=1).sum())
        counts = loss.new_tensor([len(targets), len(targets) if outputs.shape[1] >= _TOP5_CLASSES else 0])
        # Counts of one batch are exact in float32; MPS has no float64.
        self.sums += torch.cat([torch.stack([loss, *(n.to(loss.dtype) for n in right)]), counts]).cpu()

    def rows(self) -> tuple[NDArray[np.float32], ...]:
        return ()

    def result(self, sums: Tensor, rows: Sequence[NDArray[np.float32]]) -> Validation:
        loss, top1, top5, count, of_many_classes = sums.tolist()
        metrics = [Metric("top1", "top-1", top1 / count, "line")]
        if of_many_classes:
            metrics.append(Metric("top5", "top-5", top5 / count, "report"))
        return Validation(loss / count, tuple(metrics))


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Softmax cross-entropy of logits [B, K], summed over clips; targets are class indices [B] or shares [B, K]."""
    logits = at_least_float32(logits)
    return F.cross_entropy(logits, target, like(weights, logits), label_smoothing=smoothing, reduction="sum")


def focal_loss(
    logits: Tensor, target: Tensor, weights: Tensor | None = None, smoothing: float = 0.0, *, gamma: float
) -> Tensor:
    """The sum over clips and classes of -w_k t_k (1 - p_k)^gamma log(p_k), p the softmax of logits [B, K].

    For targets that are class indices [B], t is 1 for the clip's class and 0 for others: equation 5 of Lin et al. (Focal
    Loss for Dense Object Detection, ICCV 2017) with class weights as alpha. With mixed clips or label smoothing, t are the
    shares of the classes [B, K]. With gamma 0 this is `cross_entropy`.
    """
    logits = at_least_float32(logits)
    logs = logits.log_softmax(dim=1)
    hot = target if target.ndim == 2 else F.one_hot(target, logits.shape[1])
    shares = hot.to(logs.dtype) * (1 - smoothing) + smoothing / logits.shape[1]
    # Kept above 0 where p rounds to 1: with gamma below 1 the derivative of the power is infinite at 0.
    one_minus_p = (-torch.expm1(logs)).clamp(min=torch.finfo(logs.dtype).tiny)
    terms = -shares * one_minus_p**gamma * logs
    weights = like(weights, logits)
    return (terms if weights is None else weights * terms).sum()


def count_correct(logits: Tensor, target: Tensor) -> Tensor:
    """How many clips have their highest logit for their class. With shares [B, K] as targets, a clip counts as the share of
    the class with its highest logit.
    """
    best = logits.argmax(dim=1)
    return (best == target).sum() if target.ndim == 1 else target.gather(1, best[:, None]).sum()


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The softmax over the last axis."""
    exponents: NDArray[np.float64] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total: NDArray[np.float64] = exponents.sum(axis=-1, keepdims=True)
    return exponents / total


def _class_rows(
    right: NDArray[np.bool_], labels: NDArray[np.int64], names: tuple[str, ...], groups: NDArray[np.str_] | None
) -> list[ClassRow]:
    """The rows of all classes that have videos, the lowest share first."""
    rows = []
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        share, interval = float(right[own].mean()), share_interval(right[own], None if groups is None else groups[own])
        low, high = (0.0, 0.0) if interval is None else (interval.low, interval.high)
        rows.append(
            ClassRow(
                names[label], percent(share, 0), round(100 * share, 1), len(own),
                round(100 * low, 1), round(100 * (high - low), 1),
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: row.share)
