"""Two networks on the same videos, whose scores are fused: open, evaluate and predict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.backends.compute import Compute
from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import RecipeError, WeightsError
from marey.base.processes import processes
from marey.base.readme import write_parent_readme, write_readme
from marey.base.reporter import notice
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.lists.labels import class_permutation
from marey.data.lists.videos import VideoList
from marey.data.loading.limited_decoding import Limits
from marey.evaluation.compare import compare_fused
from marey.evaluation.fusion import fuse, fuse_probabilities
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.tested_list import read_labelled
from marey.inference.predict import predict_many
from marey.recipe import Fusion, TwoStream
from marey.recipes import find_two_stream
from marey.tasks.choose import task_of
from marey.tasks.prediction import Prediction
from marey.weights.fetching.obtain import check_row
from marey.weights.fetching.unavailable import FETCH_COMMAND
from marey.workflows.evaluate_model import evaluate_and_report
from marey.workflows.open_model import check_model, open_model


@dataclass(frozen=True)
class Streams:
    """Classifiers whose predictions are fused, and how.

    The temperature of a classifier's calibration corrects its own probabilities before they are fused. Its threshold was
    fitted to those and does not hold for fused ones, so no fused prediction has `below_threshold`.
    """

    classifiers: tuple[Classifier, ...]
    """The classifiers, one for each stream, with the same classes."""
    fusion: Fusion = "logits"
    """What is added up: "logits", the default, or "probabilities"."""
    weights: tuple[float, ...] | None = None
    """The weight of each classifier in the sum; None: equal weights."""
    row: TwoStream | None = None
    """The published row that they reproduce; None: they reproduce none."""

    def __post_init__(self) -> None:
        """Refuse streams whose classes differ.

        Raises:
            RecipeError: the streams have different classes; or one names its classes and another does not.
        """
        classes = [classifier.num_classes for classifier in self.classifiers]
        if len(set(classes)) > 1:
            raise RecipeError(f"the streams have {' and '.join(map(str, classes))} classes: they cannot be fused.")

        names = [classifier.class_names for classifier in self.classifiers]
        if None in names and any(names):
            raise RecipeError(
                "one stream names its classes and the other does not, so that their order cannot be compared: name them in "
                "order with --classes FILE."
            )
        if all(names) and any(self._order(index) is None for index in range(len(names))):
            mine, theirs = (set(one or ()) for one in names[:2])
            shown = ", ".join(sorted(theirs - mine)[:3])
            raise RecipeError(f"the streams have different classes and cannot be fused: the first has no {shown}.")

    def _order(self, index: int) -> NDArray[np.int64] | None:
        """For each class of the first stream its index in stream `index` [K]; None: that stream has other classes."""
        first, names = self.classifiers[0].class_names, self.classifiers[index].class_names
        if first == names:
            return np.arange(self.classifiers[0].num_classes)
        return class_permutation(names or (), first or ())

    def in_first_order(self, index: int, probabilities_K: NDArray[np.float32]) -> NDArray[np.float32]:
        """The probabilities of stream `index` [K], in the class order of the first stream."""
        order = self._order(index)
        assert order is not None  # __post_init__
        return probabilities_K[order]

    def warn_of_unnamed_classes(self) -> None:
        """Print a notice if no stream names its classes, so that the same order is assumed."""
        if not any(classifier.class_names for classifier in self.classifiers):
            notice(
                f"no stream names its {counted(self.classifiers[0].num_classes, 'class')}: the same order is "
                "assumed in all of them (--classes FILE names them)"
            )

    def warn_of_calibrations(self) -> None:
        """Print a notice about calibrations: they do not hold for fused probabilities."""
        names = [one.recipe.name for one in self.classifiers if one.calibration is not None]
        if names:
            notice(
                f"{', '.join(names)}: the calibration was fitted to one stream: its temperature corrects that stream, its "
                "threshold is left out, and the fused probabilities are not calibrated"
            )


def open_models(
    first: str,
    second: str | None = None,
    *,
    weights: str | Path | None = None,
    fuse_weights: str | Path | None = None,
    untrained: bool = False,
    settings: Sequence[str] = (),
    trust_first_use: bool = False,
    classes: Sequence[str] | None = None,
) -> Classifier | Streams:
    """Open what a user names: one model, a row of two streams, or a model and one to fuse with it.

    Args:
        classes: Names for the classes of checkpoints that have none.

    Raises:
        RecipeError, WeightsError: as `open_model`; or a model to fuse with a row that has two streams already.
    """
    check_models(
        first, second, weights=weights, fuse_weights=fuse_weights, untrained=untrained, settings=settings,
        trust_first_use=trust_first_use,
    )  # fmt: skip
    row = find_two_stream(first)
    if row is None and second is None:
        return open_model(
            first, weights=weights, untrained=untrained, settings=settings, trust_first_use=trust_first_use,
            classes=classes,
        )  # fmt: skip
    if row is not None and second is not None:
        raise RecipeError(f"{first} has two streams already: leave out --fuse {second}.")
    names = (row.rgb, row.flow) if row else (first, str(second))
    classifiers = tuple(
        open_model(
            name, weights=file, untrained=untrained, settings=settings, trust_first_use=trust_first_use, classes=classes
        )
        for name, file in zip(names, (weights, fuse_weights), strict=True)
    )
    if row is None:
        return Streams(classifiers)
    return Streams(classifiers, row.fusion, row.weights, row)


def check_models(
    first: str,
    second: str | None = None,
    *,
    weights: str | Path | None = None,
    fuse_weights: str | Path | None = None,
    untrained: bool = False,
    settings: Sequence[str] = (),
    trust_first_use: bool = False,
    command: str = FETCH_COMMAND,
) -> None:
    """Check before any work that `open_models` will find weights. Nothing is downloaded.

    Args:
        command: Where there are no weights, the message suggests this command with the name of a row that has them.

    Raises:
        RecipeError, WeightsError: a wrong name, or no weights can be obtained for it.
    """
    row = find_two_stream(first)
    if row is None and second is None and fuse_weights is not None:
        raise WeightsError(f"--fuse-weights {fuse_weights}: are for a second model, and none is named: --fuse NAME.")
    if row is not None and weights is None and fuse_weights is None and not untrained and not settings:
        check_row(row, trust_first_use=trust_first_use, command=command)
        return
    names = (row.rgb, row.flow) if row is not None else (first, second)
    for name, file, before in zip(names, (weights, fuse_weights), (command, "--fuse"), strict=True):
        if name is not None:
            check_model(
                name,
                weights=file,
                untrained=untrained,
                settings=settings,
                trust_first_use=trust_first_use,
                command=before,
            )


def evaluate_streams(
    streams: Streams,
    data: Path,
    *,
    second: Path | None = None,
    out: Path,
    root: Path | None = None,
    classes: Path | Sequence[str] | None = None,
    split: str | None = None,
    only: Path | None = None,
    max_broken: float | None = None,
    compute: Compute = Compute(),  # noqa: B008 - frozen
) -> EvaluationResult:
    """Evaluate each stream into its own folder, fuse, compare, report. A second call resumes where one was interrupted.

    Args:
        second: The list of the second stream, where its flow is stored; None: `data`. The other arguments are as for
            `evaluate_and_report`.

    Raises:
        RunError: `out` holds another run, another process works there, or it cannot be written.
    """
    settings = {"streams": [classifier.recipe.name for classifier in streams.classifiers]}
    share = processes().rank if processes().world > 1 else None
    with Claim(OutputPath.folder(out), Command.EVALUATE, settings, share=share).held():
        streams.warn_of_unnamed_classes()
        streams.warn_of_calibrations()
        tests = []
        for number, classifier in enumerate(streams.classifiers, start=1):
            videos = second if second is not None and number == 2 else data
            name = classifier.recipe.name
            notice(f"stream {number} of {len(streams.classifiers)}: {name}")
            tested = evaluate_and_report(
                classifier, videos, out=out / f"stream{number}-{name}", root=root, classes=classes, split=split, only=only,
                max_broken=max_broken, compute=compute,
            )  # fmt: skip
            tests.append(tested)
        if not processes().first:
            return tests[0]  # this process's share; the first process has all results and fuses them
        fused = _fused(streams, tests)
        fused.save(out)
        listed = read_labelled(data, streams.classifiers[0], root=root, classes=classes, split=split)
        notice(f"report: {write_report(out, listed)}")
        write_readme(out)
        write_parent_readme(out)
        return fused


def _fused(streams: Streams, tests: Sequence[EvaluationResult]) -> EvaluationResult:
    """The fused result over the videos that every stream could read; the others are its broken ones.

    Raises:
        RecipeError: no video was read by every stream.
    """
    scores = [tested.scores for tested in tests]
    common = set(scores[0].keys).intersection(*(own.keys for own in scores[1:]))
    if not common:
        raise RecipeError("the streams have no video in common.")
    fused = fuse([own.keep(common) for own in scores], weights=streams.weights, of=streams.fusion)
    result = EvaluationResult(
        fused, tuple({broken.path: broken for tested in tests for broken in tested.broken}.values())
    )
    if streams.row is None or streams.row.published is None:
        return result
    recipes = [classifier.recipe for classifier in streams.classifiers]
    comparison = compare_fused(
        streams.row.published, recipes, fused.protocol.parts, top1=result.top1, videos=result.num_videos
    )
    return replace(result, comparisons=(comparison,))


def predict_streams(
    streams: Streams,
    videos: VideoList,
    compute: Compute,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> Iterator[Prediction]:
    """The fused prediction for each video, in the order of `predict_many`."""
    streams.warn_of_unnamed_classes()
    streams.warn_of_calibrations()
    each = (predict_many(one, videos, compute=compute, limits=limits) for one in streams.classifiers)
    for predictions in zip(*each, strict=True):
        yield fuse_predictions(streams, predictions)


def fuse_predictions(streams: Streams, predictions: Sequence[Prediction]) -> Prediction:
    """The fused prediction for one video from that of each stream; if one could not read the video, its error."""
    seconds = sum(one.seconds or 0 for one in predictions)
    broken = next((one for one in predictions if one.error is not None), None)
    if broken is not None:
        return replace(broken, seconds=seconds)
    probabilities = np.stack(
        [streams.in_first_order(index, one.probabilities)[None] for index, one in enumerate(predictions)]
    )
    first, task = predictions[0], task_of(streams.classifiers[0].recipe.task)
    fused = fuse_probabilities(probabilities, task, weights=streams.weights, of=streams.fusion)
    backends = [one.backend for one in predictions if one.backend is not None]
    ran = sorted({"eager" if one.backend is None else str(one.backend["ran"]) for one in predictions})
    differences = [difference for backend in backends if isinstance(difference := backend["difference"], float)]
    return Prediction(
        first.video,
        fused[0],
        first.class_names,
        backend={"ran": ran if len(ran) > 1 else ran[0], "difference": max(differences)} if differences else None,
        weights_file_sha256=tuple(digest for one in predictions for digest in one.weights_file_sha256),
        content=first.content,
        seconds=seconds,
    )
