"""The contents of the cache of weights: files with their records, links to the user's copies, unfinished downloads."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from marey.base.errors import WeightsError
from marey.base.files import cache_folder, locked, sha256
from marey.base.names import did_you_mean
from marey.base.reporter import progress
from marey.recipe import Hash
from marey.recipe.source import HUB
from marey.recipes import RECIPES, TWO_STREAMS
from marey.recipes.starts import STARTS
from marey.weights.fetching.availability import cached_source
from marey.weights.fetching.cached_files import (
    Record,
    cached_path,
    cached_paths,
    digest,
    matches,
    other_hash,
    read_record,
    record_path,
)
from marey.weights.fetching.obtain import check_obtainable, check_sources, sources_of

Verification = Literal["ok", "changed", "broken link", "unknown", "unfinished", "removed"]


@dataclass(frozen=True)
class CachedItem:
    """A file of the cache; or, where the file is missing, a broken link, an unfinished download or only its record."""

    path: Path
    """Path of the file, whether or not it is there."""
    rows: tuple[str, ...]
    """The recipes or training starts whose weights it holds; empty: a model of the hub, a file at an address that the user
    named, or weights of another version of Marey."""
    known: Hash | None
    """The hash that these recipes declare; None: unknown."""

    @property
    def title(self) -> str:
        """Names of its recipes, or the model on the hub, or else the name of the file."""
        hub = cache_folder() / "hub"
        if self.path.is_relative_to(hub):
            return HUB + self.path.relative_to(hub).parts[0].replace("--", "/", 1)
        return ", ".join(self.rows) or self.path.name

    @cached_property
    def here(self) -> bool:
        """Whether the file exists, or a link to an existing file."""
        return self.path.is_file()

    @cached_property
    def link(self) -> Path | None:
        """The user's copy that the link points to, whether or not it exists; None: not a link."""
        return self.path.readlink() if self.path.is_symlink() else None

    @cached_property
    def size(self) -> int:
        """Size of the file in bytes; 0 if it is not there."""
        return self.path.stat().st_size if self.here else 0

    @cached_property
    def unfinished(self) -> int:
        """Bytes received by an unfinished download; 0 if there is none."""
        received = _unfinished_path(self.path)
        return received.stat().st_size if received.is_file() else 0

    @cached_property
    def record(self) -> Record | None:
        """The record of the file; None if there is none.

        Raises:
            WeightsError: its record cannot be read.
        """
        return read_record(self.path)


def cached_items() -> tuple[CachedItem, ...]:
    """All items of the cache, sorted by title."""
    rows: dict[Path, list[str]] = {}
    hashes: dict[Path, Hash | None] = {}
    for name, sources in ({recipe.name: recipe.weights for recipe in RECIPES} | STARTS).items():
        for source in sources:
            for path, known in zip(
                cached_paths(source), (source.hash, *(part.hash for part in source.parts)), strict=True
            ):
                hashes.setdefault(path, known)
                if name not in (of_path := rows.setdefault(path, [])):
                    of_path.append(name)
    candidates = [*(cache_folder() / "weights").glob("*/*"), *(cache_folder() / "hub").glob("*/*/*")]
    paths = {
        _main_path(path)
        for path in candidates
        if (path.is_file() or path.is_symlink()) and path.parent.name != "revisions" and path.name[0] != "."
    }
    cached_items = [CachedItem(path, tuple(rows.get(path, ())), hashes.get(path)) for path in sorted(paths)]
    present = (
        item for item in cached_items if item.here or item.link or item.unfinished or record_path(item.path).is_file()
    )
    return tuple(sorted(present, key=lambda item: item.title))


def find_items(names: Sequence[str]) -> tuple[CachedItem, ...]:
    """The items of the cache that belong to these recipes, rows of two streams, training starts or addresses, or have these
    titles or file names.

    Raises:
        WeightsError: the cache has no item for one of the names.
    """
    everything, found = cached_items(), dict[Path, CachedItem]()
    for name in names:
        rows = sources_of(name).keys()
        of_name = [item for item in everything if name in (item.path.name, item.title) or rows & set(item.rows)]
        if not of_name and rows:
            raise WeightsError(f"{name}: none of its weights are in {cache_folder() / 'weights'}.")
        if not of_name:
            raise _no_such_name(name, everything)
        found |= {item.path: item for item in of_name}
    return tuple(found.values())


