"""Data sets for training and testing: labelled clips, and videos that are decoded once for all their views."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NotRequired, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from marey.base.errors import DataError, DecodeError
from marey.base.random import RandomSource, random_for
from marey.base.words import counted
from marey.data.files.identity import file_identity, noted_identities
from marey.data.files.quarantine import Broken, replacements
from marey.data.lists.manifest import Manifest, Sample
from marey.data.lists.videos import Target, Videos, frame_range, source_text
from marey.data.loading.mirrored_classes import mirrored_target
from marey.data.loading.view_decoder import ViewDecoder, ViewItem
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
"""A component of the random seed of a video's second and later clips in one epoch."""


class Transform(Protocol):
    """Chooses size, crop and flip of a clip: a declaration of `marey.video.pixels.crops`, or any class with this method."""

    def plan(self, height: int, width: int, random: RandomSource) -> Geometry:
        """The choice for one clip of a video with frames of this height and width in pixels."""
        ...


class TargetRule(Protocol):
    """The training target of a clip: a task of `marey.tasks` has this method."""

    def __call__(self, manifest: Manifest, row: int, seconds: NDArray[np.float64]) -> Target:
        """See `marey.tasks.task.Task.target`."""


class MirrorRule(Protocol):
    """The target of a mirrored clip: a task of `marey.tasks` has this method."""

    def __call__(self, target: Target, swaps: Mapping[int, int]) -> Target:
        """See `marey.tasks.task.Task.mirrored`."""


def target_of_video(manifest: Manifest, row: int, seconds: NDArray[np.float64]) -> Target:
    """The label or labels of a video, as the target of each of its clips."""
    return manifest.target(row)


class ClipItem(TypedDict):
    """One training clip."""

    clip: Frames
    """[T, H, W, C]; uint8, or float32 on the scale 0 to 255 where the pixel rule resizes in float."""
    target: Target
    """The target of the clip: its class index; float32 [K] with several labels per video; [...] for a task with its own
    targets."""
    id: str
    """The id, in its list, of the video that the clip was cut from."""
    broken: list[Broken]
    """Videos that could not be read; if there are any, the clip is from another video (`marey.data.files.quarantine`)."""
    identity: tuple[int, ...]
    """The identities of the video that the clip was cut from (`marey.data.files.identity.noted_identities`)."""


class ClipBatch(TypedDict):
    """A batch of training clips as tensors."""

    clip: "Tensor"
    """[B, T, H, W, C]: the clips; type as in `ClipItem`."""
    target: "Tensor"
    """The targets: int64 [B]; float32 [B, K] for a list with several labels per video; [B, ...] for a task with its own
    targets."""
    id: list[str]
    """The ids of the B videos in their list."""
    broken: list[Broken]
    """All videos of the batch that could not be read; each is replaced by another video."""
    identity: NotRequired[list[int]]
    """The identities of the videos (`marey.data.files.identity`); a loader that is not Marey's may leave it out."""


class ClipKey(NamedTuple):
    """What `ClipDataset` is indexed by: which clip of which video in which epoch."""

    epoch: int
    """The number of the epoch, from 0."""
    row: int
    """The row of the video in the manifest."""
    repeat: int = 0
    """The index of the clip among several clips of the same video in the same epoch."""
    shape: int = 0
    """The index of the clip's shape in the data set's `shapes`."""


class ClipDataset(Dataset[ClipItem]):
    """Labelled clips for training, or single-clip validation. Works in any DataLoader and in a notebook.

    Args:
        manifest: The videos.
        sampling: Which frames are read. If the rule gives several clips of a video, they are joined to one along time.
        transform: Size, crop and flip of each clip.
        seed: The seed that, with epoch, row and repeat, determines all random choices.
        pixels: How RGB is computed, resized and mirrored; None: `Pixels()`.
        flow: The clips are optical flow, computed by this rule where it is not stored; None: RGB.
        appearance: Steps that change the appearance of a clip after it was read, resized and cropped, in order.
        swaps: For each class that mirroring changes, the class of the mirrored clip (`marey.data.loading.mirrored_classes`).
        shapes: Replaces `sampling` and `transform` by several pairs, one for each clip shape (multigrid); a key's `shape` is
            an index into them.
        target: The rule for the training target of a clip.
        mirrored: The rule for the target of a mirrored clip, from that of the clip and `swaps`.

    `dataset[i]` is the clip of row i in epoch 0, `dataset[epoch, i]` in another epoch; a `ClipKey`, or a tuple of its
    fields, gives repeat and shape as well.
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
        # The content identity of each file, computed once by each process that reads it; 0: not yet.
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
        for row in [index, *replacements(self.seed, epoch, index, len(self))]:
            sample = self.manifest[row]
            try:
                clip, seconds, flipped = self._clip(sample, random_for(*random), *self.shapes[shape])
                content = int(self._contents[row]) or file_identity(sample.path)
            except (DecodeError, OSError) as error:
                broken.append(Broken(sample.id, str(sample.path), str(error)))
                continue
            self._contents[row] = content
            target = self.target(self.manifest, row, seconds)
            target = self.mirrored(target, self.swaps) if flipped else target
            identity = noted_identities(sample, content)
            return {"clip": clip, "target": target, "id": sample.id, "broken": broken, "identity": identity}
        raise DataError(f"{counted(len(broken), 'video')} in a row cannot be read; the last: {broken[-1].reason}")

    def _clip(
        self, sample: Sample, random: np.random.RandomState, sampling: SamplingRule, transform: Transform
    ) -> tuple[Frames, NDArray[np.float64], bool]:
        """The clip, the times of its frames in seconds from the file's first frame, and whether it is mirrored."""
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
    """Videos for testing; each is decoded once for all its clips and crops.

    Args:
        videos: A `VideoList`, whose items have no target, or a `Manifest`.
        sampling: Which frames are read, in one clip or several.
        pixels: How RGB is computed and resized.
        flow: The clips are optical flow, computed by this rule where it is not stored; None: RGB.
        identify: Whether to compute the identity of each video's content, too (`marey.data.files.identity`).

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
        """The decoder of this data set's videos, without its list."""
        return ViewDecoder(self.sampling, self.pixels, self.flow, identify=self.identify)

    def __getitem__(self, index: int) -> ViewItem:
        return self.decoder(self.videos[index], self.videos.target(index))


def collate(items: list[ClipItem]) -> ClipBatch:
    """The batch of these clips, which have the same size."""
    import torch

    return {
        "clip": torch.from_numpy(np.stack([item["clip"] for item in items])),
        "target": torch.from_numpy(np.stack([np.asarray(item["target"]) for item in items])),
        "id": [item["id"] for item in items],
        "broken": [broken for item in items for broken in item["broken"]],
        "identity": [identity for item in items for identity in item["identity"]],
    }
