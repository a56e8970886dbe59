"""What recordings are for: `marey data sources` writes them as a list and as contact sheets; `marey train FOLDER` makes its
folds by them.
"""

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
from marey.data.recordings.evidence import MOST_COMPARED, Recordings, find_recordings
from marey.data.recordings.units import NAMED, Together
from marey.data.splits.folds import Folds, make_folds
from marey.data.splits.sides import Given, joined
from marey.evaluation.report.contact_sheets import ContactSheets


def list_of_recordings(source: Path) -> Path:
    """Where the list of a folder's or list's recordings goes that was given no name: beside it."""
    whole = source.resolve()
    return whole.with_name(f"{whole.name if whole.is_dir() else whole.stem}-sources.csv")


def sheets_beside(path: Path) -> Path:
    """The page of contact sheets beside a list."""
    return path.with_suffix(".html")


def write_recordings(manifest: Manifest, path: Path, *, workers: int | None = None) -> ContactSheets:
    """Find the recordings of a list's videos; write the list with the recording of each as its column `group`, empty where
    it is not known, and contact sheets beside it.

    Args:
        path: The list to write, a .csv.
        workers: Processes that decode and compare; None: one per core, 0: this one.

    Raises:
        RunError: a process died, or nothing can be written there.
    """
    found = find_recordings([manifest], workers=workers)
    sides = [""] * len(manifest) if manifest.splits is None else manifest.splits.tolist()
    sheets = ContactSheets.of(found, found.copies([manifest], sides))
    sheets.write_page(sheets_beside(path), title=path.stem)
    replace(manifest, groups=found.sources.of_row).write_csv(path)
    return sheets


@dataclass(frozen=True, eq=False)
class Divided:
    """The clips of a training after their pictures were compared: without copies, and in folds that keep recordings
    together.
    """

    train: Manifest
    """Each content once for a class, and none that is tested on."""
    listed: Manifest
    """These clips and those that are tested on, with a column `split`, and the recording of each as its column `group`."""
    folds: Folds
    """Of `train`."""
    left_out: tuple[str, ...]
    """The clips that `train` lacks, by their ids."""
    notes: tuple[str, ...]
    """What was found, as sentences; those on the folds are in `folds`."""
    recordings: Recordings | None
    """Of all clips, those that are tested on after those for training; None where pictures were not compared."""
    rows: NDArray[np.int64]
    """Which clips of those for training `train` has."""

    @property
    def core_seconds(self) -> float:
        """Processor time of comparing the pictures."""
        return 0.0 if self.recordings is None else self.recordings.core_seconds


def divide_by_recordings(
    given: Given, folds: Folds, *, workers: int | None = None
) -> tuple[Divided, ContactSheets | None]:
    """Compare the pictures of the clips that a classifier is fitted and tested on, and make their folds anew.

    Args:
        given: The clips.
        folds: Of those for training, by names alone; they are kept where there are too many clips to compare.
        workers: Processes that decode and compare; None: one per core, 0: this one.

    Raises:
        RunError: a process died.
        DataError: without copies too few clips are left to judge any class.
    """
    parts = [given.train, *given.tested.values()]
    total, every = sum(map(len, parts)), np.arange(len(given.train))
    if total > MOST_COMPARED:
        note = (
            f"{counted(total, 'clip')}: pictures are compared of up to {MOST_COMPARED:,}, so that clips of one recording "
            "and copies are known by names and equal files alone (marey data sources compares any number)."
        )
        listed = joined(_with_corrected_groups(given.train, folds), given.tested)
        return Divided(given.train, listed, folds, (), (note,), None, every), None
    found = find_recordings(parts, workers=workers)
    sides = np.repeat([TRAIN if given.tested else "", *given.tested], [len(part) for part in parts])
    copies = found.copies(parts, sides.tolist())
    out, copies_note = _left_out(copies, given)
    rows = np.delete(every, out)
    together, train = found.together.rows(rows), given.train[rows]
    sheets = ContactSheets.of(found, copies)
    notes = [sheets.summary, *sheets.notes, *copies_note]
    if given.tested:
        used = np.delete(np.arange(total), out)
        notes.append(f"Training and tests: {found.sources.rows(used).describe(sides[used])}.")
    groups = np.split(found.sources.of_row, np.cumsum([len(part) for part in parts])[:-1])
    grouped = [replace(part, groups=own) for part, own in zip(parts, groups, strict=True)]
    divided = Divided(
        train=train,
        listed=joined(grouped[0][rows], dict(zip(given.tested, grouped[1:], strict=True))),
        folds=_folds(train, together, [sheets.summary, *copies_note]),
        left_out=tuple(given.train[row].id for row in out),
        notes=tuple(notes),
        recordings=found,
        rows=rows,
    )
    return divided, sheets


def _folds(train: Manifest, together: Together, notes: Sequence[str]) -> Folds:
    """The folds of the clips that are left for training.

    Raises:
        DataError: too few are left to judge any class; with what pictures showed.
    """
    try:
        return make_folds(train, together=together)
    except DataError as error:
        raise DataError(f"{error} So it is after pictures were compared: {' '.join(notes)}") from None


def _with_corrected_groups(train: Manifest, folds: Folds) -> Manifest:
    """The list with the source of each clip as its column `group`, where corrections give some groups: these alone would be
    all that is known, where the list is read again.
    """
    return train if train.joined_groups is None else replace(train, groups=folds.sources.of_row)


def _left_out(copies: Copies, given: Given) -> tuple[list[int], list[str]]:
    """The rows of the clips for training that are left out since they are copies, and why, as sentences: of each content and
    class one stays, and none that is tested on.
    """
    count = len(given.train)
    tested = copies.of_side(TRAIN)
    twice = sorted({row for row in copies.once() if row < count} - set(tested))
    notes = []
    if twice:
        notes.append(
            f"{counted(len(twice), 'clip')} of them {verb(len(twice), 'is', 'are')} left out, so that each content counts "
            f"once in its class: {first_of([given.train[row].id for row in twice], NAMED)}."
        )
    if tested:
        notes.append(
            f"{counted(len(tested), 'clip')} for training {verb(len(tested), 'is', 'are')} left out as copies of clips that "
            f"are tested on: {first_of([given.train[row].id for row in tested], NAMED)}."
        )
    return sorted([*twice, *tested]), notes
