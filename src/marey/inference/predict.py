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
from marey.base.address import written
from marey.base.errors import DataError, DecodeError, in_python_words
from marey.base.limited import in_turn
from marey.base.reporter import progress
from marey.classifier import Classifier
from marey.data.files.missing import require_files
from marey.data.files.quarantine import Broken
from marey.data.lists.listing import VideosLike, as_videos
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import VideoEntry, VideoList
from marey.data.loading.limited import Decoded, Limits, decode_limited
from marey.data.loading.views import ViewDecoder
from marey.evaluation.long_videos import LongVideos
from marey.evaluation.views import score_video
from marey.recipe import Recipe
from marey.tasks.all import task_of
from marey.tasks.prediction import Prediction, Predictions
from marey.video.reading.suffixes import VIDEO_SUFFIXES
from marey.weights.load import as_classifier

_EARLY = 1000
"""Answers that may wait for that of an earlier video. They take a few KB each, decoded frames tens of MB."""


@overload
def predict(  # type: ignore[overload-overlap]  # one path is one video, though a str has characters
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
        video: What `marey predict` takes: the path or address of a video file, the path of a folder of frames, of a folder
            of videos or of a list; several of them; or a list of videos, with labels or without, or an entry of one. Of
            several videos there is an answer for each, and for one that cannot be read an answer with `error` and no
            probabilities.
        root: Folder of the relative paths of a list.
        compute: Device, precision, views in one pass, decoding processes and backend.
        limits: Time and memory that decoding one of several videos may take. One video alone is decoded in this process, as
            all are with workers=0, and no limit is kept.
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
    if isinstance(video, VideoEntry) or (isinstance(video, str | Path) and listed.ids.tolist() == [written(video)]):
        (found,) = predict_many(model, listed, compute=compute, limits=limits)
        if found.error is not None:
            raise DecodeError(found.path, found.error.removeprefix(f"{found.path}: "))
        return replace(found, video=video) if isinstance(video, VideoEntry) else found
    answers = Predictions()
    with progress("Predicting", total=len(listed), unit="videos") as bar:
        for found in predict_many(model, listed, compute=compute, limits=limits):
            answers.append(found)
            bar.advance()
    return answers


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
    """Answer for each video in turn, as soon as it is ready: `predict` for lists that do not fit into memory.

        for answer in marey.predict_many("runs/a", "list.csv", workers=4):
            print(answer.path, answer.top(1))

    A table of `marey predict --out answers.parquet` has the same rows, with `content`, `seconds` and `error`.

    Args:
        model: As `predict` takes it.
        videos: As `predict` takes them.
        root: Folder of the relative paths of a list.
        compute: Device, precision, views in one pass, decoding processes and backend.
        limits: Time and memory that decoding one of several videos may take. One video alone is decoded in this process, as
            all are with workers=0, and no limit is kept.
        **options: Fields of `compute` by name.

    Yields a prediction for each video, in order; one that cannot be read has `error` and no probabilities.

    Raises:
        DataError: as `predict`.
        RunError: this machine does not have the device, or the device not the precision or the backend.
    """
    compute = compute.changed(**options)
    check_backend(compute)
    model = as_classifier(model)
    listed = as_videos(videos, root=root)
    require_files(listed)
    if not len(listed):
        return iter(())
    answerer = Answerer.open(model, compute, videos=len(listed))
    return answered(answerer, listed, workers=compute.workers, limits=limits)


def answered(answerer: "Answerer", listed: VideoList, *, workers: int | None, limits: Limits) -> Iterator[Prediction]:
    """As `predict_many`, by a network that is open. At the end a line counts the long videos (`LongVideos`).

    While a video takes long, those that follow it are answered, and up to a thousand answers wait for its own.
    """
    found = decode_limited(
        (answerer.decoder,), listed, workers=workers if len(listed) > 1 else 0, limits=limits, spread=_EARLY
    )
    with contextlib.closing(found):
        yield from in_turn((number, answerer.answer(video, decoded)) for number, video, (decoded,) in found)
    answerer.long.tell()


def decoder_for(recipe: Recipe) -> ViewDecoder:
    """What decodes videos as a recipe's test has them, and looks at their content."""
    return ViewDecoder(recipe.test.sampling, recipe.pixels, recipe.flow, identify=True)


@dataclass(frozen=True, eq=False)
class Answerer:
    """Answers for one decoded video at a time: what every way to predict calls.

    answerer = Answerer.open(model, compute, videos=len(listed))
    decoded = decode_limited((answerer.decoder,), listed, workers=4)
    answers = {number: answerer.answer(video, one) for number, video, (one,) in decoded}
    """

    model: Classifier
    backend: Backend
    batch: int
    """Views in one pass."""
    long: LongVideos
    """Counts the videos that are too long to be answered as a whole."""

    @classmethod
    def open(cls, model: Classifier, compute: Compute, *, videos: int) -> "Answerer":
        """By the backend that `compute` asks for; "auto" compiles where about so many `videos` repay it.

        Raises:
            RunError: as `open_backend`.
        """
        backend = open_backend(model, compute, views=videos * model.recipe.test.views)
        return cls(model, backend, compute.views, LongVideos(model))

    @property
    def decoder(self) -> ViewDecoder:
        """What decodes videos for this network, and looks at their content."""
        return decoder_for(self.model.recipe)

    def answer(self, video: VideoEntry, decoded: Decoded) -> Prediction:
        """The answer for a video as `decoder` decoded it; of one that cannot be read, why."""
        item = decoded.item
        if isinstance(item, Broken):
            return Prediction(video, np.empty(0, np.float32), (), item.reason, seconds=decoded.seconds)
        begun = time.perf_counter()
        self.long.see(video, item)
        model, test, task = self.model, self.model.recipe.test, task_of(self.model.recipe.task)
        scores = score_video(
            self.backend, item, test, model.recipe.pixels, batch=self.batch, task=task, calibration=model.calibration
        )
        names = model.class_names or tuple(f"class {i}" for i in range(model.recipe.model.num_classes))
        report = self.backend.report()
        return replace(
            task.prediction(video, scores, names, model.calibration),
            weights_file_sha256=() if model.origin is None else (model.origin.sha256,),
            backend=None if report.ran == "eager" else {"ran": report.ran, "difference": report.difference},
            content=item.identity,
            seconds=decoded.seconds + time.perf_counter() - begun,
        )
