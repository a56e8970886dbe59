"""A recipe: everything behind a row, in one declaration. Knows no torch; `model.build()` does."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from marey.base.declaration import Declaration
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import TSNConfig
from marey.video.augment import TrainGeometry
from marey.video.sampling import TestRule, TrainRule

NetworkConfig = Annotated[TSNConfig | SlowOnlyConfig, Field(discriminator="network")]


class Classify(Declaration):
    """One label per video, softmax cross-entropy."""

    kind: Literal["classify"] = "classify"


Task = Annotated[Classify, Field()]


class Pixels(Declaration):
    """From decoded frames to network input. Mean and deviation belong to the weights, not to the data set.

    `conversion` says how YUV becomes RGB of another size: "rgb" converts the whole frame, then resizes uint8 RGB
    bilinearly (what MMAction and MMAction2 did, and what their numbers need); "planes" resizes Y, U and V and
    converts the small picture (2 to 3 times faster, about one grey level off).
    """

    conversion: Literal["rgb", "planes"] = "rgb"
    short_side: PositiveInt = 256
    """Resize so that the shorter side has this many pixels, before test crops."""
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)


class Test(Declaration):
    """The protocol of a number: which clips, which crops of them, and what is averaged in which order."""

    sampling: TestRule
    crops: Literal["centre", "three", "ten"]
    size: PositiveInt
    """Side of the square crops, in pixels."""
    averaging: Literal["logits", "probabilities"]
    """The mean over views of logits, then softmax (MMAction's TSN and regular 3D test); or softmax of each view,
    then the mean (fully convolutional test, MMAction2)."""


class SGD(Declaration):
    """Stochastic gradient descent with momentum, weight decay on every parameter as the toolkits had it."""

    kind: Literal["sgd"] = "sgd"
    lr: PositiveFloat
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    norm_weight_decay: float | None = None
    """Decay of batch norms' scale and shift; None is the same as `weight_decay` (PySlowFast: 0)."""


class AdamW(Declaration):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    norm_weight_decay: float | None = 0.0
    """Decay of norms' scale and shift and of biases; None is the same as `weight_decay`."""


class Warmup(Declaration):
    """Linear warm-up: the schedule's value is multiplied by a factor that rises from `start` to 1.

    Counted over `epochs`, moved on every step or once an epoch.
    """

    epochs: PositiveFloat
    start: float = 0.01
    by: Literal["step", "epoch"] = "step"


class CosineSchedule(Declaration):
    """lr * (1 + cos(pi * progress)) / 2; progress counts from 0 to 1 over all epochs, warm-up included."""

    kind: Literal["cosine"] = "cosine"
    by: Literal["step", "epoch"] = "epoch"
    warmup: Warmup | None = None


class StepSchedule(Declaration):
    """lr * gamma ** (how many milestones lie at or before the epoch)."""

    kind: Literal["step"] = "step"
    milestones: tuple[PositiveInt, ...]
    gamma: float = 0.1
    warmup: Warmup | None = None


class Initialisation(Declaration):
    """How a network starts that takes no weights from elsewhere (convolutions: Kaiming, fan out)."""

    last_gamma_zero: bool = False
    """Scale of each residual block's last batch norm starts at 0, so that the block starts as the identity."""
    head_std: PositiveFloat = 0.01


class Train(Declaration):
    """All that decides accuracy in training, as the recipe's toolkit had it."""

    epochs: PositiveInt
    base_batch: PositiveInt
    """Clips per optimiser step over all processes, for which the learning rate is meant."""
    optimizer: Annotated[SGD | AdamW, Field(discriminator="kind")]
    schedule: Annotated[CosineSchedule | StepSchedule, Field(discriminator="kind")]
    clip_norm: PositiveFloat | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    initialisation: Initialisation = Initialisation()
    frozen_stages: Annotated[int, Field(ge=-1)] = -1
    """-1: none; 0: the stem; n: the stem and the first n stages."""
    frozen_norms: bool = False
    """Batch norms keep their running statistics and do not learn scale and shift."""
    precision: Literal["float32", "bfloat16"] = "float32"
    stop_after: PositiveInt | None = None
    """Stop when validation top-1 has not risen for so many epochs; None trains to the end."""


class Published(Declaration):
    """A number that somebody printed, in percent, with what is known of how it came about."""

    top1: float
    top5: float | None = None
    source: str
    protocol: str
    split: str
    videos: int | None = None
    kind: Literal["measured by its authors", "quoted"] = "measured by its authors"


class Measured(Declaration):
    """A number that we measured, in percent."""

    top1: float
    top5: float
    videos: int
    commit: str
    fingerprint: str
    date: date


class Weights(Declaration):
    """Where trained weights lie. `sha256` is all 64 digits, or the first 8 where only those were published."""

    url: str
    sha256: str
    layout: Literal["mmaction", "mmaction2"]
    licence: str


class Recipe(Declaration):
    """Everything behind a row. Immutable: `variant` makes another one."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    paper: str
    task: Task = Classify()
    modality: Literal["rgb", "flow"] = "rgb"
    dataset: str
    """The catalogue's name of the data set, or "folder" for the user's own."""
    storage: Literal["original", "short256", "short320", "frames340x256"] = "original"
    model: NetworkConfig
    clip: TrainRule
    test: Test
    pixels: Pixels = Pixels()
    augment: TrainGeometry
    train: Train
    published: Published | None = None
    measured: Measured | None = None
    weights: Weights | None = None

    def variant(self, **changes: Any) -> "Recipe":
        """A validated copy with dotted fields changed: `recipe.variant(name="mine", **{"train.epochs": 30})`.

        Numbers and weights belong to what they were measured with, so they are dropped unless given.
        """
        raise NotImplementedError
