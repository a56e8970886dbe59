"""Arrays of videos as files in the cache: one file for each video or part, known again by its content."""

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

from marey.base.files import atomic_path
from marey.base.kept import cache_limit, mark_used, prune
from marey.base.reporter import notice

_DAMAGED = (ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What NumPy and `zipfile` raise of a file that is cut off, whose checksum is wrong, or that seems to be compressed or
encrypted in a way that they do not know."""


class ArrayFiles:
    """Arrays of one kind of some videos: a file in the cache for each video, by the identity of its content.

    The cache keeps what this process still needs, however old it is. Where that is more than the limit, or nothing can be
    written there, the rest lies in a temporary folder, which goes with this object. Threads may write at the same time.

    Args:
        folder: Of the cache: `features_folder` or `signatures_folder`.
        what: What the arrays are, in the plural, for messages: "features".

    Raises:
        RunError: MAREY_CACHE_LIMIT is no size.
    """

    def __init__(self, folder: Path, what: str) -> None:
        self.folder, self.what, self._limit = folder, what, cache_limit()
        self._lock = threading.Lock()
        self._sizes: dict[Path, int] = {}
        """What this process needs of the cache, and the bytes of each file, which count once however often it is written."""
        self._size = 0
        """Their sum."""
        self._beyond: set[int] = set()
        """Identities of those in the temporary folder."""
        self._full = False

    def hold(self, identities: Iterable[int]) -> frozenset[int]:
        """Which of them are there already: these are not removed any more by this process, and by others last."""
        found = set()
        for identity in identities:
            path = self.path(identity)
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                if not zipfile.is_zipfile(path):  # it looks at the end alone: checksums are compared when it is read
                    notice(f"{path}: is damaged, and computed anew")
                    continue
                mark_used(path)
                found.add(identity)
                self._count(path, size)
        return frozenset(found)

    def __contains__(self, identity: int) -> bool:
        return self.path(identity).exists()

    def read(self, identity: int) -> dict[str, NDArray[Any]] | None:
        """The arrays of a video by their names; None where there are none, or they are damaged."""
        return read_arrays(self.path(identity))

    def write(self, identity: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep the arrays of a video.

        Raises:
            OSError: no room is left in the temporary folder either.
        """
        path = self.folder / _name(identity)
        if self._taken(path, sum(array.nbytes for array in arrays.values())):
            try:
                _write(path, arrays)
                return
            except OSError as error:
                with self._lock:
                    self._count(path, 0)
                self._leave(f"{self.folder.parent}: nothing can be kept there ({error.strerror})")
        with self._lock:
            self._beyond.add(identity)
        _write(self._temporary / _name(identity), arrays)

    def tidy(self) -> None:
        """Remove from the cache what was used longest ago, until it is within its limit; nothing that is needed here."""
        prune(self.folder, spared=self._sizes)

    def path(self, identity: int) -> Path:
        """Where the arrays of a video lie, or would: for processes that read them alone, by `read_arrays`."""
        folder = self._temporary if identity in self._beyond else self.folder
        return folder / _name(identity)

    @cached_property
    def _temporary(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="marey-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _taken(self, path: Path, size: int) -> bool:
        """Whether the cache has room for a file, for which it is then taken; one that was there before, and is written anew
        since it was damaged or removed, takes the place of the former.
        """
        with self._lock:
            fits = not self._full and self._size - self._sizes.get(path, 0) + size <= self._limit
            if fits:
                self._count(path, size)
        if not fits:
            self._leave(
                f"MAREY_CACHE_LIMIT: {self._limit / 1e9:g} GB are less than the {self.what} of these videos take"
            )
        return fits

    def _count(self, path: Path, size: int) -> None:
        self._size += size - self._sizes.get(path, 0)
        self._sizes[path] = size

    def _leave(self, why: str) -> None:
        """Put nothing more into the cache, and say so once."""
        with self._lock:
            first, self._full = not self._full, True
            self._temporary  # noqa: B018 - made by one of the threads
        if first:
            notice(
                f"{why}: the rest lies in {self._temporary.name} until this process ends, and is computed again next time"
            )


def read_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file by their names; None where there is none, or it is damaged.

    Arrays may be missing where the file's table of contents is damaged, which has no checksum.
    """
    try:
        # Opened here: NumPy leaves a file open that it cannot read, and Windows lets no other take its place then.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return dict(file)
    except OSError:
        return None
    except _DAMAGED:
        notice(f"{path}: is damaged, and computed anew")
        return None


def _name(identity: int) -> str:
    return f"{identity:016x}.npz"


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)  # a ZIP file, which has a checksum of each array
