"""Decoding on Ray. Each block of Ray Data is one row with a pickled value: many videos, one, or one that is decoded.

This module does not import torch: processes of Ray that only decode start much faster and need a third of the memory.
"""

import pickle
import platform
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

import marey
from marey.base.errors import MareyError, RunError
from marey.base.reporter import CollectingReporter, Message, set_reporter
from marey.data.lists.videos import VideoEntry
from marey.data.loading.limited_decoding import Decoded, LimitedDecoder, Limits
from marey.data.loading.view_decoder import ViewDecoder

_BLOCK = 1000
"""Videos of the list in a block that is given to Ray."""


class DecodedRow(NamedTuple):
    """A decoded video that goes from a decoding actor to a network."""

    row: int
    """The row of the video in the list, from 0."""
    video: VideoEntry
    """The video that was decoded."""
    decoded: tuple[Decoded, ...] | MareyError
    """The result of each decoder; or the error that kept this node from decoding."""
    messages: list[Message]
    """Messages of the decoding, for the process that fills the table."""


def video_blocks(videos: Iterator[tuple[int, VideoEntry]]) -> Iterator[pa.Table]:
    """Blocks of one row, each with up to `_BLOCK` videos and their row numbers in the list."""
    while several := list(islice(videos, _BLOCK)):
        yield packed("videos", several)


def singly(videos: pa.Table) -> Iterator[pa.Table]:
    """A block for each video in a block of `video_blocks`."""
    for several in videos.column("videos").to_pylist():
        yield from (packed("video", one) for one in pickle.loads(several))


class DecodingActor:
    """A Ray actor that decodes single videos in a child process, which may die and is used for many videos."""

    def __init__(self, version: str, decoders: tuple[ViewDecoder, ...], limits: Limits) -> None:
        require_version(version)
        set_reporter(reporter := CollectingReporter())
        self._decoders, self._limits, self._reporter = decoders, limits, reporter
        self._decoder = LimitedDecoder(decoders, limits)

    def __call__(self, videos: pa.Table) -> pa.Table:
        row, video = pickle.loads(videos.column("video")[0].as_buffer())
        decoded: tuple[Decoded, ...] | MareyError
        try:
            decoded = self._decoder(video)
        except MareyError as error:  # a raised exception would be wrapped by Ray
            decoded, self._decoder = error, LimitedDecoder(self._decoders, self._limits)
        return packed("decoded", DecodedRow(row, video, decoded, self._reporter.take()))


def require_version(version: str) -> None:
    """Check, on a node, that it has this version of Marey: it may have joined after all nodes were checked.

    Raises:
        RunError: it has another version.
    """
    if marey.__version__ != version:
        raise RunError(
            f"the node {platform.node()} has Marey {marey.__version__}, and the command {version}: install the same version "
            "everywhere."
        )


def packed(name: str, value: object) -> pa.Table:
    """A block of one row and one column `name`, with the pickled value."""
    return pa.table({name: pa.array([pickle.dumps(value, protocol=5)], pa.large_binary())})
