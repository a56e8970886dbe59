"""`audit`: the faults of a data set, in its files, labels and splits, found before it is used."""

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.names import natural_order
from marey.base.words import counted
from marey.data.files.missing import refuse_addresses
from marey.data.files.video_info import VideoInfo, VideoInfoCache
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import check_root, is_list, read_manifest
from marey.data.lists.videos import ALL_FRAMES
from marey.data.recordings.find import Recordings, find_recordings
from marey.data.recordings.names import RecordingNames, joined_recording_names
from marey.data.recordings.odd_videos import find_odd_videos

_SLOW, _FAST = 10.0, 61.0
"""Frames per second. A frame rate below the first or above the second is odd: most sampling rules were made for 24 to 30."""

_SMALL, _LONG = 112, 3.0
"""The size of a video is odd if its shorter side has fewer than `_SMALL` pixels, or if its longer side is more than `_LONG`
times the shorter."""


@dataclass(frozen=True)
class ClassBalance:
    """The numbers of videos per class in one split; a video with several labels counts for each of them."""

    split: str
    """The split; "" for a list without splits."""
    videos: int
    """Videos of the split."""
    classes: int
    """Classes with a video in the split."""
    smallest: int
    """The fewest videos that one of these classes has."""
    median: float
    """The median number of videos of these classes."""
    largest: int
    """The most videos that one of these classes has."""
    empty: list[str]
    """Classes of the list without a video in the split."""


@dataclass(repr=False)
class Audit:
    """What `audit` found. Videos are named by their paths in the list; if the lists have different root folders, by the
    paths of their files.

    `faults` counts the findings that make a result worthless or end a run.
    """

    videos: int
    """The number of videos."""
    fingerprint: str
    """The fingerprint of the list; results that were measured on the list state the same one."""
    contents: str
    """A hash of the paths of the files, their numbers of bytes and frames, and the width and height of their frames. Two
    copies of a data set with the same list differ here if a file differs in one of these."""
    missing: list[str] = field(default_factory=list)
    """Videos whose file does not exist."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """For each file that cannot be read, the reason."""
    short: dict[str, int] = field(default_factory=dict)
    """For each video with fewer than `short_frames` frames, the number of its frames."""
    left_out: dict[str, str] = field(default_factory=dict)
    """For each file or folder of frames that is not read completely, what is missing: frames before the first key frame,
    images that are no frames (cover.jpg), missing numbers."""
    duplicates: list[list[str]] = field(default_factory=list)
    """Sets of files with the same bytes."""
    contradictions: list[list[str]] = field(default_factory=list)
    """Sets of files with the same bytes and different labels."""
    leaks: list[list[str]] = field(default_factory=list)
    """Sets of files with the same bytes in different splits; also single files that are listed in several splits."""
    copies: list[list[str]] = field(default_factory=list)
    """Sets of videos with the same content, not all with the same bytes (some were encoded again), found by their frames.
    Several takes of a scene in which nothing moves look like copies, too, but are not listed here."""
    contradicting_copies: list[list[str]] = field(default_factory=list)
    """The sets of `copies` with different labels."""
    leaking_copies: list[list[str]] = field(default_factory=list)
    """The sets of `copies` in different splits."""
    outside: list[str] = field(default_factory=list)
    """Segments that begin after the end of their file, by seconds or by frames."""
    longer: dict[str, str] = field(default_factory=dict)
    """For each segment by frames that ends after its file: "to frame 60 of 50". It is read up to the end of the file."""
    leaking_groups: dict[str, dict[str, int]] = field(default_factory=dict)
    """For each recording in several splits, known from the column `group` or file names, how many videos each split has."""
    leaking_places: dict[str, dict[str, int]] = field(default_factory=dict)
    """As `leaking_groups`, for recordings known from files and frames alone. They do not count as faults: such a recording
    is only likely."""
    sources: str = ""
    """One line: recordings in several splits, the number of videos whose recording is known, and what it is known from."""
    recordings: list[str] = field(default_factory=list)
    """What the frames show of recordings and copies, as sentences; empty if frames were not compared."""
    odd_pictures: dict[str, str] = field(default_factory=dict)
    """For each video that looks unlike the others, the reason: black, frozen, another shape or length
    (`marey.data.recordings.odd_videos`)."""
    variable_rate: list[str] = field(default_factory=list)
    """Videos with a variable frame rate."""
    odd_rate: dict[str, float] = field(default_factory=dict)
    """For each video with an odd frame rate, its frames per second."""
    odd_size: dict[str, str] = field(default_factory=dict)
    """For each video with an odd size, its width x height."""
    rates: dict[str, int] = field(default_factory=dict)
    """The number of videos for each frame rate, in rounded frames per second."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The number of videos for each width x height."""
    seconds: dict[str, float] = field(default_factory=dict)
    """The lengths of the videos in seconds: "least", "median", "most" and "sum"."""
    balance: list[ClassBalance] = field(default_factory=list)
    """The numbers of videos per class, for each split."""

    @property
    def faults(self) -> int:
        """The number of findings to repair: missing and unreadable files, segments after the end of their file, equal videos
        with different labels or in different splits, recordings in several splits, and untrained classes.
        """
        found = (
            self.missing, self.unreadable, self.outside, self.contradictions, self.leaks, self.contradicting_copies,
            self.leaking_copies, self.leaking_groups, self.untrained,
        )  # fmt: skip
        return sum(map(len, found))

    @property
    def untrained(self) -> list[str]:
        """Classes with videos in some split, but none for training."""
        train = next((b for b in self.balance if b.split == "train"), None)
        if train is None:
            return []
        elsewhere = [set(b.empty) for b in self.balance if b.split != "train"]
        return [name for name in train.empty if any(name not in empty for empty in elsewhere)]

    def __repr__(self) -> str:
        return f"Audit({counted(self.videos, 'video')}: {counted(self.faults, 'fault')})"

    def as_json(self) -> dict[str, Json]:
        """All findings, with `faults` and `untrained`."""
        return asdict(self) | {"faults": self.faults, "untrained": self.untrained}


