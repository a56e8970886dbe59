r"""$MAREY_MIRROR: folders and addresses of copies, which are searched before the addresses that recipes name.

    MAREY_MIRROR="/data/weights https://models.lab.example/copies"

They are separated by blanks and searched in this order; a path with blanks is quoted as a shell would. The file of
https://host/path lies at MIRROR/host/path, as `wget -x` lays files out, that of hf://org/name@revision/file at
MIRROR/huggingface.co/org/name/resolve/revision/file; in a folder also directly under its own name.
"""

import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from marey.base.errors import WeightsError
from marey.base.files import link
from marey.base.network import offline
from marey.base.reporter import warning, warning_once
from marey.recipe.source import HUB, Hash
from marey.weights.fetching.content import difference
from marey.weights.fetching.download import PATIENCE, AbsentError, Patience, SourceError, check_scheme, download
from marey.weights.fetching.hub import PUBLIC_HUB, hub_address


@dataclass(frozen=True)
class Mirror:
    """A place of copies."""

    where: Path | str
    """A folder, or the address to which host and path are added."""


def mirrors() -> tuple[Mirror, ...]:
    """Those that $MAREY_MIRROR names, in its order.

    Raises:
        WeightsError: it names something else than absolute folders and https addresses.
    """
    return tuple(map(_mirror, _words(os.environ.get("MAREY_MIRROR", ""), posix=sys.platform != "win32")))


def _words(value: str, *, posix: bool) -> list[str]:
    """The words of $MAREY_MIRROR; on Windows backslashes are part of them."""
    try:
        words = shlex.split(value, posix=posix)
    except ValueError as error:
        raise WeightsError(f"MAREY_MIRROR={value}: a quotation mark is not closed ({error}).") from None
    return words if posix else [word.strip("\"'") for word in words]


def _mirror(word: str) -> Mirror:
    folder = Path(os.path.expanduser(word))  # noqa: PTH111 - the other one fails for an unknown ~user
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
            "MAREY_MIRROR names an address with a user or a password, which Marey does not send: leave that out."
        )
    return Mirror(word.rstrip("/"))


def may_have(mirror: Mirror, address: str) -> bool:
    """Whether a mirror may have the file of `address`, whose content is not looked at: a folder has it or not; an address
    may have it, but where $MAREY_OFFLINE forbids asking.
    """
    if isinstance(mirror.where, Path):
        return bool(_files_in(mirror.where, _https(address)))
    return not offline()


def find(
    mirror: Mirror, address: str, target: Path, known: Hash | None, size: int | None = None,
    *, patience: Patience = PATIENCE,
) -> str | None:  # fmt: skip
    """Bring the file of `address` from a mirror to `target`: a link to a folder's file, or a download.

    What a mirror has is checked as what the address itself gives. What is not that file is passed over with a warning, and
    so is a mirror that cannot be reached. With $MAREY_OFFLINE only folders are searched.

    Args:
        mirror: One of `mirrors()`.
        address: https://... or hf://org/name@revision/file.
        target: The file, which is replaced if it is there.
        known: Its hash; None: its name decides, and `size` where that is known.
        size: Bytes, if known.
        patience: Of a download; a mirror that does not answer is asked once.

    Returns:
        Where it was: the path of the folder's file, or an address; None where the mirror does not have it.

    Raises:
        WeightsError: the file cannot be kept (no space).
    """
    parts = _https(address)
    if isinstance(mirror.where, Path):
        for file in _files_in(mirror.where, parts):
            if (other := difference(file, known, size)) is None:
                link(file, target)
                return str(file)
            warning(f"{file}: passed over, is not the file of {address}: {other}")
        return None
    if offline():
        return None
    place = f"{mirror.where}/{_host(parts)}{parts.path}"
    try:
        download(place, target, known=known, size=size, patience=replace(patience, tries_to_connect=1))
    except AbsentError as error:
        if error.status == 401:
            warning(f"{error.what}; going on without this mirror")
        return None
    except SourceError as error:
        warning(f"{error.what}; going on without this mirror")
        return None
    return place


def _https(address: str) -> SplitResult:
    """The parts of an address by HTTPS, of the public hub for hf://."""
    return urlsplit(hub_address(address, endpoint=PUBLIC_HUB) if address.startswith(HUB) else address)


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _files_in(folder: Path, parts: SplitResult) -> list[Path]:
    """The files of a folder that the one of an address may be: as `wget -x` lays it out, or by its name alone."""
    if not folder.is_dir():
        warning_once(f"{folder}: MAREY_MIRROR names it, and no such folder is there; going on without it")
        return []
    # Names on disk are not quoted; wget keeps the query in them.
    path = _host(parts) + "/".join(unquote(part).replace("/", "%2F") for part in parts.path.split("/"))
    if ".." in path.split("/"):
        return []
    names = [path, *([f"{path}?{parts.query}"] if parts.query else []), path.rpartition("/")[2]]
    return [file for name in names if name and (file := folder / name).is_file()]
