"""Write docs/zoo.md, the model zoo, from the recipes: `python tools/zoo.py`."""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from marey.recipe import Published, Recipe, Source, TwoStream
from marey.recipes import PARAMETERS, RECIPES, TWO_STREAMS
from marey.video.sampling import PyTorchVideoTrain
from marey.weights.fetching.availability import best_source, size_text
from marey.weights.fetching.similar_rows import nearest_row

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
"""Data sets of Marey's own recipes, which reproduce no published result."""
_HEAD = """# Model zoo

Generated from the recipes by `python tools/zoo.py`. Every number is its publisher's, under the protocol beside it: numbers
of two protocols, splits or copies of a data set do not compare. `marey show NAME` prints everything behind a row.

- *top-1 / top-5* were measured by those who published them; *quoted*: they took them from somewhere else.
- *weights*: the best of the row's sources: what is reported of its host, the size and licence of the file, and how the file
  is verified. [Get weights](how-to/weights.md) says what the words mean and how to fetch a file or use a copy.
    - *no loss reported*: no report says that the host lost the file. None of these addresses was asked.
    - *lost and back*: the host was lost for a time. It is asked after all others, and only for a file with a known hash.
    - *gone*: the host lost the file or was given up. It is never asked, since its name may belong to somebody else by now,
      and so there is no link. `marey show NAME` prints the file's name and address.
    - *~*: the file's size is not known; this is the size of its parameters, 4 bytes each.
    - *no hash*: the file is fetched only with `--trust-first-use`.
- *nearest*: if Marey fetches no file for a row, the nearest row of the same network and data set whose file it fetches.
"""
_STATES = ("no loss reported", "lost and back", "gone")
"""Reported states of hosts, from the best to the worst."""
_BEFORE = {"no loss reported": 7, "lost and back": 26, "gone": 22, "none": 44}
"""The same counts in version 0.1.0, which had one address for each recipe, and none without a hash."""
_COLUMNS = ("recipe", "parameters", "input", "starts from", "data", "top-1 / top-5", "protocol", "weights")
_TWO_COLUMNS = ("row", "streams", "fusion", "data", "top-1 / top-5", "protocol")


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_summary(), *_sections()])


def _summary() -> Iterator[str]:
    bests = [best_source(recipe.weights) for recipe in RECIPES]
    now = Counter("none" if source is None else source.state.reported for source in bests)
    unknown = Counter(source.state.reported for source in bests if source and source.trust == "none")
    yield f"The {len(RECIPES)} recipes by the state of their best source, those of the demo and of folders included:\n"
    yield _line(("best source", "version 0.1.0", "now", "of these without a hash"))
    yield _line(["---"] * 4)
    for state in (*_STATES, "none"):
        name = "never published, or none known" if state == "none" else state
        hashless = "" if state == "none" else str(unknown[state])
        yield _line([name, str(_BEFORE[state]), str(now[state]), hashless])
    yield ""


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
        f"{PARAMETERS[recipe.name] / 1e6:.1f} M",
        _input(recipe),
        recipe.pretraining or "scratch",
        f"{recipe.dataset}, {recipe.modality}",
        *_published(recipe.published),
        _weights(recipe),
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
        return [""] * 2
    top5 = "" if number.top5 is None else f" / {number.top5:.1f}"
    quoted = ", quoted" if number.kind == "quoted" else ""
    return [f"{number.top1:.1f}{top5}{quoted}", f"{number.protocol}; {number.split}"]


def _input(recipe: Recipe) -> str:
    clip = recipe.clip
    if isinstance(clip, PyTorchVideoTrain):
        return f"{clip.frames} frames of {clip.seconds:.3g} s"
    return f"{clip.segments} segments" if clip.segments > 1 else f"{clip.frames}x{clip.stride}"


def _weights(recipe: Recipe) -> str:
    source = best_source(recipe.weights)
    if source is None:
        known = "none published, or none known"
    else:
        trust = "no hash" if source.trust == "none" else source.trust
        reported = source.state.reported
        linked = reported if reported == "gone" else f"[{reported}]({_link(source)})"
        known = ", ".join([linked, size_text(source), source.licence, trust])
    if any(source.usable for source in recipe.weights):
        return known
    near = nearest_row(recipe)
    return f"{known}; nearest: " + (f"`{near.name}`" if near else "none")


def _link(source: Source) -> str:
    """The file, or the page of its repository on the hub."""
    if not source.address.startswith("hf://"):
        return source.address
    owner, name, *_ = source.address.removeprefix("hf://").split("/")
    return f"https://huggingface.co/{owner}/{name.partition('@')[0]}"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(page(), encoding="utf-8")
