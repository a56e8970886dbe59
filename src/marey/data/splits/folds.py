"""Folds for out-of-fold predictions: every video is predicted once, by a classifier that saw no video of its recording.

Videos are divided by *groups*, which stay in one fold: the videos of one recording (the list's column `group`, or what names
show, see `marey.data.recordings.names`), files of equal content, and the segments of one file. A video whose recording is
not known is a group of its own. `marey.data.splits.fold_assignment` decides which fold a group is in. Videos of a class
that is in one fold only are never held out (`NEVER`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.words import capitalised, counted, in_words, verb
from marey.data.lists.manifest import Manifest
from marey.data.lists.videos import first_of
from marey.data.recordings.groups import NAMED, RecordingsAndCopies, number_groups, recordings_and_copies_by_names
from marey.data.recordings.names import Evidence, RecordingNames
from marey.data.splits.fold_assignment import GroupClasses, assign_folds, group_hashes, row_labels

_FOLDS = 10
_MANY = 500
"""Number of videos up to which ten folds are made. More are divided into five, since ten take four times as long for no
gain."""
NEVER = -1
"""In place of a fold: the video is in the training share of every fold and never held out."""
_FEW = 5
"""Number of groups of a class below which its measured accuracy is rough."""
_ENOUGH_FOLDS = 5
"""Number of folds below which a note explains why there are so few."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The fold of each video of a list, and the groups that the folds keep together."""

    of_row: NDArray[np.int64]
    """[N]: the fold, 0 to `count` - 1; `NEVER` (-1) where the video is always trained on and never held out, since each of
    its classes has all its groups in one fold.
    """
    count: int
    """The number of folds; none of them is empty."""
    groups: NDArray[np.int64]
    """[N]: the number of the video's group, from 0."""
    recordings: RecordingNames
    """The recording of each video, as far as it is known; `groups` come from these."""
    judged: NDArray[np.bool_]
    """[K]: whether the class can be judged: it has two or more groups, not all in one fold. Where videos may have several
    labels, two or more groups must also have videos without the class. The training share of every fold has a video of each
    judged class. Where videos have one label, it also has one of each other class, whose videos are never held out.
    """
    notes: tuple[str, ...]
    """Sentences on what was assumed, what is doubtful and what cannot be judged."""
    together: RecordingsAndCopies
    """The recordings and copies that the folds were made from."""

    def rows(self, rows: NDArray[np.int64]) -> "Folds":
        """The folds of some of the videos."""
        return replace(
            self,
            of_row=self.of_row[rows],
            groups=self.groups[rows],
            recordings=self.recordings.rows(rows),
            together=self.together.rows(rows),
        )


def make_folds(manifest: Manifest, count: int | None = None, *, together: RecordingsAndCopies | None = None) -> Folds:
    """Divide the videos of a list into folds by their groups.

    Classes of a single group are not held out. Where recordings that names show would make a complete class one group, they
    are ignored for that class; a column `group` is never ignored, nor are groups that corrections give.

    Args:
        manifest: The list, with one label for each video or several.
        count: Number of folds, at least 2; None: 10, or for more than 500 videos 5, each of which joins two of the ten.
            Empty folds are left out. A class with fewer groups than folds is in as many folds as it can be, and does not
            change the folds of other classes.
        together: The recordings and copies that are known; None: `recordings_and_copies_by_names`.

    Raises:
        DataError: fewer than two classes (one, where videos have several labels) can be judged, or `count` is less than 2.
    """
    count = count or folds_wanted(len(manifest))
    if count < 2:
        raise DataError(f"folds: at least 2 are needed to hold every video out once, got {count}.")
    together = together or recordings_and_copies_by_names(manifest)
    recordings, groups = _group_videos(manifest, together)
    table = GroupClasses.of(manifest, groups)
    folds, loads = assign_folds(manifest, table, group_hashes(manifest, recordings, groups), count)
    apart = loads.max(1) < loads.sum(1)
    judged = apart & ~_in_every_video(manifest, groups)
    _refuse_too_few(manifest, recordings, judged)
    held = _has_any(manifest, apart)
    used, of_held = np.unique(folds[groups[held]], return_inverse=True)
    of_row = np.full(len(manifest), NEVER)
    of_row[held] = of_held
    notes = [
        *_recording_notes(manifest, recordings),
        *_few_folds_note(len(used), count, groups[held], recordings),
        *_class_notes(manifest, recordings, table.groups_of_class, apart, judged),
    ]
    return Folds(of_row, len(used), groups, recordings, judged, tuple(notes), together)


def folds_wanted(videos: int) -> int:
    """The default number of folds for a number of videos."""
    return _FOLDS if videos <= _MANY else _FOLDS // 2


