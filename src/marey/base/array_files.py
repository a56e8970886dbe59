"""Caches arrays computed from videos: one file per video, named by the identity of the video's content."""

import contextlib
import shutil
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.cache import cache_limit, mark_used, prune
from marey.base.files import atomic_path
from marey.base.reporter import notice

_DAMAGED = (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Errors of NumPy and `zipfile` for a damaged file: truncated, with a wrong checksum, or seemingly compressed or encrypted
in an unknown way."""


class ArrayFiles:
    """Cached arrays of one kind, one file per video, named by the identity of the video's content.

    Files that this process needs are not removed from the cache. When they exceed the cache limit, or the cache cannot be
    written, further files go to a temporary folder, which is removed with this object. Threads may write at the same time.

    Args:
        folder: The cache folder: `features_folder` or `signatures_folder`.
        what: The kind of arrays, in the plural, for messages: "features".

    Raises:
        RunError: MAREY_CACHE_LIMIT is not a size.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what, self._limit = folder, what, cache_limit()
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}
        """Size in bytes of each cache file that this process needs."""
        self._size = 0
        """Sum of these sizes."""
        self._in_temporary: set[int] = set()
        """Identities whose files are in the temporary folder."""
        self._full = False
        """Whether nothing more is written to the cache."""

    def hold(self, identities: Iterable[int]) -> frozenset[int]:
        """Return those of the identities that are cached, and keep their files: this process does not remove them, and
        other processes remove them last.
        """
        cached = set()
        for identity in identities:
            path = self.path(identity)
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                if not zipfile.is_zipfile(path):  # checks only the end; checksums are compared on reading
                    notice(f"{path}: is damaged, and is computed again")
                    continue
                mark_used(path)
                cached.add(identity)
                self._count(path, size)
        return frozenset(cached)

    def __contains__(self, identity: int) -> bool:
        return self.path(identity).exists()

    def read(self, identity: int) -> dict[str, NDArray[Any]] | None:
        """The arrays of a video by their names; None if they are missing or damaged."""
        return read_arrays(self.path(identity))

    def write(self, identity: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Cache the arrays of a video.

        Raises:
            OSError: the temporary folder cannot be written either.
        """
        path = self.folder / _name(identity)
        if self._reserve(path, sum(array.nbytes for array in arrays.values())):
            try:
                _write_arrays(path, arrays)
                return
            except OSError as error:
                with self._lock:
                    self._count(path, 0)
                self._stop_caching(f"{self.folder.parent}: the cache cannot be written ({error.strerror})")
        with self._lock:
            self._in_temporary.add(identity)
        _write_arrays(self._temporary / _name(identity), arrays)

    def tidy(self) -> None:
        """Remove the files used longest ago until the cache is within its limit, except those that this process needs."""
        prune(self.folder, spared=self._sizes)

    def path(self, identity: int) -> Path:
        """The path at which the file of a video is, or would be. Processes that only read pass it to `read_arrays`."""
        folder = self._temporary if identity in self._in_temporary else self.folder
        return folder / _name(identity)

    @cached_property
    def _temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="marey-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _reserve(self, path: Path, size: int) -> bool:
        """Reserve room in the cache for a file; returns whether there was enough. If the file is written again, only its
        new size counts.
        """
        with self._lock:
            fits = not self._full and self._size - self._sizes.get(path, 0) + size <= self._limit
            if fits:
                self._count(path, size)
        if not fits:
            self._stop_caching(
                f"MAREY_CACHE_LIMIT: {self._limit / 1e9:g} GB are less than the {self.what} of these videos take"
            )
        return fits

    def _count(self, path: Path, size: int) -> None:
        self._size += size - self._sizes.get(path, 0)
        self._sizes[path] = size

    def _stop_caching(self, why: str) -> None:
        """Write nothing more to the cache, and print a notice the first time."""
        with self._lock:
            first, self._full = not self._full, True
            self._temporary  # noqa: B018 - created while the lock is held
        if first:
            notice(
                f"{why}: the rest is stored in {self._temporary.name} until this process ends, and is computed "
                "again next time"
            )


def read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file by their names; None if the file is missing or damaged.

    A ZIP file's table of contents has no checksum: if it is damaged, some arrays may be missing.
    """
    try:
        # Opened here, to be closed in any case: NumPy leaves a damaged file open, and Windows does not replace open files.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return dict(file)
    except OSError:
        return None
    except _DAMAGED:
        notice(f"{path}: is damaged, and is computed again")
        return None


def _name(identity: int) -> str:
    return f"{identity:016x}.npz"


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)  # a ZIP file, with a checksum of each array
