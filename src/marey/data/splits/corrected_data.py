"""A list after corrections: the changed videos, and the videos that are then trained and tested on."""

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
from marey.data.splits.read_splits import TrainValTest

LABELS = "labels.csv"
"""The file in a run's folder with its corrections: a table that makes the same corrections of the list again."""
COLUMNS = ("path", "label", "group", "leave_out")
"""The columns of a table of corrections."""
_NAMED = 3
"""How many classes a line names."""


class VideoRow(NamedTuple):
    """A video, by its split and its row in the list of that split."""

    split: str
    """The name of the split: "train", or the name in `TrainValTest.tested`."""
    row: int
    """The row of the video in the list of that split, from 0."""


@dataclass(frozen=True)
class Correction:
    """The correction of a video that a table asks for; None in a field: no correction."""

    label: tuple[int, ...] | None = None
    """The indices of the right classes, ascending."""
    group: str | None = None
    """The name of the group that the video belongs to."""
    leave_out: bool | None = None
    """Whether the video is left out of training and testing."""

    def __or__(self, other: "Correction") -> "Correction":
        """Both corrections; in fields that both have, `other`."""
        return Correction(
            self.label if other.label is None else other.label,
            self.group if other.group is None else other.group,
            self.leave_out if other.leave_out is None else other.leave_out,
        )


@dataclass(frozen=True)
class VideoChange:
    """What a correction changes of a video; (), "" and False in the fields that stay as they are in the list."""

    label: tuple[int, ...] = ()
    """The indices of the new classes, ascending; () where they stay."""
    group: str = ""
    """The name of the new group; "" where it stays."""
    left_out: bool = False
    """Whether the video is left out of training and testing."""

    @classmethod
    def of(cls, correction: Correction, manifest: Manifest, row: int) -> "VideoChange":
        """The part of a correction that changes a row of a list."""
        known = "" if manifest.groups is None else str(manifest.groups[row])
        label = () if correction.label in (None, labels_of(manifest, row)) else correction.label
        group = "" if correction.group in (None, known) else correction.group
        return cls(label or (), group or "", bool(correction.leave_out))

    def __bool__(self) -> bool:
        return bool(self.label or self.group or self.left_out)


