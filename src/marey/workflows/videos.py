"""The videos that a command line names, as a list."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from marey.base.errors import DataError
from marey.data.formats import read_manifest
from marey.data.manifest import VIDEO_SUFFIXES, Manifest
from marey.video.frames import holds_images

Part = tuple[str, float, float]
"""A path, and from when to when in seconds; NaN: from the beginning, to the end."""
_WHOLE = (float("nan"), float("nan"))


def videos_of(words: Iterable[Path], *, root: Path | None = None) -> Manifest:
    """Files, folders of frames, folders that are searched, and lists, in order, each video once; labels are of no account.

    A list is any that `read_manifest` reads, or a plain one with a path on each line; `root` is the folder of its
    relative paths, else its own.

    Raises:
        DataError: nothing is there, or a folder or list holds no video.
    """
    parts = list(dict.fromkeys(_keyed(part) for word in words for part in _parts(word, root)))
    times = np.array([[np.nan if t is None else t for t in part[1:]] for part in parts], np.float64)
    return Manifest(
        ids=np.array([path for path, *_ in parts]),
        labels=np.zeros(len(parts), np.int64),
        class_names=("",),
        root=Path(),
        times=None if np.isnan(times).all() else times,
    )


def _keyed(part: Part) -> tuple[str, float | None, float | None]:
    """With None for NaN, which equals nothing."""
    path, start, end = part
    return path, None if np.isnan(start) else start, None if np.isnan(end) else end


def _parts(word: Path, root: Path | None) -> Iterator[Part]:
    if word.is_dir() and holds_images(word):
        yield str(word), *_WHOLE
    elif word.is_dir():
        inside = sorted(p for p in word.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))
        if not inside:
            raise DataError(f"{word}: no video files in this folder ({', '.join(sorted(VIDEO_SUFFIXES))}).")
        yield from ((str(path), *_WHOLE) for path in inside)
    elif not word.exists():
        raise DataError(f"{word}: no such file.")
    elif word.suffix.lower() in (".csv", ".txt", ".lst"):
        yield from _listed(word, root)
    else:
        yield str(word), *_WHOLE


def _listed(file: Path, root: Path | None) -> Iterator[Part]:
    folder = root or file.parent
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{file}: cannot be read as a list of videos ({error}).") from None
    first = next((line for line in lines if line), None)
    if first is None:
        raise DataError(f"{file}: names no videos.")
    if Path(first).suffix.lower() in VIDEO_SUFFIXES or (folder / first).exists():
        yield from ((str(folder / line), *_WHOLE) for line in lines if line)
        return
    manifest = read_manifest(file, root=root)
    for sample in manifest:
        start, end = (np.nan if time is None else time for time in (sample.start, sample.end))
        yield str(sample.path), start, end
