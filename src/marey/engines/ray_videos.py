"""Videos on their way through Ray: pieces of the list, single videos, decoded videos, each a row of a block.

No torch here: the processes of Ray that only decode start in a fraction of the time, and take a third of the memory.
"""

import pickle
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa

from marey.data.limited import LimitedDecoder, Limits
from marey.data.videos import VideoEntry
from marey.data.views import ViewDecoder

_BLOCK = 1000
"""Videos of the list that are handed to Ray at a time."""


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

    def __init__(self, decoders: tuple[ViewDecoder, ...], limits: Limits) -> None:
        self._decoder = LimitedDecoder(decoders, limits)

    def __call__(self, videos: pa.Table) -> pa.Table:
        row, video = pickle.loads(videos.column("video")[0].as_buffer())
        return packed("decoded", (row, video, self._decoder(video)))


def packed(name: str, value: object) -> pa.Table:
    """A block of one row and one column, whose value is pickled."""
    return pa.table({name: pa.array([pickle.dumps(value, protocol=5)], pa.large_binary())})
