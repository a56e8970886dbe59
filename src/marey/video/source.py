"""What video files, folders of frames and stored or computed flow have in common: frames by their numbers."""

import abc
import operator
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DataError
from marey.base.notebook import ending
from marey.base.reporter import warning_of_file

Frames = NDArray[np.uint8 | np.float32]
"""[T, H, W, C]; C is 3 (RGB) or 2 (flow x, y). uint8 as decoded; float32 grey levels after a resize in float."""

Conversion = Literal["rgb", "planes"]
"""How a reader makes RGB: see `marey.video.reading.conversion`."""

Size = tuple[int, int]
"""(height, width) in pixels."""


class Box(NamedTuple):
    """A rectangle of whole pixels: rows top ... top + height - 1, columns left ... left + width - 1."""

    top: int
    left: int
    height: int
    width: int


class FrameSource(abc.ABC):
    """N frames that can be read by index, in any order and as often as wanted. Closed by `close()` or a `with` block.

    A class of sources tells `__init__` what it found when it opened, and has `_read`; nothing else differs.

    Args:
        name: What errors call it.
        timestamps: When each frame is shown, float64 seconds [N].
        fps: Their mean rate.
        seconds: From the first frame's beginning to the last one's end.
        size: (height, width) in pixels, as displayed.
        left_out: What of the file or folder is not among the frames, in words; each process warns of it once.
    """

    _unit: ClassVar[str] = "frame"
    """What is counted, as `repr` names it."""

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
        return f"{type(self).__name__}({ending(self.name, 40)!r}: {what}, {rate} fps, {self.duration_seconds:.1f} s)"

    @final
    def __len__(self) -> int:
        return len(self._timestamps)

    @final
    @property
    def timestamps(self) -> NDArray[np.float64]:
        """When each frame is shown, in seconds [N]; of a flow field, when its first frame is."""
        return self._timestamps

    @final
    @property
    def fps(self) -> float:
        """Frames per second on average; with a variable frame rate only `timestamps` tell more."""
        return self._fps

    @final
    @property
    def duration_seconds(self) -> float:
        """From the first frame's beginning to the last one's end, taken as long as the average frame."""
        return self._seconds

    @final
    @property
    def width(self) -> int:
        """Pixels across, as displayed: after rotation and mirroring."""
        return self._width

    @final
    @property
    def height(self) -> int:
        """Pixels down, as displayed: after rotation and mirroring."""
        return self._height

    @final
    def read(
        self,
        indices: Sequence[int] | NDArray[np.integer],
        *,
        size: Size | None = None,
        crop: Box | None = None,
    ) -> Frames:
        """Frames uint8 [T, H, W, C] of the given numbers, which may repeat and come in any order.

        C is 3 (RGB) or, of flow, 2 (x, y). `crop` (top, left, height, width) cuts in displayed source pixels, then `size`
        (height, width) resizes.

        Raises:
            DataError: a number outside 0 ... N - 1, a crop that leaves the picture, or a size below 1x1.
            DecodeError: a frame cannot be decoded or is missing (nothing is put in its place), or has another size than
                the first; or a video is closed.
        """
        numbers = frame_numbers(indices, len(self), self.name)
        if crop is not None:
            crop = Box(*crop)
            check_inside(crop, self.height, self.width)
        check_size(size, self.name)
        return self._read(numbers, size=size, crop=crop)

    @abc.abstractmethod
    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        """As `read`; all arguments are right."""

    @final
    def _size_of(self, size: Size | None, crop: Box | None) -> Size:
        """(height, width) of the frames that are read so."""
        return size or ((crop.height, crop.width) if crop is not None else (self.height, self.width))

    def close(self) -> None:  # noqa: B027 - what holds nothing open has nothing to add
        """Free what is open: nothing, unless a class of sources says so."""

    @final
    def __enter__(self) -> Self:
        return self

    @final
    def __exit__(self, *error: object) -> None:
        self.close()


def check_inside(box: Box, height: int, width: int) -> None:
    """Refuse a box that leaves a frame of that size."""
    if (
        min(box.top, box.left) < 0
        or min(box.height, box.width) < 1
        or box.top + box.height > height
        or box.left + box.width > width
    ):
        raise DataError(
            f"a crop of {box.height}x{box.width} at row {box.top}, column {box.left} does not lie inside a frame of "
            f"{height}x{width} (height x width): choose a smaller crop, or resize to a larger short side first."
        )


def check_size(size: Size | None, name: str) -> None:
    """Refuse a size below 1x1; `name` is whose frames were asked for."""
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise DataError(f"{name}: size is (height, width) in pixels, at least 1 each, got {tuple(size)}.")


def frame_numbers(indices: Iterable[int] | NDArray[np.integer], count: int, name: str) -> NDArray[np.int64]:
    """Frame numbers as an array, each of 0 ... count - 1.

    Raises:
        DataError: there is no such frame.
    """
    wanted = [operator.index(i) for i in indices]
    if wanted and not (min(wanted) >= 0 and max(wanted) < count):
        worst = max(wanted) if max(wanted) >= count else min(wanted)
        raise DataError(f"{name}: there is no frame {worst}; frames are numbered 0 to {count - 1}.")
    return np.array(wanted, dtype=np.int64)
