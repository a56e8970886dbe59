"""Which recording each video of a list was cut from, by all evidence: names, metadata of the files, and frames.

- **Names**, or the list's column `group`, by the rules of `marey.data.recordings.names`. The column is trusted: frames
  change no recording then, and only show copies, and groups that share a scene.
- **Files**: videos with equal creation time, encoder and frame size, since tools that cut a recording often keep these.
  Ignored where many creation times are closer to each other than the videos are long: they are then times of a conversion.
- **Frames** (`marey.data.recordings.visual_links`): copies, segments that follow each other, and videos of the same scene.
  Videos that are linked with the same video are of one recording.

Evidence of files or frames that would put more than half of all videos into one recording is ignored: its cause is a
camera that never moved, a wall that everybody stood in front of, or a clock that was never set. If more than half of all
videos show one scene, they are *videos of a fixed camera*. Two of these are of one recording if names or
files say so, if some of their frames are nearly equal, including the people, or if there is no pause of ten minutes or more
between their times: creation times, or the times in names if more of these videos have one. Without such evidence their
recording is not known.

Any other video whose frames were compared, and that nothing links with another one, is a recording of its own.
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
from marey.data.lists.manifest import Manifest, joined_videos
from marey.data.lists.videos import first_of
from marey.data.recordings.copies import Copies
from marey.data.recordings.groups import Pairs, RecordingsAndCopies, chain_most_videos, components, rows_by_key, without
from marey.data.recordings.matching import is_static
from marey.data.recordings.names import Evidence, RecordingNames, joined_groups, joined_recording_names
from marey.data.recordings.recording_times import RecordingTimes
from marey.data.recordings.signature_cache import Signatures, compute_signatures
from marey.data.recordings.visual_links import Link, Relation, find_links

MOST_COMPARED = 20_000
"""Most videos of a list whose frames are compared by default: so many take an hour of one core, and 1 GB of memory."""

_NAMED = 3
"""How many videos a sentence names."""
_FEW_VIDEOS = 16
"""Number of videos up to which this process alone is faster, since other processes take longer to start."""


@dataclass(frozen=True, eq=False)
class Recordings:
    """The recordings of N videos as far as they are known, and their copies."""

    ids: NDArray[np.str_]
    """[N]: the names of the videos."""
    by_names: RecordingNames
    """The recordings by the column `group` or by names alone."""
    together: RecordingsAndCopies
    """The recordings by all evidence. The number of each content in `copies` is the row of its first video; equal files, and
    re-encoded copies in which something moves, have the same number."""
    look_alike: NDArray[np.int64]
    """[N]: like `together.copies`, but takes of one scene in which nothing moves have the same number, too."""
    signatures: Signatures
    """The signatures of the N videos."""
    links: tuple[Link, ...]
    """One link for each two videos that are related by their frames. Of equal files, only the first has links."""
    fixed_camera: NDArray[np.bool_]
    """[N]: whether the video shows the scene that more than half of all videos show; all False without such a scene."""
    core_seconds: float
    """Processor time in seconds, over all processes."""

    @property
    def by_evidence(self) -> RecordingNames:
        """The recordings by all evidence."""
        return self.together.recordings

    def copies(self, manifests: Sequence[Manifest], splits: Sequence[str]) -> Copies:
        """The copies among the videos. Segments of one file are no copies of each other.

        Args:
            manifests: The lists whose recordings these are.
            splits: [N]: the split of each video.
        """
        sets, certain = (
            tuple(tuple(rows) for rows in rows_by_key(_as_keys(numbers)) if self._are_copies(rows))
            for numbers in (self.look_alike, self.together.copies)
        )
        return Copies(sets, certain, [words for one in manifests for words in one.labels_in_words()], splits)

    def _are_copies(self, rows: Sequence[int]) -> bool:
        """Whether videos that look alike are at least two, and not merely different segments of one file."""
        files, contents = set(self.ids[rows].tolist()), {self.signatures.keys[row] for row in rows}
        return len(rows) > 1 and (len(files) > 1 or len(contents) < len(rows))

    def scene_links_across_groups(self) -> list[Link]:
        """Links between videos of different groups of the list's column `group`, without copies."""
        if not self.by_evidence.given:
            return []
        groups, known = self.by_evidence.of_row, self.by_evidence.known
        return [
            link
            for link in self.links
            if link.relation is not Relation.COPY
            and known[link.first]
            and known[link.second]
            and groups[link.first] != groups[link.second]
        ]

    def summary(self) -> str:
        """One sentence with the number of recordings and the sizes of the largest ones."""
        recordings = self.by_evidence
        sizes = sorted(Counter(recordings.of_row[recordings.known].tolist()).values(), reverse=True)
        if not sizes:
            return f"The recording of none of {counted(len(self.ids), 'video')} is known."
        known, several = int(recordings.known.sum()), [size for size in sizes if size > 1]
        clauses = [f"{counted(len(sizes), 'recording')} of {counted(known, 'video')}, by {recordings.by}"]
        if several:
            have = verb(len(several), "has", "have")
            clauses.append(f"the largest {have} {in_words([f'{n:,}' for n in several[:3]])}")
        if alone := len(sizes) - len(several):
            clauses.append(f"{counted(alone, 'video')} alone")
        if unknown := len(self.ids) - known:
            clauses.append(f"the recording of {unknown:,} is not known")
        return f"{'; '.join(clauses)}."

    def _evidence_of_fixed_camera(self) -> str:
        """What shows the recordings of a fixed camera, as the end of a sentence."""
        if Evidence.TIMES in self.by_evidence.evidence:
            return "pauses of ten minutes or more between their times do"
        known = int((self.fixed_camera & self.by_evidence.known).sum())
        if not known:
            return "nothing does (a column `group` would)"
        rest = int(self.fixed_camera.sum()) - known
        others = f", and nothing does for the other {rest:,} (a column `group` would)" if rest else ""
        return f"names, files, or nearly equal frames do for {known:,} of them{others}"

    def notes(self) -> list[str]:
        """Sentences on what could not be compared, and on what frames do not show."""
        notes, total = [], len(self.ids)
        if broken := self.signatures.broken:
            named = first_of([f"{self.ids[row]}: {broken[row]}" for row in sorted(broken)], _NAMED)
            notes.append(
                f"{counted(len(broken), 'video')} cannot be read, and {verb(len(broken), 'is', 'are')} not compared: "
                f"{named}."
            )
        if self.fixed_camera.any():
            notes.append(
                f"{self.fixed_camera.sum():,} of {counted(total, 'video')} show the same scene, so that the background "
                f"does not show which recording they are of: {self._evidence_of_fixed_camera()}."
            )
        if others := self.scene_links_across_groups():
            notes.append(
                f"{counted(len(others), 'pair')} of videos in different groups of the column `group` "
                f"{verb(len(others), 'shows', 'show')} the same scene, for example {self._named(others[0])}: the column is "
                "used as it is."
            )
        if others := self._links_without_group():
            notes.append(
                f"{counted(len(others), 'pair')} of videos {verb(len(others), 'shows', 'show')} the same scene, but the "
                f"column `group` is empty for one or both of them, for example {self._named(others[0])}: frames do not "
                "fill the column; without the column in the list, recordings are found by frames."
            )
        return notes

    def _named(self, link: Link) -> str:
        return f"{self.ids[link.first]} and {self.ids[link.second]}"

    def _links_without_group(self) -> list[Link]:
        """Links between videos at least one of which has no group in the list's column, including copies."""
        known = self.by_evidence.known
        return [
            link for link in self.links if self.by_evidence.given and not (known[link.first] and known[link.second])
        ]


