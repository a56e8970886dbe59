"""What Marey keeps outside run folders: all of it lies in one cache, in a folder for each kind."""

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import RunError
from marey.base.files import cache_folder, locked

KINDS = {
    "weights": "published weights, links to copies of yours, records of their content",
    "hub": "models of the Hugging Face hub",
    "backends": "networks that backends converted, and how fast they ran",
    "features": "what networks saw in clips, for training on frozen features",
    "signatures": "what videos look like in little, to find copies and clips of one recording",
    "probes": "what data commands found in video files",
}
"""The folders of the cache. Each can be made again, but for the records of content and the links."""


@dataclass(frozen=True)
class Kept:
    """What the cache holds of one kind."""

    kind: str
    what: str
    files: int
    """Files of its own."""
    links: int
    """Links to files of the user's, which lie elsewhere."""
    size: int
    """Bytes of the files; links count nothing."""


def kept() -> tuple[Kept, ...]:
    """What the cache holds, of every kind of which there is something.

    Raises:
        OSError: a folder of it cannot be read.
    """
    return tuple(found for kind in KINDS if (found := _counted(kind)).files or found.links)


def others() -> tuple[Path, ...]:
    """What else lies in the folder of the cache, which Marey did not put there: it is left alone."""
    folder = cache_folder()
    return tuple(sorted(path for path in folder.iterdir() if path.name not in KINDS)) if folder.is_dir() else ()


def clear() -> tuple[Kept, ...]:
    """Remove what Marey keeps in the cache, and the cache's own folder where nothing else lies in it; what that was.

    Of a link to a file of the user's the link alone is removed.

    Raises:
        RunError: another process is writing into the cache; nothing was removed.
        OSError: something cannot be removed.
    """
    folder, removed = cache_folder(), kept()
    for lock in (path for kind in KINDS for path in (folder / kind).rglob("*.lock")):
        try:
            with locked(lock, wait=False, remove=True):
                pass
        except BlockingIOError:
            raise RunError(
                f"{lock.with_suffix('')}: another process is fetching it; nothing was removed. Wait for it, or stop it."
            ) from None
    for kind in KINDS:
        place = folder / kind
        for path in place.iterdir() if place.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not place.is_symlink():  # a folder that the user put on another disk stays linked
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()
    if not os.environ.get("MAREY_CACHE"):  # a folder that the user named stays
        with contextlib.suppress(OSError):  # there is none, or something else lies in it
            folder.rmdir()
    return removed


def _counted(kind: str) -> Kept:
    files = links = size = 0
    for folder, _, names in os.walk(cache_folder() / kind, onerror=_raise):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - of a Path per file a large cache would be slow
            if os.path.islink(path):  # noqa: PTH114
                links += 1
            else:
                with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                    size += os.stat(path).st_size  # noqa: PTH116
                    files += 1
    return Kept(kind, KINDS[kind], files, links, size)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
