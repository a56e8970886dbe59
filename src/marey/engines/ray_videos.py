"""Videos on their way through Ray: pieces of the list, single videos, decoded videos, each a row of a block.

No torch here: the processes of Ray that only decode start in a fraction of the time, and take a third of the memory.
"""

import pickle
from collections.abc import Callable, Iterator
from functools import lru_cache
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


def decoding(decoders: tuple[ViewDecoder, ...], limits: Limits) -> Callable[[pa.Table], Iterator[pa.Table]]:
    """What a task does with rows of the list: decode each in a process that may die."""

    def decode(videos: pa.Table) -> Iterator[pa.Table]:
        for one in videos.column("video").to_pylist():
            row, video = pickle.loads(one)
            yield packed("decoded", (row, video, _decoder_of(decoders, limits)(video)))

    return decode


@lru_cache(maxsize=1)
def _decoder_of(decoders: tuple[ViewDecoder, ...], limits: Limits) -> LimitedDecoder:
    """One for each process of Ray, which does many tasks: its decoding process is started once."""
    return LimitedDecoder(decoders, limits)


def packed(name: str, value: object) -> pa.Table:
    """A block of one row and one column, whose value is pickled."""
    return pa.table({name: pa.array([pickle.dumps(value, protocol=5)], pa.large_binary())})
