"""Losses by task, as sums over the clips of a batch. Logits [B, K]."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from marey.base.errors import DataError
from marey.data.manifest import Manifest
from marey.recipe import EffectiveNumber, InverseFrequency, MultiLabel, Recipe, Task

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits [B, K] and targets to the sum over clips, a scalar."""


def training_loss(recipe: Recipe, train: Manifest) -> Loss:
    """The loss that the recipe trains with.

    Raises:
        DataError: class weights are wanted, and a class has no video.
    """
    weights = None
    if recipe.train.class_weights is not None:
        weights = torch.from_numpy(class_weights(recipe.train.class_weights, train)).float()
    if isinstance(recipe.task, MultiLabel):
        return lambda logits, target: several_labels(logits, target, weights)
    smoothing = recipe.train.label_smoothing
    return lambda logits, target: one_label(logits, target, weights, smoothing)


def plain_loss(task: Task) -> Loss:
    """The loss that validation reports: without weights and smoothing."""
    return several_labels if isinstance(task, MultiLabel) else one_label


def one_label(logits: Tensor, target: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Softmax cross-entropy; targets are classes [B] or shares of them [B, K]."""
    logits = _at_least_float32(logits)
    return F.cross_entropy(logits, target, _like(weights, logits), label_smoothing=smoothing, reduction="sum")


def several_labels(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy, the mean over classes; targets [B, K] in 0..1, or one class each [B]."""
    logits = _at_least_float32(logits)
    hot = (target if target.ndim == 2 else F.one_hot(target, logits.shape[1])).to(logits.dtype)
    weights = _like(weights, logits)
    return F.binary_cross_entropy_with_logits(logits, hot, weights, reduction="sum") / logits.shape[1]


def right_answers(logits: Tensor, target: Tensor) -> Tensor:
    """How many clips have their class scored highest (a share of one where targets are shares)."""
    best = logits.argmax(dim=1)
    return (best == target).sum() if target.ndim == 1 else target.gather(1, best[:, None]).sum()


def class_weights(declared: InverseFrequency | EffectiveNumber, train: Manifest) -> NDArray[np.float64]:
    """The weight of each class [K]; their mean is 1.

    Raises:
        DataError: a class has no video.
    """
    counts = train.multi_hot().sum(axis=0, dtype=np.float64)
    if not counts.all():
        empty = train.class_names[int(np.flatnonzero(counts == 0)[0])]
        raise DataError(
            f"{train.source or 'the training list'}: class {empty} has no video, so that train.class_weights cannot "
            "weigh it: leave it out of the classes, or leave the weights out."
        )
    if isinstance(declared, InverseFrequency):
        weights = counts**-declared.power
    else:
        weights = (1 - declared.beta) / (1 - declared.beta**counts)
    scaled: NDArray[np.float64] = weights * (len(weights) / weights.sum())
    return scaled


def _like(weights: Tensor | None, logits: Tensor) -> Tensor | None:
    return None if weights is None else weights.to(logits)


def _at_least_float32(logits: Tensor) -> Tensor:
    """A loss is no place for bfloat16; float64 stays."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
