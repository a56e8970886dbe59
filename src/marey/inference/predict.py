"""Answers for videos that nobody has labelled, with the very preprocessing of testing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.backends.eager import EagerBackend
from marey.base.errors import DecodeError
from marey.base.precision import Precision
from marey.data.clips import ViewDataset
from marey.data.manifest import Manifest
from marey.evaluation.views import read_ahead, score_video
from marey.models.network import Network


@dataclass(frozen=True)
class Prediction:
    """What a network says about one video: probabilities [K], or `error` where the file cannot be read.

    They sum to 1, or are each class's own where the recipe's task is multilabel.
    """

    path: Path
    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]
    error: str | None = None

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest classes and their probabilities, the likeliest first."""
        best = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.class_names[i], float(self.probabilities[i])) for i in best.tolist()]


def predict(
    model: Network,
    video: str | Path,
    *,
    batch: int = 8,
    device: str = "auto",
    precision: Precision = "auto",
) -> Prediction:
    """Answer for one video, by all the views of `model.recipe.test`.

    The probabilities equal those that `evaluate` writes for the same video and `batch`, to the last bit.

    `device` and `precision` are taken as by `marey.evaluate`.

    Raises:
        DecodeError: the video cannot be read.
        RunError: this machine does not have the device, or the device not the precision.
    """
    (found,) = predict_many(model, [video], batch=batch, device=device, precision=precision)
    if found.error is not None:
        raise DecodeError(found.path, found.error.removeprefix(f"{found.path}: "))
    return found


def predict_many(
    model: Network,
    videos: Manifest | Iterable[str | Path],
    *,
    batch: int = 8,
    workers: int | None = 0,
    device: str = "auto",
    precision: Precision = "auto",
) -> Iterator[Prediction]:
    """Answer for each video in turn; one that cannot be read gives a prediction with `error` and no probabilities.

    `workers` processes decode ahead of the network; how many changes no answer. A manifest may name parts of videos.
    """
    listed = videos if isinstance(videos, Manifest) else _listed([str(video) for video in videos])
    if not len(listed):
        return
    backend = EagerBackend(model, device=device, precision=precision)
    test, pixels = model.recipe.test, model.recipe.pixels
    views = ViewDataset(listed, test.sampling, pixels, model.recipe.flow)
    ahead = read_ahead(views, range(len(listed)), workers=workers if len(listed) > 1 else 0)
    for sample, item in zip(listed, ahead, strict=True):
        if "broken" in item:
            yield Prediction(sample.path, np.empty(0, np.float32), (), item["broken"].reason)
            continue
        scores = score_video(backend, item, test, pixels, batch=batch, task=model.recipe.task)
        names = model.class_names or tuple(f"class {i}" for i in range(len(scores)))
        yield Prediction(sample.path, scores, names)


def _listed(paths: list[str]) -> Manifest:
    return Manifest(np.array(paths), np.zeros(len(paths), np.int64), ("",), Path())
