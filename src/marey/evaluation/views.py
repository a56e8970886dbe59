"""All views of one video through the network, and their average as the recipe says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.backend import Backend
from marey.base.processes import decoding_workers
from marey.classifier import Calibration, Output
from marey.data.loading.clips import ViewDataset
from marey.data.loading.views import DecodedVideo, ViewItem
from marey.data.loading.workers import AheadLoader, as_it_is, delivered
from marey.recipe import Test
from marey.tasks.task import Task
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.transforms import View, crop, flip
from marey.video.source import Frames


def read_ahead(views: ViewDataset, rows: Sequence[int], *, workers: int | None) -> Iterator[ViewItem]:
    """The videos of `rows` in turn, decoded by `workers` processes ahead of the network.

    Each process has at most two videos waiting, so that memory stays bounded; 0 decodes in this process, None takes one
    process per core, eight at the most.

    Raises:
        RunError: a process died (`AheadLoader`).
    """
    processes = min(decoding_workers(workers), len(rows))
    loader = AheadLoader(views, workers=processes, sampler=rows, batch_size=None, collate_fn=as_it_is)
    yield from delivered(loader)


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
    """The task's answer for one video, class probabilities [K] or another array, from views in passes of at most `batch`,
    averaged by `test.averaging`, and corrected by the calibration where there is one.

    Views of two videos never share a pass, so that a video's score depends on nothing but the video: `predict` and
    `evaluate` agree to the last bit.
    """
    views = Views.of(video, test, pixels)
    places = torch.from_numpy(views.places)

    def outputs(name: Output) -> torch.Tensor:
        return torch.cat([backend.run(name, cut) for cut in views.batches(batch)])[places]

    answer = task.answer(outputs, test.averaging, video.seconds)
    return answer if calibration is None else task.calibrated(answer, calibration)


@dataclass(frozen=True, eq=False)
class Views:
    """The views of one video by a protocol, as crops of its frames: all crops of the first clip, then of the next one.

    Views that are alike are there once: a video shorter than a clip gives ten equal clips, a square picture three equal
    crops. Averages take each as often as the protocol has it.
    """

    frames: Frames
    cuts: tuple[tuple[NDArray[np.int64], View], ...]
    """(places in `frames`, crop) of the views that differ."""
    places: NDArray[np.int64]
    """For each view of the protocol, its place in `cuts`."""

    @classmethod
    def of(cls, video: DecodedVideo, test: Test, pixels: Pixels | FloatPixels) -> "Views":
        frames = video.frames
        boxes = pixels.views(frames.shape[1], frames.shape[2], test.size, test.crops)
        keys = [(clip.tobytes(), view) for clip in video.clips for view in boxes]
        cuts = {(clip.tobytes(), view): (clip, view) for clip in video.clips for view in boxes}
        order = {key: place for place, key in enumerate(cuts)}
        return cls(frames, tuple(cuts.values()), np.array([order[key] for key in keys]))

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        """The views that differ [V, T, H, W, C], in passes of at most `size`.

        They are cut when their pass comes, so that memory holds one pass and the decoded frames, however many there are.
        """
        for begin in range(0, len(self.cuts), size):
            part = [_cut(self.frames, clip, view) for clip, view in self.cuts[begin : begin + size]]
            yield torch.from_numpy(np.stack(part))


def _cut(frames: Frames, clip: NDArray[np.int64], view: View) -> Frames:
    part = crop(frames, view.box)[clip]
    return flip(part) if view.flip else part
