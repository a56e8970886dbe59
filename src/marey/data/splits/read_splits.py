"""Which videos of a data set are trained on and which are held out: by its split column, a second list, or at random."""

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
from marey.data.lists.manifest import Manifest, frame_ranges_of, in_class_order, times_of
from marey.data.lists.read_manifest import check_root, is_list, read_manifest
from marey.data.lists.split_names import TEST, TRAIN, VAL, split_column
from marey.data.splits.hold_out import split_manifest


@dataclass(frozen=True)
class TrainVal:
    """The videos to train on, and those to validate on, if any."""

    train: Manifest
    """The videos to train on."""
    held_out: Manifest | None
    """The videos of "val", or of "test" where a list has no "val"; None where there are none."""
    notes: tuple[str, ...] = ()
    """Sentences on the videos that are not used; () for none."""

    @property
    def held_out_as(self) -> str:
        """The name of the split of the held-out videos: "test" where a list has no other, else "val"."""
        return TEST if self.held_out is not None and self.held_out.split_names == (TEST,) else VAL

    @property
    def tested(self) -> dict[str, Manifest]:
        """The held-out videos by the name of their split; empty where there are none."""
        return {} if self.held_out is None else {self.held_out_as: self.held_out}


def read_train_val(
    data: str | Path | Manifest,
    val: str | Path | Manifest | None = None,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
) -> TrainVal:
    """The training and validation videos of one or two sources.

    Args:
        data: The training videos. Without `val`, its split column divides them, as `train_val_of` says. With `val`, all
            videos of a manifest are for training; of a list or folder with a split column, the rows for training.
        val: The held-out videos, with the classes of `data`: all videos of a manifest; of a list or folder with a split
            column, the rows for validation, or where there are none, for testing. None: the held-out videos of `data`.
        root: As in `read_manifest`.
        classes: As in `read_manifest`.

    Raises:
        DataError: a split column has no row for training, a label of `val` is no class of `data`, or `root` has no effect.
    """
    paths = [source for source in (data, val) if isinstance(source, str | Path)]
    if paths:
        check_root(root, *paths)
    entire = data if isinstance(data, Manifest) else read_manifest(data, root=_root_of(data, root), classes=classes)
    if val is None:
        return train_val_of(entire)
    trained = TrainVal(entire, None) if isinstance(data, Manifest) else _training_rows(entire)
    held_out, notes = _second_list(val, entire.class_names, first=VAL, root=root)
    return replace(trained, held_out=held_out, notes=(*trained.notes, *notes))


def train_val_of(entire: Manifest) -> TrainVal:
    """A manifest divided by its split column: the rows "train", and as held-out videos the rows "val", or if there are none,
    "test". Without the column, all videos are for training.

    Raises:
        DataError: no row is for training.
    """
    entire = _with_common_names(entire)
    held = next((name for name in (VAL, TEST) if name in entire.split_names), None)
    trained = _training_rows(entire, *([] if held is None else [held]))
    return trained if held is None else replace(trained, held_out=entire.split(held))


@dataclass(frozen=True)
class TrainValTest:
    """The videos that a classifier is fitted on, and those that it is only tested on."""

    train: Manifest
    """The videos that the classifier is fitted on."""
    tested: dict[str, Manifest]
    """The videos of the splits "val" and "test", as far as they exist."""
    notes: tuple[str, ...] = ()
    """Sentences on the videos that are not used; () for none."""


def read_train_val_test(
    data: str | Path | Manifest,
    val: str | Path | Manifest | None = None,
    test: str | Path | Manifest | None = None,
    *,
    root: str | Path | None = None,
    classes: Sequence[str] | str | Path | None = None,
) -> TrainValTest:
    """The videos to fit a classifier on, and optionally those for validation and for testing.

    Args:
        data: The training videos are its rows for training, or all without a split column. Its rows for validation and
            for testing are the videos of these splits.
        val: Replaces the validation videos of `data`; read as `read_train_val` reads `val`.
        test: Replaces the test videos of `data`, likewise.
        root: As in `read_manifest`.
        classes: As in `read_manifest`.

    Raises:
        DataError: as `read_train_val`, or videos are on servers.
    """
    paths = [source for source in (data, val, test) if isinstance(source, str | Path)]
    if paths:
        check_root(root, *paths)
    entire = data if isinstance(data, Manifest) else read_manifest(data, root=_root_of(data, root), classes=classes)
    refuse_addresses("training a classifier", entire)
    entire = _with_common_names(entire)
    names = [name for name in (VAL, TEST) if name in entire.split_names]
    tested = {name: entire.split(name) for name in names}
    trained = _training_rows(entire, *names)
    notes = list(trained.notes)
    for name, source in ((VAL, val), (TEST, test)):
        if source is not None:
            tested[name], more = _second_list(source, entire.class_names, first=name, root=root)
            notes += more
    refuse_addresses("training a classifier", *tested.values())
    return TrainValTest(trained.train, tested, tuple(notes))


