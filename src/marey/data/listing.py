"""The videos that a user names, in whatever way, as one list without labels."""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from marey.base.absent import as_typed, why_absent
from marey.base.errors import DataError
from marey.data.formats import is_unlabelled_table, read_manifest, read_unlabelled_table
from marey.data.manifest import Manifest
from marey.data.text import read_text
from marey.data.videos import VIDEO_SUFFIXES, VideoList
from marey.video.frames import holds_images

VideosLike: TypeAlias = VideoList | Manifest | str | Path | Iterable[str | Path]
"""Several videos, as the functions that take them accept them: a list of them, with labels or without; one path, which
`read_videos` reads (a video file, a folder, or a list); or the paths of single video files and folders of frames."""

_LISTS = (".csv", ".txt", ".lst")


def read_videos(paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None) -> VideoList:
    """Files, folders of frames, folders that are searched, and lists, in order, each video once; labels do not matter.

    A list is any that `read_manifest` reads, a plain one with a path on each line, or a CSV with the header
    `path[,start,end]`; `root` is the folder of its relative paths, else its own.

    Raises:
        DataError: nothing is there, or a folder or list holds no video.
    """
    several = [paths] if isinstance(paths, str | Path) else paths
    return _each_once([_videos(Path(path), None if root is None else Path(root)) for path in several])


def refuse_idle_root(paths: Iterable[str | Path], root: str | Path | None) -> None:
    """Refuse a folder for relative paths where none of `paths` is a list that has any.

    Raises:
        DataError: `root` can have no effect.
    """
    if root is not None and not any(_is_list(Path(path)) for path in paths):
        raise DataError(f"--root {root}: is for the relative paths of a list, and none is named: leave it out.")


def as_videos(videos: VideosLike) -> VideoList:
    """A list without labels of all that `VideosLike` names.

    Raises:
        DataError: nothing is at a single path, or no video is in it.
    """
    match videos:
        case VideoList():
            return videos
        case Manifest():
            return videos.videos
        case str() | Path():
            return read_videos(videos)
        case _:
            return VideoList.from_paths(videos)


def _videos(path: Path, root: Path | None) -> VideoList:
    """The videos of one file, folder or list, by paths that need no root."""
    if path.is_dir() and not holds_images(path):
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith("."))
        if not inside:
            raise DataError(f"{path}: no video files in this folder ({', '.join(sorted(VIDEO_SUFFIXES))}).")
        return VideoList.from_paths(inside)
    if not (path.is_file() or path.is_dir()):
        otherwise = "a device or a pipe, and only files and folders are read" if path.exists() else "no such file"
        raise DataError(f"{as_typed(path)}: {why_absent(path, otherwise)}.")
    if not _is_list(path):
        return VideoList.from_paths([path])
    listed = _listed(path, root or path.parent)
    paths = [str(listed.root / name) for name in listed.ids.tolist()]
    return VideoList(np.array(paths), times=listed.times)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in _LISTS and not path.is_dir()


def _listed(file: Path, root: Path) -> VideoList:
    text = read_text(file)
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if not lines:
        raise DataError(f"{file}: names no videos.")
    if Path(lines[0]).suffix.lower() in VIDEO_SUFFIXES or (root / lines[0]).exists():
        return VideoList(np.array(lines), root, source=str(file))
    if is_unlabelled_table(text):
        return read_unlabelled_table(file, text, root)
    return read_manifest(file, root=root).videos


def _each_once(lists: list[VideoList]) -> VideoList:
    """All videos of the lists; of equal ones, the same part of the same file, the first."""
    if not lists:
        return VideoList.from_paths([])
    ids = np.concatenate([part.ids for part in lists])
    times = np.concatenate([np.full((len(p), 2), np.nan) if p.times is None else p.times for p in lists])
    whole = bool(np.isnan(times).all())
    # NaN equals nothing, itself neither; no time is negative.
    keys = ids.tolist() if whole else list(zip(ids.tolist(), *np.nan_to_num(times, nan=-1).T.tolist(), strict=True))
    if len(set(keys)) == len(keys):
        return VideoList(ids, times=None if whole else times)
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    rows = np.sort(np.fromiter(first.values(), np.int64, len(first)))
    return VideoList(ids[rows], times=None if whole else times[rows])
