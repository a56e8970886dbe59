"""What is kept in the cache for later processes and removed again where it grows too large: converted networks and
measurements of backends, features, and signatures of videos.

Each of the three kinds lies in a folder of `cache_folder()`, and the limit holds for each by itself, so that none pushes
another out. Downloads and the indices of videos lie elsewhere in the cache, and are never removed here.
"""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from marey.base.errors import RunError
from marey.base.files import cache_folder

_LIMIT_GB = "4"
"""A converted network takes as much as its weights, mostly 0.03 to 0.5 GB; the features of a clip 0.2 MB, so that there is
room for 20,000: more than most projects use; a signature 0.1 to 0.2 MB."""


def kept_folder(kind: str) -> Path:
    """Where backends keep the files of one kind."""
    return cache_folder() / "backends" / kind


def features_folder(key: str) -> Path:
    """Where features of one network by one rule are kept."""
    return cache_folder() / "features" / key


def signatures_folder(key: str) -> Path:
    """Where signatures of one form are kept."""
    return cache_folder() / "signatures" / key


def mark_used(file: Path) -> None:
    """Note that a file was used now: those used longest ago are removed first."""
    with contextlib.suppress(OSError):  # a cache that this user may only read
        os.utime(file)


def cache_limit() -> int:
    """Bytes that the files of `backends`, those of `features`, and those of `signatures` may take: $MAREY_CACHE_LIMIT
    gigabytes (of 1e9 bytes), else 4.

    Raises:
        RunError: the variable holds no such number.
    """
    given = os.environ.get("MAREY_CACHE_LIMIT", "").strip() or _LIMIT_GB
    try:
        size = int(float(given) * 1e9)
    except (ValueError, OverflowError):
        size = -1
    if size < 0:
        raise RunError(
            f"MAREY_CACHE_LIMIT={given}: expected gigabytes for what backends keep in {cache_folder()}, and as much "
            "again each for features and signatures, for example 4 or 0.5; 0 keeps nothing."
        )
    return size


def prune(folder: Path, *, spared: Collection[Path] = ()) -> None:
    """Remove files of one kind, those used longest ago, until the others are within the limit.

    Args:
        folder: As one of the functions above gives it; those beside it count as well.
        spared: Files that count, and are never removed: this process still needs them.
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
