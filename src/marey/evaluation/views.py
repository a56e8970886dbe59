"""All views of one video through the network, and their average as the recipe says."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.eager import EagerBackend
from marey.data.clips import ViewItem
from marey.recipe import Classify, Task, Test
from marey.video.pixels import FloatPixels, Pixels
from marey.video.source import Frames
from marey.video.transforms import View, crop, flip


def score_video(
    backend: EagerBackend,
    item: ViewItem,
    test: Test,
    pixels: Pixels | FloatPixels,
    *,
    batch: int,
    task: Task = Classify(),  # noqa: B008 - frozen
) -> NDArray[np.float32]:
    """Class probabilities [K] of one video: views in passes of at most `batch`, averaged by `test.averaging`.

    They sum to 1 where a video has one label, and each stands for itself where it may have several (sigmoid).

    Views of two videos never share a pass, so that a video's score depends on nothing but the video: `predict` and
    `evaluate` agree to the last bit.
    """
    batches = view_batches(item, test, pixels, batch=batch)
    if test.averaging == "position_probabilities":
        maps = torch.cat([backend.positions(views) for views in batches])
        return _probabilities(maps, task).mean(dim=(0, 2)).numpy()
    logits = torch.cat([backend(views) for views in batches])
    if test.averaging == "logits":
        return _probabilities(logits.mean(dim=0, keepdim=True), task)[0].numpy()
    return _probabilities(logits, task).mean(dim=0).numpy()


def _probabilities(logits: torch.Tensor, task: Task) -> torch.Tensor:
    """Of logits [V, K] or [V, K, P]."""
    return logits.sigmoid() if task.kind == "multilabel" else logits.softmax(dim=1)


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
