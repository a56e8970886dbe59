"""The cache of weights: where each file is kept, what is recorded of it, and whether it is still that file.

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
from marey.recipe.source import Hash, Part, Source, Trust


class Record(Declaration):
    """What was recorded of a file when it came into the cache."""

    sha256: str
    """All 64 digits, computed here."""
    size: int
    """Bytes."""
    address: str
    """Where it was fetched, or the path of the user's copy that was registered."""
    trust: Trust
    """How far its content was known then (`Source.trust`)."""
    date: date


@dataclass(frozen=True)
class Kept:
    """A file of the cache that is what its record says."""

    path: Path
    record: Record


def place(source: Source, part: Part | None = None) -> Path:
    """Where a source's file, or one that lies beside it, is kept; it need not be there."""
    known = source.hash.digits if source.hash is not None else hashlib.sha256(source.address.encode()).hexdigest()
    return cache_folder() / "weights" / known[:8] / (source.file if part is None else part.name)


def files_of(source: Source) -> tuple[Path, ...]:
    """Where the files of a source are kept: its own, then those that lie beside it."""
    return tuple(place(source, part) for part in (None, *source.parts))


def is_here(source: Source) -> bool:
    """Whether the cache has all files of a source that it may take them for, whatever is in them: a file of which neither a
    hash is known nor anything was recorded may be anybody's.
    """
    hashes = (source.hash, *(part.hash for part in source.parts))
    return all(
        path.is_file() and (known is not None or record_path(path).is_file())
        for path, known in zip(files_of(source), hashes, strict=True)
    )


def kept(source: Source, part: Part | None = None) -> Kept | None:
    """The file of a source as the cache has it; None where it is not there.

    Raises:
        WeightsError: it changed since it was recorded, or is not the file that is declared; both hashes are named. Or it
            cannot be read.
    """
    path, known = place(source, part), (source if part is None else part).hash
    if not path.is_file():
        return None
    record = read_record(path)
    if record is None:
        # Version 0.1.0 kept no records, and no file whose hash was not published.
        if known is None:
            warning(f"{path}: not taken, since no hash of it is known and nothing was recorded of it")
            return None
        if not matches(path, known):
            warning(f"{path}: not the file that was published; it is fetched again")
            return None
        return Kept(path, admit(path, address=source.address, trust=known.trust))
    _check_unchanged(path, record)
    # The content was hashed just now: it is read again for a hash of another kind alone.
    right = known is None or (
        record.sha256.startswith(known.digits) if known.algorithm == "sha256" else matches(path, known)
    )
    if known is not None and not right:
        raise WeightsError(
            f"{path}: its {known.name} is {digest(path, known)}, and {known.stated_by} states {known.digits}: remove it, "
            f"marey weights remove {path.name} --forget."
        )
    return Kept(path, record)


def record_of(path: Path) -> Record | None:
    """What was recorded of a file of the cache that is named by its path; None for any other file.

    Raises:
        WeightsError: it changed since. Both hashes are named.
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
            f"If that is right, remove it: marey weights remove {path.name} --forget."
        )


def matches(path: Path, known: Hash) -> bool:
    """Whether a file's content has this hash."""
    return digest(path, known).startswith(known.digits)


def digest(path: Path, known: Hash) -> str:
    """A file's whole hash by the algorithm of `known`, in hexadecimal.

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
    """What git hashes before the content of a file of `size` bytes."""
    return f"blob {size}\0".encode()


def record_path(path: Path) -> Path:
    """Where the record of the cached file `path` lies."""
    return path.with_name(f"{path.name}.json")


def read_record(path: Path) -> Record | None:
    """What was recorded of the cached file `path`, which need not be there any more; None where nothing was.

    Raises:
        WeightsError: the record cannot be read.
    """
    beside = record_path(path)
    try:
        return Record.model_validate(json.loads(beside.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        raise WeightsError(f"{beside}: no record of a file: {': '.join(first_problem(error))}. Remove it.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{beside}: cannot be read ({type(error).__name__}: {error}). Remove it.") from None


def admit(path: Path, *, address: str, trust: Trust) -> Record:
    """Record the content of a file that just came into the cache as `path`, and where it came from.

    In a cache that may only be read nothing is written.

    Raises:
        WeightsError: another content than was recorded of it before; the file is removed again.
    """
    found, earlier = digest(path, Hash(digits="0" * 8)), read_record(path)
    if earlier is not None and earlier.sha256 != found:
        path.unlink()
        raise WeightsError(
            f"{address}: not the file that it was on {earlier.date}: its SHA-256 was {earlier.sha256}, now it is {found}. "
            f"To take it nevertheless, first: marey weights remove {path.name} --forget."
        )
    record = Record(sha256=found, size=path.stat().st_size, address=address, trust=trust, date=date.today())
    try:
        write_json(record_path(path), record.model_dump(mode="json"))
    except PermissionError:
        warning_once(f"{path.parent}: may only be read, so that what was found there is not recorded")
    return record
