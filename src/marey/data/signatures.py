"""Signatures of the videos of a list: computed once, by several processes, and kept in the cache."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marey.base.array_files import ArrayFiles, read_arrays
from marey.base.errors import DecodeError, RunError
from marey.base.jobs import each_job
from marey.base.kept import signatures_folder
from marey.base.processes import processor_seconds
from marey.data.identity import contents_of, identity_in
from marey.data.videos import VideoEntry, Videos, frame_range
from marey.video.open import open_source
from marey.video.opencv import one_thread
from marey.video.signature import Signature, signature_of
from marey.video.stamp import stamp_of

_FORM = "2"
"""Of signatures and of how they are computed: raised whenever either changes, so that older files are not read."""


@dataclass(frozen=True, eq=False)
class Signatures:
    """The signatures of N videos, read from their files when they are asked for."""

    keys: tuple[int, ...]
    """[N]: by which each is known, equal for equal content; 0 where the video cannot be read."""
    broken: Mapping[int, str]
    """Why there is none, by row."""
    computed: int
    """How many were computed now; the others were kept."""
    core_seconds: float
    """Processor time of that, over all processes."""
    _files: ArrayFiles

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: int) -> Signature:
        """The signature of a video that could be read.

        Raises:
            KeyError: it could not.
            RunError: its file in the cache was removed or damaged meanwhile.
        """
        if not self.keys[row]:
            raise KeyError(row)
        return read_signature(self.path(row))

    def path(self, row: int) -> Path:
        """The file of the signature of a video that could be read."""
        return self._files.path(self.keys[row])

    @property
    def readable(self) -> NDArray[np.bool_]:
        """[N]: which videos could be read."""
        return np.array([key != 0 for key in self.keys], np.bool_)

    def equal_rows(self) -> list[tuple[int, int]]:
        """Of videos of equal content the first with each of the others."""
        first: dict[int, int] = {}
        firsts = [first.setdefault(key, row) for row, key in enumerate(self.keys)]
        return [(of, row) for row, (key, of) in enumerate(zip(self.keys, firsts, strict=True)) if key and of != row]

    @property
    def rows(self) -> list[int]:
        """The videos that have one, of equal content the first alone."""
        first: dict[int, int] = {}
        for row, key in enumerate(self.keys):
            first.setdefault(key, row)
        return [row for key, row in first.items() if key]

    def each(self) -> Iterator[tuple[int, Signature]]:
        """`rows` with their signatures."""
        return ((row, self[row]) for row in self.rows)


def read_signature(path: Path) -> Signature:
    """The signature in a file of the cache.

    Raises:
        RunError: the file was removed or damaged meanwhile.
    """
    arrays = read_arrays(path)
    if arrays is None:
        raise RunError(f"{path}: was removed while it was needed; run the command again.")
    return Signature.from_arrays(arrays)


def compute_signatures(videos: Videos, *, workers: int | None = None) -> Signatures:
    """The signatures of all videos; those in the cache are not computed again.

    A call that was interrupted goes on where it was: each is kept when it is done.

    Args:
        videos: A `Manifest` or a `VideoList`.
        workers: Processes that decode; None: one per core, 0: this one.

    Raises:
        RunError: a process died; or MAREY_CACHE_LIMIT is no size.
    """
    begun = processor_seconds()
    entries = [videos[row] for row in range(len(videos))]
    whole = contents_of([str(entry.path) for entry in entries]).tolist()
    keys = [identity_in(entry, content) if content else 0 for entry, content in zip(entries, whole, strict=True)]
    files = ArrayFiles(signatures_folder(_FORM), "signatures")
    kept = files.hold(dict.fromkeys(key for key in keys if key))
    missing = list({key: row for row, key in reversed(list(enumerate(keys))) if key and key not in kept}.items())[::-1]
    found = each_job(
        _arrays, [entries[row] for _, row in missing], workers=workers, title="Looking at pictures", unit="videos",
    )  # fmt: skip
    failed: dict[int, str] = {0: "cannot be read"}
    for (key, _), arrays in zip(missing, found, strict=True):
        if isinstance(arrays, str):
            failed[key] = arrays
        else:
            files.write(key, arrays)
    if missing:
        files.tidy()
    return Signatures(
        keys=tuple(0 if key in failed else key for key in keys),
        broken={row: failed[key] for row, key in enumerate(keys) if key in failed},
        computed=len(missing) - (len(failed) - 1),
        core_seconds=processor_seconds() - begun,
        _files=files,
    )


def _arrays(entry: VideoEntry) -> dict[str, NDArray[Any]] | str:
    """The signature of a video as arrays, or why there is none."""
    try:
        with one_thread(), open_source(entry.path) as source:
            return signature_of(source, *frame_range(entry, source), stamp_of(entry.path)).as_arrays()
    except (DecodeError, OSError) as error:
        return error.reason if isinstance(error, DecodeError) else str(error)
