"""`Manifest`: a list of videos with labels. It holds columns, not a list of objects, so that a million rows stay small."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, is_address, path_in
from marey.base.errors import DataError
from marey.base.files import atomic_path
from marey.base.jsonable import BYTES, json_text
from marey.base.names import did_you_mean
from marey.base.notebook import html_table
from marey.base.words import counted
from marey.data.lists.labels import are_indices, label_indices
from marey.data.lists.split_names import split_name
from marey.data.lists.text_files import row_location
from marey.data.lists.videos import (
    ALL_FRAMES,
    Target,
    VideoEntry,
    VideoList,
    fingerprint,
    first_of,
    given,
    seconds_text,
    shown_names,
    source_text,
)

_SHOWN = 30
"""The most classes of a list that a notebook shows."""


@dataclass(frozen=True, repr=False)
class Sample(VideoEntry):
    """An entry of a list with labels."""

    label: int = field(kw_only=True)
    """The index of its class; of several labels, the first."""
    split: str | None = field(default=None, kw_only=True)
    """What the list's column `split` holds for it; None: the list has no such column."""
    group: str | None = field(default=None, kw_only=True)
    """What the list's column `group` holds for it; None: the list has no such column."""

    def __repr__(self) -> str:
        more = [f"{name} {value}" for name, value in (("split", self.split), ("group", self.group)) if value]
        return f"{super().__repr__().removesuffix(')')}: {', '.join([f'label {self.label}', *more])})"