def find_recordings(manifests: Sequence[Manifest], *, workers: int | None = None) -> Recordings:
    """The recordings of several lists, which are joined in their order.

    Args:
        manifests: The lists.
        workers: Processes that decode and compare; None: one per core, for few videos this process alone; 0: this process.

    Raises:
        RunError: a process died, or the cache was cleared meanwhile.
        DataError: videos are on servers.
    """
    refuse_addresses("comparing frames", *manifests)
    begun = processor_seconds()
    by_names, videos = joined_recording_names(manifests), joined_videos(manifests)
    if workers is None and len(videos) <= _FEW_VIDEOS:
        workers = 0
    signatures = compute_signatures(videos, workers=workers)
    links = tuple(find_links(signatures, workers=workers))
    pairs = _RelatedPairs.of(signatures, links)
    look_alike, of_content = (
        np.where(signatures.readable, components(len(videos), some), -1)
        for some in ([*pairs.copies, *pairs.takes], pairs.copies)
    )
    found = _Found(by_names, np.zeros(len(videos), np.bool_))
    if not by_names.given:
        found = _with_all_evidence(by_names, videos.ids, signatures, pairs, joined_groups(manifests) != "")
    return Recordings(
        videos.ids, by_names, RecordingsAndCopies(found.recordings, of_content), look_alike, signatures, links,
        found.fixed_camera, processor_seconds() - begun,
    )  # fmt: skip


