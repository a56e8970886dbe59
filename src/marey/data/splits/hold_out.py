"""Holding videos out for validation so that videos of one recording, and equal files, stay in one split."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.base.reporter import warning
from marey.base.words import counted, verb
from marey.data.lists.manifest import Manifest
from marey.data.lists.read_manifest import read_manifest
from marey.data.lists.videos import first_of
from marey.data.recordings.groups import NAMED, find_equal_contents, number_groups
from marey.data.recordings.names import RecordingNames, find_recording_names


def split_manifest(manifest: Manifest, *, val: float = 0.2, seed: int = 0) -> Manifest:
    """Mark about a share `val` of each class as "val", the rest as "train". The videos of a recording stay together,
    and so do files of equal content. The split depends on the list and `seed` alone.

    Recordings are the groups of the manifest's column `group`, else what file names show (`marey.data.recordings.names`).
    Where recordings by names would leave a class without videos in one split, they are ignored, with a warning. A class
    that consists of copies of one file is all for training, also with a warning.

    Raises:
        DataError: a class has a single group, or a single video: it cannot be in both splits; or `val` is no share.
    """
    if not 0 < val < 1:
        raise DataError(f"the share to hold out must lie between 0 and 1, got {val:g}.")
    contents = find_equal_contents(manifest)
    of_copies = _classes_of_copies(manifest, contents)
    if of_copies[np.unique(manifest.labels)].all():
        return manifest.with_splits(np.full(len(manifest), "train"))
    recordings = find_recording_names(manifest)
    try:
        return manifest.with_splits(
            _assign_splits(manifest, number_groups(recordings, contents, manifest.ids), of_copies, val, seed)
        )
    except DataError:
        copies = recordings.together.any() and _copies_prevent(manifest, recordings, of_copies, val, seed)
        why = "equal files join several of them, so that a class would be in one split alone"
        if recordings.given and copies:
            raise DataError(f"{manifest.source}: groups cannot be kept together: {why}: leave copies out.") from None
        if recordings.given or not recordings.together.any():
            raise
        unknown = replace(recordings, together=np.zeros(len(manifest), np.bool_))
        divided = manifest.with_splits(
            _assign_splits(manifest, number_groups(unknown, contents, manifest.ids), of_copies, val, seed)
        )
        because = (
            f"{why} (leave copies out)"
            if copies
            else "a class would be in one split alone (add a column `group`, or more recordings)"
        )
        warning(f"the recordings that file names show are not kept together: {because}")
        return divided


def _copies_prevent(
    manifest: Manifest, recordings: RecordingNames, of_copies: NDArray[np.bool_], val: float, seed: int
) -> bool:
    """Whether recordings could be kept together if no two files were equal."""
    try:
        _assign_splits(
            manifest, number_groups(recordings, np.full(len(manifest), -1), manifest.ids), of_copies, val, seed
        )
    except DataError:
        return False
    return True


def resumed_split(folder: Manifest, file: Path) -> Manifest:
    """The videos and splits with which a resumed run began, whatever its data folder contains now. A warning counts the
    videos that were added and removed since then.

    Args:
        folder: The folder's videos now.
        file: The run's own list, split.csv.

    Raises:
        DataError: the list cannot be read, or one of its classes no longer has a folder.
    """
    recorded = read_manifest(file, classes=folder.class_names)
    now, then = (_real_paths(one) for one in (folder, recorded))
    of_path = dict(zip(now, folder.ids.tolist(), strict=True))
    added, removed = len(set(now) - set(then)), sum(path not in of_path for path in then)
    if added or removed:
        warning(
            f"{folder.source}: {counted(added, 'video')} {verb(added, 'was', 'were')} added and {removed} removed since the "
            f"run began; it resumes with its own {len(recorded)} (to train on all that are there now, begin another "
            "run: leave out --resume, and choose another --out)"
        )
    root = folder.root.resolve()
    ids = [of_path.get(path) or os.path.relpath(path, root).replace(os.sep, "/") for path in then]
    used = np.unique(recorded.labels)
    names = tuple(folder.class_names[label] for label in used.tolist())
    labels = np.searchsorted(used, recorded.labels)
    return replace(folder, ids=np.array(ids), labels=labels, class_names=names, splits=recorded.splits)


def _real_paths(manifest: Manifest) -> list[str]:
    root = manifest.root.resolve()
    return [os.path.normpath(os.path.join(root, name)) for name in manifest.ids.tolist()]  # noqa: PTH118


def _classes_of_copies(manifest: Manifest, contents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[K]: the classes whose files, two or more, are all copies of one; segments of a file are no copies. A warning names
    these classes.
    """
    found = np.zeros(len(manifest.class_names), np.bool_)
    if manifest.times is None and manifest.frame_ranges is None:
        for label in range(len(found)):
            own = contents[manifest.labels == label]
            found[label] = len(own) > 1 and own[0] >= 0 and bool((own == own[0]).all())
    if found.any():
        names = [name for name, is_one in zip(manifest.class_names, found.tolist(), strict=True) if is_one]
        warning(
            f"all files of a class are copies of one, by content, in {counted(len(names), 'class')}: "
            f"{first_of(names, NAMED)}: all are for training and none is held out (add videos that differ)"
        )
    return found