def _second_list(
    source: str | Path | Manifest, class_names: tuple[str, ...], *, first: str, root: str | Path | None
) -> tuple[Manifest, list[str]]:
    """The held-out videos of a second list, and notes on videos that are not used. Of a list with a split column, the rows
    of the split `first` are held out, or where there are none, those of the other one of "val" and "test".
    """
    if isinstance(source, Manifest):
        return in_class_order(source, class_names, of="the training list"), []
    second = _with_common_names(read_manifest(source, root=_root_of(source, root), classes=class_names))
    order = (VAL, TEST) if first == VAL else (TEST, VAL)
    held = next((name for name in order if name in second.split_names), None)
    used = second if held is None else second.split(held)
    rest = len(second) - len(used)
    return used, [f"{source}: {counted(rest, 'video')} of splits other than {held!r} are not used."] if rest else []


def with_held_out(splits: TrainVal, *, share: float, seed: int) -> TrainVal:
    """Hold a share of the training videos out (`split_manifest`), unless videos are held out already.

    Raises:
        DataError: a class has a single recording.
    """
    if splits.held_out is not None:
        return splits
    divided = split_manifest(splits.train, val=share, seed=seed)
    return replace(
        splits, train=divided.split(TRAIN), held_out=divided.split(VAL) if VAL in divided.split_names else None
    )


def mark_val_share(manifest: Manifest, *, share: float, seed: int) -> Manifest:
    """Mark a share of the training videos as "val" (`split_manifest`), unless the split column has such rows already. Other
    rows keep their split.

    Raises:
        DataError: the split column has no row for training, or a class has a single recording.
    """
    entire = _with_common_names(manifest)
    if entire.splits is None:
        return split_manifest(entire, val=share, seed=seed)
    train = _training_rows(entire).train
    if VAL in entire.split_names:
        return entire
    splits = entire.splits.copy()
    splits[splits == TRAIN] = split_manifest(train, val=share, seed=seed).splits
    return entire.with_splits(splits)


def class_table(train: Manifest, held_out: Mapping[str, Manifest], shown: int = 50) -> list[str]:
    """Lines of a table of the number of videos that each class has in each split, for the first `shown` classes."""
    columns = {TRAIN: train, **held_out}
    counts = [manifest.multi_hot().sum(0).astype(int).tolist() for manifest in columns.values()]
    width = max(map(len, (*train.class_names[:shown], "class")))
    rows = list(zip(train.class_names, *counts, strict=True))
    lines = [f"{'class':{width}}" + "".join(f"{name:>8}" for name in columns)]
    lines += [f"{name:{width}}" + "".join(f"{count:>8,}" for count in row) for name, *row in rows[:shown]]
    return [*lines, f"... and {counted(len(rows) - shown, 'more class')}"] if len(rows) > shown else lines


def split_counts(manifest: Manifest) -> str:
    """The number of videos in each split: "train: 12, val: 6"."""
    counts = Counter([] if manifest.splits is None else manifest.splits.tolist())
    order = (TRAIN, VAL, TEST)
    names = [name for name in order if name in counts] + sorted(set(counts) - set(order))
    return ", ".join(f"{name or '(none)'}: {counts[name]:,}" for name in names)


