"""Which frames of a list may show the same: the nearest of each by a vector, to be compared closely afterwards.

The vector of a keyed frame is made of its keypoints: how far, by each word of a small vocabulary, their descriptors lie from
it on the whole (VLAD: Jégou et al., Aggregating local descriptors into a compact image representation, 2010). Most videos
that show the same place are found by it. That of a video is made of small pictures of its frames, and of how they differ
from their mean: by it copies are found where many videos show one place, and copies of videos without keypoints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signature import KEYED, Keypoints, Signature
from marey.data.recordings.signatures import Signatures

_WORDS = 16
"""Of the vocabulary, which is made of the list's own descriptors."""
_SAMPLE = 30_000
"""Descriptors that it is made of, at most."""
_ROUNDS = 10
"""Of k-means."""
_NEAREST = {False: 8, True: 4}
"""Videos that are named for each keyed frame as it is, and for its mirror image."""
_ALIKE = {False: 5, True: 3}
"""Videos that are named for each by the pictures of its frames as they are, and of its mirror image."""
_SIDE = 12
"""Pixels of a side of these pictures."""
_STILL = 1.0
"""Grey levels of deviation from their mean below which frames differ by noise alone."""
_AT_ONCE = 256
"""Videos whose vectors are compared with all others in one product."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """Two videos that may show the same, in the order of their keys; the first is to be mirrored where `mirrored`."""

    first: int
    second: int
    """Rows of the list."""
    mirrored: bool
    frames: tuple[int, int]
    """Which of the keyed frames of the two may be the same, 0 to 2; `WHOLE`: all of their frames, in their order."""


WHOLE = (-1, -1)


def find_candidates(signatures: Signatures) -> list[Candidate]:
    """The nearest videos of each, of equal content the first alone, sorted.

    All is computed in the order of the videos' keys, so that the same videos listed in another order give the same pairs.
    """
    rows = sorted(signatures.rows, key=lambda row: signatures.keys[row])
    if len(rows) < 2:
        return []
    frames, mirrored_frames, videos, mirrored_videos = _all_vectors(signatures, rows, _vocabulary(signatures, rows))
    found = set()
    for mirrored, queries in ((False, frames), (True, mirrored_frames)):
        for one, frame, other, of_other in _nearest(queries, frames, _NEAREST[mirrored]):
            found.add(_ordered(one, other, mirrored, (frame, of_other)))
    for mirrored, queries in ((False, videos), (True, mirrored_videos)):
        for one, _, other, _ in _nearest(queries, videos, _ALIKE[mirrored]):
            found.add(_ordered(one, other, mirrored, WHOLE))
    return sorted(replace(pair, first=rows[pair.first], second=rows[pair.second]) for pair in found)


def _ordered(one: int, other: int, mirrored: bool, frames: tuple[int, int]) -> Candidate:
    """The pair from its lesser number on: where one is a mirror image of the other, the other is one of it as well."""
    if one < other:
        return Candidate(one, other, mirrored, frames)
    return Candidate(other, one, mirrored, (frames[1], frames[0]))


def _all_vectors(
    signatures: Signatures, rows: Sequence[int], vocabulary: Vectors
) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """Of the R videos of these rows: of their keyed frames and of these mirrored [R, 3, W * 128]; of their pictures and of
    these mirrored [R, 1, 6 * 144].
    """
    frames, mirrored_frames, videos, mirrored_videos = [], [], [], []
    for one in map(signatures.__getitem__, rows):
        width = one.frames.shape[2]
        frames.append([_of_keypoints(each, vocabulary) for each in one.keypoints])
        mirrored_frames.append([_of_keypoints(each.mirrored(width), vocabulary) for each in one.keypoints])
        videos.append([_of_pictures(one, mirrored=False)])
        mirrored_videos.append([_of_pictures(one, mirrored=True)])
    return np.array(frames), np.array(mirrored_frames), np.array(videos), np.array(mirrored_videos)


def _vocabulary(signatures: Signatures, rows: Sequence[int]) -> Vectors:
    """[W, 128]: centres of the descriptors of these rows, by k-means from centres that are spread over them; W is less
    than 16, down to 0, where there are no more descriptors.
    """
    each = max(1, _SAMPLE // (len(KEYED) * len(rows)))
    parts = [_spread(keypoints.rooted, each) for row in rows for keypoints in signatures[row].keypoints]
    sample = _spread(np.concatenate(parts), _SAMPLE)
    centres = _spread(sample, _WORDS)
    for _ in range(_ROUNDS if len(sample) else 0):
        members = _members(sample, centres)
        counts = members.sum(axis=0)[:, None]
        centres = np.where(counts > 0, members.T @ sample / np.maximum(counts, 1), centres)
    return centres


def _spread(values: Vectors, count: int) -> Vectors:
    """`count` of the values at even distances, all of fewer."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).astype(np.int64)]


def _members(descriptors: Vectors, vocabulary: Vectors) -> Vectors:
    """[P, W]: 1 for the nearest word of each, 0 for the others."""
    nearest = (descriptors @ vocabulary.T - 0.5 * (vocabulary**2).sum(axis=1)).argmax(axis=1)
    members: Vectors = np.eye(len(vocabulary), dtype=np.float32)[nearest]
    return members


def _of_keypoints(keypoints: Keypoints, vocabulary: Vectors) -> Vectors:
    """[W * 128], of length 1, or 0 where there are none."""
    if not len(keypoints.points):
        return np.zeros(vocabulary.size, np.float32)
    members = _members(keypoints.rooted, vocabulary)
    sums = members.T @ keypoints.rooted - members.sum(axis=0)[:, None] * vocabulary
    return _normal(np.sign(sums) * np.sqrt(np.abs(sums)))


def _of_pictures(signature: Signature, *, mirrored: bool) -> Vectors:
    """[6 * 144], of length 1: the mean of the frames, and how each differs from it."""
    small = [cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for grey in signature.grey]
    pictures = np.stack(small).astype(np.float32)
    pictures = pictures[..., ::-1] if mirrored else pictures
    mean = pictures.mean(axis=0)
    change = pictures - mean
    change = change if change.std() >= _STILL else np.zeros_like(change)
    return _normal(np.concatenate([_normal(mean - mean.mean()), _normal(change)]))


def _normal(values: Vectors) -> Vectors:
    """Flat, and of length 1; zeros stay."""
    flat = values.ravel()
    normal: Vectors = flat / max(float(np.linalg.norm(flat)), 1e-6)
    return normal


def _nearest(queries: Vectors, all_of: Vectors, count: int) -> Iterator[tuple[int, int, int, int]]:
    """For each of the vectors [R, F, D] of R videos: its video and place, and those of the nearest vector of each of the
    `count` other videos that have the nearest ones. Vectors of zeros are near to none.
    """
    videos, places, width = all_of.shape
    most = min(count, videos - 1)
    flat = all_of.reshape(videos * places, width)
    for begin in range(0, videos, _AT_ONCE):
        some = queries[begin : begin + _AT_ONCE]
        likeness = some.reshape(len(some) * places, width) @ flat.T
        likeness = likeness.reshape(len(some), places, videos, places)
        nearest, best = likeness.argmax(axis=3), likeness.max(axis=3)
        best[np.arange(len(some)), :, begin + np.arange(len(some))] = -2  # a video with itself
        chosen = np.argpartition(-best, most - 1, axis=2)[:, :, :most]
        for one, place, other in zip(*np.indices(chosen.shape)[:2].reshape(2, -1), chosen.ravel(), strict=True):
            if best[one, place, other] > 0:
                yield int(begin + one), int(place), int(other), int(nearest[one, place, other])
