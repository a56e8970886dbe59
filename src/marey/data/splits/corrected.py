"""A list after corrections: what was changed of which clips, and the videos that are trained and tested on then."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from marey.base.address import absolute
from marey.base.files import write_text
from marey.base.words import counted, verb
from marey.data.lists.manifest import Manifest
from marey.data.lists.split_names import TRAIN
from marey.data.lists.videos import first_of
from marey.data.splits.sides import Given

LABELS = "labels.csv"
"""In the folder of a run: its corrections, as a table that corrects the same list again."""
COLUMNS = ("path", "label", "group", "leave_out")
"""Of a table of corrections."""
_NAMED = 3
"""Classes that a line names."""


class Clip(NamedTuple):
    """A row of one of several lists."""

    side: str
    """Its list: "train", or the split that it is tested as."""
    row: int


@dataclass(frozen=True)
class Asked:
    """What is asked for a clip; None where nothing is."""

    label: tuple[int, ...] | None = None
    """Indices of its classes, ascending."""
    group: str | None = None
    leave_out: bool | None = None

    def __or__(self, other: "Asked") -> "Asked":
        """What both ask for; in what they contradict each other, the other one."""
        return Asked(
            self.label if other.label is None else other.label,
            self.group if other.group is None else other.group,
            self.leave_out if other.leave_out is None else other.leave_out,
        )


@dataclass(frozen=True)
class Change:
    """What is another than in the list of a clip; "" and False where nothing is."""

    label: tuple[int, ...] = ()
    """Indices of its classes, ascending."""
    group: str = ""
    left_out: bool = False

    @classmethod
    def of(cls, asked: Asked, manifest: Manifest, row: int) -> "Change":
        """What is asked for a clip, without what is so in its list already."""
        known = "" if manifest.groups is None else str(manifest.groups[row])
        label = () if asked.label in (None, labels_of(manifest, row)) else asked.label
        return cls(label or (), "" if asked.group in (None, known) else asked.group or "", bool(asked.leave_out))

    def __bool__(self) -> bool:
        return bool(self.label or self.group or self.left_out)


@dataclass(frozen=True, eq=False)
class Corrected:
    """The videos of a list after corrections, and what these changed."""

    source: str
    """The table of corrections."""
    rows: int
    """Of the table."""
    idle: int
    """Rows of the table that change nothing."""
    given: Given
    """The videos to train and to test on, after the corrections; a split of which nothing is left is not there."""
    listed: Mapping[str, Manifest]
    """Those of each split with the labels of the list, the ones that are left out among them; with the corrected groups."""
    changes: Mapping[Clip, Change]
    """By rows of `listed`."""

    @classmethod
    def of(cls, source: str, rows: int, given: Given, asked: list[dict[Clip, Asked]]) -> "Corrected":
        """Apply what the rows of a table ask for, which do not contradict each other."""
        lists = {TRAIN: given.train, **given.tested}
        whole: dict[Clip, Asked] = {}
        for row in asked:
            for clip, one in row.items():
                whole[clip] = whole.get(clip, Asked()) | one
        changes = {clip: Change.of(one, lists[clip.side], clip.row) for clip, one in whole.items()}
        changes = {clip: changes[clip] for clip in sorted(changes, key=lambda c: (list(lists).index(c.side), c.row))}
        changes = {clip: change for clip, change in changes.items() if change}
        idle = sum(not any(Change.of(one, lists[c.side], c.row) for c, one in row.items()) for row in asked)
        listed = {name: _with_groups(part, _of(changes, name)) for name, part in lists.items()}
        new = {name: _with_labels(part, _of(changes, name)) for name, part in listed.items()}
        tested = {name: part for name, part in new.items() if name != TRAIN and len(part)}
        found = cls(source, rows, idle, replace(given, train=new[TRAIN], tested=tested), listed, changes)
        return replace(found, given=replace(found.given, notes=(*given.notes, *found.notes)))

    @cached_property
    def left_out(self) -> NDArray[np.int64]:
        """The training clips that are left out, by their rows in the list of training clips."""
        rows = [row for row, change in _of(self.changes, TRAIN).items() if change.left_out]
        return np.array(rows, np.int64)

    @cached_property
    def relabelled(self) -> NDArray[np.int64]:
        """The training clips with another label than the list's, by their rows there, without those that are left out."""
        rows = [row for row, change in _of(self.changes, TRAIN).items() if change.label and not change.left_out]
        return np.array(rows, np.int64)

    def counts(self, side: str) -> tuple[int, int, int]:
        """How many clips of a split get another label, are given a group, and are left out; one that is left out counts as
        that alone.
        """
        changes = _of(self.changes, side).values()
        stay = [change for change in changes if not change.left_out]
        labels, groups = (sum(change.label != () for change in stay), sum(change.group != "" for change in stay))
        return labels, groups, len(changes) - len(stay)

    # -- words

    @property
    def notes(self) -> tuple[str, ...]:
        """What is changed, with counts, as sentences: of the training clips, then of those of each split; where nothing is,
        that.
        """
        rows = counted(self.rows, "row")
        if not self.changes:
            return (f"{self.source}: {rows}, and none of them changes anything.",)
        notes = []
        for name, part in self.listed.items():
            if words := self._counts(name):
                of = f"{counted(len(part), 'clip')} {'to train on' if name == TRAIN else f'for {name}'}"
                notes.append(f"{self.source}: of {of} {words}.")
        if self.idle:
            notes.append(f"{self.source}: {self.idle:,} of {rows} {verb(self.idle, 'changes', 'change')} nothing.")
        return (*notes, *self._lost_notes())

    def _counts(self, side: str) -> str:
        """How many clips of a split get what; "" where none does."""
        words = (
            ("gets another label", "get another label"),
            ("is given a group", "are given a group"),
            ("is left out", "are left out"),
        )
        counts = zip(self.counts(side), words, strict=True)
        return ", ".join(f"{count:,} {verb(count, one, several)}" for count, (one, several) in counts if count)

    def _lost_notes(self) -> Iterator[str]:
        """The classes and splits of which nothing is left."""
        before, after = self.listed[TRAIN].class_counts(), self.given.train.class_counts()
        lost = [self.given.train.class_names[label] for label in np.flatnonzero((before > 0) & (after == 0)).tolist()]
        if lost:
            names = first_of(lost, _NAMED)
            yield f"After the corrections no clip shows {verb(len(lost), 'the class', 'the classes')} {names}."
        for name in self.listed:
            if name != TRAIN and name not in self.given.tested:
                yield f"After the corrections no clip is left for {name}."

    # -- the table

    @property
    def digest(self) -> str | None:
        """SHA-256 of what is changed; None where nothing is."""
        return hashlib.sha256(self._text().encode("utf-8", "surrogateescape")).hexdigest() if self.changes else None

    def write(self, folder: Path) -> None:
        """Write what is changed into the folder of a run, as a table of corrections; nothing where nothing is."""
        if self.changes:
            write_text(folder / LABELS, self._text())

    def _text(self) -> str:
        """A row for each clip that is changed, by its name in the list, with its part; by its whole path where the lists are
        of several folders.
        """
        one_root = len({part.root for part in self.listed.values()}) == 1
        rows: dict[tuple[str, ...], None] = {}
        for clip, change in self.changes.items():
            part = self.listed[clip.side]
            video = part[clip.row]
            name = video.id if one_root else f"{absolute(video.path)}{video.id.removeprefix(str(part.ids[clip.row]))}"
            label = "|".join(part.class_names[place] for place in change.label)
            rows[name, label, change.group, "x" if change.left_out else ""] = None
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        return text.getvalue()


