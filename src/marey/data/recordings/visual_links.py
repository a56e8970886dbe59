"""Links between videos by what their frames show: copies, segments that follow each other, and videos of the same scene."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path

from marey.base.jobs import each_job
from marey.data.recordings.matching import (
    Agreement,
    Alignment,
    agreement,
    align,
    align_whole_frames,
    is_copy,
    same_moment,
)
from marey.data.recordings.retrieval import WHOLE, CandidatePair, find_candidates
from marey.data.recordings.signature import KEYPOINT_FRAMES, Signature, single_threaded_opencv
from marey.data.recordings.signature_cache import Signatures, read_signature

_HELD = 128
"""Signatures that each process holds in memory, 1 to 3 MB each."""
_AT_ONCE = 4
"""Videos that a process gets at a time."""
_MIDDLE = 1
"""Index of the middle one of the three frames with keypoints."""
_FORWARDS, _BACKWARDS = (2, 0), (0, 2)
"""Indices of frames with keypoints: the last of the first video and the first of the second one; and the reverse."""


class Relation(StrEnum):
    """How two videos are related; where several relations hold, the first one in this order."""

    COPY = "copy"
    """The same content from beginning to end; one may be re-encoded, scaled, cropped, mirrored or marked with a logo."""
    NEXT = "next"
    """The first frame of one video equals or directly follows the last frame of the other one."""
    ALIKE = "alike"
    """Some frames are nearly equal: the same scene with the same people and things in the same positions."""
    SCENE = "scene"
    """Some frames show the same scene; the camera may move between them."""


_ORDER = list(Relation)


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """Two videos of a list and their relation."""

    first: int
    """The row of one video in the list, from 0."""
    second: int
    """The row of the other video; greater than `first`."""
    relation: Relation
    """How the two videos are related."""
    mirrored: bool
    """Whether one video is a mirror image of the other."""


def find_links(signatures: Signatures, *, workers: int | None = None) -> list[Link]:
    """The links between videos, at most one for each two, sorted. They do not depend on the order of the list.

    Of videos of equal content (`Signatures.keys`) only the first one is compared.

    Args:
        signatures: The signatures of the list's videos.
        workers: Processes that compare; None: one per core, 0: this process compares.

    Raises:
        RunError: a process died, or the cache was cleared meanwhile.
    """
    candidates = find_candidates(signatures)
    jobs = [
        _Comparisons(signatures.path(first), tuple((signatures.path(one.second), one) for one in several))
        for first, several in ((first, list(group)) for first, group in groupby(candidates, key=lambda one: one.first))
    ]
    try:
        found = each_job(_links_of, jobs, workers=workers, title="Comparing videos", unit="videos", chunk=_AT_ONCE)
        return sorted(link for links in found for link in links)
    finally:
        _signature.cache_clear()  # filled if workers is 0


@dataclass(frozen=True, slots=True)
class _Comparisons:
    """A video to compare with several others, each given by the file of its signature."""

    first: Path
    """The file of the first video's signature."""
    others: tuple[tuple[Path, CandidatePair], ...]
    """The signatures' files of the other videos, each with a candidate pair. The pairs with one other video are
    consecutive."""


def _links_of(comparisons: _Comparisons) -> list[Link]:
    """The strongest link of a video with each of the others; none where they are not related."""
    found = []
    with single_threaded_opencv():
        for _, group in groupby(comparisons.others, key=lambda other: other[1].second):
            several = list(group)
            links = filter(None, (_link(comparisons.first, several, mirrored=mirrored) for mirrored in (False, True)))
            if (best := min(links, key=lambda link: _ORDER.index(link.relation), default=None)) is not None:
                found.append(best)
    return found


def _link(first: Path, others: Sequence[tuple[Path, CandidatePair]], *, mirrored: bool) -> Link | None:
    """The link of two videos by those of their candidate pairs that are mirrored, or by the others; None where there is no
    relation.
    """
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
    """The signature in a file, held in memory since most are compared with several others."""
    return read_signature(path)


def _relation(
    first: Signature, second: Signature, candidates: Sequence[CandidatePair], *, mirrored: bool
) -> Relation | None:
    """The relation of two videos by candidate pairs that are all mirrored, or all not.

    In this order: whether they are copies, by complete frames, then by aligned frames of the same index; whether they are
    segments that follow each other, by their last and first frames; whether they are copies by their middle frames, even
    though these are no candidates.
    """
    wanted = [candidate.frames for candidate in candidates]
    if WHOLE in wanted:
        alignment = align_whole_frames(first.smooth.shape[1:], second.smooth.shape[1:], mirrored=mirrored)
        if is_copy(first, second, alignment):
            return Relation.COPY
    agreements: list[Agreement] = []
    same_scene = partial(_same_scene, first, second, agreements, mirrored=mirrored)
    frames = [each for each in wanted if each != WHOLE]
    same_index = _first(map(same_scene, (each for each in frames if each[0] == each[1])))
    if same_index is not None and is_copy(first, second, same_index):
        return Relation.COPY
    related = same_index is not None
    for each in (_FORWARDS, _BACKWARDS):
        if each in frames and (of_ends := same_scene(each)) is not None:
            related = True
            if same_moment(first, second, (KEYPOINT_FRAMES[each[0]], KEYPOINT_FRAMES[each[1]]), of_ends):
                return Relation.NEXT
    others = (each for each in frames if each[0] != each[1] and each not in (_FORWARDS, _BACKWARDS))
    related = related or _first(map(same_scene, others)) is not None
    if same_index is None and (related or not frames):
        middle = same_scene((_MIDDLE, _MIDDLE))
        if middle is not None and is_copy(first, second, middle):
            return Relation.COPY
    if not agreements:
        return None
    return Relation.ALIKE if any(one.nearly_equal for one in agreements) else Relation.SCENE


def _first(alignments: Iterable[Alignment | None]) -> Alignment | None:
    """The first alignment that is not None; None without one."""
    return next((one for one in alignments if one is not None), None)


def _same_scene(
    first: Signature,
    second: Signature,
    agreements: list[Agreement],
    frames: tuple[int, int],
    *,
    mirrored: bool,
) -> Alignment | None:
    """The alignment of a frame with keypoints of each video if both frames show the same scene, else None. Their agreement
    is then appended to `agreements`.
    """
    one, other = first.keypoints[frames[0]], second.keypoints[frames[1]]
    one = one.mirrored(first.frames.shape[2]) if mirrored else one
    alignment = align(one, other, mirrored=mirrored)
    if alignment is None:
        return None
    agree = agreement(first, second, (KEYPOINT_FRAMES[frames[0]], KEYPOINT_FRAMES[frames[1]]), alignment)
    if not agree.same_scene:
        return None
    agreements.append(agree)
    return alignment
