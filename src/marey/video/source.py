"""`FrameSource`: the base class of everything from which frames are read by index.

Its subclasses read video files, folders of images, and stored or computed flow.
"""

import abc
import operator
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.notebook import keep_end
from marey.base.reporter import warning_of_file

Frames = NDArray[np.uint8 | np.float32]
"""Frames [T, H, W, C]; C is 3 (RGB) or 2 (flow x, y). uint8 as decoded, or float32 after a resize in float. Both are
in grey levels: on the scale 0..255 in each channel."""

Conversion = Literal["rgb", "planes"]
"""How decoded frames become RGB: see `marey.video.reading.conversion`."""

Size = tuple[int, int]
"""(height, width) in pixels."""


class Box(NamedTuple):
    """A rectangle in pixels: rows top ... top + height - 1, columns left ... left + width - 1."""

    top: int
    """The first row, in pixels from the upper edge."""
    left: int
    """The first column, in pixels from the left edge."""
    height: int
    """Number of rows, at least 1."""
    width: int
    """Number of columns, at least 1."""


class FrameSource(abc.ABC):
    """N frames that can be read by index, in any order and repeatedly. Closed by `close()` or at the end of a `with` block.

    A subclass opens its file or folder, passes the facts below to `__init__`, and implements `_read`.

    Args:
        name: Name for error messages: path or address.
        timestamps: Time at which each frame is shown, float64 seconds [N].
        fps: Mean frame rate, in frames per second.
        seconds: Duration from the start of the first frame to the end of the last.
        size: (height, width) in pixels, as displayed.
        left_out: Description of frames that the file or folder holds and that cannot be read, "" for none. Each process
            warns about it once.
    """

    _unit: ClassVar[str] = "frame"
    """Name of one element, for `repr`."""

    def __init__(
        self,
        name: str,
        *,
        timestamps: NDArray[np.float64],
        fps: float,
        seconds: float,
        size: Size,
        left_out: str = "",
    ) -> None:
        self.name, self.left_out = name, left_out
        if left_out:
            warning_of_file(f"{name}: {left_out}")
        self._timestamps, self._fps, self._seconds = timestamps, fps, seconds
        self._height, self._width = size

    @final
    def __repr__(self) -> str:
        what = f"{len(self):,} {self._unit}{'s' * (len(self) != 1)} of {self.width}x{self.height}"
        rate = f"{self.fps:.2f}".rstrip("0").rstrip(".")
        return f"{type(self).__name__}({keep_end(self.name, 40)!r}: {what}, {rate} fps, {self.duration_seconds:.1f} s)"

    @final
    def __len__(self) -> int:
        return len(self._timestamps)

    @final
    @property
    def timestamps(self) -> NDArray[np.float64]:
        """Time at which each frame is shown, in seconds [N]; for a flow field, that of its first frame."""
        return self._timestamps

    @final
    @property
    def fps(self) -> float:
        """Mean frame rate, in frames per second. For a variable frame rate see `timestamps`."""
        return self._fps

    @final
    @property
    def duration_seconds(self) -> float:
        """Duration in seconds, from the start of the first frame to the end of the last, which is assumed to be of
        average length.
        """
        return self._seconds

    @final
    @property
    def width(self) -> int:
        """Width in pixels, as displayed: after rotation and mirroring."""
        return self._width

    @final
    @property
    def height(self) -> int:
        """Height in pixels, as displayed: after rotation and mirroring."""
        return self._height

    @final
    def read(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        *,
        size: Size | None = None,
        crop: Box | None = None,
    ) -> Frames:
        """The frames with these indices, uint8 [T, H, W, C]; C is 3 (RGB), or 2 for flow (x, y).

        Args:
            indices: Frame indices, 0 ... N - 1, in any order, possibly repeated.
            size: (height, width) to resize to, after the crop; None: no resize.
            crop: Region (top, left, height, width) in pixels of the displayed frame; None: the entire frame.

        Raises:
            DataError: an index outside 0 ... N - 1, a crop outside the frame, or a size below 1x1.
            DecodeError: a frame cannot be decoded, is missing (frames are never replaced), or differs in size from the
                first; or the source is closed.
        """
        numbers = frame_numbers(indices, len(self), self.name)
        if crop is not None:
            crop = Box(*crop)
            check_inside(crop, self.height, self.width)
        check_size(size, self.name)
        return self._read(numbers, size=size, crop=crop)

    @abc.abstractmethod
    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        """Implementation of `read`; all arguments are valid."""

    @final
    def _size_of(self, size: Size | None, crop: Box | None) -> Size:
        """(height, width) of frames that are read with these arguments."""
        return size or ((crop.height, crop.width) if crop is not None else (self.height, self.width))

    def close(self) -> None:  # noqa: B027 - not abstract: many sources have nothing to close
        """Close open files and decoders; subclasses that have any override it."""

    @final
    def __enter__(self) -> Self:
        return self

    @final
    def __exit__(self, *error: object) -> None:
        self.close()


def check_inside(box: Box, height: int, width: int) -> None:
    """Refuse a box that is not inside a frame of height x width.

    Raises:
        DataError: it is not.
    """
    if (
        min(box.top, box.left) < 0
        or min(box.height, box.width) < 1
        or box.top + box.height > height
        or box.left + box.width > width
    ):
        raise DataError(
            f"a crop of {box.height}x{box.width} at row {box.top}, column {box.left} is not inside a frame of "
            f"{height}x{width} (height x width): choose a smaller crop, or resize to a larger short side first."
        )


def check_size(size: Size | None, name: str) -> None:
    """Refuse a size below 1x1. `name` is that of the source, for the message.

    Raises:
        DataError: it is below 1x1.
    """
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise DataError(f"{name}: size is (height, width) in pixels, at least 1 each, got {tuple(size)}.")


def frame_numbers(indices: Iterable[int] | NDArray[np.integer], count: int, name: str) -> NDArray[np.int64]:
    """Frame indices as an array; `name` is that of the source, for the message.

    Raises:
        DataError: an index is outside 0 ... count - 1.
    """
    wanted = [operator.index(i) for i in indices]
    if wanted and not (min(wanted) >= 0 and max(wanted) < count):
        worst = max(wanted) if max(wanted) >= count else min(wanted)
        raise DataError(f"{name}: there is no frame {worst}; frames are numbered 0 to {count - 1}.")
    return np.array(wanted, dtype=np.int64)
