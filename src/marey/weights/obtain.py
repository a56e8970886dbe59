"""From a recipe's sources to a file on this machine: which are asked, in which order, and on whose word.

A host that is reported gone is never asked: whoever registers a deleted bucket or an expired domain decides what it serves.
A host that was lost and came back is asked after the others, and only for files of which a hash is known.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.base.files import cache_folder
from marey.base.reporter import notice, warning
from marey.recipe import Recipe, TwoStream
from marey.recipe.hosts import state_of
from marey.recipe.source import HUB, Hash, Part, Source
from marey.recipes import RECIPES, find_two_stream, get_recipe
from marey.recipes.starts import STARTS
from marey.weights.download import SourceError, offline
from marey.weights.hub import bring
from marey.weights.mirrors import Mirror, find, mirrors
from marey.weights.nearest import nearest_living, nearest_rows, nearest_two_stream, reported_of
from marey.weights.store import Record, admit, is_here, kept, place

OWN_COPY = (
    "A copy of your own works as well: --weights FILE (--init FILE in training), `marey weights scan FOLDER --link`, or its "
    "folder or mirror in MAREY_MIRROR."
)
FETCH = "marey weights fetch"
_PREFIX = "they reveal a damaged file, but not one that an attacker made to fit"


@dataclass(frozen=True)
class Obtained:
    """A file of weights on this machine."""

    path: Path
    """The file; of a source with parts, which lie beside it, their folder."""
    source: Source
    record: Record


@dataclass(frozen=True)
class _File:
    """One file of a source."""

    source: Source
    part: Part | None
    address: str

    @property
    def path(self) -> Path:
        return place(self.source, self.part)

    @property
    def known(self) -> Hash | None:
        return (self.part or self.source).hash

    @property
    def size(self) -> int | None:
        return (self.part or self.source).size


def obtain(recipe: Recipe, *, trust_first_use: bool = False) -> Obtained:
    """The published weights of a recipe, fetched if they are not here yet.

    The cache is searched first, then $MAREY_MIRROR, then the addresses of `asked(recipe.weights)` in their order.

    Args:
        trust_first_use: Fetch a file of which no hash is known, too.

    Raises:
        WeightsError: no source that lives, none that answers, offline, or no hash and no word of the user: one message
            with what can be done.
    """
    found = _found(recipe.weights, trust_first_use)
    if found is None:
        check_sources(recipe.weights, recipe.name, trust_first_use=trust_first_use, recipe=recipe, searched=True)
        found = _fetched(recipe.weights, recipe.name, trust_first_use)
    return found


def obtain_from(sources: Sequence[Source], name: str, *, trust_first_use: bool = False) -> Obtained:
    """As `obtain`, for the sources of something that is no recipe, which messages call `name`."""
    found = _found(sources, trust_first_use)
    if found is None:
        check_sources(sources, name, trust_first_use=trust_first_use, searched=True)
        found = _fetched(sources, name, trust_first_use)
    return found


def is_address(word: str | Path) -> bool:
    """Whether a word is the address of weights: https://..., hf://..., or any other scheme, which is then refused."""
    return "://" in str(word)


def is_snapshot(word: str | Path) -> bool:
    """Whether an address names a whole model on the Hugging Face hub, hf://org/name, not a file of it."""
    return str(word).startswith(HUB) and str(word).count("/") <= 3


def obtain_address(address: str, *, trust_first_use: bool = False) -> Obtained:
    """The file at an address that the user typed: https://... or hf://org/name@revision/file.

    What is known of it is what a recipe or a start says that has this address; else its hash begins with the digits that
    end its name, if it has any. A host that is reported gone is asked, with a warning.
    """
    source = _declared(address)
    found = _found((source,), trust_first_use)
    if found is not None:
        return found
    if source.state.reported != "no loss reported":
        warning(
            f"{source.host}: reported {source.state.reported} on {source.state.date} ({source.state.evidence}); whoever has "
            "the name now decides what it serves. It is asked because you typed the address"
        )
    if offline():
        raise WeightsError(
            f"{address}: not in the cache, and the network is not to be used (--offline, MAREY_OFFLINE)."
        )
    if source.trust == "none" and not trust_first_use:
        raise WeightsError(_asks_first(source, address))
    taken = _taken(source, _download)
    assert taken is not None
    return taken


def asked(sources: Sequence[Source]) -> tuple[Source, ...]:
    """The living sources, best first: no loss before a host that was lost, a known hash before none."""
    trust = ("verified", "checked", "prefix", "none")
    return tuple(
        sorted(
            (source for source in sources if source.living),
            key=lambda source: (source.state.reported == "lost and back", trust.index(source.trust)),
        )
    )


def check_obtainable(recipe: Recipe, *, trust_first_use: bool = False, command: str = FETCH) -> None:
    """See before any work that a recipe's weights are here or that there is a source to ask; nothing is asked.

    `command` is what the message puts before the name of the row that can be taken in its place.

    Raises:
        WeightsError: there is none: the message that `obtain` would give.
    """
    check_sources(recipe.weights, recipe.name, trust_first_use=trust_first_use, recipe=recipe, command=command)


