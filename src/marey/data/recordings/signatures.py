"""Signatures of the videos of a list: computed once, by several processes, and kept in the cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.address import written
from marey.base.array_files import ArrayFiles, read_arrays
from marey.base.errors import DecodeError, RunError
from marey.base.jobs import each_job
from marey.base.kept import signatures_folder
from marey.base.processes import processor_seconds
from marey.base.reporter import notice
from marey.data.files.identity import contents_of, identity_in
from marey.data.lists.videos import VideoEntry, Videos, frame_range
from marey.data.recordings.opencv import one_thread
from marey.data.recordings.signature import Signature, signature_of
from marey.data.recordings.stamp import stamp_of
from marey.video.open import open_source

_AT_ONCE = 4
"""Videos that go to a process at a time, and are kept together: a call that is stopped loses no more."""
_FORM = "2"
"""Of signatures and of how they are computed: raised whenever either changes, so that older files are not read."""
_UNREAD = "is not there, or may not be read"
"""Why a file or folder has no identity."""


@dataclass(frozen=True, eq=False)
class Signatures:
    """The signatures of N videos, read from their files when they are asked for."""

    keys: tuple[int, ...]
    """[N]: `identity_of` each video or part, equal for equal content; 0 where it cannot be read."""
    broken: Mapping[int, str]
    """Why there is none, by row: those of the keys that are 0."""
    computed: int
    """How many were computed now; the others were in the cache."""
    core_seconds: float
    """Processor time of that, over all processes."""
    _videos: Videos
    _files: ArrayFiles

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> Signature:
        """The signature of a video that could be read; where its file was removed or is damaged, it is computed anew.

        Raises:
            KeyError: the video could not be read.
            RunError: it can be read no longer, and has to be now.
        """
        if not self.keys[row]:
            raise KeyError(row)
        found = _signature_in(self.path(row))
        return self._computed_anew(row) if found is None else found

    def _computed_anew(self, row: int) -> Signature:
        arrays = _arrays(self._videos[row])
        if isinstance(arrays, str):
            raise RunError(f"{self._videos[row].path}: could be read before, and cannot any longer ({arrays}).")
        self._files.write(self.keys[row], arrays)
        return Signature.from_arrays(arrays)

    def path(self, row: int) -> Path:
        """The file of the signature of a video that could be read, for `read_signature` in another process."""
        return self._files.path(self.keys[row])

    @property
    def readable(self) -> NDArray[np.bool_]:
        """[N]: which videos could be read."""
        return np.array([key != 0 for key in self.keys], np.bool_)

    def equal_rows(self) -> list[tuple[int, int]]:
        """Of videos of equal content the first with each of the others."""
        first = _first_rows(self.keys)
        return [(first[key], row) for row, key in enumerate(self.keys) if key and first[key] != row]

    @property
    def rows(self) -> list[int]:
        """The videos that have one, of equal content the first alone, ascending."""
        return list(_first_rows(self.keys).values())


def read_signature(path: Path) -> Signature:
    """The signature in a file that `Signatures.path` names.

    Raises:
        RunError: the file was removed or damaged since it was written.
    """
    if (found := _signature_in(path)) is None:
        raise RunError(f"{path}: was removed or damaged while it was needed; run the command again.")
    return found


def _signature_in(path: Path) -> Signature | None:
    """The signature in a file; None where there is none, or it is damaged."""
    arrays = read_arrays(path)
    try:
        return None if arrays is None else Signature.from_arrays(arrays)
    except (KeyError, ValueError):  # arrays are missing, or do not fit together
        notice(f"{path}: is damaged, and computed anew")
        return None


def _first_rows(keys: Sequence[int]) -> dict[int, int]:
    """Each key with the first row that has it, in the order of rows, without 0."""
    first: dict[int, int] = {}
    for row, key in enumerate(keys):
        if key:
            first.setdefault(key, row)
    return first


def compute_signatures(videos: Videos, *, workers: int | None = None) -> Signatures:
    """The signatures of all videos; those in the cache are not computed again, and equal content once.

    A call that was interrupted goes on where it was: each is kept when it is done. Videos that cannot be read, and stored
    flow, are `broken`, with the reason.

    Args:
        videos: A `Manifest` or a `VideoList`.
        workers: Processes that decode; None: one per core, 0: this one.

    Raises:
        RunError: a process died; or MAREY_CACHE_LIMIT is no size.
        OSError: neither the cache nor the temporary folder has room.
    """
    begun = processor_seconds()
    entries = [videos[row] for row in range(len(videos))]
    whole = contents_of([written(entry.path) for entry in entries]).tolist()
    keys = [identity_in(entry, content) if content else 0 for entry, content in zip(entries, whole, strict=True)]
    files = ArrayFiles(signatures_folder(_FORM), "signatures")
    first = _first_rows(keys)
    kept = files.hold(first)
    missing = {key: entries[row] for key, row in first.items() if key not in kept}
    failed = {}
    title, unit = "Looking at pictures", "videos"
    found = each_job(_arrays, [*missing.values()], workers=workers, title=title, unit=unit, chunk=_AT_ONCE)
    for key, arrays in zip(missing, found, strict=True):
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
    """The signature of a video as arrays, or why there is none."""
    try:
        with one_thread(), open_source(entry.path) as source:
            return signature_of(source, *frame_range(entry, source), stamp_of(entry.file)).as_arrays()
    except (DecodeError, OSError) as error:
        return error.reason if isinstance(error, DecodeError) else str(error)
