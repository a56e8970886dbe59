"""Pairs of images with known motion, and the error of a flow field."""

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 128
_MARGIN = 48
_CENTRE = ((SIZE - 1) / 2, (SIZE - 1) / 2)

MOTIONS = {
    "translation by 2.8": np.array([[1, 0, 2.3], [0, 1, -1.6]]),
    "rotation by 4 degrees": cv2.getRotationMatrix2D(_CENTRE, 4, 1),
    "zoom by 1.06": cv2.getRotationMatrix2D(_CENTRE, 0, 1.06),
    "translation by 11.2": np.array([[1, 0, 9.5], [0, 1, 6.0]]),
}
"""Affine maps from a pixel (x, y) of the first image to its position in the second."""


def texture(size: int, seed: int = 0) -> NDArray[np.float32]:
    """Noise of three scales, float32 [size, size] around 128."""
    random = np.random.RandomState(seed)
    picture = np.zeros((size, size), np.float32)
    for smooth, weight in ((1.5, 1.0), (4.0, 1.5), (12.0, 2.0)):
        grain = cv2.GaussianBlur(random.standard_normal((size, size)).astype(np.float32), (0, 0), smooth)
        picture += weight * grain / grain.std()
    return np.asarray(np.clip(128 + picture / picture.std() * 45, 0, 255), np.float32)


def moved_pair(matrix: NDArray[np.float64], seed: int = 0):
    """(first, second, flow): grey uint8 [SIZE, SIZE] twice and float64 [SIZE, SIZE, 2]."""
    ground, whole = texture(SIZE + 2 * _MARGIN, seed), np.vstack([matrix, [0, 0, 1]])
    shift = np.array([[1, 0, -_MARGIN], [0, 1, -_MARGIN], [0, 0, 1.0]])
    pictures = [cv2.warpAffine(ground, way[:2], (SIZE, SIZE), flags=cv2.INTER_CUBIC) for way in (shift, whole @ shift)]
    y, x = np.mgrid[:SIZE, :SIZE].astype(float)
    places = np.stack([x, y, np.ones_like(x)], -1) @ whole.T
    first, second = (np.rint(picture).clip(0, 255).astype(np.uint8) for picture in pictures)
    return first, second, places[..., :2] - np.stack([x, y], -1)


def end_point_error(flow: NDArray[np.float32], truth: NDArray[np.floating]) -> float:
    """The mean distance of the vectors' ends, in pixels, over the entire image."""
    return float(np.hypot(*np.moveaxis(flow - truth, -1, 0)).mean())
