"""Which recording each video of a list was cut from, by all that tells it: names, the files themselves, and their pictures.

- **Names**, or the list's column `group`, as `marey.data.sources` says. The column is trusted: then pictures tell of copies,
  and of groups that show the same place, and change nothing.
- **Files**: equal time of creation, encoder and size of the picture together, as tools leave them that cut a recording
  without setting the time anew. Not where many times lie nearer to each other than the videos are long: then they say when
  the videos were converted.
- **Pictures** (`marey.data.links`): copies, cuts that follow each other, and videos of one place. What is linked with the
  same video is of one recording.

Whatever of files or pictures would make one recording of more than half of all videos tells nothing: one camera that never
moved, a wall before which everybody stood, or a clock that was never set. Before a fixed camera videos are of one recording
where some of their frames are nearly equal, people and all; or where the times of creation, else dates and times in names,
have no pause of ten minutes or more between them. Where neither tells anything, nothing does.

Of a video that nothing links with another one, and whose pictures were compared, the recording is its own.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marey.base.processes import processor_seconds
from marey.base.words import counted, in_words, verb
from marey.data.copies import Copies
from marey.data.links import Link, Relation, find_links
from marey.data.manifest import Manifest
from marey.data.rows import joined_videos
from marey.data.signatures import Signatures, compute_signatures
from marey.data.sources import Evidence, Sources, joined_groups, joined_sources
from marey.data.units import Together, components
from marey.video.matching import stands_still
from marey.video.stamp import time_in_name

MOST_COMPARED = 20_000
"""Videos of a list whose pictures are compared without being asked for: an hour of one core, and 1 GB of memory."""
_MOST = 0.5
"""Above this share of all videos, 0 to 1, what they have in common does not tell recordings apart."""
_PAUSE = 600.0
"""Seconds between the times of two videos from which on another recording begins before a fixed camera."""
_OVERLAPPING = 0.1
"""Share of the distances between times of creation, 0 to 1, that may be shorter than the videos: two cameras may run at the
same time."""

_FEW_VIDEOS = 16
"""So many are looked at before other processes would have begun."""

Pairs = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Recordings:
    """What is known of the recordings of N videos, and which of them are copies of each other."""

    ids: NDArray[np.str_]
    """[N]"""
    together: Together
    """`copies` are the rows of the first video of each content, encoded anew or not."""
    certain: NDArray[np.int64]
    """[N]: as `copies`, of copies in which something moves, and of equal files."""
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
            tuple(tuple(rows) for rows in _rows_of(np.where(numbers < 0, "", numbers.astype(np.str_))) if len(rows) > 1)
            for numbers in (self.together.copies, self.certain)
        )
        return Copies(sets, certain, [words for part in parts for words in part.labels_in_words()], sides)

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

    def notes(self) -> list[str]:
        """What could not be compared, and what pictures do not tell, as sentences."""
        found, total = [], len(self.ids)
        if broken := self.signatures.broken:
            are = verb(len(broken), "has its picture", "have their pictures")
            found.append(f"{counted(len(broken), 'video')} cannot be read: none of them {are} compared.")
        if self.fixed.any():
            found.append(
                f"{self.fixed.sum():,} of {counted(total, 'video')} show one place, so that the background cannot tell "
                f"which recording they are of: {self._instead_of_background()}."
            )
        if others := self.groups_of_one_place():
            first = others[0]
            found.append(
                f"{counted(len(others), 'pair')} of videos in different groups of the column `group` show one place, for "
                f"example {self.ids[first.first]} and {self.ids[first.second]}: the column is kept as it is."
            )
        return found

    def _instead_of_background(self) -> str:
        """What tells recordings apart before a fixed camera, to end a sentence."""
        if Evidence.TIMES in self.sources.evidence:
            return "pauses of ten minutes or more between their times do"
        told = int((self.fixed & self.sources.known).sum())
        if not told:
            return "nothing does (a column `group` would)"
        rest = int(self.fixed.sum()) - told
        others = f", and nothing of the other {rest:,} (a column `group` would)" if rest else ""
        return f"names, or frames that are nearly equal, do of {told:,} of them{others}"


def find_recordings(parts: Sequence[Manifest], *, workers: int | None = None) -> Recordings:
    """The recordings of several lists that are taken as one: first all videos of the first.

    Args:
        workers: Processes that decode and compare; None: one per core, this one alone for few videos; 0: this one.

    Raises:
        RunError: a process died, or the cache was cleared meanwhile.
    """
    begun = processor_seconds()
    sources, videos = joined_sources(parts), joined_videos(parts)
    if workers is None and len(videos) <= _FEW_VIDEOS:
        workers = 0
    signatures = compute_signatures(videos, workers=workers)
    links = tuple(find_links(signatures, workers=workers))
    copies = [*signatures.equal_rows(), *_pairs(links, Relation.COPY)]
    still = np.array([key > 0 and stands_still(signatures[row]) for row, key in enumerate(signatures.keys)], np.bool_)
    certain = [*signatures.equal_rows(), *_without(still, _pairs(links, Relation.COPY))]
    of_content, of_certain = (
        np.where(signatures.readable, components(len(videos), pairs), -1) for pairs in (copies, certain)
    )
    found = _Found(sources, np.zeros(len(videos), np.bool_))
    if not sources.given:
        corrected = joined_groups(parts) != ""
        found = _joined(sources, videos.ids, signatures, links, copies, corrected)
    return Recordings(
        videos.ids, Together(found.sources, of_content), of_certain, signatures, links, found.fixed,
        processor_seconds() - begun,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Found:
    sources: Sources
    fixed: NDArray[np.bool_]
    """[N]: as `Recordings` has it."""


def _joined(
    named: Sources,
    ids: NDArray[np.str_],
    signatures: Signatures,
    links: Sequence[Link],
    copies: Pairs,
    corrected: NDArray[np.bool_],
) -> _Found:
    """The sources that names tell, joined with what files and pictures tell. These tell nothing of videos of which
    corrections give the group, `corrected` [N], but which are copies of each other.
    """
    count, clock = len(ids), _Clock.of(signatures, ids)
    by_name = [pair for rows in _rows_of(np.where(named.together, named.of_row, "")) for pair in pairwise(rows)]
    close, places = [*_pairs(links, Relation.NEXT), *_pairs(links, Relation.ALIKE)], _pairs(links, Relation.SCENE)
    fixed = _holds_most(count, [*copies, *close, *places])
    by_picture = [*_without(_holds_most(count, [*copies, *close]), close), *_without(fixed, places)]
    by_file, by_time = clock.equal_stamps(), clock.sessions(np.flatnonzero(fixed))
    by_picture, by_file, by_time = (
        [(one, other) for one, other in pairs if not (corrected[one] or corrected[other])]
        for pairs in (by_picture, by_file, by_time)
    )
    least = components(count, [*by_name, *copies, *by_picture, *by_file, *by_time])
    several = np.bincount(least, minlength=count)[least] > 1
    known = named.known | several | (signatures.readable & (~fixed | bool(by_time)))
    told = {
        Evidence.CORRECTIONS: bool(corrected.any()),
        Evidence.NAMES: bool(named.known[~corrected].any()),
        Evidence.FILES: bool(by_file),
        Evidence.PICTURES: bool((signatures.readable & ~fixed).any()) or bool(by_picture),
        Evidence.TIMES: bool(by_time),
    }
    evidence = tuple(one for one, is_told in told.items() if is_told) or (Evidence.NAMES, Evidence.PICTURES)
    # Where names put a whole class into one recording, and pictures do not, a split passes over the name.
    passed_over = named.known & ~named.together & ~several
    of_row = np.where(passed_over, named.of_row, np.where(known, _names(least, named, ids), ""))
    return _Found(Sources(of_row, known & ~passed_over, named.named, evidence), fixed)


def _pairs(links: Iterable[Link], relation: Relation) -> Pairs:
    return [(link.first, link.second) for link in links if link.relation is relation]


def _rows_of(keys: NDArray[np.str_]) -> Iterator[list[int]]:
    """The rows of each key but the empty one, in order."""
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys.tolist()):
        rows.setdefault(key, []).append(row)
    return (several for key, several in rows.items() if key)


def _holds_most(count: int, pairs: Pairs) -> NDArray[np.bool_]:
    """[N]: which videos are in one component with more than half of all videos."""
    least = components(count, pairs)
    return np.asarray(np.bincount(least, minlength=count)[least] > _MOST * count, np.bool_)


def _without(rows: NDArray[np.bool_], pairs: Pairs) -> Pairs:
    """The pairs whose first one is not of these rows [N]."""
    return [pair for pair in pairs if not rows[pair[0]]]


def _names(least: NDArray[np.int64], named: Sources, ids: NDArray[np.str_]) -> NDArray[np.str_]:
    """What the recording of each video is called [N]: as most of its videos are by their names, else as the first of them in
    alphabetical order.
    """
    names = np.empty(len(ids), object)
    for rows in _rows_of(np.char.mod("%d", least)):
        by_name = Counter(named.of_row[row] for row in rows if named.named[row])
        most = max(by_name.values(), default=0)
        names[rows] = min((name for name, n in by_name.items() if n == most), default=min(ids[rows].tolist()))
    return names.astype(np.str_)


@dataclass(frozen=True, eq=False)
class _Clock:
    """The times of creation of the N files of a list, as far as they are those of recording."""

    created: NDArray[np.float64]
    """[N]: in seconds since 1970; NaN where there is none. All NaN where they are times of conversion."""
    named: NDArray[np.float64]
    """[N]: the same by dates and times in their names."""
    stamps: NDArray[np.str_]
    """[N]: time, encoder and size in one key; "" where there is no time."""

    @classmethod
    def of(cls, signatures: Signatures, ids: NDArray[np.str_]) -> Self:
        count = len(signatures)
        created, seconds = np.full(count, np.nan), np.zeros(count)
        stamps = np.full(count, "", object)
        for row, key in enumerate(signatures.keys):
            if key:
                one = signatures[row]
                created[row], seconds[row] = one.stamp.created, one.seconds
                stamps[row] = f"{one.stamp.created} {one.stamp.encoder} {one.size}"
        if _are_conversions(created, seconds):
            created[:] = np.nan
        stamps[np.isnan(created)] = ""
        named = np.array([time_in_name(name.rpartition("/")[2]) for name in ids.tolist()])
        return cls(created, named, stamps.astype(np.str_))

    def equal_stamps(self) -> Pairs:
        """Videos whose files were made of one recording; none where that would be more than half of all videos."""
        pairs = [pair for rows in _rows_of(self.stamps) for pair in pairwise(rows)]
        return _without(_holds_most(len(self.stamps), pairs), pairs)

    def sessions(self, rows: NDArray[np.int64]) -> Pairs:
        """Of some videos, all of which have a time, those between which there is no pause; none where there is no pause at
        all. The times are those of creation, else those in their names.
        """
        times = next((times for times in (self.created, self.named) if not np.isnan(times[rows]).any()), None)
        if not len(rows) or times is None:
            return []
        order = rows[np.argsort(times[rows], kind="stable")]
        pairs = list(pairwise(order.tolist()))
        within = [(one, other) for one, other in pairs if times[other] - times[one] < _PAUSE]
        return within if len(within) < len(pairs) else []


def _are_conversions(created: NDArray[np.float64], seconds: NDArray[np.float64]) -> bool:
    """Whether times of creation [N] of videos of such lengths [N] are those of a conversion: too many lie nearer to each
    other than a camera could have recorded the videos.
    """
    longest: dict[float, float] = {}
    for time, length in zip(created.tolist(), seconds.tolist(), strict=True):
        if not np.isnan(time):
            longest[time] = max(longest.get(time, 0.0), length)
    times = sorted(longest)
    nearer = sum(later - time < longest[time] for time, later in pairwise(times))
    return nearer > _OVERLAPPING * max(len(times) - 1, 0)
