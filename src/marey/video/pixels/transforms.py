"""Operations on frames: resize, crops, flip, and conversion to a clip tensor. Pure functions; cv2 and torch load on use.

Shape suffixes: B batch, T frames, H height, W width, C channels.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from marey.base.errors import DataError
from marey.base.words import counted
from marey.video.source import Box, Frames, Size, check_inside

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Crops = Literal["centre", "three", "ten"]
"""The crops of a test protocol: see `test_boxes`."""


class View(NamedTuple):
    """One crop of a test protocol."""

    box: Box
    """Region of the resized frame, in its pixels."""
    flip: bool
    """Whether the crop is mirrored left to right."""


def short_side_size(height: int, width: int, short: int) -> Size:
    """(height, width) with a shorter side of `short` pixels and the same aspect ratio: floor(side * scale + 0.5).

    MMAction and MMAction2 use this rounding.
    """
    scale = short / min(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def floor_size(height: int, width: int, short: int) -> Size:
    """(height, width) with a shorter side of `short` pixels and the longer one rounded down (PySlowFast)."""
    if height < width:
        return short, math.floor(width / height * short)
    return math.floor(height / width * short), short


def resize(frames_THWC: Frames, size: Size) -> Frames:
    """Resize uint8 frames bilinearly without antialias (OpenCV's INTER_LINEAR), as MMAction and MMAction2 do."""
    import cv2

    frames, height, width, channels = frames_THWC.shape
    if (height, width) == tuple(size):
        return frames_THWC
    resized = np.empty((frames, *size, channels), np.uint8)
    for source, target in zip(frames_THWC, resized, strict=True):
        cv2.resize(source, (size[1], size[0]), dst=target, interpolation=cv2.INTER_LINEAR)
    return resized


def resize_float(frames_THWC: Frames, size: Size) -> Frames:
    """Resize bilinearly in float32 without antialias, by torch's `interpolate` (PySlowFast, PyTorchVideo).

    OpenCV's float path differs by up to 0.007 grey levels, because it rounds its weights.
    """
    import torch

    image = torch.from_numpy(frames_THWC.astype(np.float32)).permute(0, 3, 1, 2)
    if image.shape[2:] == tuple(size):
        return np.asarray(image.permute(0, 2, 3, 1))
    resized = torch.nn.functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1))


def crop(frames_THWC: Frames, box: Box) -> Frames:
    """The region `box` of the frames, a view of the same memory.

    Raises:
        DataError: the box is not inside the frame.
    """
    height, width = frames_THWC.shape[1:3]
    check_inside(box, height, width)
    return frames_THWC[:, box.top : box.top + box.height, box.left : box.left + box.width]


def mirror(frames_THWC: Frames) -> Frames:
    """The frames mirrored left to right, a view of the same memory."""
    return frames_THWC[:, :, ::-1]


def flip(frames_THWC: Frames) -> Frames:
    """The scene mirrored left to right. For flow (two channels, 128 is no motion), x is also inverted: 255 - x."""
    mirrored = mirror(frames_THWC)
    if frames_THWC.shape[-1] != 2:
        return mirrored
    inverted = mirrored.copy()
    inverted[..., 0] = 255 - inverted[..., 0]
    return inverted


def no_ten_crops(rule: str) -> DataError:
    """The error of a rule that has no ten crops."""
    return DataError(f"{rule} has no ten crops (nor have its toolkits): use one or three.")


def test_boxes(height: int, width: int, size: int, crops: Crops) -> list[View]:
    """The square crops of a test protocol on frames of height x width, in MMAction's and MMAction2's order.

    - centre: one crop, with offsets (side - size) // 2.
    - three: along the longer side first, last, middle, with a step of (long - size) // 2 and last = 2 steps. If
      long - size is odd, one pixel is in no crop.
    - ten: upper left, upper right, lower left, lower right and centre, by steps of (side - size) // 4; each plain and then
      mirrored.

    Raises:
        DataError: the crop does not fit the frame.
    """
    check_inside(Box(0, 0, size, size), height, width)
    if crops == "centre":
        return [View(Box((height - size) // 2, (width - size) // 2, size, size), flip=False)]
    if crops == "three":
        down, right = (height - size) // 2, (width - size) // 2
        # Steps along the longer side only; along the other one the crop is centred, at 0 if `size` is the short side.
        steps = ((0, 2, 1), (1, 1, 1)) if width >= height else ((1, 1, 1), (0, 2, 1))
        return [View(Box(v * down, h * right, size, size), flip=False) for h, v in zip(*steps, strict=True)]
    down, right = (height - size) // 4, (width - size) // 4
    corners = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
    boxes = [Box(v * down, h * right, size, size) for v, h in corners]
    return [View(box, flip=mirrored) for box in boxes for mirrored in (False, True)]


def to_clip(
    batch_BTHWC: "Tensor",
    mean: Sequence[float],
    std: Sequence[float],
    dtype: "torch.dtype | None" = None,
    *,
    order: Literal["rgb", "bgr"] = "rgb",
) -> "Tensor":
    """Convert frames [B, T, H, W, C] to normalised clips [B, C, T, H, W] on the same device.

    The result is (x - mean) / std in float32, converted to `dtype`. Its memory layout is channels-last, as that of the
    frames, which avoids a copy and is fast for convolutions.

    Args:
        batch_BTHWC: Frames, uint8, or float32 in grey levels if a pixel rule resized in float.
        mean: Mean of each channel, in grey levels 0..255.
        std: Standard deviation of each channel, in grey levels.
        dtype: Type of the result; None: float32.
        order: "bgr" reverses the channels first.
    """
    import torch

    if batch_BTHWC.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"to_clip takes frames in uint8, or in float32 grey levels, got {batch_BTHWC.dtype}.")
    if batch_BTHWC.shape[-1] != len(mean) or len(mean) != len(std):
        raise DataError(
            f"to_clip: {counted(batch_BTHWC.shape[-1], 'channel')} need as many means and deviations, "
            f"got {len(mean)} and {len(std)}."
        )
    if order == "bgr":
        batch_BTHWC = batch_BTHWC.flip(-1)
    shift = torch.tensor(mean, dtype=torch.float32, device=batch_BTHWC.device)
    scale = torch.tensor(std, dtype=torch.float32, device=batch_BTHWC.device)
    clip = (batch_BTHWC.float() - shift).div_(scale)
    return clip.to(dtype or torch.float32).permute(0, 4, 1, 2, 3)
