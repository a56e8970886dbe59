"""All views of one video through the network, and their average as the recipe says."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from marey.backends.eager import EagerBackend
from marey.base.errors import RunError
from marey.data.clips import ViewDataset, ViewItem
from marey.data.loader import settle
from marey.recipe import Test
from marey.video.pixels import FloatPixels, Pixels
from marey.video.source import Frames
from marey.video.transforms import View, crop, flip


def read_ahead(views: ViewDataset, rows: Sequence[int], *, workers: int) -> Iterator[ViewItem]:
    """The videos of `rows` in turn, decoded by `workers` processes ahead of the network.

    Each process has at most two videos waiting, so that memory stays bounded; 0 decodes in this process.

    Raises:
        RunError: a process died, by a lack of memory or in a decoder.
    """
    processes = min(workers, len(rows))
    loader: DataLoader[ViewItem] = DataLoader(
        views,
        sampler=rows,
        batch_size=None,
        num_workers=processes,
        prefetch_factor=2 if processes else None,
        collate_fn=_as_it_is,
        worker_init_fn=settle if processes else None,
    )
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise RunError(
            f"a process that decodes videos died ({str(error).splitlines()[0]}): try fewer --workers."
        ) from None


def _as_it_is(item: Any) -> Any:
    return item


def score_video(
    backend: EagerBackend, item: ViewItem, test: Test, pixels: Pixels | FloatPixels, *, batch: int
) -> NDArray[np.float32]:
    """Class probabilities [K] of one video: views in passes of at most `batch`, averaged by `test.averaging`.

    Views of two videos never share a pass, so that a video's score depends on nothing but the video: `predict` and
    `evaluate` agree to the last bit.
    """
    batches = view_batches(item, test, pixels, batch=batch)
    if test.averaging == "position_probabilities":
        maps = torch.cat([backend.positions(views) for views in batches])
        return maps.softmax(dim=1).mean(dim=(0, 2)).numpy()
    logits = torch.cat([backend(views) for views in batches])
    if test.averaging == "logits":
        return logits.mean(dim=0).softmax(dim=0).numpy()
    return logits.softmax(dim=1).mean(dim=0).numpy()


def view_batches(item: ViewItem, test: Test, pixels: Pixels | FloatPixels, *, batch: int) -> Iterator[torch.Tensor]:
    """Views [V, T, H, W, C] in passes of at most `batch`: all crops of the first clip, then of the next one.

    Views are cut when their pass comes, so that memory holds one pass and the decoded frames, however many views there
    are. Clips that are alike (a video shorter than a clip) are cut and computed again: the average stays the same.
    """
    frames = item["frames"]
    boxes = pixels.views(frames.shape[1], frames.shape[2], test.size, test.crops)
    pending = []
    for clip in item["clips"]:
        for view in boxes:
            pending.append(_cut(frames, clip, view))
            if len(pending) == batch:
                yield torch.from_numpy(np.stack(pending))
                pending = []
    if pending:
        yield torch.from_numpy(np.stack(pending))


def _cut(frames: Frames, clip: NDArray[np.int64], view: View) -> Frames:
    part = crop(frames, view.box)[clip]
    return flip(part) if view.flip else part
