"""What is done with each video of a corpus, and what its table says: answers of one network, of two, or features."""

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
from marey.data.loading.limited import Decoded
from marey.data.loading.views import ViewDecoder
from marey.engines.table import AnswerTable, FeatureTable, Row, Table, VideoFeatures
from marey.evaluation.long_videos import Counts
from marey.inference.features import features_of
from marey.inference.predict import Answerer, decoder_for
from marey.inference.resume import identity_of
from marey.tasks.prediction import Prediction
from marey.workflows.two_streams import Streams, fused_answer

_MOST_IN_A_ROW = 10
"""Videos in a row for which a network may fail."""
_LONGEST = 300
"""Characters of a reason that are kept."""


class Work(ABC, Generic[Row]):
    """One kind of work on a corpus: from a decoded video to a row of its table."""

    command: Command
    table: Table[Row]
    settings: Mapping[str, Json]
    """What rows depend on: tables with the same ones may be merged."""
    decoders: tuple[ViewDecoder, ...]
    """How each of the networks has a video decoded."""
    title: str
    """As the first line of the output has it: "answering with ..."."""
    device: str
    """Where the network computes: "cpu", "cuda:0"."""

    @abstractmethod
    def result(self, video: VideoEntry, decoded: Sequence[Decoded]) -> Row:
        """The row of a video, decoded once for each network."""

    def introduce(self) -> None:
        """Say before the work what its results mean."""

    def tell(self) -> None:
        """Say at the end what was counted on the way."""

    def take_counts(self) -> tuple[Counts, ...]:
        """What was counted since the last call, where another process is to say it."""
        return ()

    def add_counts(self, counts: tuple[Counts, ...]) -> None:
        """What `take_counts` gave elsewhere."""


class Answers(Work[Prediction]):
    """Answers of one network, as `marey.predict` gives them; or of two that are fused."""

    def __init__(self, model: Classifier | Streams, compute: Compute, *, videos: int, top: int) -> None:
        models = model.classifiers if isinstance(model, Streams) else (model,)
        first = models[0]
        self._fused = model if isinstance(model, Streams) else None
        self._answerers = tuple(Answerer.open(one, compute, videos=videos) for one in models)
        table = AnswerTable(first.num_classes, min(top, first.num_classes))
        self.command, self.table = Command.PREDICT, table
        self.decoders = tuple(answerer.decoder for answerer in self._answerers)
        self.device = str(self._answerers[0].backend.device)
        own: dict[str, Json] = {"top": table.top, "classes": list(first.class_names or ())}
        if isinstance(model, Streams):
            own |= {"fusion": model.fusion, "fusion_weights": None if model.weights is None else list(model.weights)}
        self.settings = _settings(models, compute, self._answerers[0].backend) | own
        classes = f", {classes_text(first.class_names)}" if first.class_names else ""
        self.title = f"answering with {_names(models)}{classes}"

    def result(self, video: VideoEntry, decoded: Sequence[Decoded]) -> Prediction:
        answers = [answerer.answer(video, one) for answerer, one in zip(self._answerers, decoded, strict=True)]
        return answers[0] if self._fused is None else fused_answer(self._fused, answers)

    def introduce(self) -> None:
        if self._fused is not None:
            self._fused.tell_of_classes()
            self._fused.tell_of_calibrations()
            return
        calibration = self._answerers[0].model.calibration
        if calibration is not None and calibration.meaning:
            notice(calibration.meaning)

    def tell(self) -> None:
        for answerer in self._answerers:
            answerer.long.tell()

    def take_counts(self) -> tuple[Counts, ...]:
        return tuple(answerer.long.take() for answerer in self._answerers)

    def add_counts(self, counts: tuple[Counts, ...]) -> None:
        for answerer, own in zip(self._answerers, counts, strict=True):
            answerer.long.add(own)


class Results(Generic[Row]):
    """The results of one video after the other, of which one where the network fails costs its own row."""

    def __init__(self, work: Work[Row]) -> None:
        self._work, self._in_a_row = work, 0

    def of(self, video: VideoEntry, decoded: Sequence[Decoded]) -> Row:
        """As `Work.result`.

        Raises:
            MareyError: as that; or the network failed for many videos in a row, so that no video is at fault.
        """
        try:
            result = self._work.result(video, decoded)
        except RuntimeError as error:  # torch's, of a device that lacks memory as well
            why = f"{video.path}: the network failed: {' '.join(str(error).split())[:_LONGEST]}"
            self._in_a_row += 1
            if self._in_a_row >= _MOST_IN_A_ROW:
                raise RunError(f"{why} (as for {counted(self._in_a_row - 1, 'video')} before it).") from error
            return self._work.result(
                video, [Decoded(Broken(video.id, str(video.path), why), one.seconds) for one in decoded]
            )
        self._in_a_row = 0
        return result


class Features(Work[VideoFeatures]):
    """Features of one network, as `marey.features` gives them, in float32 or half precision."""

    def __init__(self, model: Classifier, compute: Compute, *, videos: int, per_clip: bool, half: bool) -> None:
        self._backend: Backend = open_backend(model, compute, views=videos * model.recipe.test.views)
        self._recipe, self._batch, self._per_clip = model.recipe, compute.views, per_clip
        clips = model.recipe.test.sampling.clips if per_clip else None
        table = FeatureTable(_width(model), clips, half)
        self.command, self.table = Command.FEATURES, table
        self.decoders, self.device = (decoder_for(model.recipe),), str(self._backend.device)
        own: dict[str, Json] = {"per_clip": per_clip, "float16": half}
        self.settings = _settings((model,), compute, self._backend) | own
        self.title = f"features of {model.recipe.name}, {counted(table.width, 'number')} each"

    def result(self, video: VideoEntry, decoded: Sequence[Decoded]) -> VideoFeatures:
        ((item, seconds),) = ((one.item, one.seconds) for one in decoded)
        if isinstance(item, Broken):
            return VideoFeatures(video, None, item.reason, seconds=seconds)
        begun = time.perf_counter()
        values = features_of(item, self._backend, self._recipe, batch=self._batch, per_clip=self._per_clip)
        return VideoFeatures(video, values, None, item.identity, seconds + time.perf_counter() - begun)


def _settings(models: Sequence[Classifier], compute: Compute, backend: Backend) -> dict[str, Json]:
    """What rows of any kind depend on."""
    first, others = models[0], models[1:]
    calibrations = [None if one.calibration is None else one.calibration.model_dump(mode="json") for one in models]
    return {
        "backend": compute.backend,
        **identity_of(first, precision=backend.precision),
        "calibration": calibrations if any(calibrations) else None,
        "fused": [identity_of(other) for other in others],
    }


def _names(models: Sequence[Classifier]) -> str:
    return " and ".join(one.recipe.name for one in models)


@torch.inference_mode()
def _width(model: Classifier) -> int:
    """How many features a network gives, [B, D], by a clip of zeros."""
    recipe, side = model.recipe, model.recipe.test.size
    clip = torch.zeros(1, recipe.model.channels, recipe.test.sampling.clip_frames, side, side, device=model.device)
    return model.features(clip).shape[1]
