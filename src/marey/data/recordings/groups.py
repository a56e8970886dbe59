"""Groups: videos that must stay in the same split and fold: those of one recording, of equal content, or of one file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.files.identity import equal_contents
from marey.data.lists.manifest import Manifest, video_paths
from marey.data.lists.videos import first_of
from marey.data.recordings.names import RecordingNames, find_recording_names

Pairs = list[tuple[int, int]]
"""Pairs of rows."""
_MOST = 0.5
"""Share of all videos, 0 to 1. What a larger share of them has in common does not distinguish recordings."""
NAMED = 3
"""How many videos or classes a message names."""


@dataclass(frozen=True, eq=False)
class RecordingsAndCopies:
    """The recording and the content of each of N videos, as far as they are known."""

    recordings: RecordingNames
    """The recording of each video, as far as it is known."""
    copies: NDArray[np.int64]
    """[N]: a number for each content, equal for equal content; -1 where the content is not known."""

    def rows(self, rows: NDArray[np.int64]) -> "RecordingsAndCopies":
        """The same for some of the videos."""
        return RecordingsAndCopies(self.recordings.rows(rows), self.copies[rows])


def recordings_and_copies_by_names(manifest: Manifest) -> RecordingsAndCopies:
    """Recordings by the column `group`, else by names; copies by equal files, which a notice counts."""
    return RecordingsAndCopies(find_recording_names(manifest), find_equal_contents(manifest))


def components(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """[count]: the connected component of each row, named by its lowest row; the pairs of rows are the edges."""
    least = list(range(count))

    def first(row: int) -> int:
        while least[row] != row:
            least[row] = row = least[least[row]]
        return row

    for one, other in pairs:
        low, high = sorted((first(one), first(other)))
        least[high] = low
    return np.array([first(row) for row in range(count)], np.int64)


def rows_by_key(keys: NDArray[np.str_]) -> Iterator[list[int]]:
    """The rows of each key, ascending; rows with an empty key are left out."""
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys.tolist()):
        rows.setdefault(key, []).append(row)
    return (several for key, several in rows.items() if key)


def chain_most_videos(as_one: NDArray[np.int64], pairs: Pairs) -> NDArray[np.bool_]:
    """[N]: whether pairs connect a video with more than half of all videos.

    Args:
        as_one: [N]: videos that have the same number are known to belong together, and count as one video.
        pairs: The pairs of rows.
    """
    numbers = np.unique(as_one, return_inverse=True)[1]
    count = int(numbers.max(initial=-1)) + 1
    least = components(count, [(int(numbers[one]), int(numbers[other])) for one, other in pairs])
    sizes = np.bincount(least, minlength=count)[least]
    return np.asarray(((sizes > 1) & (sizes > _MOST * count))[numbers], np.bool_)


def without(rows: NDArray[np.bool_], pairs: Pairs) -> Pairs:
    """The pairs without those that have a row marked in `rows` [N]."""
    return [(one, other) for one, other in pairs if not (rows[one] or rows[other])]


def find_equal_contents(manifest: Manifest) -> NDArray[np.int64]:
    """[N]: a number for each content, as `equal_contents` gives it; -1 where it is not known. A notice counts the copies, a
    warning those with different labels.
    """
    contents = equal_contents(video_paths(manifest))
    numbers, counts = np.unique(contents, return_counts=True)
    sets = np.split(np.argsort(contents, kind="stable"), np.cumsum(counts)[:-1])
    several = [rows for rows, number in zip(sets, numbers.tolist(), strict=True) if number >= 0 and len(rows) > 1]
    # Segments of one file are no copies.
    copies = [rows for rows in several if len(set(manifest.ids[rows].tolist())) > 1]
    if not copies:
        return contents
    count = sum(map(len, copies))
    notice(
        f"{counted(count, 'file')} are copies of each other, by content ({len(copies)} different): equal ones stay in one "
        "split"
    )
    contradictions = [rows for rows in copies if len(set(manifest.labels[rows].tolist())) > 1]
    if contradictions:
        rows = contradictions[0].tolist()
        first = {manifest.labels[row]: manifest.ids[row] for row in reversed(rows)}  # one video of each class
        named = first_of([f"{name} ({manifest.class_names[label]})" for label, name in sorted(first.items())], NAMED)
        warning(f"files of equal content have different classes, {len(contradictions)} times, for example: {named}")
    return contents


def number_groups(recordings: RecordingNames, contents: NDArray[np.int64], ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """The number of the group of each video [N], from 0: videos of one recording, one file or one content are connected.

    Args:
        recordings: The recordings.
        contents: [N]: a number for each content; negative where it is not known.
        ids: [N]: the names of the videos in the list.
    """
    count = len(ids)
    alone = [f"/{row}" for row in range(count)]
    keys = [
        np.where(recordings.together, recordings.of_row, alone),
        ids,
        np.where(contents < 0, -1 - np.arange(count), contents),
    ]
    numbered = [np.unique(key, return_inverse=True)[1] for key in keys]
    labels = np.arange(count)
    while True:
        before = labels
        for of_key in numbered:
            least = np.full(of_key.max() + 1, count)
            np.minimum.at(least, of_key, labels)
            labels = least[of_key]
        if np.array_equal(before, labels):
            break
    # Groups are numbered in the order of their names, so that the same names give the same split in any order of the list.
    order = np.argsort(np.where(recordings.together, recordings.of_row, ids), kind="stable")
    _, firsts, of_row = np.unique(labels[order], return_index=True, return_inverse=True)
    numbers = np.empty(count, np.int64)
    numbers[order] = np.argsort(np.argsort(firsts))[of_row]
    return numbers
