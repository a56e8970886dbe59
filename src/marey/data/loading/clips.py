"""Data sets for training and testing: labelled clips, and all views of a video from one decode."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from marey.base.errors import DataError, DecodeError
from marey.base.random import RandomSource, random_for
from marey.base.words import counted
from marey.data.files.identity import content_of, noted_of
from marey.data.files.quarantine import Broken, replacements
from marey.data.lists.manifest import Manifest, Sample
from marey.data.lists.videos import Target, Videos, frame_range, source_text
from marey.data.loading.mirror import mirrored_target
from marey.data.loading.views import ViewDecoder, ViewItem
from marey.video.flow.rule import FlowRule
from marey.video.open import open_source
from marey.video.pixels import FloatPixels, Pixels
from marey.video.pixels.colour import AppearanceStep
from marey.video.pixels.crops import Geometry
from marey.video.sampling import SamplingRule
from marey.video.source import Frames

if TYPE_CHECKING:
    from torch import Tensor

_REPEAT = 3
"""Part of the random seed of a clip that is drawn again in the same epoch."""


class Transform(Protocol):
    """Decides per clip where to look: the declarations of `marey.video.pixels.crops`, or anything with this method."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry: ...


class TargetRule(Protocol):
    """What the network is trained to give for a clip: a task of `marey.tasks` has this method."""

    def __call__(self, manifest: Manifest, row: int, seconds: NDArray[np.float64]) -> Target:
        """See `marey.tasks.task.Task.target`."""


class MirrorRule(Protocol):
    """The target of a mirrored clip: a task of `marey.tasks` has this method."""

    def __call__(self, target: Target, swaps: Mapping[int, int]) -> Target:
        """See `marey.tasks.task.Task.mirrored`."""


def target_of_video(manifest: Manifest, row: int, seconds: NDArray[np.float64]) -> Target:
    """The same target for every clip of a video."""
    return manifest.target(row)


class ClipItem(TypedDict):
    """One training clip."""

    clip: Frames
    """[T, H, W, C]; uint8, or float32 grey levels where the pixel rule resizes in float."""
    target: Target
    id: str
    broken: list[Broken]
    """Files that could not be read; the clip is then another video's (see `quarantine`)."""
    identity: tuple[int, ...]
    """Of the content of the video that the clip was cut from (`marey.data.files.identity.noted_of`)."""


class ClipBatch(TypedDict):
    """Several training clips as tensors."""

    clip: "Tensor"
    """[B, T, H, W, C], type as in a clip."""
    target: "Tensor"
    """int64 [B]; float32 [B, K] of a list with several labels per video; [B, ...] of a task with targets of its own."""
    id: list[str]
    broken: list[Broken]
    identity: NotRequired[list[int]]
    """Of the videos' content (`marey.data.files.identity`); a loader that is not Marey's may leave it out."""


class ClipKey(NamedTuple):
    """Which clip of a data set is asked for."""

    epoch: int
    row: int
    """Of the manifest."""
    repeat: int = 0
    """Which of several clips of the same video in the same epoch."""
    shape: int = 0
    """Which of the data set's `shapes`."""


