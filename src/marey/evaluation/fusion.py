"""Late fusion: the weighted mean of probabilities, or sum of logits, of several score files, matched by video id."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.names import did_you_mean
from marey.base.words import counted
from marey.data.lists.labels import class_permutation
from marey.evaluation.protocol import FusionProtocol
from marey.evaluation.scores import Scores
from marey.recipe import Fusion
from marey.tasks.task import Task

_STEPS = 20
"""Fusion weights are searched in steps of 1/20."""


def fuse(files: Sequence[Scores], *, weights: Sequence[float] | None = None, of: Fusion = "probabilities") -> Scores:
    """The weighted mean of the files' probabilities, or the weighted sum of their logits; weights are equal unless given.

    Raises:
        DataError: a video is missing in some files, labels or classes differ, the number of weights is wrong; or `of` is
            "logits" and videos have several labels.
    """
    first = files[0]
    shares = _fusion_weights(len(files), weights, of)
    protocol = FusionProtocol(fused=tuple(scores.protocol for scores in files), of=of, weights=tuple(shares.tolist()))
    probabilities = first.task.fused(_joined_probabilities(files), shares, of).astype(np.float32)
    return replace(first, probabilities=probabilities, protocol=protocol, trained_on=_trained_on(files))


def _trained_on(files: Sequence[Scores]) -> NDArray[np.bool_] | None:
    """For each video of the first file, whether any of the networks was trained on it; None if a file does not record it."""
    seen = []
    for scores in files:
        if scores.trained_on is None:
            return None
        rows = {key: row for row, key in enumerate(scores.keys)}
        seen.append(scores.trained_on[[rows[key] for key in files[0].keys]])
    found: NDArray[np.bool_] = np.logical_or.reduce(seen)
    return found


def fuse_probabilities(
    probabilities_SNK: NDArray[np.float32],
    task: Task,
    *,
    weights: Sequence[float] | None = None,
    of: Fusion = "probabilities",
) -> NDArray[np.float32]:
    """As `fuse`, for the probabilities [N, K] of S streams for the same N videos.

    Raises:
        DataError: the number of weights is wrong, or the task has no such fusion.
    """
    shares = _fusion_weights(len(probabilities_SNK), weights, of)
    return task.fused(probabilities_SNK.astype(np.float64), shares, of).astype(np.float32)


def _fusion_weights(count: int, weights: Sequence[float] | None, of: Fusion) -> NDArray[np.float64]:
    """The fusion weights [S]; for probabilities scaled so that they sum to 1. None as weights: all are equal."""
    shares = np.array(weights if weights is not None else [1.0] * count, dtype=np.float64)
    if len(shares) != count or (shares < 0).any() or shares.sum() <= 0:
        raise DataError(f"fusing {counted(count, 'file')} takes as many weights, none negative, their sum above 0.")
    return shares / shares.sum() if of == "probabilities" else shares


def search_weights(files: Sequence[Scores], *, of: Fusion = "probabilities") -> tuple[float, ...]:
    """The weights, multiples of 1/20 that sum to 1, with the highest score of the task (top-1, or mean average
    precision with several labels per video); among equal scores the most even weights.

    Use other videos for this search than for the test of the fused scores.
    """
    joined, task, labels = _joined_probabilities(files), files[0].task, files[0].labels
    even = 1 / len(files)

    def quality(shares: tuple[float, ...]) -> tuple[float, float]:
        score = task.score(task.fused(joined, np.array(shares), of), labels)
        return score, -sum((share - even) ** 2 for share in shares)

    return max(_simplex(len(files), _STEPS), key=quality)


def _joined_probabilities(files: Sequence[Scores]) -> NDArray[np.float64]:
    """Probabilities [S, N, K] in the first file's order of videos."""
    first = files[0]
    return np.stack([_aligned(scores, first, number) for number, scores in enumerate(files, start=1)])


def _aligned(scores: Scores, first: Scores, number: int) -> NDArray[np.float64]:
    """Probabilities [N, K] in the first file's order of videos and classes, both matched by name."""
    scores = _in_classes_of(first, scores, number)
    rows = {key: row for row, key in enumerate(scores.keys)}
    missing = [key for key in first.keys if key not in rows]
    extra = len(rows) - (len(first.ids) - len(missing))
    if missing or extra:
        example = f", for example {missing[0]}" if missing else ""
        raise DataError(
            f"score file {number} lacks {counted(len(missing), 'video')} of the first and has "
            f"{counted(extra, 'other')}{example}."
        )
    order = [rows[key] for key in first.keys]
    if not np.array_equal(scores.labels[order], first.labels):
        raise DataError(f"the labels of some videos in score file {number} differ from the first.")
    return scores.probabilities[order].astype(np.float64)


def _in_classes_of(first: Scores, scores: Scores, number: int) -> Scores:
    """The same scores, with the classes in the order of the first file.

    Raises:
        DataError: the files have different classes.
    """
    if scores.class_names == first.class_names:
        return scores
    columns = class_permutation(scores.class_names, first.class_names)
    if columns is None:
        other = next((name for name in scores.class_names if name not in first.class_names), None)
        what = f": {other!r} is none of them.{did_you_mean(other, first.class_names)}" if other is not None else "."
        raise DataError(f"score file {number} names other classes than the first{what}")
    labels = scores.labels[:, columns] if scores.labels.ndim > 1 else np.argsort(columns)[scores.labels]
    return replace(scores, labels=labels, probabilities=scores.probabilities[:, columns], class_names=first.class_names)


def _simplex(count: int, steps: int) -> Iterator[tuple[float, ...]]:
    """All tuples of `count` numbers of 0 to 1 that are multiples of 1 / steps and sum to 1."""
    if count == 1:
        yield (1.0,)
        return
    for first in range(steps + 1):
        rest = steps - first
        if not rest:
            yield (1.0, *[0.0] * (count - 1))
        else:
            for tail in _simplex(count - 1, rest):
                yield (first / steps, *(share * rest / steps for share in tail))
