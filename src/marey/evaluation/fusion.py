"""Late fusion: score files of the same videos, joined by video id.

Two streams are fused by the weighted mean of their probabilities (Wang et al., Temporal Segment Networks, ECCV 2016) or
by the sum of their logits (Carreira and Zisserman, Quo Vadis, CVPR 2017).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.evaluation.scores import Kind, Scores


def fuse(files: Sequence[Scores], *, weights: Sequence[float] | None = None) -> Scores:
    """The weighted mean of the probabilities; equal weights unless given.

    Raises:
        DataError: a video stands in one file only, labels or classes differ, or the weights do not fit.
    """
    shares = _shares(len(files), weights)
    shares = shares / shares.sum()
    return _joined(files, [scores.probabilities for scores in files], shares, "probabilities")


def fuse_logits(files: Sequence[Scores], *, weights: Sequence[float] | None = None) -> Scores:
    """The weighted sum of the logits; weights of 1 unless given.

    Raises:
        DataError: as `fuse`; or a file holds probabilities, which no longer tell the logits.
    """
    for number, scores in enumerate(files, start=1):
        if scores.kind != "logits":
            raise DataError(
                f"score file {number} holds probabilities: its recipe averages those over views. Fuse probabilities, or "
                "test again with --set test.averaging=logits."
            )
    return _joined(files, [scores.scores for scores in files], _shares(len(files), weights), "logits")


def _shares(count: int, weights: Sequence[float] | None) -> NDArray[np.float64]:
    shares = np.array([1.0] * count if weights is None else weights, dtype=np.float64)
    if count < 2:
        raise DataError("fusing takes two or more score files.")
    if len(shares) != count or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise DataError(f"fusing {count} files takes as many weights, none negative, their sum above 0.")
    return shares


def _joined(
    files: Sequence[Scores], values: Sequence[NDArray[np.float32]], shares: NDArray[np.float64], kind: Kind
) -> Scores:
    """The sum of `values`, each times its share, in the order of the first file's videos."""
    first = files[0]
    total = np.zeros(values[0].shape, np.float64)
    for number, (scores, value, share) in enumerate(zip(files, values, shares, strict=True), start=1):
        total += share * value[_rows_like(first, scores, number)]
    protocol = {"fused": [scores.protocol for scores in files], "weights": shares.tolist()}
    return Scores(first.ids, first.labels, total.astype(np.float32), kind, first.class_names, protocol)


def _rows_like(first: Scores, scores: Scores, number: int) -> list[int]:
    """The rows of score file `number` in the order of the first file's videos."""
    if scores.class_names != first.class_names:
        raise DataError(f"score file {number} names other classes than the first.")
    rows = {name: row for row, name in enumerate(scores.ids)}
    missing = [name for name in first.ids if name not in rows]
    extra = [name for name in scores.ids if name not in set(first.ids)] if len(rows) + len(missing) > len(first.ids) else []
    if missing or extra:
        raise DataError(
            f"score file {number} lacks {len(missing)} videos of the first and has {len(extra)} others, for example "
            f"{(missing + extra)[0]}."
        )
    order = [rows[name] for name in first.ids]
    if not np.array_equal(scores.labels[order], first.labels):
        raise DataError(f"score file {number} labels some videos otherwise than the first.")
    return order
