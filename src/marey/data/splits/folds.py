"""Folds for answers out of fold: every clip is held out once, by a classifier that saw no clip of its recording.

**What stays together** is a *unit*: the clips of one source (the list's column `group`, or what names tell, see
`marey.data.lists.sources`), files of equal content, and the parts of one file. A clip whose source is not known is one
by itself.

**Which fold a unit is in** follows from the unit alone: its key (the name of its source, else the content of its file, else,
where that cannot be read, its name in the list) is hashed, and the place of the hash in its range is the fold. So the folds
are the same in any order of the rows, on any machine and below any folder, and a unit keeps its fold when clips, recordings
or a class are added or removed. No rule that evens folds out exactly could do that: for the fold of a unit to depend on no
other unit, it has to be a function of the unit alone.

**Repairs**: where more than half of a class's units come into one fold (more than one, of two or three), the last by hash
are moved to the fold of their second hash, or third, ..., in which no class would be past its half. So the training part of
each fold has at least half of the units of each class of two or more.

**Ten folds** make up for what chance makes uneven: their training parts are as large as those of five even ones. Measured
over 400 classes of units that hold one class each:

| folds | units of a class | training part: mean, least | of even folds | deviation in a fold | moved | change at 10 % more |
|---|---|---|---|---|---|---|
| 10 | 5 | 3.7, 3 | 4.0 | 0.6 | 1.4 % | 0.6 % |
| 10 | 10 | 8.1, 5 | 9 | 0.9 | 0 | 0 |
| 10 | 20 | 17.1, 13 | 18 | 1.3 | 0 | 0 |
| 10 | 50 | 44.1, 37 | 45 | 2.1 | 0 | 0 |
| 5 | 5 | 3.4, 3 | 4.0 | 0.7 | 5.4 % | 1.8 % |
| 5 | 20 | 15.2, 10 | 16 | 1.7 | 0.01 % | 0.01 % |
| 5 | 50 | 39.2, 28 | 40 | 2.8 | 0 | 0 |

Of folds that are evened out exactly, 14 % of the units change theirs when 10 % are added to 5 a class, and still 5 % of
50 a class. Here only units change that were moved or are now. Two more things move old clips: added clips that tell more
about the names of old ones (`daria_walk` tells no source before there is a `daria_run`), and an added copy that joins two
units.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.words import capitalised, counted, in_words, verb
from marey.data.files.identity import contents_of, paths_of
from marey.data.lists.manifest import Manifest
from marey.data.lists.sources import Evidence, Sources
from marey.data.lists.videos import first_of
from marey.data.recordings.units import NAMED, Together, joined_units, together_by_names

_FOLDS = 10
_MANY = 500
"""Clips above which half as many folds are made: the fits for ten take four times as long, and gain nothing any more."""
NEVER = -1
"""In place of a fold: the clip is on the training side of every fold and never held out."""
_ATTEMPTS = 50
"""Of a unit that is moved, to come into a fold with room: one of ten folds is missed by chance once in 170 times."""
_FEW = 5
"""Units below which what is measured of a class is rough."""
_ENOUGH_FOLDS = 5
"""Where there are fewer, a line names the reason."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The fold of each clip of a list, and what stays together in them."""

    of_row: NDArray[np.int64]
    """[N]: 0 up to `count` - 1; `NEVER` (-1) where the clip is never held out but always trained on, since all units of each
    of its classes are in one fold: out of fold nothing can be said of it.
    """
    count: int
    """How many folds there are; none of them is empty."""
    units: NDArray[np.int64]
    """[N]: the number of what stays together, from 0."""
    sources: Sources
    judged: NDArray[np.bool_]
    """[K]: the classes of two or more units, not all in one fold; of several labels a clip also those which clips of two or
    more units lack. The training part of every fold has a clip of each of them; and, where a clip has one label, of each
    other class as well, whose clips are never held out.
    """
    notes: tuple[str, ...]
    """What was assumed, what is doubtful and what cannot be judged, as sentences."""
    together: Together
    """What they were made from."""

    def rows(self, rows: NDArray[np.int64]) -> "Folds":
        """Those of some of the clips."""
        return replace(
            self,
            of_row=self.of_row[rows],
            units=self.units[rows],
            sources=self.sources.rows(rows),
            together=self.together.rows(rows),
        )


