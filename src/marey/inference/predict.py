"""Predictions for videos without labels, with the same preprocessing as in testing."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack, overload

import numpy as np

from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.base.errors import DecodeError
from marey.classifier import Classifier
from marey.data.clips import ViewDataset
from marey.data.listing import VideosLike, as_videos
from marey.data.manifest import Manifest
from marey.data.missing import require_files
from marey.data.quarantine import Broken
from marey.data.videos import VideoList
from marey.evaluation.views import read_ahead, score_video
from marey.tasks.all import task_of
from marey.tasks.prediction import Prediction
from marey.weights.load import as_classifier


@overload
def predict(  # type: ignore[overload-overlap]  # one path is one video, though a str has characters
    model: Classifier | str | Path, video: str | Path, *, compute: Compute = ..., **options: Unpack[ComputeOptions]
) -> Prediction: ...
@overload
def predict(
    model: Classifier | str | Path,
    video: VideoList | Manifest | Iterable[str | Path],
    *,
    compute: Compute = ...,
    **options: Unpack[ComputeOptions],
) -> list[Prediction]: ...
def predict(
    model: Classifier | str | Path,
    video: VideosLike,
    *,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> Prediction | list[Prediction]:
    """Answer for videos, by all the views of `model.recipe.test`.

        predict(model, "kick.mp4")                       the answer for one video: a file, or a folder of its frames
        predict("runs/a", ["kick.mp4", "throw.mp4"])     a list of answers, in that order
        predict(model, marey.read_videos("clips/"))      all videos of a folder or list

    The probabilities equal those that `evaluate` writes for the same video, `batch` and backend, to the last bit.

    Args:
        model: As `load_model` gives it, or a `Classifier` around your own module; or what `load_model` takes: a checkpoint,
            the folder of a run, a recipe's name.
        video: One path; or several, or a list of videos, with labels or without: an answer for each, and for a video that
            cannot be read one with `error` and no probabilities.
        compute: Where and how the network runs, as `marey.evaluate` takes it.
        **options: Fields of `Compute`, which change that one.

    Raises:
        DecodeError: the one video cannot be read.
        DataError: there are several, and not one of their files is there.
        RunError: this machine does not have the device, or the device not the precision.
    """
    compute = compute.changed(**options)
    if not isinstance(video, str | Path):
        return list(predict_many(model, video, compute))
    (found,) = predict_many(model, [video], compute)
    if found.error is not None:
        raise DecodeError(found.path, found.error.removeprefix(f"{found.path}: "))
    return found


def predict_many(
    model: Classifier | str | Path,
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
    model = as_classifier(model)
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
