"""Which videos of a data set are trained on, and which are held out: by its split column, by a second list, or by lot."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np

from marey.base.address import absolute, path_in
from marey.base.errors import DataError
from marey.base.words import counted
from marey.data.files.missing import refuse_addresses
from marey.data.lists.class_order import in_class_order
from marey.data.lists.formats import check_root, is_list, read_manifest
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import frame_ranges_of, times_of
from marey.data.lists.split_names import TEST, TRAIN, VAL, split_column
from marey.data.splits.split import split_manifest


@dataclass(frozen=True)
class Sides:
    """The videos to train on and those to validate on, if any; `notes` say what becomes of the others."""

    train: Manifest
    held_out: Manifest | None
    notes: tuple[str, ...] = ()

    @property
    def held_out_as(self) -> str:
        """The split that the held-out videos are of: "test" where a list has no other, else "val"."""
        return TEST if self.held_out is not None and self.held_out.split_names == (TEST,) else VAL

    @property
    def tested(self) -> dict[str, Manifest]:
        """The held-out videos by the name of their split; empty where there are none."""
        return {} if self.held_out is None else {self.held_out_as: self.held_out}


def read_sides(
    data: str | Path | Manifest,
    val: str | Path | Manifest | None = None,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
) -> Sides:
    """The training and validation videos that a user names.

    `val` is the held-out side where it is given, with the classes of `data`: all of a manifest; of a list or folder with
    a split column the rows for validation, or in their absence for testing. Beside it, a manifest as `data` is all for
    training. Without it the split column of `data` decides likewise. `root` and `classes` are as `read_manifest` takes them.

    Raises:
        DataError: of a split column no row is for training, a label of `val` is no class of `data`, or `root` can have no
            effect.
    """
    paths = [source for source in (data, val) if isinstance(source, str | Path)]
    if paths:
        check_root(root, *paths)
    whole = data if isinstance(data, Manifest) else read_manifest(data, root=_root_of(data, root), classes=classes)
    if val is None:
        return sides_of(whole)
    trained = Sides(whole, None) if isinstance(data, Manifest) else _trained(whole)
    held_out, notes = _second_list(val, whole.class_names, first=VAL, root=root)
    return replace(trained, held_out=held_out, notes=(*trained.notes, *notes))


def sides_of(whole: Manifest) -> Sides:
    """The sides of a manifest by its split column: "train", and "val" or, where no row is that, "test"; without the column,
    all of it is for training.

    Raises:
        DataError: no row is for training.
    """
    whole = _canonical(whole)
    held = next((name for name in (VAL, TEST) if name in whole.split_names), None)
    trained = _trained(whole, *([] if held is None else [held]))
    return trained if held is None else replace(trained, held_out=whole.split(held))


@dataclass(frozen=True)
class Given:
    """The videos that a classifier is fitted on, and those that it is only tested on."""

    train: Manifest
    tested: dict[str, Manifest]
    """By the name of their split, "val" and "test"; only those that there are."""
    notes: tuple[str, ...] = ()
    """What becomes of the others."""


def read_given(
    data: str | Path | Manifest,
    val: str | Path | Manifest | None = None,
    test: str | Path | Manifest | None = None,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
) -> Given:
    """The videos to fit a classifier on, and those for validation and for testing, each of which is optional.

    All that `data` has, where it has no split column, else its rows for training; the other sides are its rows for
    validation and for testing, or `val` and `test` in their place, which are read as `read_sides` reads `val`.

    Raises:
        DataError: as `read_sides`.
    """
    paths = [source for source in (data, val, test) if isinstance(source, str | Path)]
    if paths:
        check_root(root, *paths)
    whole = data if isinstance(data, Manifest) else read_manifest(data, root=_root_of(data, root), classes=classes)
    refuse_addresses("training a classifier", whole)
    whole = _canonical(whole)
    names = [name for name in (VAL, TEST) if name in whole.split_names]
    tested = {name: whole.split(name) for name in names}
    trained = _trained(whole, *names)
    notes = list(trained.notes)
    for name, given in ((VAL, val), (TEST, test)):
        if given is not None:
            tested[name], more = _second_list(given, whole.class_names, first=name, root=root)
            notes += more
    refuse_addresses("training a classifier", *tested.values())
    return Given(trained.train, tested, tuple(notes))


def _second_list(
    given: str | Path | Manifest, class_names: tuple[str, ...], *, first: str, root: str | Path | None
) -> tuple[Manifest, list[str]]:
    """The held-out videos of a second list: of a split column the rows of the split `first`, in their absence those of the
    other held-out split; and lines on what is not used.
    """
    if isinstance(given, Manifest):
        return in_class_order(given, class_names, of="the training list"), []
    second = _canonical(read_manifest(given, root=_root_of(given, root), classes=class_names))
    order = (VAL, TEST) if first == VAL else (TEST, VAL)
    held = next((name for name in order if name in second.split_names), None)
    found = second if held is None else second.split(held)
    rest = len(second) - len(found)
    return found, [f"{given}: {counted(rest, 'video')} of other splits than {held!r} used for nothing."] if rest else []


def with_held_out(sides: Sides, *, share: float, seed: int) -> Sides:
    """Hold a share of the training videos out where no side is held out yet (`split_manifest`).

    Raises:
        DataError: a class has a single source of clips.
    """
    if sides.held_out is not None:
        return sides
    divided = split_manifest(sides.train, val=share, seed=seed)
    return replace(
        sides, train=divided.split(TRAIN), held_out=divided.split(VAL) if VAL in divided.split_names else None
    )


def divide(manifest: Manifest, *, share: float, seed: int) -> Manifest:
    """The manifest with a share of its training videos marked as "val" (`split_manifest`), others as they are.

    One whose split column has rows for validation stays as it is.

    Raises:
        DataError: of a split column no row is for training, or a class has a single source of clips.
    """
    whole = _canonical(manifest)
    if whole.splits is None:
        return split_manifest(whole, val=share, seed=seed)
    train = _trained(whole).train
    if VAL in whole.split_names:
        return whole
    splits = whole.splits.copy()
    splits[splits == TRAIN] = split_manifest(train, val=share, seed=seed).splits
    return whole.with_splits(splits)


def class_table(train: Manifest, held_out: Mapping[str, Manifest], shown: int = 50) -> list[str]:
    """Lines of a table of how many videos each class has for training and in each split that is held out, of the first
    `shown` classes.
    """
    columns = {TRAIN: train, **held_out}
    counts = [part.multi_hot().sum(0).astype(int).tolist() for part in columns.values()]
    width = max(map(len, (*train.class_names[:shown], "class")))
    rows = list(zip(train.class_names, *counts, strict=True))
    lines = [f"{'class':{width}}" + "".join(f"{name:>8}" for name in columns)]
    lines += [f"{name:{width}}" + "".join(f"{count:>8,}" for count in row) for name, *row in rows[:shown]]
    return [*lines, f"... and {counted(len(rows) - shown, 'more class')}"] if len(rows) > shown else lines


def split_counts(manifest: Manifest) -> str:
    """The videos of each split: "train: 12, val: 6"."""
    counts = Counter([] if manifest.splits is None else manifest.splits.tolist())
    order = (TRAIN, VAL, TEST)
    names = [name for name in order if name in counts] + sorted(set(counts) - set(order))
    return ", ".join(f"{name or '(none)'}: {counts[name]:,}" for name in names)


def joined(train: Manifest, held_out: Mapping[str, Manifest]) -> Manifest:
    """All sides as one manifest with a split column, to be written as a list; `held_out` by the names of their splits.

    A video of several sides is of the first of them: a list has each video once.
    """
    parts = [(train, TRAIN), *((part, name) for name, part in held_out.items())]
    roots = {part.root for part, _ in parts}
    ids = [
        part.ids if len(roots) == 1 else np.array([path_in(part.root, str(name)) for name in part.ids])
        for part, _ in parts
    ]
    width = max(1 if part.label_sets is None else part.label_sets.shape[1] for part, _ in parts)
    several = any(part.label_sets is not None for part, _ in parts)
    timed = any(part.times is not None for part, _ in parts)
    framed = any(part.frame_ranges is not None for part, _ in parts)
    grouped = any(part.groups is not None for part, _ in parts)
    whole = Manifest(
        np.concatenate(ids),
        np.concatenate([part.labels for part, _ in parts]),
        train.class_names,
        train.root if len(roots) == 1 else Path(),
        np.concatenate([np.full(len(part), name) for part, name in parts]),
        np.concatenate([_groups(part) for part, _ in parts]) if grouped else None,
        np.concatenate([times_of(part) for part, _ in parts]) if timed else None,
        train.source,
        np.concatenate([_label_sets(part, width) for part, _ in parts]) if several else None,
        np.concatenate([frame_ranges_of(part) for part, _ in parts]) if framed else None,
    )
    rows: dict[str, int] = {}
    for row, video in enumerate(whole.videos):
        rows.setdefault(video.id, row)
    return whole if len(rows) == len(whole) else whole[np.array(list(rows.values()), np.int64)]


def shared_notes(train: Manifest, tested: Mapping[str, Manifest]) -> tuple[str, ...]:
    """A line for every two sides that have videos in common, by their paths: such a test says nothing of new videos."""
    if not tested:
        return ()
    sides = {TRAIN: train, **tested}
    entries = {name: {(absolute(video.path), video.part_text) for video in side.videos} for name, side in sides.items()}
    lines = []
    for one, other in combinations(sides, 2):
        if count := len(entries[one] & entries[other]):
            are = counted(count, "video is", "videos are")
            lines.append(f"{one} and {other}: {are} in both.")
    return tuple(lines)


def _trained(whole: Manifest, *held: str) -> Sides:
    """The rows for training, and a line for every split but that and those that are `held` out."""
    whole = _canonical(whole)
    if whole.splits is None:
        return Sides(whole, None)
    counts = Counter(whole.splits.tolist())
    if TRAIN not in counts:
        raise DataError(
            f"{whole.source or 'the list'}: no row is for training (train): its splits are {split_counts(whole)}. Known "
            "words are train, val and test, and what is commonly used for them (training, validation, valid, dev, testing)."
        )
    notes = []
    for name in sorted(set(counts) - {TRAIN, *held}):
        videos = counted(counts[name], "video")
        if name in (VAL, TEST):
            notes.append(
                f"split {name!r}: {videos} not used here: marey evaluate RUN --data {whole.source} --split {name}."
            )
        else:
            word = f"split {name!r}" if name else "no split"
            notes.append(f"{word}: {videos} used for nothing; the words for splits are train, val and test.")
    return Sides(whole.split(TRAIN), None, tuple(notes))


def _canonical(manifest: Manifest) -> Manifest:
    """The manifest with the common names of its splits; without the column where all of it is blank."""
    if manifest.splits is None or not any(manifest.split_names):
        return replace(manifest, splits=None)
    return manifest.with_splits(split_column(manifest.splits.tolist()))


def _root_of(source: str | Path, root: str | Path | None) -> str | Path | None:
    """The folder of a list's relative paths; a folder per class has none."""
    return root if is_list(source) else None


def _groups(part: Manifest) -> np.ndarray:
    return np.full(len(part), "") if part.groups is None else part.groups


def _label_sets(part: Manifest, width: int) -> np.ndarray:
    sets = part.labels[:, None] if part.label_sets is None else part.label_sets
    return np.pad(sets, ((0, 0), (0, width - sets.shape[1])), constant_values=-1)
