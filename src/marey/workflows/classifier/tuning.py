"""Tune the network behind a classifier on frozen features: whether it pays, and the tuned classifier.

It pays where the network that is tuned on all folds but one answers more clips of that fold rightly than the head that was
fitted on the same other folds, by more than the difference's own error. Only then it is tuned on all clips.
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
from marey.base.jsonable import json_text
from marey.base.processes import processor_seconds
from marey.base.readme import write_readme
from marey.base.reporter import notice
from marey.base.runs import LAST, STATE
from marey.base.words import counted
from marey.classifier import Classifier
from marey.data.files.missing import require_present
from marey.data.lists.manifest import Manifest
from marey.evaluation.result import SCORES
from marey.evaluation.run import evaluate, weights_hash
from marey.evaluation.scores import Scores
from marey.models.network import Network
from marey.recipe import Recipe
from marey.tasks.all import task_of
from marey.training.fit import fit
from marey.weights.load import load_model
from marey.workflows.classifier.tuning_start import TuningStart

JUDGED = "result.json"
"""How a tuning was judged."""
FOLD, ALL = "fold", "all"
"""Folders of the training without the fold that judges, and of that on all clips."""


@dataclass(frozen=True)
class Tuned:
    """How tuning was judged, on the clips of one fold."""

    clips: int
    units: int
    """Recordings that the clips are from."""
    heads_right: int
    """Clips that the head on frozen features names rightly; with several labels a clip, those each of whose labels scores
    higher than every other class."""
    tuned_right: int
    """As `heads_right`, of the tuned network."""
    error: float | None
    """Standard error of the difference of the two shares, over units; None of a single unit."""
    epochs: int
    core_seconds: float
    """Spent on training and testing by the processes that came to the end of a training; without what was spent before a
    stop in the middle of one."""

    @property
    def difference(self) -> float:
        """Share of right clips of the tuned network less that of the head, -1 to 1."""
        return (self.tuned_right - self.heads_right) / self.clips

    @property
    def kept(self) -> bool:
        """Whether it is better by more than its own error."""
        return self.error is not None and self.difference > self.error

    @property
    def sentence(self) -> str:
        """What came of it, in words."""
        counts = (
            f"of {counted(self.clips, 'clip')} of one fold the fine-tuned network names {self.tuned_right} rightly, the "
            f"head on frozen features {self.heads_right}"
        )
        if self.error is None:
            return f"{counts}: not kept, because all are from one recording, which shows nothing of others"
        points = f"{100 * self.difference:+.1f} points with a standard error of {100 * self.error:.1f}"
        fate = "kept" if self.kept else "not kept, because it is not better by more than that"
        return f"{counts}: {points}; {fate}"

    def save(self, path: Path) -> None:
        """Write its fields as JSON."""
        write_text(path, json_text(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Tuned":
        """Read what `save` wrote.

        Raises:
            DataError: there is no such file, or it holds something else.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise DataError(f"{path}: not the record of a tuning ({error}).") from None


@dataclass(frozen=True, eq=False)
class Tuning:
    """What `tune` gives."""

    record: Tuned
    classifier: Classifier | None
    """Tuned on all clips, on the CPU, in eval mode, without calibration; None where it was not kept."""
    answers: NDArray[np.float32]
    """[M, K]: probabilities of the network tuned on the other folds, for the clips of the judged one that could be read:
    what a calibration of the tuned classifier is fitted to."""
    labels: NDArray[np.int64]
    """Of these clips, as `Task.labels` gives them."""
    units: NDArray[np.int64]
    """[M]: the recording of each of these clips, by its number."""


# -- tuning ------------------------------------------------------------------------------------------------------------