def check_sources(
    sources: Sequence[Source],
    name: str,
    *,
    trust_first_use: bool = False,
    recipe: Recipe | None = None,
    searched: bool = False,
    command: str = FETCH,
) -> None:
    """As `check_obtainable`, for any sources, which messages call `name`; `recipe` is the row that they belong to.

    `searched` says that the mirrors have been searched already: without it they count as places that may have the file.

    Raises:
        WeightsError: there is none to ask.
    """
    living = asked(sources)
    if any(is_here(source) for source in sources) or (sources and mirrors() and not searched):
        return
    if not living:
        instead = "" if recipe is None else _instead(recipe, command)
        raise WeightsError(" ".join(filter(None, [f"{name}{_why_not(sources)}.", instead, OWN_COPY])))
    if offline():
        raise WeightsError(
            f"{name}: {living[0].file} ({size_text(living[0])}) is not in the cache ({cache_folder()}), and the network is "
            f"not to be used (--offline, MAREY_OFFLINE). Where there is a network: marey weights fetch {name}. {OWN_COPY}"
        )
    if living[0].trust == "none" and not trust_first_use:
        raise WeightsError(_asks_first(living[0], name))


def check_row(row: TwoStream, *, trust_first_use: bool = False, command: str = FETCH) -> None:
    """`check_obtainable` for both streams of a row; names another row of two streams where there is one.

    Raises:
        WeightsError: there is no source to ask for one of them.
    """
    try:
        for stream in (row.rgb, row.flow):
            check_obtainable(get_recipe(stream), trust_first_use=trust_first_use, command=command)
    except WeightsError as error:
        other = nearest_two_stream(row)
        if other is None or any(reported_of(get_recipe(stream)) for stream in (row.rgb, row.flow)):
            raise
        raise WeightsError(f"{error} In place of both streams: {command} {_row(other)}.") from None


def sources_of(name: str) -> dict[str, tuple[Source, ...]]:
    """The sources that a name stands for, by what they belong to: of a recipe, of both streams of a row, of a start
    (`marey.recipes.starts`), or the file at an address; nothing for any other word.
    """
    if is_address(name):
        return {} if is_snapshot(name) else {name: (_declared(name),)}
    streams = find_two_stream(name)
    rows = {recipe.name: recipe.weights for recipe in RECIPES} | STARTS
    names = (name,) if streams is None else (streams.rgb, streams.flow)
    return {one: rows[one] for one in names if one in rows}


def without_hash(names: Iterable[str]) -> tuple[Source, ...]:
    """What fetching these (`sources_of`) would take on the user's word alone: a source of each that is not here and of
    which no hash is known.
    """
    if offline():
        return ()
    wanted: dict[str, tuple[Source, ...]] = {}
    for name in names:
        wanted |= sources_of(name)
    return tuple(
        living[0]
        for sources in wanted.values()
        if (living := asked(sources)) and living[0].trust == "none" and not any(map(is_here, sources))
    )


def size_text(source: Source) -> str:
    """A source's size for a person."""
    return "size not known" if source.size is None else f"{source.size / 1e6:.0f} MB"


def trust_text(source: Source) -> str:
    """What is known of a source's content and by whom, in a few words."""
    known = source.hash
    match source.trust:
        case "verified":
            return "its SHA-256 is the published one"
        case "checked" if known is not None and known.algorithm == "git_blob":
            return f"its git blob is the one that {known.stated_by} states; its publisher gave no SHA-256"
        case "checked" if known is not None:
            return f"its SHA-256 is the one that {known.stated_by} states; its publisher gave none"
        case "prefix" if known is not None:
            return f"its SHA-256 begins with the {len(known.digits)} published digits: {_PREFIX}"
    return "no hash of it was published: it was taken on your word"


# What is here ----------------------------------------------------------------------------------------------------------


def _files(source: Source) -> tuple[_File, ...]:
    folder = source.address.rpartition("/")[0]
    parts = (_File(source, part, f"{folder}/{part.name}") for part in source.parts)
    return _File(source, None, source.address), *parts


def _here(source: Source) -> Obtained | None:
    """The files of a source as the cache has them; None where one is not there.

    Raises:
        WeightsError: one changed since it was recorded.
    """
    found = [file for part in (None, *source.parts) if (file := kept(source, part)) is not None]
    if len(found) <= len(source.parts):
        return None
    return Obtained(found[0].path.parent if source.parts else found[0].path, source, found[0].record)


def _found(sources: Sequence[Source], trust_first_use: bool) -> Obtained | None:
    """The weights from the cache, else from a mirror; None where they are in neither."""
    for source in sources:
        if (here := _here(source)) is not None:
            return here
    for mirror in mirrors():
        for source in sources:
            if source.trust == "none" and not trust_first_use:
                continue
            if (taken := _taken(source, partial(_from_mirror, mirror))) is not None:
                return taken
    return None


