"""The average over the views of a video."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from marey.recipe import Averaging
from marey.tasks.task import Outputs


def over_views(
    outputs: Outputs, averaging: Averaging, probabilities: Callable[[Tensor], Tensor]
) -> NDArray[np.float32]:
    """Probabilities [K] of one video, averaged as the recipe's `test.averaging` says.

    Args:
        outputs: Logits [V, K] or positions [V, K, P] of all its views.
        probabilities: From logits [V, K] or [V, K, P] to probabilities of the same shape.
    """
    if averaging == "position_probabilities":
        return probabilities(outputs("positions")).mean(dim=(0, 2)).numpy()
    if averaging == "logits":
        return probabilities(outputs("logits").mean(dim=0, keepdim=True))[0].numpy()
    return probabilities(outputs("logits")).mean(dim=0).numpy()