def tuning_name(classifier: Classifier, videos: Manifest, start: TuningStart, *, compute: Compute, seed: int) -> str:
    """The name of the folder of a tuning: another one for other settings of the training, another seed, precision, start
    or list, so that each goes on where it was.
    """
    recipe = tuning_recipe(classifier)
    digest = hashlib.sha256()
    for text in (
        recipe.model_dump_json(), str(seed), compute.precision, videos.fingerprint, weights_hash(classifier), start.digest
    ):  # fmt: skip
        digest.update(f"{text}\n".encode())
    train = recipe.train
    return f"epochs-{train.epochs}-lr-{train.optimizer.lr:g}-seed-{seed}-{digest.hexdigest()[:8]}"


def tune(
    classifier: Classifier,
    videos: Manifest,
    start: TuningStart,
    *,
    out: Path,
    compute: Compute,
    seed: int = 0,
    max_broken: float | None = None,
) -> Tuning:
    """Tune the network by the recipe's `train` on all folds but one, judge it there, and where it pays tune it on all.

    Where `out` holds these trainings already, or parts of them, they are resumed; what is finished is only read.

    Args:
        classifier: A probe on N videos with the head that was fitted on all of them; it stays as it is.
        videos: The N videos, the rows that `start` is about.
        out: The folder of the two trainings and of result.json, of these settings alone (`tuning_name`).

    Raises:
        DataError: `start` is about other videos.
        MareyError: as `fit` and `evaluate`; asked to stop, it goes on where it was when it is called again.
    """
    if len(start.folds) != len(videos):
        raise DataError(
            f"{out}: the start of the tuning is about {counted(len(start.folds), 'video')}, and the list has "
            f"{len(videos):,}: train again, into another folder."
        )
    if not (out / JUDGED).exists():
        _judge(classifier, videos, start, out, compute, seed, max_broken)
    record = Tuned.load(out / JUDGED)
    notice(record.sentence)
    if not record.kept:
        return _tuning_in(out, videos, start, record, None)
    if not _is_trained(out / ALL):
        before = processor_seconds()
        _train(_copied(classifier), videos, out / ALL, compute, seed, max_broken)
        record = replace(record, core_seconds=round(record.core_seconds + processor_seconds() - before, 1))
        record.save(out / JUDGED)
    return kept_tuning(out, videos, start)


def kept_tuning(out: Path, videos: Manifest, start: TuningStart) -> Tuning:
    """What `tune` gave for these videos and this start, from the folder of a tuning that was kept and finished.

    Raises:
        DataError, WeightsError: its files are not there, or not as `tune` wrote them.
    """
    return _tuning_in(out, videos, start, Tuned.load(out / JUDGED), load_model(out / ALL / LAST))


def _tuning_in(out: Path, videos: Manifest, start: TuningStart, record: Tuned, classifier: Classifier | None) -> Tuning:
    """The tuning in a folder, with the answers for the clips of the judged fold."""
    scores = Scores.load(out / FOLD / SCORES)
    rows = _rows_of(scores, videos[start.judged])
    return Tuning(record, classifier, scores.probabilities, scores.labels, start.units[start.judged][rows])


def came_to_end(out: Path) -> bool:
    """Whether a tuning in this folder came to its end: it was judged, and trained on all clips where it is to be kept."""
    return (out / JUDGED).exists() and (_is_trained(out / ALL) or not Tuned.load(out / JUDGED).kept)


def tried_in(folder: Path) -> int:
    """How many tunings in the folders of this one came to their end."""
    return sum(came_to_end(path) for path in folder.iterdir() if path.is_dir())


def _judge(
    classifier: Classifier,
    videos: Manifest,
    start: TuningStart,
    out: Path,
    compute: Compute,
    seed: int,
    max_broken: float | None,
) -> None:
    """Tune on all folds but one, test on that one, and write how it compares with the head."""
    before, judged = processor_seconds(), videos[start.judged]
    require_present(max_broken, judged)  # before the training, after which it is tested alone
    if not _is_trained(out / FOLD):
        _train(_without_fold(classifier, start), videos[start.others], out / FOLD, compute, seed, max_broken)
    # The batch is no setting of the test, which so goes on under any: its default needs less memory than training.
    plain = compute.changed(backend="eager", batch=None)
    scores = evaluate(
        load_model(out / FOLD / LAST), judged, out=out / FOLD, max_broken=max_broken, compute=plain
    ).scores
    _judged(classifier.recipe, judged, start, scores, before).save(out / JUDGED)


