r"""$MAREY_MIRROR: folders and addresses of copies, which are searched before the addresses in recipes.

    MAREY_MIRROR="/data/weights https://models.lab.example/copies"

Mirrors are separated by blanks and searched in this order; a path with blanks is quoted as in a shell. A mirror has the
file of https://host/path at MIRROR/host/path, as `wget -x` stores files, and that of hf://org/name@revision/file at
MIRROR/huggingface.co/org/name/resolve/revision/file. In a folder the file may also be at MIRROR/file.
"""

import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from marey.base.address import offline
from marey.base.errors import WeightsError
from marey.base.files import link
from marey.base.reporter import warning, warning_once
from marey.recipe.source import HUB, Hash
from marey.weights.fetching.cached_files import checkpoint_mismatch
from marey.weights.fetching.connections import AbsentError, SourceError, check_scheme
from marey.weights.fetching.download import RETRY_POLICY, RetryPolicy, download
from marey.weights.fetching.hub import PUBLIC_HUB, hub_address


@dataclass(frozen=True)
class Mirror:
    """A folder or an address with copies of weights files."""

    location: Path | str
    """A folder, or an address to which host and path of a file are appended."""


def mirrors() -> tuple[Mirror, ...]:
    """The mirrors that $MAREY_MIRROR names, in its order.

    Raises:
        WeightsError: it names something other than absolute folders and https addresses.
    """
    return tuple(map(_mirror, _words(os.environ.get("MAREY_MIRROR", ""), posix=sys.platform != "win32")))


def _words(value: str, *, posix: bool) -> list[str]:
    """The words of $MAREY_MIRROR; on Windows a backslash belongs to its word."""
    try:
        words = shlex.split(value, posix=posix)
    except ValueError as error:
        raise WeightsError(f"MAREY_MIRROR={value}: a quotation mark is not closed ({error}).") from None
    return words if posix else [word.strip("\"'") for word in words]


def _mirror(word: str) -> Mirror:
    folder = Path(os.path.expanduser(word))  # noqa: PTH111 - Path.expanduser fails for an unknown ~user
    if folder.is_absolute():
        return Mirror(folder)
    try:
        check_scheme(word)
    except WeightsError:
        raise WeightsError(
            f"MAREY_MIRROR names {word}: expected absolute folders or addresses that begin with https:// "
            "(plain HTTP to this machine alone), separated by blanks; a path with blanks needs quotation marks."
        ) from None
    if "@" in urlsplit(word).netloc:
        raise WeightsError(
            "MAREY_MIRROR names an address with a user or a password, which Marey does not send: leave them out."
        )
    return Mirror(word.rstrip("/"))


def may_have(mirror: Mirror, address: str) -> bool:
    """Whether a mirror may have the file of `address`: a folder if it has a file of this name, an address always, unless
    $MAREY_OFFLINE forbids requests.
    """
    if isinstance(mirror.location, Path):
        return bool(_files_in(mirror.location, _https(address)))
    return not offline()


def fetch_from_mirror(
    mirror: Mirror, address: str, target: Path, known: Hash | None, size: int | None = None,
    *, retries: RetryPolicy = RETRY_POLICY,
) -> str | None:  # fmt: skip
    """Fetch the file of `address` from a mirror to `target`: a link to the file in a folder, or a download.

    A mirror's file is checked like one from the address itself. A file that fails the check is skipped with a warning, and
    so is a mirror that cannot be reached. With $MAREY_OFFLINE only folders are searched.

    Args:
        mirror: One of `mirrors()`.
        address: https://... or hf://org/name@revision/file.
        target: Path of the file. A link replaces an existing file; a download keeps or replaces it as in `download`.
        known: Hash of the file; None: unknown; only name and `size` are then compared.
        size: Size in bytes; None: unknown.
        retries: When a download is tried again; a mirror that does not answer is tried once.

    Returns:
        The path in the folder, or the address, that the file came from; None if the mirror does not have it.

    Raises:
        WeightsError: the file cannot be written (no space).
    """
    parts = _https(address)
    if isinstance(mirror.location, Path):
        for file in _files_in(mirror.location, parts):
            if (problem := checkpoint_mismatch(file, known, size)) is None:
                link(file, target)
                return str(file)
            warning(f"{file}: skipped, because it is not the file of {address}: {problem}")
        return None
    if offline():
        return None
    copy = f"{mirror.location}/{_host(parts)}{parts.path}"
    try:
        download(copy, target, known=known, size=size, retries=replace(retries, tries_to_connect=1))
    except AbsentError as error:
        if error.status == 401:
            warning(f"{error.what}; continuing without this mirror")
        return None
    except SourceError as error:
        warning(f"{error.what}; continuing without this mirror")
        return None
    return copy


def _https(address: str) -> SplitResult:
    """The components of an address; hf:// becomes the HTTPS address of the public hub."""
    return urlsplit(hub_address(address, endpoint=PUBLIC_HUB) if address.startswith(HUB) else address)


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _files_in(folder: Path, parts: SplitResult) -> list[Path]:
    """The files of a folder that may be the file of an address: stored as by `wget -x`, or directly under its name."""
    if not folder.is_dir():
        warning_once(f"{folder}: MAREY_MIRROR names it, but there is no such folder; continuing without it")
        return []
    # wget writes file names unquoted and with their query.
    path = _host(parts) + "/".join(unquote(word).replace("/", "%2F") for word in parts.path.split("/"))
    if ".." in path.split("/"):
        return []
    names = [path, *([f"{path}?{parts.query}"] if parts.query else []), path.rpartition("/")[2]]
    return [file for name in names if name and (file := folder / name).is_file()]
