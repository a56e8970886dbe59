"""The videos that a user names, in whatever way, as one list without labels."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from marey.base.absent import nothing_at, why_no_file
from marey.base.address import Address, Place, is_address, place_of, shown_in, written
from marey.base.errors import DataError
from marey.base.notebook import beginning
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.formats import LIST_SUFFIXES, OTHER_SUFFIXES, check_root, list_at, read_rows
from marey.data.lists.manifest import Manifest
from marey.data.lists.public_lists import official_files
from marey.data.lists.rows import WHOLE, Rows, frame_ranges_of, in_folder, times_of
from marey.data.lists.scan import scan_folder
from marey.data.lists.videos import VideoEntry, VideoList
from marey.video.reading.remote import check_readable
from marey.video.reading.suffixes import VIDEO_SUFFIXES
from marey.video.source import FrameSource

VideosLike: TypeAlias = VideoList | Manifest | VideoEntry | str | Path | Iterable[str | Path | VideoEntry]
"""Videos, as the functions that take them accept them: a list of them, with labels or without; an entry of one; a path (a
video file, a folder of its frames, a folder of videos, or a list); or several paths and entries."""

_LISTS = (*LIST_SUFFIXES, *OTHER_SUFFIXES)


def read_videos(paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None) -> VideoList:
    """Files, folders of frames, folders that are searched, lists, and addresses of files on servers, in order, each video
    once; labels do not matter.

    A list is any that `read_manifest` reads, with labels or without: a path on each line, or a CSV with the header
    `path[,start,end]` or `path[,start_frame,end_frame]`; `root` is the folder of its relative paths, or the address below
    which they lie, else its own folder.

    Raises:
        DataError: nothing is there, an address is that of a list or a folder, or a folder or list holds no video.
    """
    return _each_once([videos_at(path, root) for path in paths_given(paths)])


def paths_given(paths: str | Path | Iterable[str | Path]) -> list[Place]:
    """One path or several as several.

    Raises:
        DataError: one is empty.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if "" in several:  # which `Path` takes for the working folder
        raise DataError("a path is empty: name a file, a folder or a list.")
    return [place_of(path) for path in several]


def as_videos(videos: VideosLike, *, root: str | Path | None = None) -> VideoList:
    """A list without labels of all that `VideosLike` names; `root` is as `read_videos` takes it.

    Of several paths, each video file and folder of frames is taken as it is named: one that is not there is met when it is
    read, and one that is named twice is there twice.

    Raises:
        DataError: nothing is at a single path, or no video is in it, in a folder or in a list; `root` can have no effect; or
            `videos` is something else.
    """
    match videos:
        case VideoList() | Manifest() | VideoEntry():
            if root is not None:
                raise DataError(f"root={root}: is for the relative paths of a list that is read: leave it out.")
            if isinstance(videos, VideoEntry):
                return _of_entry(videos)
            return videos if isinstance(videos, VideoList) else videos.videos
        case str() | Path():
            return read_videos(videos, root=root)
        case Iterable() if not isinstance(videos, bytes | bytearray | memoryview | np.ndarray | FrameSource):
            return _of_several(list(videos), root)
        case _:
            raise _no_videos(videos)


def _of_several(several: Sequence[str | Path | VideoEntry], root: str | Path | None) -> VideoList:
    """The videos of all of them, in order."""
    if root is not None:
        check_root(root, *[one for one in several if isinstance(one, str | Path)])
    parts: list[VideoList] = []
    plain: list[str | Path] = []
    for one in several:
        if isinstance(one, str | Path) and not _holds_videos(one):
            plain.append(one)
            continue
        parts.append(VideoList.from_paths(plain))
        plain = []
        if isinstance(one, VideoEntry):
            parts.append(_of_entry(one))
        elif isinstance(one, str | Path):
            parts.append(videos_at(place_of(one), root))
        else:
            raise _no_videos(one)
    parts.append(VideoList.from_paths(plain))
    return parts[0] if len(parts) == 1 else joined([part for part in parts if len(part)])


def _holds_videos(path: str | Path) -> bool:
    """Whether a path is not that of one video, but of a list or a folder of them."""
    name = str(path)
    if not name:
        raise DataError("a path is empty: name a file, a folder or a list.")
    if is_address(name):  # by whose suffix one knows a video; others are looked at, and are one, too, or refused
        return Address(name).suffix.lower() not in VIDEO_SUFFIXES
    suffix = name[name.rfind(".") :].lower()
    if suffix in VIDEO_SUFFIXES:  # of a million paths, none is looked at
        return False
    if os.path.isdir(name):  # noqa: PTH112 - a Path for each would take most of the time
        return bool(official_files(Path(name))) or not scan_folder(name).is_frames
    return suffix in _LISTS or ("*" in name and bool(official_files(Path(name))))


