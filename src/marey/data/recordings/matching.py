"""Whether two small frames show the same: how one is to be laid over the other, and where they agree then."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signature import Keypoints, Signature

_RATIO = 0.85
"""A match counts where its distance is less than this share of that to the second nearest descriptor (Lowe 2004, 7.1)."""
_FEWEST = 8
"""Keypoints that must agree on how a frame lies over another."""
_PIXELS = 3.0
"""How far a keypoint may lie from where it should, of a frame whose shorter side has 160 pixels."""
_LARGEST, _STRETCHED = 4.0, 2.0
"""How many times larger or smaller one frame may be shown in the other, and how many times more so in one direction."""
_BLOCK = 8
"""Pixels of a side of the blocks that are compared."""
_ROUNDING = 0.01
"""Pixels that a block may lie beyond a frame, by the errors of computing where it lies."""
_TEXTURE = 4.0
"""Grey levels of deviation within a block below which there is nothing to compare."""
_AGREES, _DIFFERS = 0.6, 0.3
"""Correlations within a block from which on, and below which, two frames agree and differ in it."""
_SCENE, _AREA = 0.3, 0.1
"""Of the blocks that can be compared, and of all blocks, those that agree where two frames show the same scene."""
_NEARLY_EQUAL = 0.68
"""Of the blocks that can be compared, those that agree in two frames that are nearly equal. Of one studio, frames of one
recording had 0.72 at least, and those of different people 0.62 at most."""
_COPY, _STILL_COPY = 0.6, 0.85
"""Of the blocks that can be compared, those that agree in every frame of a copy; of one in which nothing moves."""
_CLEAR = 8.0
"""Grey levels of deviation within a block from which on a difference is no noise."""
_LAID = 0.5
"""Of one of two pictures, what lies over the other where one video is a copy of the other: a crop lies wholly in what it was
made of, and where two have nothing in common but a bar with words, little more than the bar does."""
_TORN, _MOSTLY_TORN, _FEW = 0.12, 0.025, 2
"""Of the blocks where something moves, those of a copy that may agree at some place and differ at another; those that may
agree at most places and differ at some; and how many of these may always."""
_MIDDLE_FIRST = (2, 0, 1, 3, 4)
"""The places of a signature, the middle one first: with it the others are compared, to see what moves."""
_SEEN_MOVING = 4
"""Blocks in which something must move to tell two moments apart."""
_MOMENT = 0.8
"""Of the blocks where something moves, those that agree in two frames of the same moment."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the first of two frames lies over the second."""

    matrix: NDArray[np.float64]
    """[2, 3]: of (x, y, 1) in the first frame, which is mirrored before where `mirrored`, the place in the second."""
    mirrored: bool
    keypoints: int
    """How many agree on it; 0: the whole of one frame was laid over the whole of the other."""


def align(first: Keypoints, second: Keypoints, *, mirrored: bool) -> Alignment | None:
    """How the frame of the first keypoints, which are those of the mirrored frame where `mirrored`, lies over that of the
    second: shifted, scaled, turned or stretched. None where fewer than eight pairs of like keypoints agree on it.
    """
    if min(len(first.points), len(second.points)) < _FEWEST:
        return None
    ours, theirs = _pairs(first, second)
    if len(ours) < _FEWEST:
        return None
    matrix, agree = cv2.estimateAffine2D(
        first.points[ours], second.points[theirs], method=cv2.RANSAC, ransacReprojThreshold=_PIXELS, maxIters=500
    )
    if matrix is None or agree.sum() < _FEWEST:
        return None
    found = np.asarray(matrix, np.float64)
    return Alignment(found, mirrored, int(agree.sum())) if _is_plausible(found) else None


def laid_whole(first: tuple[int, int], second: tuple[int, int], *, mirrored: bool) -> Alignment:
    """The whole of a frame of the first (height, width) over the whole of one of the second."""
    down, across = second[0] / first[0], second[1] / first[1]
    matrix = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])
    return Alignment(matrix, mirrored, 0)


