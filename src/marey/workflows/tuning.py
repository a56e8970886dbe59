"""Tune the network behind a classifier on frozen features: what that would cost, whether it pays, and the tuned classifier.

It pays where the network that is tuned on all folds but one answers more clips of that fold rightly than the head that was
fitted on the same other folds, by more than the difference's own error. Only then it is tuned on all clips.
"""

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from marey.backends.compute import Compute
from marey.backends.device import on_device, pick_training_device
from marey.backends.precision import autocast, computing_in, pick_precision
from marey.base.errors import DataError, MareyError
from marey.base.files import atomic_path, write_text
from marey.base.finetune import Finetune
from marey.base.jsonable import json_text
from marey.base.processes import decoding_workers, processor_seconds, usable_cores
from marey.base.reporter import SilentReporter, notice, reporting
from marey.base.runs import STATE
from marey.base.words import about, counted
from marey.classifier import Classifier
from marey.data.clips import ClipDataset
from marey.data.manifest import Manifest
from marey.data.workers import timed
from marey.evaluation.evaluate import evaluate
from marey.evaluation.scores import Scores
from marey.models.layers.freeze import freeze, hold_frozen
from marey.models.network import Network
from marey.recipe import Recipe
from marey.tasks.all import task_of
from marey.training.fit import fit
from marey.weights.load import load_model

FOLDER = "tuning"
"""Of a run: start.npz; the runs fold and all; result.json."""
START, RESULT = "start.npz", "result.json"
BUDGET = 600.0
"""Core-seconds, or seconds of a GPU, that a training may take by default."""


