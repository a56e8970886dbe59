"""Predictions for videos without labels, with the same preprocessing as in testing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np

from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.base.errors import DecodeError
from marey.classifier import Classifier, require_classifier
from marey.data.clips import ViewDataset
from marey.data.listing import VideosLike, as_videos
from marey.data.missing import require_files
from marey.data.quarantine import Broken
from marey.evaluation.views import read_ahead, score_video
from marey.tasks.all import task_of
from marey.tasks.prediction import Prediction


def predict(
    model: Classifier,
    video: str | Path,
    *,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> Prediction:
    """Answer for one video, by all the views of `model.recipe.test`.

    The probabilities equal those that `evaluate` writes for the same video, `batch` and backend, to the last bit.

    `compute` and `options` are taken as by `marey.evaluate`.

    Raises:
        DecodeError: the video cannot be read.
        RunError: this machine does not have the device, or the device not the precision.
    """
    (found,) = predict_many(model, [video], compute.changed(**options))
    if found.error is not None:
        raise DecodeError(found.path, found.error.removeprefix(f"{found.path}: "))
    return found


def predict_many(
    model: Classifier,
    videos: VideosLike,
    compute: Compute = Compute(workers=0),  # noqa: B008 - frozen
) -> Iterator[Prediction]:
    """Answer for each video in turn; one that cannot be read gives a prediction with `error` and no probabilities.

    `videos` is a list, with labels or without, that may name parts of videos; the path of a folder or list to read, as
    `read_videos` does; or the paths of single videos.

    Raises:
        DataError: `videos` is one path, and nothing is there or no video in it; or not one file of a list is there.
        RunError: this machine does not have the device, or the device not the precision or the backend.
    """
    check_backend(compute)
    require_classifier(model)
    listed = as_videos(videos)
    require_files(listed)
    if not len(listed):
        return
    backend = open_backend(model, compute, views=len(listed) * model.recipe.test.views)
    test, pixels = model.recipe.test, model.recipe.pixels
    views = ViewDataset(listed, test.sampling, pixels, model.recipe.flow)
    task, calibration = task_of(model.recipe.task), model.calibration
    hashes = () if model.origin is None else (model.origin.sha256,)
    ahead = read_ahead(views, range(len(listed)), workers=compute.workers if len(listed) > 1 else 0)
    for video, item in zip(listed, ahead, strict=True):
        if isinstance(item, Broken):
            yield Prediction(video, np.empty(0, np.float32), (), item.reason)
            continue
        scores = score_video(backend, item, test, pixels, batch=compute.views, task=task, calibration=calibration)
        names = model.class_names or tuple(f"class {i}" for i in range(model.recipe.model.num_classes))
        found = task.prediction(video, scores, names, calibration)
        if hashes:
            found = replace(found, weights_file_sha256=hashes)
        report = backend.report()
        if report.ran != "eager":
            found = replace(found, backend={"ran": report.ran, "difference": report.difference})
        yield found