def _of_entry(video: VideoEntry) -> VideoList:
    """A list of one entry of another list."""
    timed, framed = (video.start, video.end), (video.start_frame, video.end_frame)
    return VideoList(
        np.array([written(video.path)]),
        times=None if timed == (None, None) else np.array([[np.nan if t is None else t for t in timed]], np.float64),
        frame_ranges=None
        if framed == (None, None)
        else np.array([[framed[0] or 0, -1 if framed[1] is None else framed[1]]], np.int64),
    )


def _no_videos(given: object) -> DataError:
    """The error that says what was given in place of videos."""
    if isinstance(given, FrameSource):
        return DataError(f"an open video is not taken: give its path: {given.name!r}.")
    what = (
        "its content"
        if isinstance(given, bytes | bytearray | memoryview | np.ndarray)
        else beginning(shown_in(repr(given)), 60)
    )
    return DataError(
        "expected the path of a video, of a folder or of a list, several of them, or a list of marey.read_videos; got "
        f"{what} (type {type(given).__name__})."
    )


def videos_at(path: Place, root: str | Path | None) -> VideoList:
    """The videos of one file, folder, list or address, by paths that need no root.

    Raises:
        DataError: as `read_videos`.
    """
    if isinstance(path, Address):
        return _at_address(path)
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


def _at_address(address: Address) -> VideoList:
    """The video at an address.

    Raises:
        DataError: by its name it is a list or a folder; it is a page or a stream; or nothing here reads such addresses.
    """
    if reason := why_no_file(address.url):
        raise DataError(f"{address}: {reason}.")
    if not address.name:
        raise DataError(
            f"{address}: folders of servers are not searched: write the addresses in it into a list, one a line, and name "
            "that."
        )
    if address.suffix.lower() in _LISTS:
        raise list_at(address)
    check_readable(address)
    return VideoList.from_paths(address)


def _in_folder(folder: Path) -> list[str]:
    """The videos that training would find in a folder; or the folder itself, if it is one of frames."""
    scan = scan_folder(folder)
    if scan.is_frames:
        return [str(folder)]
    scan.tell_of_others()
    if not scan.videos:
        raise DataError(f"{folder}: no video files in this folder, and no folders of frames.{scan.tables}")
    before = "" if folder == Path() else f"{str(folder).rstrip('/')}/"
    return [before + path for path in scan.videos]


def _listed(file: Path, root: str | Path | None) -> VideoList:
    """The videos of a list, whatever its labels.

    Raises:
        DataError: it cannot be read as a list, or a row has no path.
    """
    rows, folder = read_rows(file, root=root, labelled=False)
    replace(rows, labels=None).refuse_blank()
    return listed_videos(rows, folder)


def listed_videos(rows: Rows, folder: Path) -> VideoList:
    """The videos of the rows of a list whose paths are relative to a folder, by paths that need no root."""
    return VideoList(
        np.array(in_folder(folder, rows.paths)),
        times=None if rows.times is None else np.array(rows.times, np.float64),
        source=rows.source,
        frame_ranges=None if rows.frame_ranges is None else np.array(rows.frame_ranges, np.int64),
    )


def is_listed(path: Place) -> bool:
    """Whether a path is that of a file that lists videos, other than those of official splits."""
    return isinstance(path, Path) and _is_list(path) and path.is_file() and not official_files(path)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in _LISTS and not path.is_dir()


def joined(lists: list[VideoList]) -> VideoList:
    """All videos of the lists, in order."""
    if not lists:
        return VideoList.from_paths([])
    ids = np.concatenate([part.ids for part in lists])
    times = np.concatenate([times_of(part) for part in lists])
    ranges = np.concatenate([frame_ranges_of(part) for part in lists])
    timed, framed = not np.isnan(times).all(), bool((ranges != WHOLE).any())
    source = lists[0].source if len(lists) == 1 else ""
    return VideoList(ids, times=times if timed else None, source=source, frame_ranges=ranges if framed else None)


def _each_once(lists: list[VideoList]) -> VideoList:
    """All videos of the lists; of equal ones, the same part of the same file, the first."""
    whole = joined(lists)
    ids, times, ranges, source = whole.ids, whole.times, whole.frame_ranges, whole.source
    # NaN equals nothing, itself neither; no time is negative.
    parts = [
        *(() if times is None else np.nan_to_num(times, nan=-1).T.tolist()),
        *(() if ranges is None else ranges.T.tolist()),
    ]
    keys = list(zip(ids.tolist(), *parts, strict=True)) if parts else ids.tolist()
    if len(set(keys)) == len(keys):
        return whole
    tell_of_repeated(source, len(keys) - len(set(keys)))
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    return whole[np.sort(np.fromiter(first.values(), np.int64, len(first)))]


def tell_of_repeated(source: str, count: int) -> None:
    """Say how many videos of a list, or of several where `source` is "", are left out because they are named twice."""
    notice(f"{source or 'the videos'}: {counted(count, 'video')} named more than once: each is taken once.")
