"""Which files exist below a folder. Each folder in it is listed once, when a path in it is asked for."""

import os
import re
from collections.abc import Iterable, Set
from pathlib import Path

from marey.base.address import Address
from marey.video.reading.suffixes import VIDEO_SUFFIXES

_VIDEOS = tuple(VIDEO_SUFFIXES)
_QUERIED = re.compile(r"https?://[^?#]*[?#]\S*", re.IGNORECASE)
"""A web address with a query or fragment. It holds no blank: a blank separates an address from a label."""
_MOST_MISSING = 100_000
"""The most missing folders that are remembered: a list may name a million, and listing one again is fast."""
_NOTHING: Set[str] = frozenset()


class FilesIn:
    """The files and folders below a root folder.

    Each folder is listed once: asking the disk or a network for each of a million files would take minutes.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._names: dict[str, set[str]] = {}
        self._missing: set[str] = set()
        self._suffixes: dict[str, list[str]] = {}
        """For each folder the suffixes of its video files, as they are written there (.MP4)."""

    def names(self, folder: str) -> Set[str]:
        """The names of the files and folders in a folder, by its path relative to the root; none if it does not exist."""
        if (found := self._names.get(folder)) is not None:
            return found
        if folder in self._missing:
            return _NOTHING
        inside = os.path.join(self._root, folder)  # noqa: PTH118 - a Path per folder takes most of the time
        try:
            self._names[folder] = set(os.listdir(inside))  # noqa: PTH208
        except (OSError, ValueError):
            if len(self._missing) == _MOST_MISSING:
                self._missing.clear()
            self._missing.add(folder)
            return _NOTHING
        return self._names[folder]

    def __contains__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")  # not os.path.split: a million times it takes seconds
        if name not in ("", ".", "..") and (folder or path[0] != "/"):
            return name in (self._names.get(folder) or self.names(folder))
        return bool(path) and Path(self._root, path).exists()

    def forget(self) -> None:
        """Free the memory; folders that are needed later are listed again."""
        self._names.clear()
        self._missing.clear()
        self._suffixes.clear()

    def first(self, paths: Iterable[str]) -> str | None:
        """The first of several paths that exists."""
        return next((path for path in paths if path in self), None)

    def completed(self, path: str) -> list[str]:
        """The existing video files whose path is `path` plus a suffix, sorted."""
        folder, slash, name = path.rpartition("/")
        before, folder = folder + slash, folder or slash
        if not self.names(folder):
            return []
        if folder not in self._suffixes:
            found = {os.path.splitext(file)[1] for file in self.names(folder)}  # noqa: PTH122
            self._suffixes[folder] = sorted(suffix for suffix in found if suffix.lower() in VIDEO_SUFFIXES)
        files = [name + suffix for suffix in self._suffixes[folder] if name + suffix in self.names(folder)]
        return [before + file for file in files if os.path.splitext(file)[0] == name]  # noqa: PTH122 - not for ".mp4" alone


def has_video_suffix(path: str) -> bool:
    """Whether a path ends in the suffix of a video file; a web address is taken without its query."""
    if "://" in path and _QUERIED.fullmatch(path):
        return Address(path).suffix.lower() in VIDEO_SUFFIXES
    return path.lower().endswith(_VIDEOS)
