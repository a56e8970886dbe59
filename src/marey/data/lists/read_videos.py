"""`read_videos` and `as_videos`: files, folders, lists and addresses as one list of videos without labels."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from marey.base.absent import absent_message, why_not_a_file_address
from marey.base.address import Address, Location, as_listed, is_address, location_of, redacted_text
from marey.base.errors import DataError
from marey.base.notebook import keep_beginning
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.folder_scan import scan_folder
from marey.data.lists.manifest import Manifest, joined_videos
from marey.data.lists.public_lists import official_files
from marey.data.lists.read_manifest import (
    LIST_SUFFIXES,
    UNREAD_LIST_SUFFIXES,
    check_root,
    list_on_server_error,
    read_rows,
)
from marey.data.lists.resolve_paths import join_folder
from marey.data.lists.rows import Rows
from marey.data.lists.videos import VideoEntry, VideoList
from marey.video.reading.remote import check_readable
from marey.video.reading.suffixes import VIDEO_SUFFIXES
from marey.video.source import FrameSource

VideosLike: TypeAlias = VideoList | Manifest | VideoEntry | str | Path | Iterable[str | Path | VideoEntry]
"""What functions accept as videos: a list with or without labels; an entry of one; a path (of a video file, a folder of
frames, a folder of videos, or a list); or several paths and entries."""

_LISTS = (*LIST_SUFFIXES, *UNREAD_LIST_SUFFIXES)


def read_videos(paths: str | Path | Iterable[str | Path], *, root: str | Path | None = None) -> VideoList:
    """All videos that some paths stand for, in order and each once, without labels.

    A path is that of a video file, a folder of frames, a folder that is searched for videos, or a list; or it is the address
    of a video on a server. Lists may have all formats of `read_manifest`, and need no labels: a path on each line, or a CSV
    with the header `path[,start,end]` or `path[,start_frame,end_frame]`, is enough.

    Args:
        paths: One path or several.
        root: The folder of the relative paths of lists, or the address below which they are; None: each list's own folder.

    Raises:
        DataError: a path does not exist, a folder or list has no video, or an address is that of a list or a folder.
    """
    return _each_once([videos_at(path, root) for path in as_paths(paths)])


def as_paths(paths: str | Path | Iterable[str | Path]) -> list[Location]:
    """One path or several, as a list of paths and addresses.

    Raises:
        DataError: a path is empty.
    """
    several = [paths] if isinstance(paths, str | Path) else list(paths)
    if "" in several:  # which `Path` would take for the working folder
        raise DataError("a path is empty: give a file, a folder or a list.")
    return [location_of(path) for path in several]


def as_videos(videos: VideosLike, *, root: str | Path | None = None) -> VideoList:
    """Anything that `VideosLike` allows, as a list without labels; `root` is as for `read_videos`.

    If several paths are given, those of single videos are not checked: a missing one fails when it is read, and one that is
    given twice is in the list twice.

    Raises:
        DataError: a single path does not exist; a folder or list has no video; `root` would have no effect; or `videos` is
            something else.
    """
    match videos:
        case VideoList() | Manifest() | VideoEntry():
            if root is not None:
                raise DataError(f"root={root}: is for the relative paths of a list in a file: leave it out.")
            if isinstance(videos, VideoEntry):
                return _list_of_entry(videos)
            return videos if isinstance(videos, VideoList) else videos.videos
        case str() | Path():
            return read_videos(videos, root=root)
        case Iterable() if not isinstance(videos, bytes | bytearray | memoryview | np.ndarray | FrameSource):
            return _of_several(list(videos), root)
        case _:
            raise _no_videos(videos)


def _of_several(several: Sequence[str | Path | VideoEntry], root: str | Path | None) -> VideoList:
    """The videos that several paths and entries stand for, in order."""
    if root is not None:
        check_root(root, *[one for one in several if isinstance(one, str | Path)])
    lists: list[VideoList] = []
    single: list[str | Path] = []
    for one in several:
        if isinstance(one, str | Path) and not _holds_videos(one):
            single.append(one)
            continue
        lists.append(VideoList.from_paths(single))
        single = []
        if isinstance(one, VideoEntry):
            lists.append(_list_of_entry(one))
        elif isinstance(one, str | Path):
            lists.append(videos_at(location_of(one), root))
        else:
            raise _no_videos(one)
    lists.append(VideoList.from_paths(single))
    return lists[0] if len(lists) == 1 else joined_videos([some for some in lists if len(some)])


def _holds_videos(path: str | Path) -> bool:
    """Whether a path is that of a list or a folder of videos, and not of one video."""
    name = str(path)
    if not name:
        raise DataError("a path is empty: give a file, a folder or a list.")
    if is_address(name):  # without a video's suffix, `videos_at` takes it as one video or refuses it
        return Address(name).suffix.lower() not in VIDEO_SUFFIXES
    suffix = name[name.rfind(".") :].lower()
    if suffix in VIDEO_SUFFIXES:  # not looked up on the disk: there may be a million
        return False
    if os.path.isdir(name):  # noqa: PTH112 - a Path for each would take most of the time
        return bool(official_files(Path(name))) or not scan_folder(name).is_frames
    return suffix in _LISTS or ("*" in name and bool(official_files(Path(name))))


def _list_of_entry(video: VideoEntry) -> VideoList:
    """A list with one entry."""
    timed, framed = (video.start, video.end), (video.start_frame, video.end_frame)
    return VideoList(
        np.array([as_listed(video.path)]),
        times=None if timed == (None, None) else np.array([[np.nan if t is None else t for t in timed]], np.float64),
        frame_ranges=None
        if framed == (None, None)
        else np.array([[framed[0] or 0, -1 if framed[1] is None else framed[1]]], np.int64),
    )


def _no_videos(given: object) -> DataError:
    """The error for a value that is nothing of what `VideosLike` allows."""
    if isinstance(given, FrameSource):
        return DataError(f"an open video is not accepted: give its path: {given.name!r}.")
    what = (
        "its content"
        if isinstance(given, bytes | bytearray | memoryview | np.ndarray)
        else keep_beginning(redacted_text(repr(given)), 60)
    )
    return DataError(
        "expected the path of a video, of a folder or of a list, several of them, or a list from marey.read_videos; got "
        f"{what} (type {type(given).__name__})."
    )


def videos_at(path: Location, root: str | Path | None) -> VideoList:
    """The videos that one path or address stands for; their paths are absolute, or relative to the working folder.

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
        reason = "a device or a pipe, and only files and folders are read" if path.exists() else "no such file"
        raise DataError(absent_message(path, reason))
    if not _is_list(path):
        return VideoList.from_paths([path])
    return _listed(path, root)


