"""The cache of weights: the path of each file, its record, and whether its content is still the recorded one.

cache/weights/0676ba61/resnet50-0676ba61.pth         the file, or a link to a copy that the user registered
cache/weights/0676ba61/resnet50-0676ba61.pth.json    its `Record`
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from marey.base.declaration import Declaration, first_problem
from marey.base.errors import WeightsError
from marey.base.files import cache_folder, sha256, write_json
from marey.base.reporter import warning, warning_once
from marey.recipe.source import CompanionFile, Hash, Source, Trust
from marey.weights.files.other_formats import no_checkpoint


class Record(Declaration):
    """Content and origin of a file, as recorded when it came into the cache."""

    sha256: str
    """Complete SHA-256 of the content, 64 hexadecimal digits."""
    size: int
    """Size of the file in bytes."""
    address: str
    """The address that it was fetched from, or the path of the user's registered copy."""
    trust: Trust
    """How well its content could be checked when it was recorded (`Source.trust`)."""
    date: date
    """Day on which it was recorded."""


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache whose content is the recorded one."""

    path: Path
    """Path of the file in the cache."""
    record: Record
    """The record of its content and origin."""


def cached_path(source: Source, companion: CompanionFile | None = None) -> Path:
    """Path in the cache of a source's file, or of a companion of it, whether or not it is there."""
    known = source.hash.digits if source.hash is not None else hashlib.sha256(source.address.encode()).hexdigest()
    return cache_folder() / "weights" / known[:8] / (source.file if companion is None else companion.name)


def cached_paths(source: Source) -> tuple[Path, ...]:
    """Paths in the cache of a source's file and of its companions, whether or not they are there."""
    return tuple(cached_path(source, companion) for companion in (None, *source.parts))


def is_cached(source: Source) -> bool:
    """Whether all files of a source are in the cache; their content is not checked. A file with neither a known hash nor a
    record does not count: its origin is unknown.
    """
    hashes = (source.hash, *(companion.hash for companion in source.parts))
    return all(
        path.is_file() and (known is not None or record_path(path).is_file())
        for path, known in zip(cached_paths(source), hashes, strict=True)
    )


def cached_file(source: Source, companion: CompanionFile | None = None) -> CachedFile | None:
    """The cached file of a source, or of a companion of it, with its content checked; None if it is not there.

    Raises:
        WeightsError: its content is not the recorded one or lacks the declared hash (the message names both hashes), or
            it cannot be read.
    """
    path, known = cached_path(source, companion), (source if companion is None else companion).hash
    if not path.is_file():
        return None
    record = read_record(path)
    if record is None:
        # Version 0.1.0 wrote no records, and fetched no file without a published hash.
        if known is None:
            warning(f"{path}: not used, because it has neither a known hash nor a record")
            return None
        if not matches(path, known):
            warning(f"{path}: not the file that was published; it is fetched again")
            return None
        return CachedFile(path, admit(path, address=source.address, trust=known.trust))
    _check_unchanged(path, record)
    # The SHA-256 was computed just now: only a hash of another algorithm needs a second reading.
    is_declared = known is None or (
        record.sha256.startswith(known.digits) if known.algorithm == "sha256" else matches(path, known)
    )
    if known is not None and not is_declared:
        raise WeightsError(
            f"{path}: its {known.name} is {digest(path, known)}, and {known.stated_by} states {known.digits}: remove it, "
            f"marey weights remove {path.name} --forget."
        )
    return CachedFile(path, record)


def record_of(path: Path) -> Record | None:
    """The record of the file `path`; None if it has no record or is not in the cache.

    Raises:
        WeightsError: its content changed since it was recorded; the message names both hashes.
    """
    if not (path.is_file() and path.absolute().is_relative_to(cache_folder().absolute())):
        return None
    record = read_record(path)
    if record is not None:
        _check_unchanged(path, record)
    return record


def _check_unchanged(path: Path, record: Record) -> None:
    found = digest(path, Hash(digits=record.sha256))
    if record.sha256 != found:
        raise WeightsError(
            f"{path}: changed since {record.date}: its SHA-256 was {record.sha256}, now it is {found}. "
            f"If that is intended, remove it: marey weights remove {path.name} --forget."
        )


def matches(path: Path, known: Hash) -> bool:
    """Whether a file's content has this hash."""
    return digest(path, known).startswith(known.digits)


def digest(path: Path, known: Hash) -> str:
    """The complete hash of a file by the algorithm of `known`, in hexadecimal.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        if known.algorithm == "sha256":
            return sha256(path)
        content = hashlib.sha1(git_blob_header(path.stat().st_size), usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                content.update(block)
        return content.hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from None


def git_blob_header(size: int) -> bytes:
    """The header that git hashes before the content of a file of `size` bytes."""
    return f"blob {size}\0".encode()


def record_path(path: Path) -> Path:
    """Path of the record of the cached file `path`."""
    return path.with_name(f"{path.name}.json")


def read_record(path: Path) -> Record | None:
    """The record of the cached file `path`, whether or not the file is still there; None if there is no record.

    Raises:
        WeightsError: the record cannot be read.
    """
    beside = record_path(path)
    try:
        return Record.model_validate(json.loads(beside.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise WeightsError(
            f"{beside}: not the record of a file: {': '.join(first_problem(error))}. Remove it."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{beside}: cannot be read ({type(error).__name__}: {error}). Remove it.") from None


def admit(path: Path, *, address: str, trust: Trust) -> Record:
    """Record the content and the origin of a file that just came into the cache as `path`.

    In a read-only cache nothing is written.

    Raises:
        WeightsError: an earlier record states another content; the file is removed again.
    """
    found, earlier = digest(path, Hash(digits="0" * 8)), read_record(path)
    if earlier is not None and earlier.sha256 != found:
        path.unlink()
        raise WeightsError(
            f"{address}: not the file that it was on {earlier.date}: its SHA-256 was {earlier.sha256}, now it is {found}. "
            f"To accept it, first: marey weights remove {path.name} --forget."
        )
    record = Record(sha256=found, size=path.stat().st_size, address=address, trust=trust, date=date.today())
    try:
        write_json(record_path(path), record.model_dump(mode="json"))
    except PermissionError:
        warning_once(f"{path.parent}: read-only, so that the content of its files is not recorded")
    return record


def other_hash(found: str, known: Hash) -> str:
    """The message that a file has another hash: both hashes, and who states the expected one.

    Args:
        found: The complete hash of the file by the algorithm of `known`.
        known: The expected hash.
    """
    begins = found[: 8 if known.complete else len(known.digits)]
    return f"its {known.name} begins {begins}, expected {known.digits} by {known.stated_by}"


def mismatch(path: Path, known: Hash | None, size: int | None) -> str | None:
    """How a file differs from the expected one; None if it does not.

    Args:
        path: The file.
        known: The expected hash; None: unknown, so that the size decides.
        size: The expected size in bytes; None: unknown.
    """
    if known is not None:
        found = digest(path, known)
        return None if found.startswith(known.digits) else other_hash(found, known)
    there = path.stat().st_size
    return None if size in (None, there) else f"it has {there} bytes, expected {size}"


def checkpoint_mismatch(path: Path, known: Hash | None, size: int | None) -> str | None:
    """Like `mismatch`, for a checkpoint: a file that is no checkpoint is named as what it is."""
    return no_checkpoint(path) or mismatch(path, known, size)
