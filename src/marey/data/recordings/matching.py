"""Compares the small frames of two videos: aligns one with the other, and finds where they agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signature import Keypoints, Signature

_RATIO = 0.85
"""Ratio test: the nearest descriptor counts as a match if its distance is below this share of the second nearest one's
(Lowe 2004, section 7.1)."""
_FEWEST = 8
"""Least number of keypoint matches that support an alignment."""
_PIXELS = 3.0
"""Largest error of a supporting match, in pixels of a frame whose shorter side has 160."""
_LARGEST, _STRETCHED = 4.0, 2.0
"""Largest scale of an alignment (the smallest is its inverse), and largest ratio of its scales in two directions."""
_BLOCK = 8
"""Side in pixels of the blocks that are compared."""
_ROUNDING = 0.01
"""Pixels that a block may reach beyond a frame, due to rounding errors of its position."""
_TEXTURE = 4.0
"""Standard deviation in grey levels below which a block has too little texture to be compared."""
_AGREES, _DIFFERS = 0.6, 0.3
"""Correlations of a block: from the first one upwards two frames agree in it, below the second one they differ in it."""
_SCENE, _AREA = 0.3, 0.1
"""Least shares of agreeing blocks, 0 to 1, in two frames of the same scene: among the compared blocks, and among all."""
_NEARLY_EQUAL = 0.68
"""Least share of agreeing blocks among the compared ones in two nearly equal frames. In one studio, two frames of one
recording reached at least 0.72, two frames of different people at most 0.62."""
_COPY, _STILL_COPY = 0.6, 0.85
"""Least share of the compared blocks that agree, in each frame of a copy: where something moves, and where nothing does."""
_CLEAR = 8.0
"""Least standard deviation of a block, in grey levels, for which a difference counts. In flatter blocks it may be noise."""
_OVERLAP = 0.5
"""Least share of the smaller of two frames that the other one overlaps, in a copy. A crop lies completely within the frame
that it was made from; frames that share only a bar with text overlap by little more than the bar."""
_CHANGED, _MOSTLY_EQUAL, _FEW = 0.12, 0.025, 2
"""Largest numbers of contradicting blocks in a copy, as shares of the number of blocks in which something moves: blocks that
agree in some frames and differ in others; and blocks that agree in most frames and differ in some, of which `_FEW` are
always allowed."""
_MIDDLE_FIRST = (2, 0, 1, 3, 4)
"""Indices of a signature's frames, the middle one first: the others are compared with it to find what moves."""
_SEEN_MOVING = 4
"""Number of moving blocks below which nothing is taken to move, and two moments cannot be distinguished."""
_MOMENT = 0.8
"""Least share of the moving blocks that agree in two frames of the same moment."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the first of two frames is mapped onto the second."""

    matrix: NDArray[np.float64]
    """[2, 3]: maps (x, y, 1) in the first frame to (x, y) in the second one."""
    mirrored: bool
    """Whether the first frame is mirrored before it is mapped."""
    keypoints: int
    """How many keypoint matches support the alignment; 0: from the sizes of two complete frames, without keypoints."""


def align(first: Keypoints, second: Keypoints, *, mirrored: bool) -> Alignment | None:
    """The affine alignment (shift, scale, rotation, stretch) of two frames; None where fewer than eight matches support a
    plausible one.

    Args:
        first: The keypoints of the first frame, of its mirror image where `mirrored`.
        second: The keypoints of the second frame.
        mirrored: Whether the first frame is mirrored.
    """
    if min(len(first.points), len(second.points)) < _FEWEST:
        return None
    ours, theirs = _matches(first, second)
    if len(ours) < _FEWEST:
        return None
    matrix, agree = cv2.estimateAffine2D(
        first.points[ours], second.points[theirs], method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=500
    )
    if matrix is None or agree.sum() < _FEWEST:
        return None
    affine = np.asarray(matrix, np.float64)
    return Alignment(affine, mirrored, int(agree.sum())) if _is_plausible(affine) else None


def align_whole_frames(first: tuple[int, int], second: tuple[int, int], *, mirrored: bool) -> Alignment:
    """The alignment of two complete frames, which are given by their sizes (height, width)."""
    down, across = second[0] / first[0], second[1] / first[1]
    matrix = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    return Alignment(matrix, mirrored, 0)