# What is fetched -------------------------------------------------------------------------------------------------------


def _from_mirror(mirror: Mirror, file: _File) -> str | None:
    return find(mirror, file.address, file.path, known=file.known, size=file.size)


def _download(file: _File) -> str:
    bring(file.address, file.path, known=file.known, size=file.size)
    return file.address


def _taken(source: Source, bring_file: Callable[[_File], str | None]) -> Obtained | None:
    """The files of a source: those that are here, and the others, recorded; None where one of them cannot be had.

    `bring_file` brings a file into the cache and says where it was, None where it is not there.

    Raises:
        WeightsError: `bring_file` failed, or brought another content than was recorded of the same file before.
    """
    for file in _files(source):
        if kept(source, file.part) is None:
            where = bring_file(file)
            if where is None:
                return None
            admit(file.path, address=where, trust=source.trust)
    here = _here(source)
    if here is not None:
        notice(f"{source.file}: SHA-256 {here.record.sha256}; {trust_text(source)}")
    return here


def _fetched(sources: Sequence[Source], name: str, trust_first_use: bool) -> Obtained:
    """The weights from the first source that has them; what the others answer is said.

    Raises:
        WeightsError: none has them.
    """
    failures: list[str] = []
    for source in asked(sources):
        if source.trust == "none" and not trust_first_use:
            failures.append(_asks_first(source, name).rstrip("."))
            continue
        try:
            if (taken := _taken(source, _download)) is not None:
                for failure in failures:
                    warning(failure)
                return taken
        except SourceError as error:
            failures.append(error.what)
    raise WeightsError(f"{name}: {'; '.join(failures)}. {OWN_COPY}")


def _declared(address: str) -> Source:
    """What is declared of an address, or what its form tells.

    Raises:
        WeightsError: it is no address of a file.
    """
    for sources in (*(row.weights for row in RECIPES), *STARTS.values()):
        for source in sources:
            if source.address == address:
                return source
    digits = re.search(r"-([0-9a-f]{8,64})\.\w+$", address)
    known = Hash(digits=digits[1], stated_by="the file's name") if digits else None
    try:
        return Source(address=address, by="an address that you typed", hash=known, state=state_of(address))
    except ValidationError as error:
        raise WeightsError(f"{': '.join(filter(None, first_problem(error)))}.") from None


# What is said when nothing can be fetched --------------------------------------------------------------------------------


def _why_not(sources: Sequence[Source]) -> str:
    """Why none of these sources is asked, to be said after the name of what they belong to."""
    if not sources:
        return " has no published weights"
    source = sources[0]
    state = source.state
    if state.reported == "gone":
        return (
            f": its file is gone from {source.host} since {state.date} ({state.evidence}); the host is not asked again"
        )
    return (
        f": its file lies on {source.host}, which was lost on {state.date} ({state.evidence}), and no hash of it was "
        f"published: it is fetched only from the address itself (--init, --weights {source.address})"
    )


def _asks_first(source: Source, name: str) -> str:
    return (
        f"{name}: no hash of {source.file} was published ({source.address}, {size_text(source)}, licence {source.licence}): "
        "it is fetched on your word only: --trust-first-use (trust_first_use=True). Its SHA-256 is recorded then, and a "
        "later change is refused."
    )


def _instead(recipe: Recipe, command: str) -> str:
    """Which row can be taken in the place of one, with its number; what there is where none can."""
    rows = nearest_rows(recipe)
    if rows:
        first, *second = rows
        also = f"; nearer is {_row(second[0])}" if second else ""
        return f"The nearest row that one can get is {_row(first)}: {command} {first.name}{also}."
    if not recipe.weights and recipe.published is None:
        return f"It is for training: marey train {recipe.name} --data DATA."
    if (base := _base(recipe)) is not None:
        return f"No row on {recipe.dataset} can be fetched; training can start from --init {base.name}."
    return f"No row of this network on {recipe.dataset} can be fetched."


def _base(recipe: Recipe) -> Recipe | None:
    """A row that one can get, on the data set that a transfer row started from."""
    if recipe.pretraining is None:
        return None
    return nearest_living(recipe.model_copy(update={"dataset": recipe.pretraining, "name": ""}))


def _row(row: Recipe | TwoStream) -> str:
    """A row with its number, and what is to be known of its host and hash."""
    number = f"top-1 {row.published.top1:g}" if row.published is not None else "no published number"
    remarks = [number]
    if isinstance(row, Recipe):
        best = asked(row.weights)[0]
        if best.state.reported == "lost and back":
            remarks.append(f"on {best.host}, which was lost on {best.state.date} and is back")
        if best.trust == "none":
            remarks.append("no hash published: --trust-first-use")
    return f"{row.name} ({', '.join(remarks)})"
