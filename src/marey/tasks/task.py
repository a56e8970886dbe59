"""The interface `Task`: what training, testing, predictions and reports ask of the task that a recipe declares."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from marey.classifier import Calibration, Output
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import Target, VideoEntry
from marey.data.loading.datasets import target_of_video
from marey.data.loading.mirrored_classes import mirrored_target
from marey.recipe import Fusion, Train
from marey.tasks.intervals import Interval
from marey.tasks.prediction import Prediction

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From a network's outputs for B clips and their targets [B, ...] to the sum of the loss over the clips, a scalar."""
CountCorrect: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From a network's outputs for B clips and their targets to the number of clips that are predicted right, a scalar."""


@dataclass(frozen=True)
class Metric:
    """One number of a test or a validation, 0 to 1."""

    name: str
    """Its key in result.json; `val_<name>` in log.csv and log.jsonl."""
    title: str
    """Its name in texts, for example "top-1"."""
    value: float
    """The number itself, 0 to 1; higher is better, except for a calibration error."""
    shown: Literal["line", "summary", "report"]
    """Which texts show it. "line": all of them, also the printed line of an epoch; "summary": the summary and the report;
    "report": the report only. Files have every metric."""
    note: str = ""
    """What it measures, in a few words beside the number in the report; "" for none."""


@dataclass(frozen=True)
class Baseline:
    """What predictions that do not depend on the videos would reach in the first metric of a test."""

    value: float
    """The metric of these predictions, 0 to 1."""
    text: str
    """The predictions in words, for example "always answering 'run'"."""
    chance: float | None = None
    """The mean of the metric for random predictions, 0 to 1; None where it is not known."""


@dataclass(frozen=True)
class Validation:
    """The loss and metrics of a validation."""

    loss: float
    """The mean loss over the clips of the validation, 0 or more."""
    metrics: tuple[Metric, ...]
    """The metrics; the first one is the score by which the best epoch is chosen."""

    @property
    def score(self) -> float:
        """The number by which the best epoch is chosen, 0 to 1; higher is better."""
        return self.metrics[0].value


