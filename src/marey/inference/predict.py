"""Predictions for videos without labels, with the same preprocessing as in testing."""

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack, overload

import numpy as np

from marey.backends.backend import Backend
from marey.backends.choose import check_backend, open_backend
from marey.backends.compute import Compute, ComputeOptions
from marey.base.address import as_listed
from marey.base.errors import DataError, DecodeError, in_python_words
from marey.base.limited.pool import in_item_order
from marey.base.reporter import progress
from marey.classifier import Classifier
from marey.data.files.missing import require_files
from marey.data.files.quarantine import Broken
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_videos import VideosLike, as_videos
from marey.data.lists.videos import VideoEntry, VideoList
from marey.data.loading.limited_decoding import Decoded, Limits, decode_limited
from marey.data.loading.view_decoder import ViewDecoder
from marey.evaluation.long_videos import LongVideos
from marey.evaluation.views import score_video
from marey.recipe import Recipe
from marey.tasks.choose import task_of
from marey.tasks.prediction import Prediction, Predictions
from marey.video.reading.suffixes import VIDEO_SUFFIXES
from marey.weights.load import as_classifier

_EARLY = 1000
"""At most so many predictions wait for the prediction of an earlier video. Predictions wait, not decoded frames: one takes
a few KB, the frames of a video tens of MB."""


