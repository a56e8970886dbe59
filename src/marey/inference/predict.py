"""Predictions for videos without labels, with the same preprocessing as in testing."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Unpack, overload

import numpy as np

from marey.backends.backend import Backend
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.base.errors import DataError, DecodeError, in_python_words
from marey.base.reporter import progress
from marey.classifier import Classifier
from marey.data.clips import ViewDataset
from marey.data.listing import VideosLike, as_videos
from marey.data.manifest import Manifest
from marey.data.missing import require_files
from marey.data.quarantine import Broken
from marey.data.videos import VideoEntry, VideoList
from marey.evaluation.long_videos import LongVideos
from marey.evaluation.views import read_ahead, score_video
from marey.recipe import Recipe
from marey.tasks.all import task_of
from marey.tasks.prediction import Prediction, Predictions
from marey.video.suffixes import VIDEO_SUFFIXES
from marey.weights.load import as_classifier


@overload
def predict(  # type: ignore[overload-overlap]  # one path is one video, though a str has characters
    model: Classifier | Recipe | str | Path,
    video: str | Path | VideoEntry,
    *,
    root: str | Path | None = ...,
    compute: Compute = ...,
    **options: Unpack[ComputeOptions],
) -> Prediction: ...
@overload
def predict(
    model: Classifier | Recipe | str | Path,
    video: VideoList | Manifest | Iterable[str | Path | VideoEntry],
    *,
    root: str | Path | None = ...,
    compute: Compute = ...,
    **options: Unpack[ComputeOptions],
) -> Predictions: ...
@in_python_words()
def predict(
    model: Classifier | Recipe | str | Path,
    video: VideosLike,
    *,
    root: str | Path | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> Prediction | Predictions:
    """Answer for one video or several, by all the views of `model.recipe.test`, as `marey predict` does.

        predict(model, "kick.mp4")                       the answer for one video: a file, or a folder of its frames
        predict("runs/a", ["kick.mp4", "throw.mp4"])     a list of answers, in that order
        predict("runs/a", "clips/")                      of all videos in a folder
        predict("runs/a", "list.csv")                    or of a list
        predict(model, marey.read_videos("clips/"))      the same, in words that a type checker understands, too

    The probabilities equal those that `evaluate` writes for the same video, `batch` and backend, to the last bit.

    Args:
        model: As `load_model` gives it, or a `Classifier` around your own module; or what `load_model` takes: a checkpoint,
            the folder of a run, a recipe or its name.
        video: What `marey predict` takes: the path of a video file, of a folder of frames, of a folder of videos or of a
            list; several of them; or a list of videos, with labels or without, or an entry of one. Of several videos there
            is an answer for each, and for one that cannot be read an answer with `error` and no probabilities.
        root: Folder of the relative paths of a list.
        compute: Device, precision, views in one pass, decoding processes and backend.
        **options: Fields of `compute` by name: device="cuda", batch=16, workers=4.

    Returns a `Prediction` where `video` is one: a file, a folder of frames, an entry of a list. Else `Predictions`, also of
    a folder or list that holds one video. The likeliest classes are `prediction.top(5)`. The annotation takes one path for
    one video, since nothing but looking shows more.

    Raises:
        DecodeError: the one video cannot be read.
        DataError: a list or folder is not there or names no videos; not one file of a list is there; or `video` is nothing
            of the kind.
        RunError: this machine does not have the device, or the device not the precision.
    """
    compute = compute.changed(**options)
    if isinstance(model, str | Path) and os.path.splitext(model)[1].lower() in VIDEO_SUFFIXES:  # noqa: PTH122 - or str
        raise DataError(f"model: {model} is a video; the model comes first: marey.predict(MODEL, VIDEO).")
    listed = as_videos([video] if isinstance(video, str | Path) else video, root=root)
    if isinstance(video, VideoEntry) or (isinstance(video, str | Path) and listed.ids.tolist() == [str(video)]):
        (found,) = predict_many(model, listed, compute)
        if found.error is not None:
            raise DecodeError(found.path, found.error.removeprefix(f"{found.path}: "))
        return replace(found, video=video) if isinstance(video, VideoEntry) else found
    answers = Predictions()
    with progress("Predicting", total=len(listed), unit="videos") as bar:
        for found in predict_many(model, listed, compute):
            answers.append(found)
            bar.advance()
    return answers


def predict_many(
    model: Classifier | Recipe | str | Path,
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
    views = ViewDataset(listed, model.recipe.test.sampling, model.recipe.pixels, model.recipe.flow)
    yield from answered(backend, model, views, listed, compute)


def answered(
    backend: Backend, model: Classifier, views: ViewDataset, listed: VideoList, compute: Compute
) -> Iterator[Prediction]:
    """As `predict_many`, by a backend that is open; `views` are those of the videos that are `listed`. At the end a line
    counts the long ones (`LongVideos`).
    """
    test, pixels = model.recipe.test, model.recipe.pixels
    task, calibration = task_of(model.recipe.task), model.calibration
    hashes = () if model.origin is None else (model.origin.sha256,)
    ahead = read_ahead(views, range(len(listed)), workers=compute.workers if len(listed) > 1 else 0)
    long = LongVideos(model)
    for video, item in zip(listed, ahead, strict=True):
        if isinstance(item, Broken):
            yield Prediction(video, np.empty(0, np.float32), (), item.reason)
            continue
        long.see(video, item)
        scores = score_video(backend, item, test, pixels, batch=compute.views, task=task, calibration=calibration)
        names = model.class_names or tuple(f"class {i}" for i in range(model.recipe.model.num_classes))
        found = task.prediction(video, scores, names, calibration)
        if hashes:
            found = replace(found, weights_file_sha256=hashes)
        report = backend.report()
        if report.ran != "eager":
            found = replace(found, backend={"ran": report.ran, "difference": report.difference})
        yield found
    long.tell()
