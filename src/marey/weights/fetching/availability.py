"""Whether the weights of a row can be had, by its sources and the files here: no network, no hashing.

A row is a line of the table of recipes: a recipe, or a pair of recipes for two streams.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from marey.base.address import offline
from marey.recipe import Recipe, Source, TwoStream
from marey.recipe.source import usable_sources
from marey.recipes import PARAMETERS, RECIPES, get_recipe
from marey.weights.fetching.cached_files import cached_path, cached_paths, is_cached
from marey.weights.fetching.mirrors import may_have, mirrors

AvailabilityState = Literal[
    "here", "in a mirror", "yes", "asks first", "host was lost", "link broken", "offline", "lost, no hash", "gone", "none"
]  # fmt: skip

STATE_MEANINGS: dict[AvailabilityState, str] = {
    "here": "in the cache, or a copy of yours that is registered there",
    "in a mirror": "in a folder that MAREY_MIRROR names; used from there when needed",
    "yes": "fetched when needed: no loss of its host is reported, and a hash of it is known",
    "asks first": "no hash of it was published: it is fetched only with --trust-first-use",
    "host was lost": "fetched when needed: its host was lost and is back, and a hash of it is known",
    "link broken": "a copy of yours was registered and is no longer there: marey weights verify",
    "offline": "not here, and the network is not to be used (--offline, MAREY_OFFLINE)",
    "lost, no hash": "its host was lost and is back, and no hash is known: not fetched by row name",
    "gone": "its host has been gone since then and is not contacted; a copy of yours also works",
    "none": "no file of its weights is known",
}
"""What each state means, from the best to the worst."""


@dataclass(frozen=True)
class Availability:
    """Whether the weights of a row can be had, from where, and how large they are."""

    state: AvailabilityState
    """The state of the weights, of several streams the worst; `STATE_MEANINGS` says what each means."""
    available: bool = False
    """Whether it can be had: it is here, or it has a usable source and the network is allowed."""
    sources: tuple[Source, ...] = ()
    """One source for each stream: the one that is here, else the one that `state` describes; empty for the state "none"."""
    paths: tuple[Path, ...] = ()
    """Cache path of the file of each of these sources, whether or not it is there."""
    size: int | None = None
    """Size of all streams in bytes; None: there is no file, or its size is unknown."""
    exact: bool = True
    """Whether `size` is the size of the files; otherwise it is a lower bound, 4 bytes for each parameter."""

    @property
    def word(self) -> str:
        """The state in at most 13 characters; for a file that is gone with the month of the loss."""
        dates = [source.state.date for source in self.sources if source.state.reported == "gone" and source.state.date]
        return f"gone {max(dates):%Y-%m}" if self.state == "gone" and dates else self.state

    @property
    def licence(self) -> str:
        """The licences of all streams as an SPDX expression."""
        return " AND ".join(dict.fromkeys(source.licence for source in self.sources))


def availability(row: Recipe | TwoStream) -> Availability:
    """The availability of a row's weights; of a row of two streams the worse state of the two."""
    if isinstance(row, Recipe):
        return availability_of(row.weights)
    streams = [availability(get_recipe(name)) for name in (row.rgb, row.flow)]
    order = list(STATE_MEANINGS)
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
    """The availability of one file of weights by its sources."""
    if (cached := cached_source(sources)) is not None:
        size = sum(path.stat().st_size for path in cached_paths(cached))
        return Availability("here", True, (cached,), (cached_path(cached),), size)
    if (mirrored := _mirrored_source(sources)) is not None:
        return Availability("in a mirror", True, (mirrored,), (cached_path(mirrored),), *size_of(mirrored))
    first = best_source(sources)
    if first is None:
        return Availability("none")
    broken = next((source for source in sources if broken_link(source) is not None), None)
    state = _state_of(first) if broken is None else "link broken"
    shown = broken or first
    return Availability(state, first.usable and not offline(), (shown,), (cached_path(shown),), *size_of(shown))


def cached_source(sources: Sequence[Source]) -> Source | None:
    """The first source whose files are all in the cache; their content is not checked."""
    return next(filter(is_cached, sources), None)


def best_source(sources: Sequence[Source]) -> Source | None:
    """The source that is asked first. If none is usable, one whose host is back comes before one whose host is gone."""
    back_first = sorted(sources, key=lambda source: source.state.reported == "gone")
    return next(iter((*usable_sources(sources), *back_first)), None)


def _mirrored_source(sources: Sequence[Source]) -> Source | None:
    """The first source whose file is in a folder of $MAREY_MIRROR; its content is not checked."""
    folders = [mirror for mirror in mirrors() if isinstance(mirror.location, Path)]
    return next((source for source in sources if any(may_have(one, source.address) for one in folders)), None)


def broken_link(source: Source) -> Path | None:
    """The user's copy that was registered as a file of this source and is no longer there; None if there is none."""
    links = (path for path in cached_paths(source) if path.is_symlink() and not path.is_file())
    return next((path.readlink() for path in links), None)


def _state_of(source: Source) -> AvailabilityState:
    """The state of a source that is neither cached nor mirrored."""
    if not source.usable:
        return "gone" if source.state.reported == "gone" else "lost, no hash"
    if offline():
        return "offline"
    if source.trust == "none":
        return "asks first"
    return "yes" if source.state.reported == "no loss reported" else "host was lost"


def megabytes(size: int, *, exact: bool = True) -> str:
    """A size in millions of bytes, with "~" before a lower bound."""
    return f"{'' if exact else '~'}{size / 1e6:,.{0 if size >= 10_000_000 else 1}f} MB"


def size_of(source: Source) -> tuple[int | None, bool]:
    """The size of all files of a source in bytes, and whether it is exact.

    If not all sizes are declared, a lower bound: 4 bytes for each parameter of the smallest recipe that has this address;
    None if no recipe has it.
    """
    known = [size for size in (source.size, *(part.size for part in source.parts)) if size is not None]
    if len(known) == 1 + len(source.parts):
        return sum(known), True
    rows = (row for row in RECIPES if any(one.address == source.address for one in row.weights))
    parameters = min((PARAMETERS[row.name] for row in rows), default=None)
    return None if parameters is None else 4 * parameters, False


def size_text(source: Source) -> str:
    """The size of a source's files for a person to read: "130 MB", "~130 MB" for a lower bound, or "size not known"."""
    size, exact = size_of(source)
    return "size not known" if size is None else megabytes(size, exact=exact)
