"""`list_folder`: a folder with one folder of videos or of frames per class, with or without splits, as a manifest."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import DataError
from marey.base.names import natural_order
from marey.base.reporter import warning_once
from marey.base.words import counted
from marey.data.lists.class_files import read_classes
from marey.data.lists.folder_scan import Scan, scan_folder
from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.lists.split_names import TEST, TRAIN, VAL, classes_by_split, is_split_name, split_name


def list_folder(folder: str | Path, *, classes: Sequence[str] | str | Path | None = None) -> Manifest:
    """A manifest of a folder with a folder of videos, or of folders of frames, per class.

    The names of the folders are the classes, in natural order (2 before 10). Numbers are names, too, and no indices.
    `classes`, as `read_manifest` takes them, sets another order. Folders of splits (train/CLASS/video, val/CLASS/video, or
    CLASS/train/video; by the words of `split_names`, in any capitals) give a column `split`. If `classes` names every
    folder, folders called train, val or test are classes. Hidden files are skipped. A warning counts files that are no
    videos, videos without a class, and folders without videos.

    Raises:
        DataError: the folder does not exist, has no videos or a single class, has a class that is none of `classes`, or does
            not show whether it is divided into splits.
    """
    names = read_classes(classes) if isinstance(classes, str | Path) else classes
    scan = scan_folder(folder)
    scan.report_others()
    paths = [path.split("/") for path in scan.videos]
    levels = _find_levels(str(folder), paths, names)
    depth = max(levels.of_class, -1 if levels.of_split is None else levels.of_split) + 1
    inside = [path for path in paths if len(path) > depth]
    _report_unused(scan, [path for path in paths if len(path) <= depth], {tuple(p[:depth]) for p in inside})
    if not inside:
        raise DataError(f"{folder}: expected a folder of videos per class, but {_what_it_is(scan)}.{scan.parquet_hint}")
    labels = [path[levels.of_class].strip() for path in inside]
    splits = None if levels.of_split is None else [split_name(path[levels.of_split]) for path in inside]
    folder_names = natural_order(set(labels))
    if names is not None:
        _check_classes(str(folder), Counter(labels), names)
    elif len(folder_names) < 2:
        raise DataError(
            f"{folder}: only one class, {folder_names[0]}; a classifier needs at least two.{_deeper(folder, inside)}"
        )
    if splits is not None:
        _check_spelling(str(folder), labels, splits)
    rows = [("/".join(path), label) for path, label in zip(inside, labels, strict=True)]
    manifest = make_manifest(
        rows, root=Path(folder), source=str(folder), classes=folder_names if names is None else names, splits=splits
    )
    if different := classes_by_split(manifest.class_names, manifest.labels, manifest.splits):
        warning_once(f"{folder}: not every split has every class: {different}.")
    return manifest


@dataclass(frozen=True)
class _Levels:
    """Which folder of a video's path is that of its class, and which that of its split, counted from 0."""

    of_class: int
    """The part of a path, from 0, that is the folder of a class."""
    of_split: int | None = None
    """The part of a path, from 0, that is the folder of a split. None: there are no folders of splits."""


def _find_levels(folder: str, paths: Sequence[Sequence[str]], classes: Sequence[str] | None) -> _Levels:
    """The levels of classes and splits, from the paths of the videos; each path is given as its parts.

    Raises:
        DataError: the names of the folders may be those of splits or of classes.
    """
    tops = natural_order({path[0] for path in paths if len(path) > 1})
    with_folders = {path[0] for path in paths if len(path) > 2}
    if classes is None or not {top.strip() for top in tops} <= set(classes):
        words = [top for top in tops if is_split_name(top)]
        if words and len(words) == len(tops) and with_folders:
            _refuse_repeated_splits(folder, words)
            _refuse_nested_splits(folder, paths)
            return _Levels(of_class=1, of_split=0)
        if words:
            raise _ambiguous(folder, words, [top for top in tops if top not in words])
        if with_folders == set(tops) and _look_like_splits(tops):
            raise DataError(
                f"{folder}: {_some(tops)} look like the splits of a data set, but are not named as splits (train, val, "
                f"test): rename them, or {_split_advice(folder, tops)}. If they are classes, name them with --classes FILE."
            )
    below = [path for path in paths if len(path) > 2 and is_split_name(path[1])]
    if len({split_name(path[1]) for path in below}) < 2:
        return _Levels(of_class=0)
    elsewhere = ["/".join(path) for path in paths if len(path) > 1 and not (len(path) > 2 and is_split_name(path[1]))]
    if elsewhere:
        raise DataError(
            f"{folder}: {counted(len(below), 'video')} in folders such as {'/'.join(below[0][:2])}, which are named as "
            f"splits, and {counted(len(elsewhere), 'video')} in none ({_some(elsewhere)}): move these, or rename those."
        )
    for top in tops:
        _refuse_repeated_splits(f"{folder}/{top}", sorted({path[1] for path in below if path[0] == top}))
    return _Levels(of_class=0, of_split=1)


def _refuse_repeated_splits(folder: str, words: Sequence[str]) -> None:
    for name in (TRAIN, VAL, TEST):
        alike = [word for word in words if split_name(word) == name]
        if len(alike) > 1:
            raise DataError(
                f"{folder}: the folders {' and '.join(alike)} both mean the split {name!r}: rename, move or join them."
            )


