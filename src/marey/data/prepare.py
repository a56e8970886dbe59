"""`prepare`: lists of the clips of a downloaded public data set, compared with the published lists.

As in the papers on these data sets, a clip is here a short video that was cut from a recording.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from marey.base.errors import DataError
from marey.base.files import write_json
from marey.base.names import did_you_mean
from marey.base.words import counted
from marey.data.catalogue.hmdb51 import HMDB51
from marey.data.catalogue.kinetics import KINETICS400, KINETICS600, KINETICS700
from marey.data.catalogue.published import FilesByClip, PublishedClip, PublishedSet, PublishedSplit
from marey.data.catalogue.ucf101 import UCF101
from marey.data.files.video_info import Check, VideoInfo, VideoInfoCache, video_info_cache
from marey.data.lists.folder_scan import find_videos
from marey.data.lists.manifest import make_manifest

PUBLISHED_SETS: tuple[PublishedSet, ...] = (KINETICS400, KINETICS600, KINETICS700, UCF101, HMDB51)

_SHORT_FRAMES = 16
"""A clip with fewer frames is too short, if the published list states no length."""

_SHORT_BY = 1.0
"""Seconds by which a clip may be shorter than its stated length."""


@dataclass(frozen=True)
class Count:
    """The numbers of clips of one split."""

    list_name: str
    """The name of the list that is written, without suffix."""
    split: str
    """The split, as the column `split` of that list has it."""
    official: int | None
    """Clips that were published; None: not known."""
    announced: int | None
    """Clips in the copy of the data set that MMAction v0.2.0 was measured on; None: not known."""
    listed: int
    """Clips of the split by the published list."""
    missing: int
    """Listed clips without a file."""
    unreadable: int
    """Listed clips with files of which none can be read."""
    short: int
    """Usable clips that are too short."""
    usable: int
    """Listed clips with a file that can be read: those of the list that is written."""


@dataclass
class Preparation:
    """The result of `prepare`. The paths of videos are relative to `folder`."""

    dataset: str
    """The name of the data set."""
    folder: str
    """The folder of its files."""
    check: Check
    """How its files were checked."""
    counts: list[Count] = field(default_factory=list)
    """The numbers of clips of each split."""
    lists: list[str] = field(default_factory=list)
    """The lists that were written."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    """For each list and split ("kinetics400_val val"), the clips without a file."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """For each file that cannot be read, the reason."""
    short: dict[str, str] = field(default_factory=dict)
    """For each file that is too short, its length in seconds and frames, as text. It stays in the lists."""
    left_out: dict[str, str] = field(default_factory=dict)
    """For each file that is not read completely, what is left out of it. The file stays in the lists."""
    duplicates: dict[str, list[str]] = field(default_factory=dict)
    """For each clip with several files, their paths; the first file that can be read is listed."""
    misplaced: dict[str, str] = field(default_factory=dict)
    """For each file in the folder of another class, the published class, which is the one that is listed."""
    extra: list[str] = field(default_factory=list)
    """Files that are no clip of the data set."""

    def as_json(self) -> dict[str, Any]:
        """All fields, for a report."""
        return asdict(self)


def published_set(name: str) -> PublishedSet:
    """A public data set by name.

    Raises:
        DataError: there is no data set with this name.
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
    cache: VideoInfoCache | None = None,
) -> Preparation:
    """Find and check the clips of a public data set, and write lists of them and a report (<data set>_prepare.json).

    The lists have the clips with a file that can be read. Of several files of a clip, the first that can be read is taken.
    Results of checks are cached: a second call checks only files that are new or changed.

    Args:
        dataset: The data set.
        folder: The folder with its files, which may be in folders below it.
        out: The folder for the lists and the report; None: `folder`. Kinetics has one list per split; UCF101 and HMDB51 have
            one per official split, with the column `split`.
        lists: The published lists (Kinetics); empty: those that are found in `folder`.
        check: How files are checked.
        workers: Processes; None: one per core, 0: this one.
        cache: Cached information on the files; None: that of the cache folder.

    Raises:
        DataError: the folder does not exist or has no clip of the data set, or a list breaks its format.
    """
    files, extra = _files_by_clip(dataset, find_videos(folder))
    splits = dataset.splits(folder, files, lists)
    clips = {clip.key: clip for split in splits for clip in split.clips}
    wanted = {key: files[key] for key in clips if key in files}
    if not wanted:
        raise DataError(f"{folder}: holds no video of {dataset.name} ({counted(len(extra), 'video')} of other names).")
    result = Preparation(dataset.name, str(folder), check)
    result.extra = sorted([*extra, *(path for key in files if key not in clips for path in files[key])])
    result.duplicates = {key: list(paths) for key, paths in wanted.items() if len(paths) > 1}
    result.misplaced = {
        path: clips[key].label for key, paths in wanted.items() for path in paths if dataset.misplaced(path, clips[key])
    }
    infos = _inspect(folder, wanted, check, workers, cache)
    result.unreadable = {path: info.error for path, info in infos.items() if not info.readable}
    result.left_out = {path: info.left_out for path, info in infos.items() if info.left_out}
    usable = {key: path for key, paths in wanted.items() if (path := _first_readable(paths, infos))}
    result.short = {
        path: f"{infos[path].seconds:g} s, {counted(infos[path].frames, 'frame')}"
        for key, path in usable.items()
        if check != "files" and _is_too_short(infos[path], clips[key])
    }
    result.counts = [_split_count(split, wanted, usable, result) for split in splits]
    result.missing = {
        f"{split.list_name} {split.split}": missing
        for split in splits
        if (missing := [clip.key for clip in split.clips if clip.key not in wanted])
    }
    target = out or folder
    result.lists = _write_lists(dataset, folder, target, splits, usable)
    write_json(target / f"{dataset.name}_prepare.json", result.as_json())
    return result


