"""Marey's checkpoint: a .safetensors file whose metadata holds the recipe, the class names and the origin of the weights.

For a hub, where people read files, the same is written as a folder with `model.safetensors` and `recipe.json`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from marey.base.declaration import first_problem
from marey.base.errors import RecipeError, WeightsError
from marey.base.files import atomic_path, utf8_name, write_json
from marey.base.jsonable import json_text
from marey.base.words import counted
from marey.classifier import Calibration, Classifier, user_module_config
from marey.data.files.identity import Identities
from marey.models.network import Network
from marey.models.user_module.config import UserModuleConfig
from marey.recipe import Recipe, recipe_from
from marey.weights.files.find_checkpoint import MODEL, RECIPE
from marey.weights.files.other_formats import check_body
from marey.weights.files.torch_files import read_safetensors

FORMAT = "1"


@dataclass(frozen=True)
class Description:
    """The metadata of a checkpoint."""

    recipe: Recipe
    """The recipe of the network whose weights these are."""
    class_names: tuple[str, ...] | None
    """Names in the order of the logits; None: unknown."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Where the weights came from, as JSON values."""
    calibration: Calibration | None = None
    """The calibration that was fitted for the classifier; None: none was."""
    trained_on: Identities | None = None
    """Identities of the videos that it was trained on; None: unknown, as in files of version 0.1.0."""

    @property
    def module(self) -> str | None:
        """The class (package.file.Class) of a user's module with these weights; None for a network of Marey."""
        model = self.recipe.model
        return model.module if isinstance(model, UserModuleConfig) else None

    def as_json(self) -> dict[str, Any]:
        """The JSON values of recipe.json."""
        names = list(self.class_names) if self.class_names else None
        values = {"recipe": self.recipe.model_dump(mode="json"), "class_names": names, "provenance": self.provenance}
        if self.calibration is not None:
            values["calibration"] = self.calibration.model_dump(mode="json")
        return values if self.trained_on is None else values | {"trained_on": self.trained_on.text}


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint of Marey."""

    description: Description
    """The recipe, class names and other metadata."""
    tensors: dict[str, Tensor]
    """The weights by their names in Marey's network."""

    @property
    def recipe(self) -> Recipe:
        return self.description.recipe

    @property
    def class_names(self) -> tuple[str, ...] | None:
        return self.description.class_names

    @property
    def provenance(self) -> dict[str, Any]:
        return self.description.provenance