@dataclass(frozen=True, eq=False)
class TuningStart:
    """What tuning starts from and is judged by, besides the classifier of all N clips. Kept in a run's folder, so that a
    run can be tuned later, on another machine, without its features.
    """

    folds: NDArray[np.int64]
    """[N]: the fold of each clip."""
    units: NDArray[np.int64]
    """[N]: the number of what each clip was cut from; such clips are alike, and lie in one fold."""
    fold: int
    """On which it is judged."""
    weight: NDArray[np.float32]
    """[K, F]: the head that was fitted on the other folds."""
    bias: NDArray[np.float32]
    """[K]."""
    answers: NDArray[np.float32]
    """[M, K]: what that head answers for the M clips of the fold: logits, or anything that orders classes as they do."""

    @property
    def judged(self) -> NDArray[np.int64]:
        """[M]: the rows of the fold."""
        return np.flatnonzero(self.folds == self.fold)

    @property
    def others(self) -> NDArray[np.int64]:
        """[N - M]: the rows of the other folds."""
        return np.flatnonzero(self.folds != self.fold)

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary, folds=self.folds, units=self.units, fold=self.fold, weight=self.weight, bias=self.bias,
                answers=self.answers,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "TuningStart":
        """Read what `save` wrote.

        Raises:
            DataError: there is no such file, or it holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(
                    folds=file["folds"], units=file["units"], fold=int(file["fold"]), weight=file["weight"],
                    bias=file["bias"], answers=file["answers"],
                )  # fmt: skip
        except FileNotFoundError:
            raise DataError(f"{path}: not there: only a run of marey train FOLDER can be tuned later.") from None
        except (OSError, KeyError, ValueError) as error:
            raise DataError(f"{path}: not what marey train wrote ({error}): train again into another folder.") from None


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
    """Spent on training and testing in this process and those that it started, since it was last resumed."""

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


# -- whether to tune ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TuningCost:
    """What tuning takes, by a measurement."""

    seconds: float
    """Core-seconds on a CPU, else seconds of the device."""
    epochs: int
    on_cpu: bool

    def __str__(self) -> str:
        epochs = counted(self.epochs, "epoch")
        if not self.on_cpu:
            return f"{about(self.seconds)} ({epochs}, twice)"
        cores = usable_cores()
        wall = f"{about(self.seconds / cores)} on {counted(cores, 'core')}"
        return f"{self.seconds:,.0f} core-seconds ({epochs}, twice; {wall})"


@dataclass(frozen=True)
class Budget:
    """How much a training may take."""

    minutes: float | None = None
    """As the user said; None: `BUDGET`."""

    def seconds(self, *, on_cpu: bool) -> float:
        """Core-seconds on a CPU, else seconds of the device."""
        if self.minutes is None:
            return BUDGET
        return 60 * self.minutes * (usable_cores() if on_cpu else 1)


@dataclass(frozen=True)
class Decision:
    """Whether to tune, and the message about it."""

    tunes: bool
    sentence: str
    """"" where there is nothing to say."""


def decide(finetune: Finetune, cost: TuningCost | None, budget: Budget, *, spent: float, command: str) -> Decision:
    """Whether a network is tuned.

    "auto" tunes within the budget: on a GPU; on a CPU only where the user named a budget, since tuning there takes many
    times as long as the rest.

    Args:
        cost: None where it could not be measured: then only "always" tunes.
        spent: What was spent of the budget already, in its unit.
        command: The command line that tunes the run later.
    """
    if finetune == "never":
        return Decision(False, "")
    expected = "" if cost is None else f": expected to take {cost}"
    if finetune == "always":
        return Decision(True, f"fine-tuning the network{expected}")
    way_out = f"{command} does it, here or where the folder is copied to"
    if cost is None:
        return Decision(False, f"the network is not fine-tuned: what that costs could not be measured; {way_out}")
    left = budget.seconds(on_cpu=cost.on_cpu) - spent
    if cost.seconds <= left and (not cost.on_cpu or budget.minutes is not None):
        return Decision(True, f"fine-tuning the network, within the budget{expected}")
    unit = "core-seconds" if cost.on_cpu else "seconds"
    why = (
        f", more than the {max(left, 0):,.0f} {unit} that are left of the budget (--minutes)"
        if cost.seconds > left
        else " (on a CPU it is done by itself only within --minutes)"
    )
    return Decision(False, f"the network is not fine-tuned, which would take {cost}{why}; {way_out}")


def tuning_cost(classifier: Classifier, videos: Manifest, judged: int, compute: Compute) -> TuningCost | None:
    """What `tune` will take, by a forward and a backward pass of a clip of the first video on this machine; None where it
    cannot be measured: the video cannot be read, or the device not be used.

    The classifier and torch's random states stay as they are.

    Args:
        videos: All N videos.
        judged: How many of them are in the fold that is judged.
    """
    recipe = tuning_recipe(classifier)
    try:
        device = pick_training_device(compute.device)
        precision = pick_precision(compute.precision, device, declared=recipe.train.precision, tell=False)
        used = [] if device.type == "cpu" else [device]
        with torch.random.fork_rng(used, device_type=device.type), reporting(SilentReporter()), computing_in(precision):
            clips = ClipDataset(videos, recipe.clip, recipe.augment, pixels=recipe.pixels, flow=recipe.flow)
            taken = list(timed(clips, [0], workers=compute.workers))
            frames_THWC, decoding = taken[0][0]["clip"], taken[0][1]
            with autocast(device, precision):
                step = _step_seconds(classifier, recipe, torch.from_numpy(frames_THWC)[None], device)
    except (MareyError, OSError, RuntimeError, IndexError):
        return None
    on_cpu = device.type == "cpu"
    each = step + decoding if on_cpu else max(step, decoding / max(1, decoding_workers(compute.workers)))
    passes = recipe.train.epochs * (2 * len(videos) - judged) + judged
    return TuningCost(passes * each, recipe.train.epochs, on_cpu)


def _step_seconds(classifier: Classifier, recipe: Recipe, clips_BTHWC: torch.Tensor, device: torch.device) -> float:
    """Seconds that a clip takes forward and backward: of all cores together on a CPU, else of the device. The first pass
    sets up much, so that the second one counts.
    """
    on_cpu = device.type == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    many = 1 if on_cpu else recipe.train.base_batch
    network = copy.deepcopy(classifier.network).to(device)
    freeze(network, stages=recipe.train.frozen_stages, norms=recipe.train.frozen_norms)
    network.train()
    hold_frozen(network, recipe.train.frozen_norms)
    seconds = 0.0
    for _ in range(2):
        start = clock()
        frames = on_device(clips_BTHWC.repeat_interleave(many, dim=0), device)
        network(classifier.preprocess(frames)).float().logsumexp(dim=1).sum().backward()
        on_device(torch.zeros(1), device).item()  # waits until the device has done all of it
        seconds = (clock() - start) / many
    return seconds


# -- tuning ------------------------------------------------------------------------------------------------------------


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

    Where `out` holds these runs already, or parts of them, they are resumed.

    Args:
        classifier: A probe on N videos with the head that was fitted on all of them; it stays as it is.
        videos: The N videos, the rows that `start` is about.
        out: The folder of the two runs and of result.json.

    Raises:
        DataError: `start` is about other videos.
        MareyError: as `fit` and `evaluate`; asked to stop, it goes on where it was when it is called again.
    """
    if len(start.folds) != len(videos):
        raise DataError(
            f"{out}: the start of the tuning is about {counted(len(start.folds), 'video')}, and the list has "
            f"{len(videos):,}: train again, into another folder."
        )
    before = processor_seconds()
    judged = videos[start.judged]
    of_fold = _trained(_without_fold(classifier, start), videos[start.others], out / "fold", compute, seed, max_broken)
    scores = evaluate(
        of_fold, judged, out=out / "fold", max_broken=max_broken, compute=compute.changed(backend="eager")
    ).scores
    record = _judged(of_fold.recipe, judged, start, scores, before)
    record.save(out / RESULT)
    notice(record.sentence)
    of_all = _trained(_copied(classifier), videos, out / "all", compute, seed, max_broken) if record.kept else None
    return Tuning(record, of_all, scores.probabilities, scores.labels)


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


def _trained(
    classifier: Classifier, videos: Manifest, out: Path, compute: Compute, seed: int, max_broken: float | None
) -> Classifier:
    fitted = fit(
        classifier, train=videos, out=out, seed=seed, resume=(out / STATE).exists(), max_broken=max_broken,
        compute=compute.changed(backend="eager"),
    )  # fmt: skip
    return load_model(fitted.last)


def _judged(recipe: Recipe, judged: Manifest, start: TuningStart, scores: Scores, before: float) -> Tuned:
    """The record, of the clips that could be read."""
    task = task_of(recipe.task)
    place = {video.id: row for row, video in enumerate(judged.videos)}
    read = np.array([place[name] for name in scores.ids])
    heads = task.right(start.answers[read], scores.labels)
    tuned = task.right(scores.probabilities, scores.labels)
    assert heads is not None and tuned is not None
    units = start.units[start.judged][read]
    return Tuned(
        clips=len(read), units=len(np.unique(units)), heads_right=int(heads.sum()), tuned_right=int(tuned.sum()),
        error=standard_error(tuned.astype(np.float64) - heads, units), epochs=recipe.train.epochs,
        core_seconds=round(processor_seconds() - before, 1),
    )  # fmt: skip


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
