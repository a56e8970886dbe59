"""What computes a row of a table from a decoded video: predictions of one network or two, or features."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic

import torch

from marey.backends.backend import Backend
from marey.backends.choose import open_backend
from marey.backends.compute import Compute
from marey.base.claim import Command
from marey.base.errors import RunError
from marey.base.jsonable import Json
from marey.base.reporter import notice
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.files.quarantine import Broken
from marey.data.lists.videos import VideoEntry, classes_text
from marey.data.loading.limited_decoding import Decoded
from marey.data.loading.view_decoder import ViewDecoder
from marey.engines.table_format import FeatureColumns, PredictionColumns, Row, TableColumns, VideoFeatures
from marey.evaluation.long_videos import LongVideoCounts
from marey.evaluation.protocol import model_settings
from marey.inference.features import features_of
from marey.inference.predict import Predictor, decoder_for
from marey.tasks.prediction import Prediction
from marey.workflows.two_streams import Streams, fuse_predictions

_MOST_IN_A_ROW = 10
"""Number of consecutive videos for which the network fails, after which the job ends with an error."""
_LONGEST = 300
"""Characters of a reason that are stored."""


class RowMaker(ABC, Generic[Row]):
    """Computes rows of one kind of table, each from a decoded video."""

    command: Command
    """The command that fills the table."""
    columns: TableColumns[Row]
    """The columns of the table."""
    settings: Mapping[str, Json]
    """What rows depend on: tables with equal settings may be merged."""
    decoders: tuple[ViewDecoder, ...]
    """For each network, how videos are decoded for it."""
    title: str
    """A clause for the first line of the output: "predicting with ..."."""
    device: str
    """Where the network computes: "cpu", "cuda:0"."""

    @abstractmethod
    def row(self, video: VideoEntry, decoded: Sequence[Decoded]) -> Row:
        """The row of a video, which was decoded once for each network."""

    def announce(self) -> None:
        """Print, before the first row, what is to be known about the results."""

    def report_counts(self) -> None:
        """Print, after the last row, what the counts of long videos show."""

    def take_counts(self) -> tuple[LongVideoCounts, ...]:
        """The counts of long videos since the last call, for another process, which adds them by `add_counts`."""
        return ()

    def add_counts(self, counts: tuple[LongVideoCounts, ...]) -> None:
        """Add the counts of another process."""


class PredictionRowMaker(RowMaker[Prediction]):
    """Predictions of one network, as by `marey.predict`, or of two networks that are fused."""

    def __init__(self, model: Classifier | Streams, compute: Compute, *, videos: int, top: int) -> None:
        models = model.classifiers if isinstance(model, Streams) else (model,)
        first = models[0]
        self._streams = model if isinstance(model, Streams) else None
        self._predictors = tuple(Predictor.open(one, compute, videos=videos) for one in models)
        columns = PredictionColumns(first.num_classes, min(top, first.num_classes))
        self.command, self.columns = Command.PREDICT, columns
        self.decoders = tuple(predictor.decoder for predictor in self._predictors)
        self.device = str(self._predictors[0].backend.device)
        own: dict[str, Json] = {"top": columns.top, "classes": list(first.class_names or ())}
        if isinstance(model, Streams):
            own |= {"fusion": model.fusion, "fusion_weights": None if model.weights is None else list(model.weights)}
        self.settings = _settings(models, compute, self._predictors[0].backend) | own
        classes = f", {classes_text(first.class_names)}" if first.class_names else ""
        self.title = f"predicting with {' and '.join(one.recipe.name for one in models)}{classes}"

    def row(self, video: VideoEntry, decoded: Sequence[Decoded]) -> Prediction:
        predictions = [predictor.predict(video, one) for predictor, one in zip(self._predictors, decoded, strict=True)]
        return predictions[0] if self._streams is None else fuse_predictions(self._streams, predictions)

    def announce(self) -> None:
        if self._streams is not None:
            self._streams.warn_of_unnamed_classes()
            self._streams.warn_of_calibrations()
            return
        calibration = self._predictors[0].model.calibration
        if calibration is not None and calibration.meaning:
            notice(calibration.meaning)

    def report_counts(self) -> None:
        for predictor in self._predictors:
            predictor.long.notify()

    def take_counts(self) -> tuple[LongVideoCounts, ...]:
        return tuple(predictor.long.take() for predictor in self._predictors)

    def add_counts(self, counts: tuple[LongVideoCounts, ...]) -> None:
        for predictor, own in zip(self._predictors, counts, strict=True):
            predictor.long.add(own)


class FeatureRowMaker(RowMaker[VideoFeatures]):
    """Features of one network, as by `marey.features`, in float32 or half precision."""

    def __init__(self, model: Classifier, compute: Compute, *, videos: int, per_clip: bool, half: bool) -> None:
        self._backend: Backend = open_backend(model, compute, views=videos * model.recipe.test.views)
        self._recipe, self._batch, self._per_clip = model.recipe, compute.views, per_clip
        clips = model.recipe.test.sampling.clips if per_clip else None
        columns = FeatureColumns(_feature_width(model), clips, half)
        self.command, self.columns = Command.FEATURES, columns
        self.decoders, self.device = (decoder_for(model.recipe),), str(self._backend.device)
        own: dict[str, Json] = {"per_clip": per_clip, "float16": half}
        self.settings = _settings((model,), compute, self._backend) | own
        self.title = f"features of {model.recipe.name}, {counted(columns.width, 'number')} each"

    def row(self, video: VideoEntry, decoded: Sequence[Decoded]) -> VideoFeatures:
        ((item, seconds),) = ((one.item, one.seconds) for one in decoded)
        if isinstance(item, Broken):
            return VideoFeatures(video, None, item.reason, seconds=seconds)
        begun = time.perf_counter()
        values = features_of(item, self._backend, self._recipe, batch=self._batch, per_clip=self._per_clip)
        return VideoFeatures(video, values, None, item.identity, seconds + time.perf_counter() - begun)


class TolerantRowMaker(Generic[Row]):
    """Computes one row after the other. A video for which the network fails becomes a failed row."""

    def __init__(self, maker: RowMaker[Row]) -> None:
        self._maker, self._failures = maker, 0

    def row(self, video: VideoEntry, decoded: Sequence[Decoded]) -> Row:
        """The row of a video, as by `RowMaker.row`.

        Raises:
            MareyError: as raised by `RowMaker.row`; or the network failed for `_MOST_IN_A_ROW` consecutive videos, so that
                no single video is the reason.
        """
        try:
            row = self._maker.row(video, decoded)
        except RuntimeError as error:  # of torch, also when a device is out of memory
            reason = f"{video.path}: the network failed: {' '.join(str(error).split())[:_LONGEST]}"
            self._failures += 1
            if self._failures >= _MOST_IN_A_ROW:
                raise RunError(f"{reason} (as for {counted(self._failures - 1, 'video')} before it).") from error
            broken = [Decoded(Broken(video.id, str(video.path), reason), one.seconds) for one in decoded]
            return self._maker.row(video, broken)
        self._failures = 0
        return row


def _settings(models: Sequence[Classifier], compute: Compute, backend: Backend) -> dict[str, Json]:
    """The settings that rows of every kind depend on."""
    first, others = models[0], models[1:]
    calibrations = [None if one.calibration is None else one.calibration.model_dump(mode="json") for one in models]
    return {
        "backend": compute.backend,
        **model_settings(first, precision=backend.precision),
        "calibration": calibrations if any(calibrations) else None,
        "fused": [model_settings(other) for other in others],
    }


@torch.inference_mode()
def _feature_width(model: Classifier) -> int:
    """The number of features of a network, found by a clip of zeros."""
    recipe, side = model.recipe, model.recipe.test.size
    clip = torch.zeros(1, recipe.model.channels, recipe.test.sampling.clip_frames, side, side, device=model.device)
    return model.features(clip).shape[1]
