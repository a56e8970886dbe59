"""Odd videos: those that are black, of one colour, frozen, or of another shape or length than nearly all others of a list.
They are found by the signatures; no video is read again.

A property that many videos share is not odd: each rule reports nothing where more than a share `_MANY` (a tenth) of the
videos has what it looks for. All rules report nothing for lists of fewer than `_FEWEST` videos.

- **Black**: in each of the five frames 99 of 100 pixels are below 24 of 255. Black has level 16 where limited-range levels
  are read as full range; the lamps of a night scene are brighter than 24.
- **One colour**: in each frame 98 of 100 pixels lie within 12 levels, in red, green and blue. The noise of a wall that fills
  the frame spreads wider; the uniform frames that a decoder shows for damaged data do not.
- **Frozen**: longer than a second, and from frame to frame 99.5 of 100 pixels of the smoothed brightness change by less than
  4 levels. Re-encoding a still image changes as much; a mouth that speaks changes more.
- **Shape**: at most 2 of 100 videos, or the video alone, have a ratio of width to height within 4 % of its own, while 80 of
  100 are within 4 % of one ratio. Rounding to even sizes moves a ratio by up to 2 % at 112 pixels.
- **Length**: its logarithm is more than 5 deviations from the median of the logarithms, and the video at least 3 times
  as long as the median video, or at most a third as long. A deviation is 1.4826 times the median absolute deviation; in
  a list of very different lengths it is large, and no video is odd.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted
from marey.data.recordings.signature import Signature
from marey.data.recordings.signature_cache import Signatures

_FEWEST = 10
_MANY = 0.1
"""Share of the videos of a list, 0 to 1, above which a property is not odd."""
_BLACK, _BLACK_SHARE = 24, 0.99
_ONE_COLOUR, _INSIDE, _STEP = 12, (1, 99), 4
"""Largest range of levels; the percentiles between which it is measured; every fourth pixel, across and down, is used."""
_STILL, _STILL_SHARE, _STILL_SECONDS = 4, 0.995, 1.0
_SHAPE, _SHAPE_RARE, _SHAPE_USUAL = 0.04, 0.02, 0.8
_LENGTH, _LENGTH_TIMES = 5.0, 3.0


@dataclass(frozen=True)
class OddVideo:
    """A video that differs from nearly all others of its list."""

    row: int
    """The row of the video in its list, from 0."""
    reason: str
    """How it differs, in words, without a full stop."""


@dataclass(frozen=True)
class VideoTraits:
    """What the rules use of a video: whether it is black, of one colour or frozen, its length and its size in pixels."""

    black: bool
    """Whether nearly all pixels of its five small frames are black."""
    one_colour: bool
    """Whether each of its five small frames has nearly one colour; False for a black video."""
    frozen: bool
    """Whether it is longer than a second and nothing moves in it."""
    seconds: float
    """Length in seconds; 0 for a single frame."""
    height: int
    """Height of a frame in pixels."""
    width: int
    """Width of a frame in pixels."""

    @classmethod
    def of(cls, signature: Signature) -> "VideoTraits":
        """The traits of the video that has this signature."""
        frames = signature.frames
        black = all((frame < _BLACK).mean() > _BLACK_SHARE for frame in signature.grey)
        return cls(
            black=black,
            one_colour=not black and all(_is_one_colour(frame) for frame in frames),
            frozen=signature.seconds > _STILL_SECONDS and _is_frozen(signature.smooth),
            seconds=signature.seconds,
            height=signature.size[0],
            width=signature.size[1],
        )


def find_odd_videos(signatures: Signatures) -> list[OddVideo]:
    """The odd videos, in the order of their rows, each once with all reasons. Files equal to an odd video are odd, too."""
    traits = {row: VideoTraits.of(signatures[row]) for row in signatures.rows}
    by_key = {signatures.keys[row]: reasons for row, reasons in odd_among(traits).items()}
    return [OddVideo(row, "; ".join(by_key[key])) for row, key in enumerate(signatures.keys) if key in by_key]


def odd_among(traits: dict[int, VideoTraits]) -> dict[int, list[str]]:
    """The reasons why videos are odd, by the row of each odd video.

    Args:
        traits: The traits of all videos that are compared, by row.
    """
    if len(traits) < _FEWEST:
        return {}
    found: dict[int, list[str]] = {}
    rows, videos = list(traits), list(traits.values())
    for rule in (_black, _one_colour, _frozen, _shape, _length):
        reasons = rule(videos)
        if 0 < len(reasons) <= max(1, _MANY * len(videos)):
            for index, reason in reasons.items():
                found.setdefault(rows[index], []).append(reason)
    return dict(sorted(found.items()))


def _is_one_colour(frame_HWC: NDArray[np.uint8]) -> bool:
    low, high = np.percentile(frame_HWC[::_STEP, ::_STEP], _INSIDE, axis=(0, 1))
    return bool((high - low < _ONE_COLOUR).all())


def _is_frozen(smooth_THW: NDArray[np.uint8]) -> bool:
    changes = np.abs(np.diff(smooth_THW.astype(np.int16), axis=0))
    return all((change < _STILL).mean() > _STILL_SHARE for change in changes)


def _black(videos: Sequence[VideoTraits]) -> dict[int, str]:
    return _where(videos, lambda video: video.black, "black from beginning to end")


def _one_colour(videos: Sequence[VideoTraits]) -> dict[int, str]:
    return _where(videos, lambda video: video.one_colour, "a single colour from beginning to end")


def _frozen(videos: Sequence[VideoTraits]) -> dict[int, str]:
    frozen = _where(videos, lambda video: video.frozen, "frozen")
    # A black or one-coloured video never changes either; it already has its reason.
    return {
        index: f"nothing moves in it, for {videos[index].seconds:.1f} s"
        for index in frozen
        if not (videos[index].black or videos[index].one_colour)
    }


def _where(videos: Sequence[VideoTraits], holds: Callable[[VideoTraits], bool], reason: str) -> dict[int, str]:
    return {index: reason for index, video in enumerate(videos) if holds(video)}


def _shape(videos: Sequence[VideoTraits]) -> dict[int, str]:
    """The videos whose shape hardly any other video has."""
    ratios = np.log([video.width / video.height for video in videos])
    within, ordered = np.log1p(_SHAPE), np.sort(ratios)
    alike = np.searchsorted(ordered, ratios + within) - np.searchsorted(ordered, ratios - within, side="right")
    usual = int(alike.argmax())
    if alike[usual] < _SHAPE_USUAL * len(videos):
        return {}
    rare = alike <= max(1, _SHAPE_RARE * len(videos))
    most = f"{videos[usual].width}x{videos[usual].height}"
    return {
        index: f"{videos[index].width}x{videos[index].height} pixels, while "
        f"{alike[usual]} of {counted(len(videos), 'video')} have the shape of {most}"
        for index in np.flatnonzero(rare).tolist()
    }


def _length(videos: Sequence[VideoTraits]) -> dict[int, str]:
    """The videos that are much longer or shorter than the others."""
    seconds = np.maximum([video.seconds for video in videos], 1e-3)
    distance = np.log(seconds) - np.median(np.log(seconds))
    deviation = 1.4826 * float(np.median(np.abs(distance)))
    far = np.abs(distance) > max(_LENGTH * deviation, float(np.log(_LENGTH_TIMES)))
    usual = float(np.median(seconds))
    return {
        index: f"{seconds[index]:.1f} s long, while half of the videos are "
        f"{'longer' if distance[index] < 0 else 'shorter'} than {usual:.1f} s"
        for index in np.flatnonzero(far).tolist()
    }
