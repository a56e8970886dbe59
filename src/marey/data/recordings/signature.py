"""Visual signature of a video: five small frames and keypoints of three of them, by which copies of the video and other
videos of its recording are recognised.

Keypoints and descriptors are SIFT's (Lowe, Distinctive Image Features from Scale-Invariant Keypoints, 2004), computed by
OpenCV. They hardly change when a frame is re-encoded, scaled, cropped or partly covered.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.creation import CreationMetadata
from marey.video.source import FrameSource, Size

NUM_FRAMES = 5
"""Number of frames in a signature: the first and the last one, and three evenly spaced between them."""
KEYPOINT_FRAMES = (0, 2, 4)
"""Indices, 0 to 4, of the frames that have keypoints."""
_SHORT = 160
"""Length in pixels of the shorter side of a signature's frames, for any video."""
_LONGEST = 3
"""Largest ratio of the longer side to the shorter one. Frames with a larger ratio are squeezed to this one."""
_KEYPOINTS = 250
"""Maximum number of keypoints in a frame; the strongest are used."""
_CONTRAST, _EDGE = 0.02, 12
"""SIFT's thresholds. The contrast is half of OpenCV's default, since small frames of walls and meadows have little
contrast."""
_OFFSET = 0.25
"""Pixels by which OpenCV's SIFT keypoints lie too far to the right and down. OpenCV finds them in a frame of twice the size
and halves their coordinates, as if the first pixels of both frames had the same centre."""
_BLUR = 1.5
"""Standard deviation in pixels of the Gaussian that smooths frames."""
_QUALITY = 90
"""JPEG quality of the stored frames, 1 to 100."""


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """A context in which OpenCV uses one thread: in many short operations, threads would mostly wait for each other."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """The keypoints of one frame."""

    points: NDArray[np.float32]
    """[P, 2]: x and y in pixels, from the centre of the top left pixel."""
    descriptors: NDArray[np.uint8]
    """[P, 128]: histograms of gradients in 4 rows of 4 cells of 8 directions, relative to the keypoint's orientation."""

    @cached_property
    def rooted(self) -> NDArray[np.float32]:
        """[P, 128]: descriptors of length 1 whose inner products compare histograms by the Hellinger kernel (RootSIFT:
        Arandjelovic and Zisserman, Three things everyone should know to improve object retrieval, 2012).
        """
        values = self.descriptors.astype(np.float32)
        values /= np.maximum(values.sum(axis=1, keepdims=True), 1)
        return np.sqrt(values, out=values)

    def mirrored(self, width: int) -> "Keypoints":
        """The keypoints of the frame mirrored from left to right; it is `width` pixels wide.

        A descriptor is relative to the keypoint's orientation, which is mirrored as well. So mirroring only exchanges
        the two sides of this orientation: the rows of cells come in reverse order, and direction d of a cell becomes -d.
        """
        points = self.points.copy()
        points[:, 0] = width - 1 + 2 * _OFFSET - points[:, 0]
        cells = self.descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., -np.arange(8) % 8]
        return Keypoints(points, np.ascontiguousarray(cells.reshape(-1, 128)))


