"""The identity of a video: a short hash of its content, by which copies are recognised under any name."""

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

from marey.base.address import Address, Location, address_in
from marey.base.words import counted
from marey.data.lists.videos import VideoEntry
from marey.video.reading.decoding import FetchError
from marey.video.reading.remote import RemoteFile

_END = 1 << 16
"""How many bytes are read at the beginning and at the end of a file."""
_BYTES = 8
"""The length of an identity. Among a million videos, two have the same by chance in one of 30 million data sets."""
_NUMBER = np.dtype("<u8")
"""The type of an identity in an array: 8 bytes, little-endian."""
_THREADS = 16
"""Files that are read at the same time: over a network each takes long."""
_CHUNK = 1000
"""Files that one thread reads one after the other."""


@dataclass(frozen=True, repr=False)
class Identities:
    """A set of identities of videos, held in 8 bytes for each."""

    packed: bytes = b""
    """The identities in ascending order, each as 8 bytes, little-endian."""

    @classmethod
    def of(cls, identities: Iterable[int]) -> Self:
        return cls(np.unique(np.fromiter(identities, _NUMBER)).tobytes())

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `text` returned.

        Raises:
            ValueError: the text is something else.
        """
        packed = base64.b64decode(text, validate=True)
        if len(packed) % _BYTES:
            raise ValueError(f"{len(packed)} bytes are no multiple of {_BYTES}, the length of an identity")
        return cls(packed)

    @property
    def text(self) -> str:
        """The identities in base64."""
        return base64.b64encode(self.packed).decode()

    @property
    def numbers(self) -> NDArray[np.uint64]:
        """[N]: the identities in ascending order."""
        return np.frombuffer(self.packed, _NUMBER)

    def __len__(self) -> int:
        return len(self.packed) // _BYTES

    def __or__(self, others: "Identities | Collection[int]") -> "Identities":
        if not len(others):
            return self
        more = others.numbers if isinstance(others, Identities) else np.fromiter(others, _NUMBER, len(others))
        return Identities(np.union1d(self.numbers, more).astype(_NUMBER).tobytes())

    def __contains__(self, identity: int) -> bool:
        index = int(np.searchsorted(self.numbers, np.uint64(identity)))
        return index < len(self) and int(self.numbers[index]) == identity

    def __repr__(self) -> str:
        return f"Identities({counted(len(self), 'video')})"


def was_seen(video: VideoEntry, of_file: int, trained_on: Identities) -> bool:
    """Whether a checkpoint was trained on a video: on the video itself; if it is a segment, on its entire file; if it is an
    entire file, on a segment of it.

    Args:
        video: The video or segment.
        of_file: The identity of its file (`file_identity`).
        trained_on: The identities that a checkpoint stores (`noted_identities`).
    """
    own = entry_identity(video, of_file)
    return own in trained_on or (_in_segments(of_file) if own == of_file else of_file) in trained_on


def noted_identities(video: VideoEntry, of_file: int) -> tuple[int, ...]:
    """The identities that a checkpoint stores for a video of its training data; `of_file` is the identity of the file.

    It stores the identity of the video; for a segment also a second one, by which the entire file is recognised.
    """
    own = entry_identity(video, of_file)
    return (own,) if own == of_file else (own, _in_segments(of_file))


def video_identity(video: VideoEntry) -> int:
    """The identity of a video, above 0 and below 2 ** 64: equal for copies under any name, different after re-encoding.

    It is the beginning of the SHA-256 of the file's size, its first and its last 64 KiB; for a folder of images, of their
    names and sizes, and of the first and the last image in the same way. A segment has an identity that is made from that of
    the file and its times or frames.

    Raises:
        OSError: the file does not exist or cannot be read.
        FetchError: a server does not return the file.
    """
    return entry_identity(video, file_identity(video.path))


def entry_identity(video: VideoEntry, of_file: int) -> int:
    """As `video_identity`, for an entry whose file has the identity `of_file`."""
    if (video.start_frame, video.end_frame) != (None, None):
        segment = f"frames {video.start_frame or 0} {video.end_frame}"
    elif (video.start, video.end) != (None, None):
        segment = f"seconds {float(video.start or 0)} {video.end if video.end is None else float(video.end)}"
    else:
        return of_file
    return _number(hashlib.sha256(f"{of_file} {segment}".encode()))


def _in_segments(of_file: int) -> int:
    """The identity that a checkpoint stores for a file if it was trained on a segment of it."""
    return _number(hashlib.sha256(f"{of_file} in parts".encode()))


def file_identity(path: str | Location) -> int:
    """As `video_identity`, for an entire file or folder; a file at an address is read in two short requests."""
    digest = hashlib.sha256()
    if (address := address_in(path)) is not None:
        with RemoteFile(address) as remote:
            digest.update(remote.size.to_bytes(8, "little"))
            digest.update(remote.ends(_END))
        return _number(digest)
    assert not isinstance(path, Address)
    if not os.path.isdir(path):  # noqa: PTH112 - a Path for each of a million takes long
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


def equal_contents(paths: Sequence[str]) -> NDArray[np.int64]:
    """For each of N paths the index of the first one with the same content [N]; -1 where nothing can be read.

    Content is compared by `file_identity`. Only files of equal size are read, each once however often it is listed. Folders
    of images are compared, too.
    """
    files = list(dict.fromkeys(paths))
    sizes = dict(zip(files, _many(_size, files), strict=True))
    counts = Counter(sizes.values())
    of_equal_size = [file for file in files if sizes[file] > 0 and counts[sizes[file]] > 1]
    contents = dict(zip(of_equal_size, _many(_identity_or_zero, of_equal_size), strict=True))
    first: dict[int | str, int] = {}
    found = np.full(len(paths), -1, np.int64)
    for row, path in enumerate(paths):
        content: int | str = contents.get(path, path)
        if sizes[path] > 0 and content:
            found[row] = first.setdefault(content, row)
    return found


def file_identities(paths: Sequence[str]) -> NDArray[np.uint64]:
    """The identity of the file or folder at each of N paths [N], each read once; 0 where nothing can be read."""
    files = list(dict.fromkeys(paths))
    found = dict(zip(files, _many(_identity_or_zero, files), strict=True))
    return np.fromiter((found[path] for path in paths), np.uint64, len(paths))


def _many(function: Callable[[str], int], files: Sequence[str]) -> Iterator[int]:
    """The values of `function` for the files, in order, computed in several threads."""
    chunks = [files[begin : begin + _CHUNK] for begin in range(0, len(files), _CHUNK)]
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from itertools.chain.from_iterable(threads.map(lambda chunk: list(map(function, chunk)), chunks))


def _size(path: str) -> int:
    """The bytes of a file or the number of entries of a folder; -1 if it does not exist."""
    try:
        if (address := address_in(path)) is not None:
            with RemoteFile(address) as remote:
                return remote.size
        found = os.stat(path)  # noqa: PTH116
        return len(os.listdir(path)) if stat.S_ISDIR(found.st_mode) else found.st_size  # noqa: PTH208
    except (OSError, FetchError):
        return -1


def _identity_or_zero(path: str) -> int:
    """The identity of a file or folder; 0 where it cannot be read."""
    try:
        return file_identity(path)
    except (OSError, FetchError):
        return 0
