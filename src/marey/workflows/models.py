"""From what a user names (a recipe, a file) to a network that is ready, or to a file of ours."""

from collections.abc import Sequence
from pathlib import Path

from marey.base.errors import WeightsError
from marey.models.network import Network
from marey.recipe import Recipe
from marey.recipes import get_recipe
from marey.weights.checkpoint import save_checkpoint
from marey.weights.load import build_network, load_model


def open_model(
    name_or_file: str, *, weights: Path | None = None, untrained: bool = False, settings: Sequence[str] = ()
) -> Network:
    """The network that a user names, in eval mode.

    `name_or_file` is a recipe's name or a checkpoint of ours; `weights` gives a recipe its weights from a file,
    `untrained` leaves them random (every answer is then a guess: for trying the path and for timing).
    `settings` are `--set` words that change the recipe, for example its test protocol.

    Raises:
        RecipeError, WeightsError: a wrong name, or weights that do not fit.
    """
    is_file = Path(name_or_file).exists() or name_or_file.endswith(".safetensors")
    if is_file and (weights or untrained):
        raise WeightsError(f"{name_or_file} holds weights of its own: leave out --weights and --untrained.")
    if is_file:
        network = load_model(Path(name_or_file))
        network.recipe = _edited(network.recipe, settings)
        return network
    recipe = _edited(get_recipe(name_or_file), settings)
    if untrained:
        return build_network(recipe).eval()
    return load_model(recipe, weights=weights)


def convert_weights(file: Path, out: Path, *, recipe: Recipe | None) -> str:
    """Write any checkpoint that we read as one file of ours; returns what to tell the user."""
    if out.suffix != ".safetensors":
        raise WeightsError(f"--out {out}: a file of ours ends in .safetensors.")
    network = load_model(recipe, weights=file)
    assert isinstance(network.recipe, Recipe)
    save_checkpoint(out, network, network.recipe, network.class_names, {"converted_from": file.name})
    return f"{out}: {network.recipe.name}, {network.recipe.model.num_classes} classes."


def _edited(recipe: object, settings: Sequence[str]) -> Recipe:
    assert isinstance(recipe, Recipe)
    return recipe.with_settings(settings) if settings else recipe
