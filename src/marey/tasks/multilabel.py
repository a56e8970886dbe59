"""Any number of labels per video: sigmoids, binary cross-entropy or focal loss, mean average precision."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marey.base.errors import DataError
from marey.base.words import percent
from marey.classifier import Calibration
from marey.data.lists.manifest import Manifest
from marey.recipe import FocalLoss, Fusion, Train
from marey.tasks.losses import at_least_float32, declared_weights, like
from marey.tasks.metrics import average_precision, mean_average_precision
from marey.tasks.task import (
    Baseline,
    ClassRow,
    Loss,
    Metric,
    Outputs,
    Task,
    TaskReport,
    Validation,
    ValidationMetrics,
)
from marey.tasks.thresholds import of_best_f1


class MultiLabelTask(Task):
    """Predictions are independent probabilities of the classes [K]; labels are 1 for each label of a video, else 0, [N, K].

    A list with one label per video is a special case.
    """

    # -- training

    def require_labels(self, manifest: Manifest, recipe: str) -> None:
        """Accept every list: each video may have any number of labels."""

    def training_loss(self, train: Train, manifest: Manifest) -> Loss:
        weights = declared_weights(train.class_weights, manifest)
        if isinstance(train.loss, FocalLoss):
            gamma, alpha = train.loss.gamma, train.loss.alpha
            return lambda logits, target: binary_focal_loss(logits, target, weights, gamma=gamma, alpha=alpha)
        return lambda logits, target: binary_cross_entropy(logits, target, weights)

    @property
    def count_correct(self) -> None:
        return None

    def validation_metrics(self) -> ValidationMetrics:
        return AveragePrecision()

    @property
    def charts(self) -> tuple[tuple[str, str], ...]:
        return (("map", "mAP"),)

    # -- testing

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)

    def predict(self, outputs: Outputs, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        return outputs.averaged(self.probabilities)

    def calibrated(self, prediction: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
        present = prediction.astype(np.float64)
        tiny, half = np.finfo(np.float32).tiny, np.finfo(np.float32).epsneg / 2
        # 1 stands for all values that float32 rounds to 1: log(1 - p) stays finite, so that a temperature can lower it.
        logits = np.log(np.maximum(present, tiny)) - np.log(np.maximum(1 - present, half))
        return np.exp(-np.logaddexp(0, -logits / calibration.temperature)).astype(np.float32)

    def log_loss(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        present = np.where(labels > 0, predictions, 1 - predictions).astype(np.float64)
        return float(-np.log(np.maximum(present, np.finfo(np.float32).tiny)).sum())

    def with_thresholds(
        self, calibration: Calibration, predictions: NDArray[np.float32], labels: NDArray[np.int64], turned_away: float
    ) -> Calibration:
        """Add for each class the threshold with the best F1; a video below all of them gets no label."""
        return calibration.model_copy(update={"thresholds": of_best_f1(predictions, labels > 0)})

    def labels(self, manifest: Manifest) -> NDArray[np.int64]:
        return manifest.multi_hot().astype(np.int64)

    def classes(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        raise DataError("these videos have several labels each: there is no top-1 or confusion; see mean_ap.")

    def positives(self, labels: NDArray[np.int64], num_classes: int) -> NDArray[np.bool_]:
        positives: NDArray[np.bool_] = labels > 0
        return positives

    def right(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which videos have a higher score for each of their labels than for every other class. A video without labels
        counts as right.
        """
        own = np.where(labels > 0, predictions, np.inf).min(axis=1)
        other = np.where(labels > 0, -np.inf, predictions).max(axis=1)
        right: NDArray[np.bool_] = own > other
        return right

    def metrics(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Metric, ...]:
        return (
            Metric(
                "mean_ap", "mAP", mean_average_precision(predictions, labels > 0), "line", "mean of average precision"
            ),
        )

    def baseline(self, labels: NDArray[np.int64], class_names: tuple[str, ...]) -> Baseline | None:
        """The mean average precision of equal scores for all videos: the share of videos with a class, averaged over the
        classes that have videos.
        """
        shares = (labels > 0).mean(axis=0)[(labels > 0).any(axis=0)]
        return Baseline(float(shares.mean()), "equal scores for all videos") if len(shares) else None

    def score(self, predictions: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        return mean_average_precision(predictions, labels > 0)

    def fused(
        self, predictions_SN: NDArray[np.float64], shares: NDArray[np.float64], of: Fusion
    ) -> NDArray[np.float64]:
        if of == "logits":
            raise DataError("videos with several labels have no logits under one softmax: fuse their probabilities.")
        return np.tensordot(shares, predictions_SN, axes=1)

    # -- words

    def summary(
        self, predictions: NDArray[np.float32], labels: NDArray[np.int64], class_names: tuple[str, ...]
    ) -> list[str]:
        return []

    def report(
        self,
        predictions: NDArray[np.float32],
        labels: NDArray[np.int64],
        class_names: tuple[str, ...],
        groups: NDArray[np.str_] | None = None,
    ) -> TaskReport:
        precisions, counts = average_precision(predictions, labels > 0).tolist(), (labels > 0).sum(axis=0).tolist()
        rows = [
            ClassRow(name, percent(precision, 0), round(100 * precision, 1), count)
            for name, precision, count in zip(class_names, precisions, counts, strict=True)
            if count
        ]
        return TaskReport(
            remark="several labels per video",
            classes=sorted(rows, key=lambda row: row.share),
            classes_note="Average precision of each class.",
            numbers=[("labels per video", f"{(labels > 0).sum(axis=1).mean():.1f}")],
        )


class AveragePrecision:
    """Accumulates the loss and the mean average precision of a validation."""

    def __init__(self) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64)
        self.logits: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add logits [B, K] and targets: 1 for each label and 0 for others [B, K], or class indices [B]."""
        loss = binary_cross_entropy(outputs, targets)
        self.sums += torch.stack([loss, loss.new_tensor(len(targets))]).cpu()
        self.logits.append(outputs.cpu())
        self.targets.append(targets.cpu())

    def rows(self) -> tuple[NDArray[np.float32], ...]:
        """Logits and targets, both [B, K]."""
        logits = torch.cat(self.logits)
        return logits.numpy(), _hot(torch.cat(self.targets), logits).numpy()

    def result(self, sums: Tensor, rows: Sequence[NDArray[np.float32]]) -> Validation:
        loss, count = sums.tolist()
        logits, targets = rows
        return Validation(loss / count, (Metric("map", "mAP", mean_average_precision(logits, targets > 0), "line"),))


def binary_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of logits [B, K], summed over clips, averaged over classes; targets are [B, K] in 0..1, or class
    indices [B].
    """
    logits = at_least_float32(logits)
    hot, weights = _hot(target, logits), like(weights, logits)
    return F.binary_cross_entropy_with_logits(logits, hot, weights, reduction="sum") / logits.shape[1]


