"""What is wrong with a data set: files, labels, splits. Looked at before a number is trusted."""

import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.jsonable import Json
from marey.base.order import natural_order
from marey.base.words import counted
from marey.data.files.missing import refuse_addresses
from marey.data.files.probe import Probe, ProbeCache
from marey.data.lists.formats import check_root, is_list, read_manifest
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import WHOLE
from marey.data.lists.sources import Sources, joined_sources
from marey.data.recordings.evidence import Recordings, find_recordings
from marey.data.recordings.odd import find_odd

_SLOW, _FAST = 10.0, 61.0
"""Frames per second outside which a video is odd: most rules were made for 24 to 30."""

_SMALL, _LONG = 112, 3.0
"""A shorter side below so many pixels, or a longer side so many times the shorter one, is odd."""


@dataclass(frozen=True)
class ClassBalance:
    """Videos per class within one split ("" where there are none); one with several labels counts for each."""

    split: str
    videos: int
    classes: int
    smallest: int
    median: float
    largest: int
    empty: list[str]
    """Classes of the list without a video here."""


@dataclass(repr=False)
class Audit:
    """Findings, by video id (the path as the list has it). `faults` make a number worthless or a run stumble."""

    videos: int
    fingerprint: str
    """Of the list, as every result carries it."""
    contents: str
    """Of what the files are (bytes, frames, size): copies with one list but other files differ here."""
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    short: dict[str, int] = field(default_factory=dict)
    """Fewer frames than asked for."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What of a file or folder is not among its frames: what was cut away with its first key frame, covers, gaps."""
    duplicates: list[list[str]] = field(default_factory=list)
    """Files with the same bytes."""
    contradictions: list[list[str]] = field(default_factory=list)
    """Files with the same bytes and different labels."""
    leaks: list[list[str]] = field(default_factory=list)
    """Files with the same bytes in different splits."""
    copies: list[list[str]] = field(default_factory=list)
    """Videos of the same content that were encoded anew, by their pictures; takes of a still scene are none, though they
    look alike."""
    contradicting_copies: list[list[str]] = field(default_factory=list)
    """Those of them with different labels."""
    leaking_copies: list[list[str]] = field(default_factory=list)
    """Those of them in different splits."""
    outside: list[str] = field(default_factory=list)
    """Parts that begin after their file's end, by seconds or by frames."""
    longer: dict[str, str] = field(default_factory=dict)
    """Parts whose last frame, by the list, lies after the file's end; they are read to the end."""
    leaking_groups: dict[str, dict[str, int]] = field(default_factory=dict)
    """Sources (groups) that are in several splits, by a column or by names: videos in each."""
    leaking_places: dict[str, dict[str, int]] = field(default_factory=dict)
    """The same of sources that files and pictures alone tell: no fault, since that is a guess."""
    sources: str = ""
    """Of how many videos the source is known, and by what; what is known of sources in several splits."""
    recordings: list[str] = field(default_factory=list)
    """What pictures tell of recordings and copies, as sentences; empty where they were not compared."""
    odd_pictures: dict[str, str] = field(default_factory=dict)
    """Why pictures are odd beside the others: black, frozen, of another shape or length (`marey.data.recordings.odd`)."""
    variable_rate: list[str] = field(default_factory=list)
    odd_rate: dict[str, float] = field(default_factory=dict)
    odd_size: dict[str, str] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    """Frames per second, rounded: videos."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Width x height: videos."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Length: least, median, most and sum."""
    balance: list[ClassBalance] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Findings that must be mended: missing and unreadable files, contradictions, leaks, classes only tested."""
        found = (
            self.missing, self.unreadable, self.outside, self.contradictions, self.leaks, self.contradicting_copies,
            self.leaking_copies, self.leaking_groups, self.untrained,
        )  # fmt: skip
        return sum(map(len, found))

    @property
    def untrained(self) -> list[str]:
        """Classes without a training video that another split has."""
        train = next((b for b in self.balance if b.split == "train"), None)
        if train is None:
            return []
        elsewhere = [set(b.empty) for b in self.balance if b.split != "train"]
        return [name for name in train.empty if any(name not in empty for empty in elsewhere)]

    def __repr__(self) -> str:
        return f"Audit({counted(self.videos, 'video')}: {counted(self.faults, 'fault')})"

    def as_json(self) -> dict[str, Json]:
        return asdict(self) | {"faults": self.faults, "untrained": self.untrained}


def read_together(paths: Sequence[Path], *, root: Path | None = None, classes: Path | None = None) -> list[Manifest]:
    """Several lists or folders with one list of classes: `classes`, else all names that occur.

    Raises:
        DataError: one cannot be read, or none is a list and `root` can have no effect.
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
    cache: ProbeCache,
    check: Literal["open", "decode"] = "open",
    short_frames: int = 16,
    pictures: bool = True,
    workers: int | None = 0,
) -> Audit:
    """Look at every video of the lists, which are taken as one data set; a list without a split column is one split.

    Opening scans a file's packets and decodes its first frame; "decode" decodes all. Content is only compared where
    files have the same number of bytes. What was found out is kept in `cache`: a run that was killed goes on. With
    `pictures` videos are compared by what they show as well (`marey.data.recordings.evidence`).

    Raises:
        DataError: no lists, or lists of different classes.
    """
    if not manifests:
        raise DataError("name at least one list.")
    refuse_addresses("marey data audit", *manifests)
    recordings = find_recordings(manifests, workers=workers) if pictures else None
    by_names = joined_sources(manifests) if recordings is None else recordings.by_names
    sources = by_names if recordings is None else recordings.sources
    rows = _rows(manifests, sources, sources.of_row == by_names.of_row)
    files = {row.path: row.file for row in rows}
    found = cache.probes(list(files.values()), check=check, workers=workers)
    probes = dict(zip(files, found, strict=True))
    result = Audit(len(rows), _fingerprint(manifests), _contents(probes))
    result.missing = [p for p, probe in probes.items() if probe.missing]
    result.unreadable = {p: probe.error for p, probe in probes.items() if probe.error and not probe.missing}
    good = {path: probe for path, probe in probes.items() if probe.readable}
    result.short = {path: probe.frames for path, probe in good.items() if probe.frames < short_frames}
    result.left_out = {path: probe.left_out for path, probe in good.items() if probe.left_out}
    _measure(result, good)
    result.longer = {
        row.path: f"to frame {row.end_frame} of {probes[row.path].frames}"
        for row in rows
        if probes[row.path].readable and row.end_frame > probes[row.path].frames
    }
    result.outside = [row.path for row in rows if row.is_outside(probes[row.path])]
    alike = _of_one_size(probes)
    hashes = cache.hashes([files[path] for path in alike], workers=workers)
    _compare(result, rows, dict(zip(alike, hashes, strict=True)))
    if recordings is not None:
        _compare_pictures(result, recordings, manifests, rows)
    result.sources = sources.describe(np.array([row.split for row in rows]))
    _balance(result, manifests, rows)
    return result


