"""The content of videos: a short identity of each, by which it is known again under any name, and equal files of a list."""

import base64
import hashlib
import itertools
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, Place, address_in, path_in
from marey.base.words import counted
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import VideoEntry
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile

_END = 1 << 16
"""Bytes of a file's beginning and end that are read."""
_BYTES = 8
"""Of an identity: two of a million videos have the same one by chance once in 30 million sets."""
_NUMBER = np.dtype("<u8")
_THREADS = 16
"""Files that are asked for at the same time: on a network each answer takes long."""
_PART = 1000
"""Files that one of the threads asks for in turn."""


@dataclass(frozen=True, repr=False)
class Identities:
    """Identities of videos, each once, in order: 8 bytes a video."""

    packed: bytes = b""
    """Little-endian, ascending."""

    @classmethod
    def of(cls, identities: Iterable[int]) -> Self:
        return cls(np.unique(np.fromiter(identities, _NUMBER)).tobytes())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `text` gives.

        Raises:
            ValueError: it is something else.
        """
        packed = base64.b64decode(text, validate=True)
        if len(packed) % _BYTES:
            raise ValueError(f"{len(packed)} bytes are no whole number of identities")
        return cls(packed)

    @property
    def text(self) -> str:
        """As base64."""
        return base64.b64encode(self.packed).decode()

    @property
    def numbers(self) -> NDArray[np.uint64]:
        """[N], ascending."""
        return np.frombuffer(self.packed, _NUMBER)

    def __len__(self) -> int:
        return len(self.packed) // _BYTES

    def __or__(self, others: "Identities | Collection[int]") -> "Identities":
        if not len(others):
            return self
        more = others.numbers if isinstance(others, Identities) else np.fromiter(others, _NUMBER, len(others))
        return Identities(np.union1d(self.numbers, more).astype(_NUMBER).tobytes())

    def __contains__(self, identity: int) -> bool:
        place = int(np.searchsorted(self.numbers, np.uint64(identity)))
        return place < len(self) and int(self.numbers[place]) == identity

    def __repr__(self) -> str:
        return f"Identities({counted(len(self), 'video')})"


def was_seen(video: VideoEntry, whole: int, trained_on: Identities) -> bool:
    """Whether training saw this video or part, whose file's identity is `whole`: it; or the whole file, of which it is a
    part; or a part of it, where it is the whole file.
    """
    own = identity_in(video, whole)
    return own in trained_on or (_in_parts(whole) if own == whole else whole) in trained_on


def noted_of(video: VideoEntry, whole: int) -> tuple[int, ...]:
    """What a checkpoint notes of a video that it was trained on, whose file's identity is `whole`: `identity_of`; and of a
    part also one by which the whole file is known again.
    """
    own = identity_in(video, whole)
    return (own,) if own == whole else (own, _in_parts(whole))


def identity_of(video: VideoEntry) -> int:
    """An identity of a video's content, above 0 and below 2 ** 64: equal for a copy under any name, another one for a file
    that was encoded anew. A part of a video has one of its own, made of the file's and the part's times or frames.

    It is the beginning of the SHA-256 of a file's size, first and last 64 KiB. Of a folder of images: of their names and
    sizes, and so of the first and the last image.

    Raises:
        OSError: nothing is there, or it cannot be read.
        FetchError: a server does not give it.
    """
    return identity_in(video, content_of(video.path))


def identity_in(video: VideoEntry, whole: int) -> int:
    """As `identity_of`, of an entry whose file has the identity `whole`."""
    if (video.start_frame, video.end_frame) != (None, None):
        part = f"frames {video.start_frame or 0} {video.end_frame}"
    elif (video.start, video.end) != (None, None):
        part = f"seconds {float(video.start or 0)} {video.end if video.end is None else float(video.end)}"
    else:
        return whole
    return _number(hashlib.sha256(f"{whole} {part}".encode()))


def _in_parts(whole: int) -> int:
    """What is noted of a file of which some part was trained on."""
    return _number(hashlib.sha256(f"{whole} in parts".encode()))


def content_of(path: str | Place) -> int:
    """As `identity_of`, of a whole file or folder; of a file at an address by two short reads."""
    digest = hashlib.sha256()
    if (address := address_in(path)) is not None:
        with RemoteFile(address) as remote:
            digest.update(remote.size.to_bytes(8, "little"))
            digest.update(remote.ends(_END))
        return _number(digest)
    assert not isinstance(path, Address)
    if not os.path.isdir(path):  # noqa: PTH112 - a million paths, no Path for each
        _read_ends(path, digest)
        return _number(digest)
    with os.scandir(path) as entries:
        files = sorted(
            (e.name, e.stat().st_size, e.path) for e in entries if not e.name.startswith(".") and e.is_file()
        )
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
    """The path or address of each video."""
    root = str(manifest.root)
    return [path_in(root, name) for name in manifest.ids.tolist()]


def equal_contents(paths: Sequence[str]) -> NDArray[np.int64]:
    """A number for each of N paths [N], the first row of that content: equal content, equal number; -1 where there is none.

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


def contents_of(paths: Sequence[str]) -> NDArray[np.uint64]:
    """The identity of the whole file or folder at each of N paths [N], each read once; 0 where nothing can be read."""
    files = list(dict.fromkeys(paths))
    found = dict(zip(files, _many(_content, files), strict=True))
    return np.fromiter((found[path] for path in paths), np.uint64, len(paths))


def _many(function: Callable[[str], int], files: Sequence[str]) -> Iterator[int]:
    """`function` of each file, several at the same time, in order."""
    parts = [files[begin : begin + _PART] for begin in range(0, len(files), _PART)]
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from itertools.chain.from_iterable(threads.map(lambda part: list(map(function, part)), parts))


def _size(path: str) -> int:
    """Bytes of a file; of a folder the number of its entries; -1 where nothing is there."""
    try:
        if (address := address_in(path)) is not None:
            with RemoteFile(address) as remote:
                return remote.size
        found = os.stat(path)  # noqa: PTH116
        return len(os.listdir(path)) if stat.S_ISDIR(found.st_mode) else found.st_size  # noqa: PTH208
    except (OSError, FetchError):
        return -1


def _content(path: str) -> int:
    """The identity of a whole file or folder; 0 where it cannot be read."""
    try:
        return content_of(path)
    except (OSError, FetchError):
        return 0
