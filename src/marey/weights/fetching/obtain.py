"""Obtain the weights of a recipe, or from an address: from the cache, a mirror, or the sources in their order.

A host that is reported gone is not contacted: its name may belong to another owner by now, who could serve any file. A host
that is reported lost and back is contacted after the others, and only for files with a known hash. Only if the user names an
address is its host contacted in any case, with a warning.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from marey.base.address import offline
from marey.base.declaration import first_problem
from marey.base.errors import WeightsError
from marey.base.files import cache_folder
from marey.base.reporter import notice, warning
from marey.recipe import Recipe, TwoStream
from marey.recipe.hosts import state_of
from marey.recipe.source import HUB, CompanionFile, Hash, Source, usable_sources
from marey.recipes import RECIPES, find_two_stream, get_recipe
from marey.recipes.starts import STARTS
from marey.weights.fetching.cached_files import Record, admit, cached_file, cached_path, is_cached, read_record
from marey.weights.fetching.connections import SourceError
from marey.weights.fetching.download import RETRY_POLICY, RetryPolicy
from marey.weights.fetching.hub import fetch_file, fetch_snapshot, names_file
from marey.weights.fetching.mirrors import Mirror, fetch_from_mirror, may_have, mirrors
from marey.weights.fetching.similar_rows import best_reported, nearest_two_stream
from marey.weights.fetching.unavailable import (
    FETCH_COMMAND,
    OWN_COPY,
    needs_trust,
    none_has_hash,
    row_text,
    trust_text,
    why_unavailable,
)
from marey.weights.files.find_checkpoint import checkpoint_in


@dataclass(frozen=True)
class Obtained:
    """A file of weights in the cache."""

    path: Path
    """Path of the file; for a source with companion files their folder."""
    source: Source
    """The source that declares the file."""
    record: Record
    """The record of its content and origin."""


@dataclass(frozen=True)
class _File:
    """One file of a source: the weights file, or a companion file, without which it cannot be read."""

    source: Source
    """The source that declares the file."""
    companion: CompanionFile | None
    """Which companion file it is; None: the weights file itself."""
    address: str
    """The address that it is fetched from."""

    @property
    def path(self) -> Path:
        return cached_path(self.source, self.companion)

    @property
    def known(self) -> Hash | None:
        return (self.companion or self.source).hash

    @property
    def size(self) -> int | None:
        return (self.companion or self.source).size


def obtain(recipe: Recipe, *, trust_first_use: bool = False) -> Obtained:
    """The published weights of a recipe, fetched if they are not here yet.

    The cache is searched first, then $MAREY_MIRROR, then the addresses of `usable_sources(recipe.weights)` in their order.

    Args:
        trust_first_use: Whether a file without a known hash may be fetched.

    Raises:
        WeightsError: no source is usable or answers, offline, or no hash is known and `trust_first_use` is not given. The
            message says what can be done.
    """
    return _obtain(recipe.weights, recipe.name, recipe, trust_first_use)


def obtain_from(sources: Sequence[Source], name: str, *, trust_first_use: bool = False) -> Obtained:
    """Like `obtain`, for sources that belong to no recipe; messages call them `name`."""
    return _obtain(sources, name, None, trust_first_use)


def obtain_named(word: str | Path, *, trust_first_use: bool = False) -> Path | Obtained:
    """The weights that the user names: a file or folder (for a run folder its best checkpoint), or an address to fetch.

    The hash of the file at an address (https://..., hf://org/name@revision/file) is the one that a recipe or training start
    declares for this address; otherwise the digits at the end of its name, if any, are the first digits of its hash. A host
    that is reported lost or gone is contacted, with a warning. A model on the Hugging Face hub (hf://org/name@revision) is
    returned as the folder of its files.

    Raises:
        WeightsError: a folder without a checkpoint; an address of another form or that cannot be reached; offline; or no
            hash is known and `trust_first_use` is not given.
    """
    address = str(word)
    if not looks_like_address(address):
        return checkpoint_in(Path(word))
    if is_snapshot(address):
        return fetch_snapshot(address, trust_first_use=trust_first_use)
    source = _source_of(address)
    if (obtained := _obtain_locally((source,), trust_first_use)) is not None:
        return obtained
    check_named(address, trust_first_use=trust_first_use)
    if source.state.reported != "no loss reported":
        warning(
            f"{source.host}: reported {source.state.reported} ({source.state.evidence}); its name may belong to another "
            "owner by now, who decides what it serves. It is contacted because you named the address"
        )
    fetched = _obtain_files(source, _download)
    assert fetched is not None
    return fetched


def looks_like_address(word: str | Path) -> bool:
    """Whether a word is meant as an address of weights: https://, hf://, or another scheme, which is refused later."""
    return "://" in str(word)


def is_snapshot(word: str | Path) -> bool:
    """Whether an address names a model on the Hugging Face hub, hf://org/name, rather than a file of it.

    Raises:
        WeightsError: an address on the hub of another form.
    """
    return str(word).startswith(HUB) and not names_file(str(word))


# Checks before anything is fetched ---------------------------------------------------------------------------------------


def check_obtainable(recipe: Recipe, *, trust_first_use: bool = False, command: str = FETCH_COMMAND) -> None:
    """Check before any work that a recipe's weights are here or have a usable source; no host is contacted.

    The message suggests another row by a command that begins with `command`: marey weights fetch ROW.

    Raises:
        WeightsError: there is no usable source; the message is that of `obtain`.
    """
    _check(recipe.weights, recipe.name, recipe, trust_first_use, command)


def check_sources(sources: Sequence[Source], name: str, *, trust_first_use: bool = False) -> None:
    """Like `check_obtainable`, for sources that belong to no recipe; messages call them `name`.

    Raises:
        WeightsError: there is no usable source.
    """
    _check(sources, name, None, trust_first_use, FETCH_COMMAND)


def check_row(row: TwoStream, *, trust_first_use: bool = False, command: str = FETCH_COMMAND) -> None:
    """`check_obtainable` for both streams of a row; the message names another row of two streams if there is one.

    Raises:
        WeightsError: one of them has no usable source.
    """
    try:
        for stream in (row.rgb, row.flow):
            check_obtainable(get_recipe(stream), trust_first_use=trust_first_use, command=command)
    except WeightsError as error:
        other = nearest_two_stream(row)
        if other is None or any(best_reported(get_recipe(stream)) for stream in (row.rgb, row.flow)):
            raise
        raise WeightsError(f"{error} In place of both streams: {command} {row_text(other)}.") from None


def check_named(word: str | Path, *, trust_first_use: bool = False) -> None:
    """Check before any work that a file which the user names exists, or its address may be fetched; contacts no host.

    Raises:
        WeightsError: no such file, a folder without a checkpoint, an address of another form, offline, or no hash is known
            and `trust_first_use` is not given.
    """
    address = str(word)
    if not looks_like_address(address):
        # A TensorFlow checkpoint may be named by its prefix.
        if not any(path.exists() for path in (Path(word), Path(f"{word}.index"))):
            raise WeightsError(f"{word}: no such checkpoint file.")
        checkpoint_in(Path(word), quiet=True)
        return
    if is_snapshot(address):
        return
    source = _source_of(address)
    if is_cached(source) or any(may_have(mirror, source.address) for mirror in mirrors()):
        return
    if offline():
        raise WeightsError(
            f"{address}: not in the cache ({cache_folder() / 'weights'}), and the network is not to be used (--offline, "
            "MAREY_OFFLINE)."
        )
    if source.trust == "none" and not trust_first_use:
        raise WeightsError(needs_trust(source, source.file))


def sources_of(name: str) -> dict[str, tuple[Source, ...]]:
    """The sources of a recipe, of both streams of a row, of a training start (`marey.recipes.starts`) or of the file at an
    address, by the name that each belongs to; empty for any other word.
    """
    if looks_like_address(name):
        return {} if is_snapshot(name) else {name: (_source_of(name),)}
    streams = find_two_stream(name)
    rows = {recipe.name: recipe.weights for recipe in RECIPES} | STARTS
    names = (name,) if streams is None else (streams.rgb, streams.flow)
    return {one: rows[one] for one in names if one in rows}


def without_hash(names: Iterable[str]) -> tuple[Source, ...]:
    """The sources without a known hash from which these names (see `sources_of`) would be fetched.

    For each name that is not in the cache, it is the first source that a mirror may have; without a mirror the first usable
    one. A name is left out if one of its sources there has a known hash.
    """
    wanted: dict[str, tuple[Source, ...]] = {}
    for name in names:
        wanted |= sources_of(name)
    unchecked = []
    for name, sources in wanted.items():
        # An address that the user names is contacted whatever is reported of its host.
        usable = sources if looks_like_address(name) else usable_sources(sources)
        mirrored = [source for source in sources if any(may_have(mirror, source.address) for mirror in mirrors())]
        candidates = mirrored or (() if offline() else usable)
        if candidates and none_has_hash(candidates) and not any(map(is_cached, sources)):
            unchecked.append(candidates[0])
    return tuple(unchecked)


# Cache and mirrors ------------------------------------------------------------------------------------------------------


def _files(source: Source) -> tuple[_File, ...]:
    folder = source.address.rpartition("/")[0]
    companions = (_File(source, companion, f"{folder}/{companion.name}") for companion in source.parts)
    return _File(source, None, source.address), *companions


def _from_cache(source: Source) -> Obtained | None:
    """The cached files of a source; None if one of them is not there.

    Raises:
        WeightsError: one changed since it was recorded.
    """
    files = [file for companion in (None, *source.parts) if (file := cached_file(source, companion)) is not None]
    if len(files) <= len(source.parts):
        return None
    return Obtained(files[0].path.parent if source.parts else files[0].path, source, files[0].record)


def _obtain_locally(sources: Sequence[Source], trust_first_use: bool) -> Obtained | None:
    """The weights from the cache, else from a mirror; None if they are in neither."""
    for source in sources:
        if (cached := _from_cache(source)) is not None:
            return cached
    for mirror in mirrors():
        for source in sources:
            if source.trust == "none" and not trust_first_use:
                continue
            if (copied := _obtain_files(source, partial(_from_mirror, mirror))) is not None:
                return copied
    return None


def _check(sources: Sequence[Source], name: str, recipe: Recipe | None, trust_first_use: bool, command: str) -> None:
    if any(map(is_cached, sources)):
        return
    allowed = [source for source in sources if source.trust != "none" or trust_first_use]
    if any(may_have(mirror, source.address) for mirror in mirrors() for source in allowed):
        return
    reason = why_unavailable(sources, name, recipe, trust_first_use=trust_first_use, command=command)
    if reason is not None:
        raise WeightsError(reason)


# Fetching --------------------------------------------------------------------------------------------------------------


def _obtain(sources: Sequence[Source], name: str, recipe: Recipe | None, trust_first_use: bool) -> Obtained:
    if (obtained := _obtain_locally(sources, trust_first_use)) is not None:
        return obtained
    reason = why_unavailable(sources, name, recipe, trust_first_use=trust_first_use)
    if reason is not None:
        raise WeightsError(reason)
    return _fetch(sources, name, trust_first_use)


def _from_mirror(mirror: Mirror, file: _File) -> str | None:
    return fetch_from_mirror(mirror, file.address, file.path, known=file.known, size=file.size)


def _download(file: _File, retries: RetryPolicy = RETRY_POLICY) -> str:
    fetch_file(file.address, file.path, known=file.known, size=file.size, retries=retries)
    return file.address


def _obtain_files(source: Source, fetch: Callable[[_File], str | None]) -> Obtained | None:
    """Fetch and record those files of a source that are not cached yet; None if one of them cannot be had.

    `fetch` puts a file into the cache and returns the path or address that it came from, or None if it is not there.

    Raises:
        WeightsError: `fetch` failed, or an earlier record of the same file states another content.
    """
    try:
        for file in _files(source):
            if file.path.is_file():
                if read_record(file.path) is not None:
                    continue
                file.path.unlink()  # `cached_file` warned why it is not used
            origin = fetch(file)
            if origin is None:
                return None
            admit(file.path, address=origin, trust=source.trust)
    except OSError as error:
        raise WeightsError(
            f"{source.file}: cannot be written to {cache_folder() / 'weights'} ({error.strerror or error}): set MAREY_CACHE "
            "to another folder."
        ) from None
    obtained = _from_cache(source)
    if obtained is not None:
        notice(f"{source.file}: SHA-256 {obtained.record.sha256}, {trust_text(source)}")
    return obtained


def _fetch(sources: Sequence[Source], name: str, trust_first_use: bool) -> Obtained:
    """The weights from the first source that gives them; failures of the sources before it become warnings.

    Raises:
        WeightsError: no source gives them.
    """
    failures: list[str] = []
    usable = usable_sources(sources)
    for source in usable:
        if source.trust == "none" and not trust_first_use:
            failures.append(needs_trust(source, name).rstrip("."))
            continue
        # While another source remains, a host that does not answer is tried once.
        retries = RETRY_POLICY if source is usable[-1] else replace(RETRY_POLICY, tries_to_connect=1)
        try:
            if (fetched := _obtain_files(source, partial(_download, retries=retries))) is not None:
                for failure in failures:
                    warning(failure)
                return fetched
        except SourceError as error:
            known = source.hash if source.trust == "checked" else None
            failures.append(
                error.what if known is None else f"{error.what} (its hash is known from: {known.stated_by})"
            )
    raise WeightsError(f"{name}: {'; '.join(failures)}. {OWN_COPY}")


def _source_of(address: str) -> Source:
    """The declared source with this address; for any other address a source with the hash that its file name states.

    Raises:
        WeightsError: not the address of a file.
    """
    for sources in (*(row.weights for row in RECIPES), *STARTS.values()):
        for source in sources:
            if source.address == address:
                return source
    digits = re.search(r"-([0-9a-f]{8,64})\.\w+$", address)
    known = Hash(digits=digits[1], stated_by="the file's name") if digits else None
    try:
        return Source(address=address, by="an address that you named", hash=known, state=state_of(address))
    except ValidationError as error:
        raise WeightsError(f"{': '.join(filter(None, first_problem(error)))}.") from None
