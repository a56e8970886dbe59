"""What happens to frames: resize, crops, flip, and the way to a clip tensor. Pure functions; cv2 and torch load on use.

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


class View(NamedTuple):
    """One crop of a test protocol: a box, mirrored or not."""

    box: Box
    flip: bool


def short_side_size(height: int, width: int, short: int) -> Size:
    """The size at which the shorter side has `short` pixels and the ratio is kept: floor(side * scale + 0.5).

    MMAction and MMAction2 round so.
    """
    scale = short / min(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def floor_size(height: int, width: int, short: int) -> Size:
    """The size at which the shorter side has `short` pixels, the longer one cut down to whole pixels (PySlowFast)."""
    if height < width:
        return short, math.floor(width / height * short)
    return math.floor(height / width * short), short


def resize(frames_THWC: Frames, size: Size) -> Frames:
    """Bilinear resize of uint8 frames without antialias (OpenCV's INTER_LINEAR), as MMAction and MMAction2 do."""
    import cv2

    frames, height, width, channels = frames_THWC.shape
    if (height, width) == tuple(size):
        return frames_THWC
    resized = np.empty((frames, *size, channels), np.uint8)
    for source, target in zip(frames_THWC, resized, strict=True):
        cv2.resize(source, (size[1], size[0]), dst=target, interpolation=cv2.INTER_LINEAR)
    return resized


def resize_float(frames_THWC: Frames, size: Size) -> Frames:
    """Bilinear resize in float32 without antialias, as torch's `interpolate` does (PySlowFast, PyTorchVideo).

    OpenCV's float path rounds its weights: up to 0.007 grey levels from this one.
    """
    import torch

    image = torch.from_numpy(frames_THWC.astype(np.float32)).permute(0, 3, 1, 2)
    if image.shape[2:] == tuple(size):
        return np.asarray(image.permute(0, 2, 3, 1))
    resized = torch.nn.functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1))


def crop(frames_THWC: Frames, box: Box) -> Frames:
    """The part of the frames inside `box`, a view of the same memory.

    Raises:
        DataError: the box leaves the frame.
    """
    height, width = frames_THWC.shape[1:3]
    check_inside(box, height, width)
    return frames_THWC[:, box.top : box.top + box.height, box.left : box.left + box.width]


def mirror(frames_THWC: Frames) -> Frames:
    """The frames mirrored left to right, a view of the same memory."""
    return frames_THWC[:, :, ::-1]


def flip(frames_THWC: Frames) -> Frames:
    """The scene mirrored left to right: of flow (two channels, 128 is no motion) x turns around too, 255 - x."""
    mirrored = mirror(frames_THWC)
    if frames_THWC.shape[-1] != 2:
        return mirrored
    turned = mirrored.copy()
    turned[..., 0] = 255 - turned[..., 0]
    return turned


def no_ten_crops(rule: str) -> DataError:
    """What a rule without ten crops answers."""
    return DataError(f"{rule} has no ten crops (no toolkit that works so has them): use one or three.")


def test_boxes(height: int, width: int, size: int, crops: Crops) -> list[View]:
    """The square crops of a test protocol on frames of height x width, in MMAction's and MMAction2's order.

    - centre: one, offsets (side - size) // 2.
    - three: along the longer side first, last, middle; the step is (long - size) // 2 and last = 2 steps, so that an
      odd remainder leaves one pixel unseen.
    - ten: upper left, upper right, lower left, lower right, centre by steps of (side - size) // 4, each plain and then
      mirrored.

    Raises:
        DataError: the crop does not fit the frame.
    """
    check_inside(Box(0, 0, size, size), height, width)
    if crops == "centre":
        return [View(Box((height - size) // 2, (width - size) // 2, size, size), flip=False)]
    if crops == "three":
        down, right = (height - size) // 2, (width - size) // 2
        # Along the longer side only; the other one is cut in its middle, which is 0 where size is the short side.
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
    """Frames [B, T, H, W, C] to a normalised clip [B, C, T, H, W] on the same device.

    The frames are uint8, or float32 in grey levels where a pixel rule resized in float. (x - mean) / std per channel in
    float32, in grey levels 0..255, then `dtype` (float32 unless given). The result is laid out channels-last, as the
    frames came: no pixel is moved, and convolutions like it. `order` "bgr" turns the channels around first.
    """
    import torch

    if batch_BTHWC.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"to_clip takes frames as decoded, uint8 or float32 grey levels, got {batch_BTHWC.dtype}.")
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
