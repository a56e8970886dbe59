"""From a public data set as it was downloaded to lists of what is there, checked against what was published."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marey.base.errors import DataError
from marey.base.files import write_json
from marey.base.nearest import did_you_mean
from marey.base.words import counted
from marey.data.catalogue.hmdb51 import Hmdb51
from marey.data.catalogue.kinetics import KINETICS400, KINETICS600, KINETICS700
from marey.data.catalogue.published import Clip, Files, Part, PublishedSet
from marey.data.catalogue.ucf101 import Ucf101
from marey.data.files.probe import Check, Probe, ProbeCache, probe_cache
from marey.data.lists.manifest import make_manifest
from marey.data.lists.scan import find_videos

PUBLISHED_SETS: tuple[PublishedSet, ...] = (KINETICS400, KINETICS600, KINETICS700, Ucf101(), Hmdb51())

_SHORT_FRAMES = 16
"""Fewer frames than this are too short where no length is promised."""

_SHORT_BY = 1.0
"""Seconds that a clip may lack of its promised length."""


@dataclass(frozen=True)
class Count:
    """One split in numbers: published, in the list, found, and what is wrong; `usable` clips are in the list written."""

    list_name: str
    split: str
    official: int | None
    announced: int | None
    listed: int
    missing: int
    unreadable: int
    short: int
    usable: int


@dataclass
class Preparation:
    """What came of it. Names are clips' or files', paths are relative to `folder`."""

    dataset: str
    folder: str
    check: Check
    counts: list[Count] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    """The lists that were written."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """Per split: clips that no file is."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Per file: why."""
    short: dict[str, str] = field(default_factory=dict)
    """Per file: how short. They stay in the lists."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Per file: what of it is not among its frames. They stay in the lists."""
    duplicates: dict[str, list[str]] = field(default_factory=dict)
    """Per clip: its files; the first one that can be read is listed."""
    misplaced: dict[str, str] = field(default_factory=dict)
    """Per file in the folder of another class: the class that counts."""
    extra: list[str] = field(default_factory=list)
    """Files that are no clip of the set."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def published_set(name: str) -> PublishedSet:
    """A public data set by name.

    Raises:
        DataError: none of that name.
    """
    found = next((s for s in PUBLISHED_SETS if s.name == name), None)
    if found is None:
        names = [s.name for s in PUBLISHED_SETS]
        raise DataError(
            f"{name!r} is no data set that can be prepared ({', '.join(names)}).{did_you_mean(name, names)}"
        )
    return found


def prepare(
    dataset: PublishedSet,
    folder: Path,
    *,
    out: Path | None = None,
    lists: Sequence[Path] = (),
    check: Check = "open",
    workers: int | None = 0,
    cache: ProbeCache | None = None,
) -> Preparation:
    """Find a public data set's clips below `folder`, check them, and write a list per split (Kinetics: train, val, test;
    UCF101 and HMDB51: one list per official split, with a split column) and a report to `out` (else `folder`).

    Lists hold the clips that are there and can be read. A file that is found twice counts once, by the first copy that
    can be read. Probes are kept in the cache folder: a second call checks only what changed.

    Raises:
        DataError: no such folder, nothing of the set in it, or a list that breaks its format.
    """
    files, extra = _by_key(dataset, find_videos(folder))
    parts = dataset.parts(folder, files, lists)
    clips = {clip.key: clip for part in parts for clip in part.clips}
    wanted = {key: files[key] for key in clips if key in files}
    if not wanted:
        raise DataError(f"{folder}: holds no clip of {dataset.name} ({counted(len(extra), 'video')} of other names).")
    result = Preparation(dataset.name, str(folder), check)
    result.extra = sorted([*extra, *(path for key in files if key not in clips for path in files[key])])
    result.duplicates = {key: list(paths) for key, paths in wanted.items() if len(paths) > 1}
    result.misplaced = {
        path: clips[key].label for key, paths in wanted.items() for path in paths if dataset.misplaced(path, clips[key])
    }
    probes = _probes(folder, wanted, check, workers, cache)
    result.unreadable = {path: probe.error for path, probe in probes.items() if not probe.readable}
    result.left_out = {path: probe.left_out for path, probe in probes.items() if probe.left_out}
    usable = {key: path for key, paths in wanted.items() if (path := _first_readable(paths, probes))}
    result.short = {
        path: f"{probes[path].seconds:g} s, {counted(probes[path].frames, 'frame')}"
        for key, path in usable.items()
        if check != "files" and _short(probes[path], clips[key])
    }
    result.counts = [_count(part, wanted, usable, result) for part in parts]
    result.missing = {
        f"{part.list_name} {part.split}": missing
        for part in parts
        if (missing := [clip.key for clip in part.clips if clip.key not in wanted])
    }
    target = out or folder
    result.lists = _write_lists(dataset, folder, target, parts, usable)
    write_json(target / f"{dataset.name}_prepare.json", result.as_json())
    return result


def _by_key(dataset: PublishedSet, paths: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    files: dict[str, list[str]] = {}
    extra: list[str] = []
    for path in paths:
        key = dataset.key(path)
        if key is None:
            extra.append(path)
        else:
            files.setdefault(key, []).append(path)
    return files, extra


def _probes(
    folder: Path, wanted: Files, check: Check, workers: int | None, cache: ProbeCache | None
) -> dict[str, Probe]:
    paths = [path for found in wanted.values() for path in found]
    cache = cache or (ProbeCache(None) if check == "files" else probe_cache(folder))
    probes = cache.probes([f"{folder}/{path}" for path in paths], check=check, workers=workers)
    return dict(zip(paths, probes, strict=True))


def _first_readable(paths: Sequence[str], probes: dict[str, Probe]) -> str | None:
    return next((path for path in paths if probes[path].readable), None)


def _short(probe: Probe, clip: Clip) -> bool:
    return probe.seconds < clip.seconds - _SHORT_BY if clip.seconds else probe.frames < _SHORT_FRAMES


def _count(part: Part, wanted: Files, usable: dict[str, str], result: Preparation) -> Count:
    keys = [clip.key for clip in part.clips]
    there = sum(key in wanted for key in keys)
    good = sum(key in usable for key in keys)
    return Count(
        part.list_name,
        part.split,
        part.official,
        part.announced,
        listed=len(keys),
        missing=len(keys) - there,
        unreadable=there - good,
        short=sum(usable.get(key) in result.short for key in keys),
        usable=good,
    )


def _write_lists(
    dataset: PublishedSet, folder: Path, out: Path, parts: Sequence[Part], usable: dict[str, str]
) -> list[str]:
    """One CSV per list name; clips whose labels are held back are counted, never listed."""
    written = []
    for name in dict.fromkeys(part.list_name for part in parts):
        rows = [
            (usable[clip.key], clip.label, part.split, clip.group)
            for part in parts
            if part.list_name == name
            for clip in part.clips
            if clip.label and clip.key in usable
        ]
        if not rows:
            continue
        manifest = make_manifest(
            [row[:2] for row in rows],
            root=folder,
            source=name,
            classes=dataset.class_names,
            splits=[row[2] for row in rows],
            groups=[row[3] for row in rows],
        )
        path = out / f"{name}.csv"
        manifest.write_csv(path)
        written.append(str(path))
    return written
