"""Generated recordings: textured scenes in which textured things move, and copies of them."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from marey.data.recordings.signature import Signature, signature_of
from marey.video.source import Box, Frames, FrameSource, Size

HEIGHT, WIDTH, COUNT = 144, 192, 24
Images = NDArray[np.uint8]
"""[T, H, W, 3]: RGB."""


def texture(seed: int, height: int, width: int) -> Images:
    """[H, W, 3]: random spots, large and small."""
    rng = np.random.default_rng(seed)
    layers = []
    for spot, strength in ((40, 60.0), (16, 40.0), (7, 30.0)):
        coarse = rng.normal(0, strength, (height // spot + 2, width // spot + 2, 3)).astype(np.float32)
        layers.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.clip(128 + sum(layers), 0, 255).astype(np.uint8)


def recording(scene: int, moving: int, count: int = COUNT, *, size: Size = (HEIGHT, WIDTH), step: int = 0) -> Images:
    """Three discs that move in front of a scene. The camera is fixed, or turns to the right by `step` pixels a frame.

    Args:
        scene: Seed of the background.
        moving: Seed of the discs and their paths.
        count: Number of frames.
        size: (height, width) in pixels.
        step: Pixels that the camera turns from frame to frame.
    """
    height, width = size
    rng = np.random.default_rng(1000 + moving)
    wide = texture(scene, height, width + step * count)
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


def panned(scene: int, count: int = COUNT, *, step: int = 3) -> Images:
    """A camera that turns to the right by `step` pixels a frame, in a scene where nothing moves."""
    wide = texture(scene, HEIGHT, WIDTH + step * count)
    return np.stack([wide[:, step * number : step * number + WIDTH] for number in range(count)])


def scaled(frames: Images, height: int, width: int) -> Images:
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def mirrored(frames: Images) -> Images:
    return np.ascontiguousarray(frames[:, :, ::-1])


def marked(frames: Images) -> Images:
    """The frames with a logo in a corner."""
    marked = frames.copy()
    cv2.putText(logo := np.zeros((18, 34, 3), np.uint8), "TV", (4, 14), 0, 0.5, (255, 255, 255), 2)
    marked[:, 6:24, -40:-6] = logo
    return marked


class Held(FrameSource):
    """Frames in memory."""

    def __init__(self, frames: Images | Sequence[Images], fps: float = 25) -> None:
        self._frames = np.asarray(frames)
        super().__init__(
            "held",
            timestamps=np.arange(len(self._frames)) / fps,
            fps=fps,
            seconds=len(self._frames) / fps,
            size=self._frames.shape[1:3],
        )
        self.asked: list[int] = []
        """The indices of all frames that were read."""

    def _read(self, indices: NDArray[np.int64], *, size: Size | None, crop: Box | None) -> Frames:
        assert crop is None
        self.asked += indices.tolist()
        return self._frames[indices] if size is None else scaled(self._frames[indices], *size)


def signature(frames: Images | Sequence[Images]) -> Signature:
    """The signature of all frames."""
    return signature_of(Held(frames), 0, len(frames))


def same(one: Signature, other: Signature) -> bool:
    """Whether two signatures are equal in every array."""
    ours, theirs = one.as_arrays(), other.as_arrays()
    assert ours.keys() == theirs.keys()
    return all(
        ours[name].dtype == theirs[name].dtype and ours[name].tobytes() == theirs[name].tobytes() for name in ours
    )
