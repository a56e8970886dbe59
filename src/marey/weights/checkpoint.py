"""Our own file: a .safetensors whose metadata holds the recipe, the class names and where the weights came from."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from marey.base.errors import RecipeError, WeightsError
from marey.base.files import atomic_path
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
    network: nn.Module,
    recipe: Recipe,
    class_names: Sequence[str] | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write one file that `marey predict` and `marey evaluate` need nothing beside. Whole or absent."""
    metadata = {
        "format": "pt",
        "marey": FORMAT,
        "recipe": recipe.model_dump_json(),
        "class_names": json.dumps(list(class_names) if class_names else None, ensure_ascii=False),
        "provenance": json.dumps(provenance or {}, ensure_ascii=False),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a file of ours; a folder with model.safetensors is the same thing.

    Raises:
        WeightsError: missing, cut short, or a .safetensors file that Marey did not write.
    """
    file = Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)
    if not file.is_file():
        raise WeightsError(f"{file}: no such checkpoint file.")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file}: not a whole .safetensors file; is it cut short? ({error})") from None
    if "recipe" not in metadata:
        raise WeightsError(f"{file}: a .safetensors file without a recipe: it was not written by Marey.")
    try:
        recipe = recipe_from(json.loads(metadata["recipe"]), source=str(file))
    except (RecipeError, json.JSONDecodeError) as error:
        raise WeightsError(f"{file}: its recipe cannot be read by this version ({error}).") from None
    names = json.loads(metadata.get("class_names", "null"))
    return Checkpoint(recipe, tuple(names) if names else None, json.loads(metadata.get("provenance", "{}")), tensors)
