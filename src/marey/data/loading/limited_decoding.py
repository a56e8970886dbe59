"""Decoding under limits of time and memory: a video that hangs, crashes or takes too much is skipped, with the reason."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2

from marey.base.errors import DecodeError
from marey.base.limited.limits import Limits, WorkAmount
from marey.base.limited.memory import memory_limit_lifted
from marey.base.limited.pool import ItemOutcome, each_limited
from marey.base.limited.worker import ItemFailure
from marey.base.processes import decoding_workers
from marey.data.files.quarantine import Broken
from marey.data.lists.videos import VideoEntry
from marey.data.loading.view_decoder import ViewDecoder, ViewItem, broken
from marey.video.reading.containers import stated_seconds

__all__ = ["Decoded", "Limits", "decode_limited"]

_Items: TypeAlias = tuple[ViewItem, ...]


@dataclass(frozen=True)
class Decoded:
    """A video of a list, decoded under limits."""

    item: ViewItem
    """A `DecodedVideo`, or a `Broken` with the reason: why the file cannot be read, or the limit that it exceeded."""
    seconds: float
    """Wall-clock seconds of decoding, in the process that did it, until the video was done or the process ended. Of several
    decoders in a process, each gets an equal share."""


def decode_limited(
    decoders: Sequence[ViewDecoder],
    videos: Iterable[VideoEntry],
    *,
    workers: int | None,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    spread: int = sys.maxsize,
) -> Generator[tuple[int, VideoEntry, tuple[Decoded, ...]]]:
    """Decode videos in processes with limits, and yield (index, video, its result for each decoder) as they are done.

    The indices are those of the videos, from 0; they are not in order, since a video that takes long is yielded after later
    ones. A video that takes too long or too much memory, that ends its process, or that raises an unexpected error, is a
    `Broken`; another process continues. Each process gets single videos, never the list, and has at most two of them
    waiting, so that memory stays bounded; the next video is taken from `videos` when there is room.

    Args:
        decoders: One decoder for each network that sees the videos; mostly one.
        videos: The videos to decode.
        workers: Decoding processes; None: one per core, at most eight. 0: this process decodes, without limits, since it
            cannot be ended.
        limits: The limits of each video, for all decoders together.
        spread: The video with index i is started only when the one with index i - `spread` is done: for callers that
            restore the order of the videos and keep early results meanwhile.

    Raises:
        MareyError: an error of decoding other than a file that cannot be read.
        RunError: processes end before they start a video; or a rule is defined in the main script, which starts processes
            outside of `if __name__ == "__main__":`.
    """
    if workers == 0:
        for index, video in enumerate(videos):
            yield index, video, tuple(_timed(decoder, video) for decoder in decoders)
        return
    work = _Decoding(tuple(decoders))
    outcomes = each_limited(work, videos, workers=decoding_workers(workers), limits=limits, spread=spread)
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            yield outcome.number, outcome.item, _decoded_from(outcome, len(decoders))
            del outcome  # else its frames would stay in memory beside the next ones


class LimitedDecoder:
    """Decodes single videos as `decode_limited` does, in one process that waits for the next video.

    It is for programs that get their videos one by one from another program. The decoding process ends when the program that
    uses this object ends.
    """

    def __init__(self, decoders: Sequence[ViewDecoder], limits: Limits) -> None:
        self._count, self._next = len(decoders), list[VideoEntry]()
        self._outcomes = each_limited(_Decoding(tuple(decoders)), self._videos(), workers=0, limits=limits)

    def __call__(self, video: VideoEntry) -> tuple[Decoded, ...]:
        """The result of each decoder for a video.

        Raises:
            MareyError: as `decode_limited`.
        """
        self._next.append(video)
        return _decoded_from(next(self._outcomes), self._count)

    def _videos(self) -> Iterator[VideoEntry]:
        while True:
            yield self._next.pop()


def _decoded_from(outcome: ItemOutcome[VideoEntry, _Items], decoders: int) -> tuple[Decoded, ...]:
    return tuple(Decoded(item, outcome.seconds / decoders) for item in _items(outcome, decoders))


def _timed(decoder: ViewDecoder, video: VideoEntry) -> Decoded:
    begun = time.perf_counter()
    item = decoder(video, None)
    return Decoded(item, time.perf_counter() - begun)


def _items(outcome: ItemOutcome[VideoEntry, _Items], count: int) -> _Items:
    if not isinstance(outcome.result, ItemFailure):
        return outcome.result
    video = outcome.item
    return (Broken(video.id, str(video.path), f"{video.path}: decoding {outcome.result.reason}"),) * count


@dataclass(frozen=True)
class _Decoding:
    """The work of a decoding process: see `marey.base.limited.worker.LimitedWork`."""

    decoders: tuple[ViewDecoder, ...]
    """The decoders, each of which decodes every video."""

    def begin(self) -> None:
        cv2.setNumThreads(0)

    def __call__(self, item: VideoEntry) -> _Items:
        return tuple(_decoded(decoder, item) for decoder in self.decoders)

    def amount(self, item: VideoEntry) -> WorkAmount:
        return WorkAmount(stated_seconds(item.path), sum(decoder.fields(item) for decoder in self.decoders))


def _decoded(decoder: ViewDecoder, video: VideoEntry) -> ViewItem:
    """The decoded video, or why it cannot be read.

    Raises:
        MemoryError: there was not enough memory, in whatever way the decoder reports that.
    """
    try:
        return decoder.decoded(video, None)
    except (DecodeError, OSError, cv2.error) as error:
        if _lacked_memory(error):
            raise MemoryError from error
        if isinstance(error, cv2.error):
            raise
        record = broken(video, error)
    # If memory was refused, the error may come from that: the video is decoded again without the limit of memory, and the
    # process checks afterwards how much it used.
    with memory_limit_lifted() as refused:
        return decoder(video, None) if refused else record


def _lacked_memory(error: Exception) -> bool:
    """Whether a decoder or OpenCV did not get the memory that it asked for; both say so only in the error's text."""
    return any(words in str(error) for words in (os.strerror(errno.ENOMEM), "Insufficient memory"))