@dataclass(frozen=True, slots=True)
class _Row:
    path: str
    """The id, or the whole path where several lists have different folders."""
    file: str
    labels: tuple[int, ...]
    split: str
    group: str
    named: bool
    """Whether the column or names tell the group."""
    start: float
    start_frame: int
    end_frame: int
    """-1 where the part goes to the end."""

    def is_outside(self, probe: Probe) -> bool:
        """Whether a part begins after the end of a file that can be read."""
        return probe.readable and (self.start >= probe.seconds or self.start_frame >= probe.frames)


def _rows(manifests: Sequence[Manifest], sources: Sources, named: NDArray[np.bool_]) -> list[_Row]:
    """The videos of all lists; `named` [N] says of which the column or names tell the source."""
    first, rows = manifests[0], []
    one_root = len({manifest.root for manifest in manifests}) == 1
    groups = iter(zip(sources.of_row.tolist(), named.tolist(), strict=True))
    for manifest in manifests:
        if manifest.class_names != first.class_names:
            raise DataError(
                f"{manifest.source}: its classes are not those of {first.source}; give one list of classes."
            )
        columns = zip(
            manifest.ids.tolist(),
            _labels(manifest),
            [_side(manifest, manifests)] * len(manifest) if manifest.splits is None else manifest.splits.tolist(),
            itertools.islice(groups, len(manifest)),
            [0.0] * len(manifest) if manifest.times is None else np.nan_to_num(manifest.times[:, 0]).tolist(),
            [WHOLE] * len(manifest) if manifest.frame_ranges is None else manifest.frame_ranges.tolist(),
            strict=True,
        )
        for name, own, split, (group, is_named), start, frames in columns:
            file = os.path.join(manifest.root, name)  # noqa: PTH118 - a Path per row takes seconds
            rows.append(_Row(name if one_root else file, file, own, split, group, is_named, start, *frames))
    return rows


def _labels(manifest: Manifest) -> list[tuple[int, ...]]:
    if manifest.label_sets is None:
        return [(label,) for label in manifest.labels.tolist()]
    return [tuple(sorted(label for label in row if label >= 0)) for row in manifest.label_sets.tolist()]


def _side(manifest: Manifest, manifests: Sequence[Manifest]) -> str:
    """The name of a list without a split column that stands beside others."""
    return manifest.source if len(manifests) > 1 else ""


