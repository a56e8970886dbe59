"""Two networks on the same videos, their scores added: testing and answering."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import RecipeError
from marey.base.processes import processes
from marey.base.reporter import notice
from marey.data.videos import VideoList
from marey.evaluation.compare import compare_fused
from marey.evaluation.evaluate import read_labelled
from marey.evaluation.fusion import fuse, fuse_probabilities
from marey.evaluation.report import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.scores import Scores
from marey.inference.predict import predict_many
from marey.models.network import Network
from marey.recipe import Fusion, TwoStream
from marey.recipes import find_two_stream
from marey.tasks.all import task_of
from marey.tasks.prediction import Prediction
from marey.workflows.models import open_model
from marey.workflows.testing import test_model


@dataclass(frozen=True)
class Streams:
    """Networks that answer together, and how."""

    networks: tuple[Network, ...]
    fusion: Fusion = "logits"
    weights: tuple[float, ...] | None = None
    row: TwoStream | None = None
    """The row that they reproduce, if they do."""

    def __post_init__(self) -> None:
        classes = [network.recipe.model.num_classes for network in self.networks]
        if len(set(classes)) > 1:
            raise RecipeError(
                f"the streams tell {' and '.join(map(str, classes))} classes apart: they cannot be fused."
            )


def open_streams(
    first: str,
    second: str | None,
    *,
    weights: Path | None,
    fuse_weights: Path | None,
    untrained: bool,
    settings: Sequence[str] = (),
) -> Streams | None:
    """The streams that a user names: a row of two, or a model and one to fuse with it; None where it is one model."""
    row = find_two_stream(first)
    if row is None and second is None:
        return None
    if row is not None and second is not None:
        raise RecipeError(f"{first} has two streams already: leave out --fuse {second}.")
    names = (row.rgb, row.flow) if row else (first, str(second))
    networks = tuple(
        open_model(name, weights=file, untrained=untrained, settings=settings)
        for name, file in zip(names, (weights, fuse_weights), strict=True)
    )
    if row is None:
        return Streams(networks)
    return Streams(networks, row.fusion, row.weights, row)


def test_streams(
    streams: Streams, data: Path, *, second: Path | None = None, out: Path, split: str | None, **options: Any
) -> EvaluationResult:
    """Test each stream in a folder of its own, fuse, compare, report. Goes on where it was interrupted.

    `second` is the list of the second stream, where its flow is stored.

    Raises:
        RunError: `out` holds another run, another process works there, or it cannot be written.
    """
    settings = {"streams": [network.recipe.name for network in streams.networks]}
    share = processes().rank if processes().world > 1 else None
    with Claim(OutputPath.folder(out), Command.EVALUATE, settings, share=share).held():
        return _tested(streams, data, second=second, out=out, split=split, **options)


def _tested(
    streams: Streams, data: Path, *, second: Path | None, out: Path, split: str | None, **options: Any
) -> EvaluationResult:
    scores = []
    for number, network in enumerate(streams.networks, start=1):
        listed = second if second is not None and number == 2 else data
        folder = out / f"stream{number}-{network.recipe.name}"
        notice(f"stream {number} of {len(streams.networks)}: {network.recipe.name}")
        scores.append(test_model(network, listed, out=folder, split=split, **options).scores)
    if not processes().first:
        return EvaluationResult(scores[0])  # what this process tested; the first one has all and fuses
    fused = _fused(streams, scores)
    fused.save(out)
    where = {name: options.get(name) for name in ("root", "classes")}
    manifest = read_labelled(data, streams.networks[0], **where, split=split)
    notice(f"report: {write_report(out, manifest)}")
    return fused


def _fused(streams: Streams, scores: Sequence[Scores]) -> EvaluationResult:
    """Fused over the videos that every stream could read."""
    common = set(scores[0].keys).intersection(*(part.keys for part in scores[1:]))
    if not common:
        raise RecipeError("the streams have not one video in common.")
    fused = fuse([part.keep(common) for part in scores], weights=streams.weights, of=streams.fusion)
    result = EvaluationResult(fused)
    if streams.row is None or streams.row.published is None:
        return result
    recipes = [network.recipe for network in streams.networks]
    comparison = compare_fused(
        streams.row.published, recipes, fused.protocol.parts, top1=result.top1, videos=result.num_videos
    )
    return EvaluationResult(fused, comparisons=(comparison,))


def predict_streams(streams: Streams, videos: VideoList, **options: Any) -> Iterator[Prediction]:
    """Answers of all streams together, video by video, as `predict_many` gives those of one."""
    for parts in zip(*(predict_many(network, videos, **options) for network in streams.networks), strict=True):
        broken = next((part for part in parts if part.error is not None), None)
        yield broken or _together(streams, parts)


def _together(streams: Streams, parts: Sequence[Prediction]) -> Prediction:
    probabilities = np.stack([part.probabilities[None] for part in parts])
    task = task_of(streams.networks[0].recipe.task)
    fused = fuse_probabilities(probabilities, task, weights=streams.weights, of=streams.fusion)
    return Prediction(parts[0].video, fused[0], parts[0].class_names)