def tuning_recipe(classifier: Classifier) -> Recipe:
    """The recipe by which a classifier is tuned: where it freezes no stages itself, with the stem and the first two thirds
    of the stages frozen, whose backward pass costs most and changes least.
    """
    recipe, network = classifier.recipe, classifier.network
    if recipe.train.frozen_stages >= 0 or not isinstance(network, Network):
        return recipe
    stages = max(network.layer_depth(name) for name, _ in network.named_parameters()) - 1
    return recipe.variant(train={"frozen_stages": 2 * stages // 3})


def _copied(classifier: Classifier) -> Classifier:
    """The classifier with a network of its own, ready to be tuned."""
    return Classifier(
        copy.deepcopy(classifier.network), tuning_recipe(classifier), classes=classifier.class_names,
        load_report=classifier.load_report, trained_on=classifier.trained_on,
    )  # fmt: skip


def _without_fold(classifier: Classifier, start: TuningStart) -> Classifier:
    """The same with the head of the other folds, and so not trained on the judged one."""
    made = _copied(classifier)
    made.trained_on = None
    head = made.network.get_submodule("head")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(start.weight))
        head.bias.copy_(torch.from_numpy(start.bias))
    return made


def _is_trained(out: Path) -> bool:
    """Whether a training came to its end: there its state, from which it would go on, was removed."""
    return (out / LAST).exists() and not (out / STATE).exists()


def _train(
    classifier: Classifier, videos: Manifest, out: Path, compute: Compute, seed: int, max_broken: float | None
) -> None:
    """Train to the end; the state of the training, several times as large as the weights, does not stay."""
    if out.exists() and not (out / STATE).exists():
        notice(f"{out}: a training that was stopped before its first state was written begins anew")
        shutil.rmtree(out)
    fit(
        classifier, train=videos, out=out, seed=seed, resume=(out / STATE).exists(), max_broken=max_broken,
        compute=compute.changed(backend="eager"),
    )  # fmt: skip
    (out / STATE).unlink()
    write_readme(out)


def _judged(recipe: Recipe, judged: Manifest, start: TuningStart, scores: Scores, before: float) -> Tuned:
    """The record, of the clips that could be read."""
    task = task_of(recipe.task)
    read = _rows_of(scores, judged)
    heads = task.right(start.answers[read], scores.labels)
    tuned = task.right(scores.probabilities, scores.labels)
    assert heads is not None and tuned is not None
    units = start.units[start.judged][read]
    return Tuned(
        clips=len(read), units=len(np.unique(units)), heads_right=int(heads.sum()), tuned_right=int(tuned.sum()),
        error=standard_error(tuned.astype(np.float64) - heads, units), epochs=recipe.train.epochs,
        core_seconds=round(processor_seconds() - before, 1),
    )  # fmt: skip


def _rows_of(scores: Scores, judged: Manifest) -> NDArray[np.int64]:
    """The row of each scored clip among the judged ones."""
    place = {video.id: row for row, video in enumerate(judged.videos)}
    return np.array([place[name] for name in scores.ids], np.int64)


def standard_error(gains: NDArray[np.float64], units: NDArray[np.int64]) -> float | None:
    """The standard error of the mean of `gains` [M] where those of one of G units [M] may be alike; None of a single unit.

    The jackknife that leaves out a unit at a time (MacKinnon, Nielsen and Webb, Cluster-robust inference, Journal of
    Econometrics 2023), without its factor (G - 1) / G: the root of sum_g (mean without unit g - mean)^2. So a gain in one
    unit alone is never larger than its error, however many clips the unit has.
    """
    _, places, counts = np.unique(units, return_inverse=True, return_counts=True)
    if len(counts) < 2:
        return None
    shifts = np.bincount(places, weights=gains - gains.mean()) / (len(gains) - counts)
    return float(np.sqrt((shifts**2).sum()))
