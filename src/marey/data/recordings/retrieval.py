"""Retrieval of candidate pairs: videos whose frames may show the same scene, to be compared closely afterwards.

Two kinds of vectors are compared, and the nearest neighbours of each are candidates:

- The vector of a frame with keypoints sums the differences of its descriptors from the nearest words of a small vocabulary
  (VLAD: Jégou et al., Aggregating local descriptors into a compact image representation, 2010). It finds most videos that
  show the same scene.
- The vector of a video is made of thumbnails of its frames: their mean, and the difference of each from the mean. It finds
  copies among many videos of one scene, and copies of videos without keypoints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signature import KEYPOINT_FRAMES, Keypoints, Signature
from marey.data.recordings.signature_cache import Signatures

_WORDS = 16
"""Number of words in the vocabulary, which is made from the list's own descriptors."""
_SAMPLE = 30_000
"""Most descriptors that the vocabulary is made from."""
_ROUNDS = 10
"""Iterations of k-means."""
_NEAREST = {False: 8, True: 4}
"""Number of candidates for each frame with keypoints (False) and for its mirror image (True)."""
_ALIKE = {False: 5, True: 3}
"""Number of candidates for each video by its thumbnails (False), and by their mirror images (True)."""
_SIDE = 12
"""Side of a thumbnail in pixels."""
_STILL = 1.0
"""Standard deviation of the thumbnails from their mean, in grey levels, below which they differ by noise alone."""
_AT_ONCE = 256
"""Videos whose vectors are compared with all others in one matrix product."""

Vectors = NDArray[np.float32]
"""Vectors to compare: the last axis has their components."""


@dataclass(frozen=True, slots=True, order=True)
class CandidatePair:
    """Two videos that may show the same scene; the first one has the lower key in `Signatures.keys`."""

    first: int
    """The first video's row in the list, from 0."""
    second: int
    """The second video's row in the list, from 0."""
    mirrored: bool
    """Whether the first video is mirrored before it is compared."""
    frames: tuple[int, int]
    """Index, 0 to 2, of the frame with keypoints of each video that may show the scene of the other; `WHOLE`: all frames, in
    order."""


WHOLE = (-1, -1)
"""In place of frames: the complete videos may show the same."""


