"""A manifest: which videos there are and what they show. Columns, not a list of objects: a million rows stay small."""

import csv
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from marey.base.address import Address, is_address
from marey.base.errors import DataError
from marey.base.files import atomic_path
from marey.base.jsonable import BYTES, json_text
from marey.base.nearest import did_you_mean
from marey.base.notebook import table
from marey.base.reporter import notice
from marey.base.words import counted
from marey.data.lists.split_names import split_name
from marey.data.lists.text import no_utf8, place
from marey.data.lists.videos import (
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
"""Classes that a notebook shows of a list."""


@dataclass(frozen=True, repr=False)
class Sample(VideoEntry):
    """An entry of a list with labels."""

    label: int = field(kw_only=True)
    """The index of its class; of several, the first one."""
    split: str | None = field(default=None, kw_only=True)
    group: str | None = field(default=None, kw_only=True)

    def __repr__(self) -> str:
        more = [f"{name} {value}" for name, value in (("split", self.split), ("group", self.group)) if value]
        return f"{super().__repr__().removesuffix(')')}: {', '.join([f'label {self.label}', *more])})"


@dataclass(frozen=True, repr=False)
class Manifest:
    """Videos with labels. `ids` are the paths as the list has them; times are seconds, NaN where none are given."""

    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    root: Path
    splits: NDArray[np.str_] | None = None
    groups: NDArray[np.str_] | None = None
    times: NDArray[np.float64] | None = None
    """[N, 2]: start and end."""
    source: str = field(default="", compare=False)
    label_sets: NDArray[np.int64] | None = None
    """[N, M]: all labels of each video, -1 past its last; None where every video has one."""
    frame_ranges: NDArray[np.int64] | None = None
    """[N, 2]: the first frame of each part, from 0, and the first one after it, -1 where it goes to the end; None where
    the list names no parts by frames."""
    listed_labels: NDArray[np.int64] | None = None
    """[N]: the labels that the list has, where corrections changed some: what names say of sources is read by these."""
    joined_groups: NDArray[np.str_] | None = None
    """[N]: groups that corrections give to some videos of a list without groups, "" for the others, whose sources names
    give; None: there are none. (`groups` says all that is known, and names are not asked.)"""

    server: Address | None = field(default=None, compare=False)
    """The address below which the relative paths of its list lie, where they were read so; `ids` have it."""

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
        """The videos of each class, by split, as a notebook shows them; of many classes the first ones."""
        splits = self.split_names
        counts = [self.class_counts(split).tolist() for split in splits[:4] or (None,)]
        rows = [(name, *numbers) for name, *numbers in zip(self.class_names[:_SHOWN], *counts, strict=False)]
        left = len(self.class_names) - _SHOWN
        more = [f"and {counted(left, 'more class', 'more classes')}"] if left > 0 else []
        more += [f"other splits: {first_of(splits[4:], 4)}"] if len(splits) > 4 else []
        return table(repr(self), ["class", *(splits[:4] or ("videos",))], rows, note="; ".join(more))

    def class_counts(self, split: str | None = None) -> NDArray[np.int64]:
        """[K]: how many videos, of those whose split column has this word or of all, have each class among their labels."""
        labels = self.labels if self.label_sets is None else self.label_sets
        if split is not None and self.splits is not None:
            labels = labels[self.splits == split]
        return np.bincount(labels[labels >= 0], minlength=len(self.class_names)).astype(np.int64)

    @property
    def videos(self) -> VideoList:
        """The same videos without their labels; the columns are shared, not copied."""
        return VideoList(self.ids, self.root, self.times, self.source, self.frame_ranges)

    def target(self, index: int) -> Target:
        """What a network should say: the class; or, with several labels per video, 1 for each and 0 for others, [K]."""
        if self.label_sets is None:
            return int(self.labels[index])
        hot: NDArray[np.float32] = self._hot(self.label_sets[index : index + 1])[0]
        return hot

    def labels_in_words(self) -> list[str]:
        """The class of each video, or its classes: "walk", "walk, wave"."""
        sets = self.labels[:, None] if self.label_sets is None else self.label_sets
        return [", ".join(self.class_names[label] for label in row if label >= 0) for row in sets.tolist()]

    def multi_hot(self) -> NDArray[np.float32]:
        """[N, K]: 1 for each label of each video, whether it has one or several."""
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
        """The names in the split column, sorted; empty without one."""
        return () if self.splits is None else tuple(sorted(set(self.splits.tolist())))

    def split(self, name: str) -> "Manifest":
        """The rows of one split, by any of the words for it (`marey.data.lists.split_names`).

        Raises:
            DataError: no row is of that split.
        """
        wanted = split_name(name)
        words = [word for word in self.split_names if word == name or split_name(word) == wanted]
        if self.splits is None or not words:
            there = ", ".join(self.split_names) or "no split column"
            raise DataError(f"{self.source or 'manifest'}: there is no split {name!r} ({there}).")
        return self._rows(np.flatnonzero(np.isin(self.splits, words)))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over ids, labels, parts and class names: two results with the same one saw the same list."""
        several = [] if self.label_sets is None else [self._label_words()]
        columns = (shown_names(self.ids), self.labels, self.times, *given(self.frame_ranges))
        return fingerprint(*columns, words=[*several, self.class_names])

    def write_csv(self, path: str | Path) -> None:
        """Write path, label and what other columns there are; paths become relative to the file where they can.

        Where the labels alone would not give the same classes back (names that are numbers, or that are in another order),
        the class names are written beside it, from where `read_manifest` takes them: list.csv.classes.json for list.csv.
        """
        target = Path(path)
        columns: dict[str, Iterable[str]] = {
            "path": _relative(self.ids.tolist(), self.root, target.parent),
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
        if self._labels_tell_classes():
            beside.unlink(missing_ok=True)  # of an earlier list of this name
        else:
            with atomic_path(beside) as temporary:
                temporary.write_text(json_text(list(self.class_names), indent=1) + "\n", encoding="utf-8")

    def _labels_tell_classes(self) -> bool:
        """Whether a list of these labels alone has the same classes in the same order, but for those without a video."""
        if are_places(self.class_names):
            return True
        labels = np.unique(self.labels if self.label_sets is None else self.label_sets).tolist()
        used = [self.class_names[label] for label in labels if label >= 0]
        numbers = all(re.fullmatch(r"-?\d+(\.\d*)?", name) for name in used)
        return used == sorted(used) and not numbers and not any("|" in name for name in used)

    def with_classes(self, names: Sequence[str], *, of: str = "the list of classes") -> "Manifest":
        """The same videos with another list of classes, matched by name. `of` is whose classes these are, for messages.

        Raises:
            DataError: a label is none of them; names the one that is spelt most alike.
        """
        index = {name: place for place, name in enumerate(names)}
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
        places = np.array([index.get(name, -1) for name in self.class_names] + [-1])  # the last for -1, no label
        sets = None if self.label_sets is None else places[self.label_sets]
        listed = None if self.listed_labels is None else places[self.listed_labels]
        return replace(
            self, labels=places[self.labels], class_names=tuple(names), label_sets=sets, listed_labels=listed
        )

    def _label_words(self) -> list[str]:
        """Each video's label, or its several ones with | between."""
        if self.label_sets is None:
            return [self.class_names[label] for label in self.labels.tolist()]
        return ["|".join(self.class_names[label] for label in row if label >= 0) for row in self.label_sets.tolist()]

    def with_splits(self, splits: NDArray[np.str_]) -> "Manifest":
        """The same videos with another split column."""
        return replace(self, splits=splits)

    def _rows(self, rows: NDArray[Any] | slice) -> "Manifest":
        def part(column: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if column is None else column[rows]

        return replace(
            self, ids=self.ids[rows], labels=self.labels[rows], splits=part(self.splits), groups=part(self.groups),
            times=part(self.times), label_sets=part(self.label_sets), frame_ranges=part(self.frame_ranges),
            listed_labels=part(self.listed_labels), joined_groups=part(self.joined_groups),
        )  # fmt: skip


def _relative(names: Iterable[str], root: Path, folder: Path) -> Iterator[str]:
    """Paths below `root` as a list in `folder` has them: relative where they lie in it, absolute elsewhere."""
    # By strings, links of the two folders followed once: a million `Path.resolve()` would take minutes.
    above, inside = root.resolve(), os.path.join(folder.resolve(), "")  # noqa: PTH118
    for name in names:
        if is_address(name):
            yield name
            continue
        yield os.path.normpath(os.path.join(above, name)).removeprefix(inside).replace(os.sep, "/")  # noqa: PTH118


def classes_beside(path: Path) -> Path:
    """Where the names of a list's classes lie, if its labels alone do not tell them: a JSON array of texts, in order."""
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
    """A manifest from (path, label) rows. A label is one of the names in `classes`; or, where it is none of them and a whole
    number, the index in `classes`, from 0. Several labels of a row are separated by "|". Of numbers without `classes`,
    those that no row has are named in a notice.

    Raises:
        DataError: no rows, a path twice, or a label that is none of `classes`; the line is named where `lines` tell. Or
            `classes` is one text, whose letters would be taken for classes.
    """
    if isinstance(classes, str):
        raise DataError(f"{source or 'manifest'}: classes={classes!r} is one text: give a list of class names.")
    if not rows:
        raise DataError(f"{source}: names no videos.")

    def where(row: int) -> str:
        return place(source, lines[row]) if lines else source

    names, sets = _labelled([label for _, label in rows], classes, source, where)
    keys = [path for path, _ in rows]
    for parts in (times, frame_ranges):
        keys = keys if parts is None else [f"{key}@{part}" for key, part in zip(keys, parts, strict=True)]
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


def _labelled(
    texts: Sequence[str], classes: Sequence[str] | None, source: str, where: Callable[[int], str]
) -> tuple[list[str], NDArray[np.int64]]:
    """The class names, and for each row its labels as places in them [N, most labels of a row], filled up with -1."""
    known = set(classes or ())
    words = {
        text: [text] if text in known else [word.strip() for word in text.split("|")] for text in dict.fromkeys(texts)
    }
    if (
        classes is None
        and (odd := _odd_number(dict.fromkeys(word for row in words.values() for word in row))) is not None
    ):
        row = next(row for row, text in enumerate(texts) if odd in words[text])
        raise DataError(f"{where(row)}: the label {odd} is no place in a list of classes: {_ODD}.")
    names = list(classes) if classes is not None else _class_names({w for row in words.values() for w in row}, source)
    for name in names:
        if no_utf8(name):
            raise DataError(
                f"{source}: the class name {name!r} is no text in UTF-8: write the list, or name the folder, anew."
            )
    index = {name: place for place, name in enumerate(names)}
    moved = next((name for name, place in index.items() if name.isdecimal() and int(name) != place), None)
    twice = {name for place, name in enumerate(names) if index[name] != place}
    for text, several in words.items():
        for word in several:
            if not word:
                raise DataError(
                    f"{where(texts.index(text))}: the label '' is none of the classes: a row needs a label."
                )
            if word in twice:
                raise DataError(
                    f"{where(texts.index(text))}: the label {word!r} is the name of two classes: label by number."
                )
            if word not in index and word.isdecimal() and int(word) < len(names):
                if moved is not None:
                    raise DataError(
                        f"{where(texts.index(text))}: the label {word!r} is none of the {counted(len(names), 'class')} "
                        f"({first_of(names, 4)}), and no place in them, since {moved!r} is a name: give names throughout."
                    )
                index[word] = int(word)
            if word not in index:
                raise DataError(
                    f"{where(texts.index(text))}: the label {word!r} is none of the {counted(len(names), 'class')} "
                    f"({first_of(names, 4)}).{did_you_mean(word, names)}"
                )
    most = max(map(len, words.values()))
    places = {text: [index[w] for w in row] + [-1] * (most - len(row)) for text, row in words.items()}
    return names, np.array([places[text] for text in texts], np.int64)


def _first_repeated(keys: Sequence[str]) -> int | None:
    """The first row whose key an earlier row has."""
    if len(set(keys)) == len(keys):
        return None
    seen: set[str] = set()
    return next(i for i, key in enumerate(keys) if key in seen or seen.add(key))  # type: ignore[func-returns-value]


_MOST_CLASSES = 100_000
_ODD = (
    f"these are whole numbers from 0 below {_MOST_CLASSES:,} (leave rows without a label out; write 3.0 as 3); if it is a "
    "name, spell it out"
)


def _odd_number(labels: Collection[str]) -> str | None:
    """Of labels that are all numbers the first that is no place in a list of classes: negative, with a point, too large."""
    odd = [label for label in labels if not label.isdecimal()]
    if all(re.fullmatch(r"-\d+|\d+\.0*", label) for label in odd):
        return next((label for label in labels if label in odd or int(label) >= _MOST_CLASSES), None)
    return None


def _class_names(labels: set[str], source: str) -> list[str]:
    """The distinct labels in alphabetic order. Numbers are places in a list of classes that is not at hand: then all up
    to the largest, also those that no row has, since place 7 means the same in a list that skips 6.
    """
    if not all(label.isdecimal() for label in labels):
        return sorted(labels)
    places = set(map(int, labels))
    largest = max(places)
    empty = [place for place in range(largest) if place not in places]
    if empty:
        some = "class" if len(empty) == 1 else "classes"
        have = "has" if len(empty) == 1 else "have"
        notice(f"{source}: labels are numbers up to {largest}; {some} {_ranges(empty)} {have} no video.")
    return [str(place) for place in range(largest + 1)]


def are_places(names: Sequence[str]) -> bool:
    """Whether the names of classes are 0, 1, 2, ...: indices of a list of classes that is not given."""
    return all(name == str(place) for place, name in enumerate(names))


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in few words: "0, 3-9"; of many, the first ones."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    words = [str(first) if first == last else f"{first}-{last}" for first, last in found]
    return ", ".join(words[:12]) + (f", ... ({len(numbers)} in all)" if len(words) > 12 else "")
