"""Long videos in class folders, cut into clips: a classifier looks at few places of a clip, and would miss most of an hour.

Nothing is cut in a list: it says itself with `start` and `end` what its clips are.
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
from marey.data.files.identity import paths_of
from marey.data.files.probe import probe_cache
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import first_of
from marey.video.reading.length import stated_seconds

LONGEST = 20.0
"""Seconds; a longer video is cut."""
CLIP = 10.0
"""Seconds that clips have, about: as those of Kinetics. Over 10 s, eight places are 1.25 s apart."""
_LOOKED_AT = 1_000
"""Files of a folder that are looked at in any case, the largest; and at a time, as long as some of the last were long."""
_THREADS = 8


def cut_long_videos(manifest: Manifest) -> tuple[Manifest, str]:
    """Cut the videos of a class folder that are longer than `LONGEST` into equal clips of about `CLIP` seconds each, nothing
    left out. The clips of one file are a unit of `marey.data.splits.folds`, so that they are held out together.

    Only the headers of files are read, and of the files whose header says that they are long, or says nothing, all packets.
    Of folders of more than a thousand files the largest thousand are looked at, and then the next, while some are long.
    Folders of frames are not cut.

    Returns the list, with the clips of a file in its place, and what was done in one sentence, "" where there is nothing to
    say. A list that was not read from a folder comes back as it is.
    """
    if not _of_whole_files(manifest):
        return manifest, ""
    seconds, unseen = _long_ones(manifest)
    long = np.flatnonzero(seconds > LONGEST)
    if not len(long):
        return manifest, unseen and f"{manifest.source}: no video is longer than {LONGEST:g} s{unseen}."
    parts = np.where(seconds > LONGEST, np.maximum(np.round(seconds / CLIP), 2), 1).astype(np.int64)
    are, clips = verb(len(long), "is", "are"), counted(int(parts[long].sum()), "clip")
    note = (
        f"{manifest.source}: {counted(len(long), 'video')} {are} longer than {LONGEST:g} s, "
        f"{lasting(float(seconds[long].sum()))} in all, and {are} cut into {clips} of about "
        f"{CLIP:g} s{unseen}: {first_of(manifest.ids[long].tolist(), 3)}. "
        "Each clip is taken to show the class of its folder; a list with start and end says it better."
    )
    cut = manifest[np.repeat(np.arange(len(manifest)), parts)]
    return replace(cut, times=_times(seconds, parts)), note


def not_cut_note(tested: Mapping[str, Manifest]) -> str:
    """What it means for videos of class folders that are only tested on, by the name of their split, that nothing is cut
    there; "" where none of them is long.
    """
    long = {
        name: videos.ids[_long_ones(videos)[0] > LONGEST].tolist()
        for name, videos in tested.items()
        if _of_whole_files(videos)
    }
    found = {name: ids for name, ids in long.items() if ids}
    if not found:
        return ""
    count = sum(map(len, found.values()))
    named = first_of([name for ids in found.values() for name in ids], 3)
    return (
        f"{' and '.join(found)}: {counted(count, 'video')} {verb(count, 'is', 'are')} longer than {LONGEST:g} s, and only "
        f"videos that are trained on are cut: {verb(count, 'it is', 'each is')} answered as a whole, so that the number "
        f"there may be too low ({named}). A list with start and end says what the clips are."
    )


def _of_whole_files(manifest: Manifest) -> bool:
    """Whether a list was read from a class folder, and its entries are no parts of files."""
    read = bool(manifest.source) and Path(manifest.source).is_dir()
    return read and manifest.times is None and manifest.frame_ranges is None


def _long_ones(manifest: Manifest) -> tuple[NDArray[np.float64], str]:
    """How long each video is, in seconds [N], 0 where it cannot be read or was not looked at; and a remark on the latter, ""
    where all were.
    """
    files, looked_at = _largest_first(manifest), 0
    seconds = np.zeros(len(manifest))
    for begin in range(0, len(files), _LOOKED_AT):
        rows = files[begin : begin + _LOOKED_AT]
        seconds[rows] = _seconds(manifest[rows])
        looked_at += len(rows)
        if not (seconds[rows] > LONGEST).any():
            break
    all_looked_at = looked_at == len(files)
    return seconds, "" if all_looked_at else f" (only the {looked_at:,} largest of {len(files):,} files were looked at)"


def _largest_first(manifest: Manifest) -> NDArray[np.int64]:
    """The rows of files, by size; a folder of frames is none."""
    sizes = np.array([_size(path) for path in paths_of(manifest)])
    rows = np.argsort(-sizes, kind="stable")
    return rows[sizes[rows] > 0]


def _size(path: str) -> int:
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for each of a million files takes longer than asking for their sizes
    except OSError:
        return -1
    return found.st_size if stat.S_ISREG(found.st_mode) else -1


def _seconds(videos: Manifest) -> NDArray[np.float64]:
    """How long each video is [N]: as its header states, and of long ones as their packets say; 0 where it cannot be read."""
    paths = paths_of(videos)
    with ThreadPoolExecutor(_THREADS) as threads:
        stated = list(threads.map(stated_seconds, paths))
    found = np.array([LONGEST + 1 if one is None else one for one in stated], np.float64)
    long = np.flatnonzero(found > LONGEST)
    # In this process: for the few files of which it takes a closer look, others would take longer to start.
    probes = probe_cache(videos.root).probes([paths[row] for row in long.tolist()], check="open", workers=0)
    found[long] = [probe.seconds for probe in probes]
    return found


def _times(seconds: NDArray[np.float64], parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Start and end of each clip [clips, 2], of videos of so many seconds [N] and parts [N]; NaN where a video stays whole.

    The end of the last one is open, so that no frame is lost to a rounded length.
    """
    number = np.arange(parts.sum()) - np.repeat(np.cumsum(parts) - parts, parts)
    length, of = np.repeat(seconds / parts, parts), np.repeat(parts, parts)
    times: NDArray[np.float64] = np.stack([number * length, (number + 1) * length], axis=1).round(3)
    times[number == of - 1, 1] = np.nan
    times[of == 1] = np.nan
    return times
