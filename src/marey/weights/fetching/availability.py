"""Whether one can get the weights of a row: by what is declared and what lies here. Nothing is asked or hashed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from marey.base.network import offline
from marey.recipe import Recipe, Source, TwoStream
from marey.recipe.source import asked
from marey.recipes import get_recipe
from marey.weights.fetching.mirrors import may_have, mirrors
from marey.weights.fetching.sizes import size_of
from marey.weights.fetching.store import files_of, is_here, place

State = Literal[
    "here", "in a mirror", "yes", "asks first", "host was lost", "link broken", "offline", "lost, no hash", "gone", "none"
]  # fmt: skip

MEANINGS: dict[State, str] = {
    "here": "in the cache, or a copy of yours that is registered there",
    "in a mirror": "in a folder that MAREY_MIRROR names, from where it is taken when needed",
    "yes": "fetched when needed: no loss of its host is reported, and a hash of it is known",
    "asks first": "no hash of it was published: it is fetched on your word (--trust-first-use)",
    "host was lost": "fetched when needed: its host was lost and is back, and a hash of it is known",
    "link broken": "a copy of yours was registered and is not there any more: marey weights verify",
    "offline": "not here, and the network is not to be used (--offline, MAREY_OFFLINE)",
    "lost, no hash": "its host was lost and is back, and no hash is known: it is not fetched by name",
    "gone": "its host is gone since then and is not asked; a copy of yours works as well",
    "none": "no file of its weights is known",
}
"""What each state means, from the best to the worst."""


@dataclass(frozen=True)
class Availability:
    """What there is of the weights of a row."""

    state: State
    available: bool = False
    """Whether one can get it: it is here, or there is a source to ask and the network may be used."""
    sources: tuple[Source, ...] = ()
    """Those that are here, would be asked first, or are lost: one for each stream, none for state "none"."""
    paths: tuple[Path, ...] = ()
    """Where the files of these sources lie or would lie."""
    size: int | None = None
    """Bytes of all streams; None: there is no file, or nothing is known of its size."""
    exact: bool = True
    """Whether `size` is that of the files; else it is the least that it can be, 4 bytes a parameter."""

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
        return availability_of(row.weights)
    streams = [availability(get_recipe(name)) for name in (row.rgb, row.flow)]
    order = list(MEANINGS)
    sizes = [stream.size for stream in streams if stream.size is not None]
    return Availability(
        state=max((stream.state for stream in streams), key=order.index),
        available=all(stream.available for stream in streams),
        sources=tuple(source for stream in streams for source in stream.sources),
        paths=tuple(path for stream in streams for path in stream.paths),
        size=sum(sizes) if len(sizes) == len(streams) else None,
        exact=all(stream.exact for stream in streams),
    )


def availability_of(sources: Sequence[Source]) -> Availability:
    """What there is of the sources of one thing."""
    if (kept := here(sources)) is not None:
        size = sum(path.stat().st_size for path in files_of(kept))
        return Availability("here", True, (kept,), (place(kept),), size)
    if (lying := _in_a_mirror(sources)) is not None:
        return Availability("in a mirror", True, (lying,), (place(lying),), *size_of(lying))
    first = best(sources)
    if first is None:
        return Availability("none")
    broken = next((source for source in sources if broken_link(source) is not None), None)
    state = _state_of(first) if broken is None else "link broken"
    shown = broken or first
    return Availability(state, first.living and not offline(), (shown,), (place(shown),), *size_of(shown))


def here(sources: Sequence[Source]) -> Source | None:
    """The first source all of whose files lie in the cache, whatever is in them."""
    return next(filter(is_here, sources), None)


def best(sources: Sequence[Source]) -> Source | None:
    """The source that is asked first; where none lives, one whose host is back before one whose host is gone."""
    dead = sorted(sources, key=lambda source: source.state.reported == "gone")
    return next(iter((*asked(sources), *dead)), None)


def _in_a_mirror(sources: Sequence[Source]) -> Source | None:
    """The first source whose file lies in a folder of $MAREY_MIRROR, whatever is in it."""
    folders = [mirror for mirror in mirrors() if isinstance(mirror.where, Path)]
    return next((source for source in sources if any(may_have(one, source.address) for one in folders)), None)


def broken_link(source: Source) -> Path | None:
    """The user's own copy that was registered as a file of this source and is not there any more; None: there is none."""
    links = (path for path in files_of(source) if path.is_symlink() and not path.is_file())
    return next((path.readlink() for path in links), None)


def _state_of(source: Source) -> State:
    """The state of a source that is not here."""
    if not source.living:
        return "gone" if source.state.reported == "gone" else "lost, no hash"
    if offline():
        return "offline"
    if source.trust == "none":
        return "asks first"
    return "yes" if source.state.reported == "no loss reported" else "host was lost"