def _fingerprint(manifests: Sequence[Manifest]) -> str:
    if len(manifests) == 1:
        return manifests[0].fingerprint
    return hashlib.sha256("".join(m.fingerprint for m in manifests).encode()).hexdigest()


def _contents(probes: dict[str, Probe]) -> str:
    digest = hashlib.sha256()
    for path, probe in probes.items():
        digest.update(json.dumps([path, probe.bytes, probe.frames, probe.width, probe.height]).encode())
    return digest.hexdigest()


def _measure(result: Audit, good: dict[str, Probe]) -> None:
    result.variable_rate = [path for path, probe in good.items() if probe.variable]
    result.odd_rate = {p: probe.fps for p, probe in good.items() if not _SLOW <= probe.fps <= _FAST}
    result.odd_size = {
        path: f"{probe.width}x{probe.height}"
        for path, probe in good.items()
        if min(probe.width, probe.height) < _SMALL
        or max(probe.width, probe.height) > _LONG * min(probe.width, probe.height)
    }
    result.rates = _most(f"{probe.fps:.2f}".rstrip("0").rstrip(".") for probe in good.values())
    result.sizes = _most(f"{probe.width}x{probe.height}" for probe in good.values())
    lengths = [probe.seconds for probe in good.values()]
    if lengths:
        result.seconds = {
            "least": min(lengths), "median": float(np.median(lengths)), "most": max(lengths), "sum": sum(lengths),
        }  # fmt: skip


def _most(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())


def _of_one_size(probes: dict[str, Probe]) -> list[str]:
    """Files that some other has as many bytes as: only they can have the same content."""
    sizes = Counter(probe.bytes for probe in probes.values())
    return [path for path, probe in probes.items() if probe.bytes > 0 and sizes[probe.bytes] > 1]


def _compare(result: Audit, rows: Sequence[_Row], hashes: dict[str, str]) -> None:
    """Find files of the same bytes, and sources on several sides."""
    same: dict[str, list[str]] = {}
    for path, digest in hashes.items():
        same.setdefault(digest, []).append(path)
    labels: dict[str, set[tuple[int, ...]]] = {}
    splits: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row.path, set()).add(row.labels)
        splits.setdefault(row.path, set()).add(row.split)
    result.duplicates = [paths for digest, paths in same.items() if digest and len(paths) > 1]
    result.contradictions = [d for d in result.duplicates if len(set().union(*(labels[p] for p in d))) > 1]
    result.leaks = [d for d in result.duplicates if len(set().union(*(splits[p] for p in d))) > 1]
    # One file that is listed in two splits leaks as well as two copies do.
    result.leaks += [[path] for path, sides in splits.items() if len(sides) > 1]
    sides: dict[str, Counter[str]] = {}
    for row in rows:
        if row.group:
            sides.setdefault(row.group, Counter())[row.split] += 1
    named = {row.group for row in rows if row.named}
    several = {group: dict(count) for group, count in sides.items() if len(count) > 1}
    result.leaking_groups = {group: count for group, count in several.items() if group in named}
    result.leaking_places = {group: count for group, count in several.items() if group not in named}


def _compare_pictures(
    result: Audit, recordings: Recordings, manifests: Sequence[Manifest], rows: Sequence[_Row]
) -> None:
    """Find copies that were encoded anew; equal files are found by their bytes."""
    equal = {frozenset(paths) for paths in result.duplicates}
    copies = recordings.copies(manifests, [row.split for row in rows])

    def named(sets: Sequence[Sequence[int]]) -> list[list[str]]:
        paths = [[rows[row].path for row in one] for one in sets]
        return [one for one in paths if frozenset(one) not in equal]

    result.copies, result.contradicting_copies = named(copies.certain), named(copies.contradictions)
    result.leaking_copies = named(copies.across)
    result.recordings = [recordings.summary(), *recordings.notes(), *copies.takes_lines()]
    result.odd_pictures = {rows[odd.row].path: odd.reason for odd in find_odd(recordings.signatures)}


def _balance(result: Audit, manifests: Sequence[Manifest], rows: Sequence[_Row]) -> None:
    names = manifests[0].class_names
    counts: dict[str, np.ndarray] = {}
    videos = Counter(row.split for row in rows)
    for row in rows:
        counts.setdefault(row.split, np.zeros(len(names), np.int64))[list(row.labels)] += 1
    for split, count in counts.items():
        there = count[count > 0]
        empty = [name for name, n in zip(names, count.tolist(), strict=True) if not n]
        result.balance.append(
            ClassBalance(
                split, videos[split], len(there), int(there.min()), float(np.median(there)), int(there.max()), empty
            )
        )
