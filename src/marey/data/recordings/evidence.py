"""Which recording each video of a list was cut from, by all that tells it: names, the files themselves, and their pictures.

- **Names**, or the list's column `group`, as `marey.data.lists.sources` says. The column is trusted: then pictures tell
  of copies, and of groups that show the same place, and change nothing.
- **Files**: equal time of creation, encoder and size of the picture together, as tools leave them that cut a recording
  without setting the time anew. Not where many times lie nearer to each other than the videos are long: then they say when
  the videos were converted.
- **Pictures** (`marey.data.recordings.links`): copies, cuts that follow each other, and videos of one place. What is
  linked with the same video is of one recording.

Whatever of files or pictures would make one recording of more than half of all videos tells nothing: one camera that never
moved, a wall before which everybody stood, or a clock that was never set. Before a fixed camera videos are of one recording
where some of their frames are nearly equal, people and all; or where the times of creation, else dates and times in names,
have no pause of ten minutes or more between them. Where neither tells anything, nothing does.

Of a video that nothing links with another one, and whose pictures were compared, the recording is its own.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marey.base.processes import processor_seconds
from marey.base.words import counted, in_words, verb
from marey.data.files.missing import refuse_addresses
from marey.data.lists.manifest import Manifest
from marey.data.lists.rows import joined_videos
from marey.data.lists.sources import Evidence, Sources, joined_groups, joined_sources
from marey.data.lists.videos import first_of
from marey.data.recordings.copies import Copies
from marey.data.recordings.links import Link, Relation, find_links
from marey.data.recordings.matching import stands_still
from marey.data.recordings.signatures import Signatures, compute_signatures
from marey.data.recordings.times import Clock
from marey.data.recordings.units import Pairs, Together, components, hold_most, rows_of, without

MOST_COMPARED = 20_000
"""Videos of a list whose pictures are compared without being asked for: an hour of one core, and 1 GB of memory."""

_NAMED = 3
"""Videos that a sentence names."""
_FEW_VIDEOS = 16
"""So many are looked at before other processes would have begun."""


@dataclass(frozen=True, eq=False)
class Recordings:
    """What is known of the recordings of N videos, and which of them are copies of each other."""

    ids: NDArray[np.str_]
    """[N]"""
    by_names: Sources
    """What the column `group` or names alone say."""
    together: Together
    """`copies` are the rows of the first video of each content, encoded anew or not: of equal files, and of copies in which
    something moves."""
    look_alike: NDArray[np.int64]
    """[N]: as `copies`, but takes of a scene in which nothing moves, which look like copies, have one number as well."""
    signatures: Signatures
    links: tuple[Link, ...]
    """One for each two videos that belong together by their pictures; of equal files the first stands for all."""
    fixed: NDArray[np.bool_]
    """[N]: which videos show the one place that more than half of all do."""
    core_seconds: float
    """Processor time of all that, over all processes."""

    @property
    def sources(self) -> Sources:
        return self.together.sources

    def copies(self, parts: Sequence[Manifest], sides: Sequence[str]) -> Copies:
        """The videos of the same content, of the lists that these are the recordings of; `sides` [N] are their splits. Parts
        of one file are no copies of each other.
        """
        sets, certain = (
            tuple(tuple(rows) for rows in rows_of(_words(numbers)) if self._are_copies(rows))
            for numbers in (self.look_alike, self.together.copies)
        )
        return Copies(sets, certain, [words for part in parts for words in part.labels_in_words()], sides)

    def _are_copies(self, rows: Sequence[int]) -> bool:
        """Whether videos that look alike are several, and not different parts of one file alone."""
        files, contents = set(self.ids[rows].tolist()), {self.signatures.keys[row] for row in rows}
        return len(rows) > 1 and (len(files) > 1 or len(contents) < len(rows))

    def groups_of_one_place(self) -> list[Link]:
        """Links between videos that the list's column `group` has in different groups, and that are no copies."""
        if not self.sources.given:
            return []
        groups, known = self.sources.of_row, self.sources.known
        return [
            link
            for link in self.links
            if link.relation is not Relation.COPY
            and known[link.first]
            and known[link.second]
            and groups[link.first] != groups[link.second]
        ]

    def summary(self) -> str:
        """How many recordings there are, and of how many videos the largest are, in one sentence."""
        sources = self.sources
        sizes = sorted(Counter(sources.of_row[sources.known].tolist()).values(), reverse=True)
        if not sizes:
            return f"Of none of {counted(len(self.ids), 'video')} the recording is known."
        known, several = int(sources.known.sum()), [size for size in sizes if size > 1]
        parts = [f"{counted(len(sizes), 'recording')} of {counted(known, 'video')}, by {sources.by}"]
        if several:
            parts.append(f"the largest {verb(len(several), 'has', 'have')} {in_words([f'{n:,}' for n in several[:3]])}")
        if alone := len(sizes) - len(several):
            parts.append(f"{counted(alone, 'video')} alone")
        if unknown := len(self.ids) - known:
            parts.append(f"of {unknown:,} the recording is not known")
        return f"{'; '.join(parts)}."

    def _instead_of_the_background(self) -> str:
        """What tells recordings apart before a fixed camera, to end a sentence."""
        if Evidence.TIMES in self.sources.evidence:
            return "pauses of ten minutes or more between their times do"
        known = int((self.fixed & self.sources.known).sum())
        if not known:
            return "nothing does (a column `group` would)"
        rest = int(self.fixed.sum()) - known
        others = f", and nothing of the other {rest:,} (a column `group` would)" if rest else ""
        return f"names, files, or frames that are nearly equal, do of {known:,} of them{others}"

    def notes(self) -> list[str]:
        """What could not be compared, and what pictures do not tell, as sentences."""
        found, total = [], len(self.ids)
        if broken := self.signatures.broken:
            named = first_of([f"{self.ids[row]}: {broken[row]}" for row in sorted(broken)], _NAMED)
            found.append(
                f"{counted(len(broken), 'video')} cannot be read, and {verb(len(broken), 'is', 'are')} not compared: "
                f"{named}."
            )
        if self.fixed.any():
            found.append(
                f"{self.fixed.sum():,} of {counted(total, 'video')} show one place, so that the background cannot tell "
                f"which recording they are of: {self._instead_of_the_background()}."
            )
        if others := self.groups_of_one_place():
            found.append(
                f"{counted(len(others), 'pair')} of videos in different groups of the column `group` "
                f"{verb(len(others), 'shows', 'show')} one place, for example {self._named(others[0])}: the column is kept "
                "as it is."
            )
        if others := self._without_group():
            found.append(
                f"{counted(len(others), 'pair')} of videos, of which the column `group` leaves one or both empty, "
                f"{verb(len(others), 'shows', 'show')} one place, for example {self._named(others[0])}: pictures fill no "
                "column; a list without the column would have the recordings by them."
            )
        return found

    def _named(self, link: Link) -> str:
        return f"{self.ids[link.first]} and {self.ids[link.second]}"

    def _without_group(self) -> list[Link]:
        """Links between videos one of which has no group in the list's column, copies among them."""
        known = self.sources.known
        return [link for link in self.links if self.sources.given and not (known[link.first] and known[link.second])]


