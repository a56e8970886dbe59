"""What `marey list` shows of each recipe."""

from rich.table import Table

from marey.base.files import cache_folder
from marey.recipe import Published, Recipe
from marey.recipes import RECIPES, TWO_STREAMS
from marey.weights.hub import cached_path

COLUMNS = ("recipe", "family", "input", "data set", "starts from", "top-1", "top-5", "weights")


def recipe_table() -> Table:
    """One row per recipe: network, what it sees, what it started from, the published numbers, where its weights are."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for recipe in RECIPES:
        table.add_row(*cells(recipe))
    for row in TWO_STREAMS:
        table.add_row(row.name, "two streams", "rgb + flow", row.dataset, "", *_numbers(row.published), "")
    table.caption = f"weights: here = in {cache_folder()}, published = fetched when they are needed"
    table.caption_justify = "left"
    return table


def cells(recipe: Recipe) -> tuple[str, ...]:
    """A recipe's row."""
    return (
        recipe.name,
        recipe.model.network,
        f"{recipe.modality} {clip_of(recipe)}",
        recipe.dataset,
        recipe.pretraining or "scratch",
        *_numbers(recipe.published),
        _weights(recipe),
    )


def _numbers(published: Published | None) -> tuple[str, ...]:
    """Top-1 and top-5 in percent, empty where nobody printed them."""
    numbers = (published.top1, published.top5) if published else (None, None)
    return tuple("" if number is None else f"{number:.1f}" for number in numbers)


def clip_of(recipe: Recipe) -> str:
    """How many frames in which distance a clip has: 8x8; 3 segments; 3 segments of 5; 8 in 2.13 s."""
    rule = recipe.clip
    if rule.segments > 1:
        return f"{rule.segments} segments" + (f" of {rule.frames}" if rule.frames > 1 else "")
    seconds = getattr(rule, "seconds", None)
    return f"{rule.frames} in {seconds:.3g} s" if seconds else f"{rule.frames}x{rule.stride}"


def _weights(recipe: Recipe) -> str:
    if recipe.weights is None:
        return ""
    return "here" if cached_path(recipe.weights.url, recipe.weights.sha256).is_file() else "published"
