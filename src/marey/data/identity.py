"""The content of videos: a short identity of each, by which it is known again under any name, and equal files of a list."""

import hashlib
import itertools
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.data.manifest import Manifest
from marey.data.videos import VideoEntry

_END = 1 << 16
"""Bytes of a file's beginning and end that are read."""
_BYTES = 8
"""Of an identity: two of a million videos have the same one by chance once in 30 million sets."""
_THREADS = 16
"""Files that are asked for at the same time: on a network each answer takes long."""
_PART = 1000
"""Files that one of the threads asks for in turn."""


def identity_of(video: VideoEntry) -> int:
    """An identity of a video's content, above 0 and below 2 ** 64: equal for a copy under any name, another one for a file
    that was encoded anew. A part of a video has one of its own, made of the file's and the part's times.

    It is the beginning of the SHA-256 of a file's size, first and last 64 KiB. Of a folder of images: of their names and
    sizes, and so of the first and the last image.

    Raises:
        OSError: nothing is there, or it cannot be read.
    """
    whole = content_of(video.path)
    return whole if video.start is None and video.end is None else part_of(whole, video)


def part_of(whole: int, video: VideoEntry) -> int:
    """The identity of a part of the file whose identity is `whole`."""
    return _number(hashlib.sha256(f"{whole} {video.start} {video.end}".encode()))


def content_of(path: str | Path) -> int:
    """As `identity_of`, of a whole file or folder."""
    digest = hashlib.sha256()
    if not os.path.isdir(path):  # noqa: PTH112 - a million paths, no Path for each
        _read_ends(path, digest)
        return _number(digest)
    with os.scandir(path) as entries:
        files = sorted((e.name, e.stat().st_size, e.path) for e in entries if not e.name.startswith(".") and e.is_file())
    for name, size, _ in files:
        digest.update(os.fsencode(f"{name}\0{size}\0"))
    for _, _, file in [*files[:1], *files[-1:]]:
        _read_ends(file, digest)
    return _number(digest)


def _read_ends(path: str | Path, digest: "hashlib._Hash") -> None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - as above
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        digest.update(file.read(_END))
        if size > _END:
            file.seek(max(size - _END, _END))
            digest.update(file.read(_END))


def _number(digest: "hashlib._Hash") -> int:
    return int.from_bytes(digest.digest()[:_BYTES], "little") or 1


def paths_of(manifest: Manifest) -> list[str]:
    """The path of each video."""
    root = str(manifest.root)
    return [os.path.join(root, name) for name in manifest.ids.tolist()]  # noqa: PTH118 - a Path per row takes seconds


def equal_contents(paths: Sequence[str]) -> NDArray[np.int64]:
    """A number for each of N paths [N]: the same for paths of equal content, the first of them; -1 where nothing can be read.

    Only files of equal size are read, each once however often it is listed. Folders of images are compared as well.
    """
    files = list(dict.fromkeys(paths))
    sizes = dict(zip(files, _many(_size, files), strict=True))
    several = Counter(sizes.values())
    alike = [file for file in files if sizes[file] > 0 and several[sizes[file]] > 1]
    contents = dict(zip(alike, _many(_content, alike), strict=True))
    first: dict[int | str, int] = {}
    found = np.full(len(paths), -1, np.int64)
    for row, path in enumerate(paths):
        content: int | str = contents.get(path, path)
        if sizes[path] > 0 and content:
            found[row] = first.setdefault(content, row)
    return found


def _many(function: Callable[[str], int], files: Sequence[str]) -> Iterator[int]:
    """`function` of each file, several at the same time, in order."""
    parts = [files[begin : begin + _PART] for begin in range(0, len(files), _PART)]
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from itertools.chain.from_iterable(threads.map(lambda part: list(map(function, part)), parts))


def _size(path: str) -> int:
    """Bytes of a file; of a folder the number of its entries; -1 where nothing is there."""
    try:
        found = os.stat(path)  # noqa: PTH116
        return len(os.listdir(path)) if stat.S_ISDIR(found.st_mode) else found.st_size  # noqa: PTH208
    except OSError:
        return -1


def _content(path: str) -> int:
    """The identity of a whole file or folder; 0 where it cannot be read."""
    try:
        return content_of(path)
    except OSError:
        return 0


def packed(identities: Iterable[int]) -> NDArray[np.uint64]:
    """Identities in order, each once."""
    return np.unique(np.fromiter(identities, np.uint64))
