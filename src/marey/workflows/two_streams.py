"""Two networks on the same videos, their scores added: testing and answering."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.backends.compute import Compute
from marey.base.claim import Claim, Command, OutputPath
from marey.base.errors import RecipeError, WeightsError
from marey.base.processes import processes
from marey.base.readme import readme_around, write_readme
from marey.base.reporter import notice
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.lists.class_order import permutation
from marey.data.lists.videos import VideoList
from marey.data.loading.limited import Limits
from marey.evaluation.compare import compare_fused
from marey.evaluation.fusion import fuse, fuse_probabilities
from marey.evaluation.report.page import write_report
from marey.evaluation.result import EvaluationResult
from marey.evaluation.run import read_labelled
from marey.inference.predict import predict_many
from marey.recipe import Fusion, TwoStream
from marey.recipes import find_two_stream
from marey.tasks.all import task_of
from marey.tasks.prediction import Prediction
from marey.weights.fetching.obtain import check_row
from marey.weights.fetching.refusals import FETCH
from marey.workflows.models import check_model, open_model
from marey.workflows.testing import test_model


@dataclass(frozen=True)
class Streams:
    """Classifiers that answer together, and how.

    The temperature of a classifier's calibration corrects its own probabilities before they are fused. Its threshold was
    fitted to those and means nothing for the fused ones, so it is left out: no fused answer has `below_threshold`.
    """

    classifiers: tuple[Classifier, ...]
    fusion: Fusion = "logits"
    weights: tuple[float, ...] | None = None
    row: TwoStream | None = None
    """The row that they reproduce, if they do."""

    def __post_init__(self) -> None:
        """Refuse streams of other classes.

        Raises:
            RecipeError: they have not the same classes; or one names them and another does not.
        """
        classes = [classifier.num_classes for classifier in self.classifiers]
        if len(set(classes)) > 1:
            raise RecipeError(
                f"the streams tell {' and '.join(map(str, classes))} classes apart: they cannot be fused."
            )

        names = [classifier.class_names for classifier in self.classifiers]
        if None in names and any(names):
            raise RecipeError(
                "one stream names its classes and the other does not, so that nothing shows which is which: name them in "
                "order with --classes FILE."
            )
        if all(names) and any(self._order(number) is None for number in range(len(names))):
            mine, theirs = (set(one or ()) for one in names[:2])
            shown = ", ".join(sorted(theirs - mine)[:3])
            raise RecipeError(f"the streams have other classes, and cannot be fused: the first has no {shown}.")

    def _order(self, number: int) -> NDArray[np.int64] | None:
        """For each class of the first stream, which one it is in a stream that names its classes, [K]."""
        first, names = self.classifiers[0].class_names, self.classifiers[number].class_names
        if first == names:
            return np.arange(self.classifiers[0].num_classes)
        return permutation(names or (), first or ())

    def in_first_order(self, number: int, probabilities_K: NDArray[np.float32]) -> NDArray[np.float32]:
        """A stream's probabilities with the classes in the order of the first stream's."""
        order = self._order(number)
        assert order is not None  # __post_init__
        return probabilities_K[order]

    def tell_of_classes(self) -> None:
        """Say that classes without names are taken to be in one order."""
        if not any(classifier.class_names for classifier in self.classifiers):
            notice(
                f"no stream names its {counted(self.classifiers[0].num_classes, 'class')}: they are taken to be in the "
                "same order in "
                "all of them (--classes FILE names them)"
            )

    def tell_of_calibrations(self) -> None:
        """Say which calibrations there are, since they do not hold for fused probabilities."""
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
    """What a user names: one model, a row of two streams, or a model and one to fuse with it.

    `classes` names the classes of checkpoints which do not.

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
    command: str = FETCH,
) -> None:
    """See before any work that `open_models` will find weights; nothing is fetched.

    `command` goes before the name of another row in the message where there are none.

    Raises:
        RecipeError, WeightsError: a wrong name, or no weights to be had for it.
    """
    row = find_two_stream(first)
    if row is None and second is None and fuse_weights is not None:
        raise WeightsError(f"--fuse-weights {fuse_weights}: are of a second model, and none is named: --fuse NAME.")
    if row is not None and weights is None and fuse_weights is None and not untrained and not settings:
        check_row(row, trust_first_use=trust_first_use, command=command)
        return
    names = (row.rgb, row.flow) if row is not None else (first, second)
    for name, file, how in zip(names, (weights, fuse_weights), (command, "--fuse"), strict=True):
        if name is not None:
            check_model(
                name, weights=file, untrained=untrained, settings=settings, trust_first_use=trust_first_use, command=how
            )


