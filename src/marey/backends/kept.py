"""What backends keep in the cache for later processes, converted networks and measurements, and how much of it.

It lies in the folder `backends` of `cache_folder()`. Downloads and the indices of videos lie elsewhere in the cache, and are
never removed here.
"""

import contextlib
import os
from pathlib import Path

from marey.base.errors import RunError
from marey.base.files import cache_folder

_LIMIT_GB = "4"
"""A converted network takes as much as its weights, mostly 0.03 to 0.5 GB: room for more than most projects use."""


def kept_folder(kind: str) -> Path:
    """Where the files of one kind are kept."""
    return cache_folder() / "backends" / kind


def mark_used(file: Path) -> None:
    """Note that a file was used now: those used longest ago are removed first."""
    with contextlib.suppress(OSError):  # a cache that this user may only read
        os.utime(file)


def cache_limit() -> int:
    """Bytes that all files may take together: $MAREY_CACHE_LIMIT gigabytes (of 1e9 bytes), else 4.

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
            f"MAREY_CACHE_LIMIT={given}: expected gigabytes for what backends keep in {cache_folder()}, for example 4 or "
            "0.5; 0 keeps nothing."
        )
    return size


def prune() -> None:
    """Remove the files used longest ago until the others are within the limit."""
    files: list[tuple[float, int, Path]] = []
    for file in cache_folder().glob("backends/*/*"):
        with contextlib.suppress(OSError):  # another process has just removed it
            if file.is_file():
                files.append((file.stat().st_mtime, file.stat().st_size, file))
    total, limit = sum(size for _, size, _ in files), cache_limit()
    for _, size, file in sorted(files):
        if total <= limit:
            return
        with contextlib.suppress(OSError):  # Windows keeps files that are open
            file.unlink()
            total -= size
