"""Whether answers are better than other answers for the same videos: the difference of the task's number, with its error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.tasks.intervals import FEWEST_GROUPS, LEVEL, group_numbers, student_t
from marey.tasks.task import Task

_BLOCKS = 20
"""Groups are left out of the jackknife in at most so many blocks: each needs the number anew."""


@dataclass(frozen=True)
class Paired:
    """The number of some answers less that of others for the same videos, and its 90 % interval; -1 to 1."""

    difference: float
    low: float
    high: float


def paired_difference(
    task: Task,
    answers: NDArray[np.floating[Any]],
    others: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    groups: NDArray[np.str_] | None,
) -> Paired | None:
    """The task's number (`Task.score`) of `answers` [N, ...] less that of `others` [N, ...] for the same N videos.

    Its error is that of the delete-a-group jackknife (Kott, The Delete-a-Group Jackknife, Journal of Official Statistics
    2001): groups are dealt out to up to 20 blocks, the largest first, each to the block with the fewest videos, and the
    difference is taken without each block in turn. The interval is Student's with one degree of freedom less than there
    are blocks.

    Args:
        groups: The group of each video [N], "" for one of its own; None: each video is one.

    Returns: None where the groups are fewer than `FEWEST_GROUPS`, which do not show how much groups differ.
    """
    numbers = np.arange(len(labels)) if groups is None else group_numbers(groups)
    blocks = _blocks(numbers)
    count = int(blocks.max(initial=-1)) + 1
    if count < FEWEST_GROUPS:
        return None

    def difference(rows: NDArray[np.bool_]) -> float:
        one, other = (part[rows].astype(np.float64) for part in (answers, others))
        return task.score(one, labels[rows]) - task.score(other, labels[rows])

    whole = difference(np.ones(len(labels), np.bool_))
    without = np.array([difference(blocks != block) for block in range(count)])
    error = float(np.sqrt((count - 1) / count * np.square(without - whole).sum()))
    reach = student_t((1 + LEVEL) / 2, count - 1) * error
    return Paired(whole, whole - reach, whole + reach)


def _blocks(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The block of each video [N], from 0, by its group's number [N]."""
    sizes = np.bincount(groups)
    filled = np.zeros(min(_BLOCKS, len(sizes)), np.int64)
    block_of = np.zeros(len(sizes), np.int64)
    for group in np.argsort(-sizes, kind="stable").tolist():
        block_of[group] = int(filled.argmin())
        filled[block_of[group]] += sizes[group]
    return block_of[groups]