def find_recordings(parts: Sequence[Manifest], *, workers: int | None = None) -> Recordings:
    """The recordings of several lists that are taken as one: first all videos of the first.

    Args:
        workers: Processes that decode and compare; None: one per core, this one alone for few videos; 0: this one.

    Raises:
        RunError: a process died, or the cache was cleared meanwhile.
        DataError: videos lie on servers.
    """
    refuse_addresses("comparing pictures", *parts)
    begun = processor_seconds()
    sources, videos = joined_sources(parts), joined_videos(parts)
    if workers is None and len(videos) <= _FEW_VIDEOS:
        workers = 0
    signatures = compute_signatures(videos, workers=workers)
    links = tuple(find_links(signatures, workers=workers))
    pairs = _Pairs.of(signatures, links)
    look_alike, of_content = (
        np.where(signatures.readable, components(len(videos), some), -1)
        for some in ([*pairs.copies, *pairs.takes], pairs.copies)
    )
    found = _Found(sources, np.zeros(len(videos), np.bool_))
    if not sources.given:
        found = _joined(sources, videos.ids, signatures, pairs, joined_groups(parts) != "")
    return Recordings(
        videos.ids, sources, Together(found.sources, of_content), look_alike, signatures, links, found.fixed,
        processor_seconds() - begun,
    )  # fmt: skip


