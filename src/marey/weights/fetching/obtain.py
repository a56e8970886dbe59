"""From a recipe's sources to a file on this machine: which are asked, in which order, and on whose word.

A host that is reported gone is never asked: its name may belong to somebody else by now, who decides what it serves. A host
that was lost and came back is asked after the others, and only for files of which a hash is known.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.base.files import cache_folder
from marey.base.network import offline
from marey.base.reporter import notice, warning
from marey.recipe import Recipe, TwoStream
from marey.recipe.hosts import state_of
from marey.recipe.source import HUB, Hash, Part, Source, asked
from marey.recipes import RECIPES, find_two_stream, get_recipe
from marey.recipes.starts import STARTS
from marey.weights.fetching.download import PATIENCE, Patience, SourceError
from marey.weights.fetching.hub import bring, fetch_snapshot, names_file
from marey.weights.fetching.mirrors import Mirror, find, may_have, mirrors
from marey.weights.fetching.nearest import nearest_two_stream, reported_of
from marey.weights.fetching.refusals import FETCH, OWN_COPY, asks_first, refusal, row_text, trust_text, unproven
from marey.weights.fetching.store import Record, admit, is_here, kept, place, read_record
from marey.weights.files.runs import checkpoint_in


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
    return _obtained(recipe.weights, recipe.name, recipe, trust_first_use)


def obtain_from(sources: Sequence[Source], name: str, *, trust_first_use: bool = False) -> Obtained:
    """As `obtain`, for the sources of something that is no recipe, which messages call `name`."""
    return _obtained(sources, name, None, trust_first_use)


def obtain_named(word: str | Path, *, trust_first_use: bool = False) -> Path | Obtained:
    """What the user names as weights: a file or folder (of a run its best checkpoint), or an address that is fetched.

    What is known of the file at an address (https://..., hf://org/name@revision/file) is what a recipe or a start says that
    has this address; else its hash begins with the digits that end its name, if it has any. A host that is reported lost is
    asked, with a warning. A whole model on the Hugging Face hub (hf://org/name@revision) is the folder of its files.

    Raises:
        WeightsError: a folder without a checkpoint; an address of another form, not reachable, offline, or no hash and no
            word of the user.
    """
    address = str(word)
    if not is_address(address):
        return checkpoint_in(Path(word))
    if is_snapshot(address):
        return fetch_snapshot(address, trust_first_use=trust_first_use)
    source = _declared(address)
    if (found := _found((source,), trust_first_use)) is not None:
        return found
    check_named(address, trust_first_use=trust_first_use)
    if source.state.reported != "no loss reported":
        warning(
            f"{source.host}: reported {source.state.reported} ({source.state.evidence}); its name may belong to somebody "
            "else by now, who decides what it serves. It is asked because you typed the address"
        )
    taken = _taken(source, _download)
    assert taken is not None
    return taken


def is_address(word: str | Path) -> bool:
    """Whether a word is the address of weights: https://..., hf://..., or any other scheme, which is then refused."""
    return "://" in str(word)


def is_snapshot(word: str | Path) -> bool:
    """Whether an address names a whole model on the Hugging Face hub, hf://org/name, not a file of it.

    Raises:
        WeightsError: an address on the hub of another form.
    """
    return str(word).startswith(HUB) and not names_file(str(word))


# What can be said before anything is fetched ----------------------------------------------------------------------------


def check_obtainable(recipe: Recipe, *, trust_first_use: bool = False, command: str = FETCH) -> None:
    """See before any work that a recipe's weights are here or that there is a source to ask; nothing is asked.

    `command` is what the message puts before the name of the row that can be taken in its place.

    Raises:
        WeightsError: there is none: the message that `obtain` would give.
    """
    _check(recipe.weights, recipe.name, recipe, trust_first_use, command)


def check_sources(sources: Sequence[Source], name: str, *, trust_first_use: bool = False) -> None:
    """As `check_obtainable`, for the sources of something that is no recipe, which messages call `name`.

    Raises:
        WeightsError: there is none to ask.
    """
    _check(sources, name, None, trust_first_use, FETCH)


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
        raise WeightsError(f"{error} In place of both streams: {command} {row_text(other)}.") from None


def check_named(word: str | Path, *, trust_first_use: bool = False) -> None:
    """See before any work that the file which a user names is there, or that the address can be asked; nothing is asked.

    Raises:
        WeightsError: no such file, a folder without a checkpoint, an address of another form, offline, or no hash and no
            word of the user.
    """
    address = str(word)
    if not is_address(address):
        # A TensorFlow checkpoint may be named by its prefix.
        if not any(path.exists() for path in (Path(word), Path(f"{word}.index"))):
            raise WeightsError(f"{word}: no such checkpoint file.")
        checkpoint_in(Path(word), quiet=True)
        return
    if is_snapshot(address):
        return
    source = _declared(address)
    if is_here(source) or any(may_have(mirror, source.address) for mirror in mirrors()):
        return
    if offline():
        raise WeightsError(
            f"{address}: not in the cache ({cache_folder() / 'weights'}), and the network is not to be used (--offline, "
            "MAREY_OFFLINE)."
        )
    if source.trust == "none" and not trust_first_use:
        raise WeightsError(asks_first(source, source.file))


def sources_of(name: str) -> dict[str, tuple[Source, ...]]:
    """The sources that a name means, by what they belong to: of a recipe, of both streams of a row, of a start
    (`marey.recipes.starts`), or the file at an address; nothing for any other word.
    """
    if is_address(name):
        return {} if is_snapshot(name) else {name: (_declared(name),)}
    streams = find_two_stream(name)
    rows = {recipe.name: recipe.weights for recipe in RECIPES} | STARTS
    names = (name,) if streams is None else (streams.rgb, streams.flow)
    return {one: rows[one] for one in names if one in rows}


def without_hash(names: Iterable[str]) -> tuple[Source, ...]:
    """What fetching these (`sources_of`) would take on the user's word alone: the first source of each that is not here
    and has no source with a known hash.
    """
    wanted: dict[str, tuple[Source, ...]] = {}
    for name in names:
        wanted |= sources_of(name)
    found = []
    for name, sources in wanted.items():
        # An address that is typed is asked whatever is reported of its host.
        living = sources if is_address(name) else asked(sources)
        mirrored = [source for source in sources if any(may_have(mirror, source.address) for mirror in mirrors())]
        candidates = mirrored or (() if offline() else living)
        if candidates and unproven(candidates) and not any(map(is_here, sources)):
            found.append(candidates[0])
    return tuple(found)


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


def _check(sources: Sequence[Source], name: str, recipe: Recipe | None, trust_first_use: bool, command: str) -> None:
    if any(map(is_here, sources)):
        return
    known = [source for source in sources if source.trust != "none" or trust_first_use]
    if any(may_have(mirror, source.address) for mirror in mirrors() for source in known):
        return
    why_not = refusal(sources, name, recipe, trust_first_use=trust_first_use, command=command)
    if why_not is not None:
        raise WeightsError(why_not)


# What is fetched -------------------------------------------------------------------------------------------------------


def _obtained(sources: Sequence[Source], name: str, recipe: Recipe | None, trust_first_use: bool) -> Obtained:
    if (found := _found(sources, trust_first_use)) is not None:
        return found
    why_not = refusal(sources, name, recipe, trust_first_use=trust_first_use)
    if why_not is not None:
        raise WeightsError(why_not)
    return _fetched(sources, name, trust_first_use)


def _from_mirror(mirror: Mirror, file: _File) -> str | None:
    return find(mirror, file.address, file.path, known=file.known, size=file.size)


def _download(file: _File, patience: Patience = PATIENCE) -> str:
    bring(file.address, file.path, known=file.known, size=file.size, patience=patience)
    return file.address


def _taken(source: Source, bring_file: Callable[[_File], str | None]) -> Obtained | None:
    """The files of a source: those that are here, and the others, recorded; None where one of them cannot be had.

    `bring_file` brings a file into the cache and says where it was, None where it is not there.

    Raises:
        WeightsError: `bring_file` failed, or brought another content than was recorded of the same file before.
    """
    try:
        for file in _files(source):
            if file.path.is_file():
                if read_record(file.path) is not None:
                    continue
                file.path.unlink()  # `kept` said why it is not taken
            where = bring_file(file)
            if where is None:
                return None
            admit(file.path, address=where, trust=source.trust)
    except OSError as error:
        raise WeightsError(
            f"{source.file}: cannot be kept in {cache_folder() / 'weights'} ({error.strerror or error}): set MAREY_CACHE to "
            "another folder."
        ) from None
    here = _here(source)
    if here is not None:
        notice(f"{source.file}: SHA-256 {here.record.sha256}, {trust_text(source)}")
    return here


def _fetched(sources: Sequence[Source], name: str, trust_first_use: bool) -> Obtained:
    """The weights from the first source that has them. What went wrong with those before it becomes a warning.

    Raises:
        WeightsError: none has them.
    """
    failures: list[str] = []
    living = asked(sources)
    for source in living:
        if source.trust == "none" and not trust_first_use:
            failures.append(asks_first(source, name).rstrip("."))
            continue
        # Where another source remains, a host that does not answer is not asked again and again.
        patience = PATIENCE if source is living[-1] else replace(PATIENCE, tries_to_connect=1)
        try:
            if (taken := _taken(source, partial(_download, patience=patience))) is not None:
                for failure in failures:
                    warning(failure)
                return taken
        except SourceError as error:
            known = source.hash if source.trust == "checked" else None
            failures.append(
                error.what if known is None else f"{error.what} (its hash is known from: {known.stated_by})"
            )
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