def read_together(paths: Sequence[Path], *, root: Path | None = None, classes: Path | None = None) -> list[Manifest]:
    """Read several lists or folders with the same class names: those of the file `classes`, or else all names that occur.

    Raises:
        DataError: one cannot be read; or `root` is given, and none is a list.
    """
    check_root(root, *paths)
    roots = [root if is_list(path) else None for path in paths]
    manifests = [read_manifest(path, root=at, classes=classes) for path, at in zip(paths, roots, strict=True)]
    first = manifests[0].class_names if manifests else ()
    if all(manifest.class_names == first for manifest in manifests):
        return manifests
    names = natural_order({name for manifest in manifests for name in manifest.class_names})
    return [manifest.with_classes(names) for manifest in manifests]


def audit(
    manifests: Sequence[Manifest],
    *,
    cache: VideoInfoCache,
    check: Literal["open", "decode"] = "open",
    short_frames: int = 16,
    pictures: bool = True,
    workers: int | None = 0,
) -> Audit:
    """Check every video of the lists, which are taken as one data set; a list without the column `split` is one split.

    The content of files is only compared if they have the same number of bytes.

    Args:
        manifests: The lists.
        cache: Cached information on the files. Each result is added when it is made, so that a killed run resumes.
        check: "open" reads the packets of a file and decodes its first frame; "decode" decodes all frames.
        short_frames: Videos with fewer frames are reported.
        pictures: Whether videos are also compared by their frames (`marey.data.recordings.find`).
        workers: Processes; None: one per core, 0: this one.

    Raises:
        DataError: no lists, lists of different classes, or a list with videos on servers.
    """
    if not manifests:
        raise DataError("name at least one list.")
    refuse_addresses("marey data audit", *manifests)
    recordings = find_recordings(manifests, workers=workers) if pictures else None
    by_names = joined_recording_names(manifests) if recordings is None else recordings.by_names
    names = by_names if recordings is None else recordings.by_evidence
    rows = _audited_videos(manifests, names, names.of_row == by_names.of_row)
    files = {row.path: row.file for row in rows}
    found = cache.inspect(list(files.values()), check=check, workers=workers)
    infos = dict(zip(files, found, strict=True))
    result = Audit(len(rows), _fingerprint(manifests), _contents_hash(infos))
    result.missing = [path for path, info in infos.items() if info.missing]
    result.unreadable = {path: info.error for path, info in infos.items() if info.error and not info.missing}
    readable = {path: info for path, info in infos.items() if info.readable}
    result.short = {path: info.frames for path, info in readable.items() if info.frames < short_frames}
    result.left_out = {path: info.left_out for path, info in readable.items() if info.left_out}
    _measure(result, readable)
    result.longer = {
        row.path: f"to frame {row.end_frame} of {infos[row.path].frames}"
        for row in rows
        if infos[row.path].readable and row.end_frame > infos[row.path].frames
    }
    result.outside = [row.path for row in rows if row.is_outside(infos[row.path])]
    of_equal_size = _of_equal_size(infos)
    hashes = cache.hashes([files[path] for path in of_equal_size], workers=workers)
    _compare_files(result, rows, dict(zip(of_equal_size, hashes, strict=True)))
    if recordings is not None:
        _compare_frames(result, recordings, manifests, rows)
    result.sources = names.describe(np.array([row.split for row in rows]))
    _balance(result, manifests, rows)
    return result


