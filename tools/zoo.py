"""Write docs/zoo.md, the model zoo, from the recipes: `python tools/zoo.py`."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from marey.recipe import NetworkConfig, Recipe
from marey.recipes import RECIPES

PAGE = Path(__file__).parent.parent / "docs" / "zoo.md"

_FAMILIES = {
    "TSN": ("tsn", "tsn_bninception"),
    "I3D": ("i3d_incv1", "i3d_resnet", "c2d"),
    "SlowOnly": ("slowonly",),
    "SlowFast": ("slowfast",),
}
"""Headings, and the networks below each."""
_OWN = ("motions", "folder")
"""Data sets of recipes that reproduce no row."""
_HEAD = """# Model zoo

Generated from the recipes by `python tools/zoo.py`. Every number is somebody's own, under the protocol beside it: numbers of
two protocols, splits or copies of a data set do not compare. `marey show NAME` prints everything behind a row.

- *measured* by those who published it, or *quoted* by them from somewhere else.
- *weights*: the file that belongs to the row has a known address and hash.
"""
_COLUMNS = ("recipe", "parameters", "input", "starts from", "data", "top-1", "top-5", "kind", "protocol", "weights")


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_sections()])


def _sections() -> Iterator[str]:
    rows = [recipe for recipe in RECIPES if recipe.dataset not in _OWN]
    for heading, networks in _FAMILIES.items():
        yield f"## {heading}\n"
        yield _line(_COLUMNS)
        yield _line(["---"] * len(_COLUMNS))
        yield from (_line(_cells(row)) for row in rows if row.model.network in networks)
        yield ""
    missing = {row.model.network for row in rows} - {name for names in _FAMILIES.values() for name in names}
    if missing:
        raise SystemExit(f"tools/zoo.py: no heading for {', '.join(sorted(missing))}")


def _cells(recipe: Recipe) -> list[str]:
    published = recipe.published
    number = [f"{published.top1:.1f}", f"{published.top5:.1f}" if published.top5 else ""] if published else ["", ""]
    kind = ("quoted" if published.kind == "quoted" else "measured") if published else ""
    return [
        f"`{recipe.name}`",
        f"{parameters(recipe.model) / 1e6:.1f} M",
        _input(recipe),
        recipe.pretraining or "scratch",
        f"{recipe.dataset}, {recipe.modality}",
        *number,
        kind,
        f"{published.protocol}; {published.split}" if published else "",
        f"[{recipe.weights.sha256[:8]}]({recipe.weights.url})" if recipe.weights else "",
    ]


def _input(recipe: Recipe) -> str:
    clip = recipe.clip
    return f"{clip.segments} segments" if clip.segments > 1 else f"{clip.frames}x{clip.stride}"


@cache
def parameters(config: NetworkConfig) -> int:
    """Weights of a network, counted without allocating them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in config.build().parameters())


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
