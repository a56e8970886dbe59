"""All views of one video through the network, and their average as the recipe says."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from marey.backends.eager import EagerBackend
from marey.data.clips import ViewItem
from marey.recipe import Test
from marey.video.pixels import FloatPixels, Pixels
from marey.video.source import Frames
from marey.video.transforms import View, crop, flip


def score_video(
    backend: EagerBackend, item: ViewItem, test: Test, pixels: Pixels | FloatPixels, *, batch: int
) -> NDArray[np.float32]:
    """Class probabilities [K] of one video: views in passes of at most `batch`, averaged by `test.averaging`.

    Views of two videos never share a pass, so that a video's score depends on nothing but the video: `predict` and
    `evaluate` agree to the last bit.
    """
    views = Views.of(item, test, pixels)
    batches, places = views.batches(batch), torch.from_numpy(views.places)
    if test.averaging == "position_probabilities":
        maps = torch.cat([backend.positions(cut) for cut in batches])[places]
        return maps.softmax(dim=1).mean(dim=(0, 2)).numpy()
    logits = torch.cat([backend(cut) for cut in batches])[places]
    if test.averaging == "logits":
        return logits.mean(dim=0).softmax(dim=0).numpy()
    return logits.softmax(dim=1).mean(dim=0).numpy()


@dataclass(frozen=True)
class Views:
    """The views of one video: all crops of the first clip, then of the next one.

    Views that are alike are there once: a video shorter than a clip gives ten equal clips, a square picture three equal
    crops. Averages take each as often as the protocol has it.
    """

    frames: Frames
    cuts: tuple[tuple[NDArray[np.int64], View], ...]
    """(places in `frames`, crop) of the views that differ."""
    places: NDArray[np.int64]
    """For each view of the protocol, its place in `cuts`."""

    @classmethod
    def of(cls, item: ViewItem, test: Test, pixels: Pixels | FloatPixels) -> "Views":
        frames = item["frames"]
        boxes = pixels.views(frames.shape[1], frames.shape[2], test.size, test.crops)
        keys = [(clip.tobytes(), view) for clip in item["clips"] for view in boxes]
        cuts = {(clip.tobytes(), view): (clip, view) for clip in item["clips"] for view in boxes}
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