_Segment = tuple[float, float, int, int]
"""A segment of a file: `start`, `end`, `start_frame` and `end_frame` of `_AuditedVideo`."""


@dataclass(frozen=True, slots=True)
class _AuditedVideo:
    """One video of the lists."""

    path: str
    """The path in the list; the path of the file if several lists have different folders."""
    file: str
    """The path of the file."""
    labels: tuple[int, ...]
    """The indices of its classes, ascending."""
    split: str
    """Its split. In a list without the column `split`: the name of the list, or "" if it is the only list."""
    group: str
    """Its recording; "" where that is not known."""
    named: bool
    """Whether the recording is known from the column `group` or from file names."""
    start: float
    """Start of the segment in seconds; 0 for the beginning of the video."""
    end: float
    """End of the segment in seconds; infinite for the end of the video."""
    start_frame: int
    """The first frame of the segment."""
    end_frame: int
    """The first frame after the segment; -1 for the end of the video."""

    @property
    def segment(self) -> _Segment:
        """Which segment of the file the video is."""
        return self.start, self.end, self.start_frame, self.end_frame

    def is_outside(self, info: VideoInfo) -> bool:
        """Whether the segment begins after the end of a file that can be read."""
        return info.readable and (self.start >= info.seconds or self.start_frame >= info.frames)


def _audited_videos(
    manifests: Sequence[Manifest], recordings: RecordingNames, named: NDArray[np.bool_]
) -> list[_AuditedVideo]:
    """The videos of all lists; `named` [N] says which recordings are known from the column `group` or from file names."""
    first, rows = manifests[0], []
    one_root = len({manifest.root for manifest in manifests}) == 1
    groups = iter(zip(recordings.of_row.tolist(), named.tolist(), strict=True))
    for manifest in manifests:
        if manifest.class_names != first.class_names:
            raise DataError(
                f"{manifest.source}: its classes are not those of {first.source}; give one list of classes."
            )
        columns = zip(
            manifest.ids.tolist(),
            _labels_of_videos(manifest),
            [_split_of_list(manifest, manifests)] * len(manifest)
            if manifest.splits is None
            else manifest.splits.tolist(),
            itertools.islice(groups, len(manifest)),
            [(0.0, np.inf)] * len(manifest)
            if manifest.times is None
            else np.where(np.isnan(manifest.times), (0.0, np.inf), manifest.times).tolist(),
            [ALL_FRAMES] * len(manifest) if manifest.frame_ranges is None else manifest.frame_ranges.tolist(),
            strict=True,
        )
        for name, own, split, (group, is_named), times, frames in columns:
            file = os.path.join(manifest.root, name)  # noqa: PTH118 - a Path per row takes seconds
            rows.append(_AuditedVideo(name if one_root else file, file, own, split, group, is_named, *times, *frames))
    return rows


def _labels_of_videos(manifest: Manifest) -> list[tuple[int, ...]]:
    if manifest.label_sets is None:
        return [(label,) for label in manifest.labels.tolist()]
    return [tuple(sorted(label for label in row if label >= 0)) for row in manifest.label_sets.tolist()]


def _split_of_list(manifest: Manifest, manifests: Sequence[Manifest]) -> str:
    """The split of all videos of a list without the column `split`: the list itself; "" if it is the only list."""
    return manifest.source if len(manifests) > 1 else ""


def _fingerprint(manifests: Sequence[Manifest]) -> str:
    if len(manifests) == 1:
        return manifests[0].fingerprint
    return hashlib.sha256("".join(m.fingerprint for m in manifests).encode()).hexdigest()


def _contents_hash(infos: dict[str, VideoInfo]) -> str:
    digest = hashlib.sha256()
    for path, info in infos.items():
        digest.update(json.dumps([path, info.bytes, info.frames, info.width, info.height]).encode())
    return digest.hexdigest()