@dataclass(frozen=True, repr=False)
class Manifest:
    """N videos with labels, and the K classes that the labels are indices of."""

    ids: NDArray[np.str_]
    """[N]: the paths as the list has them, or addresses."""
    labels: NDArray[np.int64]
    """[N]: the index of the class of each video; of several labels, the first."""
    class_names: tuple[str, ...]
    """The names of the K classes, in order."""
    root: Path
    """The folder of relative paths."""
    splits: NDArray[np.str_] | None = None
    """[N]: the list's column `split`; None: it has none."""
    groups: NDArray[np.str_] | None = None
    """[N]: the list's column `group`, "" where the group is not known; None: it has none."""
    times: NDArray[np.float64] | None = None
    """[N, 2]: start and end of each segment in seconds, NaN for the beginning or end of the video; None: no segments by
    time."""
    source: str = field(default="", compare=False)
    """The list or folder that names the videos, for messages."""
    label_sets: NDArray[np.int64] | None = None
    """[N, M]: all labels of each video, filled up with -1; None where every video has one."""
    frame_ranges: NDArray[np.int64] | None = None
    """[N, 2]: the first frame of each segment, from 0, and the first frame after it, -1 for the end of the video; None: no
    segments by frames."""
    listed_labels: NDArray[np.int64] | None = None
    """[N]: the labels of the list before corrections. The search for recordings by file names uses these. None: no label
    was corrected."""
    joined_groups: NDArray[np.str_] | None = None
    """[N]: for a list without the column `group`, the groups that corrections give to some videos; "" for other videos,
    whose recordings are known from file names. None: no correction gives a group."""

    server: Address | None = field(default=None, compare=False)
    """The address below which the list's relative paths are; `ids` include it. None: the list is read from a folder."""

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: NDArray[Any] | slice) -> "Manifest": ...
    def __getitem__(self, index: int | NDArray[Any] | slice) -> "Sample | Manifest":
        if isinstance(index, np.ndarray | slice):
            return self._rows(index)
        video = self.videos[index]
        return Sample(
            video.id,
            video.path,
            video.start,
            video.end,
            video.start_frame,
            video.end_frame,
            label=int(self.labels[index]),
            split=None if self.splits is None else str(self.splits[index]),
            group=None if self.groups is None else str(self.groups[index]),
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        splits = f", splits {first_of(self.split_names, 3)}" if self.split_names else ""
        classes = counted(len(self.class_names), "class")
        return f"Manifest({source_text(self.source)}{counted(len(self), 'video')}, {classes}{splits})"

    def _repr_html_(self) -> str:
        """The number of videos of each class, by split, as a notebook shows them; only the first of many classes."""
        splits = self.split_names
        counts = [self.class_counts(split).tolist() for split in splits[:4] or (None,)]
        rows = [(name, *numbers) for name, *numbers in zip(self.class_names[:_SHOWN], *counts, strict=False)]
        left = len(self.class_names) - _SHOWN
        more = [f"and {counted(left, 'more class', 'more classes')}"] if left > 0 else []
        more += [f"other splits: {first_of(splits[4:], 4)}"] if len(splits) > 4 else []
        return html_table(repr(self), ["class", *(splits[:4] or ("videos",))], rows, note="; ".join(more))

    def class_counts(self, split: str | None = None) -> NDArray[np.int64]:
        """[K]: the number of videos with each label, in the rows whose column `split` is `split`; None: in all rows."""
        labels = self.labels if self.label_sets is None else self.label_sets
        if split is not None and self.splits is not None:
            labels = labels[self.splits == split]
        return np.bincount(labels[labels >= 0], minlength=len(self.class_names)).astype(np.int64)

    @property
    def videos(self) -> VideoList:
        """The same videos without labels; the columns are shared, not copied."""
        return VideoList(self.ids, self.root, self.times, self.source, self.frame_ranges)

    def target(self, index: int) -> Target:
        """The target of a video: its class index; with several labels per video, 1 for each of them and 0 elsewhere, [K]."""
        if self.label_sets is None:
            return int(self.labels[index])
        hot: NDArray[np.float32] = self._hot(self.label_sets[index : index + 1])[0]
        return hot

    def labels_in_words(self) -> list[str]:
        """The class names of each video: "walk", "walk, wave"."""
        sets = self.labels[:, None] if self.label_sets is None else self.label_sets
        return [", ".join(self.class_names[label] for label in row if label >= 0) for row in sets.tolist()]

    def multi_hot(self) -> NDArray[np.float32]:
        """[N, K]: 1 for each label of each video, 0 elsewhere."""
        return self._hot(self.labels[:, None] if self.label_sets is None else self.label_sets)

    def _hot(self, sets: NDArray[np.int64]) -> NDArray[np.float32]:
        hot = np.zeros((len(sets), len(self.class_names)), np.float32)
        rows, columns = np.nonzero(sets >= 0)
        hot[rows, sets[rows, columns]] = 1
        return hot

    def require_one_label(self, recipe: str) -> None:
        """Check that no video has several labels, for a recipe whose task has one label per video.

        Raises:
            DataError: some videos have several.
        """
        if self.label_sets is not None:
            raise DataError(
                f"{self.source or 'the list'}: several labels per video, and the task of {recipe} has one: "
                "--set task.kind=multilabel --set train.label_smoothing=0, in Python task=marey.recipe.MultiLabel()."
            )

    @property
    def split_names(self) -> tuple[str, ...]:
        """The names in the column `split`, sorted; empty without that column."""
        return () if self.splits is None else tuple(sorted(set(self.splits.tolist())))

    def split(self, name: str) -> "Manifest":
        """The rows of one split, by any of its names (`marey.data.lists.split_names`).

        Raises:
            DataError: no row belongs to that split.
        """
        wanted = split_name(name)
        words = [word for word in self.split_names if word == name or split_name(word) == wanted]
        if self.splits is None or not words:
            known = ", ".join(self.split_names) or "no split column"
            raise DataError(f"{self.source or 'manifest'}: there is no split {name!r} ({known}).")
        return self._rows(np.flatnonzero(np.isin(self.splits, words)))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, labels, segments and class names: results with the same fingerprint are of the same list."""
        several = [] if self.label_sets is None else [self._label_words()]
        columns = (shown_names(self.ids), self.labels, self.times, *given(self.frame_ranges))
        return fingerprint(*columns, words=[*several, self.class_names])

    def write_csv(self, path: str | Path) -> None:
        """Write a CSV with path, label and the other columns that the list has. Paths below the folder of the CSV become
        relative to it, all others absolute; addresses stay.

        If the labels alone do not give the same classes in the same order (for example names that are numbers), the class
        names are written beside the CSV as list.csv.classes.json, where `read_manifest` finds them.
        """
        target = Path(path)
        columns: dict[str, Iterable[str]] = {
            "path": _relative_paths(self.ids.tolist(), self.root, target.parent),
            "label": self._label_words(),
        }
        columns |= {n: c.tolist() for n, c in (("split", self.splits), ("group", self.groups)) if c is not None}
        if self.times is not None:
            for name, times in zip(("start", "end"), self.times.T.tolist(), strict=True):
                columns[name] = [seconds_text(time) for time in times]
        if self.frame_ranges is not None:
            columns["start_frame"] = map(str, self.frame_ranges[:, 0].tolist())
            columns["end_frame"] = ["" if end < 0 else str(end) for end in self.frame_ranges[:, 1].tolist()]
        with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=BYTES) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        beside = classes_beside(target)
        if self._labels_imply_classes():
            beside.unlink(missing_ok=True)  # written for an earlier list of this name
        else:
            with atomic_path(beside) as temporary:
                temporary.write_text(json_text(list(self.class_names), indent=1) + "\n", encoding="utf-8")

    def _labels_imply_classes(self) -> bool:
        """Whether the labels of a CSV give the same classes in the same order; classes without videos do not matter."""
        if are_indices(self.class_names):
            return True
        labels = np.unique(self.labels if self.label_sets is None else self.label_sets).tolist()
        used = [self.class_names[label] for label in labels if label >= 0]
        numbers = all(re.fullmatch(r"-?\d+(\.\d*)?", name) for name in used)
        return used == sorted(used) and not numbers and not any("|" in name for name in used)

    def with_classes(self, names: Sequence[str], *, of: str = "the list of classes") -> "Manifest":
        """The same videos with the classes `names`, matched by name; `of` says whose classes these are, for messages.

        Raises:
            DataError: a label is none of these classes; the message has the most similar name.
        """
        index = {name: i for i, name in enumerate(names)}
        used = np.unique(self.labels if self.label_sets is None else self.label_sets)
        unknown = [name for label in used.tolist() if label >= 0 and (name := self.class_names[label]) not in index]
        if unknown:
            more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise DataError(
                f"{self.source or 'the list'}: the class {unknown[0]!r}{more} is none of the "
                f"{counted(len(names), 'class')} of {of} "
                f"({first_of(names, 4)}).{did_you_mean(unknown[0], names)} Classes are matched by name, letter by letter: "
                f"write the labels as {of} has them, or as numbers, the indices there from 0."
            )
        new = np.array([index.get(name, -1) for name in self.class_names] + [-1])  # the last one maps -1, no label
        sets = None if self.label_sets is None else new[self.label_sets]
        listed = None if self.listed_labels is None else new[self.listed_labels]
        return replace(self, labels=new[self.labels], class_names=tuple(names), label_sets=sets, listed_labels=listed)

    def _label_words(self) -> list[str]:
        """The label of each video; several labels with | between."""
        if self.label_sets is None:
            return [self.class_names[label] for label in self.labels.tolist()]
        return ["|".join(self.class_names[label] for label in row if label >= 0) for row in self.label_sets.tolist()]

    def with_splits(self, splits: NDArray[np.str_]) -> "Manifest":
        """The same videos with another column `split`."""
        return replace(self, splits=splits)

    def _rows(self, rows: NDArray[Any] | slice) -> "Manifest":
        def some(column: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if column is None else column[rows]

        return replace(
            self, ids=self.ids[rows], labels=self.labels[rows], splits=some(self.splits), groups=some(self.groups),
            times=some(self.times), label_sets=some(self.label_sets), frame_ranges=some(self.frame_ranges),
            listed_labels=some(self.listed_labels), joined_groups=some(self.joined_groups),
        )  # fmt: skip


def _relative_paths(names: Iterable[str], root: Path, folder: Path) -> Iterator[str]:
    """Paths below `root` as a list in `folder` writes them: relative for files in that folder, absolute for others."""
    # Strings are joined, and links of the two folders are followed once: a million `Path.resolve()` would take minutes.
    above, inside = root.resolve(), os.path.join(folder.resolve(), "")  # noqa: PTH118
    for name in names:
        if is_address(name):
            yield name
            continue
        yield os.path.normpath(os.path.join(above, name)).removeprefix(inside).replace(os.sep, "/")  # noqa: PTH118


def classes_beside(path: Path) -> Path:
    """The file beside a list with its class names in order, a JSON array, needed where the labels do not imply them."""
    return path.with_name(f"{path.name}.classes.json")


def make_manifest(
    rows: Sequence[tuple[str, str]],
    *,
    root: Path,
    source: str,
    classes: Sequence[str] | None = None,
    lines: Sequence[int] | None = None,
    splits: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    times: Sequence[tuple[float, float]] | None = None,
    frame_ranges: Sequence[tuple[int, int]] | None = None,
) -> Manifest:
    """A manifest from (path, label) rows.

    A label is a name in `classes`, or an index in it, from 0. Several labels of a row are separated by "|". If `classes` is
    None and all labels are numbers, a notice gives the numbers that no row has.

    Raises:
        DataError: no rows, a path twice, or a label that is none of `classes` (with its line where `lines` are given); or
            `classes` is a single text, whose letters would become classes.
    """
    if isinstance(classes, str):
        raise DataError(f"{source or 'manifest'}: classes={classes!r} is one text: give a list of class names.")
    if not rows:
        raise DataError(f"{source}: names no videos.")

    def where(row: int) -> str:
        return row_location(source, lines[row]) if lines else source

    names, sets = label_indices([label for _, label in rows], classes, source, where)
    keys = [path for path, _ in rows]
    for spans in (times, frame_ranges):
        keys = keys if spans is None else [f"{key}@{span}" for key, span in zip(keys, spans, strict=True)]
    if (row := _first_repeated(keys)) is not None:
        raise DataError(
            f"{where(row)}: {rows[row][0]} is in the list twice: leave one out; several labels of a video are written in "
            "one row with | between."
        )
    return Manifest(
        ids=np.array([path for path, _ in rows]),
        labels=sets[:, 0].copy(),
        class_names=tuple(names),
        root=root,
        splits=np.array(splits) if splits else None,
        groups=np.array(groups) if groups else None,
        times=np.array(times, np.float64) if times else None,
        source=source,
        label_sets=sets if sets.shape[1] > 1 else None,
        frame_ranges=np.array(frame_ranges, np.int64) if frame_ranges else None,
    )


def _first_repeated(keys: Sequence[str]) -> int | None:
    """The index of the first row whose key an earlier row has; None if there is none."""
    if len(set(keys)) == len(keys):
        return None
    seen: set[str] = set()
    return next(i for i, key in enumerate(keys) if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def in_class_order(manifest: Manifest, names: Sequence[str], *, of: str) -> Manifest:
    """The same videos with labels as indices of `names`. Classes are matched by name, not by their order.

    If the class names of the list are 0, 1, 2, ... (`are_indices`), they are taken as indices of `names`, unless `names` are
    such numbers, too. Folders called 1, 2 and 10 are names. `of` says whose classes `names` are, for messages.

    Raises:
        DataError: a label is none of `names`; the message has the most similar name.
    """
    names = tuple(names)
    if manifest.class_names == names:
        return manifest
    if are_indices(manifest.class_names) and not are_indices(names) and len(manifest.class_names) <= len(names):
        return replace(manifest, class_names=names)
    return manifest.with_classes(names, of=of)


def times_of(videos: VideoList | Manifest) -> NDArray[np.float64]:
    """Start and end of each entry's segment in seconds [N, 2], NaN for the beginning or the end of the video."""
    return np.full((len(videos), 2), np.nan) if videos.times is None else videos.times


def frame_ranges_of(videos: VideoList | Manifest) -> NDArray[np.int64]:
    """The range of frames of each entry [N, 2], `ALL_FRAMES` where the list names no segment by frames."""
    return np.tile(ALL_FRAMES, (len(videos), 1)) if videos.frame_ranges is None else videos.frame_ranges


def video_paths(videos: VideoList | Manifest) -> list[str]:
    """The path or address of each video of a list."""
    root = str(videos.root)
    return [path_in(root, name) for name in videos.ids.tolist()]


def joined_videos(lists: Sequence[VideoList | Manifest]) -> VideoList:
    """The videos of several lists as one list, in order. If the lists have different folders, paths include their folder.

    The result has the column of times, or of ranges of frames, only if an entry has a value in it.
    """
    if not lists:
        return VideoList.from_paths([])
    one_root = len({one.root for one in lists}) == 1
    ids = [one.ids if one_root else np.array(video_paths(one)) for one in lists]
    times = np.concatenate([times_of(one) for one in lists])
    ranges = np.concatenate([frame_ranges_of(one) for one in lists])
    return VideoList(
        np.concatenate(ids),
        lists[0].root if one_root else Path(),
        None if np.isnan(times).all() else times,
        lists[0].source if len(lists) == 1 else "",
        ranges if (ranges != ALL_FRAMES).any() else None,
    )
