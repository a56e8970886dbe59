"""The views of a decoded video (clips times crops), their scores, and the average that the test protocol declares."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marey.backends.backend import Backend
from marey.base.processes import decoding_workers
from marey.classifier import Calibration, Output
from marey.data.loading.datasets import ViewDataset
from marey.data.loading.view_decoder import DecodedVideo, ViewItem
from marey.data.loading.workers import AheadLoader, checked_batches, same_item
from marey.recipe import Averaging, Test
from marey.tasks.task import Task
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.transforms import View, crop, flip
from marey.video.source import Frames


def read_ahead(views: ViewDataset, rows: Sequence[int], *, workers: int | None) -> Iterator[ViewItem]:
    """Yield the videos of `rows` in order, decoded by `workers` processes while the network runs.

    At most two decoded videos per process wait, so that memory is bounded. With 0 `workers` this process decodes; None is
    one process per core, at most eight.

    Raises:
        RunError: a decoding process died (`AheadLoader`).
    """
    processes = min(decoding_workers(workers), len(rows))
    loader = AheadLoader(views, workers=processes, sampler=rows, batch_size=None, collate_fn=same_item)
    yield from checked_batches(loader)


def score_video(
    backend: Backend,
    video: DecodedVideo,
    test: Test,
    pixels: Pixels | FloatPixels,
    *,
    batch: int,
    task: Task,
    calibration: Calibration | None = None,
) -> NDArray[np.float32]:
    """The task's prediction for one video: probabilities of classes [K], or an array of another shape (`Task.predict`).

    The views go through the network in batches of at most `batch`, are averaged by `test.averaging`, and calibrated if there
    is a calibration. A batch never has views of two videos, so that the prediction depends on this video alone: `predict`
    and `evaluate` agree to the last bit.
    """
    outputs = ViewOutputs(backend, Views.of(video, test, pixels), batch, test.averaging)
    prediction = task.predict(outputs, video.seconds)
    return prediction if calibration is None else task.calibrated(prediction, calibration)


@dataclass(frozen=True, eq=False)
class ViewOutputs:
    """The outputs of a network for all views of one video, and their average."""

    backend: Backend
    """The backend that runs the network."""
    views: "Views"
    """The views of the video."""
    batch: int
    """Views per forward pass, at most."""
    averaging: Averaging
    """What is averaged over views: logits, probabilities, or probabilities at each position."""

    def __call__(self, output: Output) -> Tensor:
        """Run the network on the distinct views, and return its output for each of the V views of the protocol, [V, ...]."""
        distinct = torch.cat([self.backend.run(output, views) for views in self.views.batches(self.batch)])
        return distinct[torch.from_numpy(self.views.index)]

    def averaged(self, probabilities: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        """Probabilities [K], averaged over views (and positions) as `averaging` declares."""
        if self.averaging == "position_probabilities":
            return probabilities(self("positions")).mean(dim=(0, 2)).numpy()
        if self.averaging == "logits":
            return probabilities(self("logits").mean(dim=0, keepdim=True))[0].numpy()
        return probabilities(self("logits")).mean(dim=0).numpy()


@dataclass(frozen=True, eq=False)
class Views:
    """The views of one video: all crops of the first clip, then of the next one.

    Equal views are computed once: a video shorter than a clip has ten equal clips in 10x3, a square frame three equal crops.
    In averages each view counts as often as the protocol has it.
    """

    frames: Frames
    """The decoded frames that the views need, before cropping."""
    distinct: tuple[tuple[NDArray[np.int64], View], ...]
    """Each distinct view: the indices of its clip into `frames`, and its crop."""
    index: NDArray[np.int64]
    """For each view of the protocol, its index in `distinct`."""

    @classmethod
    def of(cls, video: DecodedVideo, test: Test, pixels: Pixels | FloatPixels) -> "Views":
        """The views of a decoded video that the rules `test` and `pixels` declare."""
        frames = video.frames
        boxes = pixels.views(frames.shape[1], frames.shape[2], test.size, test.crops)
        keys = [(clip.tobytes(), view) for clip in video.clips for view in boxes]
        distinct = {(clip.tobytes(), view): (clip, view) for clip in video.clips for view in boxes}
        order = {key: index for index, key in enumerate(distinct)}
        return cls(frames, tuple(distinct.values()), np.array([order[key] for key in keys]))

    def batches(self, size: int) -> Iterator[Tensor]:
        """The distinct views [V, T, H, W, C], in batches of at most `size`.

        Each batch is cropped when it is needed, so that memory holds one batch and the decoded frames.
        """
        for begin in range(0, len(self.distinct), size):
            batch = [_cropped(self.frames, clip, view) for clip, view in self.distinct[begin : begin + size]]
            yield torch.from_numpy(np.stack(batch))


def _cropped(frames: Frames, clip: NDArray[np.int64], view: View) -> Frames:
    cropped = crop(frames, view.box)[clip]
    return flip(cropped) if view.flip else cropped