class ClipDataset(Dataset[ClipItem]):
    """Labelled clips for training, or single-clip validation. Works in any DataLoader and in a notebook.

    Args:
        manifest: The videos.
        sampling: Which frames; several clips of a rule become one.
        transform: Where to look.
        seed: With epoch and index, all that randomness depends on.
        pixels: How RGB is made, resized and mirrored.
        flow: Show optical flow, and compute it by this rule where it is not stored.
        appearance: What changes the look of a clip after that.
        swaps: The class of a mirrored clip, where it is another one (`marey.data.loading.mirror`).
        shapes: Other pairs of sampling and transform, for clips of other shapes (multigrid).
        target: What the network is trained to give for a clip.
        mirrored: What becomes of the target where the clip is mirrored.

    `dataset[i]` is the clip of epoch 0; `dataset[epoch, i]` that of another one; a `ClipKey`, or a tuple of its fields,
    says the rest.
    """

    def __init__(
        self,
        manifest: Manifest,
        sampling: SamplingRule,
        transform: Transform,
        *,
        seed: int = 0,
        pixels: Pixels | FloatPixels | None = None,
        shapes: Sequence[tuple[SamplingRule, Transform]] = (),
        appearance: Sequence[AppearanceStep] = (),
        swaps: Mapping[int, int] | None = None,
        flow: FlowRule | None = None,
        target: TargetRule = target_of_video,
        mirrored: MirrorRule = mirrored_target,
    ) -> None:
        self.manifest, self.shapes = manifest, shapes or [(sampling, transform)]
        self.target, self.mirrored = target, mirrored
        self.seed, self.pixels, self.flow = seed, pixels or Pixels(), flow
        self.appearance, self.swaps = tuple(appearance), dict(swaps or {})
        # Looked at once by each process that reads a video; 0: not yet.
        self._contents = np.zeros(len(manifest), np.uint64)

    def __len__(self) -> int:
        return len(self.manifest)

    def __repr__(self) -> str:
        what = f"{source_text(self.manifest.source)}{counted(len(self), 'video')}"
        classes = counted(len(self.manifest.class_names), "class", "classes")
        return f"ClipDataset({what}, {classes}; clips by {type(self.shapes[0][0]).__name__})"

    def __getitem__(self, key: int | tuple[int, ...]) -> ClipItem:
        epoch, index, repeat, shape = ClipKey(*key) if isinstance(key, tuple) else ClipKey(0, key)
        random = (self.seed, epoch, index, _REPEAT, repeat) if repeat else (self.seed, epoch, index)
        broken: list[Broken] = []
        for place in [index, *replacements(self.seed, epoch, index, len(self))]:
            sample = self.manifest[place]
            try:
                clip, seconds, flipped = self._clip(sample, random_for(*random), *self.shapes[shape])
                whole = int(self._contents[place]) or content_of(sample.path)
            except (DecodeError, OSError) as error:
                broken.append(Broken(sample.id, str(sample.path), str(error)))
                continue
            self._contents[place] = whole
            target = self.target(self.manifest, place, seconds)
            target = self.mirrored(target, self.swaps) if flipped else target
            identity = noted_of(sample, whole)
            return {"clip": clip, "target": target, "id": sample.id, "broken": broken, "identity": identity}
        raise DataError(f"{counted(len(broken), 'video')} in a row cannot be read; the last: {broken[-1].reason}")

    def _clip(
        self, sample: Sample, random: np.random.RandomState, sampling: SamplingRule, transform: Transform
    ) -> tuple[Frames, NDArray[np.float64], bool]:
        """The clip, when its frames are shown, and whether it is mirrored."""
        with open_source(sample.path, self.pixels.conversion, self.flow) as source:
            first, count = frame_range(sample, source)
            indices = first + sampling.sample(count, source.timestamps[first : first + count], random).ravel()
            seconds = source.timestamps[indices] - source.timestamps[0]
            plan = transform.plan(source.height, source.width, random)
            clip = self.pixels.read(source, indices, plan)
        for step in self.appearance:
            clip = step.change(clip, random)
        return clip, seconds, plan.flip


class ViewDataset(Dataset[ViewItem]):
    """Videos for testing: each is decoded once, for all its clips and crops.

    Args:
        videos: A `VideoList`, whose items have no target, or a `Manifest`.
        sampling: Which frames, in one clip or several.
        pixels: How RGB is made and resized.
        flow: Show optical flow, and compute it by this rule where it is not stored.
        identify: Whether to look at the content of each video, too (`marey.data.files.identity`).

    `dataset[i]` is a `DecodedVideo`, or a `Broken` where the file cannot be read.
    """

    def __init__(
        self, videos: Videos, sampling: SamplingRule, pixels: Pixels | FloatPixels, flow: FlowRule | None = None,
        *, identify: bool = False,
    ) -> None:  # fmt: skip
        self.videos, self.sampling, self.pixels, self.flow = videos, sampling, pixels, flow
        self.identify = identify

    def __len__(self) -> int:
        return len(self.videos)

    def __repr__(self) -> str:
        return f"ViewDataset({counted(len(self), 'video')}; clips by {type(self.sampling).__name__})"

    @property
    def decoder(self) -> ViewDecoder:
        """What decodes a video of this data set: all of it but the list."""
        return ViewDecoder(self.sampling, self.pixels, self.flow, identify=self.identify)

    def __getitem__(self, index: int) -> ViewItem:
        return self.decoder(self.videos[index], self.videos.target(index))


def collate(items: list[ClipItem]) -> ClipBatch:
    """A batch of clips of the same size."""
    import torch

    return {
        "clip": torch.from_numpy(np.stack([item["clip"] for item in items])),
        "target": torch.from_numpy(np.stack([np.asarray(item["target"]) for item in items])),
        "id": [item["id"] for item in items],
        "broken": [broken for item in items for broken in item["broken"]],
        "identity": [identity for item in items for identity in item["identity"]],
    }
