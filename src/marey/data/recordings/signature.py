"""What a video looks like in little: five small frames and keypoints of three of them, by which copies of it, and other
clips of the same recording, are known again.

Keypoints and their descriptors are SIFT's (Lowe, Distinctive Image Features from Scale-Invariant Keypoints, 2004), as OpenCV
computes them: they stay the same when a picture is encoded anew, scaled, cropped or covered in part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.stamp import Stamp
from marey.video.source import FrameSource, Size

PLACES = 5
"""Frames of a signature: the first and the last one, and three at even distances between them."""
KEYED = (0, 2, 4)
"""Those of them that have keypoints."""
_SHORT = 160
"""Pixels of the shorter side of a signature's frames, whatever the video's is."""
_LONGEST = 3
"""Times the shorter side that the longer one has at most: a longer picture is drawn narrower until it has."""
_KEYPOINTS = 250
"""Of a frame at most, the strongest."""
_CONTRAST, _EDGE = 0.02, 12
"""SIFT's thresholds; half of OpenCV's contrast, since small frames of walls and meadows have little."""
_BESIDE = 0.25
"""Pixels by which OpenCV places SIFT's keypoints too far to the right and down: it doubles the frame's sides first, and
halves coordinates as if the first pixels' centres lay upon each other."""
_BLUR = 1.5
"""Pixels of deviation of the Gaussian by which frames are smoothed."""
_QUALITY = 90
"""Of JPEG, in which frames are kept."""


@dataclass(frozen=True, eq=False)
class Keypoints:
    """The keypoints of one frame."""

    points: NDArray[np.float32]
    """[P, 2]: pixels to the right and down."""
    descriptors: NDArray[np.uint8]
    """[P, 128]: histograms of gradients, 4 rows of 4 cells of 8 directions, turned by the direction of the keypoint."""

    @cached_property
    def rooted(self) -> NDArray[np.float32]:
        """[P, 128]: descriptors of length 1 whose products compare histograms by Hellinger's distance (Arandjelovic and
        Zisserman, Three things everyone should know to improve object retrieval, 2012).
        """
        values = self.descriptors.astype(np.float32)
        values /= np.maximum(values.sum(axis=1, keepdims=True), 1)
        return np.sqrt(values, out=values)

    def mirrored(self, width: int) -> "Keypoints":
        """Those of the frame mirrored from left to right, which is `width` pixels across.

        A descriptor is relative to the keypoint's own direction, which is mirrored as well: along it nothing changes, and
        what is on its one side comes to the other. So the rows of cells change places, the first with the last, and the
        directions within each cell turn the other way round.
        """
        points = self.points.copy()
        points[:, 0] = width - 1 + 2 * _BESIDE - points[:, 0]
        cells = self.descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., -np.arange(8) % 8]
        return Keypoints(points, np.ascontiguousarray(cells.reshape(-1, 128)))


@dataclass(frozen=True, eq=False)
class Signature:
    """What a video, or a part of one, looks like."""

    encoded: tuple[NDArray[np.uint8], ...]
    """Five small frames as JPEG files."""
    keypoints: tuple[Keypoints, Keypoints, Keypoints]
    """Of the first, the middle and the last of these frames."""
    count: int
    """Frames of the video or part."""
    seconds: float
    """From the first frame's beginning to the last one's end, taken as long as the average of these; 0 of one frame."""
    size: Size
    """(height, width) of the video in pixels."""
    stamp: Stamp = Stamp()  # noqa: RUF009 - frozen
    """Of its file."""

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """[5, H, W, 3]: the small frames in RGB."""
        return np.stack([_decoded(one) for one in self.encoded])

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """[5, H, W]: the frames' brightness."""
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames])

    @cached_property
    def smooth(self) -> NDArray[np.uint8]:
        """[5, H, W]: the brightness without its finest detail, so that frames may lie a pixel beside each other."""
        return np.stack([cv2.GaussianBlur(frame, (0, 0), _BLUR) for frame in self.grey])

    # -- as arrays, for files

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` reads."""
        return {
            "jpeg": np.concatenate(self.encoded),
            "ends": np.cumsum([len(one) for one in self.encoded]),
            "points": np.concatenate([keypoints.points for keypoints in self.keypoints]),
            "descriptors": np.concatenate([keypoints.descriptors for keypoints in self.keypoints]),
            "counts": np.array([len(keypoints.points) for keypoints in self.keypoints]),
            "video": np.array([self.count, self.seconds, *self.size, self.stamp.created], np.float64),
            "encoder": np.array(self.stamp.encoder),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Of what `as_arrays` gave.

        Raises:
            KeyError, ValueError: it is something else.
        """
        ends = np.cumsum(arrays["counts"])[:-1]
        points, descriptors = np.split(arrays["points"], ends), np.split(arrays["descriptors"], ends)
        first, middle, last = (Keypoints(*each) for each in zip(points, descriptors, strict=True))
        count, seconds, height, width, created = arrays["video"].tolist()
        encoded = tuple(np.split(arrays["jpeg"], arrays["ends"][:-1]))
        stamp = Stamp(created, str(arrays["encoder"]))
        return cls(encoded, (first, middle, last), int(count), seconds, (int(height), int(width)), stamp)


def signature_of(source: FrameSource, first: int, count: int, stamp: Stamp = Stamp()) -> Signature:  # noqa: B008 - frozen
    """The signature of `count` frames of a source, 1 or more, from frame `first` on, whose file has this stamp. Of fewer
    than five frames some are there several times.

    Raises:
        DecodeError: one of the five frames cannot be decoded.
    """
    numbers = first + np.linspace(0, count - 1, PLACES).round().astype(np.int64)
    read = source.read(numbers, size=_small(source.height, source.width))
    encoded = tuple(_encoded(frame) for frame in read)
    # As they are read from a file later: keypoints and frames belong together.
    found = [_keypoints_of(cv2.cvtColor(_decoded(encoded[place]), cv2.COLOR_RGB2GRAY)) for place in KEYED]
    seconds = float(source.timestamps[numbers[-1]] - source.timestamps[numbers[0]]) * count / max(count - 1, 1)
    return Signature(encoded, (found[0], found[1], found[2]), count, seconds, (source.height, source.width), stamp)


def _keypoints_of(grey_HW: NDArray[Any]) -> Keypoints:
    """The strongest keypoints of a frame's brightness."""
    sift = cv2.SIFT.create(nfeatures=_KEYPOINTS, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE)
    found, descriptors = sift.detectAndCompute(grey_HW, None)
    if descriptors is None:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    points = np.array([keypoint.pt for keypoint in found], np.float32)
    return Keypoints(points, np.clip(descriptors, 0, 255).astype(np.uint8))


def _small(height: int, width: int) -> Size:
    """The size of a signature's frames, whose shorter side is `_SHORT` pixels."""
    scale = _SHORT / min(height, width)
    return min(round(height * scale), _LONGEST * _SHORT), min(round(width * scale), _LONGEST * _SHORT)


def _encoded(frame_HWC: NDArray[Any]) -> NDArray[np.uint8]:
    """RGB as the bytes of a JPEG file."""
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done
    return encoded.ravel()


def _decoded(encoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB of the bytes of a JPEG file.

    Raises:
        ValueError: they are none.
    """
    frame = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError("no JPEG file")
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