@overload
def predict(  # type: ignore[overload-overlap]  # a str is also an Iterable[str]: as a path it is one video
    model: Classifier | Recipe | str | Path,
    video: str | Path | VideoEntry,
    *,
    root: str | Path | None = ...,
    compute: Compute = ...,
    limits: Limits = ...,
    **options: Unpack[ComputeOptions],
) -> Prediction: ...
@overload
def predict(
    model: Classifier | Recipe | str | Path,
    video: VideoList | Manifest | Iterable[str | Path | VideoEntry],
    *,
    root: str | Path | None = ...,
    compute: Compute = ...,
    limits: Limits = ...,
    **options: Unpack[ComputeOptions],
) -> Predictions: ...
@in_python_words()
def predict(
    model: Classifier | Recipe | str | Path,
    video: VideosLike,
    *,
    root: str | Path | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> Prediction | Predictions:
    """Predict the classes of one video or several, from all the views of `model.recipe.test`, as `marey predict` does.

        predict(model, "kick.mp4")                       the prediction for one video: a file, or a folder of its frames
        predict("runs/a", ["kick.mp4", "throw.mp4"])     a list of predictions, in that order
        predict("runs/a", "clips/")                      for all videos in a folder
        predict("runs/a", "list.csv")                    or in a list
        predict(model, marey.read_videos("clips/"))      the same; type checkers know that it returns a list

    The probabilities equal those that `evaluate` writes for the same video, `batch` and backend, to the last bit.

    Args:
        model: As `load_model` gives it, or a `Classifier` around your own module; or what `load_model` takes: a checkpoint,
            the folder of a run, a recipe or its name.
        video: What `marey predict` takes: the path or address of a video file, the path of a folder of frames, of a folder
            of videos or of a list; several of them; or a list of videos, with labels or without, or one of its entries. If
            one of several videos cannot be read, its prediction has `error` and no probabilities.
        root: Folder that the list's paths are relative to.
        compute: Device, precision, views per forward pass, decoding processes and backend.
        limits: Time and memory that decoding may take for each of several videos. A single video, and all videos with
            workers=0, are decoded in this process without limits.
        **options: Fields of `compute` by name: device="cuda", batch=16, workers=4.

    Returns a `Prediction` if `video` is one video: a file, a folder of frames, or an entry of a list. Otherwise
    `Predictions`, also for a folder or list that holds one video. The most probable classes are `prediction.top(5)`. Type
    checkers assume that a path is one video, because only the file system shows whether it is more.

    Raises:
        DecodeError: the one video cannot be read.
        DataError: a list or folder does not exist or names no videos; no file of a list exists; or `video` is none of these.
        RunError: this machine lacks the device, or the device lacks the precision.
    """
    compute = compute.changed(**options)
    if isinstance(model, str | Path) and os.path.splitext(model)[1].lower() in VIDEO_SUFFIXES:  # noqa: PTH122 - or str
        raise DataError(f"model: {model} is a video; the model comes first: marey.predict(MODEL, VIDEO).")
    listed = as_videos([video] if isinstance(video, str | Path) else video, root=root)
    if isinstance(video, VideoEntry) or (isinstance(video, str | Path) and listed.ids.tolist() == [as_listed(video)]):
        (found,) = predict_many(model, listed, compute=compute, limits=limits)
        if found.error is not None:
            raise DecodeError(found.path, found.error.removeprefix(f"{found.path}: "))
        return replace(found, video=video) if isinstance(video, VideoEntry) else found
    predictions = Predictions()
    with progress("Predicting", total=len(listed), unit="videos") as bar:
        for found in predict_many(model, listed, compute=compute, limits=limits):
            predictions.append(found)
            bar.advance()
    return predictions


@in_python_words()
def predict_many(
    model: Classifier | Recipe | str | Path,
    videos: VideosLike,
    *,
    root: str | Path | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
    limits: Limits = Limits(),  # noqa: B008 - frozen
    **options: Unpack[ComputeOptions],
) -> Iterator[Prediction]:
    """Yield a prediction for each video, as soon as it is ready: `predict` for lists that do not fit into memory.

        for prediction in marey.predict_many("runs/a", "list.csv", workers=4):
            print(prediction.path, prediction.top(1))

    A table of `marey predict --out answers.parquet` has the same rows, with `content`, `seconds` and `error`.

    Args:
        model: As `predict` takes it.
        videos: As `predict` takes them.
        root: Folder that the list's paths are relative to.
        compute: Device, precision, views per forward pass, decoding processes and backend.
        limits: Time and memory that decoding may take for each of several videos. A single video, and all videos with
            workers=0, are decoded in this process without limits.
        **options: Fields of `compute` by name.

    Yields a prediction for each video, in order; one that cannot be read has `error` and no probabilities.

    Raises:
        DataError: as `predict`.
        RunError: this machine lacks the device, or the device lacks the precision or the backend.
    """
    compute = compute.changed(**options)
    check_backend(compute)
    model = as_classifier(model)
    listed = as_videos(videos, root=root)
    require_files(listed)
    if not len(listed):
        return iter(())
    predictor = Predictor.open(model, compute, videos=len(listed))
    return predict_each(predictor, listed, workers=compute.workers, limits=limits)


def predict_each(
    predictor: "Predictor", listed: VideoList, *, workers: int | None, limits: Limits
) -> Iterator[Prediction]:
    """As `predict_many`, with an open network. At the end a notice counts the videos that are too long (`LongVideos`).

    While one video takes long, the following videos are predicted, and up to a thousand of their predictions wait for it.
    """
    found = decode_limited(
        (predictor.decoder,), listed, workers=workers if len(listed) > 1 else 0, limits=limits, spread=_EARLY
    )
    with contextlib.closing(found):
        yield from in_item_order((number, predictor.predict(video, decoded)) for number, video, (decoded,) in found)
    predictor.long.notify()


def decoder_for(recipe: Recipe) -> ViewDecoder:
    """The decoder of the videos of a recipe's test, which also computes the identity of their content."""
    return ViewDecoder(recipe.test.sampling, recipe.pixels, recipe.flow, identify=True)


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts one decoded video at a time; used by `predict`, by tables and by jobs on several machines.

    predictor = Predictor.open(model, compute, videos=len(listed))
    decoded = decode_limited((predictor.decoder,), listed, workers=4)
    predictions = {number: predictor.predict(video, one) for number, video, (one,) in decoded}
    """

    model: Classifier
    """The classifier that predicts."""
    backend: Backend
    """The backend that runs its network."""
    batch: int
    """Views per forward pass, at most."""
    long: LongVideos
    """Counts the videos that are too long for the few frames that the network sees."""

    @classmethod
    def open(cls, model: Classifier, compute: Compute, *, videos: int) -> "Predictor":
        """With the backend that `compute` asks for; "auto" compiles if about so many `videos` repay it.

        Raises:
            RunError: as `open_backend`.
        """
        backend = open_backend(model, compute, views=videos * model.recipe.test.views)
        return cls(model, backend, compute.views, LongVideos(model))

    @property
    def decoder(self) -> ViewDecoder:
        """The decoder of videos for this network, which also computes the identity of their content."""
        return decoder_for(self.model.recipe)

    def predict(self, video: VideoEntry, decoded: Decoded) -> Prediction:
        """The prediction for a video that `decoder` decoded; if it cannot be read, with the reason in `error`."""
        item = decoded.item
        if isinstance(item, Broken):
            return Prediction(video, np.empty(0, np.float32), (), item.reason, seconds=decoded.seconds)
        start = time.perf_counter()
        self.long.count(video, item)
        model, test, task = self.model, self.model.recipe.test, task_of(self.model.recipe.task)
        scores = score_video(
            self.backend, item, test, model.recipe.pixels, batch=self.batch, task=task, calibration=model.calibration
        )
        names = model.class_names or tuple(f"class {i}" for i in range(model.recipe.model.num_classes))
        report = self.backend.report()
        return replace(
            task.as_prediction(video, scores, names, model.calibration),
            weights_file_sha256=() if model.origin is None else (model.origin.sha256,),
            backend=None if report.ran == "eager" else {"ran": report.ran, "difference": report.difference},
            content=item.identity,
            seconds=decoded.seconds + time.perf_counter() - start,
        )
