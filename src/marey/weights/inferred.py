"""Which recipe the weights in a file are read by, where the user names none."""

from types import ModuleType

from marey.recipe import NetworkConfig, Recipe
from marey.recipes import RECIPES
from marey.weights.layouts.all import LAYOUTS


def released_as(file: str, config: NetworkConfig) -> Recipe | None:
    """The recipe whose weights were published under this file name, if they are of such sizes; None if none were.

    A released file is then read as its row wants it, where shapes do not show it: which pool, which ReLU, which clips.
    """
    sizes = ("network", "depth", "width", "channels", "num_classes")
    for recipe in RECIPES:
        if any(source.file == file and source.kind == "publisher" for source in recipe.weights):
            alike = [getattr(recipe.model, size, None) == getattr(config, size, None) for size in sizes]
            if all(alike):
                return recipe
    return None


def recipe_for(config: NetworkConfig, layout: ModuleType) -> tuple[Recipe, str]:
    """The shipped recipe that best fits a network that was inferred from its tensors, and a note for the report.

    The same network and class count if there is one, else the same network; of the same toolkit if there is one.
    """
    same = (
        [r for r in RECIPES if r.model == config]
        or [r for r in RECIPES if _shape_free(r.model) == _shape_free(config)]
        or [r for r in RECIPES if r.model.network == config.network and r.model.channels == config.channels]
        or [r for r in RECIPES if r.model.network == config.network]
    )
    nearest = next((r for r in same if _toolkit(r) == layout.TOOLKIT), same[0])
    note = (
        f"frames, pixels and test protocol are those of {nearest.name}: the file does not tell; pass a recipe if others"
    )
    return nearest if nearest.model == config else nearest.variant(model=config, dataset="unknown"), note


_TOOLKITS = {layout.TOOLKIT for layout in LAYOUTS}
"""Recipes of a toolkit's form end in its name; MMAction's are the announcement's and end in none."""


def _toolkit(recipe: Recipe) -> str:
    """Whose form of a row a recipe is, by the last part of its name."""
    last = recipe.name.rpartition("_")[2]
    return last if last in _TOOLKITS else "mmaction"


def _shape_free(config: NetworkConfig) -> dict[str, object]:
    return {k: v for k, v in dict(config).items() if k != "num_classes"}