def grouped(part: Manifest) -> Manifest:
    """A list with the groups that corrections give to some of its videos as its column `group`, where it has none."""
    return part if part.groups is not None or part.joined_groups is None else replace(part, groups=part.joined_groups)


def labels_of(manifest: Manifest, row: int) -> tuple[int, ...]:
    """The classes of a video, ascending."""
    if manifest.label_sets is None:
        return (int(manifest.labels[row]),)
    return tuple(sorted(label for label in manifest.label_sets[row].tolist() if label >= 0))


def _of(changes: Mapping[Clip, Change], side: str) -> dict[int, Change]:
    """The changes of one list, by its rows."""
    return {clip.row: change for clip, change in changes.items() if clip.side == side}


def _with_groups(part: Manifest, changes: Mapping[int, Change]) -> Manifest:
    """The list with the groups that are given: in its column of groups, or, without one, beside what tells the sources of
    the other clips.
    """
    given = {row: change.group for row, change in changes.items() if change.group}
    if not given:
        return part
    own = np.full(len(part), "", object) if part.groups is None else part.groups.astype(object)
    own[list(given)] = list(given.values())
    groups = own.astype(np.str_)
    return replace(part, joined_groups=groups) if part.groups is None else replace(part, groups=groups)


def _with_labels(part: Manifest, changes: Mapping[int, Change]) -> Manifest:
    """The list with the labels that are given, without the clips that are left out."""
    new = {row: change.label for row, change in changes.items() if change.label}
    if new:
        width = max(map(len, new.values()))
        sets = part.labels[:, None] if part.label_sets is None else part.label_sets
        sets = np.pad(sets, ((0, 0), (0, max(0, width - sets.shape[1]))), constant_values=-1)
        for row, label in new.items():
            sets[row] = [*label, *[-1] * (sets.shape[1] - len(label))]
        several = None if part.label_sets is None else sets
        part = replace(part, labels=sets[:, 0].copy(), label_sets=several, listed_labels=part.labels)
    left_out = [row for row, change in changes.items() if change.left_out]
    return part[np.setdiff1d(np.arange(len(part)), left_out)] if left_out else part
