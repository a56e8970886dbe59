"""Write docs/zoo.md, the model zoo, from the recipes: `python tools/zoo.py`."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from marey.recipe import NetworkConfig, Published, Recipe, TwoStream
from marey.recipes import RECIPES, TWO_STREAMS
from marey.video.sampling import PyTorchVideoTrain

PAGE = Path(__file__).parent.parent / "docs" / "zoo.md"

_FAMILIES = {
    "TSN": ("tsn", "tsn_bninception"),
    "TSM": ("tsm",),
    "I3D": ("i3d_incv1", "i3d_resnet", "c2d"),
    "SlowOnly": ("slowonly",),
    "SlowFast": ("slowfast",),
    "R(2+1)D": ("r2plus1d",),
    "CSN": ("csn",),
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
_TWO_COLUMNS = ("row", "streams", "fusion", "data", "top-1", "top-5", "kind", "protocol")


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
    yield "## Two streams\n"
    yield _line(_TWO_COLUMNS)
    yield _line(["---"] * len(_TWO_COLUMNS))
    yield from (_line(_two_cells(row)) for row in TWO_STREAMS)
    yield ""
    missing = {row.model.network for row in rows} - {name for names in _FAMILIES.values() for name in names}
    if missing:
        raise SystemExit(f"tools/zoo.py: no heading for {', '.join(sorted(missing))}")


def _cells(recipe: Recipe) -> list[str]:
    return [
        f"`{recipe.name}`",
        f"{parameters(recipe.model) / 1e6:.1f} M",
        _input(recipe),
        recipe.pretraining or "scratch",
        f"{recipe.dataset}, {recipe.modality}",
        *_published(recipe.published),
        f"[{recipe.weights.sha256[:8]}]({recipe.weights.url})" if recipe.weights else "",
    ]


def _two_cells(row: TwoStream) -> list[str]:
    return [
        f"`{row.name}`",
        f"`{row.rgb}`, `{row.flow}`",
        f"sum of {row.fusion}",
        row.dataset,
        *_published(row.published),
    ]


def _published(number: Published | None) -> list[str]:
    if number is None:
        return [""] * 4
    top5 = "" if number.top5 is None else f"{number.top5:.1f}"
    kind = "quoted" if number.kind == "quoted" else "measured"
    return [f"{number.top1:.1f}", top5, kind, f"{number.protocol}; {number.split}"]


def _input(recipe: Recipe) -> str:
    clip = recipe.clip
    if isinstance(clip, PyTorchVideoTrain):
        return f"{clip.frames} frames of {clip.seconds:.3g} s"
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