class Outputs(Protocol):
    """A network's outputs for all views of one video: the crops of the first clip, then those of the next one."""

    def __call__(self, output: Output) -> Tensor:
        """The output of this name, on the CPU: logits [V, K], positions (the logits at P positions) [V, K, P], features
        [V, D] or tokens [V, N, D].
        """

    def averaged(self, probabilities: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        """Probabilities [K], averaged over views (and positions) as the recipe's `test.averaging` declares.

        Args:
            probabilities: From logits [V, K] or [V, K, P] to probabilities of the same shape.
        """


class ValidationMetrics(Protocol):
    """Accumulates the loss and metrics of a validation, batch by batch. Each process has its own; the training
    loop adds up their `sums` and concatenates their `rows`.
    """

    sums: Tensor
    """Sums over the clips of this process so far, float64 on the CPU."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch: the network's outputs, float32, and the targets, both on the device."""

    def rows(self) -> tuple[NDArray[np.float32], ...]:
        """Arrays with a row per clip, which are concatenated over all processes; none where sums are enough."""

    def result(self, sums: Tensor, rows: Sequence[NDArray[np.float32]]) -> Validation:
        """The loss and metrics, from `sums` and `rows` of all processes."""


@dataclass(frozen=True)
class ClassRow:
    """One class in the report's table, with its metric."""

    name: str
    """The name of the class."""
    text: str
    """The metric as text."""
    share: float
    """The metric in percent: the share of right predictions, or the average precision."""
    count: int
    """The number of videos of the class."""
    low: float = 0
    """The lower end of the 90 % interval of `share`, in percent; 0 where none is known."""
    wide: float = 0
    """The width of the 90 % interval, in percentage points; 0 where none is known."""


@dataclass(frozen=True)
class TaskReport:
    """What the report's page shows of a test, besides its metrics."""

    remark: str
    """Text after the recipe's name below the verdict, for example "one label per video, 5 classes"."""
    classes: Sequence[ClassRow]
    """The classes, the lowest metric first."""
    classes_note: str
    """A sentence above the table of `classes`: what it shows."""
    numbers: Sequence[tuple[str, str]] = ()
    """Further numbers as (name, text), which follow the metrics; empty by default."""
    confusion: NDArray[np.int64] | None = None
    """[K, K]: true class by predicted class; None where there is none."""


class Task(ABC):
    """What differs between tasks. A task has no state; each has a module in `marey.tasks`.

    The prediction for a video is an array, for example [K] probabilities, of the same shape for all videos. A score file
    holds predictions and labels; the task decides the form of both. Shapes: N videos, K classes, B clips, V views, P
    positions, S score files. The methods that are not abstract are for labels of entire videos and for predictions that
    are probabilities of classes; other tasks override them.
    """

    # -- training

    @abstractmethod
    def require_labels(self, manifest: Manifest, recipe: str) -> None:
        """Check, before any work, that the list has the labels that the task needs; `recipe` is named in the error.

        Raises:
            DataError: the labels do not suit the task, for example several per video where it has one.
        """

    def target(self, manifest: Manifest, row: int, seconds: NDArray[np.float64]) -> Target:
        """The training target of a clip: here the label of its video.

        Args:
            manifest: The list of videos.
            row: The row of the video.
            seconds: When each frame of the clip [T] is shown, counted from the first frame of the file.
        """
        return target_of_video(manifest, row, seconds)

    def mirrored(self, target: Target, swaps: Mapping[int, int]) -> Target:
        """The `target` of a clip after the clip was mirrored, which turns class i into class `swaps[i]`."""
        return mirrored_target(target, swaps)

    def trained(self, network: nn.Module) -> nn.Module:
        """The module that training and validation call: from clips [B, C, T, H, W] to the input of the loss. Here it is the
        network itself, which returns logits. An override must have the parameters of the network.
        """
        return network

    @abstractmethod
    def training_loss(self, train: Train, manifest: Manifest) -> Loss:
        """The loss that `train` declares, with class weights from the training list.

        Raises:
            DataError: class weights are declared, and a class has no video.
        """

    @property
    @abstractmethod
    def count_correct(self) -> CountCorrect | None:
        """The function that counts right predictions, for the top-1 in progress bars and log; None for tasks without
        top-1.
        """

    @abstractmethod
    def validation_metrics(self) -> ValidationMetrics:
        """A new accumulator for one validation; its loss has neither class weights nor label smoothing."""

    @property
    @abstractmethod
    def charts(self) -> tuple[tuple[str, str], ...]:
        """(name, title) of each validation metric that the report draws by epoch."""

    # -- testing

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """From logits [V, K] or [V, K, P] to probabilities of the same shape."""

    @abstractmethod
    def predict(self, outputs: Outputs, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        """The prediction for one video from all its views.

        Args:
            outputs: Runs the network on all views, once for each output that is asked for.
            seconds: When each frame of each clip [clips, T] is shown, counted from the first frame of the file.
        """

    @abstractmethod
    def calibrated(self, prediction: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
        """The prediction with its probabilities corrected by the temperature (Guo et al. 2017, section 4.2)."""

    @abstractmethod
    def log_loss(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The logarithmic loss, summed over videos, and over classes where videos have several labels."""

    @abstractmethod
    def with_thresholds(
        self, calibration: Calibration, predictions: NDArray[np.float32], labels: NDArray[np.int64], turned_away: float
    ) -> Calibration:
        """The calibration with thresholds that are fitted to predictions which its temperature has already corrected.

        Args:
            calibration: Has a temperature, and no thresholds yet.
            predictions: [N, ...].
            labels: [N, ...].
            turned_away: The share of rightly predicted videos, 0 to 1, that may lie below a threshold for "none of the
                classes". Tasks without such a threshold ignore it.
        """

    @abstractmethod
    def labels(self, manifest: Manifest) -> NDArray[np.int64]:
        """The labels of all videos [N, ...] as a score file holds them."""

    @abstractmethod
    def classes(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index of the one class of each video [N].

        Raises:
            DataError: the task has several labels per video, and so no top-1.
        """

    @abstractmethod
    def positives(self, labels: NDArray[np.int64], num_classes: int) -> NDArray[np.bool_]:
        """Which video has which label [N, K]."""

    @abstractmethod
    def right(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which videos [N] are predicted right; None where the task has no right and wrong predictions."""

    @abstractmethod
    def metrics(self, predictions: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Metric, ...]:
        """The metrics of a test, the primary one first. The one named "top1", if any, is compared with
        published numbers.
        """

    def interval(
        self, predictions: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_] | None
    ) -> Interval | None:
        """The 90 % interval of the first of `metrics` for new videos. This default is None: no interval is known.

        Args:
            predictions: [N, ...].
            labels: [N, ...].
            groups: The group of each video [N], as in `Scores.groups`: videos of one group are alike.
        """
        return None

    def baseline(self, labels: NDArray[np.int64], class_names: tuple[str, ...]) -> Baseline | None:
        """What predictions that do not depend on the videos would reach in the first of `metrics`. This default is None: it
        is not known.
        """
        return None

    @abstractmethod
    def score(self, predictions: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        """The value of the first of `metrics`: the search for fusion weights maximises it, and predictions are compared
        by it.
        """

    @abstractmethod
    def fused(
        self, predictions_SN: NDArray[np.float64], shares: NDArray[np.float64], of: Fusion
    ) -> NDArray[np.float64]:
        """The fused predictions [N, ...] of S networks: `of` says what is summed, with the weights `shares` [S].

        Raises:
            DataError: the task has no such fusion.
        """

    # -- words

    def as_prediction(
        self,
        video: VideoEntry,
        prediction: NDArray[np.float32],
        class_names: tuple[str, ...],
        calibration: Calibration | None,
    ) -> Prediction:
        """The prediction for one video as text and JSON show it: here a probability of each class [K]."""
        return Prediction.of_classes(video, prediction, class_names, calibration)

    @abstractmethod
    def summary(
        self, predictions: NDArray[np.float32], labels: NDArray[np.int64], class_names: tuple[str, ...]
    ) -> list[str]:
        """Lines of text that follow the metrics in the printed summary of a test."""

    @abstractmethod
    def report(
        self,
        predictions: NDArray[np.float32],
        labels: NDArray[np.int64],
        class_names: tuple[str, ...],
        groups: NDArray[np.str_] | None = None,
    ) -> TaskReport:
        """What the report's page shows; the arguments are those of `interval`."""
