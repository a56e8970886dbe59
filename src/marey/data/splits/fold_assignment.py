"""Which fold a group of videos is in: its key is hashed, and a few groups are moved afterwards.

**The fold of a group depends on the group alone.** Its key is the name of its recording, else the content of its file, else,
where that cannot be read, its name in the list. The key is hashed, and the hash, scaled to the number of folds, is the
fold. So the folds are the same for any order of the rows, on any machine and in any folder, and a group keeps its fold
when videos, recordings or a class are added or removed. No rule that makes folds exactly equal in size could do that:
such a rule makes the fold of a group depend on other groups.

**Repairs** move groups where one fold has more than half of the groups of a class (of two or three groups, more than one).
The groups with the highest hashes move first, each to the first fold of its further hashes (second, third, ...) in which
none of its classes would then exceed half. So the training share of each fold has at least half of the groups of each class
of two or more groups; or, where groups of several classes prevent that, at least one group if possible.

**Ten folds** make up for the random sizes of folds: their training shares are about as large as those of five equal folds.
Measured with 400 classes, where each group has one class. Three columns are about numbers of groups of a class: mean and
least number in the training share of a fold; the number there with folds of equal size; standard deviation of the number
in a fold. "moved" is the share of groups that a repair moved, "changed" the share of groups that change their fold when
10 % more groups are added:

| folds | groups of a class | training share: mean, least | of equal folds | deviation in a fold | moved | changed |
|---|---|---|---|---|---|---|
| 10 | 5 | 3.7, 3 | 4.0 | 0.6 | 1.4 % | 0.6 % |
| 10 | 10 | 8.1, 5 | 9 | 0.9 | 0 | 0 |
| 10 | 20 | 17.1, 13 | 18 | 1.3 | 0 | 0 |
| 10 | 50 | 44.1, 37 | 45 | 2.1 | 0 | 0 |
| 5 | 5 | 3.4, 3 | 4.0 | 0.7 | 5.4 % | 1.8 % |
| 5 | 20 | 15.2, 10 | 16 | 1.7 | 0.01 % | 0.01 % |
| 5 | 50 | 39.2, 28 | 40 | 2.8 | 0 | 0 |

Where folds are exactly equal in size, 14 % of the groups change their fold when 10 % are added to 5 groups a class, and
still 5 % of 50 groups a class. Here only groups change that a repair moves, before the addition or after it. Two more
things change the fold of a video: an added file whose name shows more about names in the list (`daria_walk` shows no
recording until there is a `daria_run`), and an added copy that joins two groups.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.data.files.identity import file_identities
from marey.data.lists.manifest import Manifest, video_paths
from marey.data.recordings.names import RecordingNames

_ATTEMPTS = 50
"""Number of hashes of a group that are tried for a fold, the first included. In one of 170 cases none of the 49 others leads
to a given one of ten folds."""


@dataclass(frozen=True, eq=False)
class GroupClasses:
    """Which of G groups have videos of which of K classes: P pairs of group and class, each once, ascending by group."""

    group: NDArray[np.int64]
    """[P]: the group of each pair, 0 to G - 1."""
    label: NDArray[np.int64]
    """[P]: the class of each pair, 0 to K - 1."""
    groups: int
    """Number G of all groups."""
    classes: int
    """Number K of all classes."""

    @classmethod
    def of(cls, manifest: Manifest, groups: NDArray[np.int64]) -> "GroupClasses":
        """The pairs of a list whose videos are in these groups [N]."""
        rows, labels = row_labels(manifest)
        classes, count = len(manifest.class_names), int(groups.max()) + 1
        pairs = np.unique(groups[rows] * classes + labels)
        return cls(pairs // classes, pairs % classes, count, classes)

    @property
    def groups_of_class(self) -> NDArray[np.int64]:
        """[K]: the number of groups that have videos of each class."""
        return np.bincount(self.label, minlength=self.classes).astype(np.int64)


def row_labels(manifest: Manifest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows and the labels of all pairs of a video and one of its labels: two arrays of equal length."""
    if manifest.label_sets is None:
        return np.arange(len(manifest)), manifest.labels
    rows, columns = np.nonzero(manifest.label_sets >= 0)
    return rows, manifest.label_sets[rows, columns]