def _has_any(manifest: Manifest, classes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[N]: whether the video has a label of the classes that are marked in [K]."""
    rows, labels = row_labels(manifest)
    found = np.zeros(len(manifest), np.bool_)
    found[rows[classes[labels]]] = True
    return found


def _in_every_video(manifest: Manifest, groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[K]: whether all videos have the class, or all outside a single group: when that group is held out, no video without
    the class is left for training. All False where videos have one label.
    """
    if manifest.label_sets is None:
        return np.zeros(len(manifest.class_names), np.bool_)
    has = manifest.multi_hot() > 0
    lacking = [len(np.unique(groups[~of_class])) for of_class in has.T]
    return np.array(lacking) < 2


def _group_videos(manifest: Manifest, together: RecordingsAndCopies) -> tuple[RecordingNames, NDArray[np.int64]]:
    """The recordings, and the number of each video's group [N]. Inferred recordings are ignored for the videos of a class
    that they would make a single group.
    """
    recordings = together.recordings
    groups = number_groups(recordings, together.copies, manifest.ids)
    if recordings.given or not recordings.together.any():
        return recordings, groups
    single = GroupClasses.of(manifest, groups).groups_of_class == 1
    ignored = _has_any(manifest, single) & recordings.together & ~_are_segments(manifest)
    if manifest.joined_groups is not None:
        ignored &= manifest.joined_groups == ""
    if not ignored.any():
        return recordings, groups
    recordings = replace(recordings, together=recordings.together & ~ignored)
    return recordings, number_groups(recordings, together.copies, manifest.ids)


def _are_segments(manifest: Manifest) -> NDArray[np.bool_]:
    """[N]: whether the list has other segments of the same file."""
    _, files, counts = np.unique(manifest.ids, return_inverse=True, return_counts=True)
    return np.asarray(counts[files] > 1, np.bool_)


# -- refusals


def check_trainable(manifest: Manifest) -> None:
    """Check, by the numbers of videos alone and before any work, that a classifier can be trained on a list and judged by
    folds. The notes of `make_folds` name what is doubtful.

    Raises:
        DataError: there are no videos, all are of one class, no two classes (with several labels: no class) have two videos,
            a class has no name, or all videos have the same several labels.
    """
    source, names, counts = manifest.source or "the list", manifest.class_names, manifest.class_counts()
    if not len(manifest):
        raise DataError(f"{source}: names no videos to train on.")
    if blank := [index for index, name in enumerate(names) if not name.strip()]:
        raise DataError(f"{source}: class {blank[0]} of {len(names)} (counted from 0) has no name: name every class.")
    used = np.flatnonzero(counts)
    if len(used) < 2:
        raise DataError(f"{source}: only one class, {names[used[0]]}; at least two classes are needed.")
    if manifest.label_sets is not None and (counts[used] == len(manifest)).all():
        raise DataError(
            f"{source}: every video has the same labels "
            f"({first_of([names[label] for label in used.tolist()], NAMED)}), so that there is nothing to "
            "distinguish: add videos that lack one of them."
        )
    several = counts[used] > 1
    if several.sum() < _needed(manifest):
        what = "has only one video" if len(used) - several.sum() == 1 else "have only one video each"
        single = classes_named([names[label] for label in used[~several].tolist()])
        raise DataError(
            f"{source}: {single} {what}: to train and to measure how well it works, a second one is needed, of another "
            f"recording ({counted(len(manifest), 'video')} in all)."
        )


def _needed(manifest: Manifest) -> int:
    """How many classes must be judged, at least, for the accuracy of a classifier to be measured."""
    return 2 if manifest.label_sets is None else 1


def _refuse_too_few(manifest: Manifest, recordings: RecordingNames, judged: NDArray[np.bool_]) -> None:
    """Raise a DataError if too few classes of a list can be judged."""
    count, source = int(judged.sum()), manifest.source or "the list"
    if count >= _needed(manifest):
        return
    by = " by the column `group`" if recordings.given else ""
    if manifest.label_sets is not None:
        raise DataError(
            f"{source}: no class has videos of two recordings with it and of two without it{by}, so that how well a "
            "classifier works cannot be measured: add videos of other recordings, with and without each label."
        )
    single = [name for name, is_judged in zip(manifest.class_names, judged.tolist(), strict=True) if not is_judged]
    raise DataError(
        f"{source}: {count} of {counted(len(judged), 'class')} {verb(count, 'has', 'have')} videos of two recordings "
        f"or more{by}, too few to train and to measure how well it works: add videos of other recordings to "
        f"{classes_named(single)}."
    )


# -- notes


def _recording_notes(manifest: Manifest, recordings: RecordingNames) -> list[str]:
    """Sentences on which recordings are known, inferred and not known."""
    notes, known, total = [], int(recordings.known.sum()), len(manifest)
    doubt = "videos of one recording may be in several folds, and the numbers too good (add a column `group`)"
    if not known:
        neither = (
            f"Neither {in_words(recordings.evidence, 'nor')}" if len(recordings.evidence) > 1 else "File names do not"
        )
        notes.append(f"{neither} show which recording a video is from: {doubt}.")
    elif known < total:
        notes.append(f"The recording of {total - known:,} of {counted(total, 'video')} is not known: {doubt}.")
    inferred = recordings.known & recordings.together
    if manifest.joined_groups is not None:
        inferred &= manifest.joined_groups == ""
    if not recordings.given and (names := np.unique(recordings.of_row[inferred])).size:
        by = [one for one in recordings.evidence if one is not Evidence.CORRECTIONS]
        named = "" if Evidence.FRAMES in recordings.evidence else f" ({first_of(names.tolist(), NAMED)})"
        notes.append(
            f"Which videos are of one recording was inferred from {in_words(by)}: "
            f"{counted(names.size, 'recording')}{named}; a column `group` would state it."
        )
    rows, labels = row_labels(manifest)
    if (ignored := np.unique(labels[(recordings.known & ~recordings.together)[rows]])).size:
        named = classes_named([manifest.class_names[label] for label in ignored.tolist()])
        also = "; or record the class at other places too" if Evidence.FRAMES in recordings.evidence else ""
        notes.append(
            f"By {recordings.by} all videos are of one recording in {named}: this is ignored there, so that {doubt}{also}."
        )
    return notes


def _few_folds_note(used: int, wanted: int, groups: NDArray[np.int64], recordings: RecordingNames) -> list[str]:
    """A sentence on why there are few folds and what to record; an empty list where there are enough.

    Args:
        used: The number of folds.
        wanted: The number of folds that was asked for.
        groups: The groups of the videos that are held out.
        recordings: The recordings.
    """
    if used >= min(_ENOUGH_FOLDS, wanted):
        return []
    number, noun = len(np.unique(groups)), "recording" if recordings.known.any() else "video"
    until = f", until there are at least {_ENOUGH_FOLDS} recordings" if number < _ENOUGH_FOLDS else ""
    return [
        f"There are {used} folds instead of {wanted}, since the videos that can be held out are of only "
        f"{counted(number, noun)}: the estimates for new videos rest on few of them; record each class at other places "
        f"too{until}."
    ]


def _class_notes(
    manifest: Manifest,
    recordings: RecordingNames,
    groups_of_class: NDArray[np.int64],
    apart: NDArray[np.bool_],
    judged: NDArray[np.bool_],
) -> list[str]:
    """Sentences on the classes that cannot be judged, or only roughly, and on what to record.

    Args:
        manifest: The list.
        recordings: The recordings.
        groups_of_class: [K]: the number of groups of each class.
        apart: [K]: the classes whose groups are not all in one fold.
        judged: [K]: the classes that can be judged.
    """
    notes, names, noun = [], manifest.class_names, "recording" if recordings.known.any() else "video"
    single = [names[label] for label in np.flatnonzero(groups_of_class == 1).tolist()]
    if single:
        notes.append(
            f"{_has(single)} videos of only 1 recording: they are trained on but never held out, so that how well "
            f"{verb(len(single), 'it is', 'they are')} recognised cannot be measured; record "
            f"{verb(len(single), 'it', 'each')} at least once more."
        )
    if everywhere := [names[label] for label in np.flatnonzero(apart & ~judged).tolist()]:
        count, all_named = len(everywhere), capitalised(classes_named(everywhere))
        notes.append(
            f"{all_named} {verb(count, 'is a label', 'are labels')} of every video, or of all but "
            f"those of one recording: how well {verb(count, 'it is', 'they are')} recognised cannot be measured; add "
            f"videos without {verb(count, 'it', 'them')}."
        )
    if tied := [names[label] for label in np.flatnonzero(~apart & (groups_of_class > 1)).tolist()]:
        notes.append(
            f"{_has(tied)} only recordings that they share with many classes, so that all of a class are in one fold: "
            "how well they are recognised cannot be measured."
        )
    few = np.flatnonzero(judged & (groups_of_class < _FEW)).tolist()
    if few:
        each = first_of([f"{names[label]} {groups_of_class[label]}" for label in few], NAMED)
        notes.append(
            f"{_has([names[label] for label in few])} fewer than {_FEW} {noun}s ({each}): expect "
            f"{verb(len(few), 'it', 'them')} to be confused with others, and the numbers of "
            f"{verb(len(few), 'it', 'them')} to be rough; record more."
        )
    return notes


def _has(names: Sequence[str]) -> str:
    """The beginning of a sentence on classes: "Class fall has", "2 classes (fall, sit) have"."""
    return f"{capitalised(classes_named(names))} {verb(len(names), 'has', 'have')}"


def classes_named(names: Sequence[str]) -> str:
    """Classes in words: "class fall", "3 classes (fall, sit, walk)"."""
    return f"class {names[0]}" if len(names) == 1 else f"{len(names):,} classes ({first_of(names, NAMED)})"