def _measure(result: Audit, readable: dict[str, VideoInfo]) -> None:
    """Fill in frame rates, sizes and lengths."""
    result.variable_rate = [path for path, info in readable.items() if info.variable]
    result.odd_rate = {path: info.fps for path, info in readable.items() if not _SLOW <= info.fps <= _FAST}
    result.odd_size = {
        path: f"{info.width}x{info.height}"
        for path, info in readable.items()
        if min(info.width, info.height) < _SMALL or max(info.width, info.height) > _LONG * min(info.width, info.height)
    }
    result.rates = _frequencies(f"{info.fps:.2f}".rstrip("0").rstrip(".") for info in readable.values())
    result.sizes = _frequencies(f"{info.width}x{info.height}" for info in readable.values())
    lengths = [info.seconds for info in readable.values()]
    if lengths:
        result.seconds = {
            "least": min(lengths), "median": float(np.median(lengths)), "most": max(lengths), "sum": sum(lengths),
        }  # fmt: skip


def _frequencies(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return dict(Counter(values).most_common())


def _of_equal_size(infos: dict[str, VideoInfo]) -> list[str]:
    """The files that share their size with another file: only these can be duplicates."""
    sizes = Counter(info.bytes for info in infos.values())
    return [path for path, info in infos.items() if info.bytes > 0 and sizes[info.bytes] > 1]


def _compare_files(result: Audit, rows: Sequence[_AuditedVideo], hashes: dict[str, str]) -> None:
    """Fill in files with the same bytes (`hashes` by path), and recordings in several splits."""
    same: dict[str, list[str]] = {}
    for path, digest in hashes.items():
        same.setdefault(digest, []).append(path)
    labels: dict[str, dict[_Segment, set[tuple[int, ...]]]] = {}
    splits: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row.path, {}).setdefault(row.segment, set()).add(row.labels)
        splits.setdefault(row.path, set()).add(row.split)
    result.duplicates = [paths for digest, paths in same.items() if digest and len(paths) > 1]
    result.contradictions = [d for d in result.duplicates if _contradict([labels[path] for path in d])]
    result.leaks = [d for d in result.duplicates if len(set().union(*(splits[p] for p in d))) > 1]
    # One file that is listed in two splits is a leak, as two copies are.
    result.leaks += [[path] for path, of_path in splits.items() if len(of_path) > 1]
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        if row.group:
            counts.setdefault(row.group, Counter())[row.split] += 1
    named = {row.group for row in rows if row.named}
    in_several = {group: dict(count) for group, count in counts.items() if len(count) > 1}
    result.leaking_groups = {group: count for group, count in in_several.items() if group in named}
    result.leaking_places = {group: count for group, count in in_several.items() if group not in named}


def _contradict(copies: Sequence[Mapping[_Segment, set[tuple[int, ...]]]]) -> bool:
    """Whether equal files have different labels for one segment; `copies` has the labels of each segment, for each file."""
    of_segment: dict[_Segment, set[tuple[int, ...]]] = {}
    for labels in copies:
        for segment, found in labels.items():
            of_segment.setdefault(segment, set()).update(found)
    return any(len(found) > 1 for found in of_segment.values())


def _compare_frames(
    result: Audit, recordings: Recordings, manifests: Sequence[Manifest], rows: Sequence[_AuditedVideo]
) -> None:
    """Fill in what the frames show: copies, recordings and odd videos. Sets in `result.duplicates` are not repeated."""
    equal = {frozenset(paths) for paths in result.duplicates}
    copies = recordings.copies(manifests, [row.split for row in rows])

    def paths_of(sets: Sequence[Sequence[int]]) -> list[list[str]]:
        paths = [[rows[row].path for row in one] for one in sets]
        return [one for one in paths if frozenset(one) not in equal]

    result.copies, result.contradicting_copies = paths_of(copies.certain), paths_of(copies.contradictions)
    result.leaking_copies = paths_of(copies.across)
    result.recordings = [recordings.summary(), *recordings.notes(), *copies.takes_lines()]
    result.odd_pictures = {rows[odd.row].path: odd.reason for odd in find_odd_videos(recordings.signatures)}


def _balance(result: Audit, manifests: Sequence[Manifest], rows: Sequence[_AuditedVideo]) -> None:
    names = manifests[0].class_names
    counts: dict[str, np.ndarray] = {}
    videos = Counter(row.split for row in rows)
    for row in rows:
        counts.setdefault(row.split, np.zeros(len(names), np.int64))[list(row.labels)] += 1
    for split, count in counts.items():
        present = count[count > 0]
        empty = [name for name, n in zip(names, count.tolist(), strict=True) if not n]
        result.balance.append(
            ClassBalance(
                split,
                videos[split],
                len(present),
                int(present.min()),
                float(np.median(present)),
                int(present.max()),
                empty,
            )
        )
