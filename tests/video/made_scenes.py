"""Made recordings: textured places before which textured things move, and copies of them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signature import Signature, signature_of
from marey.video.source import Box, Frames, FrameSource, Size

HEIGHT, WIDTH, COUNT = 144, 192, 24
Pictures = NDArray[np.uint8]
"""[T, H, W, 3]: RGB."""


def texture(seed: int, height: int, width: int) -> Pictures:
    """[H, W, 3]: random spots, large and small."""
    rng = np.random.default_rng(seed)
    layers = []
    for spot, strength in ((40, 60.0), (16, 40.0), (7, 30.0)):
        coarse = rng.normal(0, strength, (height // spot + 2, width // spot + 2, 3)).astype(np.float32)
        layers.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def recording(place: int, moving: int, count: int = COUNT, *, size: Size = (HEIGHT, WIDTH), step: int = 0) -> Pictures:
    """The place of a seed, before which three discs move as another seed says; the camera is fixed, or turns to the right
    by `step` pixels a frame.
    """
    height, width = size
    rng = np.random.default_rng(1000 + moving)
    wide = texture(place, height, width + step * count)
    frames = np.stack([wide[:, step * number : step * number + width] for number in range(count)])
    radius = min(size) // 6
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = rows**2 + columns**2 <= radius**2
    for disc in range(3):
        spots = texture(5000 + 10 * moving + disc, 2 * radius + 1, 2 * radius + 1)
        ends = rng.uniform(radius + 1, [height - radius - 1, width - radius - 1], (2, 2))
        for frame, (top, left) in zip(frames, np.linspace(*ends, count).astype(int) - radius, strict=True):
            frame[top : top + 2 * radius + 1, left : left + 2 * radius + 1][inside] = spots[inside]
    return frames


def panned(place: int, count: int = COUNT, *, step: int = 3) -> Pictures:
    """A camera that turns to the right by `step` pixels a frame, before which nothing moves."""
    wide = texture(place, HEIGHT, WIDTH + step * count)
    return np.stack([wide[:, step * number : step * number + WIDTH] for number in range(count)])


def scaled(frames: Pictures, height: int, width: int) -> Pictures:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def mirrored(frames: Pictures) -> Pictures:
    return np.ascontiguousarray(frames[:, :, ::-1])


def marked(frames: Pictures) -> Pictures:
    """With a logo in a corner."""
    marked = frames.copy()
    cv2.putText(logo := np.zeros((18, 34, 3), np.uint8), "TV", (4, 14), 0, 0.5, (255, 255, 255), 2)
    marked[:, 6:24, -40:-6] = logo
    return marked


class Held(FrameSource):
    """Frames in memory."""

    def __init__(self, frames: Pictures | Sequence[Pictures], fps: float = 25) -> None:
        self._frames = np.asarray(frames)
        super().__init__(
            "held",
            timestamps=np.arange(len(self._frames)) / fps,
            fps=fps,
            seconds=len(self._frames) / fps,
            size=self._frames.shape[1:3],
        )
        self.asked: list[int] = []
        """The numbers of all frames that were read."""

    def _read(self, numbers: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        assert crop is None
        self.asked += numbers.tolist()
        return self._frames[numbers] if size is None else scaled(self._frames[numbers], *size)


def signature(frames: Pictures | Sequence[Pictures]) -> Signature:
    """Of all frames."""
    return signature_of(Held(frames), 0, len(frames))


def same(one: Signature, other: Signature) -> bool:
    """Whether all of two signatures is equal."""
    ours, theirs = one.as_arrays(), other.as_arrays()
    assert ours.keys() == theirs.keys()
    return all(
        ours[name].dtype == theirs[name].dtype and ours[name].tobytes() == theirs[name].tobytes() for name in ours
    )
