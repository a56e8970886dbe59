"""How large a file of weights is, and how sizes are written for a person."""

from marey.recipe import Source
from marey.recipes import RECIPES
from marey.recipes.parameters import PARAMETERS


def megabytes(size: int, *, exact: bool = True) -> str:
    """A size in millions of bytes; "~" before it: it is only the least that it can be."""
    return f"{'' if exact else '~'}{size / 1e6:,.{0 if size >= 10_000_000 else 1}f} MB"


def size_of(source: Source) -> tuple[int | None, bool]:
    """The bytes of all files of a source, and whether they are known.

    Where they are not, it is the least that they can be: 4 bytes for each parameter of the recipe that has this address;
    None where no recipe has it.
    """
    known = [size for size in (source.size, *(part.size for part in source.parts)) if size is not None]
    if len(known) == 1 + len(source.parts):
        return sum(known), True
    rows = (row for row in RECIPES if any(one.address == source.address for one in row.weights))
    parameters = min((PARAMETERS[row.name] for row in rows), default=None)
    return None if parameters is None else 4 * parameters, False


def size_text(source: Source) -> str:
    """The size of a source's files for a person: "130 MB", "~130 MB" where it is the least, or "size not known"."""
    size, exact = size_of(source)
    return "size not known" if size is None else megabytes(size, exact=exact)
