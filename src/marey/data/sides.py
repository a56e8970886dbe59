"""Which videos of a data set are trained on, and which are held out: by its split column, by a second list, or by lot."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from marey.base.errors import DataError
from marey.base.words import counted
from marey.data.class_order import in_class_order
from marey.data.formats import check_root, is_list, read_manifest
from marey.data.manifest import Manifest
from marey.data.rows import frame_ranges_of, times_of
from marey.data.split import split_manifest
from marey.data.split_names import TEST, TRAIN, VAL, split_column


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
    if isinstance(val, Manifest):
        return replace(trained, held_out=in_class_order(val, whole.class_names, of="the training list"))
    second = _canonical(read_manifest(val, root=_root_of(val, root), classes=whole.class_names))
    held = next((name for name in (VAL, TEST) if name in second.split_names), None)
    held_out = second if held is None else second.split(held)
    notes = list(trained.notes)
    if rest := len(second) - len(held_out):
        notes.append(f"{val}: {counted(rest, 'video')} of other splits than {held!r} used for nothing.")
    return replace(trained, held_out=held_out, notes=tuple(notes))


def sides_of(whole: Manifest) -> Sides:
    """The sides of a manifest by its split column: "train", and "val" or, where no row is that, "test"; without the column,
    all of it is for training.

    Raises:
        DataError: no row is for training.
    """
    whole = _canonical(whole)
    held = next((name for name in (VAL, TEST) if name in whole.split_names), None)
    trained = _trained(whole, held)
    return trained if held is None else replace(trained, held_out=whole.split(held))


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


def split_counts(manifest: Manifest) -> str:
    """The videos of each split: "train: 12, val: 6"."""
    counts = Counter([] if manifest.splits is None else manifest.splits.tolist())
    order = (TRAIN, VAL, TEST)
    names = [name for name in order if name in counts] + sorted(set(counts) - set(order))
    return ", ".join(f"{name or '(none)'}: {counts[name]:,}" for name in names)


def joined(sides: Sides) -> Manifest:
    """Both sides as one manifest with a split column, to be written as a list."""
    parts = [(sides.train, TRAIN)] + ([] if sides.held_out is None else [(sides.held_out, sides.held_out_as)])
    roots = {part.root for part, _ in parts}
    ids = [part.ids if len(roots) == 1 else np.array([str(part.root / name) for name in part.ids]) for part, _ in parts]
    width = max(1 if part.label_sets is None else part.label_sets.shape[1] for part, _ in parts)
    several = any(part.label_sets is not None for part, _ in parts)
    timed = any(part.times is not None for part, _ in parts)
    framed = any(part.frame_ranges is not None for part, _ in parts)
    grouped = any(part.groups is not None for part, _ in parts)
    return Manifest(
        np.concatenate(ids),
        np.concatenate([part.labels for part, _ in parts]),
        sides.train.class_names,
        sides.train.root if len(roots) == 1 else Path(),
        np.concatenate([np.full(len(part), name) for part, name in parts]),
        np.concatenate([_groups(part) for part, _ in parts]) if grouped else None,
        np.concatenate([times_of(part) for part, _ in parts]) if timed else None,
        sides.train.source,
        np.concatenate([_label_sets(part, width) for part, _ in parts]) if several else None,
        np.concatenate([frame_ranges_of(part) for part, _ in parts]) if framed else None,
    )


def _trained(whole: Manifest, held: str | None = None) -> Sides:
    """The rows for training, and a line for every split but that and `held`."""
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
    for name in sorted(set(counts) - {TRAIN, held}):
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
