"""Videos whose pictures are odd beside those of the other videos of a list: black, one colour, frozen, of another shape or
length. Their signatures show it, and no video is read again.

What a list is made of is not odd: each rule is silent where many videos of the list have what it looks for (`_MANY`), and
all are where the list has fewer than `_FEWEST` videos, of which nothing is usual.

- **Black**: in each of the five frames 99 of 100 pixels are below 24 of 255. Black is 16 where video levels are read as they
  are; the lamps of a night stay visible.
- **One colour**: in each frame 98 of 100 pixels lie within 12 levels, in red, green and blue. The noise of a wall that fills
  the picture spreads wider; what a decoder shows of damaged data does not.
- **Frozen**: longer than a second, and from frame to frame 99.5 of 100 pixels of the smoothed brightness change by less than
  4 levels. That is what coding a still picture again changes; a mouth that speaks changes more.
- **Shape**: at most 2 of 100 videos, or one of fewer, have a ratio of width and height within 4 % of it, while 80 of 100
  have one and the same. Rounding to even sizes moves a ratio by up to 2 % at 112 pixels.
- **Length**: more than 5 deviations from the median of logarithms, and 3 times as long or a third at least. Deviations are
  1.4826 times the median deviation: a list of all lengths has large ones, of which nothing is odd.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marey.base.words import counted
from marey.data.recordings.signature import Signature
from marey.data.recordings.signatures import Signatures

_FEWEST = 10
_MANY = 0.1
"""Share of a list, 0 to 1: what more of its videos have is no oddity of theirs."""
_BLACK, _BLACK_SHARE = 24, 0.99
_ONE_COLOUR, _INSIDE, _STEP = 12, (1, 99), 4
"""The last: pixels from one that is looked at to the next, across and down."""
_STILL, _STILL_SHARE, _STILL_SECONDS = 4, 0.995, 1.0
_SHAPE, _SHAPE_RARE, _SHAPE_USUAL = 0.04, 0.02, 0.8
_LENGTH, _LENGTH_TIMES = 5.0, 3.0


@dataclass(frozen=True)
class Odd:
    """A video of a list that is odd beside the others."""

    row: int
    reason: str
    """In words, without a full stop."""


@dataclass(frozen=True)
class Look:
    """What the rules ask of a video."""

    black: bool
    one_colour: bool
    frozen: bool
    seconds: float
    height: int
    width: int

    @classmethod
    def of(cls, signature: Signature) -> "Look":
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


def find_odd(signatures: Signatures) -> list[Odd]:
    """The videos that are odd beside the others, in the order of their rows; of equal content each of them, of several
    reasons each.
    """
    looks = {row: Look.of(signatures[row]) for row in signatures.rows}
    by_key = {signatures.keys[row]: odd for row, odd in odd_looks(looks).items()}
    return [Odd(row, "; ".join(by_key[key])) for row, key in enumerate(signatures.keys) if key in by_key]


def odd_looks(looks: dict[int, Look]) -> dict[int, list[str]]:
    """Why which of some videos, by any numbers, are odd beside the others of them."""
    if len(looks) < _FEWEST:
        return {}
    found: dict[int, list[str]] = {}
    rows, all_looks = list(looks), list(looks.values())
    for rule in (_black, _one_colour, _frozen, _shape, _length):
        reasons = rule(all_looks)
        if 0 < len(reasons) <= max(1, _MANY * len(looks)):
            for place, reason in reasons.items():
                found.setdefault(rows[place], []).append(reason)
    return dict(sorted(found.items()))


def _is_one_colour(frame_HWC: NDArray[np.uint8]) -> bool:
    low, high = np.percentile(frame_HWC[::_STEP, ::_STEP], _INSIDE, axis=(0, 1))
    return bool((high - low < _ONE_COLOUR).all())


def _is_frozen(smooth_THW: NDArray[np.uint8]) -> bool:
    changes = np.abs(np.diff(smooth_THW.astype(np.int16), axis=0))
    return all((change < _STILL).mean() > _STILL_SHARE for change in changes)


def _black(looks: Sequence[Look]) -> dict[int, str]:
    return _where(looks, lambda look: look.black, "black from beginning to end")


def _one_colour(looks: Sequence[Look]) -> dict[int, str]:
    return _where(looks, lambda look: look.one_colour, "a single colour from beginning to end")


def _frozen(looks: Sequence[Look]) -> dict[int, str]:
    still = _where(looks, lambda look: look.frozen, "frozen")
    # What is black or of one colour never changes: it has its reason already.
    return {
        place: f"nothing moves in it, for {looks[place].seconds:.1f} s"
        for place in still
        if not (looks[place].black or looks[place].one_colour)
    }


def _where(looks: Sequence[Look], holds: Callable[[Look], bool], reason: str) -> dict[int, str]:
    return {place: reason for place, look in enumerate(looks) if holds(look)}


def _shape(looks: Sequence[Look]) -> dict[int, str]:
    """Those of a shape that hardly any other has."""
    ratios = np.log([look.width / look.height for look in looks])
    within, ordered = np.log1p(_SHAPE), np.sort(ratios)
    alike = np.searchsorted(ordered, ratios + within) - np.searchsorted(ordered, ratios - within, side="right")
    usual = int(alike.argmax())
    if alike[usual] < _SHAPE_USUAL * len(looks):
        return {}
    rare = alike <= max(1, _SHAPE_RARE * len(looks))
    most = f"{looks[usual].width}x{looks[usual].height}"
    return {
        place: f"{looks[place].width}x{looks[place].height} pixels, while "
        f"{alike[usual]} of {counted(len(looks), 'clip')} have the shape of {most}"
        for place in np.flatnonzero(rare).tolist()
    }


def _length(looks: Sequence[Look]) -> dict[int, str]:
    """Those much longer or shorter than the others."""
    seconds = np.maximum([look.seconds for look in looks], 1e-3)
    apart = np.log(seconds) - np.median(np.log(seconds))
    deviation = 1.4826 * float(np.median(np.abs(apart)))
    far = np.abs(apart) > max(_LENGTH * deviation, float(np.log(_LENGTH_TIMES)))
    usual = float(np.median(seconds))
    return {
        place: f"{seconds[place]:.1f} s long, while half of the clips are "
        f"{'longer' if apart[place] < 0 else 'shorter'} than {usual:.1f} s"
        for place in np.flatnonzero(far).tolist()
    }