def _at_address(address: Address) -> VideoList:
    """The video at an address.

    Raises:
        DataError: the address is that of a list, a folder, a page or a stream, or of a kind that cannot be read.
    """
    if reason := why_not_a_file_address(address.url):
        raise DataError(f"{address}: {reason}.")
    if not address.name:
        raise DataError(
            f"{address}: folders on servers are not searched: write the addresses in it into a list, one a line, and give "
            "that."
        )
    if address.suffix.lower() in _LISTS:
        raise list_on_server_error(address)
    check_readable(address)
    return VideoList.from_paths(address)


def _in_folder(folder: Path) -> list[str]:
    """The videos that training would find in a folder; for a folder of frames, the folder itself."""
    scan = scan_folder(folder)
    if scan.is_frames:
        return [str(folder)]
    scan.report_others()
    if not scan.videos:
        raise DataError(f"{folder}: no video files in this folder, and no folders of frames.{scan.parquet_hint}")
    before = "" if folder == Path() else f"{str(folder).rstrip('/')}/"
    return [before + path for path in scan.videos]


def _listed(file: Path, root: str | Path | None) -> VideoList:
    """The videos of a list; its labels are not looked at.

    Raises:
        DataError: the file cannot be read as a list, or a row has no path.
    """
    rows, folder = read_rows(file, root=root, labelled=False)
    replace(rows, labels=None).refuse_blank()
    return listed_videos(rows, folder)


def listed_videos(rows: Rows, folder: Path) -> VideoList:
    """The videos of the rows of a list whose paths are relative to `folder`; the result has `folder` in its paths."""
    return VideoList(
        np.array(join_folder(folder, rows.paths)),
        times=None if rows.times is None else np.array(rows.times, np.float64),
        source=rows.source,
        frame_ranges=None if rows.frame_ranges is None else np.array(rows.frame_ranges, np.int64),
    )


def is_listed(path: Location) -> bool:
    """Whether a path is that of a list in a single file; the split files of UCF101 and HMDB51 are not."""
    return isinstance(path, Path) and _is_list(path) and path.is_file() and not official_files(path)


def _is_list(path: Path) -> bool:
    return path.suffix.lower() in _LISTS and not path.is_dir()


def _each_once(lists: list[VideoList]) -> VideoList:
    """All videos of the lists, each segment of a file once."""
    videos = joined_videos(lists)
    ids, times, ranges = videos.ids, videos.times, videos.frame_ranges
    # NaN is replaced, since it is not equal to itself; no time is negative.
    segments = [
        *(() if times is None else np.nan_to_num(times, nan=-1).T.tolist()),
        *(() if ranges is None else ranges.T.tolist()),
    ]
    keys = list(zip(ids.tolist(), *segments, strict=True)) if segments else ids.tolist()
    if len(set(keys)) == len(keys):
        return videos
    report_repeated(videos.source, len(keys) - len(set(keys)))
    first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
    return videos[np.sort(np.fromiter(first.values(), np.int64, len(first)))]


def report_repeated(source: str, count: int) -> None:
    """Give notice of how many repeated videos are left out; `source` is the list, "" for several."""
    notice(f"{source or 'the videos'}: {counted(count, 'video')} named more than once: each is taken once.")