def join_splits(train: Manifest, held_out: Mapping[str, Manifest]) -> Manifest:
    """All splits as one manifest with a split column, to be written as a list.

    A video that is in several splits gets the first of them, since a list has each video once.

    Args:
        train: The training videos.
        held_out: The other videos by the names of their splits.
    """
    manifests = [(train, TRAIN), *((manifest, name) for name, manifest in held_out.items())]
    roots = {one.root for one, _ in manifests}
    ids = [
        one.ids if len(roots) == 1 else np.array([path_in(one.root, str(name)) for name in one.ids])
        for one, _ in manifests
    ]
    width = max(1 if one.label_sets is None else one.label_sets.shape[1] for one, _ in manifests)
    several = any(one.label_sets is not None for one, _ in manifests)
    timed = any(one.times is not None for one, _ in manifests)
    framed = any(one.frame_ranges is not None for one, _ in manifests)
    grouped = any(one.groups is not None for one, _ in manifests)
    joined = Manifest(
        np.concatenate(ids),
        np.concatenate([one.labels for one, _ in manifests]),
        train.class_names,
        train.root if len(roots) == 1 else Path(),
        np.concatenate([np.full(len(one), name) for one, name in manifests]),
        np.concatenate([_groups(one) for one, _ in manifests]) if grouped else None,
        np.concatenate([times_of(one) for one, _ in manifests]) if timed else None,
        train.source,
        np.concatenate([_label_sets(one, width) for one, _ in manifests]) if several else None,
        np.concatenate([frame_ranges_of(one) for one, _ in manifests]) if framed else None,
    )
    rows: dict[str, int] = {}
    for row, video in enumerate(joined.videos):
        rows.setdefault(video.id, row)
    return joined if len(rows) == len(joined) else joined[np.array(list(rows.values()), np.int64)]


def shared_video_notes(train: Manifest, tested: Mapping[str, Manifest]) -> tuple[str, ...]:
    """A line for each two splits that share videos, by paths: accuracy on training videos does not hold for new ones."""
    if not tested:
        return ()
    splits = {TRAIN: train, **tested}
    entries = {
        name: {(absolute(video.path), video.part_text) for video in manifest.videos}
        for name, manifest in splits.items()
    }
    lines = []
    for one, other in combinations(splits, 2):
        if count := len(entries[one] & entries[other]):
            are = counted(count, "video is", "videos are")
            lines.append(f"{one} and {other}: {are} in both.")
    return tuple(lines)


def _training_rows(entire: Manifest, *held: str) -> TrainVal:
    """The rows for training, with a note on each other split except those in `held`.

    Raises:
        DataError: no row is for training.
    """
    entire = _with_common_names(entire)
    if entire.splits is None:
        return TrainVal(entire, None)
    counts = Counter(entire.splits.tolist())
    if TRAIN not in counts:
        raise DataError(
            f"{entire.source or 'the list'}: no row is for training (train): its splits are {split_counts(entire)}. Known "
            "words are train, val and test, and what is commonly used for them (training, validation, valid, dev, testing)."
        )
    notes = []
    for name in sorted(set(counts) - {TRAIN, *held}):
        are = counted(counts[name], "video is", "videos are")
        if name in (VAL, TEST):
            notes.append(
                f"split {name!r}: {are} not used here: marey evaluate RUN --data {entire.source} --split {name}."
            )
        else:
            word = f"split {name!r}" if name else "no split"
            notes.append(f"{word}: {are} not used; the words for splits are train, val and test.")
    return TrainVal(entire.split(TRAIN), None, tuple(notes))


def _with_common_names(manifest: Manifest) -> Manifest:
    """The manifest with "train", "val" and "test" for the known words for splits, and without the column if it is empty."""
    if manifest.splits is None or not any(manifest.split_names):
        return replace(manifest, splits=None)
    return manifest.with_splits(split_column(manifest.splits.tolist()))


def _root_of(source: str | Path, root: str | Path | None) -> str | Path | None:
    """The folder of the relative paths in a list; None for a folder of videos, since `root` is for lists only."""
    return root if is_list(source) else None


def _groups(manifest: Manifest) -> np.ndarray:
    return np.full(len(manifest), "") if manifest.groups is None else manifest.groups


def _label_sets(manifest: Manifest, width: int) -> np.ndarray:
    sets = manifest.labels[:, None] if manifest.label_sets is None else manifest.label_sets
    return np.pad(sets, ((0, 0), (0, width - sets.shape[1])), constant_values=-1)