def assign_folds(
    manifest: Manifest, table: GroupClasses, hashes: NDArray[np.uint64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The fold of each group [G], 0 to `count` - 1, and how many groups of each class are in each fold [K, count].

    Args:
        manifest: The list, for the names of its classes.
        table: Which groups have videos of which classes.
        hashes: [G]: the hash of each group, from `group_hashes`.
        count: The number of folds.
    """
    folds = _fold_of(hashes, count)
    loads = np.bincount(table.label * count + folds[table.group], minlength=table.classes * count)
    repair = _Repair(table, hashes, folds, loads.reshape(table.classes, count))
    sizes = table.groups_of_class
    # The second pass is for classes that are still in one fold: other classes of their groups left no room in other folds.
    for limits in (np.maximum(sizes // 2, -(-sizes // count)), np.maximum(sizes - 1, 1)):
        too_full = np.flatnonzero((repair.loads > limits[:, None]).any(1)).tolist()
        # In the order of names: the order of the classes changes where one is added.
        for label in sorted(too_full, key=lambda label: manifest.class_names[label]):
            repair.relieve(label, limits)
    return folds, repair.loads


class _Repair:
    """Moves groups out of folds that have too many groups of a class."""

    def __init__(
        self,
        table: GroupClasses,
        hashes: NDArray[np.uint64],
        folds: NDArray[np.int64],
        loads: NDArray[np.int64],
    ) -> None:
        self._hashes, self._folds = hashes, folds
        self.loads = loads
        """[K, folds]: the number of groups of each class in each fold."""
        by_class = np.argsort(table.label, kind="stable")
        self._groups_of = np.split(table.group[by_class], np.cumsum(table.groups_of_class)[:-1])
        self._begin = np.searchsorted(table.group, np.arange(table.groups + 1))
        self._label = table.label

    def relieve(self, label: int, limits: NDArray[np.int64]) -> None:
        """Move groups of a class, those with the highest hashes first, until no fold exceeds the class's limit or no group
        can be moved without exceeding the limit of another class. `limits` [K] are the largest numbers of groups of each
        class in one fold.
        """
        groups = self._groups_of[label]
        for group in groups[np.argsort(self._hashes[groups], kind="stable")[::-1]].tolist():
            if self.loads[label, self._folds[group]] > limits[label]:
                self._move(group, limits)

    def _move(self, group: int, limits: NDArray[np.int64]) -> None:
        """Move a group to the first fold of its further hashes that has room for all its classes, if there is one."""
        labels = self._label[self._begin[group] : self._begin[group + 1]]
        for attempt in range(1, _ATTEMPTS):
            fold = int(_fold_of(self._hashes[[group]], self.loads.shape[1], attempt)[0])
            if (self.loads[labels, fold] < limits[labels]).all():
                self.loads[labels, self._folds[group]] -= 1
                self.loads[labels, fold] += 1
                self._folds[group] = fold
                return


def group_hashes(manifest: Manifest, recordings: RecordingNames, groups: NDArray[np.int64]) -> NDArray[np.uint64]:
    """[G]: the hash of each group's key; where its videos have several keys, the lowest hash."""
    # Where a recording is named after one of its files, the keys are the contents of its files, whatever their names.
    by_recording = recordings.named & recordings.together
    others = np.flatnonzero(~by_recording)
    contents = file_identities(video_paths(manifest[others]))
    keys = np.empty(len(manifest), object)
    keys[by_recording] = [f"source {name}" for name in recordings.of_row[by_recording].tolist()]
    keys[others] = [
        f"content {content}" if content else f"name {name}"
        for content, name in zip(contents.tolist(), manifest.ids[others].tolist(), strict=True)
    ]
    of_key = {key: _hash(key) for key in set(keys.tolist())}
    least = np.full(int(groups.max()) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, groups, np.fromiter((of_key[key] for key in keys.tolist()), np.uint64, len(keys)))
    return least


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


def _fold_of(hashes: NDArray[np.uint64], count: int, attempt: int = 0) -> NDArray[np.int64]:
    """[G]: the fold of groups with these hashes at the first (0), second (1), ... attempt; all folds are equally likely.

    The hash is mixed again by the finaliser of SplitMix64 (Steele, Lea and Flood, Fast Splittable Pseudorandom Number
    Generators, 2014), and its upper half is scaled to the number of folds, so that each of n folds joins two of 2 * n folds.
    """
    with np.errstate(over="ignore"):
        mixed = hashes + np.uint64(attempt + 1) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    upper = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)
    return (upper * np.uint64(count) >> np.uint64(32)).astype(np.int64)
