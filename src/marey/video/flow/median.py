"""The median of 5x5 neighbourhoods, on any device."""

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

Exchange = tuple[int, int]
"""Two places whose values are put in order: the smaller first."""


def median_5x5(image_BHW: Tensor) -> Tensor:
    """The median of each 5x5 neighbourhood, float32 [B, H, W]; beyond the border the nearest pixel counts."""
    if image_BHW.device.type == "cpu":
        # The same values, eight times as fast as a compiled network of minima.
        return torch.stack([torch.from_numpy(cv2.medianBlur(image.numpy(), 5)) for image in image_BHW])
    return median_by_exchanges(image_BHW)


def median_by_exchanges(image_BHW: Tensor) -> Tensor:
    """The same by minima and maxima alone, which a GPU takes of whole pictures at once."""
    height, width = image_BHW.shape[-2:]
    padded = F.pad(image_BHW[:, None], (2, 2, 2, 2), mode="replicate")[:, 0]
    # Neighbours share sorted columns: they are sorted once.
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
"""Where the median can be once columns and then rows are sorted: every other place has more than 13 of the 25 values,
its own among them, on one side. Six places fall away on either side, so that the median is that of these."""
_MIDDLES = sorting_network(len(_MIDDLE))
