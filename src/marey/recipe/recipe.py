"""A recipe: everything behind a published number, in one declaration. Knows no torch; `model.build()` does."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, PositiveFloat, ValidationError, field_validator, model_validator

from marey.base.declaration import Declaration, first_problem
from marey.base.errors import RecipeError
from marey.base.notebook import beginning, folded
from marey.base.words import counted
from marey.models.probe.config import ClipBackbone, ClipProbeConfig, FrameBackbone, FrameProbeConfig
from marey.models.user_module.config import UserModuleConfig
from marey.recipe.published import Measured, Published
from marey.recipe.settings import changes_from, merged, yaml_value
from marey.recipe.source import Source, Word, sources_from
from marey.recipe.task import Classify, TaskConfig
from marey.recipe.test import Fusion, Test
from marey.recipe.train import Train
from marey.video.flow.methods import TVL1, FlowMethod
from marey.video.flow.rule import FlowRule
from marey.video.pixels import PixelRule, Pixels
from marey.video.pixels.colour import Appearance
from marey.video.pixels.crops import TrainGeometry
from marey.video.sampling import TrainRule

NetworkConfig = Annotated[
    FrameBackbone | ClipBackbone | FrameProbeConfig | ClipProbeConfig | UserModuleConfig,
    Field(discriminator="network"),
]

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
    task: TaskConfig = Classify()
    modality: Literal["rgb", "flow"] = "rgb"
    dataset: str
    """The catalogue's name of the data set, or "folder" for the user's own."""
    storage: Literal["original", "short256", "short320", "frames340x256"] = "original"
    """How the videos were stored when the number was measured: it moves top-1 by up to a point."""
    pretraining: Word | None = None
    """What training starts from; None is from scratch. Marey finds imagenet and ig65m itself
    (`marey.weights.pretraining.start`); for any other word training asks for a recipe or a file (`--init`)."""
    model: NetworkConfig
    clip: TrainRule
    test: Test
    pixels: PixelRule = Pixels()
    flow_method: FlowMethod | None = None
    """How flow is computed of plain video; None: by TV-L1, which published flow weights were trained on. Flow that is
    stored beforehand is taken as it is."""
    augment: TrainGeometry
    appearance: tuple[Appearance, ...] = ()
    """What changes the look of a training clip after that, in this order."""
    train: Train
    published: Published | None = None
    measured: Measured | None = None
    weights: tuple[Source, ...] = ()
    """Where the file that gave `published` can be fetched; the same content wherever its hash is known. None was
    published, or none is known, where it is empty."""

    @field_validator("weights", mode="before")
    @classmethod
    def _one_address_of_version_0_1(cls, value: Any) -> Any:
        return sources_from(value)

    @model_validator(mode="after")
    def _colours_to_change(self) -> Self:
        if self.appearance and self.modality == "flow":
            raise ValueError("appearance changes colours, and flow has none: leave it out")
        return self

    @model_validator(mode="after")
    def _fits_its_task(self) -> Self:
        problem = self.task.problem_with(self.train)
        if problem is not None:
            raise ValueError(problem)
        return self

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
        return self._changed(changes, source=f"variant of {self.name}")

    def _changed(self, changes: dict[str, Any], *, source: str) -> "Recipe":
        numbers = {"published": None, "measured": None} | ({"weights": ()} if "model" in changes else {})
        return recipe_from(merged(self.model_dump(), numbers | changes), source=source)

    def with_settings(self, settings: Iterable[str]) -> "Recipe":
        """A variant by `key=value` words as on the command line: `train.epochs=30`, `model.num_classes=12`.

        Values are YAML; a hand-typed `1e-5` is a number. Where one word names another kind of a part, others may set
        that kind's fields: `train.schedule.kind=step`, `train.schedule.milestones=[30]`.

        Raises:
            RecipeError: a word without "=", an unknown key (the nearest are named) or a value of the wrong type.
        """
        words = list(settings)
        changes = changes_from(words, self.model_dump())
        return self._changed(changes, source=f"--set {words[0]}" if len(words) == 1 else "--set")

    def __repr__(self) -> str:
        classes = counted(self.model.num_classes, "class", "classes")
        title = beginning(self.title, 32)
        return f"Recipe({self.name}: {title}, {self.model.network}, {self.dataset}, {classes})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """The name and title; a click shows the whole recipe as YAML, in a notebook."""
        return folded(f"Recipe {self.name}: {self.title}", self.to_yaml())

    def to_yaml(self) -> str:
        """The whole recipe as YAML, to be edited and read back by `read_recipe`."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


class TwoStream(Declaration):
    """Two recipes on the same videos, RGB and flow, whose scores are added: a row without a training of its own."""

    schema_version: Literal[1] = 1
    name: str
    title: str
    paper: str
    notes: str = ""
    dataset: str
    rgb: str
    """Name of the recipe of the first stream."""
    flow: str
    """Name of the recipe of the second one."""
    fusion: Fusion
    """What is added up (`marey.evaluation.fusion`)."""
    weights: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    published: Published | None = None

    def to_yaml(self) -> str:
        """The declaration as YAML."""
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
        raise RecipeError(f"{source}: {field}: {rule}." if field else f"{source}: {rule}.") from None


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
    return recipe_from(yaml_value(text, str(path)), source=str(path))