def weights_paths(name: str) -> tuple[Path, ...]:
    """Path in the cache of the weights of a recipe or training start (for a TensorFlow checkpoint its folder), both paths of
    a row of two streams, or the path of a file with this name.

    Raises:
        WeightsError: it is not there; the message says what can be done, as in `obtain.check_obtainable`.
    """
    wanted = sources_of(name)
    if not wanted:
        paths = tuple(item.path for item in cached_items() if name in (item.path.name, item.title) and item.here)
        if not paths:
            raise _no_such_name(name, cached_items())
        return paths
    found = []
    for one, sources in wanted.items():
        source = cached_source(sources)
        if source is None:
            recipe = next((recipe for recipe in RECIPES if recipe.name == one), None)
            if recipe is None:
                check_sources(sources, one, trust_first_use=True)
            else:
                check_obtainable(recipe, trust_first_use=True)
            folder = cache_folder() / "weights"
            raise WeightsError(f"{one}: its weights are not in {folder}; marey weights fetch {one} fetches them.")
        found.append(cached_path(source).parent if source.parts else cached_path(source))
    return tuple(found)


def verify_items(checked: Sequence[CachedItem]) -> Iterator[tuple[CachedItem, Verification, str]]:
    """Hash each file again and compare it with its record: the item, the verdict and the reason."""
    with progress("Hashing", total=round(sum(item.size for item in checked) / 1e6), unit="MB") as bar:
        done = 0
        for item in checked:
            try:
                verdict, why = _verification(item)
            except (OSError, WeightsError) as error:
                verdict, why = "unknown", str(error)
            yield item, verdict, why
            bar.advance(round((done + item.size) / 1e6) - round(done / 1e6))
            done += item.size


def remove_items(removed: Sequence[CachedItem], *, forget: bool = False) -> int:
    """Remove files, links and unfinished downloads from the cache; returns the number of bytes freed.

    Only the link to a user's copy is removed, never the copy.

    Args:
        forget: Remove the records, too: a later download is then compared only with the published hash.

    Raises:
        WeightsError: another process is fetching one of them, or the cache cannot be written.
    """
    free = 0
    for item in removed:
        lock = item.path.with_name(f"{item.path.name}.lock")
        try:
            with locked(lock, wait=False, remove=True):
                # A hard link shares its bytes with the user's copy.
                frees = item.here and item.link is None and item.path.stat().st_nlink == 1
                free += (item.size if frees else 0) + item.unfinished
                for path in (item.path, _unfinished_path(item.path), record_path(_unfinished_path(item.path))):
                    path.unlink(missing_ok=True)
                if forget:
                    record_path(item.path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                item.path.parent.rmdir()  # fails if the folder is not empty
        except BlockingIOError:
            raise WeightsError(
                f"{item.path.name}: another process is fetching it; nothing of it was removed."
            ) from None
        except OSError as error:
            raise WeightsError(f"{item.path}: cannot be removed ({error}).") from None
    return free


def _verification(item: CachedItem) -> tuple[Verification, str]:
    if not item.here:
        if item.link is not None:
            return "broken link", f"{item.link} is not there: put it back, or marey weights remove {item.path.name}"
        if item.unfinished:
            return "unfinished", f"{item.unfinished} bytes of a download that the next call resumes"
        return "removed", "its record remains, so that another content is refused; --forget removes it, too"
    return _verification_by_hash(item, sha256(item.path))


def _verification_by_hash(item: CachedItem, found: str) -> tuple[Verification, str]:
    """The verdict on a file by its SHA-256 and its record."""
    record = item.record
    if record is not None:
        if record.sha256 == found and (item.known is None or matches(item.path, item.known)):
            return "ok", f"SHA-256 {found}"
        if record.sha256 == found and item.known is not None:
            return "changed", f"not the file that is declared: {other_hash(digest(item.path, item.known), item.known)}"
        return "changed", f"since {record.date}: its SHA-256 was {record.sha256}, now it is {found}"
    # Version 0.1.0 wrote no records; the first published digits are the name of the folder.
    if (item.known is not None and matches(item.path, item.known)) or found.startswith(item.path.parent.name):
        return "ok", f"no record of it; SHA-256 {found}, which begins as published"
    if item.known is not None:
        return "changed", f"not the file that was published: {other_hash(digest(item.path, item.known), item.known)}"
    return "unknown", f"no record of it; SHA-256 {found}"


def _main_path(path: Path) -> Path:
    """The weights file to which `path` belongs as record, unfinished download or lock; else `path` itself."""
    for ending in (".part.json", ".part", ".lock"):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending))
    if path.suffix == ".json":
        main = path.with_suffix("")
        with contextlib.suppress(WeightsError):
            return main if os.path.lexists(main) or read_record(main) is not None else path
    return path


def _unfinished_path(path: Path) -> Path:
    """Path of the download of `path` until it is complete."""
    return path.with_name(f"{path.name}.part")


def _no_such_name(name: str, everything: Sequence[CachedItem]) -> WeightsError:
    folder = cache_folder() / "weights"
    rows = [*(recipe.name for recipe in RECIPES), *(row.name for row in TWO_STREAMS)]
    known = [*rows, *STARTS, *(item.path.name for item in everything)]
    return WeightsError(f"{name}: no recipe and no file in {folder} has this name.{did_you_mean(name, known)}")
