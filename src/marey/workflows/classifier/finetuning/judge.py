"""Fine-tune the network behind a classifier on frozen features, and judge on one fold whether it is better.

The network is fine-tuned on all folds but one, and compared on that fold with the head that was fitted on the same other
folds. Only if it predicts more of that fold's videos rightly, by more than the standard error of the difference, the
network is fine-tuned on all videos.
"""

import copy
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from marey.backends.compute import Compute
from marey.base.errors import DataError
from marey.base.files import write_text
from marey.base.jsonable import json_text, rename_key
from marey.base.processes import processor_seconds
from marey.base.readme import write_readme
from marey.base.reporter import notice
from marey.base.runs import LAST, STATE
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.files.missing import require_present
from marey.data.lists.manifest import Manifest
from marey.evaluation.protocol import weights_hash
from marey.evaluation.result import SCORES
from marey.evaluation.run import evaluate
from marey.evaluation.scores import Scores
from marey.models.network import Network
from marey.recipe import Recipe
from marey.tasks.choose import task_of
from marey.training.fit import fit
from marey.weights.load import load_model
from marey.workflows.classifier.finetuning.saved_start import TuningStart

JUDGED = "result.json"
"""The file of a `FoldComparison`."""
FOLD, ALL = "fold", "all"
"""Folders of the training without the fold that is judged on, and of the training on all videos."""