@dataclass(frozen=True)
class _Pairs:
    """What pictures and equal files say of two videos."""

    copies: Pairs
    """Equal files, and copies in which something moves."""
    takes: Pairs
    """Videos that look like copies, in one of which nothing moves: they may be takes of one scene."""
    nearly_equal: Pairs
    """Cuts of which one begins where the other ends, and others with frames that are nearly equal."""
    scene: Pairs
    """Videos that show one place."""

    @classmethod
    def of(cls, signatures: Signatures, links: Iterable[Link]) -> Self:
        of = {relation: list[tuple[int, int]]() for relation in Relation}
        for link in links:
            of[link.relation].append((link.first, link.second))
        rows = {row for pair in of[Relation.COPY] for row in pair}
        still = {row for row in rows if stands_still(signatures[row])}
        takes = [pair for pair in of[Relation.COPY] if not still.isdisjoint(pair)]
        copies = [*signatures.equal_rows(), *(pair for pair in of[Relation.COPY] if still.isdisjoint(pair))]
        return cls(copies, takes, [*of[Relation.NEXT], *of[Relation.ALIKE]], of[Relation.SCENE])

    @property
    def close(self) -> Pairs:
        """Those of which more than a common place tells. Where little moves before a fixed camera, all videos are such."""
        return [*self.takes, *self.nearly_equal]


@dataclass(frozen=True, eq=False)
class _Found:
    sources: Sources
    fixed: NDArray[np.bool_]
    """[N]: as `Recordings` has it."""


def _joined(
    named: Sources,
    ids: NDArray[np.str_],
    signatures: Signatures,
    pairs: _Pairs,
    corrected: NDArray[np.bool_],
) -> _Found:
    """The sources that names tell, joined with what files and pictures tell. These tell nothing of videos of which
    corrections give the group, `corrected` [N], but which are copies of each other.
    """
    count, clock = len(ids), Clock.of(signatures, ids)
    by_name = [pair for rows in rows_of(np.where(named.together, named.of_row, "")) for pair in pairwise(rows)]
    # A file of many parts, or a video of many copies, is one of many all the same.
    as_one = components(count, [*by_name, *pairs.copies, *(pair for rows in rows_of(ids) for pair in pairwise(rows))])
    fixed = hold_most(as_one, [*pairs.close, *pairs.scene])
    by_picture = [*without(hold_most(as_one, pairs.close), pairs.close), *without(fixed, pairs.scene)]
    by_time = clock.sessions(np.flatnonzero(fixed))
    by_file = [(one, other) for one, other in clock.equal_stamps(as_one) if as_one[one] != as_one[other]]
    by_picture, by_file, of_pauses = (
        without(corrected, some) for some in (by_picture, by_file, [] if by_time is None else by_time.pairs)
    )
    least = components(count, [*by_name, *pairs.copies, *by_picture, *by_file, *of_pauses])
    several = np.bincount(least, minlength=count)[least] > 1
    alone = signatures.readable & ~fixed
    if by_time is not None:
        alone[by_time.rows] = True
    known = named.known | several | alone
    evidence = {
        Evidence.CORRECTIONS: bool(corrected.any()),
        Evidence.NAMES: bool(named.known[~corrected].any()),
        Evidence.FILES: bool(by_file),
        Evidence.PICTURES: bool((signatures.readable & ~fixed).any() or pairs.copies or by_picture),
        Evidence.TIMES: by_time is not None,
    }
    by = tuple(one for one, is_told in evidence.items() if is_told) or (Evidence.NAMES, Evidence.PICTURES)
    # Where names put a whole class into one recording, and pictures do not, a split passes over the name.
    passed_over = named.known & ~named.together & ~several
    by_names = named.named & named.together
    of_row = np.where(passed_over, named.of_row, np.where(known, _names(least, by_names, named, ids), ""))
    return _Found(Sources(of_row, known & ~passed_over, by_names, by), fixed)


def _words(numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    """Numbers as keys; -1 as the empty one."""
    return np.where(numbers < 0, "", numbers.astype(np.str_))


def _names(
    least: NDArray[np.int64], by_names: NDArray[np.bool_], named: Sources, ids: NDArray[np.str_]
) -> NDArray[np.str_]:
    """What the recording of each video is called [N]: as most of its videos are whose names tell it, `by_names` [N], else as
    the first of them in alphabetical order.
    """
    names = np.empty(len(ids), object)
    for rows in rows_of(_words(least)):
        counts = Counter(named.of_row[row] for row in rows if by_names[row])
        most = max(counts.values(), default=0)
        names[rows] = min((name for name, n in counts.items() if n == most), default=min(ids[rows].tolist()))
    return names.astype(np.str_)
