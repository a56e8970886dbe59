"""Decode a video once for all its test views. Does not import torch, so that decoding processes start five times faster."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from marey.base.errors import DecodeError
from marey.base.words import counted
from marey.data.files.identity import file_identity
from marey.data.files.quarantine import Broken
from marey.data.lists.videos import Target, VideoEntry, frame_range
from marey.video.flow.rule import FlowRule
from marey.video.open import open_source, stores_flow
from marey.video.pixels import FloatPixels, Pixels
from marey.video.sampling import SamplingRule
from marey.video.source import Frames


@dataclass(frozen=True, eq=False, repr=False)
class DecodedVideo:
    """A video, or the segment of a file that its entry names, decoded once for all its test views."""

    id: str
    """The id of the video in its list."""
    frames: Frames
    """[U, H, W, C], type as in `ClipItem`: each of the U frames that some clip has, once, resized by its shorter side."""
    clips: NDArray[np.int64]
    """[clips, frames]: indices into `frames`."""
    seconds: NDArray[np.float64]
    """[clips, frames]: the time of each frame in seconds from the first frame of the file."""
    target: Target | None
    """The target of the list's row (`marey.data.lists.videos.Target`); None where there are no labels."""
    duration: float
    """Length of the video, or of its segment, in seconds."""
    identity: int = 0
    """Identity of the complete file's content (`marey.data.files.identity.file_identity`); 0: not computed."""

    def __repr__(self) -> str:
        count, height, width, _ = self.frames.shape
        frames, clips = counted(count, "frame"), counted(len(self.clips), "clip")
        return f"DecodedVideo({self.id!r}: {frames} of {width}x{height} for {clips})"


ViewItem: TypeAlias = DecodedVideo | Broken
"""A video, or a record of why it cannot be read."""


@dataclass(frozen=True)
class ViewDecoder:
    """Decodes any video as `ViewDataset` decodes its videos; the fields are the parameters of that class."""

    sampling: SamplingRule
    """The rule by which frames are chosen, in one clip or several."""
    pixels: Pixels | FloatPixels
    """How RGB is computed and resized."""
    flow: FlowRule | None = None
    """The clips are optical flow, computed by this rule where it is not stored; None: RGB."""
    identify: bool = False
    """Whether to compute the identity of each video's content, too (`marey.data.files.identity`)."""

    def __call__(self, video: VideoEntry, target: Target | None) -> ViewItem:
        """The decoded video, or why its file cannot be read."""
        try:
            return self.decoded(video, target)
        except (DecodeError, OSError) as error:
            return broken(video, error)

    def decoded(self, video: VideoEntry, target: Target | None) -> DecodedVideo:
        """The decoded video.

        Raises:
            DecodeError, OSError: its file cannot be read.
        """
        with open_source(video.path, self.pixels.conversion, self.flow) as source:
            first, count = frame_range(video, source)
            timestamps = source.timestamps[first : first + count]
            indices = first + self.sampling.sample(count, timestamps)
            unique, of_clips = np.unique(indices, return_inverse=True)
            size = self.pixels.size(source.height, source.width)
            return DecodedVideo(
                video.id,
                frames=self.pixels.pick(source, unique, size=size, crop=None),
                clips=of_clips.reshape(indices.shape),
                seconds=source.timestamps[indices] - source.timestamps[0],
                target=target,
                duration=float(timestamps[-1] - timestamps[0]) * count / max(count - 1, 1),
                identity=file_identity(video.path) if self.identify else 0,
            )

    def fields(self, video: VideoEntry) -> int:
        """The largest number of optical flow fields to compute for a video; 0 where its flow is stored."""
        return 0 if stores_flow(video.path) else self.most_fields

    @property
    def most_fields(self) -> int:
        """The largest number of optical flow fields to compute for a video without stored flow."""
        return 0 if self.flow is None else self.sampling.clips * self.sampling.clip_frames


def broken(video: VideoEntry, error: Exception) -> Broken:
    """The record of a video that cannot be read."""
    return Broken(video.id, str(video.path), str(error))