def _pairs(first: Keypoints, second: Keypoints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of like keypoints: each the nearest of the other, and nearer than the second nearest by far."""
    likeness = first.rooted @ second.rooted.T
    best = likeness.argmax(axis=1)
    ours = np.flatnonzero(likeness.argmax(axis=0)[best] == np.arange(len(best)))
    theirs = best[ours]
    nearest, rows = likeness[ours, theirs], likeness[ours]
    rows[np.arange(len(ours)), theirs] = -1
    clear = 1 - nearest < _RATIO**2 * (1 - rows.max(axis=1))
    return ours[clear], theirs[clear]


def _is_plausible(matrix: NDArray[np.float64]) -> bool:
    """Whether a picture may be laid over another so: not mirrored, not far larger or smaller, and not drawn long."""
    square = matrix[:, :2]
    largest, least = np.linalg.svd(square, compute_uv=False).tolist()
    turned = bool(np.linalg.det(square) > 0)
    return turned and largest <= _LARGEST and least * _LARGEST >= 1 and largest <= _STRETCHED * least


@dataclass(frozen=True, eq=False)
class Agreement:
    """Where two frames agree, in blocks of 8 x 8 pixels of the second."""

    likeness: NDArray[np.float32]
    """[G]: correlation of the brightness within each block, -1 to 1; NaN where the first frame does not lie, or where
    neither has any texture."""

    @property
    def share(self) -> float:
        """Of the blocks that can be compared, those that agree; 0 of none."""
        return _share(self.likeness[~np.isnan(self.likeness)])

    @property
    def area(self) -> float:
        """Of all blocks of the second frame, those that agree."""
        return float((self.likeness >= _AGREES).mean())

    @property
    def nearly_equal(self) -> bool:
        """Whether the two show the same things in nearly all of the picture, as frames of one recording do; of one room with
        other people in it, less of it agrees.
        """
        return self.share >= _NEARLY_EQUAL and self.area >= _AREA

    @property
    def same_scene(self) -> bool:
        """Whether the two show the same things in so much of the picture that no logo does it."""
        return self.share >= _SCENE and self.area >= _AREA


def agreement(first: Signature, second: Signature, places: tuple[int, int], laid: Alignment) -> Agreement:
    """Where the frames of two signatures at some places, 0 to 4, agree when the first is laid over the second so."""
    size = second.smooth.shape[1:]
    likeness = _likeness(_over(first.smooth[places[0]], size, laid), _blocks(second.smooth[places[1]]))
    return Agreement(np.where(_covered(first, size, laid), likeness, np.nan).astype(np.float32))


def is_copy(first: Signature, second: Signature, laid: Alignment) -> bool:
    """Whether one video is a copy of the other, the first laid over the second so: at the same five places they show the
    same, where something moves, too.

    Blocks tell of it that agree at some places and differ at others: something else was there. One that always differs is
    covered, by a logo; the edge of a logo, where the camera moves, mostly.
    """
    size = second.smooth.shape[1:]
    inside = _covered(first, size, laid)
    if _lying_over(first, size, inside, laid) < _LAID:
        return False
    ours, theirs, rows = [], [], []
    for place in _MIDDLE_FIRST:
        ours.append(_over(first.smooth[place], size, laid))
        theirs.append(_blocks(second.smooth[place]))
        rows.append(_likeness(ours[-1], theirs[-1])[inside])
        if _share(rows[-1][~np.isnan(rows[-1])]) < _COPY:
            return False
    likeness = np.stack(rows)
    compared = ~np.isnan(likeness)
    if compared.any(axis=0).sum() < _AREA * len(inside):
        return False
    moving = (_changes(ours) | _changes(theirs))[inside]
    if moving.sum() < _SEEN_MOVING:
        return min(_share(row[there]) for row, there in zip(likeness, compared, strict=True)) >= _STILL_COPY
    clear = np.stack([np.maximum(one.deviation, other.deviation) for one, other in zip(ours, theirs, strict=True)])
    differs = (compared & (clear[:, inside] >= _CLEAR) & (likeness < _DIFFERS)).any(axis=0)
    agrees = (likeness >= _AGREES).sum(axis=0)
    torn, mostly = differs & (agrees > 0), differs & (2 * agrees > compared.sum(axis=0))
    return bool(torn.sum() <= _TORN * moving.sum() and mostly.sum() <= max(_FEW, _MOSTLY_TORN * moving.sum()))


def stands_still(signature: Signature) -> bool:
    """Whether nothing moves in the five frames of a signature, so that another take of the scene looks the same."""
    return int(_changes([_blocks(signature.smooth[place]) for place in _MIDDLE_FIRST]).sum()) < _SEEN_MOVING


def same_moment(first: Signature, second: Signature, places: tuple[int, int], laid: Alignment) -> bool:
    """Whether the frames of two signatures at some places, 0 to 4, show the same moment, the first laid over the second so:
    they agree where something moves in one of the two. Where nothing does, frames do not tell.
    """
    size = second.smooth.shape[1:]
    ours = [_over(first.smooth[place], size, laid) for place in _MIDDLE_FIRST]
    theirs = [_blocks(second.smooth[place]) for place in _MIDDLE_FIRST]
    one, other = (_MIDDLE_FIRST.index(place) for place in places)
    likeness = _likeness(ours[one], theirs[other])
    seen = (_changes(ours) | _changes(theirs)) & _covered(first, size, laid) & ~np.isnan(likeness)
    return bool(seen.sum() >= _SEEN_MOVING) and _share(likeness[seen]) >= _MOMENT


@dataclass(frozen=True, eq=False)
class _Blocks:
    """A frame, and its brightness in each of its G blocks, in grey levels."""

    image: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]


def _blocks(frame_HW: NDArray[Any]) -> _Blocks:
    """A frame in blocks, less what is beyond the last whole ones."""
    height, width = (side // _BLOCK * _BLOCK for side in frame_HW.shape)
    image = frame_HW[:height, :width].astype(np.float32)
    mean = _means(image)
    return _Blocks(image, mean, np.sqrt(np.maximum(_means(image * image) - mean * mean, 0)))


def _means(image_HW: NDArray[np.float32]) -> NDArray[np.float32]:
    """[G]: of each block."""
    height, width = image_HW.shape
    found = cv2.resize(image_HW, (width // _BLOCK, height // _BLOCK), interpolation=cv2.INTER_AREA)
    return np.asarray(found, np.float32).ravel()


def _over(frame_HW: NDArray[np.uint8], size: tuple[int, ...], laid: Alignment) -> _Blocks:
    """A frame as it lies over one of such a (height, width)."""
    turned = np.ascontiguousarray(frame_HW[:, ::-1]) if laid.mirrored else frame_HW
    over = cv2.warpAffine(turned, laid.matrix, (size[1], size[0]), borderMode=cv2.BORDER_REPLICATE)
    return _blocks(over)


def _covered(first: Signature, size: tuple[int, ...], laid: Alignment) -> NDArray[np.bool_]:
    """[G]: which blocks of a frame of such a (height, width) lie wholly beneath one of the first signature.

    Coordinates are those of the centres of pixels: a frame goes from -0.5 to its width less 0.5.
    """
    rows, columns = (np.arange(side // _BLOCK + 1) * _BLOCK - 0.5 for side in size)
    corners = np.stack([*np.meshgrid(columns, rows), np.ones((len(rows), len(columns)))])
    x, y = np.einsum("ij,jrc->irc", cv2.invertAffineTransform(laid.matrix), corners)
    height, width = first.smooth.shape[1:]
    x, y = x + 0.5, y + 0.5
    inside = (x >= -_ROUNDING) & (x <= width + _ROUNDING) & (y >= -_ROUNDING) & (y <= height + _ROUNDING)
    covered = np.stack([inside[:-1, :-1], inside[1:, :-1], inside[:-1, 1:], inside[1:, 1:]])
    return np.asarray(covered.all(axis=0), np.bool_).ravel()


def _lying_over(first: Signature, size: tuple[int, ...], inside: NDArray[np.bool_], laid: Alignment) -> float:
    """Of the first frame, or of one of such a (height, width), the share of whichever more lies over the other, 0 to 1: the
    blocks `inside` [G] do.
    """
    pixels = int(inside.sum()) * _BLOCK**2
    enlarged = abs(float(np.linalg.det(laid.matrix[:, :2])))
    height, width = first.smooth.shape[1:]
    return float(pixels / min(size[0] * size[1], enlarged * height * width))


def _likeness(one: _Blocks, other: _Blocks) -> NDArray[np.float32]:
    """[G]: correlation within each block; NaN where neither has texture."""
    together = _means(one.image * other.image) - one.mean * other.mean
    found = together / np.maximum(one.deviation * other.deviation, 1)
    return np.where(np.maximum(one.deviation, other.deviation) >= _TEXTURE, found, np.nan).astype(np.float32)


def _changes(frames: Sequence[_Blocks]) -> NDArray[np.bool_]:
    """[G]: in which blocks some frame differs from the first one given."""
    likeness = np.stack([_likeness(frame, frames[0]) for frame in frames[1:]])
    return np.asarray((np.where(np.isnan(likeness), 1, likeness) < _AGREES).any(axis=0), np.bool_)


def _share(likeness: NDArray[np.float32]) -> float:
    """Of some blocks, those that agree; 0 of none."""
    return float((likeness >= _AGREES).mean()) if len(likeness) else 0.0
