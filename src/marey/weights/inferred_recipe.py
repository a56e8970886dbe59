"""Infer the recipe of another toolkit's file for which the user names none."""

from pathlib import Path

from marey.recipe import NetworkConfig, Recipe
from marey.recipes import RECIPES
from marey.weights.foreign import Reading
from marey.weights.layouts.all import LAYOUTS
from marey.weights.layouts.layout import Layout

_SIZES = {"network", "depth", "width", "channels", "num_classes"}
"""Fields of a config that are inferred from tensor shapes, as far as a network has them."""
_TOOLKITS = {layout.toolkit for layout in LAYOUTS}
"""Toolkits. Names of recipes end in that of their toolkit, except for those of MMAction."""


def recipe_by_shapes(reading: Reading, path: Path, *, headless: bool) -> tuple[Recipe, tuple[str, ...], bool]:
    """The recipe of a file whose network was inferred, notes for the report, and whether the recipe declares this file.

    Args:
        headless: Whether the file has no classifier.
    """
    assert reading.inferred is not None
    config = reading.inferred.config
    if headless:
        # Any number of classes will do: the classifier is new, and training replaces the number by that of its list.
        config = config.model_copy(update={"num_classes": 400})
    released = released_as(path.name, config)
    if released is not None:
        return released, (f"published as {released.name}", *reading.other_fields(released.model)), True
    recipe, note = recipe_for(config, reading.layout)
    return recipe, (note, *reading.inferred.notes), False


def released_as(file: str, config: NetworkConfig) -> Recipe | None:
    """The recipe whose weights were published under this file name with the same sizes; None if there is none.

    Its file is then read by the recipe, which declares what shapes do not show: pools, ReLUs, clips.
    """
    sizes = config.model_dump(include=_SIZES)
    for recipe in RECIPES:
        published = any(source.file == file and source.kind == "publisher" for source in recipe.weights)
        if published and recipe.model.model_dump(include=_SIZES) == sizes:
            return recipe
    return None


def recipe_for(config: NetworkConfig, layout: Layout) -> tuple[Recipe, str]:
    """The recipe that best fits a network inferred from tensors, and a note for the report.

    In this order: with an equal config; equal except for the number of classes; with the same kind of network and input
    channels; with the same kind of network. Of several, one of the layout's toolkit is preferred.
    """
    same = (
        [r for r in RECIPES if r.model == config]
        or [r for r in RECIPES if _without_classes(r.model) == _without_classes(config)]
        or [r for r in RECIPES if r.model.network == config.network and r.model.channels == config.channels]
        or [r for r in RECIPES if r.model.network == config.network]
    )
    nearest = next((r for r in same if _toolkit(r) == layout.toolkit), same[0])
    note = (
        f"frames, pixels and test protocol are assumed to be those of {nearest.name}: the file does not hold them; pass a "
        "recipe if they differ"
    )
    return nearest if nearest.model == config else nearest.variant(model=config, dataset="unknown"), note


def _toolkit(recipe: Recipe) -> str:
    """The toolkit of a recipe, inferred from the last word of its name."""
    last = recipe.name.rpartition("_")[2]
    return last if last in _TOOLKITS else "mmaction"


def _without_classes(config: NetworkConfig) -> dict[str, object]:
    return {k: v for k, v in dict(config).items() if k != "num_classes"}