def _matches(first: Keypoints, second: Keypoints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices [M] of matching keypoints in each of two frames: mutual nearest neighbours that pass the ratio test."""
    likeness = first.rooted @ second.rooted.T
    best = likeness.argmax(axis=1)
    ours = np.flatnonzero(likeness.argmax(axis=0)[best] == np.arange(len(best)))
    theirs = best[ours]
    nearest, rows = likeness[ours, theirs], likeness[ours]
    rows[np.arange(len(ours)), theirs] = -1
    clear = 1 - nearest < _RATIO**2 * (1 - rows.max(axis=1))
    return ours[clear], theirs[clear]


def _is_plausible(matrix: NDArray[np.float64]) -> bool:
    """Whether an alignment is plausible: not mirrored, and within the limits of scale and stretch."""
    square = matrix[:, :2]
    largest, least = np.linalg.svd(square, compute_uv=False).tolist()
    keeps_sides = bool(np.linalg.det(square) > 0)
    return keeps_sides and largest <= _LARGEST and least * _LARGEST >= 1 and largest <= _STRETCHED * least


@dataclass(frozen=True, eq=False)
class Agreement:
    """Where two frames agree, in each of the G blocks of 8 x 8 pixels of the second frame."""

    likeness: NDArray[np.float32]
    """[G]: correlation of the brightness within each block, -1 to 1; NaN where the frames do not overlap, or where neither
    has texture."""

    @property
    def share(self) -> float:
        """Share of the compared blocks that agree, 0 to 1; 0 where none can be compared."""
        return _share(self.likeness[~np.isnan(self.likeness)])

    @property
    def area(self) -> float:
        """Share of all blocks of the second frame that agree, 0 to 1."""
        return float((self.likeness >= _AGREES).mean())

    @property
    def nearly_equal(self) -> bool:
        """Whether the frames show the same things nearly everywhere, as frames of one recording do. Frames of one room with
        different people agree in fewer blocks.
        """
        return self.share >= _NEARLY_EQUAL and self.area >= _AREA

    @property
    def same_scene(self) -> bool:
        """Whether the frames show the same scene: they agree in a larger area than a logo covers."""
        return self.share >= _SCENE and self.area >= _AREA


def agreement(first: Signature, second: Signature, frames: tuple[int, int], alignment: Alignment) -> Agreement:
    """Where a frame of the first signature agrees with one of the second; `frames` are their indices, 0 to 4."""
    size = second.smooth.shape[1:]
    likeness = _likeness(_warped_blocks(first.smooth[frames[0]], size, alignment), _blocks(second.smooth[frames[1]]))
    return Agreement(np.where(_covered(first, size, alignment), likeness, np.nan).astype(np.float32))


def is_copy(first: Signature, second: Signature, alignment: Alignment) -> bool:
    """Whether one video is a copy of the other under an alignment: all five frames agree, also where something moves.

    Blocks that agree in some frames and differ in others are evidence against a copy. Blocks that differ in every frame are
    not, since a logo may cover them. Blocks that differ in most frames are weaker evidence than those that differ in few:
    where the camera moves, they may be at the edge of a logo.
    """
    size = second.smooth.shape[1:]
    inside = _covered(first, size, alignment)
    if _overlap(first, size, inside, alignment) < _OVERLAP:
        return False
    ours, theirs, rows = [], [], []
    for index in _MIDDLE_FIRST:
        ours.append(_warped_blocks(first.smooth[index], size, alignment))
        theirs.append(_blocks(second.smooth[index]))
        rows.append(_likeness(ours[-1], theirs[-1])[inside])
        if _share(rows[-1][~np.isnan(rows[-1])]) < _COPY:
            return False
    likeness = np.stack(rows)
    compared = ~np.isnan(likeness)
    if compared.any(axis=0).sum() < _AREA * len(inside):
        return False
    moving = (_changes(ours) | _changes(theirs))[inside]
    if moving.sum() < _SEEN_MOVING:
        return min(_share(row[valid]) for row, valid in zip(likeness, compared, strict=True)) >= _STILL_COPY
    deviation = np.stack([np.maximum(one.deviation, other.deviation) for one, other in zip(ours, theirs, strict=True)])
    differs = (compared & (deviation[:, inside] >= _CLEAR) & (likeness < _DIFFERS)).any(axis=0)
    agrees = (likeness >= _AGREES).sum(axis=0)
    changed, mostly_equal = differs & (agrees > 0), differs & (2 * agrees > compared.sum(axis=0))
    few = max(_FEW, _MOSTLY_EQUAL * moving.sum())
    return bool(changed.sum() <= _CHANGED * moving.sum() and mostly_equal.sum() <= few)


def is_static(signature: Signature) -> bool:
    """Whether nothing moves between the five frames of a signature: another take of the scene then looks the same."""
    return int(_changes([_blocks(signature.smooth[index]) for index in _MIDDLE_FIRST]).sum()) < _SEEN_MOVING


def same_moment(first: Signature, second: Signature, frames: tuple[int, int], alignment: Alignment) -> bool:
    """Whether a frame of each signature shows the same moment under an alignment: they agree where something moves in one of
    the videos. False where nothing moves, since moments cannot be distinguished then. `frames` are their indices, 0 to 4.
    """
    size = second.smooth.shape[1:]
    ours = [_warped_blocks(first.smooth[index], size, alignment) for index in _MIDDLE_FIRST]
    theirs = [_blocks(second.smooth[index]) for index in _MIDDLE_FIRST]
    one, other = (_MIDDLE_FIRST.index(index) for index in frames)
    likeness = _likeness(ours[one], theirs[other])
    moving = (_changes(ours) | _changes(theirs)) & _covered(first, size, alignment) & ~np.isnan(likeness)
    return bool(moving.sum() >= _SEEN_MOVING) and _share(likeness[moving]) >= _MOMENT


@dataclass(frozen=True, eq=False)
class _BlockStatistics:
    """A frame, and mean and standard deviation of the brightness in each of its G blocks, in grey levels."""

    image: NDArray[np.float32]
    """[H, W], without the pixels beyond the last complete blocks."""
    mean: NDArray[np.float32]
    """[G]: mean brightness of each block, in grey levels."""
    deviation: NDArray[np.float32]
    """[G]: standard deviation of the brightness in each block, in grey levels."""


def _blocks(frame_HW: NDArray[Any]) -> _BlockStatistics:
    """A frame divided into blocks."""
    height, width = (side // _BLOCK * _BLOCK for side in frame_HW.shape)
    image = frame_HW[:height, :width].astype(np.float32)
    mean = _means(image)
    return _BlockStatistics(image, mean, np.sqrt(np.maximum(_means(image * image) - mean * mean, 0)))


def _means(image_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """[G]: the mean of each block."""
    height, width = image_HW.shape
    means = cv2.resize(image_HW, (width // _BLOCK, height // _BLOCK), interpolation=cv2.INTER_AREA)
    return np.asarray(means, np.float32).ravel()


def _warped_blocks(frame_HW: NDArray[np.uint8], size: tuple[int, ...], alignment: Alignment) -> _BlockStatistics:
    """A frame mapped onto a frame of the given (height, width)."""
    oriented = np.ascontiguousarray(frame_HW[:, ::-1]) if alignment.mirrored else frame_HW
    warped = cv2.warpAffine(oriented, alignment.matrix, (size[1], size[0]), borderMode=cv2.BORDER_REPLICATE)
    return _blocks(warped)


def _covered(first: Signature, size: tuple[int, ...], alignment: Alignment) -> NDArray[np.bool_]:
    """[G]: which blocks of a frame of the given (height, width) are completely covered by a frame of the first signature.

    Coordinates are those of pixel centres: a frame extends from -0.5 to its width less 0.5.
    """
    rows, columns = (np.arange(side // _BLOCK + 1) * _BLOCK - 0.5 for side in size)
    corners = np.stack([*np.meshgrid(columns, rows), np.ones((len(rows), len(columns)))])
    x, y = np.einsum("ij,jrc->irc", cv2.invertAffineTransform(alignment.matrix), corners)
    height, width = first.smooth.shape[1:]
    x, y = x + 0.5, y + 0.5
    inside = (x >= -_ROUNDING) & (x <= width + _ROUNDING) & (y >= -_ROUNDING) & (y <= height + _ROUNDING)
    covered = np.stack([inside[:-1, :-1], inside[1:, :-1], inside[:-1, 1:], inside[1:, 1:]])
    return np.asarray(covered.all(axis=0), np.bool_).ravel()


def _overlap(first: Signature, size: tuple[int, ...], inside: NDArray[np.bool_], alignment: Alignment) -> float:
    """The overlap of two frames as a share of the smaller one, 0 to 1.

    Args:
        first: The signature of the first frame.
        size: (height, width) of the second frame.
        inside: [G]: the blocks of the second frame that the first one covers.
        alignment: How the first frame is mapped onto the second.
    """
    pixels = int(inside.sum()) * _BLOCK**2
    enlarged = abs(float(np.linalg.det(alignment.matrix[:, :2])))
    height, width = first.smooth.shape[1:]
    return float(pixels / min(size[0] * size[1], enlarged * height * width))


def _likeness(one: _BlockStatistics, other: _BlockStatistics) -> NDArray[np.float32]:
    """[G]: the correlation within each block; NaN where neither frame has texture."""
    covariance = _means(one.image * other.image) - one.mean * other.mean
    correlation = covariance / np.maximum(one.deviation * other.deviation, 1)
    return np.where(np.maximum(one.deviation, other.deviation) >= _TEXTURE, correlation, np.nan).astype(np.float32)


def _changes(frames: Sequence[_BlockStatistics]) -> NDArray[np.bool_]:
    """[G]: the blocks in which at least one of the other frames does not agree with the first of these frames."""
    likeness = np.stack([_likeness(frame, frames[0]) for frame in frames[1:]])
    return np.asarray((np.where(np.isnan(likeness), 1, likeness) < _AGREES).any(axis=0), np.bool_)


def _share(likeness: NDArray[np.float32]) -> float:
    """Share of the blocks with these correlations that agree, 0 to 1; 0 where there are none."""
    return float((likeness >= _AGREES).mean()) if len(likeness) else 0.0
