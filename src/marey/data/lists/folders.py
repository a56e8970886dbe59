"""A folder of videos, or of folders of frames, as a list with labels: a folder per class, divided into splits or not."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from marey.base.errors import DataError
from marey.base.order import natural_order
from marey.base.reporter import warning_once
from marey.base.words import counted
from marey.data.lists.class_files import read_classes
from marey.data.lists.manifest import Manifest, make_manifest
from marey.data.lists.scan import Scan, scan_folder
from marey.data.lists.split_names import TEST, TRAIN, VAL, classes_by_split, is_split_name, split_name


def list_folder(folder: str | Path, *, classes: Sequence[str] | str | Path | None = None) -> Manifest:
    """A manifest of a folder with a folder of videos (or of folders of frames) per class.

    The names of the folders are the classes, in natural order (2 before 10), also where they are numbers; `classes`, as
    `read_manifest` takes them, gives their order instead. A folder that is divided (train/CLASS/video, val/CLASS/video; or
    CLASS/train/video, ...; by the words of `split_names`, in any capitals) gives a split column. Folders called train, val
    or test are classes themselves where `classes` names every folder. Hidden files do not count; files that are no videos,
    videos without a class and folders without videos are counted in a warning.

    Raises:
        DataError: no folder, no videos in it, a single class, a class that is none of `classes`, or a folder of which one
            cannot know whether it is divided.
    """
    names = read_classes(classes) if isinstance(classes, str | Path) else classes
    scan = scan_folder(folder)
    scan.tell_of_others()
    parts = [path.split("/") for path in scan.videos]
    order = _order(str(folder), parts, names)
    depth = max(order.of_class, -1 if order.of_split is None else order.of_split) + 1
    inside = [path for path in parts if len(path) > depth]
    _tell_of_lost(scan, [path for path in parts if len(path) <= depth], {tuple(p[:depth]) for p in inside})
    if not inside:
        raise DataError(f"{folder}: expected a folder of videos per class, but {_instead(scan)}.{scan.tables}")
    labels = [path[order.of_class].strip() for path in inside]
    splits = None if order.of_split is None else [split_name(path[order.of_split]) for path in inside]
    found = natural_order(set(labels))
    if names is not None:
        _check_classes(str(folder), Counter(labels), names)
    elif len(found) < 2:
        raise DataError(
            f"{folder}: only one class, {found[0]}; telling apart takes at least two.{_deeper(folder, inside)}"
        )
    if splits is not None:
        _check_spelling(str(folder), labels, splits)
    rows = [("/".join(path), label) for path, label in zip(inside, labels, strict=True)]
    manifest = make_manifest(
        rows, root=Path(folder), source=str(folder), classes=found if names is None else names, splits=splits
    )
    if different := classes_by_split(manifest.class_names, manifest.labels, manifest.splits):
        warning_once(f"{folder}: not every split has every class: {different}.")
    return manifest


@dataclass(frozen=True)
class _Order:
    """Which part of a video's path is its class, and which its split, if any."""

    of_class: int
    of_split: int | None = None


def _order(folder: str, parts: Sequence[Sequence[str]], classes: Sequence[str] | None) -> _Order:
    """How a folder is divided.

    Raises:
        DataError: one cannot know.
    """
    tops = natural_order({path[0] for path in parts if len(path) > 1})
    with_folders = {path[0] for path in parts if len(path) > 2}
    if classes is None or not {top.strip() for top in tops} <= set(classes):
        words = [top for top in tops if is_split_name(top)]
        if words and len(words) == len(tops) and with_folders:
            _refuse_two_words(folder, words)
            _refuse_words_inside(folder, parts)
            return _Order(of_class=1, of_split=0)
        if words:
            raise _unclear(folder, words, [top for top in tops if top not in words])
        if with_folders == set(tops) and _look_like_splits(tops):
            raise DataError(
                f"{folder}: {_some(tops)} look like the splits of a data set, but these are not their names (train, val, "
                f"test): rename them, or {_by_hand(folder, tops)}. Where they are classes, say so "
                "with --classes FILE."
            )
    below = [path for path in parts if len(path) > 2 and is_split_name(path[1])]
    if len({split_name(path[1]) for path in below}) < 2:
        return _Order(of_class=0)
    elsewhere = ["/".join(path) for path in parts if len(path) > 1 and not (len(path) > 2 and is_split_name(path[1]))]
    if elsewhere:
        raise DataError(
            f"{folder}: {counted(len(below), 'video')} in folders such as {'/'.join(below[0][:2])}, which are called as "
            f"splits are, and {counted(len(elsewhere), 'video')} in none ({_some(elsewhere)}): move these, or rename those."
        )
    for top in tops:
        _refuse_two_words(f"{folder}/{top}", sorted({path[1] for path in below if path[0] == top}))
    return _Order(of_class=0, of_split=1)


