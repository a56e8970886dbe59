"""A recipe: network, sampling, pixels, training, test protocol, published numbers and weights, in one declaration.

Imports no torch; `recipe.model.build()` does.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, PositiveFloat, ValidationError, field_validator, model_validator

from marey.base.declaration import Declaration, first_problem
from marey.base.errors import RecipeError
from marey.base.notebook import html_details, keep_beginning
from marey.base.words import counted
from marey.models.backbones import ClipBackbone, FrameBackbone
from marey.models.probe.config import ClipProbeConfig, FrameProbeConfig
from marey.models.user_module.config import UserModuleConfig
from marey.recipe.published import Measured, Published
from marey.recipe.settings import changes_from, merged, yaml_value
from marey.recipe.source import LowerCaseWord, Source, sources_from
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
"""For each value of `storage` the short side and the (height, width) of the stored frames, in pixels; None: as in the
original."""


class Recipe(Declaration):
    """One network with all that its accuracy depends on. Immutable: `variant` makes another recipe."""

    schema_version: Literal[1] = 1
    """Version of the YAML format; so far there is one."""
    name: str
    """The unique name, as `marey list` prints it."""
    title: str
    """Name of the network for people."""
    paper: str
    """Address of the paper."""
    notes: str = ""
    """What to know about the recipe's accuracy or settings that no field shows; "" for nothing."""
    task: TaskConfig = Classify()
    """One label per video, or several."""
    modality: Literal["rgb", "flow"] = "rgb"
    """What the network sees: RGB frames or optical flow."""
    dataset: str
    """The catalogue's name of the data set, or "folder" for the user's own videos."""
    storage: Literal["original", "short256", "short320", "frames340x256"] = "original"
    """How the videos were stored when the accuracy was measured, which changes top-1 by up to a percentage point.
    "short256": resized to a short side of 256 pixels; "frames340x256": frames of 340 x 256 pixels; "original": as
    published."""
    pretraining: LowerCaseWord | None = None
    """The data set of the weights that training starts from; None: from scratch. Marey finds the weights of "imagenet"
    and "ig65m" by itself; with any other word the user must name a recipe or a file (`--init`)."""
    model: NetworkConfig
    """The kind of network and its sizes; `model.build()` makes the network."""
    clip: TrainRule
    """The sampling rule of training: which frames a clip has."""
    test: Test
    """The test protocol: clips, crops, and how their predictions are averaged."""
    pixels: PixelRule = Pixels()
    """How frames are resized and normalised."""
    flow_method: FlowMethod | None = None
    """How optical flow is computed from RGB video. None: by TV-L1, on which published flow weights were trained. Stored
    flow is used as it is."""
    augment: TrainGeometry
    """Which crop of a training clip is taken, and whether it is mirrored."""
    appearance: tuple[Appearance, ...] = ()
    """Changes of the colours of a training clip after the crop, in this order; () for none."""
    train: Train
    """Optimiser, schedule, loss and everything else of the training."""
    published: Published | None = None
    """The accuracy that was published for this network; None: none was."""
    measured: Measured | None = None
    """The accuracy that Marey's authors measured; None: not measured yet."""
    weights: tuple[Source, ...] = ()
    """Addresses of the weights file with which `published` was measured. As far as hashes are known, all addresses have
    the same content. Empty: no file was published, or no address is known."""

    @field_validator("weights", mode="before")
    @classmethod
    def _weights_of_version_0_1(cls, value: Any) -> Any:
        return sources_from(value)

    @model_validator(mode="after")
    def _flow_has_no_colours(self) -> Self:
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
        """How flow is computed from RGB video, at the size of `storage`; None for a recipe on RGB."""
        if self.modality != "flow":
            return None
        short, size = _STORED[self.storage]
        return FlowRule(method=self.flow_method or TVL1(), short_side=short, size=size)

    def variant(self, **changes: Any) -> "Recipe":
        """A validated copy with a few fields changed, nested ones as dictionaries.

            recipe.variant(name="mine", train={"epochs": 30})

        `published` and `measured` hold for the original only: in the copy they are None unless they are given. If the
        network (`model`) changes, the copy has no `weights` unless they are given.

        Raises:
            RecipeError: a field does not exist, or a value is not allowed.
        """
        return self._changed(changes, source=f"variant of {self.name}")

    def _changed(self, changes: dict[str, Any], *, source: str) -> "Recipe":
        numbers = {"published": None, "measured": None} | ({"weights": ()} if "model" in changes else {})
        return recipe_from(merged(self.model_dump(), numbers | changes), source=source)

    def with_settings(self, settings: Iterable[str]) -> "Recipe":
        """A variant with the `key=value` settings of the command line: `train.epochs=30`, `model.num_classes=12`.

        Values are YAML, and `1e-5` is a number. A setting may choose another kind of a section, and other settings the
        fields of this kind: `train.schedule.kind=step`, `train.schedule.milestones=[30]`.

        Raises:
            RecipeError: a setting has no "=", an unknown key (the nearest are named) or a value of the wrong type.
        """
        settings = list(settings)
        changes = changes_from(settings, self.model_dump())
        return self._changed(changes, source=f"--set {settings[0]}" if len(settings) == 1 else "--set")

    def __repr__(self) -> str:
        classes = counted(self.model.num_classes, "class", "classes")
        title = keep_beginning(self.title, 32)
        return f"Recipe({self.name}: {title}, {self.model.network}, {self.dataset}, {classes})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """For notebooks: name and title; a click shows the recipe as YAML."""
        return html_details(f"Recipe {self.name}: {self.title}", self.to_yaml())

    def to_yaml(self) -> str:
        """The recipe as YAML, which `read_recipe` reads."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


class TwoStream(Declaration):
    """Two recipes for the same videos, RGB and flow, whose predictions are added. Each is trained by itself."""

    schema_version: Literal[1] = 1
    """Version of the YAML format; so far there is one."""
    name: str
    """The unique name, as `marey list` prints it."""
    title: str
    """Name of the two networks for people."""
    paper: str
    """Address of the paper."""
    notes: str = ""
    """What to know about the accuracy that no field shows; "" for nothing."""
    dataset: str
    """The catalogue's name of the data set."""
    rgb: str
    """Name of the recipe on RGB."""
    flow: str
    """Name of the recipe on optical flow."""
    fusion: Fusion
    """What is added: probabilities or logits (`marey.evaluation.fusion`)."""
    weights: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    """The weights of RGB and of flow in the sum, above 0; by default both are 1."""
    published: Published | None = None
    """The published accuracy of the two together; None: none was published."""

    def to_yaml(self) -> str:
        """The declaration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def recipe_from(values: Any, *, source: str) -> Recipe:
    """The recipe with the fields of a dictionary; `source` is the name of the dictionary in an error message.

    Raises:
        RecipeError: a field is missing, does not exist, or has a value that is not allowed. The message is one line.
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
        RecipeError: the file is missing, is no YAML, or has a field that is not allowed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read as a recipe ({error}).") from None
    return recipe_from(yaml_value(text, str(path)), source=str(path))
