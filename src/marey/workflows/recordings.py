"""Find the recordings of a list's videos: `marey data sources` writes them, `marey train FOLDER` makes folds by them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.words import counted, verb
from marey.data.lists.manifest import Manifest
from marey.data.lists.split_names import TRAIN
from marey.data.lists.videos import first_of
from marey.data.recordings.copies import Copies
from marey.data.recordings.find import MOST_COMPARED, Recordings, find_recordings
from marey.data.recordings.groups import NAMED, RecordingsAndCopies
from marey.data.splits.folds import Folds, make_folds
from marey.data.splits.read_splits import TrainValTest, join_splits
from marey.evaluation.report.contact_sheets import ContactSheets


def list_of_recordings(source: Path) -> Path:
    """The default path of the list with recordings: beside the folder or list, as NAME-sources.csv."""
    path = source.resolve()
    return path.with_name(f"{path.name if path.is_dir() else path.stem}-sources.csv")


def sheets_beside(path: Path) -> Path:
    """The path of the contact sheets, beside a list of recordings."""
    return path.with_suffix(".html")


def write_recordings(manifest: Manifest, path: Path, *, workers: int | None = None) -> ContactSheets:
    """Find the recordings of a list's videos, and write the list with the recording of each as its column `group` (empty
    if it is not known), with contact sheets beside it.

    Args:
        path: The list to write, a .csv.
        workers: Processes that decode and compare; None: one per core, 0: this one.

    Raises:
        RunError: a process died, or nothing can be written there.
    """
    recordings = find_recordings([manifest], workers=workers)
    splits = [""] * len(manifest) if manifest.splits is None else manifest.splits.tolist()
    sheets = ContactSheets.of(recordings, recordings.copies([manifest], splits))
    sheets.write_page(sheets_beside(path), title=path.stem)
    replace(manifest, groups=recordings.by_evidence.of_row).write_csv(path)
    return sheets


@dataclass(frozen=True, eq=False)
class VideosInFolds:
    """Training videos without copies, in folds that keep each recording together, after frames of all were compared."""

    train: Manifest
    """The videos to train on: each content once per class, and none that is tested on."""
    listed: Manifest
    """The videos to train and to test on, with a column `split`, and the recording of each as its column `group`."""
    folds: Folds
    """The folds of `train`."""
    left_out: tuple[str, ...]
    """The ids of training videos that are copies, which `train` lacks."""
    notes: tuple[str, ...]
    """What was found, as sentences; those about folds are in `folds`."""
    recordings: Recordings | None
    """The recordings of all videos, those to train on first; None: there were too many videos to compare."""
    rows: NDArray[np.int64]
    """The rows of the given training videos that `train` has."""

    @property
    def core_seconds(self) -> float:
        """Processor time of comparing frames."""
        return 0.0 if self.recordings is None else self.recordings.core_seconds


def divide_by_recordings(
    given: TrainValTest, folds: Folds, *, workers: int | None = None
) -> tuple[VideosInFolds, ContactSheets | None]:
    """Compare frames of the videos that a classifier is fitted and tested on, leave out copies, and make folds again.

    Args:
        given: The videos.
        folds: The folds of the training videos by names alone; they are kept if there are too many videos to compare.
        workers: Processes that decode and compare; None: one per core, 0: this one.

    Returns:
        The videos in folds, and their contact sheets, None if frames were not compared.

    Raises:
        RunError: a process died.
        DataError: without copies too few videos are left to evaluate any class.
    """
    lists = [given.train, *given.tested.values()]
    total, all_rows = sum(map(len, lists)), np.arange(len(given.train))
    if total > MOST_COMPARED:
        note = (
            f"{counted(total, 'video')}: frames are compared for at most {MOST_COMPARED:,}, so videos of one recording "
            "and copies are known by names and equal files alone (marey data sources compares any number)."
        )
        listed = join_splits(_with_corrected_groups(given.train, folds), given.tested)
        return VideosInFolds(given.train, listed, folds, (), (note,), None, all_rows), None
    recordings = find_recordings(lists, workers=workers)
    splits = np.repeat([TRAIN if given.tested else "", *given.tested], [len(videos) for videos in lists])
    copies = recordings.copies(lists, splits.tolist())
    left_out, copies_notes = _copies_left_out(copies, given)
    rows = np.delete(all_rows, left_out)
    together, train = recordings.together.rows(rows), given.train[rows]
    sheets = ContactSheets.of(recordings, copies)
    notes = [sheets.summary, *sheets.notes, *copies_notes]
    if given.tested:
        used = np.delete(np.arange(total), left_out)
        notes.append(f"Training and tests: {recordings.by_evidence.rows(used).describe(splits[used])}.")
    groups = np.split(recordings.by_evidence.of_row, np.cumsum([len(videos) for videos in lists])[:-1])
    grouped = [replace(videos, groups=own) for videos, own in zip(lists, groups, strict=True)]
    in_folds = VideosInFolds(
        train=train,
        listed=join_splits(grouped[0][rows], dict(zip(given.tested, grouped[1:], strict=True))),
        folds=_folds(train, together, [sheets.summary, *copies_notes]),
        left_out=tuple(given.train[row].id for row in left_out),
        notes=tuple(notes),
        recordings=recordings,
        rows=rows,
    )
    return in_folds, sheets


def _folds(train: Manifest, together: RecordingsAndCopies, notes: Sequence[str]) -> Folds:
    """The folds of the training videos that remain.

    Raises:
        DataError: too few remain to evaluate any class; the message adds `notes`, what comparing frames showed.
    """
    try:
        return make_folds(train, together=together)
    except DataError as error:
        raise DataError(f"{error} This is the result of comparing frames: {' '.join(notes)}") from None


def _with_corrected_groups(train: Manifest, folds: Folds) -> Manifest:
    """The list with the known group of each video, if corrections changed some groups; else unchanged.

    A list with a column `group` is read with these groups alone, so that the column must hold all of them.
    """
    return train if train.joined_groups is None else replace(train, groups=folds.recordings.of_row)


def _copies_left_out(copies: Copies, given: TrainValTest) -> tuple[list[int], list[str]]:
    """The rows of the training videos that are left out as copies, and the reasons, as sentences: one video of each
    content and class stays, and none whose content is tested on.
    """
    count = len(given.train)
    tested = copies.rows_copied_elsewhere(TRAIN)
    repeated = sorted({row for row in copies.once() if row < count} - set(tested))
    notes = []
    if repeated:
        notes.append(
            f"{counted(len(repeated), 'training video')} {verb(len(repeated), 'is a copy', 'are copies')} and left out, so "
            "that each content counts once in its class: "
            f"{first_of([given.train[row].id for row in repeated], NAMED)}."
        )
    if tested:
        notes.append(
            f"{counted(len(tested), 'training video')} {verb(len(tested), 'is a copy', 'are copies')} of a video that "
            f"is tested on, and left out: {first_of([given.train[row].id for row in tested], NAMED)}."
        )
    return sorted([*repeated, *tested]), notes
