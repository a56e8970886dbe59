"""Whether one can get the weights of a row: by what is declared and what lies here. Nothing is asked or hashed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from marey.recipe import Recipe, Source, TwoStream
from marey.recipe.source import asked
from marey.recipes import get_recipe
from marey.recipes.parameters import PARAMETERS
from marey.weights.store import files_of, is_here, place

State = Literal["here", "yes", "asks first", "host was lost", "lost, no hash", "gone", "none"]

MEANINGS: dict[State, str] = {
    "here": "in the cache, or a copy of yours that is registered there",
    "yes": "fetched when needed: no loss of its host is reported, and a hash of it is known",
    "asks first": "no hash of it was published: it is fetched on your word (--trust-first-use)",
    "host was lost": "fetched when needed: its host was lost and is back, and a hash of it is known",
    "lost, no hash": "its host was lost and is back, and no hash is known: it is not fetched by name",
    "gone": "its host is gone since then and is not asked; a copy of yours works as well",
    "none": "no file of its weights is known",
}
"""What each state means, from the best to the worst."""


@dataclass(frozen=True)
class Availability:
    """What there is of the weights of a row."""

    state: State
    sources: tuple[Source, ...] = ()
    """Those that are here, would be asked first, or are lost: one for each stream, none for state "none"."""
    paths: tuple[Path, ...] = ()
    """Where the files of these sources lie or would lie."""
    size: int | None = None
    """Bytes of all streams; None: there is no file."""
    exact: bool = True
    """Whether `size` is that of the files; else it is the least that it can be, 4 bytes a parameter."""

    @property
    def available(self) -> bool:
        """Whether one can get it: it is here, or there is a source to ask."""
        return self.state in ("here", "yes", "asks first", "host was lost")

    @property
    def word(self) -> str:
        """The state in at most 13 characters, with the month since when a file is gone."""
        dates = [source.state.date for source in self.sources if source.state.reported == "gone" and source.state.date]
        return f"gone {max(dates):%Y-%m}" if self.state == "gone" and dates else self.state

    @property
    def licence(self) -> str:
        """Of all streams, as SPDX writes it."""
        return " AND ".join(dict.fromkeys(source.licence for source in self.sources))


def availability(row: Recipe | TwoStream) -> Availability:
    """What there is of a row's weights; of a row of two streams, the worse state of the two."""
    if isinstance(row, Recipe):
        return availability_of(row.weights, PARAMETERS[row.name])
    streams = [availability(get_recipe(name)) for name in (row.rgb, row.flow)]
    order = list(MEANINGS)
    sizes = [stream.size for stream in streams if stream.size is not None]
    return Availability(
        state=max((stream.state for stream in streams), key=order.index),
        sources=tuple(source for stream in streams for source in stream.sources),
        paths=tuple(path for stream in streams for path in stream.paths),
        size=sum(sizes) if len(sizes) == len(streams) else None,
        exact=all(stream.exact for stream in streams),
    )


def here(sources: Sequence[Source]) -> Source | None:
    """The first source all of whose files lie in the cache, whatever is in them."""
    return next(filter(is_here, sources), None)


def availability_of(sources: Sequence[Source], parameters: int | None = None) -> Availability:
    """What there is of the sources of one thing; the number of `parameters` gives the least size where none is known."""
    if not sources:
        return Availability("none")
    if (kept := here(sources)) is not None:
        size = sum(path.stat().st_size for path in files_of(kept))
        return Availability("here", (kept,), (place(kept),), size)
    living = asked(sources)
    source = living[0] if living else sources[0]
    sizes = [source.size, *(part.size for part in source.parts)]
    exact = None not in sizes
    least = None if parameters is None else 4 * parameters
    size_or_least = sum(one or 0 for one in sizes) if exact else least
    return Availability(_state_of(sources, source), (source,), (place(source),), size_or_least, exact)


def _state_of(sources: Sequence[Source], best: Source) -> State:
    if not best.living:
        lost = any(source.state.reported == "lost and back" for source in sources)
        return "lost, no hash" if lost else "gone"
    if best.trust == "none":
        return "asks first"
    return "yes" if best.state.reported == "no loss reported" else "host was lost"