@dataclass(frozen=True)
class FoldComparison:
    """The fine-tuned network and the head, compared on the videos of one fold."""

    videos: int
    """Number of compared videos."""
    units: int
    """Number of recordings that the videos are from."""
    heads_right: int
    """Videos that the head predicts rightly: with several labels per video, each label scores above every other class."""
    tuned_right: int
    """Videos that the fine-tuned network predicts rightly, counted in the same way."""
    error: float | None
    """Standard error of the difference of the two shares, over recordings; None: there is one recording only."""
    epochs: int
    """Epochs of the training."""
    core_seconds: float
    """Core-seconds of training and testing by the processes that finished; time before an interruption is not
    included."""

    @property
    def difference(self) -> float:
        """Accuracy of the fine-tuned network less that of the head, -1 to 1."""
        return (self.tuned_right - self.heads_right) / self.videos

    @property
    def kept(self) -> bool:
        """Whether the fine-tuned network is kept: the difference exceeds its standard error."""
        return self.error is not None and self.difference > self.error

    @property
    def sentence(self) -> str:
        """The result in words."""
        counts = (
            f"of {counted(self.videos, 'video')} of one fold the fine-tuned network names {self.tuned_right} rightly, "
            f"the head on frozen features {self.heads_right}"
        )
        if self.error is None:
            return f"{counts}: not kept, because all are from one recording, which cannot show the error for others"
        points = f"{100 * self.difference:+.1f} points with a standard error of {100 * self.error:.1f}"
        fate = "kept" if self.kept else "not kept, because it is not better by more than that"
        return f"{counts}: {points}; {fate}"

    def save(self, path: Path) -> None:
        """Write its fields as JSON; `videos` has the key "clips"."""
        write_text(path, json_text(rename_key(asdict(self), "videos", "clips"), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "FoldComparison":
        """Read what `save` wrote.

        Raises:
            DataError: there is no such file, or it holds something else.
        """
        try:
            return cls(**rename_key(json.loads(path.read_text(encoding="utf-8")), "clips", "videos"))
        except (OSError, AttributeError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not a result of fine-tuning ({error}).") from None


@dataclass(frozen=True, eq=False)
class TunedNetwork:
    """The result of `tune_and_judge`."""

    record: FoldComparison
    """How the network compared with the head, on the videos of one fold."""
    classifier: Classifier | None
    """Fine-tuned on all videos, on the CPU, in eval mode, without calibration; None: not kept."""
    probabilities: NDArray[np.float32]
    """Predictions of the network fine-tuned on the other folds, for the M videos of the judged fold that could be read
    [M, K]. The calibration is fitted to them."""
    labels: NDArray[np.int64]
    """Labels of the M videos, in the form of `Task.labels`."""
    units: NDArray[np.int64]
    """The number of the recording of each of the M videos [M]."""


def tuning_name(classifier: Classifier, videos: Manifest, start: TuningStart, *, compute: Compute, seed: int) -> str:
    """The folder name of a fine-tuning. It differs by settings of training, seed, precision, start and list, so that each is
    resumed separately.
    """
    recipe = tuning_recipe(classifier)
    digest = hashlib.sha256()
    for text in (
        recipe.model_dump_json(), str(seed), compute.precision, videos.fingerprint, weights_hash(classifier), start.digest
    ):  # fmt: skip
        digest.update(f"{text}\n".encode())
    train = recipe.train
    return f"epochs-{train.epochs}-lr-{train.optimizer.lr:g}-seed-{seed}-{digest.hexdigest()[:8]}"


def tune_and_judge(
    classifier: Classifier,
    videos: Manifest,
    start: TuningStart,
    *,
    out: Path,
    compute: Compute,
    seed: int = 0,
    max_broken: float | None = None,
) -> TunedNetwork:
    """Fine-tune the network by the recipe's `train` on all folds but one, judge it on that one, and if it is better,
    fine-tune on all videos.

    Trainings that `out` holds are resumed; finished ones are only read.

    Args:
        classifier: A probe with the head that was fitted on all N videos. It is not changed.
        videos: The N videos, in the order of `start`.
        out: The folder of the two trainings and of result.json, for these settings only (`tuning_name`).

    Raises:
        DataError: `start` was made for other videos.
        MareyError: as `fit` and `evaluate`. After a stop signal the same call resumes.
    """
    if len(start.folds) != len(videos):
        raise DataError(
            f"{out}: fine-tuning was prepared for {counted(len(start.folds), 'video')}, and the list has "
            f"{len(videos):,}: train again, into another folder."
        )
    if not (out / JUDGED).exists():
        _judge(classifier, videos, start, out, compute, seed, max_broken)
    record = FoldComparison.load(out / JUDGED)
    notice(record.sentence)
    if not record.kept:
        return _tuned_network(out, videos, start, record, None)
    if not _is_trained(out / ALL):
        before = processor_seconds()
        _train(_copied(classifier), videos, out / ALL, compute, seed, max_broken)
        record = replace(record, core_seconds=round(record.core_seconds + processor_seconds() - before, 1))
        record.save(out / JUDGED)
    return load_kept(out, videos, start)


def load_kept(out: Path, videos: Manifest, start: TuningStart) -> TunedNetwork:
    """Load the result of `tune_and_judge` from the folder of a fine-tuning that is finished and was kept.

    Raises:
        DataError, WeightsError: its files do not exist, or are not as `tune_and_judge` wrote them.
    """
    return _tuned_network(out, videos, start, FoldComparison.load(out / JUDGED), load_model(out / ALL / LAST))


def _tuned_network(
    out: Path, videos: Manifest, start: TuningStart, record: FoldComparison, classifier: Classifier | None
) -> TunedNetwork:
    """The result in a folder, with the predictions for the judged fold."""
    scores = Scores.load(out / FOLD / SCORES)
    rows = _rows_of(scores, videos[start.judged])
    return TunedNetwork(record, classifier, scores.probabilities, scores.labels, start.units[start.judged][rows])


def is_tuned(out: Path) -> bool:
    """Whether the fine-tuning in this folder is finished: judged, and if it is kept, trained on all videos."""
    return (out / JUDGED).exists() and (_is_trained(out / ALL) or not FoldComparison.load(out / JUDGED).kept)


def count_finished(folder: Path) -> int:
    """The number of finished fine-tunings in the subfolders."""
    return sum(is_tuned(path) for path in folder.iterdir() if path.is_dir())


def _judge(
    classifier: Classifier,
    videos: Manifest,
    start: TuningStart,
    out: Path,
    compute: Compute,
    seed: int,
    max_broken: float | None,
) -> None:
    """Fine-tune on all folds but one, test on that one, and write the comparison with the head."""
    before, judged = processor_seconds(), videos[start.judged]
    require_present(max_broken, judged)  # checked before the training, since the test comes after it
    if not _is_trained(out / FOLD):
        _train(_without_fold(classifier, start), videos[start.others], out / FOLD, compute, seed, max_broken)
    # The test uses the default batch, which needs less memory than training, so that it resumes under any --batch.
    plain = compute.changed(backend="eager", batch=None)
    scores = evaluate(
        load_model(out / FOLD / LAST), judged, out=out / FOLD, max_broken=max_broken, compute=plain
    ).scores
    _fold_comparison(classifier.recipe, judged, start, scores, before).save(out / JUDGED)


def tuning_recipe(classifier: Classifier) -> Recipe:
    """The recipe of fine-tuning. If the recipe freezes no stages, the stem and the first two thirds of the stages are
    frozen: their backward pass costs most, and their weights change least.
    """
    recipe, network = classifier.recipe, classifier.network
    if recipe.train.frozen_stages >= 0 or not isinstance(network, Network):
        return recipe
    stages = max(network.layer_depth(name) for name, _ in network.named_parameters()) - 1
    return recipe.variant(train={"frozen_stages": 2 * stages // 3})


def _copied(classifier: Classifier) -> Classifier:
    """A copy of the classifier with the recipe of fine-tuning."""
    return Classifier(
        copy.deepcopy(classifier.network), tuning_recipe(classifier), classes=classifier.class_names,
        load_report=classifier.load_report, trained_on=classifier.trained_on,
    )  # fmt: skip


def _without_fold(classifier: Classifier, start: TuningStart) -> Classifier:
    """A copy of the classifier with the head of the other folds, which was not trained on the judged fold."""
    copied = _copied(classifier)
    copied.trained_on = None
    head = copied.network.get_submodule("head")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start.weight))
        head.bias.copy_(torch.from_numpy(start.bias))
    return copied


def _is_trained(out: Path) -> bool:
    """Whether a training is finished: its state, from which it would be resumed, was removed."""
    return (out / LAST).exists() and not (out / STATE).exists()


def _train(
    classifier: Classifier, videos: Manifest, out: Path, compute: Compute, seed: int, max_broken: float | None
) -> None:
    """Train to the end, then remove the training state, which is several times as large as the weights."""
    if out.exists() and not (out / STATE).exists():
        notice(f"{out}: a training that was stopped before its first state was written starts again")
        shutil.rmtree(out)
    fit(
        classifier, train=videos, out=out, seed=seed, resume=(out / STATE).exists(), max_broken=max_broken,
        compute=compute.changed(backend="eager"),
    )  # fmt: skip
    (out / STATE).unlink()
    write_readme(out)


def _fold_comparison(
    recipe: Recipe, judged: Manifest, start: TuningStart, scores: Scores, before: float
) -> FoldComparison:
    """The comparison on the readable videos of the judged fold; `before`: processor seconds at the beginning."""
    task = task_of(recipe.task)
    read = _rows_of(scores, judged)
    heads = task.right(start.scores[read], scores.labels)
    tuned = task.right(scores.probabilities, scores.labels)
    assert heads is not None and tuned is not None
    units = start.units[start.judged][read]
    return FoldComparison(
        videos=len(read), units=len(np.unique(units)), heads_right=int(heads.sum()), tuned_right=int(tuned.sum()),
        error=standard_error(tuned.astype(np.float64) - heads, units), epochs=recipe.train.epochs,
        core_seconds=round(processor_seconds() - before, 1),
    )  # fmt: skip


def _rows_of(scores: Scores, judged: Manifest) -> NDArray[np.int64]:
    """The row of each scored video in the list of judged videos."""
    rows = {video.id: row for row, video in enumerate(judged.videos)}
    return np.array([rows[name] for name in scores.ids], np.int64)


def standard_error(gains: NDArray[np.float64], units: NDArray[np.int64]) -> float | None:
    """The standard error of the mean of `gains` [M], clustered by their G units [M]; None if there is only one unit.

    It is the jackknife that leaves out one unit at a time (MacKinnon, Nielsen and Webb, Cluster-robust inference, Journal of
    Econometrics 2023), without its factor (G - 1) / G: the root of sum_g (mean without unit g - mean)^2. So a gain in one
    unit alone never exceeds its error, however many videos the unit has.
    """
    _, unit_of, counts = np.unique(units, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    shifts = np.bincount(unit_of, weights=gains - gains.mean()) / (len(gains) - counts)
    return float(np.sqrt((shifts**2).sum()))