def find_candidates(signatures: Signatures) -> list[CandidatePair]:
    """The candidate pairs of a list, sorted; of videos of equal content only the first one is used.

    Everything is computed in the order of the videos' keys, so that the pairs do not depend on the order of the list.
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


def _ordered(one: int, other: int, mirrored: bool, frames: tuple[int, int]) -> CandidatePair:
    """The pair with the lower number first. `mirrored` stays: either of the two may be mirrored."""
    if one < other:
        return CandidatePair(one, other, mirrored, frames)
    return CandidatePair(other, one, mirrored, (frames[1], frames[0]))


def _all_vectors(
    signatures: Signatures, rows: Sequence[int], vocabulary: Vectors
) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """The vectors of R videos: of their frames with keypoints and of these mirrored, [R, 3, W * 128]; of their
    thumbnails and of these mirrored, [R, 1, 6 * 144].
    """
    frames, mirrored_frames, videos, mirrored_videos = [], [], [], []
    for one in map(signatures.__getitem__, rows):
        width = one.frames.shape[2]
        frames.append([_of_keypoints(each, vocabulary) for each in one.keypoints])
        mirrored_frames.append([_of_keypoints(each.mirrored(width), vocabulary) for each in one.keypoints])
        videos.append([_of_thumbnails(one, mirrored=False)])
        mirrored_videos.append([_of_thumbnails(one, mirrored=True)])
    return np.array(frames), np.array(mirrored_frames), np.array(videos), np.array(mirrored_videos)


def _vocabulary(signatures: Signatures, rows: Sequence[int]) -> Vectors:
    """[W, 128]: cluster centres of the descriptors of these rows, by k-means that starts from evenly spaced
    descriptors. W is 16, or the number of descriptors where there are fewer.
    """
    each = max(1, _SAMPLE // (len(KEYPOINT_FRAMES) * len(rows)))
    samples = [_spread(keypoints.rooted, each) for row in rows for keypoints in signatures[row].keypoints]
    sample = _spread(np.concatenate(samples), _SAMPLE)
    centres = _spread(sample, _WORDS)
    for _ in range(_ROUNDS if len(sample) else 0):
        members = _members(sample, centres)
        counts = members.sum(axis=0)[:, None]
        centres = np.where(counts > 0, members.T @ sample / np.maximum(counts, 1), centres)
    return centres


def _spread(values: Vectors, count: int) -> Vectors:
    """`count` evenly spaced values; all values where there are fewer."""
    if len(values) <= count:
        return values
    return values[np.linspace(0, len(values) - 1, count).astype(np.int64)]


def _members(descriptors: Vectors, vocabulary: Vectors) -> Vectors:
    """[P, W]: 1 for the nearest word of each descriptor, 0 for the other words."""
    nearest = (descriptors @ vocabulary.T - 0.5 * (vocabulary**2).sum(axis=1)).argmax(axis=1)
    members: Vectors = np.eye(len(vocabulary), dtype=np.float32)[nearest]
    return members


def _of_keypoints(keypoints: Keypoints, vocabulary: Vectors) -> Vectors:
    """[W * 128]: the VLAD vector of a frame, of length 1; zeros where it has no keypoints."""
    if not len(keypoints.points):
        return np.zeros(vocabulary.size, np.float32)
    members = _members(keypoints.rooted, vocabulary)
    sums = members.T @ keypoints.rooted - members.sum(axis=0)[:, None] * vocabulary
    return _normal(np.sign(sums) * np.sqrt(np.abs(sums)))


def _of_thumbnails(signature: Signature, *, mirrored: bool) -> Vectors:
    """[6 * 144]: the mean of a video's thumbnails, and the difference of each from it; of length 1."""
    small = [cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for grey in signature.grey]
    thumbnails = np.stack(small).astype(np.float32)
    thumbnails = thumbnails[..., ::-1] if mirrored else thumbnails
    mean = thumbnails.mean(axis=0)
    change = thumbnails - mean
    change = change if change.std() >= _STILL else np.zeros_like(change)
    return _normal(np.concatenate([_normal(mean - mean.mean()), _normal(change)]))


def _normal(values: Vectors) -> Vectors:
    """The values as one vector of length 1; zeros stay zeros."""
    flat = values.ravel()
    normal: Vectors = flat / max(float(np.linalg.norm(flat)), 1e-6)
    return normal


def _nearest(queries: Vectors, all_of: Vectors, count: int) -> Iterator[tuple[int, int, int, int]]:
    """The nearest neighbours of each query, as (video, frame, other video, frame of the other video).

    Args:
        queries: [R, F, D]: F vectors of each of R videos. Vectors of zeros have no neighbours.
        all_of: [R, F, D]: the vectors to search.
        count: Neighbours of each query, each in another video.
    """
    videos, frames, width = all_of.shape
    most = min(count, videos - 1)
    flat = all_of.reshape(videos * frames, width)
    for begin in range(0, videos, _AT_ONCE):
        some = queries[begin : begin + _AT_ONCE]
        likeness = some.reshape(len(some) * frames, width) @ flat.T
        likeness = likeness.reshape(len(some), frames, videos, frames)
        nearest, best = likeness.argmax(axis=3), likeness.max(axis=3)
        best[np.arange(len(some)), :, begin + np.arange(len(some))] = -2  # a video with itself
        chosen = np.argpartition(-best, most - 1, axis=2)[:, :, :most]
        for one, frame, other in zip(*np.indices(chosen.shape)[:2].reshape(2, -1), chosen.ravel(), strict=True):
            if best[one, frame, other] > 0:
                yield int(begin + one), int(frame), int(other), int(nearest[one, frame, other])
