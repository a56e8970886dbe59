"""What stays together where videos are divided: the clips of one source, files of equal content, the parts of one file."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.reporter import notice, warning
from marey.base.words import counted
from marey.data.files.identity import equal_contents, paths_of
from marey.data.lists.manifest import Manifest
from marey.data.lists.sources import Sources, find_sources
from marey.data.lists.videos import first_of

Pairs = list[tuple[int, int]]
"""Of rows."""
_MOST = 0.5
"""Above this share of all videos, 0 to 1, what they have in common does not tell recordings apart."""
NAMED = 3
"""Videos or classes that a line names."""


@dataclass(frozen=True, eq=False)
class Together:
    """Which of N videos belong together."""

    sources: Sources
    copies: NDArray[np.int64]
    """[N]: the same number for the same content, -1 where that is not known."""

    def rows(self, rows: NDArray[np.int64]) -> "Together":
        """What is known of some of the videos."""
        return Together(self.sources.rows(rows), self.copies[rows])


def together_by_names(manifest: Manifest) -> Together:
    """Of a list's videos, by its column `group` or by names, and by equal files, which a notice counts."""
    return Together(find_sources(manifest), find_copies(manifest))


def components(count: int, pairs: Iterable[tuple[int, int]]) -> NDArray[np.int64]:
    """For each of `count` rows [count] the least one that pairs of rows lead to."""
    least = list(range(count))

    def first(row: int) -> int:
        while least[row] != row:
            least[row] = row = least[least[row]]
        return row

    for one, other in pairs:
        low, high = sorted((first(one), first(other)))
        least[high] = low
    return np.array([first(row) for row in range(count)], np.int64)


def rows_of(keys: NDArray[np.str_]) -> Iterator[list[int]]:
    """The rows of each key but the empty one, in order."""
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys.tolist()):
        rows.setdefault(key, []).append(row)
    return (several for key, several in rows.items() if key)


def hold_most(as_one: NDArray[np.int64], pairs: Pairs) -> NDArray[np.bool_]:
    """[N]: which videos pairs put into one component with more than half of all videos, those that are known to belong
    together counted as one: they have the same number in `as_one` [N].
    """
    numbers = np.unique(as_one, return_inverse=True)[1]
    count = int(numbers.max(initial=-1)) + 1
    least = components(count, [(int(numbers[one]), int(numbers[other])) for one, other in pairs])
    sizes = np.bincount(least, minlength=count)[least]
    return np.asarray(((sizes > 1) & (sizes > _MOST * count))[numbers], np.bool_)


def without(rows: NDArray[np.bool_], pairs: Pairs) -> Pairs:
    """The pairs neither of which is of these rows [N]."""
    return [(one, other) for one, other in pairs if not (rows[one] or rows[other])]


def find_copies(manifest: Manifest) -> NDArray[np.int64]:
    """Which videos [N] have equal content, as `equal_contents` numbers them; copies are counted in a notice."""
    contents = equal_contents(paths_of(manifest))
    files, counts = np.unique(contents, return_counts=True)
    # Parts of one file are no copies.
    sets = np.split(np.argsort(contents, kind="stable"), np.cumsum(counts)[:-1])
    several = [rows for rows, file in zip(sets, files.tolist(), strict=True) if file >= 0 and len(rows) > 1]
    copies = [rows for rows in several if len(set(manifest.ids[rows].tolist())) > 1]
    if not copies:
        return contents
    count = sum(map(len, copies))
    notice(
        f"{counted(count, 'file')} are copies of each other, by content ({len(copies)} different): equal ones are on one "
        "side"
    )
    torn = [rows for rows in copies if len(set(manifest.labels[rows].tolist())) > 1]
    if torn:
        first = {manifest.labels[row]: manifest.ids[row] for row in reversed(torn[0].tolist())}  # one of each class
        named = first_of([f"{name} ({manifest.class_names[label]})" for label, name in sorted(first.items())], NAMED)
        warning(f"files of equal content have different classes, {len(torn)} times, for example: {named}")
    return contents


def joined_units(sources: Sources, contents: NDArray[np.int64], ids: NDArray[np.str_]) -> NDArray[np.int64]:
    """A number for each video [N], the same for those that belong together: of one source, one file or one content."""
    rows = len(ids)
    alone = [f"/{row}" for row in range(rows)]
    keys = [
        np.where(sources.together, sources.of_row, alone),
        ids,
        np.where(contents < 0, -1 - np.arange(rows), contents),
    ]
    numbered = [np.unique(key, return_inverse=True)[1] for key in keys]
    labels = np.arange(rows)
    while True:
        before = labels
        for of_key in numbered:
            least = np.full(of_key.max() + 1, rows)
            np.minimum.at(least, of_key, labels)
            labels = least[of_key]
        if np.array_equal(before, labels):
            break
    # Numbered in the order of their names, so that the same names give the same split in any order of the list.
    order = np.argsort(np.where(sources.together, sources.of_row, ids), kind="stable")
    _, firsts, of_row = np.unique(labels[order], return_index=True, return_inverse=True)
    numbers = np.empty(rows, np.int64)
    numbers[order] = np.argsort(np.argsort(firsts))[of_row]
    return numbers
