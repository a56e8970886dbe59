"""A notice on long videos, of which a classifier on frozen features sees too few frames."""

from typing import NamedTuple

from marey.base.reporter import notice
from marey.base.words import counted, verb
from marey.classifier import Classifier
from marey.data.cutting import LONGEST
from marey.data.lists.videos import VideoEntry
from marey.data.loading.view_decoder import DecodedVideo
from marey.models.probe.config import FrameProbeConfig
from marey.models.probe.network import Probe

_ROUNDING = 1e-3
"""Seconds by which a segment may be longer than its list says, because timestamps are rounded."""


class LongVideoCounts(NamedTuple):
    """Numbers of videos."""

    seen: int
    """The number of all videos."""
    long: int
    """The number of videos longer than `LONGEST` seconds."""
    whole_files: int
    """The number of long videos that are an entire file, not a segment of one."""


class LongVideos:
    """Counts the videos that are longer than `LONGEST`, the length above which `marey train` cuts videos of class folders.

        long = LongVideos(model)
        for entry, video in ...:
            long.count(entry, video)
        long.notify()

    Only for classifiers on frozen features. For other networks, which are tested by the rules of their toolkits, no video
    counts as long, and `notify` prints nothing.
    """

    def __init__(self, model: Classifier) -> None:
        self._model = model if isinstance(model.network, Probe) else None
        self._seen = self._long = self._whole_files = 0

    def take(self) -> LongVideoCounts:
        """Return the counts since the last call and start again from 0, so that another process can `add` them to its
        own.
        """
        taken = LongVideoCounts(self._seen, self._long, self._whole_files)
        self._seen = self._long = self._whole_files = 0
        return taken

    def add(self, counts: LongVideoCounts) -> None:
        """Add the counts that another process took."""
        self._seen += counts.seen
        self._long += counts.long
        self._whole_files += counts.whole_files

    def count(self, entry: VideoEntry, video: DecodedVideo) -> None:
        """Count a video."""
        self._seen += 1
        if self._model is not None and video.duration > LONGEST + _ROUNDING:
            self._long += 1
            self._whole_files += not entry.part_text

    def notify(self) -> None:
        """Print a notice if any video was long: how many, what may be missed, and what to do."""
        if self._model is None or not self._long:
            return
        which = f"{self._long:,} of {counted(self._seen, 'video')} {verb(self._long, 'is', 'are')}"
        if self._seen == 1:
            which = "the video is"
        segments = (
            " A list with the columns path, start, end has one prediction per segment." if self._whole_files else ""
        )
        notice(
            f"{which} longer than {LONGEST:g} s and predicted from {_frames_text(self._model)}: short actions may be "
            f"missed.{segments}"
        )


def _frames_text(model: Classifier) -> str:
    """The frames that a classifier sees of a video, in words."""
    sampling = model.recipe.test.sampling
    if isinstance(model.recipe.model, FrameProbeConfig):
        return f"{counted(sampling.segments, 'frame pair')} spread over the length"
    return f"{counted(sampling.clips, 'clip')} of {counted(sampling.clip_frames, 'frame')}"
