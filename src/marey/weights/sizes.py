"""Sizes of files of weights for a person."""

from marey.recipe import Source
from marey.recipes.parameters import PARAMETERS


def size_text(name: str, source: Source) -> str:
    """The size of a source of `name`; where it is not known, the least that its parameters take (~)."""
    least = 4 * PARAMETERS.get(name, 0)
    size = source.size or least
    return f"{'' if source.size else '~'}{size / 1e6:.0f} MB" if size else "size not known"