def _refuse_two_words(folder: str, words: Sequence[str]) -> None:
    for name in (TRAIN, VAL, TEST):
        alike = [word for word in words if split_name(word) == name]
        if len(alike) > 1:
            raise DataError(
                f"{folder}: the folders {' and '.join(alike)} both mean the split {name!r}: rename, move or join them."
            )


def _refuse_words_inside(folder: str, parts: Sequence[Sequence[str]]) -> None:
    twice = sorted({"/".join(path[:2]) for path in parts if len(path) > 2 and is_split_name(path[1])})
    if twice:
        raise DataError(
            f"{folder}: divided into splits, and in them lies {_some(twice)}, called as a split too: name the folder "
            "that has train, val or test with class folders in it, or rename."
        )


def _unclear(folder: str, words: Sequence[str], others: Sequence[str]) -> DataError:
    """Whether folders with the names of splits are splits or classes cannot be known."""
    insist = "where they are classes themselves, name every class in a file: --classes FILE (classes=[...] in Python)"
    if not others:
        return DataError(
            f"{folder}: {_some(words)} {'is' if len(words) == 1 else 'are'} called as splits are and without class folders: "
            f"sort the videos into a folder per class ({words[0]}/CLASS/video); {insist}."
        )
    return DataError(
        f"{folder}: {_some(words)} {'is' if len(words) == 1 else 'are'} called as splits are, and beside "
        f"{'it' if len(words) == 1 else 'them'} {'lies' if len(others) == 1 else 'lie'} {_some(others)}. Where they are "
        f"splits, {_by_hand(folder, [*words, *others])}; {insist}."
    )


def _by_hand(folder: str, words: Sequence[str]) -> str:
    """To name a single split, and the command that trains on splits which are named one by one."""
    named = {name: word for word in reversed(words) for name in _names_in(word)}
    train, held = named.get(TRAIN, "TRAIN"), named.get(VAL) or named.get(TEST)
    command = f"marey train {folder}/{train}" + (f" --val {folder}/{held}" if held else "")
    return f"name one of them in place of {folder} ({command})"


def _names_in(text: str) -> set[str]:
    """The splits of which a folder's name has a word: of train_256 it is train."""
    return {split_name(word) for word in re.split(r"[^a-z]+", text.lower()) if is_split_name(word)}


def _look_like_splits(tops: Sequence[str]) -> bool:
    names = [_names_in(top) for top in tops]
    return all(len(name) == 1 for name in names) and len(set().union(*names)) > 1


def _tell_of_lost(scan: Scan, loose: Sequence[Sequence[str]], used: set[tuple[str, ...]]) -> None:
    """Count the videos that lie in no folder of a class, and the folders in which no video lies."""
    if loose and used:
        paths = ["/".join(path) for path in loose]
        warning_once(f"{scan.folder}: {counted(len(paths), 'video')} in no class's folder, left out: {_some(paths)}.")
    # Where a class's folder may be: at the top, or below the folder of a split or class that has videos.
    above = {folder[:-1] for folder in used} | {()}
    taken = {folder[:depth] for folder in used for depth in (1, 2)} | {tuple(path[:1]) for path in loose}
    frames = set(scan.videos)
    empty = [
        folder
        for folder in scan.folders
        if folder not in frames and (path := tuple(folder.split("/")))[:-1] in above and path not in taken
    ]
    if empty and used:
        are = "folder has no video and is no class" if len(empty) == 1 else "folders have no video and are no classes"
        warning_once(f"{scan.folder}: {len(empty)} {are}: {_some(empty)}.")


def _instead(scan: Scan) -> str:
    if scan.is_frames:
        return "it is itself a folder of images, one video"
    if scan.videos and set(scan.videos) <= set(scan.folders):
        return "each of its folders holds images, which makes it one video: a class is a folder of such folders"
    if scan.videos:
        return "the videos lie loose in it: sort them into one folder per class"
    return "it has no folders of videos"


def _deeper(folder: str | Path, inside: Sequence[Sequence[str]]) -> str:
    """A hint at the folder below, where that has several folders of videos."""
    below = {path[1] for path in inside if len(path) > 2}
    return f" Did you mean {folder}/{inside[0][0]}?" if len(below) > 1 else ""


def _check_classes(folder: str, found: Counter[str], classes: Sequence[str]) -> None:
    known = set(classes)
    strange = [f"{name} ({counted(count, 'video')})" for name, count in found.items() if name not in known]
    if strange:
        what = "the class folder" if len(strange) == 1 else f"{len(strange)} class folders,"
        raise DataError(
            f"{folder}: {what} {_some(strange)} {'is' if len(strange) == 1 else 'are'} none of the "
            f"{counted(len(classes), 'class')} "
            f"({_some(classes)})."
        )


def _check_spelling(folder: str, labels: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse a class that one split spells otherwise than another."""
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
                f"{folder}: one class, spelled in two ways by its splits? {each}: rename the folders alike."
            )


def _some(names: Iterable[str], shown: int = 5) -> str:
    listed = list(names)
    return ", ".join(listed[:shown]) + (f", and {len(listed) - shown:,} more" if len(listed) > shown else "")
