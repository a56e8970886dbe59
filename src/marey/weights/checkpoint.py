"""Our own file: a .safetensors whose metadata holds the recipe, the class names and where the weights came from.

A folder `model.safetensors` + `recipe.json` is the same thing where a hub wants files that it can show.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from marey.base.errors import RecipeError, WeightsError
from marey.base.files import atomic_path, write_json
from marey.recipe import Recipe, recipe_from

FORMAT = "1"


@dataclass(frozen=True)
class Checkpoint:
    """What a file of ours holds."""

    recipe: Recipe
    class_names: tuple[str, ...] | None
    provenance: dict[str, Any]
    tensors: dict[str, Tensor]


def save_checkpoint(
    path: str | Path,
    network: nn.Module | Mapping[str, Tensor],
    recipe: Recipe,
    class_names: Sequence[str] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write one file that `marey predict` and `marey evaluate` need nothing beside. Whole or absent.

    Args:
        network: The network, or the tensors of its state dict.
    """
    metadata = {
        "format": "pt",
        "marey": FORMAT,
        "recipe": recipe.model_dump_json(),
        "class_names": json.dumps(list(class_names) if class_names else None, ensure_ascii=False),
        "provenance": json.dumps(provenance or {}, ensure_ascii=False),
    }
    state = network.state_dict() if isinstance(network, nn.Module) else network
    tensors = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same values, none of them in memory that it shares with another: the format has no shared parameters."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if memory in seen else tensor
        seen.add(memory)
    return found


def save_folder(
    folder: str | Path,
    network: nn.Module,
    recipe: Recipe,
    class_names: Sequence[str] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write the folder form: the file of `save_checkpoint`, and what its metadata says as recipe.json."""
    folder = Path(folder)
    save_checkpoint(folder / _MODEL, network, recipe, class_names, provenance)
    names = list(class_names) if class_names else None
    described = {"marey": FORMAT, "recipe": recipe.model_dump(mode="json")}
    write_json(folder / _RECIPE, described | {"class_names": names, "provenance": provenance or {}})


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a file of ours; a folder with model.safetensors is the same thing.

    Raises:
        WeightsError: missing, cut short, not written by Marey, or a folder whose recipe.json says something else.
    """
    path = Path(path)
    file = path / _MODEL if path.is_dir() else path
    if not file.is_file():
        raise WeightsError(f"{file}: no such checkpoint file.")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file}: not a whole .safetensors file; is it cut short? ({error})") from None
    beside = path / _RECIPE
    told = _described(metadata, file) if "recipe" in metadata else None
    if path.is_dir() and beside.is_file():
        shown = _read_description(beside)
        if told is not None and shown != told:
            raise WeightsError(f"{beside}: says something else than {_MODEL} beside it: remove one of them.")
        told = shown
    if told is None:
        raise WeightsError(f"{file}: a .safetensors file without a recipe: it was not written by Marey.")
    return Checkpoint(*told, tensors)


_MODEL, _RECIPE = "model.safetensors", "recipe.json"
Description = tuple[Recipe, tuple[str, ...] | None, dict[str, Any]]
"""Recipe, class names, provenance."""


def _described(metadata: dict[str, str], file: Path) -> Description:
    parts = {"class_names": "null", "provenance": "{}"} | metadata
    return _description({name: _parsed(parts[name], file) for name in ("recipe", "class_names", "provenance")}, file)


def _read_description(file: Path) -> Description:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WeightsError(f"{file}: cannot be read ({error}).") from None
    values = _parsed(text, file)
    if not isinstance(values, dict):
        raise WeightsError(f"{file}: expected an object with a recipe, got {type(values).__name__}.")
    return _description(values, file)


def _parsed(text: str, file: Path) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise WeightsError(f"{file}: what it says of itself is no JSON ({error}).") from None


def _description(values: dict[str, Any], file: Path) -> Description:
    try:
        recipe = recipe_from(values.get("recipe"), source=str(file))
    except RecipeError as error:
        raise WeightsError(f"{file}: its recipe cannot be read by this version ({error}).") from None
    names, provenance = values.get("class_names"), values.get("provenance") or {}
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if names and not (listed and len(names) == recipe.model.num_classes):
        raise WeightsError(f"{file}: its class names are not {recipe.model.num_classes} names, one for each class.")
    if not isinstance(provenance, dict):
        raise WeightsError(f"{file}: where it came from is not an object.")
    return recipe, tuple(names) if names else None, provenance