@dataclass(frozen=True, eq=False)
class CorrectedData:
    """The videos of a list after corrections, and the changes that the corrections made."""

    source: str
    """The path of the table of corrections."""
    rows: int
    """The number of rows in the table."""
    without_effect: int
    """The number of rows in the table that change nothing."""
    given: TrainValTest
    """The videos to train and to test on, after the corrections; without splits in which no video is left."""
    listed: Mapping[str, Manifest]
    """All videos of each split, including those that are left out, with labels before the corrections and groups after
    them."""
    changes: Mapping[VideoRow, VideoChange]
    """The changes, by rows of `listed`."""

    @classmethod
    def of(
        cls, source: str, rows: int, given: TrainValTest, corrections: list[dict[VideoRow, Correction]]
    ) -> "CorrectedData":
        """Apply the corrections of each row of a table, which do not contradict each other."""
        lists = {TRAIN: given.train, **given.tested}
        merged: dict[VideoRow, Correction] = {}
        for of_row in corrections:
            for video, one in of_row.items():
                merged[video] = merged.get(video, Correction()) | one
        changes = {video: VideoChange.of(one, lists[video.split], video.row) for video, one in merged.items()}
        changes = {
            video: changes[video] for video in sorted(changes, key=lambda c: (list(lists).index(c.split), c.row))
        }
        changes = {video: change for video, change in changes.items() if change}
        without_effect = sum(
            not any(VideoChange.of(one, lists[c.split], c.row) for c, one in row.items()) for row in corrections
        )
        listed = {name: _with_groups(one, _of_split(changes, name)) for name, one in lists.items()}
        new = {name: _with_labels(one, _of_split(changes, name)) for name, one in listed.items()}
        tested = {name: one for name, one in new.items() if name != TRAIN and len(one)}
        corrected = cls(source, rows, without_effect, replace(given, train=new[TRAIN], tested=tested), listed, changes)
        return replace(corrected, given=replace(corrected.given, notes=(*given.notes, *corrected.notes)))

    @cached_property
    def left_out(self) -> NDArray[np.int64]:
        """The rows of the training videos that are left out, in the list before the corrections."""
        rows = [row for row, change in _of_split(self.changes, TRAIN).items() if change.left_out]
        return np.array(rows, np.int64)

    @cached_property
    def relabelled(self) -> NDArray[np.int64]:
        """The rows of the training videos with a new label that are not left out, in the list before the corrections."""
        changes = _of_split(self.changes, TRAIN)
        return np.array([row for row, change in changes.items() if change.label and not change.left_out], np.int64)

    def counts(self, split: str) -> tuple[int, int, int]:
        """How many videos of a split get another label, get a group, and are left out. A video that is left out counts
        only as left out.
        """
        changes = _of_split(self.changes, split).values()
        stay = [change for change in changes if not change.left_out]
        labels, groups = (sum(change.label != () for change in stay), sum(change.group != "" for change in stay))
        return labels, groups, len(changes) - len(stay)

    # -- words

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that count the changes in each split, training first; or one that says that nothing is changed."""
        rows = counted(self.rows, "row")
        if not self.changes:
            return (f"{self.source}: {rows}, and none of them changes anything.",)
        notes = []
        for name, manifest in self.listed.items():
            if words := self._counts_text(name):
                of = f"{counted(len(manifest), 'video')} {'to train on' if name == TRAIN else f'for {name}'}"
                notes.append(f"{self.source}: of {of} {words}.")
        if self.without_effect:
            notes.append(
                f"{self.source}: {self.without_effect:,} of {rows} {verb(self.without_effect, 'changes', 'change')} nothing."
            )
        return (*notes, *self._lost_notes())

    def _counts_text(self, split: str) -> str:
        """The counts of the changes in a split, in words; "" where there are none."""
        words = (
            ("gets another label", "get another label"),
            ("is given a group", "are given a group"),
            ("is left out", "are left out"),
        )
        counts = zip(self.counts(split), words, strict=True)
        return ", ".join(f"{count:,} {verb(count, one, several)}" for count, (one, several) in counts if count)

    def _lost_notes(self) -> Iterator[str]:
        """Sentences that name the classes and splits in which no video is left."""
        before, after = self.listed[TRAIN].class_counts(), self.given.train.class_counts()
        lost = [self.given.train.class_names[label] for label in np.flatnonzero((before > 0) & (after == 0)).tolist()]
        if lost:
            names = first_of(lost, _NAMED)
            yield f"After the corrections no video shows {verb(len(lost), 'the class', 'the classes')} {names}."
        for name in self.listed:
            if name != TRAIN and name not in self.given.tested:
                yield f"After the corrections no video is left for {name}."

    # -- the table

    @property
    def digest(self) -> str | None:
        """SHA-256 of the changes; None without changes."""
        return hashlib.sha256(self._text().encode("utf-8", "surrogateescape")).hexdigest() if self.changes else None

    def write(self, folder: Path) -> None:
        """Write the changes into the folder of a run, as a table of corrections; without changes, write nothing."""
        if self.changes:
            write_text(folder / LABELS, self._text())

    def _text(self) -> str:
        """The table: a row for each changed video. Videos are named as in the list, with their segment, or by absolute
        paths where the lists are of several folders.
        """
        one_root = len({manifest.root for manifest in self.listed.values()}) == 1
        rows: dict[tuple[str, ...], None] = {}
        for video, change in self.changes.items():
            manifest = self.listed[video.split]
            entry = manifest[video.row]
            segment = entry.id.removeprefix(str(manifest.ids[video.row]))
            name = entry.id if one_root else f"{absolute(entry.path)}{segment}"
            label = "|".join(manifest.class_names[index] for index in change.label)
            rows[name, label, change.group, "x" if change.left_out else ""] = None
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
        return text.getvalue()


def with_group_column(manifest: Manifest) -> Manifest:
    """The manifest whose column `group` has the groups that corrections give; unchanged where it has the column already."""
    if manifest.groups is not None or manifest.joined_groups is None:
        return manifest
    return replace(manifest, groups=manifest.joined_groups)


def labels_of(manifest: Manifest, row: int) -> tuple[int, ...]:
    """The indices of a video's classes, ascending."""
    if manifest.label_sets is None:
        return (int(manifest.labels[row]),)
    return tuple(sorted(label for label in manifest.label_sets[row].tolist() if label >= 0))


def _of_split(changes: Mapping[VideoRow, VideoChange], split: str) -> dict[int, VideoChange]:
    """The changes in one split, by the rows of its list."""
    return {video.row: change for video, change in changes.items() if video.split == split}


def _with_groups(manifest: Manifest, changes: Mapping[int, VideoChange]) -> Manifest:
    """The manifest with the new groups: in its column `group`, or, where it has none, as `joined_groups`; the recordings of
    other videos are then still inferred.
    """
    given = {row: change.group for row, change in changes.items() if change.group}
    if not given:
        return manifest
    own = np.full(len(manifest), "", object) if manifest.groups is None else manifest.groups.astype(object)
    own[list(given)] = list(given.values())
    groups = own.astype(np.str_)
    return replace(manifest, joined_groups=groups) if manifest.groups is None else replace(manifest, groups=groups)


def _with_labels(manifest: Manifest, changes: Mapping[int, VideoChange]) -> Manifest:
    """The manifest with the new labels, without the videos that are left out."""
    new = {row: change.label for row, change in changes.items() if change.label}
    if new:
        width = max(map(len, new.values()))
        sets = manifest.labels[:, None] if manifest.label_sets is None else manifest.label_sets
        sets = np.pad(sets, ((0, 0), (0, max(0, width - sets.shape[1]))), constant_values=-1)
        for row, label in new.items():
            sets[row] = [*label, *[-1] * (sets.shape[1] - len(label))]
        several = None if manifest.label_sets is None else sets
        manifest = replace(manifest, labels=sets[:, 0].copy(), label_sets=several, listed_labels=manifest.labels)
    left_out = [row for row, change in changes.items() if change.left_out]
    return manifest[np.setdiff1d(np.arange(len(manifest)), left_out)] if left_out else manifest