def test_streams(
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
    """Test each stream in a folder of its own, fuse, compare, report. Goes on where it was interrupted.

    `second` is the list of the second stream, where its flow is stored. The rest is taken as by `test_model`.

    Raises:
        RunError: `out` holds another run, another process works there, or it cannot be written.
    """
    settings = {"streams": [classifier.recipe.name for classifier in streams.classifiers]}
    share = processes().rank if processes().world > 1 else None
    with Claim(OutputPath.folder(out), Command.EVALUATE, settings, share=share).held():
        streams.tell_of_classes()
        streams.tell_of_calibrations()
        tests = []
        for number, classifier in enumerate(streams.classifiers, start=1):
            videos = second if second is not None and number == 2 else data
            name = classifier.recipe.name
            notice(f"stream {number} of {len(streams.classifiers)}: {name}")
            tested = test_model(
                classifier, videos, out=out / f"stream{number}-{name}", root=root, classes=classes, split=split, only=only,
                max_broken=max_broken, compute=compute,
            )  # fmt: skip
            tests.append(tested)
        if not processes().first:
            return tests[0]  # what this process tested; the first one has all and fuses
        fused = _fused(streams, tests)
        fused.save(out)
        listed = read_labelled(data, streams.classifiers[0], root=root, classes=classes, split=split)
        notice(f"report: {write_report(out, listed)}")
        write_readme(out)
        readme_around(out)
        return fused


def _fused(streams: Streams, tests: Sequence[EvaluationResult]) -> EvaluationResult:
    """Fused over the videos that every stream could read; broken are those that one of them could not."""
    scores = [tested.scores for tested in tests]
    common = set(scores[0].keys).intersection(*(part.keys for part in scores[1:]))
    if not common:
        raise RecipeError("the streams have not one video in common.")
    fused = fuse([part.keep(common) for part in scores], weights=streams.weights, of=streams.fusion)
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
    """Answers of all streams together, video by video, as `predict_many` gives those of one."""
    streams.tell_of_classes()
    streams.tell_of_calibrations()
    each = (predict_many(one, videos, compute=compute, limits=limits) for one in streams.classifiers)
    for parts in zip(*each, strict=True):
        yield fused_answer(streams, parts)


def fused_answer(streams: Streams, parts: Sequence[Prediction]) -> Prediction:
    """The answer of all streams for one video from that of each; of a video that one of them cannot read, why."""
    seconds = sum(part.seconds or 0 for part in parts)
    broken = next((part for part in parts if part.error is not None), None)
    if broken is not None:
        return replace(broken, seconds=seconds)
    probabilities = np.stack(
        [streams.in_first_order(number, part.probabilities)[None] for number, part in enumerate(parts)]
    )
    task = task_of(streams.classifiers[0].recipe.task)
    fused = fuse_probabilities(probabilities, task, weights=streams.weights, of=streams.fusion)
    named = [part.backend for part in parts if part.backend is not None]
    ran = sorted({"eager" if part.backend is None else str(part.backend["ran"]) for part in parts})
    differences = [difference for one in named if isinstance(difference := one["difference"], float)]
    return Prediction(
        parts[0].video,
        fused[0],
        parts[0].class_names,
        backend={"ran": ran if len(ran) > 1 else ran[0], "difference": max(differences)} if differences else None,
        weights_file_sha256=tuple(one for part in parts for one in part.weights_file_sha256),
        content=parts[0].content,
        seconds=seconds,
    )
