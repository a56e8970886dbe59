"""The videos that a user names, in whatever way, as one list without labels."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from marey.base.absent import nothing_at
from marey.base.errors import DataError
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.formats import LIST_SUFFIXES, OTHER_SUFFIXES, read_rows
from marey.data.manifest import Manifest
from marey.data.public_lists import official_files
from marey.data.rows import WHOLE, frame_ranges_of, times_of
from marey.data.scan import scan_folder
from marey.data.videos import VideoList

VideosLike: TypeAlias = VideoList | Manifest | str | Path | Iterable[str | Path]
"""Several videos, as the functions that take them accept them: a list of them, with labels or without; one path, which
`read_videos` reads (a video file, a folder, or a list); or the paths of single video files and folders of frames."""

_LISTS = (*LIST_SUFFIXES, *OTHER_SUFFIXES)


def read_videos(paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None) -> VideoList:
    """Files, folders of frames, folders that are searched, and lists, in order, each video once; labels do not matter.

    A list is any that `read_manifest` reads, with labels or without: a path on each line, or a CSV with the header
    `path[,start,end]` or `path[,start_frame,end_frame]`; `root` is the folder of its relative paths, else its own.

    Raises:
        DataError: nothing is there, or a folder or list holds no video.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if "" in several:  # which `Path` takes for the working folder
        raise DataError("a path is empty: name a file, a folder or a list.")
    return _each_once([_videos(Path(path), None if root is None else Path(root)) for path in several])


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
    if official_files(path):
        return _listed(path, root)
    if path.is_dir():
        return VideoList.from_paths(_in_folder(path))
    if not path.is_file():
        otherwise = "a device or a pipe, and only files and folders are read" if path.exists() else "no such file"
        raise DataError(nothing_at(path, otherwise))
    if not _is_list(path):
        return VideoList.from_paths([path])
    return _listed(path, root)


def _in_folder(folder: Path) -> list[str]:
    """The videos that training would find in a folder; or the folder itself, if it is one of frames."""
    scan = scan_folder(folder)
    if scan.is_frames:
        return [str(folder)]
    scan.tell_of_others()
    if not scan.videos:
        raise DataError(f"{folder}: no video files in this folder, and no folders of frames.")
    before = "" if folder == Path() else f"{str(folder).rstrip('/')}/"
    return [before + path for path in scan.videos]


def _listed(file: Path, root: Path | None) -> VideoList:
    """The videos of a list, whatever its labels.

    Raises:
        DataError: it cannot be read as a list, or a row has no path.
    """
    rows, folder = read_rows(file, root=root)
    replace(rows, labels=None).refuse_blank()
    return VideoList(
        np.array([str(folder / path) for path in rows.paths]),
        times=None if rows.times is None else np.array(rows.times, np.float64),
        source=rows.source,
        frame_ranges=None if rows.frame_ranges is None else np.array(rows.frame_ranges, np.int64),
    )


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in _LISTS and not path.is_dir()


def _each_once(lists: list[VideoList]) -> VideoList:
    """All videos of the lists; of equal ones, the same part of the same file, the first."""
    if not lists:
        return VideoList.from_paths([])
    ids = np.concatenate([part.ids for part in lists])
    times = np.concatenate([times_of(part) for part in lists])
    ranges = np.concatenate([frame_ranges_of(part) for part in lists])
    timed, framed = not np.isnan(times).all(), bool((ranges != WHOLE).any())
    source = lists[0].source if len(lists) == 1 else ""
    whole = VideoList(ids, times=times if timed else None, source=source, frame_ranges=ranges if framed else None)
    # NaN equals nothing, itself neither; no time is negative.
    parts = [*(np.nan_to_num(times, nan=-1).T.tolist() if timed else ()), *(ranges.T.tolist() if framed else ())]
    keys = list(zip(ids.tolist(), *parts, strict=True)) if parts else ids.tolist()
    if len(set(keys)) == len(keys):
        return whole
    repeated = counted(len(keys) - len(set(keys)), "video")
    notice(f"{source or 'the videos'}: {repeated} named more than once: each is taken once.")
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    return whole[np.sort(np.fromiter(first.values(), np.int64, len(first)))]
