"""Which videos of a list are copies of each other, follow each other, or show the same place, by their pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

from marey.base.jobs import each_job
from marey.data.recordings.matching import Agreement, Alignment, agreement, align, is_copy, laid_whole, same_moment
from marey.data.recordings.opencv import one_thread
from marey.data.recordings.retrieval import WHOLE, Candidate, find_candidates
from marey.data.recordings.signature import KEYED, Signature
from marey.data.recordings.signatures import Signatures, read_signature

_HELD = 128
"""Signatures that each process holds in memory, 1 to 3 MB each."""
_AT_ONCE = 4
"""Videos that go to a process at a time."""
_MIDDLE = 1
"""Of the keyed frames."""
_FORWARDS, _BACKWARDS = (2, 0), (0, 2)
"""The last keyed frame of one video and the first of another, and the other way round."""


class Relation(StrEnum):
    """What two videos are to each other; the first that holds."""

    COPY = "copy"
    """The same content from beginning to end, encoded, scaled, cropped, mirrored or marked anew."""
    NEXT = "next"
    """The first frame of one follows the last frame of the other, or is the same."""
    ALIKE = "alike"
    """Some frames are nearly equal: the same place, and in it the same people and things where they were."""
    SCENE = "scene"
    """Some frames show the same place, however the camera moves between them."""


_ORDER = list(Relation)


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Two videos of a list, and what they are to each other."""

    first: int
    second: int
    """Rows of the list, the first less than the second."""
    relation: Relation
    mirrored: bool
    """Whether one is a mirror image of the other."""


def find_links(signatures: Signatures, *, workers: int | None = None) -> list[Link]:
    """The videos that belong together, one link for each two, sorted; of videos of equal content (`Signatures.keys`) the
    first alone. The same videos listed in another order have the same links.

    Args:
        signatures: Of the list's videos.
        workers: Processes that compare; None: one per core, 0: this one.

    Raises:
        RunError: a process died, or the cache was cleared meanwhile.
    """
    candidates = find_candidates(signatures)
    jobs = [
        _Job(signatures.path(first), tuple((signatures.path(one.second), one) for one in several))
        for first, several in ((first, list(group)) for first, group in groupby(candidates, key=lambda one: one.first))
    ]
    try:
        found = each_job(_links_of, jobs, workers=workers, title="Comparing pictures", unit="videos", chunk=_AT_ONCE)
        return sorted(link for links in found for link in links)
    finally:
        _signature.cache_clear()  # of this process, where there are no others


@dataclass(frozen=True, slots=True)
class _Job:
    """A video, by the file of its signature, and all that it may belong together with, in the order of these."""

    first: Path
    others: tuple[tuple[Path, Candidate], ...]


def _links_of(job: _Job) -> list[Link]:
    """Of a video with each of several others the link that says most, where there is one."""
    found = []
    with one_thread():
        for _, group in groupby(job.others, key=lambda other: other[1].second):
            several = list(group)
            links = filter(None, (_link(job.first, several, mirrored=mirrored) for mirrored in (False, True)))
            if (best := min(links, key=lambda link: _ORDER.index(link.relation), default=None)) is not None:
                found.append(best)
    return found


def _link(first: Path, others: Sequence[tuple[Path, Candidate]], *, mirrored: bool) -> Link | None:
    """What two videos are to each other, by all that may be the same in them; None where nothing is."""
    candidates = [candidate for _, candidate in others if candidate.mirrored == mirrored]
    if not candidates:
        return None
    relation = _relation(_signature(first), _signature(others[0][0]), candidates, mirrored=mirrored)
    if relation is None:
        return None
    rows = candidates[0].first, candidates[0].second
    return Link(min(rows), max(rows), relation, mirrored)


@lru_cache(_HELD)
def _signature(path: Path) -> Signature:
    """The signature in a file, since most are compared with several others."""
    return read_signature(path)


def _relation(
    first: Signature, second: Signature, candidates: Sequence[Candidate], *, mirrored: bool
) -> Relation | None:
    """What two videos are to each other, by candidates that are all mirrored, or all not.

    A copy is looked for in the videos as a whole, then by frames of the same time that show one place; a cut by the ends;
    last a copy by the middle frames, which are compared although no candidate named them.
    """
    wanted = [candidate.frames for candidate in candidates]
    if WHOLE in wanted:
        laid = laid_whole(first.smooth.shape[1:], second.smooth.shape[1:], mirrored=mirrored)
        if is_copy(first, second, laid):
            return Relation.COPY
    agreements: list[Agreement] = []
    scene = partial(_scene, first, second, agreements, mirrored=mirrored)
    frames = [each for each in wanted if each != WHOLE]
    same_place = _first(map(scene, (each for each in frames if each[0] == each[1])))
    if same_place is not None and is_copy(first, second, same_place):
        return Relation.COPY
    seen = same_place is not None
    for each in (_FORWARDS, _BACKWARDS):
        if each in frames and (laid_ends := scene(each)) is not None:
            seen = True
            if same_moment(first, second, (KEYED[each[0]], KEYED[each[1]]), laid_ends):
                return Relation.NEXT
    others = (each for each in frames if each[0] != each[1] and each not in (_FORWARDS, _BACKWARDS))
    seen = seen or _first(map(scene, others)) is not None
    if same_place is None and (seen or not frames):
        middle = scene((_MIDDLE, _MIDDLE))
        if middle is not None and is_copy(first, second, middle):
            return Relation.COPY
    if not agreements:
        return None
    return Relation.ALIKE if any(one.nearly_equal for one in agreements) else Relation.SCENE


def _first(found: Iterable[Alignment | None]) -> Alignment | None:
    """The first that is there."""
    return next((one for one in found if one is not None), None)


def _scene(
    first: Signature,
    second: Signature,
    agreements: list[Agreement],
    frames: tuple[int, int],
    *,
    mirrored: bool,
) -> Alignment | None:
    """How a keyed frame of one video lies over one of another where they show the same scene; else None. Where they agree is
    added to `agreements`.
    """
    one, other = first.keypoints[frames[0]], second.keypoints[frames[1]]
    one = one.mirrored(first.frames.shape[2]) if mirrored else one
    laid = align(one, other, mirrored=mirrored)
    if laid is None:
        return None
    agree = agreement(first, second, (KEYED[frames[0]], KEYED[frames[1]]), laid)
    if not agree.same_scene:
        return None
    agreements.append(agree)
    return laid
