"""What the cache of weights holds: each file with its record, links to the user's copies, downloads that did not end."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from marey.base.errors import WeightsError
from marey.base.files import cache_folder, locked, sha256
from marey.base.nearest import did_you_mean
from marey.base.reporter import progress
from marey.recipe import Hash
from marey.recipe.source import HUB
from marey.recipes import RECIPES, TWO_STREAMS
from marey.recipes.starts import STARTS
from marey.weights.fetching.availability import here
from marey.weights.fetching.content import other_hash
from marey.weights.fetching.obtain import check_obtainable, check_sources, sources_of
from marey.weights.fetching.store import Record, digest, files_of, matches, place, read_record, record_path

Verdict = Literal["ok", "changed", "broken link", "unknown", "unfinished", "removed"]


@dataclass(frozen=True)
class Item:
    """A file of the cache, or what there is of one."""

    path: Path
    """Where the file lies, or would."""
    rows: tuple[str, ...]
    """The recipes or starts of training whose weights it is; none: those of another version of Marey."""
    known: Hash | None
    """The hash that these recipes state."""

    @property
    def title(self) -> str:
        """Whose weights it is: the names of the recipes, the model on the hub, or else the file's own name."""
        hub = cache_folder() / "hub"
        if self.path.is_relative_to(hub):
            return HUB + self.path.relative_to(hub).parts[0].replace("--", "/", 1)
        return ", ".join(self.rows) or self.path.name

    @cached_property
    def here(self) -> bool:
        """Whether there is a file, or a link to one."""
        return self.path.is_file()

    @cached_property
    def link(self) -> Path | None:
        """The user's own copy that a link leads to, whether or not it is there."""
        return self.path.readlink() if self.path.is_symlink() else None

    @cached_property
    def size(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size if self.here else 0

    @cached_property
    def unfinished(self) -> int:
        """Bytes of a download that did not end."""
        part = _part(self.path)
        return part.stat().st_size if part.is_file() else 0

    @cached_property
    def record(self) -> Record | None:
        """What was recorded of it; None: nothing.

        Raises:
            WeightsError: its record cannot be read.
        """
        return read_record(self.path)


def items() -> tuple[Item, ...]:
    """All that lies in the cache, in the order of their titles."""
    rows: dict[Path, list[str]] = {}
    hashes: dict[Path, Hash | None] = {}
    for name, sources in ({recipe.name: recipe.weights for recipe in RECIPES} | STARTS).items():
        for source in sources:
            for path, known in zip(files_of(source), (source.hash, *(part.hash for part in source.parts)), strict=True):
                hashes.setdefault(path, known)
                if name not in (of_path := rows.setdefault(path, [])):
                    of_path.append(name)
    lying = [*(cache_folder() / "weights").glob("*/*"), *(cache_folder() / "hub").glob("*/*/*")]
    paths = {
        _described(path)
        for path in lying
        if (path.is_file() or path.is_symlink()) and path.parent.name != "revisions" and path.name[0] != "."
    }
    found = [Item(path, tuple(rows.get(path, ())), hashes.get(path)) for path in sorted(paths)]
    kept = (item for item in found if item.here or item.link or item.unfinished or record_path(item.path).is_file())
    return tuple(sorted(kept, key=lambda item: item.title))


def named(names: Sequence[str]) -> tuple[Item, ...]:
    """What the cache has of these recipes, rows of two streams, or files by their names.

    Raises:
        WeightsError: it has nothing of one of them.
    """
    everything, found = items(), dict[Path, Item]()
    for name in names:
        rows = sources_of(name).keys()
        of_name = [item for item in everything if name in (item.path.name, item.title) or rows & set(item.rows)]
        if not of_name and rows:
            raise WeightsError(f"{name}: nothing of its weights is in {cache_folder() / 'weights'}.")
        if not of_name:
            raise _no_such_name(name, everything)
        found |= {item.path: item for item in of_name}
    return tuple(found.values())


def paths_of(name: str) -> tuple[Path, ...]:
    """The file of a recipe or start in the cache (of a TensorFlow checkpoint, its folder), both of a row of two streams,
    or the file of this name.

    Raises:
        WeightsError: it is not there: what can be done, as `marey.weights.fetching.obtain.check_obtainable` says it.
    """
    wanted = sources_of(name)
    if not wanted:
        paths = tuple(item.path for item in items() if name in (item.path.name, item.title) and item.here)
        if not paths:
            raise _no_such_name(name, items())
        return paths
    found = []
    for one, sources in wanted.items():
        source = here(sources)
        if source is None:
            recipe = next((recipe for recipe in RECIPES if recipe.name == one), None)
            if recipe is None:
                check_sources(sources, one, trust_first_use=True)
            else:
                check_obtainable(recipe, trust_first_use=True)
            folder = cache_folder() / "weights"
            raise WeightsError(f"{one}: its weights are not in {folder}; marey weights fetch {one} fetches them.")
        found.append(place(source).parent if source.parts else place(source))
    return tuple(found)


def verified(checked: Sequence[Item]) -> Iterator[tuple[Item, Verdict, str]]:
    """Hash each file anew and compare it with its record: the verdict and why."""
    with progress("Hashing", total=round(sum(item.size for item in checked) / 1e6), unit="MB") as bar:
        done = 0
        for item in checked:
            try:
                verdict, why = _verdict(item)
            except (OSError, WeightsError) as error:
                verdict, why = "unknown", str(error)
            yield item, verdict, why
            bar.advance(round((done + item.size) / 1e6) - round(done / 1e6))
            done += item.size


def remove(removed: Sequence[Item], *, forget: bool = False) -> int:
    """Remove files and links from the cache, and downloads that did not end; returns the bytes that are free now.

    A link is removed, never the user's file that it leads to.

    Args:
        forget: Remove the records, too: a later download is then compared with what was published alone.

    Raises:
        WeightsError: another process is fetching one of them, or the cache cannot be written.
    """
    free = 0
    for item in removed:
        lock = item.path.with_name(f"{item.path.name}.lock")
        try:
            with locked(lock, wait=False, remove=True):
                # A hard link shares its bytes with the user's copy.
                own = item.here and item.link is None and item.path.stat().st_nlink == 1
                free += (item.size if own else 0) + item.unfinished
                for path in (item.path, _part(item.path), record_path(_part(item.path))):
                    path.unlink(missing_ok=True)
                if forget:
                    record_path(item.path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                item.path.parent.rmdir()  # where nothing else lies in it
        except BlockingIOError:
            raise WeightsError(
                f"{item.path.name}: another process is fetching it; nothing of it was removed."
            ) from None
        except OSError as error:
            raise WeightsError(f"{item.path}: cannot be removed ({error}).") from None
    return free


def _verdict(item: Item) -> tuple[Verdict, str]:
    if not item.here:
        if item.link is not None:
            return "broken link", f"{item.link} is not there: put it back, or marey weights remove {item.path.name}"
        if item.unfinished:
            return "unfinished", f"{item.unfinished} bytes of a download that a next call resumes"
        return "removed", "its record is kept, so that another content is refused; --forget removes that, too"
    return _compared(item, sha256(item.path))


def _compared(item: Item, found: str) -> tuple[Verdict, str]:
    """A file's verdict by its SHA-256 and its record."""
    record = item.record
    if record is not None:
        if record.sha256 == found and (item.known is None or matches(item.path, item.known)):
            return "ok", f"SHA-256 {found}"
        if record.sha256 == found and item.known is not None:
            return "changed", f"not the file that is declared: {other_hash(digest(item.path, item.known), item.known)}"
        return "changed", f"since {record.date}: its SHA-256 was {record.sha256}, now it is {found}"
    # Version 0.1.0 kept no records; the folder is named by the first digits that were published.
    if (item.known is not None and matches(item.path, item.known)) or found.startswith(item.path.parent.name):
        return "ok", f"no record of it; SHA-256 {found}, which begins as published"
    if item.known is not None:
        return "changed", f"not the file that was published: {other_hash(digest(item.path, item.known), item.known)}"
    return "unknown", f"no record of it; SHA-256 {found}"


def _described(path: Path) -> Path:
    """The file that `path` is, or that it says something of: a record, a download and its notes, a lock."""
    for ending in (".part.json", ".part", ".lock"):
        if path.name.endswith(ending):
            return path.with_name(path.name.removesuffix(ending))
    if path.suffix == ".json":
        about = path.with_suffix("")
        with contextlib.suppress(WeightsError):
            return about if os.path.lexists(about) or read_record(about) is not None else path
    return path


def _part(path: Path) -> Path:
    """Where a download of `path` lies until it is whole."""
    return path.with_name(f"{path.name}.part")


def _no_such_name(name: str, everything: Sequence[Item]) -> WeightsError:
    folder = cache_folder() / "weights"
    rows = [*(recipe.name for recipe in RECIPES), *(row.name for row in TWO_STREAMS)]
    known = [*rows, *STARTS, *(item.path.name for item in everything)]
    return WeightsError(f"{name}: no recipe and no file in {folder} has this name.{did_you_mean(name, known)}")
