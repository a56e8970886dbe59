"""The median filter of 5x5 pixels, on any device."""

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

Exchange = tuple[int, int]
"""Indices of two values that are put in order: the smaller first."""


def median_5x5(image_BHW: Tensor) -> Tensor:
    """The median of each 5x5 neighbourhood of float32 [B, H, W]; the image is padded with its border pixels."""
    if image_BHW.device.type == "cpu":
        # The same values, eight times as fast as a compiled sorting network.
        return torch.stack([torch.from_numpy(cv2.medianBlur(image.numpy(), 5)) for image in image_BHW])
    return median_by_exchanges(image_BHW)


def median_by_exchanges(image_BHW: Tensor) -> Tensor:
    """The same filter by minima and maxima of entire images, which is fast on a GPU."""
    height, width = image_BHW.shape[-2:]
    padded = F.pad(image_BHW[:, None], (2, 2, 2, 2), mode="replicate")[:, 0]
    # Adjacent neighbourhoods share columns, which are sorted once.
    columns = _sorted([padded[:, i : i + height] for i in range(5)], _FIVE)
    rows = [_sorted([column[..., j : j + width] for j in range(5)], _FIVE) for column in columns]
    return _sorted([rows[i][j] for i, j in _MIDDLE], _MIDDLES)[len(_MIDDLE) // 2]


def sorting_network(count: int) -> list[Exchange]:
    """Exchanges that sort `count` values: Batcher's merge exchange (Knuth, volume 3, 5.2.2, algorithm M)."""
    exchanges = []
    step = top = 1 << max((count - 1).bit_length() - 1, 0)
    while step:
        width, rest, reach = top, 0, step
        while True:
            exchanges += [(i, i + reach) for i in range(count - reach) if i & step == rest]
            if width == step:
                break
            reach, width, rest = width - step, width // 2, step
        step //= 2
    return exchanges


def _sorted(values: list[Tensor], network: list[Exchange]) -> list[Tensor]:
    values = list(values)
    for low, high in network:
        values[low], values[high] = torch.minimum(values[low], values[high]), torch.maximum(values[low], values[high])
    return values


_FIVE = sorting_network(5)
_MIDDLE = [(i, j) for i in range(5) for j in range(5) if (i + 1) * (j + 1) <= 13 and (5 - i) * (5 - j) <= 13]
"""Positions (row, column) that can hold the median once columns and then rows are sorted. Every other position has more
than 13 of the 25 values, including its own, on one side. Six positions are excluded on each side, so the median of the
rest is the median of all."""
_MIDDLES = sorting_network(len(_MIDDLE))
