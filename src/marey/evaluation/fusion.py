"""Late fusion: score files of the same videos, joined by video id."""

from collections.abc import Sequence

import numpy as np

from marey.base.errors import DataError
from marey.evaluation.scores import Scores


def fuse(files: Sequence[Scores], *, weights: Sequence[float] | None = None) -> Scores:
    """The weighted mean of the probabilities; equal weights unless given.

    Raises:
        DataError: a video stands in one file only, labels or classes differ, or the weights do not fit.
    """
    first = files[0]
    shares = np.array(weights if weights is not None else [1.0] * len(files), dtype=np.float64)
    if len(shares) != len(files) or (shares < 0).any() or shares.sum() <= 0:
        raise DataError(f"fusing {len(files)} files takes as many weights, none negative, their sum above 0.")
    total = np.zeros(first.probabilities.shape, np.float64)
    for number, (scores, share) in enumerate(zip(files, shares / shares.sum(), strict=True), start=1):
        if scores.class_names != first.class_names:
            raise DataError(f"score file {number} names other classes than the first.")
        rows = {name: row for row, name in enumerate(scores.ids)}
        missing = [name for name in first.ids if name not in rows]
        extra = len(rows) - (len(first.ids) - len(missing))
        if missing or extra:
            example = f", for example {missing[0]}" if missing else ""
            raise DataError(
                f"score file {number} lacks {len(missing)} videos of the first and has {extra} others{example}."
            )
        order = [rows[name] for name in first.ids]
        if not np.array_equal(scores.labels[order], first.labels):
            raise DataError(f"score file {number} labels some videos otherwise than the first.")
        total += share * scores.probabilities[order]
    protocol = {"fused": [scores.protocol for scores in files], "weights": (shares / shares.sum()).tolist()}
    return Scores(first.ids, first.labels, total.astype(np.float32), first.class_names, protocol)