def make_folds(manifest: Manifest, count: int | None = None, *, together: Together | None = None) -> Folds:
    """Divide the clips of a list into folds, as this module says.

    Classes of a single unit are not held out. Sources that names tell, and with which all clips of a class would be one
    unit, are passed over for that class; a column `group` is not, nor are groups that corrections give.

    Args:
        manifest: With one label a clip or several.
        count: Folds, at least 2; None: 10, and 5 of more than 500 clips, each of which is two of the ten. Fewer are made
            where some would be empty, but not where a class has fewer units: it is in as many folds as it can be, and the
            clips of the other classes keep theirs.
        together: What is known of clips that belong together; None: `together_by_names`.

    Raises:
        DataError: fewer than two classes (one, where clips have several labels) have two units.
    """
    count = count or folds_wanted(len(manifest))
    if count < 2:
        raise DataError(f"folds: at least 2 are needed to hold every clip out once, got {count}.")
    together = together or together_by_names(manifest)
    sources, units = _units(manifest, together)
    table = _Table.of(manifest, units)
    folds, loads = _assigned(manifest, table, _hashes(manifest, sources, units), count)
    apart = loads.max(1) < loads.sum(1)
    judged = apart & ~_everywhere(manifest, units)
    _refuse_too_few(manifest, sources, judged)
    held = _has_any(manifest, apart)
    used, of_held = np.unique(folds[units[held]], return_inverse=True)
    of_row = np.full(len(manifest), NEVER)
    of_row[held] = of_held
    notes = [
        *_source_notes(manifest, sources),
        *_few_folds_note(len(used), count, units[held], sources),
        *_class_notes(manifest, sources, table.units_of_class, apart, judged),
    ]
    return Folds(of_row, len(used), units, sources, judged, tuple(notes), together)


def folds_wanted(clips: int) -> int:
    """How many folds so many clips are divided into."""
    return _FOLDS if clips <= _MANY else _FOLDS // 2


