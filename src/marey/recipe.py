"""A recipe: everything behind a row, in one declaration. Knows no torch; `model.build()` does."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from marey.base.declaration import Declaration, first_problem
from marey.base.errors import RecipeError
from marey.base.nearest import did_you_mean
from marey.models.i3d.config import InceptionI3DConfig
from marey.models.non_local.config import C2DConfig, I3DResNetConfig
from marey.models.slowfast.config import SlowFastConfig
from marey.models.slowonly.config import SlowOnlyConfig
from marey.models.tsn.config import BNInceptionTSNConfig, TSNConfig
from marey.video.augment import TrainGeometry
from marey.video.flow.methods import TVL1, FlowMethod
from marey.video.flow.rule import FlowRule
from marey.video.pixels import PixelRule, Pixels
from marey.video.sampling import TestRule, TrainRule

NetworkConfig = Annotated[
    TSNConfig
    | BNInceptionTSNConfig
    | C2DConfig
    | InceptionI3DConfig
    | I3DResNetConfig
    | SlowOnlyConfig
    | SlowFastConfig,
    Field(discriminator="network"),
]


class Classify(Declaration):
    """One label per video, softmax cross-entropy."""

    kind: Literal["classify"] = "classify"


Task = Annotated[Classify, Field()]


class Test(Declaration):
    """The protocol of a number: which clips, which crops of them, and what is averaged in which order."""

    sampling: TestRule
    crops: Literal["centre", "three", "ten"]
    size: PositiveInt
    """Side of the square crops, in pixels."""
    averaging: Literal["logits", "probabilities", "position_probabilities"]
    """The mean over views of logits, then softmax (MMAction's TSN and regular 3D test); or softmax of each view,
    then the mean (fully convolutional test, MMAction2); or softmax at each position of the head, then the mean over
    positions and views (PySlowFast)."""


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
    """Linear warm-up, from `start` times the base learning rate, over `epochs` or `steps`: one of them."""

    epochs: PositiveFloat | None = None
    steps: PositiveInt | None = None
    """MMAction v0.2.0 counted iterations, whatever the batch; later versions epochs."""
    start: NonNegativeFloat = 0.01
    by: Literal["step", "epoch"] = "step"
    """Moved on every step, or once an epoch (MMAction2)."""
    ends: Literal["after", "last"] = "after"
    """The line reaches its end on the first step or epoch after the warm-up (MMAction, PySlowFast), or already on the
    last one of it (MMAction2's engine)."""
    towards: Literal["schedule", "end"] = "schedule"
    """"schedule": a factor that rises to 1 times the schedule's value at each step (MMAction, MMAction2). "end": a line
    to the schedule's value at the end of the warm-up (PySlowFast)."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("a warm-up lasts so many epochs or so many steps: give one of them")
        return self


class CosineSchedule(Declaration):
    """lr * (end + (1 - end) * (1 + cos(pi * progress)) / 2).

    Progress runs from 0 at epoch `begin` to 1 after the last epoch; before `begin` it is 0.
    """

    kind: Literal["cosine"] = "cosine"
    by: Literal["step", "epoch"] = "epoch"
    begin: NonNegativeFloat = 0
    """MMAction, PySlowFast: 0, the warm-up is part of the curve. MMAction2's SlowOnly: after the warm-up."""
    end: NonNegativeFloat = 0
    """The last value, as a share of the base learning rate."""
    warmup: Warmup | None = None


class StepSchedule(Declaration):
    """lr * gamma ** (how many milestones lie at or before the epoch, counted from epoch `begin`)."""

    kind: Literal["step"] = "step"
    milestones: tuple[PositiveInt, ...]
    gamma: float = 0.1
    begin: NonNegativeInt = 0
    """MMAction2's engine counts milestones from the scheduler's `begin`: 90 and 130 after a warm-up of 10 epochs drop
    at epochs 100 and 140."""
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
    layout: Literal["mmaction", "mmaction2", "pyslowfast", "pytorchvideo"]
    licence: str


_STORED: dict[str, tuple[int | None, tuple[int, int] | None]] = {
    "original": (None, None),
    "short256": (256, None),
    "short320": (320, None),
    "frames340x256": (None, (256, 340)),
}
"""Kinds of storage as (short side, size) of the pictures."""


class Recipe(Declaration):
    """Everything behind a row. Immutable: `variant` makes another one."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    paper: str
    notes: str = ""
    """What a reader of the numbers should know and no field says."""
    task: Task = Classify()
    modality: Literal["rgb", "flow"] = "rgb"
    dataset: str
    """The catalogue's name of the data set, or "folder" for the user's own."""
    storage: Literal["original", "short256", "short320", "frames340x256"] = "original"
    """How the videos were stored when the number was measured: it moves top-1 by up to a point."""
    pretraining: Literal["imagenet", "ig65m", "kinetics400"] | None = None
    """What training starts from; None is from scratch."""
    model: NetworkConfig
    clip: TrainRule
    test: Test
    pixels: PixelRule = Pixels()
    flow_method: FlowMethod | None = None
    """How flow is computed of plain video; None: by TV-L1, which published flow weights were trained on. Flow that is
    stored beforehand is taken as it is."""
    augment: TrainGeometry
    train: Train
    published: Published | None = None
    measured: Measured | None = None
    weights: Weights | None = None

    @property
    def flow(self) -> FlowRule | None:
        """How flow is made of plain video, on pictures as they were stored; None for a recipe on RGB."""
        if self.modality != "flow":
            return None
        short, size = _STORED[self.storage]
        return FlowRule(method=self.flow_method or TVL1(), short_side=short, size=size)

    def variant(self, **changes: Any) -> "Recipe":
        """A validated copy with a few fields changed, nested ones as dictionaries.

            recipe.variant(name="mine", train={"epochs": 30})

        What was measured belongs to the recipe that it was measured with: `published` and `measured` are dropped
        unless given anew, and so are `weights` where the network changes.

        Raises:
            RecipeError: a field does not exist, or a value breaks its rule.
        """
        numbers = {"published": None, "measured": None} | ({"weights": None} if "model" in changes else {})
        return recipe_from(_merged(self.model_dump(), numbers | changes), source=f"variant of {self.name}")

    def with_settings(self, settings: Iterable[str]) -> "Recipe":
        """A variant by `key=value` words as on the command line: `train.epochs=30`, `model.num_classes=12`.

        Values are YAML; a hand-typed `1e-5` is a number.

        Raises:
            RecipeError: a word without "=", an unknown key (the nearest are named) or a value of the wrong type.
        """
        changes: dict[str, Any] = {}
        keys = list(_dotted(self.model_dump()))
        for word in settings:
            key, equals, text = word.partition("=")
            if not equals:
                raise RecipeError(f"--set {word}: expected key=value, for example train.epochs=30.")
            if key not in keys and not _optional_part(self, key):
                raise RecipeError(f"--set {word}: the recipe has no key {key!r}.{did_you_mean(key, keys)}")
            changes = _merged(changes, _nested(key.split("."), _yaml(text, f"--set {word}")))
        try:
            return self.variant(**changes)
        except RecipeError as error:
            raise RecipeError(f"--set {' '.join(settings)}: {error}") from None

    def to_yaml(self) -> str:
        """The whole recipe as YAML, to be edited and read back by `read_recipe`."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_from(values: Any, *, source: str) -> Recipe:
    """Validate plain values; `source` names them in an error.

    Raises:
        RecipeError: in one line, with the field, the rule and the value.
    """
    if not isinstance(values, dict):
        raise RecipeError(
            f"{source}: expected a recipe's fields (name, model, train, ...), got {type(values).__name__}."
        )
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        field, rule = first_problem(error)
        raise RecipeError(f"{source}: {field}: {rule}.") from None


def read_recipe(path: str | Path) -> Recipe:
    """A recipe from a YAML file, as `marey show NAME > mine.yaml` writes it.

    Raises:
        RecipeError: the file is missing, no YAML, or breaks a rule of a field.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a recipe ({error}).") from None
    return recipe_from(_yaml(text, str(path)), source=str(path))


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not valid YAML ({str(error).splitlines()[0]}).") from None


_KINDS = ("network", "rule", "geometry", "kind", "method")
"""The fields that tell the members of a union apart."""


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, dictionaries merged key by key.

    A declaration replaces what was there, and so does a dictionary that names another kind: the fields of a cosine
    schedule mean nothing to a step schedule.
    """
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(value, Declaration):
            merged[key] = value.model_dump()
        elif isinstance(old, dict) and isinstance(value, dict) and not _another_kind(old, value):
            merged[key] = _merged(old, value)
        else:
            merged[key] = value
    return merged


def _another_kind(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(kind in new and old.get(kind) != new[kind] for kind in _KINDS)


def _nested(keys: list[str], value: Any) -> dict[str, Any]:
    return {keys[0]: _nested(keys[1:], value) if len(keys) > 1 else value}


def _dotted(values: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in values.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def _optional_part(recipe: Recipe, key: str) -> bool:
    """Whether `key` lies inside a part that this recipe leaves out (None), so that its fields cannot be listed."""
    value: Any = recipe
    for part in key.split("."):
        if value is None:
            return True
        value = getattr(value, part, ...)
    return False
