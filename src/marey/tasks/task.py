"""What a task decides: the interface between a declaration in a recipe and training, testing, answers and reports."""

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
from marey.data.loading.clips import target_of_video
from marey.data.loading.mirror import mirrored_target
from marey.recipe import Averaging, Fusion, Train
from marey.tasks.intervals import Interval
from marey.tasks.prediction import Prediction

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From what the network gives for B clips, and their targets [B, ...], to the sum of the loss over the clips, a scalar."""
RightAnswers: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From what the network gives for B clips, and their targets, to how many of the clips it answers right, a scalar."""
Outputs: TypeAlias = Callable[[Output], Tensor]
"""From the name of an output to that output for all views of a video, on the CPU: logits [V, K], positions [V, K, P],
features [V, D] or tokens [V, N, D]; the crops of the first clip, then those of the next one."""


@dataclass(frozen=True)
class Metric:
    """One number of a test or a validation, 0 to 1."""

    name: str
    """As in result.json; `val_<name>` in log.csv and log.jsonl."""
    title: str
    """As a person reads it."""
    value: float
    shown: Literal["line", "summary", "report"]
    """The shortest text that shows it; the longer ones do, too. "line" is also the printed line of an epoch."""
    note: str = ""
    """What it is, for the page of a test."""


@dataclass(frozen=True)
class Baseline:
    """What answers that do not depend on the videos reach in the first metric of a test."""

    value: float
    """0 to 1."""
    text: str
    """Which answers, as "always answering 'run'"."""
    chance: float | None = None
    """What answers drawn at random reach on average; None where that is not known."""


@dataclass(frozen=True)
class Validation:
    """The loss and metrics of a validation."""

    loss: float
    metrics: tuple[Metric, ...]
    """The first one is the score by which the best epoch is chosen."""

    @property
    def score(self) -> float:
        """The number by which the best epoch is chosen, 0 to 1; higher is better."""
        return self.metrics[0].value


class Judge(Protocol):
    """Collects what an epoch is judged by. Each process has its own; training joins them."""

    sums: Tensor
    """float64 on the CPU; the result is computed from their sum over all processes."""

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Take in a batch: what the network gives, float32, and the targets, both on the device."""

    def rows(self) -> tuple[NDArray[np.float32], ...]:
        """Arrays with a row per clip, which are concatenated over all processes; none where sums are enough."""

    def result(self, sums: Tensor, rows: Sequence[NDArray[np.float32]]) -> Validation:
        """The numbers, of `sums` and `rows` over all processes."""


@dataclass(frozen=True)
class ClassRow:
    """A class in the report and its number; shares in percent."""

    name: str
    text: str
    share: float
    count: int
    """Videos of the class."""
    low: float = 0
    wide: float = 0
    """Lower end and width of the 90 % interval; a width of 0 where none is known."""


@dataclass(frozen=True)
class TaskReport:
    """What the report's page shows of a test, besides its metrics."""

    remark: str
    """Follows the recipe's name at the end of the page's first lines."""
    classes: Sequence[ClassRow]
    """Worst first."""
    classes_note: str
    """What the rows show, as a sentence."""
    numbers: Sequence[tuple[str, str]] = ()
    """Further (name, text) behind the metrics."""
    confusion: NDArray[np.int64] | None = None
    """[K, K]: true class by answer."""


