"""The difference of a metric between two sets of predictions for the same videos, with an interval."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.tasks.intervals import FEWEST_GROUPS, LEVEL, group_numbers, student_t
from marey.tasks.task import Task

_BLOCKS = 20
"""The jackknife divides the groups into at most this many blocks, and computes the difference once without each block."""


@dataclass(frozen=True)
class PairedDifference:
    """The metric of predictions minus that of others for the same videos, with a 90 % interval."""

    difference: float
    """The one metric minus the other, -1 to 1."""
    low: float
    """Lower end of the interval of `difference`; may be below -1."""
    high: float
    """Upper end of this interval; may be above 1."""


def paired_difference(
    task: Task,
    predictions: NDArray[np.floating[Any]],
    others: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    groups: NDArray[np.str_] | None,
) -> PairedDifference | None:
    """The metric (`Task.score`) of `predictions` [N, ...] minus that of `others` [N, ...] for the same N videos.

    Its standard error is that of the delete-a-group jackknife (Kott, The Delete-a-Group Jackknife, Journal of Official
    Statistics 2001): groups are distributed over at most 20 blocks, the largest group first, each to the block with the
    fewest videos, and the difference is computed without each block in turn. The interval is Student's, with the number of
    blocks less 1 degrees of freedom.

    Args:
        task: Decides the metric.
        predictions: [N, ...].
        others: [N, ...].
        labels: [N, ...].
        groups: The group of each video [N], "" for a video by itself; None: every video is a group.

    Returns: None if there are fewer groups than `FEWEST_GROUPS`, which do not show how much groups differ.
    """
    numbers = np.arange(len(labels)) if groups is None else group_numbers(groups)
    blocks = _blocks_of_videos(numbers)
    count = int(blocks.max(initial=-1)) + 1
    if count < FEWEST_GROUPS:
        return None

    def difference(rows: NDArray[np.bool_]) -> float:
        one, other = (array[rows].astype(np.float64) for array in (predictions, others))
        return task.score(one, labels[rows]) - task.score(other, labels[rows])

    complete = difference(np.ones(len(labels), np.bool_))
    without = np.array([difference(blocks != block) for block in range(count)])
    error = float(np.sqrt((count - 1) / count * np.square(without - complete).sum()))
    reach = student_t((1 + LEVEL) / 2, count - 1) * error
    return PairedDifference(complete, complete - reach, complete + reach)


def _blocks_of_videos(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The block of each video [N], from 0, by the index of its group [N]."""
    sizes = np.bincount(groups)
    filled = np.zeros(min(_BLOCKS, len(sizes)), np.int64)
    block_of = np.zeros(len(sizes), np.int64)
    for group in np.argsort(-sizes, kind="stable").tolist():
        block_of[group] = int(filled.argmin())
        filled[block_of[group]] += sizes[group]
    return block_of[groups]