def binary_focal_loss(
    logits: Tensor, target: Tensor, weights: Tensor | None = None, *, gamma: float, alpha: float | None = None
) -> Tensor:
    """The sum over clips of the mean over classes of -w_k (alpha t (1 - p)^gamma log p + (1 - alpha) (1 - t) p^gamma
    log(1 - p)), p the sigmoid of logits [B, K]; targets t are [B, K] in 0..1, or class indices [B].

    For targets of 0 and 1 this is equation 5 of Lin et al. (Focal Loss for Dense Object Detection, ICCV 2017) for each
    class; for mixed clips, with t between 0 and 1, both terms count. With None as alpha both terms have weight 1, and
    with gamma 0 this is then `binary_cross_entropy`.
    """
    logits = at_least_float32(logits)
    hot, present, absent = _hot(target, logits), F.logsigmoid(logits), F.logsigmoid(-logits)
    own, other = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    # Powers of probabilities are computed from logarithms, so that derivatives are finite where a probability is 0.
    terms = own * hot * (gamma * absent).exp() * present + other * (1 - hot) * (gamma * present).exp() * absent
    weights = like(weights, logits)
    return -(terms if weights is None else weights * terms).sum() / logits.shape[1]


def _hot(target: Tensor, logits: Tensor) -> Tensor:
    """The targets as [B, K], one-hot where they are class indices, in the type of the logits."""
    return (target if target.ndim == 2 else F.one_hot(target, logits.shape[1])).to(logits.dtype)