def save_checkpoint(
    path: str | Path,
    network: nn.Module | Mapping[str, Tensor],
    recipe: Recipe | None = None,
    class_names: Sequence[str] | None = None,
    provenance: dict[str, Any] | None = None,
    trained_on: Identities | None = None,
) -> None:
    """Write a checkpoint: one file that `marey predict` and `marey evaluate` can use alone. The write is atomic.

    Args:
        network: A classifier, a network, or the tensors of a state dict.
        recipe: The recipe to store; None: that of the classifier.
        class_names: The class names to store; None: those of the classifier.
        provenance: Where the weights came from, as JSON values.
        trained_on: Identities of the videos that the weights were trained on; None: those of the classifier.

    Raises:
        WeightsError: `network` is no classifier and no recipe is given; or the number of class names is not the number
            of the recipe's classes.
    """
    description = _description_of(network, recipe, class_names, provenance, trained_on)
    metadata = {name: json_text(value) for name, value in description.as_json().items()}
    module = network.network if isinstance(network, Classifier) else network
    state = module.state_dict() if isinstance(module, nn.Module) else module
    tensors = _without_shared_memory({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, {"format": "pt", "marey": FORMAT} | metadata)
        except SafetensorError as error:  # such as a full disk
            raise WeightsError(f"{path}: cannot be written ({error}).") from None


def _description_of(
    network: nn.Module | Mapping[str, Tensor],
    recipe: Recipe | None,
    class_names: Sequence[str] | None,
    provenance: dict[str, Any] | None,
    trained_on: Identities | None = None,
) -> Description:
    calibration = None
    if isinstance(network, Classifier):
        recipe = recipe or network.recipe
        class_names, calibration = class_names or network.class_names, network.calibration
        trained_on = trained_on or network.trained_on
    if recipe is None:
        raise WeightsError("save_checkpoint needs a recipe beside a network: pass one, or a Classifier, which has it.")
    if class_names and len(class_names) != recipe.model.num_classes:
        raise WeightsError(
            f"save_checkpoint: {len(class_names)} class names, but the recipe {recipe.name} has "
            f"{counted(recipe.model.num_classes, 'class')}."
        )
    named = isinstance(network, Network | Classifier) or isinstance(recipe.model, UserModuleConfig)
    if isinstance(network, nn.Module) and not named:
        recipe = recipe.variant(model=user_module_config(network, recipe))
    return Description(recipe, tuple(class_names) if class_names else None, provenance or {}, calibration, trained_on)


def _without_shared_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values; tensors that share memory are copied, because the format allows no shared memory."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return separate


def save_folder(
    folder: str | Path,
    network: nn.Module,
    recipe: Recipe | None = None,
    class_names: Sequence[str] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a checkpoint as a folder: the file of `save_checkpoint`, and its metadata as recipe.json."""
    folder = Path(folder)
    save_checkpoint(folder / MODEL, network, recipe, class_names, provenance)
    described = _description_of(network, recipe, class_names, provenance).as_json()
    write_json(folder / RECIPE, {"marey": FORMAT} | described)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint of Marey: a file, or a folder with model.safetensors.

    Raises:
        WeightsError: missing, incomplete, not written by Marey, or a folder whose recipe.json differs from the metadata.
    """
    path = Path(path)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(f"{file}: no such checkpoint file.")
    check_body(file)
    tensors, metadata = read_safetensors(file)
    beside = path / RECIPE
    described = _parse_metadata(metadata, file) if "recipe" in metadata else None
    if path.is_dir() and beside.is_file():
        in_folder = _read_description(beside)
        if described is not None and in_folder != described:
            raise WeightsError(f"{beside}: differs from the metadata in {MODEL} beside it: remove one of them.")
        described = in_folder
    if described is None:
        raise WeightsError(f"{file}: a .safetensors file without a recipe: it was not written by Marey.")
    return Checkpoint(described, tensors)


def is_own(path: Path) -> bool:
    """Whether a file or folder is to be read by `read_checkpoint`, as a checkpoint of Marey.

    True also for a .safetensors file that cannot be read and for a folder without model.safetensors: the errors of
    `read_checkpoint` explain what is wrong with them.
    """
    file = path / MODEL if path.is_dir() else path
    if path.is_dir() and ((path / RECIPE).is_file() or not file.is_file()):
        return True
    if file.suffix != ".safetensors":
        return False
    try:
        with utf8_name(file) as name, safe_open(name, framework="pt") as opened:
            return not {"recipe", "marey"}.isdisjoint(opened.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return True


def _parse_metadata(metadata: dict[str, str], file: Path) -> Description:
    fields = ("recipe", "class_names", "provenance", "calibration", "trained_on")
    return _description({name: _parse_json(metadata[name], file) for name in fields if name in metadata}, file)


def _read_description(file: Path) -> Description:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{file}: cannot be read ({error}).") from None
    values = _parse_json(text, file)
    if not isinstance(values, dict):
        raise WeightsError(f"{file}: expected an object with a recipe, got {type(values).__name__}.")
    return _description(values, file)


def _parse_json(text: str, file: Path) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise WeightsError(f"{file}: its metadata is no valid JSON ({error}).") from None


def _description(values: dict[str, Any], file: Path) -> Description:
    try:
        recipe = recipe_from(values.get("recipe"), source=str(file))
    except RecipeError as error:
        raise WeightsError(f"{file}: its recipe cannot be read by this version ({error}).") from None
    names, provenance = values.get("class_names"), values.get("provenance") or {}
    if not isinstance(provenance, dict):
        raise WeightsError(f"{file}: its provenance is not an object.")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if names and listed and "module" in provenance and not isinstance(recipe.model, UserModuleConfig):
        # Version 0.1.0 stored the network of the recipe in `recipe.model`, and the user's module in the provenance.
        module = {"module": provenance["module"], "num_classes": len(names), "channels": recipe.model.channels}
        recipe = recipe.variant(model=UserModuleConfig(**module))
    if names and not (listed and len(names) == recipe.model.num_classes):
        raise WeightsError(
            f"{file}: its class names are not {counted(recipe.model.num_classes, 'name')}, one for each class."
        )
    try:
        fitted = values.get("calibration")
        calibration = None if fitted is None else Calibration.model_validate(fitted)
    except ValidationError as error:
        raise WeightsError(f"{file}: its calibration is invalid: {' '.join(first_problem(error))}.") from None
    try:
        text = values.get("trained_on")
        trained_on = None if text is None else Identities.from_text(text)
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{file}: trained_on is no list of identities ({error}).") from None
    return Description(recipe, tuple(names) if names else None, provenance, calibration, trained_on)