def _files_by_clip(dataset: PublishedSet, paths: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The files of each clip, by its key, and the files that are no clip."""
    files: dict[str, list[str]] = {}
    extra: list[str] = []
    for path in paths:
        key = dataset.key(path)
        if key is None:
            extra.append(path)
        else:
            files.setdefault(key, []).append(path)
    return files, extra


def _inspect(
    folder: Path, wanted: FilesByClip, check: Check, workers: int | None, cache: VideoInfoCache | None
) -> dict[str, VideoInfo]:
    """What is known of each wanted file."""
    paths = [path for of_clip in wanted.values() for path in of_clip]
    cache = cache or (VideoInfoCache(None) if check == "files" else video_info_cache(folder))
    infos = cache.inspect([f"{folder}/{path}" for path in paths], check=check, workers=workers)
    return dict(zip(paths, infos, strict=True))


def _first_readable(paths: Sequence[str], infos: dict[str, VideoInfo]) -> str | None:
    return next((path for path in paths if infos[path].readable), None)


def _is_too_short(info: VideoInfo, clip: PublishedClip) -> bool:
    return info.seconds < clip.seconds - _SHORT_BY if clip.seconds else info.frames < _SHORT_FRAMES


def _split_count(split: PublishedSplit, wanted: FilesByClip, usable: dict[str, str], result: Preparation) -> Count:
    keys = [clip.key for clip in split.clips]
    found = sum(key in wanted for key in keys)
    readable = sum(key in usable for key in keys)
    return Count(
        split.list_name,
        split.split,
        split.official,
        split.announced,
        listed=len(keys),
        missing=len(keys) - found,
        unreadable=found - readable,
        short=sum(usable.get(key) in result.short for key in keys),
        usable=readable,
    )


def _write_lists(
    dataset: PublishedSet, folder: Path, out: Path, splits: Sequence[PublishedSplit], usable: dict[str, str]
) -> list[str]:
    """Write one CSV per list name; clips whose labels were not published are left out. Returns the paths of the lists."""
    written = []
    for name in dict.fromkeys(split.list_name for split in splits):
        rows = [
            (usable[clip.key], clip.label, split.split, clip.group)
            for split in splits
            if split.list_name == name
            for clip in split.clips
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
