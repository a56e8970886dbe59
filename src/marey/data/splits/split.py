"""Hold videos out so that clips of one source, and equal files, are on one side; say what is on both sides of a split."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.random import random_for
from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.files.identity import equal_contents, paths_of
from marey.data.lists.formats import read_manifest
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import frame_ranges_of, times_of
from marey.data.lists.sources import Sources, find_sources, joined_sources
from marey.data.lists.videos import first_of
from marey.data.recordings.units import NAMED, find_copies, joined_units


def split_manifest(manifest: Manifest, *, val: float = 0.2, seed: int = 0) -> Manifest:
    """Mark about a share `val` of each class as "val", the rest as "train". Videos of one source stay together, and so do
    files of equal content. Deterministic in `seed`.

    A source is the manifest's group, else what the file names tell (`marey.data.lists.sources`). Where names leave a
    class without videos on one side, they are passed over, which a warning says. Of a class with copies of one file
    alone none is held out, which another one says.

    Raises:
        DataError: a class has a single group, or a single video: it cannot be on both sides.
    """
    if not 0 < val < 1:
        raise DataError(f"the share to hold out must lie between 0 and 1, got {val:g}.")
    contents = find_copies(manifest)
    of_copies = _classes_of_copies(manifest, contents)
    if of_copies[np.unique(manifest.labels)].all():
        return manifest.with_splits(np.full(len(manifest), "train"))
    sources = find_sources(manifest)
    try:
        return manifest.with_splits(
            _sides(manifest, joined_units(sources, contents, manifest.ids), of_copies, val, seed)
        )
    except DataError:
        copies = sources.together.any() and _copies_prevent(manifest, sources, of_copies, val, seed)
        why = "with equal files of several of them on one side, a class would be on that side alone"
        if sources.given and copies:
            raise DataError(f"{manifest.source}: groups cannot be kept together: {why}: leave copies out.") from None
        if sources.given or not sources.together.any():
            raise
        unknown = replace(sources, together=np.zeros(len(manifest), np.bool_))
        found = manifest.with_splits(
            _sides(manifest, joined_units(unknown, contents, manifest.ids), of_copies, val, seed)
        )
        because = (
            f"{why} (leave copies out)"
            if copies
            else "a class would be on one side alone (add a column `group`, or more recordings)"
        )
        warning(f"the sources that file names tell are not kept together: {because}")
        return found


def _copies_prevent(manifest: Manifest, sources: Sources, of_copies: NDArray[np.bool_], val: float, seed: int) -> bool:
    """Whether sources could be kept together if no two files were equal."""
    try:
        _sides(manifest, joined_units(sources, np.full(len(manifest), -1), manifest.ids), of_copies, val, seed)
    except DataError:
        return False
    return True


@dataclass(frozen=True)
class BothSides:
    """What is known of the sources and contents that are on both sides of a split."""

    sources: str
    """In words: what was found, or that names do not tell."""
    sources_shared: bool
    contents: str | None
    """In words, where files of both lists have equal content."""

    @property
    def lines(self) -> tuple[str, ...]:
        sources = f"training and validation: {self.sources}"
        return (sources,) if self.contents is None else (sources, self.contents)


def both_sides(train: Manifest, val: Manifest) -> BothSides:
    """The sources and the contents of files that are on both sides of a split."""
    names = np.repeat(["train", "val"], [len(train), len(val)])
    sources = joined_sources([train, val])
    contents = equal_contents([*paths_of(train), *paths_of(val)]).tolist()
    # Other parts of the same file are its source's clips, not the same video.
    keys = list(zip(contents, [*_parts(train), *_parts(val)], strict=True))
    seen = set(keys[: len(train)])
    rows = [row for row, key in enumerate(keys[len(train) :]) if key in seen and key[0] >= 0]
    common = (
        f"{counted(len(rows), 'file')} of the {len(val)} for validation {'is' if len(rows) == 1 else 'are'} in the training "
        f"list too, by content: {first_of(val.ids[rows].tolist(), NAMED)}"
    )
    shared = bool(sources.on_several_sides(names))
    return BothSides(sources.describe(names), shared, common if rows else None)


def copies_across(manifest: Manifest) -> str | None:
    """In words, where files of equal content have different splits."""
    assert manifest.splits is not None
    splits_of: dict[tuple[int, tuple[float, ...]], set[str]] = {}
    keys = list(zip(equal_contents(paths_of(manifest)).tolist(), _parts(manifest), strict=True))
    for key, split in zip(keys, manifest.splits.tolist(), strict=True):
        splits_of.setdefault(key, set()).add(split)
    rows = [row for row, key in enumerate(keys) if key[0] >= 0 and len(splits_of[key]) > 1]
    if not rows:
        return None
    names = first_of(manifest.ids[rows].tolist(), NAMED)
    return f"{counted(len(rows), 'file')} have copies in another split, by content: {names}"


def check_sides(train: Manifest, val: Manifest) -> None:
    """Say what is on both sides of a split: a warning where something is."""
    found = both_sides(train, val)
    say = warning if found.sources_shared else notice
    say(found.lines[0])
    if found.contents is not None:
        warning(found.contents)


def _parts(manifest: Manifest) -> list[tuple[float, ...]]:
    """Which part of its file each video is: start and end, -1 where it has none (NaN equals nothing), and its frames."""
    columns = np.nan_to_num(times_of(manifest), nan=-1.0), frame_ranges_of(manifest)
    return list(map(tuple, np.hstack(columns).tolist()))


def split_again(folder: Manifest, file: Path) -> Manifest:
    """The videos and the split of a run that is resumed, whatever its folder holds by now. What was added and
    removed since is counted in a warning.

    Args:
        folder: The folder's videos now.
        file: The run's own list, split.csv.

    Raises:
        DataError: it cannot be read, or a class of it has no folder any more.
    """
    recorded = read_manifest(file, classes=folder.class_names)
    now, then = (_real_paths(one) for one in (folder, recorded))
    of_path = dict(zip(now, folder.ids.tolist(), strict=True))
    came, went = len(set(now) - set(then)), sum(path not in of_path for path in then)
    if came or went:
        warning(
            f"{folder.source}: {counted(came, 'video')} came and {went} went since the run began; it goes on with its own "
            f"{len(recorded)} (for all that are there now begin another run: leave out --resume, choose another --out)"
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
    """[K]: the classes of which all files, two or more, are copies of one; parts of a file are none."""
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


def _sides(
    manifest: Manifest, of_row: NDArray[np.int64], of_copies: NDArray[np.bool_], val: float, seed: int
) -> NDArray[np.str_]:
    """The side of each video [N], for groups `of_row` [N]; those with a video of the classes `of_copies` [K] are for
    training.

    Raises:
        DataError: a class would be on one side alone.
    """
    random = random_for(seed)
    held: set[int] = set()
    kept = set(of_row[of_copies[manifest.labels]].tolist())
    classes = np.argsort(np.bincount(manifest.labels, minlength=len(manifest.class_names)), kind="stable")
    for label in classes.tolist():
        rows = manifest.labels == label
        if rows.any() and not of_copies[label]:
            _hold_out(manifest, label, of_row, rows, held, kept, val, random)
    sides = np.where(np.isin(of_row, list(held)), "val", "train")
    for label, name in enumerate(manifest.class_names):
        if len(set(sides[manifest.labels == label].tolist())) == 1 and not of_copies[label]:
            raise DataError(
                f"{manifest.source}: every source of class {name} fell on one side; split by hand or more clips."
            )
    return sides


def _hold_out(
    manifest: Manifest,
    label: int,
    of_row: NDArray[np.int64],
    rows: NDArray[np.bool_],
    held: set[int],
    kept: set[int],
    val: float,
    random: np.random.RandomState,
) -> None:
    """Add groups of one class to `held` until its share is reached, none of `kept`; groups that hold several classes
    count for each.
    """
    sizes = np.bincount(of_row[rows])
    candidates = np.flatnonzero(sizes)
    if len(candidates) < 2:
        what = "video" if sizes.sum() == 1 else "source (group, or file)"
        raise DataError(
            f"{manifest.source}: class {manifest.class_names[label]} has only one {what}: "
            "to train and to test takes at least two."
        )
    wanted = max(1.0, val * sizes.sum())
    free = sum(g not in held for g in candidates.tolist())
    have = sum(int(sizes[g]) for g in candidates.tolist() if g in held)
    for group in random.permutation(candidates).tolist():
        if have + sizes[group] / 2 > wanted or free < 2:
            if have:
                break
            continue
        if group not in held and group not in kept:
            held.add(group)
            have += int(sizes[group])
            free -= 1
    if not have:
        free_ones = [group for group in candidates.tolist() if group not in kept]
        held |= set(sorted(free_ones, key=lambda group: sizes[group])[:1])
