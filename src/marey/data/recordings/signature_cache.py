"""Signatures of the videos of a list, each computed once, by several processes, and cached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.address import as_listed
from marey.base.array_files import ArrayFiles, read_arrays
from marey.base.cache import signatures_folder
from marey.base.errors import DecodeError, RunError
from marey.base.jobs import each_job
from marey.base.processes import processor_seconds
from marey.base.reporter import notice
from marey.data.files.identity import entry_identity, file_identities
from marey.data.lists.videos import VideoEntry, Videos, frame_range
from marey.data.recordings.creation import creation_metadata
from marey.data.recordings.signature import Signature, signature_of, single_threaded_opencv
from marey.video.open import open_source

_AT_ONCE = 4
"""Number of videos that a process gets at a time, and whose signatures are cached together. A call that is stopped loses at
most the signatures that its processes are computing."""
_FORM = "2"
"""Version of the signatures' format and computation, raised when either changes: older files are then not read."""
_UNREAD = "does not exist, or may not be read"
"""The reason why a file or folder has no identity."""


@dataclass(frozen=True, eq=False)
class Signatures:
    """The signatures of N videos, read from the cache when they are needed."""

    keys: tuple[int, ...]
    """[N]: the identity of each video or segment (`marey.data.files.identity.entry_identity`), equal for equal content; 0
    where the video cannot be read."""
    broken: Mapping[int, str]
    """For each row whose key is 0, the reason why the video cannot be read."""
    computed: int
    """How many signatures were computed by this call; the others were cached."""
    core_seconds: float
    """Processor time in seconds of computing them, over all processes."""
    _videos: Videos
    """The videos, to compute a signature again."""
    _files: ArrayFiles
    """The cached files, each with one signature."""

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> Signature:
        """The signature of a video that could be read; computed again where its cached file was removed or is damaged.

        Raises:
            KeyError: the video could not be read.
            RunError: the signature must be computed again, and the video can no longer be read.
        """
        if not self.keys[row]:
            raise KeyError(row)
        cached = _signature_in(self.path(row))
        return self._compute_again(row) if cached is None else cached

    def _compute_again(self, row: int) -> Signature:
        arrays = _arrays(self._videos[row])
        if isinstance(arrays, str):
            raise RunError(f"{self._videos[row].path}: could be read before, and can no longer be read ({arrays}).")
        self._files.write(self.keys[row], arrays)
        return Signature.from_arrays(arrays)

    def path(self, row: int) -> Path:
        """The cached file of a readable video's signature, for `read_signature` in another process."""
        return self._files.path(self.keys[row])

    @property
    def readable(self) -> NDArray[np.bool_]:
        """[N]: which videos could be read."""
        return np.array([key != 0 for key in self.keys], np.bool_)

    def equal_rows(self) -> list[tuple[int, int]]:
        """Pairs of rows of equal content: the first row of each content with each further row of it."""
        first = _first_rows(self.keys)
        return [(first[key], row) for row, key in enumerate(self.keys) if key and first[key] != row]

    @property
    def rows(self) -> list[int]:
        """The rows that have a signature, one row for each content (the first), ascending."""
        return list(_first_rows(self.keys).values())


def read_signature(path: Path) -> Signature:
    """The signature in a file that `Signatures.path` returned.

    Raises:
        RunError: the file was removed or damaged since it was written.
    """
    if (signature := _signature_in(path)) is None:
        raise RunError(f"{path}: was removed or damaged while it was needed; run the command again.")
    return signature


def _signature_in(path: Path) -> Signature | None:
    """The signature in a file; None where the file does not exist or is damaged."""
    arrays = read_arrays(path)
    try:
        return None if arrays is None else Signature.from_arrays(arrays)
    except (KeyError, ValueError):  # arrays are missing, or do not fit together
        notice(f"{path}: is damaged, and is computed again")
        return None


def _first_rows(keys: Sequence[int]) -> dict[int, int]:
    """The first row of each key, in the order of rows; without the key 0."""
    first: dict[int, int] = {}
    for row, key in enumerate(keys):
        if key:
            first.setdefault(key, row)
    return first


def compute_signatures(videos: Videos, *, workers: int | None = None) -> Signatures:
    """The signatures of all videos; cached ones are not computed again, and each content is computed once.

    Signatures are cached while others are still computed, so that an interrupted call can be repeated at little cost. The
    videos that cannot be read, and files of stored flow, are in `broken`, with the reason.

    Args:
        videos: A `Manifest` or a `VideoList`.
        workers: Processes that decode; None: one per core, 0: this process decodes.

    Raises:
        RunError: a process died; or MAREY_CACHE_LIMIT is no size.
        OSError: neither the cache nor the temporary folder has room.
    """
    begun = processor_seconds()
    entries = [videos[row] for row in range(len(videos))]
    contents = file_identities([as_listed(entry.path) for entry in entries]).tolist()
    keys = [entry_identity(entry, content) if content else 0 for entry, content in zip(entries, contents, strict=True)]
    files = ArrayFiles(signatures_folder(_FORM), "signatures")
    first = _first_rows(keys)
    cached = files.hold(first)
    missing = {key: entries[row] for key, row in first.items() if key not in cached}
    failed = {}
    title, unit = "Computing signatures", "videos"
    computed = each_job(_arrays, [*missing.values()], workers=workers, title=title, unit=unit, chunk=_AT_ONCE)
    for key, arrays in zip(missing, computed, strict=True):
        if isinstance(arrays, str):
            failed[key] = arrays
        else:
            files.write(key, arrays)
    if missing:
        files.tidy()
    return Signatures(
        keys=tuple(0 if key in failed else key for key in keys),
        broken={row: failed[key] if key else _UNREAD for row, key in enumerate(keys) if not key or key in failed},
        computed=len(missing) - len(failed),
        core_seconds=processor_seconds() - begun,
        _videos=videos,
        _files=files,
    )


def _arrays(entry: VideoEntry) -> dict[str, NDArray[Any]] | str:
    """The signature of a video as arrays, or the reason why it has none."""
    try:
        with single_threaded_opencv(), open_source(entry.path) as source:
            return signature_of(source, *frame_range(entry, source), creation_metadata(entry.file)).as_arrays()
    except (DecodeError, OSError) as error:
        return error.reason if isinstance(error, DecodeError) else str(error)
