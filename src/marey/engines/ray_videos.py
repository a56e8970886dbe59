"""Videos on their way through Ray: pieces of the list, single videos, decoded videos, each a row of a block.

No torch here: the processes of Ray that only decode start in a fraction of the time, and take a third of the memory.
"""

import pickle
import platform
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import pyarrow as pa

import marey
from marey.base.errors import MareyError, RunError
from marey.base.reporter import KeepingReporter, Message, set_reporter
from marey.data.lists.videos import VideoEntry
from marey.data.loading.limited import Decoded, LimitedDecoder, Limits
from marey.data.loading.views import ViewDecoder

_BLOCK = 1000
"""Videos of the list that are handed to Ray at a time."""


class DecodedRow(NamedTuple):
    """A row of the list on its way from decoding to the network."""

    row: int
    video: VideoEntry
    decoded: tuple[Decoded, ...] | MareyError
    """By each decoder; or why nothing can be decoded there."""
    messages: list[Message]
    """What was said meanwhile, for the process that was started."""


def blocks(videos: Iterator[tuple[int, VideoEntry]]) -> Iterator[pa.Table]:
    """Rows and videos in blocks of one row each, of a thousand videos."""
    while several := list(islice(videos, _BLOCK)):
        yield packed("videos", several)


def singly(videos: pa.Table) -> Iterator[pa.Table]:
    """Each video of a block of `blocks` as a block of its own."""
    for several in videos.column("videos").to_pylist():
        yield from (packed("video", one) for one in pickle.loads(several))


class Decoding:
    """An actor that decodes single videos in a process that may die, kept from one video to the next."""

    def __init__(self, version: str, decoders: tuple[ViewDecoder, ...], limits: Limits) -> None:
        require_version(version)
        set_reporter(reporter := KeepingReporter())
        self._decoders, self._limits, self._reporter = decoders, limits, reporter
        self._decoder = LimitedDecoder(decoders, limits)

    def __call__(self, videos: pa.Table) -> pa.Table:
        row, video = pickle.loads(videos.column("video")[0].as_buffer())
        decoded: tuple[Decoded, ...] | MareyError
        try:
            decoded = self._decoder(video)
        except MareyError as error:  # an exception would end in Ray's words
            decoded, self._decoder = error, LimitedDecoder(self._decoders, self._limits)
        return packed("decoded", DecodedRow(row, video, decoded, self._reporter.take()))


def require_version(version: str) -> None:
    """See on a node that it has this version of Marey: it may have come after all nodes were asked.

    Raises:
        RunError: it has another.
    """
    if marey.__version__ != version:
        raise RunError(
            f"the node {platform.node()} has Marey {marey.__version__}, and the command {version}: install one everywhere."
        )


def packed(name: str, value: object) -> pa.Table:
    """A block of one row and one column, whose value is pickled."""
    return pa.table({name: pa.array([pickle.dumps(value, protocol=5)], pa.large_binary())})
