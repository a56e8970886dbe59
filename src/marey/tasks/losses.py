"""What the losses of all tasks share: class weights, and their floating-point types."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marey.base.errors import DataError
from marey.data.lists.manifest import Manifest
from marey.recipe import EffectiveNumber, InverseFrequency


def class_weights(declared: InverseFrequency | EffectiveNumber, train: Manifest) -> NDArray[np.float64]:
    """The weight of each class [K], scaled so that their mean is 1.

    Raises:
        DataError: a class has no video.
    """
    counts = train.multi_hot().sum(axis=0, dtype=np.float64)
    if not counts.all():
        empty = train.class_names[int(np.flatnonzero(counts == 0)[0])]
        raise DataError(
            f"{train.source or 'the training list'}: class {empty} has no video, so that train.class_weights has no "
            "weight for it: remove the class, or leave train.class_weights out."
        )
    if isinstance(declared, InverseFrequency):
        weights = counts**-declared.power
    else:
        weights = (1 - declared.beta) / (1 - declared.beta**counts)
    scaled: NDArray[np.float64] = weights * (len(weights) / weights.sum())
    return scaled


def declared_weights(declared: InverseFrequency | EffectiveNumber | None, train: Manifest) -> Tensor | None:
    """The class weights as float32; None where none are declared."""
    return None if declared is None else torch.from_numpy(class_weights(declared, train)).float()


def like(weights: Tensor | None, logits: Tensor) -> Tensor | None:
    """The weights with the type and device of the logits."""
    return None if weights is None else weights.to(logits)


def at_least_float32(logits: Tensor) -> Tensor:
    """The logits as float32, because bfloat16 is too coarse for a loss; float64 stays float64."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