def _assign_splits(
    manifest: Manifest, groups: NDArray[np.int64], of_copies: NDArray[np.bool_], val: float, seed: int
) -> NDArray[np.str_]:
    """The split of each video [N], "train" or "val".

    Args:
        manifest: The list.
        groups: [N]: the number of each video's group.
        of_copies: [K]: the classes whose groups are all for training.
        val: The share of each class for validation.
        seed: The seed of the choice.

    Raises:
        DataError: a class would be in one split alone.
    """
    random = random_for(seed)
    held: set[int] = set()
    training = set(groups[of_copies[manifest.labels]].tolist())
    classes = np.argsort(np.bincount(manifest.labels, minlength=len(manifest.class_names)), kind="stable")
    for label in classes.tolist():
        rows = manifest.labels == label
        if rows.any() and not of_copies[label]:
            _hold_out(manifest, label, groups[rows], held, training, val, random)
    splits = np.where(np.isin(groups, list(held)), "val", "train")
    for label, name in enumerate(manifest.class_names):
        if len(set(splits[manifest.labels == label].tolist())) == 1 and not of_copies[label]:
            raise DataError(
                f"{manifest.source}: every recording of class {name} is in one split; split by hand, or add videos."
            )
    return splits


def _hold_out(
    manifest: Manifest,
    label: int,
    groups: NDArray[np.int64],
    held: set[int],
    training: set[int],
    val: float,
    random: np.random.RandomState,
) -> None:
    """Add groups of one class to `held` until the class's share is reached. A group of several classes counts for each.

    Args:
        manifest: The list.
        label: The class.
        groups: The group of each video of the class.
        held: The groups that are held out; changed in place.
        training: Groups that must not be held out.
        val: The share to hold out, 0 to 1.
        random: The source of the choice.
    """
    sizes = np.bincount(groups)
    candidates = np.flatnonzero(sizes)
    if len(candidates) < 2:
        what = "video" if sizes.sum() == 1 else "recording (group, or file)"
        raise DataError(
            f"{manifest.source}: class {manifest.class_names[label]} has only one {what}: "
            "at least two are needed to train and to test."
        )
    wanted = max(1.0, val * sizes.sum())
    free = sum(g not in held for g in candidates.tolist())
    have = sum(int(sizes[g]) for g in candidates.tolist() if g in held)
    for group in random.permutation(candidates).tolist():
        if have + sizes[group] / 2 > wanted or free < 2:
            if have:
                break
            continue
        if group not in held and group not in training:
            held.add(group)
            have += int(sizes[group])
            free -= 1
    if not have:
        free_groups = [group for group in candidates.tolist() if group not in training]
        held |= set(sorted(free_groups, key=lambda group: sizes[group])[:1])