@dataclass(frozen=True, eq=False)
class _Table:
    """Which units have clips of which classes: P pairs, each once, ascending by unit."""

    unit: NDArray[np.int64]
    label: NDArray[np.int64]
    units: int
    classes: int

    @classmethod
    def of(cls, manifest: Manifest, units: NDArray[np.int64]) -> "_Table":
        rows, labels = _labels(manifest)
        classes, number = len(manifest.class_names), int(units.max()) + 1
        pairs = np.unique(units[rows] * classes + labels)
        return cls(pairs // classes, pairs % classes, number, classes)

    @property
    def units_of_class(self) -> NDArray[np.int64]:
        """[K]"""
        return np.bincount(self.label, minlength=self.classes).astype(np.int64)


def _labels(manifest: Manifest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and label of each label of each clip."""
    if manifest.label_sets is None:
        return np.arange(len(manifest)), manifest.labels
    rows, columns = np.nonzero(manifest.label_sets >= 0)
    return rows, manifest.label_sets[rows, columns]


def _has_any(manifest: Manifest, classes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """[N]: whether a clip has a label of some classes [K]."""
    rows, labels = _labels(manifest)
    found = np.zeros(len(manifest), np.bool_)
    found[rows[classes[labels]]] = True
    return found


def _everywhere(manifest: Manifest, units: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[K]: which classes all clips have, or all but those of one unit, so that clips without that unit do not show what a
    clip without the class looks like; none where clips have one label.
    """
    if manifest.label_sets is None:
        return np.zeros(len(manifest.class_names), np.bool_)
    has = manifest.multi_hot() > 0
    lacking = [len(np.unique(units[~of_class])) for of_class in has.T]
    return np.array(lacking) < 2


def _units(manifest: Manifest, together: Together) -> tuple[Sources, NDArray[np.int64]]:
    """The sources, and the number of the unit of each clip [N]. Guessed sources are passed over for the clips of a class
    that would be a single unit by them.
    """
    sources = together.sources
    units = joined_units(sources, together.copies, manifest.ids)
    if sources.given or not sources.together.any():
        return sources, units
    lone = _Table.of(manifest, units).units_of_class == 1
    passed_over = _has_any(manifest, lone) & sources.together & ~_parts_of_files(manifest)
    if manifest.joined_groups is not None:
        passed_over &= manifest.joined_groups == ""
    if not passed_over.any():
        return sources, units
    sources = replace(sources, together=sources.together & ~passed_over)
    return sources, joined_units(sources, together.copies, manifest.ids)


def _parts_of_files(manifest: Manifest) -> NDArray[np.bool_]:
    """[N]: whether the list has other clips of the same file."""
    _, files, counts = np.unique(manifest.ids, return_inverse=True, return_counts=True)
    return np.asarray(counts[files] > 1, np.bool_)


def _hashes(manifest: Manifest, sources: Sources, units: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The hash of each unit's key [U]; of several keys of a unit the least one."""
    # A source that is named after one of its files is known by their content, under any name.
    by_source = sources.named & sources.together
    others = np.flatnonzero(~by_source)
    contents = contents_of(paths_of(manifest[others]))
    keys = np.empty(len(manifest), object)
    keys[by_source] = [f"source {name}" for name in sources.of_row[by_source].tolist()]
    keys[others] = [
        f"content {content}" if content else f"name {name}"
        for content, name in zip(contents.tolist(), manifest.ids[others].tolist(), strict=True)
    ]
    of_key = {key: _hash(key) for key in set(keys.tolist())}
    least = np.full(int(units.max()) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, units, np.fromiter((of_key[key] for key in keys.tolist()), np.uint64, len(keys)))
    return least


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def _fold_of(hashes: NDArray[np.uint64], count: int, attempt: int = 0) -> NDArray[np.int64]:
    """The fold [U] that units of these hashes take at the first (0), second (1), ... attempt, all equally likely.

    It is the place of another hash of theirs in its range, the finaliser of SplitMix64 (Steele, Lea and Flood, Fast
    Splittable Pseudorandom Number Generators, 2014), so that 2 * n folds divide n folds.
    """
    with np.errstate(over="ignore"):
        mixed = hashes + np.uint64(attempt + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    place = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)
    return (place * np.uint64(count) >> np.uint64(32)).astype(np.int64)


def _assigned(
    manifest: Manifest, table: _Table, hashes: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The fold of each unit [U], and how many units of each class are in each fold [K, count]."""
    folds = _fold_of(hashes, count)
    loads = np.bincount(table.label * count + folds[table.unit], minlength=table.classes * count)
    repair = _Repair(table, hashes, folds, loads.reshape(table.classes, count))
    several = table.units_of_class
    # The second time for classes that are still in one fold, since their units hold other classes that are at their half.
    for most in (np.maximum(several // 2, -(-several // count)), np.maximum(several - 1, 1)):
        too_full = np.flatnonzero((repair.loads > most[:, None]).any(1)).tolist()
        # By name: the order of the classes changes where one is added.
        for label in sorted(too_full, key=lambda label: manifest.class_names[label]):
            repair.relieve(label, most)
    return folds, repair.loads


class _Repair:
    """Units are moved out of folds that hold too many of a class."""

    def __init__(
        self,
        table: _Table,
        hashes: NDArray[np.uint64],
        folds: NDArray[np.int64],
        loads: NDArray[np.int64],
    ) -> None:
        self._hashes, self._folds = hashes, folds
        self.loads = loads
        """[K, folds]: units of each class in each fold."""
        by_class = np.argsort(table.label, kind="stable")
        self._units_of = np.split(table.unit[by_class], np.cumsum(table.units_of_class)[:-1])
        self._begin = np.searchsorted(table.unit, np.arange(table.units + 1))
        self._label = table.label

    def relieve(self, label: int, most: NDArray[np.int64]) -> None:
        """Move units of a class, the last by hash first, until no fold holds more than its `most` [K], or none can be moved
        without another class being past that.
        """
        units = self._units_of[label]
        for unit in units[np.argsort(self._hashes[units], kind="stable")[::-1]].tolist():
            if self.loads[label, self._folds[unit]] > most[label]:
                self._move(unit, most)

    def _move(self, unit: int, most: NDArray[np.int64]) -> None:
        labels = self._label[self._begin[unit] : self._begin[unit + 1]]
        for attempt in range(1, _ATTEMPTS):
            fold = int(_fold_of(self._hashes[[unit]], self.loads.shape[1], attempt)[0])
            if (self.loads[labels, fold] < most[labels]).all():
                self.loads[labels, self._folds[unit]] -= 1
                self.loads[labels, fold] += 1
                self._folds[unit] = fold
                return


def check_trainable(manifest: Manifest) -> None:
    """Check before any work, by the numbers of clips alone, that a list can be trained on and judged by folds. What of it
    is doubtful is in the notes of `make_folds`.

    Raises:
        DataError: no clips, clips of one class alone, no two classes of two clips, a class without a name, or the same
            several labels for every clip.
    """
    source, names, counts = manifest.source or "the list", manifest.class_names, manifest.class_counts()
    if not len(manifest):
        raise DataError(f"{source}: names no videos to train on.")
    if blank := [place for place, name in enumerate(names) if not name.strip()]:
        raise DataError(f"{source}: the class at place {blank[0]} of {len(names)} has no name: name every class.")
    used = np.flatnonzero(counts)
    if len(used) < 2:
        raise DataError(f"{source}: only one class, {names[used[0]]}; telling apart takes at least two.")
    if manifest.label_sets is not None and (counts[used] == len(manifest)).all():
        raise DataError(
            f"{source}: every clip has the same labels ({first_of([names[label] for label in used.tolist()], NAMED)}), so "
            "that nothing can be told apart: add clips that lack one of them."
        )
    several = counts[used] > 1
    if several.sum() < _needed(manifest):
        what = "has only one video" if len(used) - several.sum() == 1 else "have only one video each"
        single = classes_named([names[label] for label in used[~several].tolist()])
        raise DataError(
            f"{source}: {single} {what}: to train and to say how well it works takes a second one, of another recording "
            f"({counted(len(manifest), 'video')} in all)."
        )


def _needed(manifest: Manifest) -> int:
    """How many classes must be judged to say how well a classifier tells them apart."""
    return 2 if manifest.label_sets is None else 1


def _refuse_too_few(manifest: Manifest, sources: Sources, judged: NDArray[np.bool_]) -> None:
    """Refuse a list of which not enough classes can be held out to say how well a classifier tells them apart."""
    count, source = int(judged.sum()), manifest.source or "the list"
    if count >= _needed(manifest):
        return
    by = " by the column `group`" if sources.given else ""
    if manifest.label_sets is not None:
        raise DataError(
            f"{source}: no class has clips of two recordings with it and of two without it{by}, so that nothing can be said "
            "of how well a classifier works: add clips of other recordings, with and without each label."
        )
    single = [name for name, is_judged in zip(manifest.class_names, judged.tolist(), strict=True) if not is_judged]
    raise DataError(
        f"{source}: {count} of {counted(len(judged), 'class')} {verb(count, 'has', 'have')} clips of two recordings or "
        f"more{by}, too few to train and to say how well it works: add clips of other recordings to {classes_named(single)}."
    )


def _source_notes(manifest: Manifest, sources: Sources) -> list[str]:
    """What is known, guessed and not known of the recordings that clips are from, as sentences."""
    notes, known, total = [], int(sources.known.sum()), len(manifest)
    doubt = "clips of one recording may be in several folds, and the numbers be too good (add a column `group`)"
    if not known:
        neither = f"Neither {in_words(sources.evidence, 'nor')}" if len(sources.evidence) > 1 else "File names do not"
        notes.append(f"{neither} tell which recording a clip is from: {doubt}.")
    elif known < total:
        notes.append(f"Of {total - known:,} of {counted(total, 'clip')} the recording is not known: {doubt}.")
    guessed = sources.known & sources.together
    if manifest.joined_groups is not None:
        guessed &= manifest.joined_groups == ""
    if not sources.given and (names := np.unique(sources.of_row[guessed])).size:
        by = [one for one in sources.evidence if one is not Evidence.CORRECTIONS]
        named = "" if Evidence.PICTURES in sources.evidence else f" ({first_of(names.tolist(), NAMED)})"
        notes.append(
            f"Which clips are of one recording was guessed from {in_words(by)}: {counted(names.size, 'recording')}{named}; "
            "a column `group` would say it."
        )
    rows, labels = _labels(manifest)
    if (over := np.unique(labels[(sources.known & ~sources.together)[rows]])).size:
        named = classes_named([manifest.class_names[label] for label in over.tolist()])
        also = "; or record the class at other places too" if Evidence.PICTURES in sources.evidence else ""
        notes.append(
            f"By {sources.by} all clips are of one recording in {named}: there that is passed over, so that {doubt}{also}."
        )
    return notes


def _few_folds_note(used: int, wanted: int, units: NDArray[np.int64], sources: Sources) -> list[str]:
    """That there are few folds, why, and what to record, as a sentence; nothing where there are enough.

    Args:
        units: Of the clips that are held out.
    """
    if used >= min(_ENOUGH_FOLDS, wanted):
        return []
    number, noun = len(np.unique(units)), "recording" if sources.known.any() else "clip"
    until = f", until there are at least {_ENOUGH_FOLDS} recordings" if number < _ENOUGH_FOLDS else ""
    return [
        f"There are {used} folds instead of {wanted}, since the clips that can be held out are of {counted(number, noun)} "
        f"alone: what is said of new clips rests on few of them; record each class at other places too{until}."
    ]


def _class_notes(
    manifest: Manifest,
    sources: Sources,
    units_of_class: NDArray[np.int64],
    apart: NDArray[np.bool_],
    judged: NDArray[np.bool_],
) -> list[str]:
    """Which classes cannot be judged, and which only roughly, as sentences that say what to record."""
    notes, names, noun = [], manifest.class_names, "recording" if sources.known.any() else "clip"
    single = [names[label] for label in np.flatnonzero(units_of_class == 1).tolist()]
    if single:
        notes.append(
            f"{_has(single)} clips of only 1 recording: they are trained on but never held out, so that nothing can be said "
            f"of how well {verb(len(single), 'it is', 'they are')} recognised; record {verb(len(single), 'it', 'each')} at "
            "least once more."
        )
    if everywhere := [names[label] for label in np.flatnonzero(apart & ~judged).tolist()]:
        count, all_named = len(everywhere), capitalised(classes_named(everywhere))
        notes.append(
            f"{all_named} {verb(count, 'is a label', 'are labels')} of every clip, or of all but "
            f"those of one recording: nothing can be said of how well {verb(count, 'it is', 'they are')} recognised; add "
            f"clips without {verb(count, 'it', 'them')}."
        )
    if tied := [names[label] for label in np.flatnonzero(~apart & (units_of_class > 1)).tolist()]:
        notes.append(
            f"{_has(tied)} no recording that can be held out without others of the class, since they share theirs with too "
            "many classes: nothing can be said of how well they are recognised."
        )
    few = np.flatnonzero(judged & (units_of_class < _FEW)).tolist()
    if few:
        each = first_of([f"{names[label]} {units_of_class[label]}" for label in few], NAMED)
        notes.append(
            f"{_has([names[label] for label in few])} fewer than {_FEW} {noun}s ({each}): expect "
            f"{verb(len(few), 'it', 'them')} to be confused with others, and what is said of it to be rough; record more."
        )
    return notes


def _has(names: Sequence[str]) -> str:
    """The beginning of a sentence."""
    return f"{capitalised(classes_named(names))} {verb(len(names), 'has', 'have')}"


def classes_named(names: Sequence[str]) -> str:
    """Classes in words: "class fall", "3 classes (fall, sit, walk)"."""
    return f"class {names[0]}" if len(names) == 1 else f"{len(names):,} classes ({first_of(names, NAMED)})"