@dataclass(frozen=True)
class _RelatedPairs:
    """Pairs of related videos, by equal files and by links, divided by how strong the evidence is."""

    copies: Pairs
    """Equal files, and copies in which something moves."""
    takes: Pairs
    """Videos that look like copies, in one of which nothing moves: they may be takes of one scene."""
    nearly_equal: Pairs
    """Segments one of which begins where the other one ends, and videos with nearly equal frames."""
    scene: Pairs
    """Videos that show the same scene."""

    @classmethod
    def of(cls, signatures: Signatures, links: Iterable[Link]) -> Self:
        """The pairs of videos that have these signatures and links."""
        by_relation = {relation: list[tuple[int, int]]() for relation in Relation}
        for link in links:
            by_relation[link.relation].append((link.first, link.second))
        linked_copies = by_relation[Relation.COPY]
        static = {row for row in {row for pair in linked_copies for row in pair} if is_static(signatures[row])}
        takes = [pair for pair in linked_copies if not static.isdisjoint(pair)]
        copies = [*signatures.equal_rows(), *(pair for pair in linked_copies if static.isdisjoint(pair))]
        nearly_equal = [*by_relation[Relation.NEXT], *by_relation[Relation.ALIKE]]
        return cls(copies, takes, nearly_equal, by_relation[Relation.SCENE])

    @property
    def close(self) -> Pairs:
        """The pairs with more in common than a scene. With a fixed camera and little motion, all videos form such pairs."""
        return [*self.takes, *self.nearly_equal]


@dataclass(frozen=True, eq=False)
class _Found:
    """The fields of `Recordings` that evidence decides."""

    recordings: RecordingNames
    """The recordings by all evidence."""
    fixed_camera: NDArray[np.bool_]
    """[N]: as in `Recordings`."""


def _with_all_evidence(
    named: RecordingNames,
    ids: NDArray[np.str_],
    signatures: Signatures,
    pairs: _RelatedPairs,
    corrected: NDArray[np.bool_],
) -> _Found:
    """The recordings by names, joined with the evidence of files and frames.

    Args:
        named: The recordings by names.
        ids: [N]: the names of the videos.
        signatures: The signatures of the videos.
        pairs: The related videos by equal files and by their frames.
        corrected: [N]: whether corrections give the video's group. Only this group and copies join such a video with others.
    """
    count, times = len(ids), RecordingTimes.of(signatures, ids)
    by_name = [pair for rows in rows_by_key(np.where(named.together, named.of_row, "")) for pair in pairwise(rows)]
    # Segments of one file, copies of a video, and videos of one recording by name count as one video.
    as_one = components(
        count, [*by_name, *pairs.copies, *(pair for rows in rows_by_key(ids) for pair in pairwise(rows))]
    )
    fixed = chain_most_videos(as_one, [*pairs.close, *pairs.scene])
    by_frames = [*without(chain_most_videos(as_one, pairs.close), pairs.close), *without(fixed, pairs.scene)]
    sessions = times.sessions(np.flatnonzero(fixed))
    by_file = [(one, other) for one, other in times.equal_stamps(as_one) if as_one[one] != as_one[other]]
    by_frames, by_file, by_time = (
        without(corrected, some) for some in (by_frames, by_file, [] if sessions is None else sessions.pairs)
    )
    least = components(count, [*by_name, *pairs.copies, *by_frames, *by_file, *by_time])
    several = np.bincount(least, minlength=count)[least] > 1
    alone = signatures.readable & ~fixed
    if sessions is not None:
        alone[sessions.rows] = True
    known = named.known | several | alone
    evidence = {
        Evidence.CORRECTIONS: bool(corrected.any()),
        Evidence.NAMES: bool(named.known[~corrected].any()),
        Evidence.FILES: bool(by_file),
        Evidence.FRAMES: bool((signatures.readable & ~fixed).any() or pairs.copies or by_frames),
        Evidence.TIMES: sessions is not None,
    }
    by = tuple(one for one, is_used in evidence.items() if is_used) or (Evidence.NAMES, Evidence.FRAMES)
    # Where names put a complete class into one recording, and frames do not, a split ignores the name.
    ignored = named.known & ~named.together & ~several
    by_names = named.named & named.together
    of_row = np.where(ignored, named.of_row, np.where(known, _recording_names(least, by_names, named, ids), ""))
    return _Found(RecordingNames(of_row, known & ~ignored, by_names, by), fixed)


def _as_keys(numbers: NDArray[np.int64]) -> NDArray[np.str_]:
    """Numbers as keys for `rows_by_key`; -1 becomes the empty key."""
    return np.where(numbers < 0, "", numbers.astype(np.str_))


def _recording_names(
    least: NDArray[np.int64], by_names: NDArray[np.bool_], named: RecordingNames, ids: NDArray[np.str_]
) -> NDArray[np.str_]:
    """The name of each video's recording [N]: the most frequent one among its videos whose names show one, else the first
    file name in alphabetical order.

    Args:
        least: [N]: a number for each recording.
        by_names: [N]: the videos whose names show a recording.
        named: The recordings by names.
        ids: [N]: the names of the videos.
    """
    names = np.empty(len(ids), object)
    for rows in rows_by_key(_as_keys(least)):
        counts = Counter(named.of_row[row] for row in rows if by_names[row])
        most = max(counts.values(), default=0)
        names[rows] = min((name for name, n in counts.items() if n == most), default=min(ids[rows].tolist()))
    return names.astype(np.str_)