class Task(ABC):
    """What one declaration of `marey.recipe.TaskConfig` decides. Stateless; one module of `marey.tasks` per task. Methods
    with a body are for labels of whole videos and answers that are probabilities of classes; other tasks replace them.

    A score file holds an array of any shape for each video, the answer, with one shape for all videos of a test, and
    labels in a form of the task's own. Shapes: N videos, K classes, B clips, V views, P positions, S score files.
    """

    # -- training

    @abstractmethod
    def require_labels(self, manifest: Manifest, recipe: str) -> None:
        """Check, before any work, that the list has the labels that the task needs; `recipe` is named in the error.

        Raises:
            DataError: it does not.
        """

    def target(self, manifest: Manifest, row: int, seconds: NDArray[np.float64]) -> Target:
        """What the network is trained to give for a clip of a video: here the same for every clip of it.

        Args:
            row: Of the manifest.
            seconds: When each frame of the clip [T] is shown, counted from the first frame of the file.
        """
        return target_of_video(manifest, row, seconds)

    def mirrored(self, target: Target, swaps: Mapping[int, int]) -> Target:
        """The `target` of a clip after the clip was mirrored, which turns class i into class `swaps[i]`."""
        return mirrored_target(target, swaps)

    def trained(self, network: nn.Module) -> nn.Module:
        """The module that training and validation call, from clips [B, C, T, H, W] to what the loss takes: here the
        network, which gives logits. Its parameters are the network's.
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
    def right_answers(self) -> RightAnswers | None:
        """Counts for the running top-1 of training and testing; None where an answer is not just right or wrong."""

    @abstractmethod
    def judge(self) -> Judge:
        """A new judge of an epoch; its loss is without weights of classes and smoothing."""

    @property
    @abstractmethod
    def charts(self) -> tuple[tuple[str, str], ...]:
        """Name and title of each metric of `judge` that the report draws by epoch."""

    # -- testing

    @abstractmethod
    def answer(self, outputs: Outputs, averaging: Averaging, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        """The answer for one video from all its views.

        Args:
            outputs: Runs the network on the views, once for each output that is asked for.
            averaging: What is averaged, and in which order.
            seconds: When each frame of each clip [clips, T] is shown, counted from the first frame of the file.
        """

    @abstractmethod
    def calibrated(self, answer: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
        """The answer with its probabilities corrected by the temperature (Guo et al. 2017, section 4.2)."""

    @abstractmethod
    def log_loss(self, answers: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The logarithmic loss of answers, the sum over videos (of several labels a video, over classes, too)."""

    @abstractmethod
    def with_thresholds(
        self, calibration: Calibration, answers: NDArray[np.float32], labels: NDArray[np.int64], turned_away: float
    ) -> Calibration:
        """The calibration with thresholds that are fitted to answers which its temperature has corrected already.

        Args:
            turned_away: Where a threshold says that a video is of none of the classes: the share of videos of the classes,
                among those that are answered rightly, that may lie below it, 0 to 1.
        """

    @abstractmethod
    def labels(self, manifest: Manifest) -> NDArray[np.int64]:
        """The labels of all videos [N, ...] as a score file holds them."""

    @abstractmethod
    def classes(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The one class of each video [N].

        Raises:
            DataError: there is none, so that there is no top-1 either.
        """

    @abstractmethod
    def positives(self, labels: NDArray[np.int64], num_classes: int) -> NDArray[np.bool_]:
        """Which video has which label [N, K]."""

    @abstractmethod
    def right(self, answers: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which videos [N] the report counts as answered right; None where it shows no right and wrong answers."""

    @abstractmethod
    def metrics(self, answers: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Metric, ...]:
        """The numbers of a test, the most important first. One named "top1" is compared with published numbers."""

    def interval(
        self, answers: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_] | None
    ) -> Interval | None:
        """The 90 % interval of the first of `metrics` for new videos; here None: none is known.

        Args:
            groups: What each video [N] was cut from, where the list has it: videos of one group are alike.
        """
        return None

    def baseline(self, labels: NDArray[np.int64], class_names: tuple[str, ...]) -> Baseline | None:
        """What the first of `metrics` is worth without looking at the videos; here None: that is not known."""
        return None

    @abstractmethod
    def score(self, answers: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        """The number that weights of fusion are searched for: the most important of `metrics`."""

    @abstractmethod
    def fused(self, answers_SN: NDArray[np.float64], shares: NDArray[np.float64], of: Fusion) -> NDArray[np.float64]:
        """The answers [N, ...] of several networks joined, each with its share.

        Raises:
            DataError: the task has no such fusion.
        """

    # -- words

    def prediction(
        self,
        video: VideoEntry,
        answer: NDArray[np.float32],
        class_names: tuple[str, ...],
        calibration: Calibration | None,
    ) -> Prediction:
        """The answer for one video as text and JSON show it: here of a probability for each class [K]."""
        return Prediction.of_classes(video, answer, class_names, calibration)

    @abstractmethod
    def summary(
        self, answers: NDArray[np.float32], labels: NDArray[np.int64], class_names: tuple[str, ...]
    ) -> list[str]:
        """Lines below the numbers in the summary of a test, for a person."""

    @abstractmethod
    def report(
        self,
        answers: NDArray[np.float32],
        labels: NDArray[np.int64],
        class_names: tuple[str, ...],
        groups: NDArray[np.str_] | None = None,
    ) -> TaskReport:
        """What the report's page shows.

        Args:
            groups: As for `interval`.
        """
