"""`cut_long_videos`: long videos in folders of classes, divided into short segments.

A classifier sees a few clips of a video, and would miss most of a long one. The videos of lists are not divided: a list
can name segments with `start` and `end`.
"""

import os
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted, lasting, verb
from marey.data.files.video_info import video_info_cache
from marey.data.lists.manifest import Manifest, video_paths
from marey.data.lists.videos import first_of
from marey.video.reading.containers import stated_seconds

LONGEST = 20.0
"""Seconds; longer videos are divided."""
SEGMENT = 10.0
"""About how many seconds a segment has: as many as videos of Kinetics. Eight clips that are spread over 10 s are
1.25 s apart."""
_CHECKED = 1_000
"""Files are checked for their length this many at a time, the largest first, until none of them is long."""
_THREADS = 8


def cut_long_videos(manifest: Manifest) -> tuple[Manifest, str]:
    """Divide the videos of a folder of classes that are longer than `LONGEST` into equal segments of about `SEGMENT` s.

    The segments of a video cover all of it, and stay in one fold (`marey.data.splits.folds`). The header of a file states
    its length; if it states a long one or none, all packets are read. The thousand largest files of a folder are checked,
    then the next thousand, and so on until none of a thousand is long. Folders of frames are not divided.

    Returns:
        The list with the segments of a file instead of the file, and a sentence on the long videos and on files that were
        not checked, "" if there are neither. A list that was not read from a folder is returned as it is.
    """
    if not _is_class_folder(manifest):
        return manifest, ""
    seconds, remark = _lengths(manifest)
    long = np.flatnonzero(seconds > LONGEST)
    if not len(long):
        return manifest, remark and f"{manifest.source}: no video is longer than {LONGEST:g} s{remark}."
    counts = np.where(seconds > LONGEST, np.maximum(np.round(seconds / SEGMENT), 2), 1).astype(np.int64)
    are, segments = verb(len(long), "is", "are"), counted(int(counts[long].sum()), "segment")
    note = (
        f"{manifest.source}: {counted(len(long), 'video')} {are} longer than {LONGEST:g} s, "
        f"{lasting(float(seconds[long].sum()))} in all, and {are} cut into {segments} of about "
        f"{SEGMENT:g} s{remark}: {first_of(manifest.ids[long].tolist(), 3)}. "
        "Each segment is assumed to show the class of its folder; a list with start and end can be more exact."
    )
    cut = manifest[np.repeat(np.arange(len(manifest)), counts)]
    return replace(cut, times=_segment_times(seconds, counts)), note


def not_cut_note(tested: Mapping[str, Manifest]) -> str:
    """A note on long videos in the folders of classes that are only tested on: they are not divided. "" if there are none.

    `tested` has the videos of each split, by its name.
    """
    long = {
        name: videos.ids[_lengths(videos)[0] > LONGEST].tolist()
        for name, videos in tested.items()
        if _is_class_folder(videos)
    }
    found = {name: ids for name, ids in long.items() if ids}
    if not found:
        return ""
    count = sum(map(len, found.values()))
    named = first_of([name for ids in found.values() for name in ids], 3)
    return (
        f"{' and '.join(found)}: {counted(count, 'video')} {verb(count, 'is', 'are')} longer than {LONGEST:g} s, and only "
        f"videos that are trained on are cut: {verb(count, 'it', 'each')} gets a single prediction, so that the accuracy "
        f"there may be too low ({named}). A list with start and end names the segments."
    )


def _is_class_folder(manifest: Manifest) -> bool:
    """Whether a list was read from a folder of classes, so that its entries are entire videos."""
    read = bool(manifest.source) and Path(manifest.source).is_dir()
    return read and manifest.times is None and manifest.frame_ranges is None


def _lengths(manifest: Manifest) -> tuple[NDArray[np.float64], str]:
    """The length of each video in seconds [N], 0 if it cannot be read or was not checked; and a remark on files that were
    not checked, "" if all were.
    """
    files, checked = _largest_first(manifest), 0
    seconds = np.zeros(len(manifest))
    for begin in range(0, len(files), _CHECKED):
        rows = files[begin : begin + _CHECKED]
        seconds[rows] = _header_lengths(manifest[rows])
        checked += len(rows)
        if not (seconds[rows] > LONGEST).any():
            break
    remark = "" if checked == len(files) else f" (only the {checked:,} largest of {len(files):,} files were checked)"
    return seconds, remark


def _largest_first(manifest: Manifest) -> NDArray[np.int64]:
    """The rows whose path is a file that is not empty, the largest first; folders of frames are left out."""
    sizes = np.array([_file_bytes(path) for path in video_paths(manifest)])
    rows = np.argsort(-sizes, kind="stable")
    return rows[sizes[rows] > 0]


def _file_bytes(path: str) -> int:
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for each of a million files takes longer than asking for their sizes
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _header_lengths(videos: Manifest) -> NDArray[np.float64]:
    """The length of each video in seconds [N], by its header. If that states a long one or none, all packets are read. 0:
    the video cannot be read.
    """
    paths = video_paths(videos)
    with ThreadPoolExecutor(_THREADS) as threads:
        stated = list(threads.map(stated_seconds, paths))
    found = np.array([LONGEST + 1 if one is None else one for one in stated], np.float64)
    long = np.flatnonzero(found > LONGEST)
    # In this process: the files are few, and other processes would take longer to start.
    infos = video_info_cache(videos.root).inspect([paths[row] for row in long.tolist()], check="open", workers=0)
    found[long] = [info.seconds for info in infos]
    return found


def _segment_times(seconds: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Start and end of each segment [segments, 2], for videos with these lengths [N] and numbers of segments [N].

    Both are NaN for a video that is not divided. The last segment has no end, so that rounding loses no frame.
    """
    index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    length, count = np.repeat(seconds / counts, counts), np.repeat(counts, counts)
    times: NDArray[np.float64] = np.stack([index * length, (index + 1) * length], axis=1).round(3)
    times[index == count - 1, 1] = np.nan
    times[count == 1] = np.nan
    return times
