"""Videos that are too long to be answered as a whole by a classifier on frozen features, counted while they are answered."""

from typing import NamedTuple

from marey.base.reporter import notice
from marey.base.words import counted, verb
from marey.classifier import Classifier
from marey.data.cutting import LONGEST
from marey.data.lists.videos import VideoEntry
from marey.data.loading.views import DecodedVideo
from marey.models.probe.config import FrameProbeConfig
from marey.models.probe.network import Probe

_ROUNDING = 1e-3
"""Seconds by which the length of a part may differ from what its list says, by the rounding of timestamps."""


class Counts(NamedTuple):
    """Of videos."""

    seen: int
    long: int
    whole_files: int
    """Of the long ones, those that are no part of a file."""


class LongVideos:
    """Of the videos that a classifier answers, those longer than what `marey train` cuts in class folders (`LONGEST`).

        long = LongVideos(model)
        for entry, video in ...:
            long.see(entry, video)
        long.tell()

    Of other networks than a classifier on frozen features none is counted: their test rules are the toolkits'.
    """

    def __init__(self, model: Classifier) -> None:
        self._model = model if isinstance(model.network, Probe) else None
        self._seen = self._long = self._whole_files = 0

    def take(self) -> Counts:
        """What was counted since the last call, where another process is to say it."""
        taken = Counts(self._seen, self._long, self._whole_files)
        self._seen = self._long = self._whole_files = 0
        return taken

    def add(self, counts: Counts) -> None:
        """What `take` gave elsewhere."""
        self._seen += counts.seen
        self._long += counts.long
        self._whole_files += counts.whole_files

    def see(self, entry: VideoEntry, video: DecodedVideo) -> None:
        """Count a video."""
        self._seen += 1
        if self._model is not None and video.duration > LONGEST + _ROUNDING:
            self._long += 1
            self._whole_files += not entry.part_text

    def tell(self) -> None:
        """Say in a line how many were long, if any was, and what to do."""
        if self._model is None or not self._long:
            return
        which = f"{self._long:,} of {counted(self._seen, 'video')} {verb(self._long, 'is', 'are')}"
        if self._seen == 1:
            which = "the video is"
        parts = " Of a list with the columns path, start, end each part is answered." if self._whole_files else ""
        notice(
            f"{which} longer than {LONGEST:g} s and answered as a whole, from {_shown(self._model)}: what is short may be "
            f"missed.{parts}"
        )


def _shown(model: Classifier) -> str:
    """What a classifier sees of a video, in words."""
    sampling = model.recipe.test.sampling
    if isinstance(model.recipe.model, FrameProbeConfig):
        return f"{counted(sampling.segments, 'place')} spread over the length"
    return f"{counted(sampling.clips, 'clip')} of {counted(sampling.clip_frames, 'frame')}"
