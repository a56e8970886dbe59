"""The cache: everything that Marey stores outside run folders, in one folder per kind.

Three kinds are limited in size, each separately: files of backends, features, and signatures of videos. When one is over
its limit, the files that were used longest ago are removed. Downloaded weights, models of the Hugging Face hub, and facts
about video files have no limit.
"""

import contextlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import RunError
from marey.base.files import cache_folder, locked

KINDS = {
    "weights": "published weights, links to copies of yours, records of their content",
    "hub": "models of the Hugging Face hub",
    "backends": "networks that backends converted, and how fast they ran",
    "features": "features of videos, for training on frozen features",
    "signatures": "small signatures of videos, to find copies and videos of one recording",
    "probes": "facts about video files, as the data commands found them",
}
"""The folders of the cache. All can be restored, except the links and the records of content."""
_LIMIT_GB = "4"
"""Default limit of each kind, in gigabytes. A converted network is as large as its weights, mostly 0.03 to 0.5 GB. The
features of a video take 0.2 MB, so that 20,000 videos fit, more than most projects use. A signature takes 0.1 to 0.2 MB."""


def backends_folder(kind: str) -> Path:
    """The folder `kind` within the cache's `backends`: "openvino" (converted networks) or "measured" (their speed)."""
    return cache_folder() / "backends" / kind


def features_folder(key: str) -> Path:
    """The cache folder for features. `key` is a hash of the network and of all settings that change them."""
    return cache_folder() / "features" / key


def signatures_folder(key: str) -> Path:
    """The cache folder for signatures. `key` names their format."""
    return cache_folder() / "signatures" / key


def mark_used(file: Path) -> None:
    """Set the time of last use of a file to now; `prune` removes the files used longest ago."""
    with contextlib.suppress(OSError):  # the cache may be read-only for this user
        os.utime(file)


def cache_limit() -> int:
    """The limit in bytes for each of `backends`, `features` and `signatures`: $MAREY_CACHE_LIMIT gigabytes (1e9 bytes),
    by default 4.

    Raises:
        RunError: the variable is not a number of gigabytes, 0 or more.
    """
    given = os.environ.get("MAREY_CACHE_LIMIT", "").strip() or _LIMIT_GB
    try:
        size = int(float(given) * 1e9)
    except (ValueError, OverflowError):
        size = -1
    if size < 0:
        raise RunError(
            f"MAREY_CACHE_LIMIT={given}: expected a limit in gigabytes, for example 4 or 0.5; it holds separately for "
            f"files of backends, features and signatures in {cache_folder()}. 0 caches nothing."
        )
    return size


def prune(folder: Path, *, spared: Collection[Path] = ()) -> None:
    """Remove the files of one kind that were used longest ago, until the kind is within its limit.

    Args:
        folder: Any folder of that kind, as `backends_folder`, `features_folder` or `signatures_folder` returns it.
        spared: Files that count towards the limit but are not removed, because this process still needs them.
    """
    files: list[tuple[float, int, Path]] = []
    for file in folder.parent.glob("*/*"):
        with contextlib.suppress(OSError):  # another process has just removed it
            if file.is_file():
                files.append((file.stat().st_mtime, file.stat().st_size, file))
    total, limit = sum(size for _, size, _ in files), cache_limit()
    for _, size, file in sorted(files):
        if total <= limit:
            return
        if file in spared:
            continue
        with contextlib.suppress(OSError):  # Windows keeps files that are open
            file.unlink()
            total -= size


@dataclass(frozen=True)
class CacheContent:
    """The cache's files of one kind."""

    kind: str
    """The name of the kind, a key of `KINDS`."""
    what: str
    """Description of the kind."""
    files: int
    """Number of files, without links."""
    links: int
    """Number of links to files of the user outside the cache."""
    size: int
    """Size of the files in bytes; links count as 0."""


def cache_contents() -> tuple[CacheContent, ...]:
    """The contents of the cache, for every kind that has files or links.

    Raises:
        OSError: a folder of the cache cannot be read.
    """
    return tuple(content for kind in KINDS if (content := _content_of_kind(kind)).files or content.links)


def foreign_paths() -> tuple[Path, ...]:
    """Files and folders in the cache folder that are not Marey's. They are never removed."""
    folder = cache_folder()
    return tuple(sorted(path for path in folder.iterdir() if path.name not in KINDS)) if folder.is_dir() else ()


def clear_cache() -> tuple[CacheContent, ...]:
    """Remove everything of Marey from the cache, and the cache folder itself if it is then empty; returns what was removed.

    Links to files of the user are removed, the files stay.

    Raises:
        RunError: another process is writing to the cache; nothing was removed.
        OSError: a file cannot be removed.
    """
    folder, removed = cache_folder(), cache_contents()
    for lock in (path for kind in KINDS for path in (folder / kind).rglob("*.lock")):
        try:
            with locked(lock, wait=False, remove=True):
                pass
        except BlockingIOError:
            raise RunError(
                f"{lock.with_suffix('')}: another process is using it; nothing was removed. Wait for it, or stop it."
            ) from None
    for kind in KINDS:
        kind_folder = folder / kind
        for path in kind_folder.iterdir() if kind_folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not kind_folder.is_symlink():  # a link to a folder on another disk, made by the user, stays
            with contextlib.suppress(FileNotFoundError):
                kind_folder.rmdir()
    if not os.environ.get("MAREY_CACHE"):  # a folder that the user named stays
        with contextlib.suppress(OSError):  # it does not exist, or is not empty
            folder.rmdir()
    return removed


def _content_of_kind(kind: str) -> CacheContent:
    files = links = size = 0
    for folder, _, names in os.walk(cache_folder() / kind, onerror=_raise):
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - a Path per file is slow in a large cache
            if os.path.islink(path):  # noqa: PTH114
                links += 1
            else:
                with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                    size += os.stat(path).st_size  # noqa: PTH116
                    files += 1
    return CacheContent(kind, KINDS[kind], files, links, size)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