def _refuse_nested_splits(folder: str, paths: Sequence[Sequence[str]]) -> None:
    twice = sorted({"/".join(path[:2]) for path in paths if len(path) > 2 and is_split_name(path[1])})
    if twice:
        raise DataError(
            f"{folder}: divided into splits, and in them is {_some(twice)}, named as a split, too: give the folder "
            "that has train, val or test with class folders in it, or rename."
        )


def _ambiguous(folder: str, words: Sequence[str], others: Sequence[str]) -> DataError:
    """The error that the folders `words` may be splits or classes; `others` are the folders beside them."""
    insist = "if they are classes, name every class in a file: --classes FILE (classes=[...] in Python)"
    if not others:
        return DataError(
            f"{folder}: {_some(words)} {'is' if len(words) == 1 else 'are'} named as splits and without class folders: "
            f"sort the videos into a folder per class ({words[0]}/CLASS/video); {insist}."
        )
    return DataError(
        f"{folder}: {_some(words)} {'is' if len(words) == 1 else 'are'} named as splits, and beside "
        f"{'it' if len(words) == 1 else 'them'} {'is' if len(others) == 1 else 'are'} {_some(others)}. If they are "
        f"splits, {_split_advice(folder, [*words, *others])}; {insist}."
    )


def _split_advice(folder: str, words: Sequence[str]) -> str:
    """The advice to name the folder of one split only, and a command that names each split's folder."""
    named = {name: word for word in reversed(words) for name in _names_in(word)}
    train, held = named.get(TRAIN, "TRAIN"), named.get(VAL) or named.get(TEST)
    command = f"marey train {folder}/{train}" + (f" --val {folder}/{held}" if held else "")
    return f"give one of them instead of {folder} ({command})"


def _names_in(text: str) -> set[str]:
    """The splits that words in a folder's name stand for: {"train"} for train_256."""
    return {split_name(word) for word in re.split(r"[^a-z]+", text.lower()) if is_split_name(word)}


def _look_like_splits(tops: Sequence[str]) -> bool:
    names = [_names_in(top) for top in tops]
    return all(len(name) == 1 for name in names) and len(set().union(*names)) > 1


def _report_unused(scan: Scan, loose: Sequence[Sequence[str]], used: set[tuple[str, ...]]) -> None:
    """Warn of the videos outside folders of classes, `loose`, and of folders without videos; `used` are the paths of the
    folders of classes, as their parts.
    """
    if loose and used:
        paths = ["/".join(path) for path in loose]
        warning_once(f"{scan.folder}: {counted(len(paths), 'video')} in no class's folder, left out: {_some(paths)}.")
    # Folders of classes may be at the top, or below the folder of a split or class with videos.
    above = {folder[:-1] for folder in used} | {()}
    known = {folder[:depth] for folder in used for depth in (1, 2)} | {tuple(path[:1]) for path in loose}
    frames = set(scan.videos)
    empty = [
        folder
        for folder in scan.folders
        if folder not in frames and (path := tuple(folder.split("/")))[:-1] in above and path not in known
    ]
    if empty and used:
        are = "folder has no video and is no class" if len(empty) == 1 else "folders have no video and are no classes"
        warning_once(f"{scan.folder}: {len(empty)} {are}: {_some(empty)}.")


def _what_it_is(scan: Scan) -> str:
    if scan.is_frames:
        return "it is itself a folder of images, which is one video"
    if scan.videos and set(scan.videos) <= set(scan.folders):
        return "each of its folders holds images, which makes it one video: a class is a folder of such folders"
    if scan.videos:
        return "its videos are in no folder of a class: sort them into one folder per class"
    return "it has no folders of videos"


def _deeper(folder: str | Path, inside: Sequence[Sequence[str]]) -> str:
    """For the message, the question whether the only class folder was meant, if it has several folders; "" otherwise."""
    below = {path[1] for path in inside if len(path) > 2}
    return f" Did you mean {folder}/{inside[0][0]}?" if len(below) > 1 else ""


def _check_classes(folder: str, found: Counter[str], classes: Sequence[str]) -> None:
    known = set(classes)
    unknown = [f"{name} ({counted(count, 'video')})" for name, count in found.items() if name not in known]
    if unknown:
        what = "the class folder" if len(unknown) == 1 else f"{len(unknown)} class folders,"
        raise DataError(
            f"{folder}: {what} {_some(unknown)} {'is' if len(unknown) == 1 else 'are'} none of the "
            f"{counted(len(classes), 'class')} "
            f"({_some(classes)})."
        )


def _check_spelling(folder: str, labels: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse a class that two splits spell differently."""
    spelled: dict[str, dict[str, set[str]]] = {}
    for label, split in set(zip(labels, splits, strict=True)):
        plain = re.sub(r"[\s_-]+", "", label.casefold())
        spelled.setdefault(plain, {}).setdefault(label, set()).add(split)
    for alike in spelled.values():
        names = sorted(alike)
        if len(names) > 1 and not any(alike[one] & alike[other] for one in names for other in names if one != other):
            count = Counter(labels)
            each = ", ".join(
                f"{name} ({', '.join(sorted(alike[name]))}: {counted(count[name], 'video')})" for name in names
            )
            raise DataError(
                f"{folder}: one class, spelled in two ways by its splits? {each}: give the folders the same name."
            )


def _some(names: Iterable[str], shown: int = 5) -> str:
    listed = list(names)
    return ", ".join(listed[:shown]) + (f", and {len(listed) - shown:,} more" if len(listed) > shown else "")