@dataclass(frozen=True, eq=False)
class Signature:
    """What a video, or a segment of a file, shows: small frames, keypoints, length and size."""

    encoded: tuple[NDArray[np.uint8], ...]
    """Five small frames as JPEG files."""
    keypoints: tuple[Keypoints, Keypoints, Keypoints]
    """The keypoints of the first, the middle and the last of these frames."""
    count: int
    """Number of frames in the video or segment."""
    seconds: float
    """Length in seconds, where the last frame is assumed to last as long as the average one; 0 for a single frame."""
    size: Size
    """Height and width of the video in pixels."""
    creation: CreationMetadata = CreationMetadata()  # noqa: RUF009 - frozen
    """Creation time and encoder of the file; empty by default."""

    @cached_property
    def frames(self) -> NDArray[np.uint8]:
        """[5, H, W, 3]: the small frames in RGB."""
        return np.stack([_decoded_jpeg(one) for one in self.encoded])

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """[5, H, W]: the frames' brightness."""
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames])

    @cached_property
    def smooth(self) -> NDArray[np.uint8]:
        """[5, H, W]: the brightness without its finest detail, so that frames still agree when one is shifted by a pixel."""
        return np.stack([cv2.GaussianBlur(frame, (0, 0), _BLUR) for frame in self.grey])

    # -- as arrays, for files

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """The signature as arrays that `from_arrays` reads."""
        return {
            "jpeg": np.concatenate(self.encoded),
            "ends": np.cumsum([len(one) for one in self.encoded]),
            "points": np.concatenate([keypoints.points for keypoints in self.keypoints]),
            "descriptors": np.concatenate([keypoints.descriptors for keypoints in self.keypoints]),
            "counts": np.array([len(keypoints.points) for keypoints in self.keypoints]),
            "video": np.array([self.count, self.seconds, *self.size, self.creation.created], np.float64),
            "encoder": np.array(self.creation.encoder),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The signature from arrays that `as_arrays` returned.

        Raises:
            KeyError, ValueError: the arrays are no signature.
        """
        ends = np.cumsum(arrays["counts"])[:-1]
        points, descriptors = np.split(arrays["points"], ends), np.split(arrays["descriptors"], ends)
        first, middle, last = (Keypoints(*each) for each in zip(points, descriptors, strict=True))
        count, seconds, height, width, created = arrays["video"].tolist()
        encoded = tuple(np.split(arrays["jpeg"], arrays["ends"][:-1]))
        creation = CreationMetadata(created, str(arrays["encoder"]))
        keypoints = (first, middle, last)
        return cls(encoded, keypoints, int(count), seconds, (int(height), int(width)), creation)


def signature_of(source: FrameSource, first: int, count: int, creation: CreationMetadata | None = None) -> Signature:
    """The signature of a range of frames of a source.

    Args:
        source: Where frames are read from.
        first: Index of the first frame.
        count: Number of frames, 1 or more; with fewer than five, frames are repeated.
        creation: The creation metadata of the source's file; None: not known.

    Raises:
        DecodeError: one of the five frames cannot be decoded.
    """
    indices = first + np.linspace(0, count - 1, NUM_FRAMES).round().astype(np.int64)
    read = source.read(indices, size=_small(source.height, source.width))
    encoded = tuple(_encoded(frame) for frame in read)
    # Keypoints are computed from the decoded JPEG, since later comparisons use those pixels, not the original ones.
    first_keys, middle_keys, last_keys = (
        _keypoints_of(cv2.cvtColor(_decoded_jpeg(encoded[index]), cv2.COLOR_RGB2GRAY)) for index in KEYPOINT_FRAMES
    )
    seconds = float(source.timestamps[indices[-1]] - source.timestamps[indices[0]]) * count / max(count - 1, 1)
    size, keypoints = (source.height, source.width), (first_keys, middle_keys, last_keys)
    return Signature(encoded, keypoints, count, seconds, size, creation or CreationMetadata())


def _keypoints_of(grey_HW: NDArray[Any]) -> Keypoints:
    """The strongest keypoints of a frame, given by its brightness."""
    sift = cv2.SIFT.create(nfeatures=_KEYPOINTS, contrastThreshold=_CONTRAST, edgeThreshold=_EDGE)
    found, descriptors = sift.detectAndCompute(grey_HW, None)
    if descriptors is None:
        return Keypoints(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
    points = np.array([keypoint.pt for keypoint in found], np.float32)
    return Keypoints(points, np.clip(descriptors, 0, 255).astype(np.uint8))


def _small(height: int, width: int) -> Size:
    """The size of the signature's frames for a video of this size: the shorter side has `_SHORT` pixels."""
    scale = _SHORT / min(height, width)
    return min(round(height * scale), _LONGEST * _SHORT), min(round(width * scale), _LONGEST * _SHORT)


def _encoded(frame_HWC: NDArray[Any]) -> NDArray[np.uint8]:
    """An RGB frame as the bytes of a JPEG file."""
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert done
    return encoded.ravel()


def _decoded_jpeg(encoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The RGB frame [H, W, 3] of the bytes of a JPEG file.

    Raises:
        ValueError: the bytes are no JPEG file.
    """
    frame = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if frame is None:
        raise ValueError("no JPEG file")
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
