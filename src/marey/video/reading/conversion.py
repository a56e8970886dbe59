"""Converts decoded pictures to RGB, cropped and resized: exactly as the older toolkits ("rgb"), or faster ("planes").

- "rgb": swscale converts the entire picture, then the uint8 RGB is cropped and resized bilinearly by OpenCV. The older
  toolkits do this, so their published results need it.
- "planes": Y, U and V are cropped and resized one by one, and only the small picture is converted, with the matrix and
  range of the picture's colour tags. It applies to 8-bit planar YUV whose size changes. All other pictures are converted
  as "rgb", which is then as fast.

The picture's colour tags decide on the matrix (BT.709, BT.601, BT.2020) and the range (full or limited). Untagged pictures
count as BT.601 in limited range, as for swscale and the older toolkits.
"""

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from marey.video.reading.orientation import AS_STORED, orientation_of
from marey.video.source import Box, Conversion, Size

_PLANAR_8_BIT = {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
_FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""
_LUMA = {1: (0.2126, 0.0722), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
"""Shares of red and blue in luma by AVColorSpace: BT.709, SMPTE 240M, BT.2020. All others use BT.601."""
_BT601 = (0.299, 0.114)


class Converter:
    """Converts the pictures of one video to RGB. Reuses swscale's context and the colour matrix."""

    def __init__(self, conversion: Conversion) -> None:
        self._planes = conversion == "planes"
        self._reformatter = VideoReformatter()
        self._matrices: dict[tuple[int, bool], NDArray[np.float32]] = {}

    def convert(self, picture: VideoFrame, crop: Box | None, size: Size | None) -> NDArray[np.uint8]:
        """The picture as RGB uint8 [H, W, 3]: rotated and mirrored as displayed, then cropped, then resized."""
        orientation = orientation_of(picture)
        box = crop or Box(0, 0, picture.height, picture.width)
        target = size or (box.height, box.width)
        resized = tuple(target) != (box.height, box.width)
        if self._planes and resized and orientation == AS_STORED and picture.format.name in _PLANAR_8_BIT:
            return self._from_planes(picture, box, target)
        rgb = orientation.upright(self._full_rgb(picture))
        if crop is not None:
            rgb = rgb[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        return _resized(rgb, size or rgb.shape[:2])

    def _full_rgb(self, picture: VideoFrame) -> NDArray[np.uint8]:
        """The entire picture converted by swscale, as a view of its memory."""
        return plane_array(self._reformatter.reformat(picture, format="rgb24"), 0, 3)

    def _from_planes(self, picture: VideoFrame, box: Box, size: Size) -> NDArray[np.uint8]:
        planes = [_region(plane_array(picture, number), picture, box) for number in range(3)]
        full = picture.color_range == _FULL_RANGE or picture.format.name.startswith("yuvj")
        merged = cv2.merge([_resized(plane, size) for plane in planes])
        rgb = cv2.transform(merged, self._matrix(int(picture.colorspace), full))
        return np.asarray(rgb, dtype=np.uint8)

    def _matrix(self, colorspace: int, full: bool) -> NDArray[np.float32]:
        key = (colorspace, full)
        if key not in self._matrices:
            self._matrices[key] = rgb_matrix(*_LUMA.get(colorspace, _BT601), full=full)
        return self._matrices[key]


def _region(plane: NDArray[np.uint8], picture: VideoFrame, box: Box) -> NDArray[np.uint8]:
    """The region of a plane that `box` covers. Chroma planes may have fewer rows and columns than the picture."""
    down, right = picture.height / plane.shape[0], picture.width / plane.shape[1]
    top, left = int(box.top / down), int(box.left / right)
    bottom = max(round((box.top + box.height) / down), top + 1)
    side = max(round((box.left + box.width) / right), left + 1)
    return plane[top:bottom, left:side]


def rgb_matrix(red: float, blue: float, *, full: bool) -> NDArray[np.float32]:
    """The 3x4 matrix from 8-bit (Y, Cb, Cr, 1) to 8-bit RGB, given the shares of red and blue in luma (BT.601, BT.709).

    Limited range: Y 16..235, Cb and Cr 16..240 around 128; full range: 0..255.
    """
    green = 1 - red - blue
    luma, chroma, black = (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)
    by_cr = np.array([2 * (1 - red), -2 * (1 - red) * red / green, 0]) * chroma
    by_cb = np.array([0, -2 * (1 - blue) * blue / green, 2 * (1 - blue)]) * chroma
    constant = -luma * black - 128 * (by_cr + by_cb)
    return np.stack([np.full(3, luma), by_cb, by_cr, constant], axis=1).astype(np.float32)


def plane_array(picture: VideoFrame, number: int, channels: int = 1) -> NDArray[np.uint8]:
    """One plane of a picture as [H, W] or [H, W, channels]: a view of its memory, without the padding of lines."""
    plane = picture.planes[number]
    memory = np.asarray(memoryview(plane), dtype=np.uint8)
    rows = memory.reshape(-1, plane.line_size)[: plane.height, : plane.width * channels]
    return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)


def _resized(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    if image.shape[:2] == tuple(size):
        return image
    resized = cv2.resize(np.ascontiguousarray(image), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)
